"""How a Task 1 run is trained, and at which of its steps something happens: its end, its checkpoints, its evaluations."""

from __future__ import annotations

from typing import Any

from forgetting.config.knobs import Arm
from forgetting.config.sections import Task1
from forgetting.data.points import EARLY_STEP


def arm_steps(task1: Task1, arm: Arm) -> int:
    """Optimizer steps of a Task 1 run."""
    return max(1, round(arm.length * task1.steps))


def arm_training(task1: Task1, arm: Arm) -> Task1:
    """`task1` with what the arm says in place of it; its steps stay, as the schedule is that of all arms."""
    rates = {"learning_rate": arm.learning_rate, "weight_decay": arm.weight_decay, "kind": arm.optimizer}
    parts: dict[str, Any] = {
        "optimizer": task1.optimizer.model_copy(update=_said(rates)),
        "schedule": task1.schedule.model_copy(update=_said({"warmup_steps": arm.warmup_steps})),
    }
    return task1.model_copy(update=parts | _said({"batch_size": arm.batch_size}))


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def checkpoint_steps(task1: Task1, steps: int, every: bool = True) -> list[int]:
    """Steps of a Task 1 run of length `steps` at which weights are kept, ascending; step 0 is the model after Task 0.

    With `every`: every `every`-th step of each stride; the early one, which views and gates refer to; `later_checkpoints` more, evenly
    spaced between the last stride and the end; the end. Without: the early one and the end.
    """
    kept, start = {EARLY_STEP, steps}, 0
    for until, stride in task1.checkpoints if every else ():
        kept.update(range(start + stride, until + 1, stride))
        start = until
    for index in range(1, task1.later_checkpoints + 1) if every else ():
        kept.add(start + round(index * (steps - start) / task1.later_checkpoints))
    return sorted(step for step in kept if 0 < step <= steps)


def evaluation_steps(task1: Task1, steps: int) -> list[int]:
    """Steps of a Task 1 run of length `steps` at which it is evaluated: 0, every stride, then every `evaluate_later`, and every
    step at which an arm may keep a checkpoint."""
    found, start = {0, *checkpoint_steps(task1, steps)}, 0
    for until, every in [*task1.evaluate, (steps, task1.evaluate_later)]:
        found.update(range(start, until + 1, every))
        start = until
    return sorted(step for step in found if step <= steps)
