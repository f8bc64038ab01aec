"""The training loop that every stage shares."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from forgetting.config.sections import Optimizer, Schedule
from forgetting.errors import StudyError
from forgetting.failures import when_out_of_memory
from forgetting.training.accounting import Meter, Needs
from forgetting.training.batches import Batches
from forgetting.training.distributed import ALONE, World
from forgetting.training.feed import made_ahead
from forgetting.training.finite import Finite
from forgetting.training.moments import carry_moments, save_moments
from forgetting.training.optimizer import learning_rate_factor
from forgetting.training.resume import Preemption, Scratch
from forgetting.training.step import Hooks, build_step

SECONDS_BETWEEN_STATES = float(os.environ.get("FORGETTING_SECONDS_BETWEEN_STATES", 120))
"""Of the environment and not of the config, as no result depends on it."""
SECONDS_BETWEEN_LINES = 10
LOSSES = 100
"""At how many steps, about, the loss of a run is kept: by the step, as what is measured may not depend on the clock."""


class TrainingError(StudyError):
    """Training that cannot go on; the message says at which step and why."""


@dataclass
class Plan:
    """What one training job does.

    At every step of `evaluate_at` (0 = before the first update), `evaluate(step)` returns rows that are added to the history; it may
    read and save the model but not change it. The schedule ends after `schedule_steps` (default: all), and its last learning rate is
    kept from there. `carried`, with a file that `save_moments` wrote, lets AdamW begin with the state in it, and the last state of this
    job is written to `kept`; each is None for neither.
    """

    steps: int
    batches: Batches
    optimizer: Optimizer
    schedule: Schedule
    evaluate_at: frozenset[int]
    evaluate: Callable[[int], Any]
    precision: str = "float32"
    hooks: Hooks = field(default_factory=Hooks)
    schedule_steps: int | None = None
    carried: Path | None = None
    kept: Path | None = None


@dataclass
class History:
    """What a job has measured so far, as plain values that a saved state can hold. seconds: of training, evaluation excluded. tokens:
    without padding. rows: sequences. usage: what a Meter counts."""

    evaluations: dict[str, Any] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0
    rows: int = 0
    usage: dict[str, float] = field(default_factory=dict)


def freeze(model: nn.Module, trainable: Callable[[str], bool]) -> list[tuple[str, nn.Parameter]]:
    """Switch gradients of the other parameters off and return the trainable ones with their names."""
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable(name))
        if parameter.requires_grad:
            chosen.append((name, parameter))
    return chosen


def train(model: PreTrainedModel, plan: Plan, scratch: Scratch | None = None, world: World = ALONE) -> History:
    """Run `plan` on `model` in place, resuming from `scratch` when it holds a state; without one, nothing is saved and nothing printed.

    The result is the same whether or not the job was interrupted, and up to rounding for any number of processes in `world`, of which the
    leader alone has the evaluations. Raises TrainingError when the loss is no longer finite; no state is saved after that.
    """
    batches = world.share(plan.batches)
    parameters = freeze(model, plan.hooks.trainable)
    step_once = build_step(model, parameters, batches, plan.optimizer, plan.precision, plan.hooks)
    step_once.spread_over(world)
    optimizer, history, first = step_once.optimizer, History(), 0
    if plan.carried:
        carry_moments(parameters, optimizer, plan.carried)
    with world.leader_first():
        if scratch and (saved := scratch.load(model, optimizer)):
            first, history = saved[0], History(**saved[1])
            print(f"resuming at step {first}", flush=True)
    checked = first
    meter = Meter(model, plan.precision, history.usage, world.count)
    preemption, clock = Preemption(active=scratch is not None), _Clock(plan.steps, first, history.tokens)

    def prepare(step: int) -> tuple[Any, Needs, int]:
        batch = batches.batch(step)
        prepared = step_once.prepare(batch)
        return prepared, meter.needs(batch, prepared.ids.numel()), world.count * len(batch.ids)

    prepared = made_ahead(prepare, range(first, plan.steps), step_once.ahead)
    model.train()
    for step in range(first, plan.steps + 1):
        if step in plan.evaluate_at and str(step) not in history.evaluations and not preemption.requested:
            _require(step_once.finite, checked, step)
            meter.wait()
            started, checked = time.perf_counter(), step
            model.eval()
            memory = when_out_of_memory(f"the evaluation at step {step}", "evaluation.batch_size")
            with preemption.breakable(), memory, step_once.evaluating():
                history.evaluations[str(step)] = plan.evaluate(step) if world.leads else None
            model.train()
            clock.exclude(time.perf_counter() - started)
        ending = world.ending(preemption.requested)
        if scratch and (ending or clock.state_is_due()):
            history.seconds += meter.read(clock.seconds_since_state())
            _require(step_once.finite, checked, step)
            checked = step
            if world.leads:
                scratch.save(step, model, optimizer, vars(history))
            if ending:
                world.agree(0)  # the state is there before any process ends
                preemption.leave(step, ending)
        if step == plan.steps:
            _require(step_once.finite, checked, step)
            break
        factor = learning_rate_factor(plan.schedule, step, plan.schedule_steps or plan.steps)
        with when_out_of_memory(f"step {step + 1}", "the batch_size of this stage"):
            batch, needs, rows = next(prepared)
            loss = step_once(batch, factor)
        history.tokens += meter.count(needs)
        history.rows += rows
        keep_loss = step + 1 in plan.evaluate_at or (step + 1) % max(1, plan.steps // LOSSES) == 0
        if keep_loss or clock.line_is_due():
            value = (world.mean(loss) if keep_loss else loss).item()  # a line between these tells that of the leader's rows
            if not math.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {step + 1}: lower the learning rate")
            if keep_loss:
                history.steps.append(step + 1)
                history.losses.append(value)
                history.learning_rates.append(factor * plan.optimizer.learning_rate)
            if scratch:
                clock.line(step + 1, value, history.tokens)
    meter.wait()
    history.seconds += meter.read(clock.seconds_since_state())
    preemption.release()
    model.eval()
    if plan.kept and world.leads:
        save_moments(parameters, optimizer, plan.kept)
    return history


def _require(finite: Finite, since: int, step: int) -> None:
    if not finite.so_far():
        raise TrainingError(f"the loss or its gradient was not finite after step {since} and by step {step}: lower the learning rate")


class _Clock:
    """When to print a line and when to save a state; time spent in evaluation is kept apart."""

    def __init__(self, steps: int, first: int, tokens: int) -> None:
        now = time.perf_counter()
        self.steps, self.first = steps, first
        self.start = self.last_line = self.last_state = self.last_count = now
        self.excluded = 0.0
        self.tokens_at_line = tokens

    def exclude(self, seconds: float) -> None:
        self.excluded += seconds

    def state_is_due(self) -> bool:
        return time.perf_counter() - self.last_state > SECONDS_BETWEEN_STATES

    def seconds_since_state(self) -> float:
        """Training seconds since the last call, evaluation not counted."""
        now = time.perf_counter()
        seconds = now - self.last_count - self.excluded
        self.last_count = self.last_state = now
        self.excluded = 0.0
        return seconds

    def line_is_due(self) -> bool:
        return time.perf_counter() - self.last_line > SECONDS_BETWEEN_LINES

    def line(self, step: int, loss: float, tokens: int) -> None:
        now = time.perf_counter()
        if now - self.last_line < SECONDS_BETWEEN_LINES and step != self.steps:
            return
        rate = (tokens - self.tokens_at_line) / (now - self.last_line)
        left = (now - self.start) / max(1, step - self.first) * (self.steps - step)
        print(f"step {step}/{self.steps}  loss {loss:.4f}  {rate:,.0f} tokens/s  {left:.0f} s left", flush=True)
        self.last_line, self.tokens_at_line = now, tokens
