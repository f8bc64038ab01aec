"""The fast step against the plain one, on a CPU: packing, attention, loss, compiled or not."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from tests import sections
from tests.families import every_family, family_model
from tests.pretended import DEVICE, PretendedDevice
from torch import Tensor
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from forgetting.config.jobs.base import Job
from forgetting.data.items import Items
from forgetting.errors import StudyError
from forgetting.training import attention, loop, step
from forgetting.training.attention import document_mask
from forgetting.training.batches import Batch, Batches, QuestionBatches, question_batch
from forgetting.training.loop import Plan, train
from forgetting.training.loss import compiled_linear_cross_entropy
from forgetting.training.packing import Capacity, Packer
from forgetting.training.resume import Scratch
from forgetting.training.step import BatchLoss, FastStep, PackedLoss

STEPS = 50
RUN = Job(scale="tiny", seed=0, stage="task0")


class Streams(Batches):
    """Rows cut from a stream of documents of different lengths, as in pretraining; token 0 ends a document."""

    def __init__(self, within: bool, weighted: bool = False) -> None:
        self.within, self.weighted = within, weighted

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(1, 60, (6, 40), generator=generator)
        ids[torch.rand(ids.shape, generator=generator) < 0.15] = 0
        ends = ids == 0
        row, position = (~ends[:, :-1]).nonzero(as_tuple=True)
        share = torch.rand(len(row), generator=generator) / len(row) if self.weighted else None
        return Batch(ids, row, position, ends.cumsum(1) - ends.long() if self.within else None, share)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch):
    """Lets `train` take the fast step on a CPU, compiled or as it is."""

    def choose(compiled: bool = False) -> None:
        def build(model, parameters, batches, config, precision, hooks):
            return FastStep(model, parameters, config, precision, hooks, [batches.batch(number) for number in range(4)])

        if not compiled:
            monkeypatch.setattr(torch, "compile", lambda module, **_: module)
        monkeypatch.setattr(loop, "build_step", build)

    return choose


def plan_of(batches: Batches, steps: int = STEPS, evaluate=lambda step: None, **options) -> Plan:
    optimizer = sections.optimizer(learning_rate=1e-3, **options)
    return Plan(steps, batches, optimizer, sections.schedule(warmup_steps=3, final_fraction=0.1), frozenset(range(1, steps + 1)), evaluate)


def sources(questions: Items) -> dict[str, Batches]:
    return {
        "questions": QuestionBatches(questions, 8, 0),
        "documents": Streams(within=True),
        "across": Streams(within=False),
        "weighted": Streams(within=True, weighted=True),
    }


@pytest.mark.parametrize("name", ["questions", "documents", "across", "weighted"])
def test_the_fast_path_learns_what_the_plain_one_learns(tiny_model, tiny_questions, fast, name: str) -> None:
    batches = sources(tiny_questions)[name]
    start = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    plain = train(tiny_model, plan_of(batches))
    expected = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    tiny_model.load_state_dict(start)
    fast()
    packed = train(tiny_model, plan_of(batches))
    assert packed.losses == pytest.approx(plain.losses, abs=1e-5)
    assert plain.losses[-1] < plain.losses[0]
    assert (packed.tokens, packed.rows, packed.learning_rates) == (plain.tokens, plain.rows, plain.learning_rates)
    moved = max((expected[key] - start[key]).abs().max() for key in start)
    assert max((tiny_model.state_dict()[key] - expected[key]).abs().max() for key in start) < moved / 20


@every_family
def test_packed_rows_give_every_family_the_loss_and_the_gradients_of_padded_ones(family: str, tiny_questions: Items) -> None:
    model, batches = family_model(family, int(tiny_questions.ids.max()) + 1), [question_batch(tiny_questions, torch.arange(8).numpy())]
    if family == "mistral":
        with pytest.raises(StudyError, match="rows of 40 tokens exceed the attention window of 6"):
            BatchLoss(model)(Streams(within=True).batch(0))
    else:
        batches.append(Streams(within=True).batch(0))
    for batch in batches:
        plain = BatchLoss(model)(batch)
        with step.within_documents(model):
            packed = PackedLoss(model, "float32")(Packer([batch])(batch))
        assert packed.item() == pytest.approx(plain.item(), rel=1e-5)
        gradients = zip(*(torch.autograd.grad(loss, list(model.parameters())) for loss in (plain, packed)), strict=True)
        for expected, found in gradients:
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.long
def test_compiled_code_learns_the_same(tiny_model, tiny_questions, fast) -> None:
    batches = QuestionBatches(tiny_questions, 8, 0)
    start = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    plain = train(tiny_model, plan_of(batches, 20))
    tiny_model.load_state_dict(start)
    fast(compiled=True)
    torch._dynamo.utils.counters.clear()
    compiled = train(tiny_model, plan_of(batches, 20))
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-5)
    assert not torch._dynamo.utils.counters["graph_break"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1, "batches of one shape are compiled once"


def test_a_step_of_a_larger_batch_is_trained_like_any_other(tiny_model, tiny_questions, fast) -> None:
    class Growing(Batches):
        def batch(self, step: int) -> Batch:
            return question_batch(tiny_questions, torch.arange(6 if step < 6 else 40).numpy())

    start = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    plain = train(tiny_model, plan_of(Growing(), 12))
    tiny_model.load_state_dict(start)
    fast()
    assert train(tiny_model, plan_of(Growing(), 12)).losses == pytest.approx(plain.losses, abs=1e-5)


def test_padding_changes_no_gradient(tiny_model, tiny_questions: Items) -> None:
    batch = question_batch(tiny_questions, torch.arange(8).numpy())
    narrow = Packer([batch])
    wide = Packer([batch])
    wide.capacity = Capacity(*(3 * size for size in (512, 64, 64, 256)))
    gradients = []
    for pack in (narrow, wide):
        with step.within_documents(tiny_model):
            PackedLoss(tiny_model, "float32")(pack(batch)).backward()
        gradients.append([weight.grad.clone() for weight in tiny_model.parameters()])
        tiny_model.zero_grad()
    torch.testing.assert_close(*gradients)


def test_the_loss_of_compiled_code_is_cross_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetting.training.loss.ROWS_AT_ONCE_COMPILED", 4)
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(11, 5, generator=generator), torch.randn(7, 5, generator=generator)
    target, share = torch.randint(7, (11,), generator=generator), torch.rand(11, generator=generator)
    found = []
    for function in (compiled_linear_cross_entropy, lambda h, w, t, s: (cross_entropy(h @ w.T, t, reduction="none") * s).sum()):
        inputs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
        loss = function(*inputs, target, share)
        loss.backward()
        found.append([loss.detach(), *(each.grad for each in inputs)])
    torch.testing.assert_close(*found)


def test_half_precision_is_near_single(tiny_model, tiny_questions: Items) -> None:
    batch = question_batch(tiny_questions, torch.arange(8).numpy())
    with step.within_documents(tiny_model):
        half = PackedLoss(tiny_model, "bf16")(Packer([batch])(batch))
    assert half.item() == pytest.approx(BatchLoss(tiny_model)(batch).item(), rel=0.02)


def test_the_fast_path_resumes_to_the_same_weights(tiny_model, tiny_questions, fast, tmp_path: Path) -> None:
    def terminate_once(number: int) -> None:
        if number == 8 and not (tmp_path / "sent").exists():
            (tmp_path / "sent").touch()
            os.kill(os.getpid(), signal.SIGTERM)

    fast()
    batches = QuestionBatches(tiny_questions, 8, 0)
    start = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    train(tiny_model, plan_of(batches, 12))
    expected = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    tiny_model.load_state_dict(start)
    with pytest.raises(SystemExit):
        train(tiny_model, plan_of(batches, 12, terminate_once), Scratch(tmp_path / "scratch", RUN))
    tiny_model.load_state_dict(start)
    train(tiny_model, plan_of(batches, 12, terminate_once), Scratch(tmp_path / "scratch", RUN))
    assert all(torch.equal(expected[key], value) for key, value in tiny_model.state_dict().items())


def test_a_state_does_not_say_where_the_learning_rate_lies(tiny_model, tiny_questions, fast, tmp_path: Path) -> None:
    """A job that was recorded on a GPU keeps its learning rate there; one that goes on elsewhere keeps a number."""
    parameters = list(tiny_model.named_parameters())
    config = sections.optimizer(learning_rate=1e-3)
    recorded = step.PlainStep(tiny_model, parameters, config, "float32", step.Hooks())
    for group in recorded.optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    recorded(question_batch(tiny_questions, torch.arange(4).numpy()), 0.5)
    assert recorded.optimizer.param_groups[0]["lr"].item() == pytest.approx(5e-4)
    scratch = Scratch(tmp_path, RUN)
    scratch.save(1, tiny_model, recorded.optimizer, {})
    plain = step.PlainStep(tiny_model, parameters, config, "float32", step.Hooks())
    scratch.load(tiny_model, plain.optimizer)
    assert isinstance(plain.optimizer.param_groups[0]["lr"], float)
    scratch.load(tiny_model, recorded.optimizer)
    assert isinstance(recorded.optimizer.param_groups[0]["lr"], torch.Tensor)


def test_the_model_is_as_before_when_training_is_over(tiny_model, tiny_questions, fast) -> None:
    fast()
    usual = tiny_model.config._attn_implementation
    train(tiny_model, plan_of(QuestionBatches(tiny_questions, 8, 0), 2))
    assert tiny_model.config._attn_implementation == usual == "sdpa"


class PretendedGraph:
    """A CUDA graph on the CPU: what is done while it is recorded is undone, and a replay does it."""

    step: FastStep
    recorded: ClassVar[list[PretendedGraph]] = []

    def replay(self) -> None:
        self.step.recorded_loss.copy_(self.step._train(self.step.inputs))

    @contextmanager
    def record(self, stream: object, capture_error_mode: str) -> Iterator[None]:
        weights = {name: value.clone() for name, value in self.step.model.state_dict().items()}
        state = copy.deepcopy(self.step.optimizer.state_dict())
        yield
        self.step.model.load_state_dict(weights)
        self.step.optimizer.load_state_dict(state)
        self.recorded.append(self)


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> list[PretendedGraph]:
    """Lets `train` take the fast step on a pretended GPU; the graphs that it records."""

    def build(model, parameters, batches, config, precision, hooks):
        PretendedGraph.step = FastStep(model, parameters, config, precision, hooks, [batches.batch(number) for number in range(4)])
        return PretendedGraph.step

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(loop, "build_step", build)
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", PretendedGraph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **options: graph.record(**options))
    monkeypatch.setattr(attention, "varlen_attn", varlen_by_mask)
    monkeypatch.setattr(PretendedGraph, "recorded", [])
    return PretendedGraph.recorded


def varlen_by_mask(query, key, value, bounds, bounds_of_keys, longest, longest_of_keys, *, scale, window_size) -> Tensor:
    """What torch's function for documents of different lengths (n, heads, d) returns."""
    assert bounds is bounds_of_keys and window_size == (-1, 0) and bounds.dtype == torch.int32
    assert bounds.diff().max() <= longest == longest_of_keys
    mask = document_mask(bounds, len(query))
    rows = (each.transpose(0, 1) for each in (query, key, value))
    return scaled_dot_product_attention(*rows, attn_mask=mask, scale=scale).transpose(0, 1)


