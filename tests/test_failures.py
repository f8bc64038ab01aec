"""A GPU that runs out of memory or is lost, and a loss that is no longer a number: simulated, as the tests have no GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import Tensor

from forgetting.data.items import Items
from forgetting.failures import explain, lost_contact
from forgetting.model.checkpoints import load_weights, save_checkpoint
from forgetting.training import loop
from forgetting.training.loop import TrainingError, train
from forgetting.training.resume import STATE, Scratch
from forgetting.training.step import BatchLoss, Hooks
from tests.training.test_loop import RUN, plan_of
from tests.workflow.scripts import failing_script, run_script, smoke_config

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB.\nIf reserved memory is large ...")
LOST = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported ...")
FAILS_AT = 5


def failing_once(real: Callable[..., Tensor], error: Exception) -> Callable[..., Tensor]:
    """The function, but an error in place of one of its calls."""
    calls: list[None] = []

    def call(*arguments: Any) -> Tensor:
        calls.append(None)
        if len(calls) == FAILS_AT:
            raise error
        return real(*arguments)

    return call


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OUT_OF_MEMORY,
            "error: out of memory at step 5: lower the batch_size of this stage (CUDA out of memory. Tried to allocate 2.00 GiB.",
        ),
        (LOST, "error: the GPU failed or was lost: CUDA error: unspecified launch failure; run again to resume from the last saved state"),
    ],
    ids=["out of memory", "lost"],
)
def test_a_job_whose_gpu_fails_can_be_resumed(
    error: Exception, expected: str, tiny_data: Path, tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tiny_model, tmp_path / "model")
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0)
    flags = {"config": smoke_config(tmp_path, "task0"), "data": tiny_data, "start": tmp_path / "model"}
    run_script("task0", monkeypatch, **flags, scratch=tmp_path / "other", output=tmp_path / "undisturbed")
    flags |= {"scratch": tmp_path / "scratch", "output": tmp_path / "output"}
    with monkeypatch.context() as broken:
        broken.setattr(BatchLoss, "forward", failing_once(BatchLoss.forward, error))
        said = failing_script("task0", broken, **flags)
    assert said.startswith(expected) and "\n" not in said
    assert torch.load(tmp_path / "scratch" / STATE)["step"] == FAILS_AT - 1
    run_script("task0", monkeypatch, **flags)
    expected_weights, found = (load_weights(tmp_path / name / "model") for name in ("undisturbed", "output"))
    assert all(torch.equal(weight, found[name]) for name, weight in expected_weights.items())


def test_an_evaluation_that_does_not_fit_names_its_batch(tiny_model: Any, tiny_questions: Items) -> None:
    def evaluate(step: int) -> None:
        if step == 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError) as error:
        train(tiny_model, plan_of(tiny_questions, evaluate))
    assert explain(error.value) == "out of memory at the evaluation at step 4: lower evaluation.batch_size (CUDA out of memory.)"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "out of memory: lower evaluation.batch_size (MemoryError)"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: ..."), "out of memory: lower"),
        (
            torch.AcceleratorError("CUDA error: out of memory\nmore"),
            "out of memory: lower evaluation.batch_size (CUDA error: out of memory)",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "the GPU failed or was lost: cuDNN error"),
        (RuntimeError("No CUDA-capable device is detected"), "the GPU failed or was lost: No CUDA"),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_errors_of_the_machine_are_told_from_those_of_the_code(error: Exception, expected: str | None) -> None:
    said = explain(error)
    assert said is None if expected is None else said is not None and said.startswith(expected)


def test_what_cannot_be_compiled_need_not_be() -> None:
    no_compiler = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    with no_compiler, pytest.raises(RuntimeError) as error:
        torch.compile(lambda values: values.sin() + 1)(torch.ones(3))
    said = explain(error.value)
    assert said is not None and said.startswith("the training step could not be compiled: ") and "FORGETTING_PLAIN_STEPS=1" in said
    assert "ompiler" in said.split(";")[0].removeprefix("the training step could not be compiled")


def test_lost_contact_is_told_from_other_errors() -> None:
    gloo = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4831"
    assert lost_contact(RuntimeError(gloo)) and lost_contact(torch.distributed.DistBackendError("NCCL error"))
    assert not lost_contact(OUT_OF_MEMORY) and not lost_contact(LOST)


class BreakAt(Hooks):
    """Makes the gradient of one optimizer step not a number; the loss of that step is one."""

    def __init__(self, step: int) -> None:
        self.step, self.calls = step, 0

    def on_loss(self, loss: Tensor) -> Tensor:
        self.calls += 1
        return loss * float("nan") if self.calls == self.step else loss


@pytest.mark.parametrize(
    ("breaks_at", "evaluate_at", "seconds_between_states", "said"),
    [
        (6, {0}, 0, "after step 5 and by step 6"),
        (8, {0, 4, 8}, 999, "after step 4 and by step 8"),
        (12, {0}, 999, "after step 0 and by step 12"),
    ],
    ids=["state", "evaluation", "end"],
)
def test_nothing_is_saved_after_a_loss_that_is_not_finite(
    breaks_at: int,
    evaluate_at: set[int],
    seconds_between_states: int,
    said: str,
    tiny_model: Any,
    tiny_questions: Items,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loss of the step does not show it, and that of the next comes too late."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", seconds_between_states)
    evaluated: list[int] = []
    plan = plan_of(tiny_questions, evaluated.append)
    plan.evaluate_at, plan.hooks = frozenset(evaluate_at), BreakAt(breaks_at)
    scratch = Scratch(tmp_path, RUN)
    with pytest.raises(TrainingError, match=f"not finite {said}: lower the learning rate"):
        train(tiny_model, plan, scratch)
    assert breaks_at not in evaluated
    assert not all(weight.isfinite().all() for weight in tiny_model.state_dict().values())
    if seconds_between_states == 0:
        state = torch.load(tmp_path / STATE)
        assert state["step"] == breaks_at - 1 and all(weight.isfinite().all() for weight in state["model"].values())
    else:
        assert not (tmp_path / STATE).exists()
