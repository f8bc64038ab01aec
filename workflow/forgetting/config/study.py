"""The whole configuration of a study: one strict model, read by the Snakefile.

`StudyConfig` is what `config/*.yaml` must look like; its parts are in `sections.py`, the methods in `arms.py`. A job never
sees all of it: `plan.py` says what each depends on, so that a changed key invalidates exactly the stages that read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from forgetting.config.advice import Advice
from forgetting.config.arms import AnyArm, check_name
from forgetting.config.biography import Data
from forgetting.config.checks import problems
from forgetting.config.diagnosis import Diagnosis
from forgetting.config.fields import ConfigError, Count, Positive, Precision, Strict, Target, one_line_each
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
from forgetting.data.axes import tells
from forgetting.data.cells import cell_of_arm
from forgetting.data.points import NO_TASK0


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
    tasks: list[str] = Field(
        description="the tasks that each of `arms` learns after Task 0, in this order: keys of `data.groups`, `task1` first. With more "
        "than one, `snakemake sequence` follows these arms through all of them, and the others learn `task1` alone. Each task is trained "
        "as `task1` says"
    )
    arms: Annotated[list[str], Field(min_length=1)] = Field(
        description="arms of Task 1 (entries of `methods`) in `all`; must contain `seq`"
    )
    learning_rate_arms: list[str] = Field(description="further arms, which form the learning-rate axis together with `seq`")
    factors: list[str] = Field(
        default=[],
        description="arms of the crossed experiment of values and format, `snakemake factors`; see [`factors.yaml`](factors.yaml)",
    )
    axes: list[str] = Field(
        default=[],
        description="arms of `seq` with one thing changed each, beside `seq`, and floors of these without Task 0, `snakemake axes`; see "
        "[`axes.yaml`](axes.yaml)",
    )
    comparison: Comparison
    architectures: Architectures
    methods: dict[str, AnyArm] = Field(description="the knobs of each arm by its name, see `methods.yaml` below")
    diagnose: Diagnosis | None = Field(
        default=None,
        exclude=True,  # of another model than the study's, so no file of its results records it
        description="a model of your own to diagnose, see [docs/diagnose.md](../docs/diagnose.md); the study has no part in it",
    )
    advise: Advice | None = Field(
        default=None,
        exclude=True,
        description="a model of your own that is to learn something new, see [docs/advise.md](../docs/advise.md); as `diagnose`",
    )

    @model_validator(mode="after")
    def _lists_are_consistent(self) -> StudyConfig:
        lists: dict[str, list[Any]] = {
            "seeds": self.seeds,
            "arms": self.arms,
            "learning_rate_arms": self.learning_rate_arms,
            "views.arms": self.views.arms,
            "factors": self.factors,
            "axes": self.axes,
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
                    raise ValueError(
                        f"{key} names {name!r}, which is in none of arms, learning_rate_arms, factors, axes and comparison.families"
                    )
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
        for name in self.factors:
            if self.methods[name].cell != cell_of_arm(name):
                raise ValueError(
                    f"factors names {name!r}, but a name tells values and format of Task 1: such as seq-half-statement-no-task0"
                )
        for name in self.axes:
            if name != f"seq{NO_TASK0}" and not tells(name.removesuffix(NO_TASK0), self.methods[name]):
                raise ValueError(
                    f"axes names {name!r}, but a name tells what is changed: seq-units-250, seq-batch-32, seq-lr-2e-4, seq-sgd; or what "
                    f"stays, in a floor: seq{NO_TASK0}"
                )
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
        return list(dict.fromkeys([*self.arms, *self.learning_rate_arms, *self.factors, *self.axes, *self.compared_arms]))

    @property
    def cells(self) -> list[str]:
        """The values and forms that Task 1 has in some arm, beside those of every other arm."""
        return sorted({cell for name in self.every_arm if (cell := self.methods[name].cell)})

    @property
    def later_tasks(self) -> list[str]:
        """Those after Task 1."""
        return self.tasks[1:]

    def tasks_of(self, arm: str) -> tuple[str, ...]:
        """The tasks that an arm learns, in order."""
        return tuple(self.tasks if arm in self.arms else self.tasks[:1])

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets with figures, tables and a page of their own that this study has."""
        further: dict[Target, Sequence[str]] = {
            "sequence": self.later_tasks,
            "factors": self.factors,
            "axes": self.axes,
            "architectures": self.architectures.names,
        }
        return ("all", "methods", *(target for target, needed in further.items() if needed))

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