def test_a_recorded_step_learns_what_the_plain_one_learns(tiny_model, tiny_questions, recording, monkeypatch) -> None:
    """The recorded step on a pretended GPU: what lies where, when it is recorded, and again when a batch has another shape."""

    class Growing(Batches):
        def batch(self, step: int) -> Batch:
            return question_batch(tiny_questions, (torch.arange(6 if step < 10 else 40) + step).numpy())

    start = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    with monkeypatch.context() as plain_step:
        plain_step.setattr(loop, "build_step", step.build_step)
        plain = train(tiny_model, plan_of(Growing(), 20))
    expected = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    tiny_model.load_state_dict(start)
    precisions = set()
    with PretendedDevice():
        fast = train(tiny_model.to(DEVICE), plan_of(Growing(), 20, lambda step: precisions.add(torch.get_float32_matmul_precision())))
    assert precisions == {"high"} and torch.get_float32_matmul_precision() == "highest", "evaluation alone has products in TF32"
    assert fast.losses == pytest.approx(plain.losses, abs=1e-5)
    assert len(recording) == 2
    assert all(torch.is_tensor(group["lr"]) and group["capturable"] for group in PretendedGraph.step.optimizer.param_groups)
    torch.testing.assert_close(tiny_model.state_dict(), expected, atol=1e-4, rtol=0.01)


