"""The whole configuration of a study: one strict model, read by the Snakefile.

`StudyConfig` is what `config/*.yaml` must look like; its parts are in `sections.py`, the methods in `arms.py`. A job never
sees all of it: `plan.py` says what each depends on, so that a changed key invalidates exactly the stages that read it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from forgetting.config.arms import AnyArm, check_name
from forgetting.config.biography import Data
from forgetting.config.checks import problems
from forgetting.config.fields import ConfigError, Count, Positive, Precision, Strict, one_line_each
from forgetting.config.sections import (
    Architectures,
    Comparison,
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


class StudyConfig(Strict):
    scale: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = Field(
        description="name of the scale: lower-case letters, digits, `-`. Results go to `results/<scale>`"
    )
    beside: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = Field(
        description="another scale, finished before, beside whose Task 1 runs `fig_blank_names` shows those of this one; `null`: there is "
        "no such figure *(how, not what)*"
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)] = Field(
        description="a complete study for each; figures show intervals over seeds when there are several"
    )
    tables_only: bool = Field(
        default=False,
        exclude=True,  # of one call, so no file of results records it
        description="`true`: take the tables in `results/` as they are and compute nothing of a seed but what is drawn from them, see "
        "[docs/what-reruns.md](../docs/what-reruns.md#results-on-another-machine) *(how, not what)*. For the command line: "
        "`--config tables_only=true`",
    )
    gates: Literal["stop", "warn"] = Field(
        description="`stop`: a gate that fails stops the study with its numbers and advice; `warn`: it is only reported"
    )
    precision: Precision = Field(
        description="arithmetic of the forward and backward pass: `float32` or `bf16` (autocast). Weights and optimizer are float32 in both"
    )
    threads: Threads
    gpus_per_job: Literal[0, 1] = Field(
        description="GPUs that a training, recovery or view job asks the cluster for *(how, not what)*. A job uses CUDA whenever it sees "
        "a device"
    )
    gpus_for_pretraining: Count | None = Field(
        description="GPUs of the one job that pretrains, which share each batch; must divide `pretrain.batch_size`; any number needs "
        "`gpus_per_job: 1` *(how, not what)*. `null`: as `gpus_per_job`. See "
        "[docs/cluster.md](../docs/cluster.md#one-pretraining-on-several-gpus)"
    )
    jobs_per_gpu: Count = Field(
        description="how many jobs may share one of several GPUs that no scheduler assigns, see [docs/cluster.md](../docs/cluster.md) "
        "*(how, not what)*"
    )
    operations_per_second: Positive = Field(
        description="floating-point operations a second of one CPU thread or, with `gpus_per_job: 1`, of the GPU *(how, not what)*. "
        "Decides how much time a job asks a cluster for, and what `snakemake cost` forecasts ([docs/cost.md](../docs/cost.md))"
    )
    data: Data
    tokenizer: Tokenizer
    model: Model
    pretrain: Pretrain
    task0: Task0
    task1: Task1
    recovery: Recovery
    storage: Storage
    evaluation: Evaluation
    views: Views
    gate_thresholds: GateThresholds
    arms: Annotated[list[str], Field(min_length=1)] = Field(
        description="arms of Task 1 (entries of `methods`) in `all`; must contain `seq`"
    )
    learning_rate_arms: list[str] = Field(description="further arms, which form the learning-rate axis together with `seq`")
    comparison: Comparison
    architectures: Architectures
    methods: dict[str, AnyArm] = Field(description="the knobs of each arm by its name, see `methods.yaml` below")

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
        """Whether recovery curves or views need all checkpoints of an arm; of the others only the points early, matched and end are
        kept."""
        return arm in {*self.recovery.curve_arms, *self.views.arms}

    def probe(self, arm: str) -> Literal["curve", "long", "short"]:
        """How the arm is recovered, see `Recovery`."""
        if arm in self.recovery.curve_arms:
            return "curve"
        return "long" if arm in self.recovery.arms else "short"


def load_study(config: dict[str, Any]) -> StudyConfig:
    """Validate a merged config. Raises ConfigError with one line for each offending key."""
    try:
        return StudyConfig.model_validate(config)
    except ValidationError as error:
        raise ConfigError("bad config:\n" + one_line_each(error)) from None
