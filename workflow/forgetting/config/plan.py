"""Which jobs a study has, and what the result of each depends on: the only place that lists them.

A changed key of the config makes exactly those jobs run again whose classes in `config/jobs/` have it. The Snakefile alone imports
this: a job imports its own class, so that the knobs of all methods are no concern of one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import ceil

from forgetting.config.jobs.base import Job
from forgetting.config.jobs.data import DataJob
from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.jobs.gates import GatesJob
from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.config.jobs.task0 import LamolTask0Job, Task0Job
from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.config.jobs.views.base import ViewJob
from forgetting.config.jobs.views.gradients import GradientsJob
from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.config.jobs.views.shared import DriftJob, FisherJob
from forgetting.config.jobs.views.states import StatesJob
from forgetting.config.jobs.views.weights import WeightsJob
from forgetting.config.sections import RecoveryTraining
from forgetting.config.study import StudyConfig

CONTROLS = "controls"
"""Stands for an arm where recovery starts from models that never had Task 0."""
ALONE = "alone"
"""Stands for an arm where a later task is learned straight after Task 0, without those between."""


def data_job(study: StudyConfig, seed: int) -> DataJob:
    return DataJob(scale=study.scale, seed=seed, data=study.data, tokenizer=study.tokenizer)


def pretrain_job(study: StudyConfig, seed: int) -> PretrainJob:
    return PretrainJob(
        scale=study.scale,
        seed=seed,
        data=study.data,
        model=study.model,
        pretrain=study.pretrain,
        evaluation_batch_size=study.evaluation.batch_size,
        precision=study.precision,
    )


def task0_job(study: StudyConfig, seed: int) -> Task0Job:
    return Task0Job(scale=study.scale, seed=seed, task0=study.task0, evaluation=study.evaluation, precision=study.precision)


def lamol_task0_job(study: StudyConfig, seed: int, language_loss: float) -> LamolTask0Job:
    return LamolTask0Job(
        scale=study.scale,
        seed=seed,
        task0=study.task0,
        evaluation=study.evaluation,
        precision=study.precision,
        language_loss=language_loss,
    )


def finetune_job(study: StudyConfig, seed: int, task: str, arm: str) -> FinetuneJob:
    """Of the method, what the arm says and no default: a knob that is new, or another's, changes no job but those that turn it.

    The arm ALONE is plain fine-tuning on that task and no other.
    """
    alone = arm == ALONE
    return FinetuneJob(
        stage=task,
        tasks=(task,) if alone else study.tasks_of(arm),
        scale=study.scale,
        seed=seed,
        arm=arm,
        method=study.methods["seq" if alone else arm].model_dump(mode="json", exclude_defaults=True),
        task1=study.task1,
        evaluation=study.evaluation,
        precision=study.precision,
        every_checkpoint=task == study.tasks[0] and study.keeps_every_checkpoint(arm),
        checkpoint_precision=study.storage.checkpoint_precision,
    )


def sequence_recovery_job(study: StudyConfig, seed: int, arm: str, task: str | None = None) -> SequenceRecoveryJob:
    """Recovery of all earlier tasks from the end of a task; without one, of all tasks from models that learned none."""
    training = {name: getattr(study.recovery, name) for name in RecoveryTraining.model_fields}
    return SequenceRecoveryJob(
        scale=study.scale,
        seed=seed,
        arm=arm,
        learned=task,
        tasks=tuple(study.tasks[: -1 if task is None else study.tasks.index(task)]),
        recovery=RecoveryTraining(**training),
        evaluation=study.evaluation,
        precision=study.precision,
        checkpoint_precision=study.storage.checkpoint_precision,
    )


def recovery_job(study: StudyConfig, seed: int, arm: str) -> RecoveryJob:
    """Of the lists of arms, only where this one stands: another in a list changes no job of this one."""
    training = {name: getattr(study.recovery, name) for name in RecoveryTraining.model_fields}
    return RecoveryJob(
        scale=study.scale,
        seed=seed,
        arm=arm,
        recovery=RecoveryTraining(**training),
        probe="long" if arm == CONTROLS else study.probe(arm),
        controls=arm in study.recovery.control_arms,
        evaluation=study.evaluation,
        precision=study.precision,
        checkpoint_precision=study.storage.checkpoint_precision,
    )


def gates_job(study: StudyConfig, seed: int) -> GatesJob:
    return GatesJob(
        scale=study.scale,
        seed=seed,
        gates=study.gates,
        gate_thresholds=study.gate_thresholds,
        task1_epoch_steps=ceil(study.data.items("task1") / study.task1.batch_size),
        biographies_read=study.model.reads_biographies,
    )


def landscape_job(study: StudyConfig, seed: int, arm: str) -> LandscapeJob:
    units = study.evaluation.units_per_split
    return LandscapeJob(scale=study.scale, seed=seed, arm=arm, landscape=study.views.landscape, units_per_split=units)


def weights_job(study: StudyConfig, seed: int, arm: str) -> WeightsJob:
    views = study.views
    return WeightsJob(scale=study.scale, seed=seed, arm=arm, energy=views.energy, principal_rank=views.principal_rank)


def states_job(study: StudyConfig, seed: int, arm: str) -> StatesJob:
    batch_size, components = study.evaluation.batch_size, study.views.components
    return StatesJob(scale=study.scale, seed=seed, arm=arm, components=components, evaluation_batch_size=batch_size)


def gradients_job(study: StudyConfig, seed: int, arm: str) -> GradientsJob:
    return GradientsJob(scale=study.scale, seed=seed, arm=arm, evaluation_batch_size=study.evaluation.batch_size)


def answers_job(study: StudyConfig, seed: int, arm: str) -> AnswersJob:
    return AnswersJob(scale=study.scale, seed=seed, arm=arm, evaluation=study.evaluation)


def fisher_job(study: StudyConfig, seed: int) -> FisherJob:
    return FisherJob(scale=study.scale, seed=seed)


def drift_job(study: StudyConfig, seed: int) -> DriftJob:
    return DriftJob(scale=study.scale, seed=seed, evaluation=study.evaluation)


OF_SEED: dict[str, Callable[[StudyConfig, int], Job]] = {
    "data": data_job,
    "pretrain": pretrain_job,
    "task0": task0_job,
    "gates": gates_job,
    "fisher": fisher_job,
    "drift": drift_job,
}
"""Jobs of a seed, by the folder of their results."""

VIEWS: dict[str, Callable[[StudyConfig, int, str], ViewJob]] = {
    "landscape": landscape_job,
    "weights": weights_job,
    "features": states_job,
    "theory": states_job,
    "positions": answers_job,
    "gradients": gradients_job,
    "graft": answers_job,
    "common_shift": answers_job,
}
"""Views of an arm, by their names."""


def jobs(study: StudyConfig, seed: int) -> dict[str, Job]:
    """Every job of a seed, by the path of its config file within the folder of the seed, without `.json`."""
    found: dict[str, Job] = {f"{folder}/config": make(study, seed) for folder, make in OF_SEED.items()}
    found[f"recovery/{CONTROLS}/config"] = recovery_job(study, seed, CONTROLS)
    for arm in study.every_arm:
        found |= {f"{task}/{arm}/config": finetune_job(study, seed, task, arm) for task in study.tasks_of(arm)}
        found[f"recovery/{arm}/config"] = recovery_job(study, seed, arm)
        found |= {f"views/{arm}/{view}": make(study, seed, arm) for view, make in VIEWS.items()}
        weight = study.methods[arm].task0_language_loss
        if weight is not None:
            found[f"task0-lamol/{weight:g}/config"] = lamol_task0_job(study, seed, weight)
    return found | _of_sequence(study, seed)


def _of_sequence(study: StudyConfig, seed: int) -> dict[str, Job]:
    """What a study of several tasks has beside."""
    if not study.later_tasks:
        return {}
    found: dict[str, Job] = {f"{task}/{ALONE}/config": finetune_job(study, seed, task, ALONE) for task in study.later_tasks}
    found[f"sequence/{CONTROLS}/config"] = sequence_recovery_job(study, seed, CONTROLS)
    for arm, task in product(study.arms, study.tasks):
        found[f"sequence/{task}/{arm}/config"] = sequence_recovery_job(study, seed, arm, task)
    return found