@pytest.mark.parametrize("told", [True, False], ids=["torch 2.13", "torch 2.11"])
def test_flash_attention_of_fewer_keys_is_called_as_this_torch_takes_it(monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """On a pretended GPU, with torch's function as it is in two versions: the older one takes fewer keys, but not the word for them."""

    def newer(query, key, value, *others, scale, window_size, enable_gqa=False) -> Tensor:
        assert enable_gqa or query.shape[1] == key.shape[1]
        return older(query, key, value, *others, scale=scale, window_size=window_size)

    def older(query, key, value, bounds, *others, scale, window_size) -> Tensor:
        key, value = (each.repeat_interleave(query.shape[1] // each.shape[1], 1) for each in (key, value))
        return varlen_by_mask(query, key, value, bounds, *others, scale=scale, window_size=window_size)

    monkeypatch.setattr(attention, "varlen_attn", newer if told else older)
    monkeypatch.setattr(attention, "GROUPED", {"enable_gqa": True} if told else {})
    query, key, value = (torch.randn(1, heads, 7, 8) for heads in (4, 2, 2))
    options = {"bounds": torch.tensor([0, 3, 7], dtype=torch.int32), "longest": 4, "scaling": 0.3}
    expected, _ = attention.attend_within_documents(torch.nn.Module(), query, key, value, None, **options)
    with PretendedDevice():
        there = (each.to(DEVICE) for each in (query, key, value))
        options["bounds"] = options["bounds"].to(DEVICE)
        found, _ = attention.attend_within_documents(torch.nn.Module(), *there, None, **options)
    torch.testing.assert_close(found, expected)
