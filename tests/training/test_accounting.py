"""What a training job costs: operations against a direct count, and what a device would report, pretended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests import sections
from tests.families import every_family, family_model
from tests.training.test_loop import RUN, plan_of
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model
from forgetting.stages.measurements import training_metrics
from forgetting.training import accounting
from forgetting.training.accounting import EnergyCounter, Meter, Work, document_lengths, peak_operations, usage_metrics
from forgetting.training.batches import Batch, question_batch
from forgetting.training.loop import freeze, train
from forgetting.training.resume import Scratch

LENGTH = 12


def full_batch(rows: int = 3) -> Batch:
    """Rows of LENGTH tokens, every token but the first predicted."""
    row, position = torch.ones(rows, LENGTH - 1).nonzero(as_tuple=True)
    return Batch(torch.randint(0, 50, (rows, LENGTH)), row, position)


def model_of(layers: int = 3) -> PreTrainedModel:
    model = build_model(sections.model(layers=layers, hidden_size=16, heads=2), 50, seed=0)
    model.set_attn_implementation("eager")  # products that a counter sees
    return model.train()


def counted(model: PreTrainedModel, batch: Batch) -> tuple[float, float]:
    """Operations of matrix products and of attention in one step, as PyTorch counts them, on the tokens that a prediction needs."""
    with FlopCounterMode(display=False) as counter:
        hidden = model.base_model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.get_output_embeddings()(hidden[batch.row, batch.position])
        torch.nn.functional.cross_entropy(logits, batch.ids[batch.row, batch.position + 1]).backward()
    by_module = {name: {str(operation): n for operation, n in of.items()} for name, of in counter.get_flop_counts().items()}
    found = by_module["Global"]
    products = found.pop("aten.mm") + found.pop("aten.addmm", 0)
    # Some versions of transformers write the angles of rotary positions as a product, once for all layers.
    angles = sum(of.get("aten.bmm", 0) for name, of in by_module.items() if name.endswith(".rotary_emb"))
    return products, found.pop("aten.bmm") - angles if not found.keys() - {"aten.bmm"} else float("nan")


@every_family
def test_operations_of_every_family_are_those_of_a_direct_count(family: str) -> None:
    """Grouped-query attention multiplies as many heads as there are of queries."""
    model, batch = family_model(family, 50), full_batch()
    model.set_attn_implementation("eager")
    products, attention = counted(model.train(), batch)
    assert Work(model).of(batch)[1] == products + attention * LENGTH / (2 * (LENGTH - 1))


def test_operations_of_grouped_queries_by_hand() -> None:
    """Llama: 4 heads of width 8, 2 of keys and values, a gated MLP of width 88, two layers of width 32."""
    model, batch = family_model("llama", 50), full_batch(rows=1)
    weights = 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 88 * 32) + 50 * 32
    attention = 2 * 3 * 4 * 4 * 8  # layers, forward and twice backward, operations, heads, width
    assert Work(model).of(batch)[1] == 6 * weights * (LENGTH - 1) + attention * LENGTH * (LENGTH - 1) // 2


@pytest.mark.parametrize("frozen", [(), ("embed_in", "layers.0."), ("embed_in", "layers.0.", "layers.1."), ("layers.0.",), ("layers.2.",)])
def test_operations_are_those_of_a_direct_count(frozen: tuple[str, ...]) -> None:
    model, batch = model_of(), full_batch()
    freeze(model, lambda name: not any(part in name for part in frozen))
    work, (products, attention) = Work(model), counted(model, batch)
    read = LENGTH - 1
    tokens, operations = work.of(batch)
    assert tokens == 3 * LENGTH
    # The count has every pair of tokens, the model needs those with earlier ones.
    assert operations == products + attention * (read + 1) / (2 * read)


def test_plain_training_needs_six_operations_a_weight_and_token() -> None:
    model, batch = model_of(layers=1), full_batch(rows=1)
    weights = 12 * 16**2 + 50 * 16
    assert Work(model).of(batch)[1] == 6 * weights * (LENGTH - 1) + 12 * 16 * LENGTH * (LENGTH - 1) // 2


def test_padding_and_other_documents_need_nothing(tiny_questions: Items) -> None:
    rows = np.array([0, 7, 30])
    batch, model = question_batch(tiny_questions, rows), model_of()
    expected = (tiny_questions.prompt_length + tiny_questions.answer_length)[torch.from_numpy(rows)]
    assert document_lengths(batch).tolist() == expected.tolist()
    wider = Batch(torch.nn.functional.pad(batch.ids, (0, 9, 0, 2)), batch.row, batch.position)
    assert Work(model).of(wider) == Work(model).of(batch)
    one = full_batch(rows=1)
    packed = Batch(torch.zeros(1, LENGTH + 4), one.row, one.position, documents=torch.tensor([[0] * 7 + [7] * 5 + [-1] * 4]))
    assert sorted(document_lengths(packed)[document_lengths(packed) > 0]) == [5, 7]
    two = Batch(torch.zeros(1, LENGTH), one.row, one.position, documents=torch.tensor([[0] * 7 + [7] * 5]))
    assert Work(model).of(packed) == Work(model).of(two) < Work(model).of(one)


def test_a_cpu_has_no_utilisation_memory_or_energy(tiny_model, tiny_questions: Items) -> None:
    history = train(tiny_model, plan_of(tiny_questions))
    found = training_metrics(history, tiny_model).groupby("metric")["value"].last()
    assert {"seconds", "tokens_per_second", "step_seconds", "trained_tokens", "padding_share", "trained_operations"} < set(found.index)
    assert not {"model_flop_utilisation", "peak_device_memory", "energy_joules"} & set(found.index)
    batches = [plan_of(tiny_questions).batches.batch(step) for step in range(12)]
    real = sum(int(document_lengths(batch).sum()) for batch in batches)
    assert found["trained_tokens"] == real
    assert found["padding_share"] == pytest.approx(1 - real / sum(batch.ids.numel() for batch in batches)) and found["padding_share"] > 0.02
    assert found["step_seconds"] == pytest.approx(history.seconds / 12)
    assert found["trained_operations"] == sum(Work(tiny_model).of(batch)[1] for batch in batches)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 80GB HBM3", "float32", 67e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA A100 80GB PCIe", "bf16", 312e12),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
        ("Tesla V100-SXM2-32GB", "bf16", None),
        ("NVIDIA GeForce RTX 4090", "bf16", None),
    ],
)
def test_peak_is_that_of_the_name_or_none(name: str, precision: str, expected: float | None) -> None:
    found = peak_operations(name, precision)
    assert np.isnan(found) if expected is None else found == expected


def test_no_peak_where_float32_products_are_not_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert np.isnan(peak_operations("NVIDIA A100-SXM4-80GB", "float32"))
    assert peak_operations("NVIDIA A100-SXM4-80GB", "bf16") == 312e12


class NVMLError(Exception):
    pass


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A pretended pynvml of one device that uses 2.5 J between two looks, and the device as torch knows it."""
    asked: list[str] = []
    millijoules = iter(range(1000, 100_000, 2500))

    def handle(name: str) -> str:
        if name != "GPU-11-22":
            raise NVMLError
        asked.append(name)
        return name

    made = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(millijoules),
        asked=asked,
    )
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="11-22"))
    return made


