"""On a GPU the fast step learns what the plain one learns: exactly in single precision, within the noise of seeds in half precision."""

from __future__ import annotations

import os
import signal
from copy import deepcopy
from pathlib import Path
from statistics import fmean

import pytest
import torch
from tests import sections
from tests.families import family_model
from tests.gpu.conftest import Take, on_gpu
from tests.training.test_step import RUN, Streams, plan_of, sources
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model
from forgetting.training.batches import Batch, Batches, question_batch
from forgetting.training.loop import train
from forgetting.training.resume import Scratch
from forgetting.training.step import FastStep, Hooks, build_step

SOURCES = ["documents", "questions", "weighted"]
STEPS = {"cpu": 20, "cuda": 200}
HALF_STEPS = {"cpu": 60, "cuda": 200}
"""In half precision a few steps say nothing about what builds up."""


def learned(model: PreTrainedModel, device: torch.device, batches: Batches, steps: int, precision: str = "float32") -> list[float]:
    """The loss of every step of a copy of the model."""
    plan = plan_of(batches, steps)
    plan.precision = precision
    return train(deepcopy(model).to(device), plan).losses


def apart(first: list[float], second: list[float]) -> float:
    """Mean distance of the losses in the second half of two runs, nats."""
    half = len(first) // 2
    return fmean(abs(one - other) for one, other in zip(first[half:], second[half:], strict=True))


@pytest.mark.parametrize("source", SOURCES)
def test_in_single_precision_the_losses_are_those_of_plain_steps(
    tiny_model, tiny_questions: Items, device, take: Take, exact_attention, source: str
) -> None:
    batches, losses = sources(tiny_questions)[source], []
    for fast in (False, True):
        take(fast)
        losses.append(learned(tiny_model, device, batches, STEPS[device.type]))
    plain, packed = losses
    assert plain[-1] < plain[0]
    assert packed[:20] == pytest.approx(plain[:20], abs=1e-4)
    assert packed == pytest.approx(plain, rel=1e-2), "rounding, over many steps"


@pytest.mark.long
@pytest.mark.parametrize("source", SOURCES)
def test_in_half_precision_they_are_within_the_noise_of_seeds(tiny_model, tiny_questions: Items, device, take: Take, source: str) -> None:
    """The noise: how far apart two plain runs are whose first weights were drawn with other seeds, on the same batches."""
    batches, steps = sources(tiny_questions)[source], HALF_STEPS[device.type]
    other = build_model(sections.model(initializer_range=0.2), tiny_model.config.vocab_size, seed=1)
    take(fast=False)
    plain, of_another_seed = (learned(model, device, batches, steps, "bf16") for model in (tiny_model, other))
    take(fast=True, compiled=device.type == "cuda")
    packed = learned(tiny_model, device, batches, steps, "bf16")
    noise, distance = apart(plain, of_another_seed), apart(plain, packed)
    assert distance < noise / 2, f"{distance:.4f} nats apart, seeds are {noise:.4f}"
    bias = fmean(packed[steps // 2 :]) - fmean(plain[steps // 2 :])
    assert abs(bias) < 0.02 * plain[-1], f"by {bias:+.4f} nats on average"


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_other_families_learn_the_same_by_fast_steps(tiny_questions: Items, device, take: Take, family: str) -> None:
    """GPT-NeoX is in the tests above. Llama's model has fewer key heads than heads of queries."""
    model, batches = family_model(family, int(tiny_questions.ids.max()) + 1), Streams(within=True)
    take(fast=False)
    plain = learned(model, device, batches, 20, "bf16")
    take(fast=True, compiled=device.type == "cuda")
    assert learned(model, device, batches, 20, "bf16") == pytest.approx(plain, rel=0.03)


class Growing(Batches):
    """From step 10 on, batches of another shape."""

    def __init__(self, questions: Items) -> None:
        self.questions = questions

    def batch(self, step: int) -> Batch:
        return question_batch(self.questions, (torch.arange(6 if step < 10 else 40) + step).numpy())


@pytest.mark.parametrize("device", [pytest.param(torch.device("cuda"), marks=on_gpu)])
def test_a_recorded_graph_trains_as_steps_that_are_not_recorded(
    tiny_model, tiny_questions: Items, device, take: Take, exact_attention, monkeypatch
) -> None:
    """Recorded anew when the shape of a batch changes, and its memory is its own. A pretended graph: tests/training/test_step.py."""
    replays, replay = [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replays.append(graph), replay(graph))[1])
    losses = {}
    for recorded in (False, True):
        take(fast=True, recorded=recorded)
        losses[recorded] = learned(tiny_model, device, Growing(tiny_questions), 30)
        assert bool(replays) == recorded
    assert len(set(map(id, replays))) == 2
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)


@pytest.mark.parametrize("device", [pytest.param(torch.device("cuda"), marks=on_gpu)])
def test_jobs_in_half_precision_take_the_recorded_step(tiny_model, tiny_questions: Items, device) -> None:
    model, batches = tiny_model.to(device), sources(tiny_questions)["questions"]
    made = [
        build_step(model, list(model.named_parameters()), batches, sections.optimizer(learning_rate=1e-3), precision, Hooks())
        for precision in ("bf16", "float32")
    ]
    assert isinstance(made[0], FastStep) and made[0].recorded
    assert not isinstance(made[1], FastStep)


def test_a_terminated_job_goes_on_to_the_same_weights(
    tiny_model, tiny_questions: Items, device, take: Take, exact_attention, tmp_path: Path
) -> None:
    """On the CPU exactly; on a GPU up to the order in which it adds."""

    def terminate_once(number: int) -> None:
        if number == 8 and not (tmp_path / "sent").exists():
            (tmp_path / "sent").touch()
            os.kill(os.getpid(), signal.SIGTERM)

    def trained(evaluate=lambda number: None, scratch: Scratch | None = None) -> dict[str, Tensor]:
        model = deepcopy(tiny_model).to(device)
        train(model, plan_of(sources(tiny_questions)["questions"], 16, evaluate), scratch)
        return model.state_dict()

    take(fast=True)
    whole = trained()
    with pytest.raises(SystemExit):
        trained(terminate_once, Scratch(tmp_path / "scratch", RUN))
    resumed = trained(terminate_once, Scratch(tmp_path / "scratch", RUN))
    for name, start in tiny_model.state_dict().items():
        moved = (whole[name].cpu() - start).abs().max()
        assert (resumed[name] - whole[name]).abs().max() <= (0 if device.type == "cpu" else moved / 20), name
