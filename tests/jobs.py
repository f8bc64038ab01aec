"""Jobs of a tiny study, for tests that say only what matters to them."""

from __future__ import annotations

from typing import Any

from forgetting.config.jobs.data import DataJob
from forgetting.config.jobs.finetune import FinetuneJob
from forgetting.config.jobs.pretrain import PretrainJob
from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.config.jobs.task0 import LamolTask0Job, Task0Job
from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.config.jobs.views.gradients import GradientsJob
from forgetting.config.jobs.views.landscape import LandscapeJob
from forgetting.config.jobs.views.shared import DriftJob, FisherJob
from forgetting.config.jobs.views.states import StatesJob
from forgetting.config.jobs.views.weights import WeightsJob
from forgetting.config.sections import Task0, Task1
from tests import sections

_RUN: dict[str, Any] = {"scale": "tiny", "seed": 0}
_MEASURED: dict[str, Any] = {"evaluation": sections.evaluation(), "precision": "float32"}


def data(**said: Any) -> DataJob:
    return DataJob(**_RUN | {"data": sections.data(), "tokenizer": sections.tokenizer()} | said)


def pretrain(**said: Any) -> PretrainJob:
    given = {"data": sections.data(), "model": sections.model(), "evaluation_batch_size": 16, "precision": "float32"}
    return PretrainJob(**_RUN | given | said)


def task0(config: Task0, **said: Any) -> Task0Job:
    return Task0Job(task0=config, **_RUN | _MEASURED | said)


def task1(config: Task1, method: dict[str, Any] | None = None, **said: Any) -> FinetuneJob:
    given = {"arm": "seq", "method": method or {"method": "seq"}, "every_checkpoint": True, "checkpoint_precision": "float32"}
    return FinetuneJob(task1=config, **_RUN | _MEASURED | given | said)


def recovery(**said: Any) -> RecoveryJob:
    given = {"arm": "seq", "probe": "curve", "controls": False, "checkpoint_precision": "float32"}
    return RecoveryJob(**_RUN | _MEASURED | given | said)


def answers(**said: Any) -> AnswersJob:
    return AnswersJob(**_RUN | {"arm": "seq", "evaluation": sections.evaluation(batch_size=7)} | said)


def lamol_task0(config: Task0, language_loss: float) -> LamolTask0Job:
    return LamolTask0Job(task0=config, language_loss=language_loss, **_RUN | _MEASURED)


def landscape(**said: Any) -> LandscapeJob:
    return LandscapeJob(**_RUN | {"arm": "seq", "landscape": sections.landscape(), "units_per_split": None} | said)


def weights() -> WeightsJob:
    return WeightsJob(arm="seq", energy=0.99, principal_rank=4, **_RUN)


def states() -> StatesJob:
    return StatesJob(arm="seq", components=3, evaluation_batch_size=7, **_RUN)


def drift() -> DriftJob:
    return DriftJob(arm="seq", evaluation=sections.evaluation(batch_size=7), **_RUN)


def gradients() -> GradientsJob:
    return GradientsJob(arm="seq", evaluation_batch_size=7, **_RUN)


def fisher() -> FisherJob:
    return FisherJob(**_RUN)