def test_energy_is_that_of_the_device_of_this_process(library: SimpleNamespace) -> None:
    counter = EnergyCounter(torch.device("cuda"))
    assert library.asked == ["GPU-11-22"]
    assert -counter.joules() + counter.joules() == 2.5


@pytest.mark.parametrize("trouble", ["no package", "no driver", "no such device", "no counter", "a CPU"])
def test_energy_is_absent_where_it_cannot_be_known(library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    def refuse(*_: object) -> Iterator[None]:
        raise NVMLError

    if trouble == "no package":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    elif trouble == "no driver":
        library.nvmlInit = refuse
    elif trouble == "no such device":
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="33"))
    elif trouble == "no counter":
        library.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert np.isnan(EnergyCounter(torch.device("cpu" if trouble == "a CPU" else "cuda")).joules())


@pytest.fixture
def device(library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A Meter that believes it measures a GPU which could do a million operations a second and whose memory grows."""
    memory = iter(range(1000, 100_000, 1000))
    plain = Meter.__init__

    def measuring(self: Meter, *arguments) -> None:
        plain(self, *arguments)
        self.counter, self.peak = EnergyCounter(torch.device("cuda")), 1e6
        self.energy_before = self.counter.joules()
        self.on_gpu = True

    monkeypatch.setattr(accounting.Meter, "__init__", measuring)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(memory))
    return memory


def test_a_resumed_job_goes_on_counting(device, tiny_model, tiny_questions: Items, tmp_path: Path) -> None:
    def terminate_once(step: int) -> torch.Tensor:
        if step == 8 and not (tmp_path / "sent").exists():
            (tmp_path / "sent").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return torch.tensor([step])

    with pytest.raises(SystemExit):
        train(tiny_model, plan_of(tiny_questions, terminate_once), Scratch(tmp_path / "scratch", RUN))
    history = train(tiny_model, plan_of(tiny_questions, terminate_once), Scratch(tmp_path / "scratch", RUN))
    whole = train(tiny_model, plan_of(tiny_questions))
    for name in ("steps", "positions", "operations"):
        assert history.usage[name] == whole.usage[name] > 0
    assert history.tokens == whole.tokens
    found = usage_metrics([(history.seconds, history.tokens, history.usage)])
    # Two runs, each looked at when it begins and ends.
    assert found["energy_joules"] == 2 * 2.5 and whole.usage["energy"] == 2.5
    assert found["model_flop_utilisation"] == pytest.approx(history.usage["operations"] / (1e6 * history.seconds))
    assert found["peak_device_memory"] == 2000 and found["devices"] == 1


def test_one_of_several_processes_counts_for_all(device, tiny_model, tiny_questions: Items) -> None:
    batch, found = plan_of(tiny_questions).batches.batch(0), []
    for processes in (1, 4):
        meter = Meter(tiny_model, "float32", {}, processes)
        tokens, seconds = meter.count(meter.needs(batch, batch.ids.numel())), meter.read(2.0)
        found.append(usage_metrics([(seconds, tokens, meter.usage)]))
    one, four = found
    for name in ("tokens_per_second", "trained_operations", "energy_joules", "devices"):
        assert four[name] == 4 * one[name]
    for name in ("step_seconds", "model_flop_utilisation", "padding_share"):
        assert four[name] == one[name]


def test_several_trainings_of_a_job_are_added_up() -> None:
    one = {"steps": 10, "positions": 100, "operations": 1e6, "possible_operations": 4e6, "energy": 5.0, "memory": 70.0, "devices": 1.0}
    two = {"steps": 30, "positions": 300, "operations": 3e6, "possible_operations": 4e6, "energy": 6.0, "memory": 60.0, "devices": 1.0}
    found = usage_metrics([(2.0, 60, one), (6.0, 240, two)])
    assert found == {
        "seconds": 8,
        "tokens_per_second": 37.5,
        "step_seconds": 0.2,
        "trained_tokens": 300,
        "padding_share": 0.25,
        "trained_operations": 4e6,
        "model_flop_utilisation": 0.5,
        "devices": 1,
        "peak_device_memory": 70,
        "energy_joules": 11,
    }
