"""What no study can be run with although every key by itself is right: found before any job starts, not after hours of training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from forgetting.config.sections import Stride
from forgetting.config.steps import arm_steps, arm_training, checkpoint_steps
from forgetting.data.points import EARLY_STEP

if TYPE_CHECKING:
    from forgetting.config.study import StudyConfig

ARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
RESERVED = ("controls", "alone")
"""Folders beside those of the arms."""
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


def problems(study: StudyConfig) -> Iterator[str]:
    """Each reason why the study could not be run to its end, naming the key and what to change."""
    yield from _names(study)
    yield from _tasks(study)
    yield from _model(study)
    yield from _optimizers(study)
    yield from _arms(study)
    yield from _strides("task1.evaluate", study.task1.evaluate)
    yield from _strides("task1.checkpoints", study.task1.checkpoints)
    yield from _checkpoints(study)
    yield from _recovery(study)
    yield from _gpus(study)


def _gpus(study: StudyConfig) -> Iterator[str]:
    gpus, rows = study.pretraining_gpus, study.pretrain.batch_size
    if gpus and rows % gpus:
        yield f"gpus_for_pretraining {gpus} cannot share pretrain.batch_size {rows} evenly: choose a divisor of it"
    if gpus and not study.gpus_per_job:
        yield f"gpus_for_pretraining {gpus} in a study whose jobs ask for no GPU: set gpus_per_job: 1, too"


def _names(study: StudyConfig) -> Iterator[str]:
    for name in study.every_arm:
        if not ARM_NAME.fullmatch(name) or name in RESERVED:
            yield (
                f"arm {name!r} cannot be the name of a folder: begin with a letter or digit, go on with these and . + _ -, "
                f"and do not use {', '.join(RESERVED)}"
            )
    path = study.tokenizer.path
    if study.tokenizer.kind != "word" and path is not None and not HUB_NAME.fullmatch(path) and not Path(path, "tokenizer.json").is_file():
        yield f"tokenizer.path {path!r} is not the name of a hub tokenizer, and no folder with a tokenizer.json: mend the path"


def _tasks(study: StudyConfig) -> Iterator[str]:
    tasks, known = study.tasks, study.data.task_splits
    if not tasks:
        yield "tasks is empty: name at least task1"
        return
    for name in dict.fromkeys(tasks):
        if tasks.count(name) > 1:
            yield f"tasks names {name!r} twice, and tasks may share no units: give each its own key of data.groups"
        if name not in known:
            yield (
                f"tasks names {name!r}, which is no key of data.groups that is learned after Task 0 (there: {', '.join(known)}); "
                "examples of your own are for diagnose and advise"
            )
    if tasks[0] != "task1":
        yield f"tasks begins with {tasks[0]!r}, but gates, views and the figures of `all` are of task1: name that first"
    for task in tasks[:-1] if len(tasks) > 1 else ():
        if study.data.measured_units.get(task, 2) < 2:
            yield f"data.groups.{task} has one person, but recovery of an earlier task trains on half and scores the other: raise it"
    for arm in study.arms if len(tasks) > 1 else ():
        if not study.methods[arm].trained:
            yield (
                f"arm {arm!r} is computed from the run of seq on task1 and has no training of its own to go on with: "
                "take it out of arms, or name task1 alone in tasks"
            )
        elif study.methods[arm].carried_state:
            yield f"arm {arm!r} carries the optimizer state of Task 0, but later tasks start with a fresh one: take it out of arms"


def _model(study: StudyConfig) -> Iterator[str]:
    model = study.model
    size = model.hidden_size // model.heads
    fraction = {"gpt_neox": model.rotary_fraction, "gpt2": 0.0}.get(model.architecture, 1.0)
    rotated = int(size * fraction)
    if model.source == "pretrain" and (rotated % 2 or (fraction and not rotated)):
        share = f"model.rotary_fraction {fraction:g}" if model.architecture == "gpt_neox" else "the whole"
        yield (
            f"{share} of a head of {size} (model.hidden_size / model.heads) is {rotated} "
            "dimensions: positions turn pairs, so it must be an even number of them"
        )
    if study.pretrain.sequence_length > model.max_positions:
        yield f"pretrain.sequence_length {study.pretrain.sequence_length} exceeds model.max_positions {model.max_positions}: raise that"
    for key in ("components", "principal_rank"):
        if getattr(study.views, key) > model.hidden_size:
            yield f"views.{key} {getattr(study.views, key)} is more than model.hidden_size {model.hidden_size}: lower it"


def _optimizers(study: StudyConfig) -> Iterator[str]:
    optimizers = {stage: getattr(study, stage).optimizer for stage in ("pretrain", "task0", "task1", "recovery")}
    for stage, optimizer in optimizers.items():
        for key in ("beta1", "beta2"):
            if getattr(optimizer, key) == 1:
                yield f"{stage}.optimizer.{key} is 1, with which the average would never move: choose less"
    for stage, trained in (("pretrain", study.pretrain), ("task1", study.task1)):
        if (warmup := trained.schedule.warmup_steps) >= trained.steps:
            yield f"{stage}.schedule.warmup_steps {warmup} leaves nothing of {stage}.steps {trained.steps}: shorten the warm-up"


def _arms(study: StudyConfig) -> Iterator[str]:
    for name in study.every_arm:
        arm = study.methods[name]
        if arm.warmup_steps is not None and arm.warmup_steps >= (steps := arm_steps(study.task1, arm)):
            yield f"methods.{name}.warmup_steps {arm.warmup_steps} leaves nothing of the arm's {steps} steps: shorten the warm-up"
        if arm.task1_values == "half" and not study.data.halves:
            yield f"methods.{name}.task1_values is half, but data.halves is false: set it, so that pretrained persons are of one half each"
        if arm.units is not None and arm.units > (there := study.data.measured_units["task1"]):
            yield f"methods.{name}.units {arm.units} is more than the {there} of task1: lower it, or raise data.groups.task1"
        for problem in arm.problems(study.model.layers, arm_training(study.task1, arm).batch_size):
            yield f"methods.{name} {problem}"


def _strides(key: str, strides: list[Stride]) -> Iterator[str]:
    ends = [0, *(until for until, _ in strides)]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        yield f"{key} must be [until_step, every] with rising until_step, from 1: got {[list(stride) for stride in strides]}"


def _checkpoints(study: StudyConfig) -> Iterator[str]:
    for name in dict.fromkeys([*study.recovery.curve_arms, *study.views.arms]):
        arm = study.methods[name]
        if not arm.trained:
            continue
        kept = checkpoint_steps(study.task1, arm_steps(study.task1, arm))
        if not any(step <= EARLY_STEP for step in kept[:-1]):
            yield (
                f"arm {name!r} would keep the checkpoints {kept} alone, but views and recovery curves need one by step {EARLY_STEP} "
                "and a later one: raise task1.steps or task1.later_checkpoints, or add to task1.checkpoints"
            )


def _recovery(study: StudyConfig) -> Iterator[str]:
    questions, epochs = study.data.items("task0_train"), [0.0, *sorted(study.recovery.epochs)]
    if any((later - earlier) * questions < study.recovery.batch_size for earlier, later in pairwise(epochs)):
        yield (
            f"recovery.epochs {study.recovery.epochs} must be at least one batch apart: an epoch has {questions} questions, "
            f"recovery.batch_size is {study.recovery.batch_size}"
        )
