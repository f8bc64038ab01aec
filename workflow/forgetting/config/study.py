"""The whole configuration of a study: one strict model, read by the Snakefile.

`StudyConfig` is what `config/*.yaml` must look like; its parts are in `sections.py`, the methods in `arms.py`. A job never sees
all of it: `StudyConfig.run` cuts out what one stage depends on (`run.Run`), so that a changed key invalidates exactly the stages that
read it.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from forgetting.config.arms import AnyArm, check_name
from forgetting.config.checks import problems
from forgetting.config.fields import Count, Positive, Strict
from forgetting.config.job import ConfigError, one_line_each
from forgetting.config.sections import (
    ATTRIBUTES,
    Comparison,
    Data,
    Evaluation,
    GateThresholds,
    Model,
    Pretrain,
    Recovery,
    Storage,
    Task0,
    Task1,
    Threads,
    Tokenizer,
    Views,
)

VIEW_KEYS: dict[str, tuple[str, ...]] = {
    "landscape": ("landscape",),
    "weights": ("energy", "principal_rank"),
    "features": ("components",),
    "theory": ("components",),
    "positions": (),
    "gradients": (),
    "common_shift": (),
}
"""The keys of `views` that each view depends on."""


class StudyConfig(Strict):
    scale: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    beside: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field([0], min_length=1)
    gates: Literal["stop", "warn"] = "stop"
    precision: Literal["float32", "bf16"] = "float32"
    threads: Threads = Threads()
    gpus_per_job: Literal[0, 1] = 0
    gpus_for_pretraining: Count | None = None
    jobs_per_gpu: Count = 1
    operations_per_second: Positive = 1.5e11
    data: Data = Data()
    tokenizer: Tokenizer = Tokenizer()
    model: Model = Model()
    pretrain: Pretrain
    task0: Task0
    task1: Task1
    recovery: Recovery
    storage: Storage = Storage()
    evaluation: Evaluation = Evaluation()
    views: Views
    gate_thresholds: GateThresholds = GateThresholds()
    arms: Annotated[list[str], Field(min_length=1)]
    learning_rate_arms: list[str] = Field([])
    comparison: Comparison
    methods: dict[str, AnyArm]

    @model_validator(mode="after")
    def _lists_are_consistent(self) -> StudyConfig:
        lists: dict[str, list[Any]] = {
            "seeds": self.seeds,
            "arms": self.arms,
            "learning_rate_arms": self.learning_rate_arms,
            "views.arms": self.views.arms,
        }
        recovery = self.recovery
        subsets = {"recovery.curve_arms": recovery.curve_arms, "recovery.control_arms": recovery.control_arms}
        lists |= {"recovery.arms": recovery.arms} | subsets
        for key, values in (lists | {"comparison.families": self.compared_arms}).items():
            if len(set(values)) != len(values):
                raise ValueError(f"{key} has a value twice: {values}")
            if unknown := [name for name in values if key != "seeds" and name not in self.methods]:
                raise ValueError(f"{key} names {unknown[0]!r}, which is not an entry of config/methods.yaml")
        if "seq" not in self.arms:
            raise ValueError("arms must contain 'seq', which every other arm is compared with")
        if self.comparison.families.get("seq") != ["seq"]:
            raise ValueError("comparison.families must have the family seq: [seq], which every other one is compared with")
        if "seq" not in self.recovery.curve_arms:
            raise ValueError("recovery.curve_arms must contain 'seq', which the gates are checked on")
        for key, names in (("recovery.arms", self.recovery.arms), ("views.arms", self.views.arms)):
            for name in names:
                if name not in self.every_arm:
                    raise ValueError(f"{key} names {name!r}, which is in none of arms, learning_rate_arms and comparison.families")
        for key, names in subsets.items():
            for name in names:
                if name not in recovery.arms:
                    raise ValueError(f"{key} names {name!r}, which is not in recovery.arms")
        return self

    @model_validator(mode="after")
    def _arms_exist_and_fit(self) -> StudyConfig:
        for name in self.every_arm:
            check_name(name, self.methods[name])
        if self.methods["seq"].model_dump(exclude_defaults=True) != {"method": "seq"}:
            raise ValueError("arm 'seq' must be {method: seq} and nothing else: its rate and length are those of task1")
        for name in self.task_vector_arms:
            if self.keeps_every_checkpoint(name):
                raise ValueError(f"{name!r} is not trained, so it can be neither in recovery.curve_arms nor in views.arms")
        return self

    @model_validator(mode="after")
    def _can_be_run(self) -> StudyConfig:
        if problem := next(problems(self), None):
            raise ValueError(problem)
        return self

    @property
    def pretraining_gpus(self) -> int:
        """GPUs of the one job that pretrains."""
        return self.gpus_per_job if self.gpus_for_pretraining is None else self.gpus_for_pretraining

    @property
    def compared_arms(self) -> list[str]:
        """The arms of the full comparison, family by family."""
        return [name for names in self.comparison.families.values() for name in names]

    @property
    def every_arm(self) -> list[str]:
        """All Task 1 runs of one seed, each once, in the order of the config."""
        return list(dict.fromkeys([*self.arms, *self.learning_rate_arms, *self.compared_arms]))

    @property
    def task_vector_arms(self) -> list[str]:
        return [name for name in self.every_arm if not self.methods[name].trained]

    def keeps_every_checkpoint(self, arm: str) -> bool:
        """Whether recovery curves or views need all checkpoints of an arm; of the others only step 150, the match and the end are kept."""
        return arm in {*self.recovery.curve_arms, *self.views.arms}

    def probe(self, arm: str) -> str:
        """How the arm is recovered, see `Recovery`."""
        if arm in self.recovery.curve_arms:
            return "curve"
        return "long" if arm in self.recovery.arms or arm == "controls" else "short"

    def run(self, stage: str, seed: int, arm: str | None = None, view: str | None = None) -> dict[str, Any]:
        """The slice of the config that the result of one stage depends on, as plain JSON values. `arm` names one of Task 1; for `task0`,
        an arm of LAMOL, which has its own. `view`: one of VIEW_KEYS, for stage `views`."""
        sections = {
            "data": ("data", "tokenizer"),
            "pretrain": ("data", "model", "pretrain", "evaluation", "precision"),
            "task0": ("task0", "evaluation", "precision"),
            "task1": ("task1", "evaluation", "precision"),
            "recovery": ("recovery", "evaluation", "precision"),
            "views": ("views", "evaluation"),
            "fisher": (),
            "drift": ("evaluation",),
            "gates": ("gates", "gate_thresholds"),
        }[stage]
        whole = self.model_dump(mode="json")
        slice_: dict[str, Any] = {"scale": self.scale, "seed": seed, "stage": stage} | {key: whole[key] for key in sections}
        if stage == "views":
            assert view is not None
            slice_["views"] = {key: whole["views"][key] for key in VIEW_KEYS[view]}
        if stage == "recovery":
            assert arm is not None
            for key in ("arms", "curve_arms", "control_arms"):
                del slice_["recovery"][key]
            slice_["recovery"] |= {"probe": self.probe(arm), "controls": arm in self.recovery.control_arms}
        if stage in ("task1", "recovery"):
            # Only what differs from the default, and where it does: other studies and arms stay as they were.
            assert arm is not None
            dense = stage == "task1" and self.keeps_every_checkpoint(arm)
            changed = self.storage.model_dump(exclude_defaults=True, exclude=None if dense else {"early_checkpoints"})
            slice_ |= {"storage": changed} if changed else {}
        if stage == "pretrain":
            del slice_["evaluation"]["persons_per_group"]
        if stage == "gates":
            slice_["task1_epoch_steps"] = ceil(len(ATTRIBUTES) * self.data.groups.task1 / self.task1.batch_size)
        if arm is None:
            return slice_
        if stage == "task0":
            return slice_ | {"language_loss": self.methods[arm].task0_language_loss}
        if stage == "task1":
            # What the arm says and no default: a knob that is new, or another's, changes no job but those that turn it.
            said = self.methods[arm].model_dump(mode="json", exclude_defaults=True)
            slice_ |= {"method": said, "every_checkpoint": self.keeps_every_checkpoint(arm)}
        return slice_ | {"arm": arm}


def load_study(config: dict[str, Any]) -> StudyConfig:
    """Validate a merged config. Raises ConfigError with one line for each offending key."""
    try:
        return StudyConfig.model_validate(config)
    except ValidationError as error:
        raise ConfigError("bad config:\n" + one_line_each(error)) from None
