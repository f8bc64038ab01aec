"""The whole configuration of a study: one strict model, read by the Snakefile and by every script.

`StudyConfig` is what `config/*.yaml` must look like. A job never sees all of it: `Run` is the slice that one
stage depends on, so that a changed key invalidates exactly the stages that read it.
"""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from forgetting.arms import AnyArm, Freeze, Lamol, TaskVector
from forgetting.errors import StudyError
from forgetting.strict import Count, Fraction, Positive, Strict

Stride = tuple[Annotated[int, Field(ge=0)], Count]

ATTRIBUTES = ("birthday", "birth_city", "university", "major", "company_name", "company_city")
GROUPS = ("task0_train", "task0_val", "task0_test", "task1", "control")
PRETRAINED_GROUPS = ("task0_train", "task0_val", "task0_test")
TEMPLATES_PER_ATTRIBUTE = 50
TROUGH_WITHIN = 150
"""Steps within which the lowest Task 0 accuracy counts as the early trough (science §3)."""


class Groups(Strict):
    """Persons in each group of science §1."""

    task0_train: Count = 150
    task0_val: Count = 50
    task0_test: Count = 100
    task1: Count = 400
    control: Count = 50

    @property
    def total(self) -> int:
        return sum(getattr(self, group) for group in GROUPS)


class Pools(Strict):
    """How many lines of each pool in `resources/pools` are in use."""

    first_names: Annotated[int, Field(ge=1, le=400)] = 400
    middle_names: Annotated[int, Field(ge=1, le=400)] = 400
    last_names: Annotated[int, Field(ge=1, le=1000)] = 1000
    birth_years: Annotated[int, Field(ge=1, le=200)] = 200
    cities: Annotated[int, Field(ge=2, le=200)] = 200
    universities: Annotated[int, Field(ge=2, le=300)] = 300
    majors: Annotated[int, Field(ge=2, le=100)] = 100
    companies: Annotated[int, Field(ge=2, le=263)] = 263

    @property
    def full_names(self) -> int:
        return self.first_names * self.middle_names * self.last_names


class Data(Strict):
    groups: Groups = Groups()
    pools: Pools = Pools()
    biographies_per_person: Annotated[int, Field(ge=1, le=TEMPLATES_PER_ATTRIBUTE)] = 5
    permute: bool = True
    full_name: bool = True

    @model_validator(mode="after")
    def _names_suffice(self) -> Data:
        if self.groups.total * 2 > self.pools.full_names:
            raise ValueError(
                f"groups ask for {self.groups.total} persons, but pools.first_names x middle_names x last_names give only "
                f"{self.pools.full_names} full names (at least twice as many are needed to draw unique ones)"
            )
        return self


class Tokenizer(Strict):
    """`word`: one token a word, trained on the data; `bpe`: byte-level BPE, trained on the data; `path`: a local or hub tokenizer."""

    kind: Literal["word", "bpe", "path"] = "word"
    vocabulary_size: Count = 8192
    path: str | None = None

    @model_validator(mode="after")
    def _path_given(self) -> Tokenizer:
        if (self.kind == "path") != (self.path is not None):
            raise ValueError("tokenizer.path must be given exactly when tokenizer.kind is 'path'")
        return self


class Model(Strict):
    """GPT-NeoX architecture (parallel residual, untied embeddings, partial rotary positions)."""

    layers: Count = 4
    hidden_size: Count = 128
    heads: Count = 4
    rotary_fraction: Fraction = 0.25
    initializer_range: Positive = 0.02
    max_positions: Count = 512

    @model_validator(mode="after")
    def _heads_divide(self) -> Model:
        if self.hidden_size % self.heads:
            raise ValueError(f"model.hidden_size {self.hidden_size} is not divisible by model.heads {self.heads}")
        return self


class Optimizer(Strict):
    """`muon` updates hidden matrices with Muon and everything else with AdamW."""

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive
    muon_learning_rate: Positive = 0.02
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: Positive = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    gradient_clip: Positive = 1.0


class Schedule(Strict):
    """Linear warm-up, then a cosine to `final_fraction` of the peak."""

    warmup_steps: Annotated[int, Field(ge=0)] = 0
    final_fraction: Fraction = 1.0


class Pretrain(Strict):
    steps: Count
    batch_size: Count
    sequence_length: Count
    packing: Literal["stream", "document"] = "document"
    attention: Literal["document", "packed"] = "document"
    fresh: bool = True
    late_fraction: Fraction = 0.75
    optimizer: Optimizer
    schedule: Schedule = Schedule()


class Task0(Strict):
    epochs: Positive
    batch_size: Count
    optimizer: Optimizer
    schedule: Schedule = Schedule()


class Task1(Strict):
    """`evaluate` and `checkpoints` are lists of [until_step, every]; `later_checkpoints` more are spread evenly to the end."""

    steps: Count
    batch_size: Count
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    early_stop_accuracy: Fraction = 0.99
    evaluate: list[Stride]
    evaluate_later: Count
    checkpoints: list[Stride]
    later_checkpoints: Count


class Recovery(Strict):
    """Training on `task0_train` from Task 1 checkpoints.

    Each of `arms` is recovered from its trough, its early-stop point and its end, for the longest of `epochs`; those that are also in
    `curve_arms` from every other checkpoint too, for one epoch. The other arms of the comparison are recovered from the same three
    points for one epoch, without controls of their own.
    """

    batch_size: Count
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    epochs: list[Positive] = Field([0.25, 0.5, 1.0, 2.0, 5.0])
    evaluations_per_epoch: Count = 4
    arms: list[str]
    curve_arms: list[str]

    @model_validator(mode="after")
    def _one_epoch_is_measured(self) -> Recovery:
        if 1.0 not in self.epochs:
            raise ValueError("recovery.epochs must contain 1.0, the epoch that the spurious share is defined on")
        return self


class Evaluation(Strict):
    batch_size: Count = 512
    persons_per_group: Count | None = None


class Landscape(Strict):
    axes: Literal["orthogonal", "reference"] = "orthogonal"
    grid: Annotated[int, Field(ge=3)] = 21
    margin: Annotated[float, Field(ge=0)] = 0.3
    questions: Count = 600


class Views(Strict):
    arms: Annotated[list[str], Field(min_length=1)]
    landscape: Landscape = Landscape()
    energy: Fraction = 0.99
    principal_rank: Count = 8
    components: Count = 8


class GateThresholds(Strict):
    """What the default scale must reach before its later results mean anything; each is a fraction of correct answers."""

    biography_first_token: Fraction = 0.95
    task0_before: Fraction = 0.95
    control_above_floor: Fraction = 0.03
    sequential_trough: Fraction = 0.15
    sequential_task1_end: Fraction = 0.99
    recovery_from_150: Fraction = 0.90


class Comparison(Strict):
    """The full comparison of methods: the grid of each family, of which `task0_val` chooses one arm."""

    families: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]


class Threads(Strict):
    """CPU threads of one job of each stage. Snakemake lowers them to `--cores`; results agree across thread counts only up to rounding."""

    pretrain: Count = 4
    task0: Count = 4
    task1: Count = 1
    recovery: Count = 1
    views: Count = 1


class StudyConfig(Strict):
    scale: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1)
    gates: Literal["stop", "warn"] = "stop"
    precision: Literal["float32", "bf16"] = "float32"
    threads: Threads = Threads()
    gpus_per_job: Literal[0, 1] = 0
    data: Data = Data()
    tokenizer: Tokenizer = Tokenizer()
    model: Model = Model()
    pretrain: Pretrain
    task0: Task0
    task1: Task1
    recovery: Recovery
    evaluation: Evaluation = Evaluation()
    views: Views
    gate_thresholds: GateThresholds = GateThresholds()
    arms: Annotated[list[str], Field(min_length=1)]
    learning_rate_arms: list[str] = Field([])
    comparison: Comparison
    methods: dict[str, AnyArm]

    @model_validator(mode="after")
    def _arms_exist_and_fit(self) -> StudyConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds has a value twice: {self.seeds}")
        lists = {"arms": self.arms, "learning_rate_arms": self.learning_rate_arms, "views.arms": self.views.arms}
        lists |= {"recovery.arms": self.recovery.arms, "recovery.curve_arms": self.recovery.curve_arms}
        for key, names in (lists | {"comparison.families": self.compared_arms}).items():
            if len(set(names)) != len(names):
                raise ValueError(f"{key} has a name twice: {names}")
        for name in self.every_arm:
            if name not in self.methods:
                raise ValueError(f"arm {name!r} is not an entry of config/methods.yaml")
            arm = self.methods[name]
            if isinstance(arm, Freeze) and arm.layers > self.model.layers:
                raise ValueError(f"arm {name!r} freezes {arm.layers} layers, but the model has {self.model.layers}")
        for key, names in {"arms": self.arms, "comparison.families": self.compared_arms}.items():
            if "seq" not in names:
                raise ValueError(f"{key} must contain 'seq', which every other arm is compared with")
        if "seq" not in self.recovery.curve_arms:
            raise ValueError("recovery.curve_arms must contain 'seq', which the gates are checked on")
        for key, names in (("recovery.arms", self.recovery.arms), ("views.arms", self.views.arms)):
            for name in names:
                if name not in self.every_arm:
                    raise ValueError(f"{key} names {name!r}, which is in none of arms, learning_rate_arms and comparison.families")
        for name in self.recovery.curve_arms:
            if name not in self.recovery.arms:
                raise ValueError(f"recovery.curve_arms names {name!r}, which is not in recovery.arms")
        for name in self.task_vector_arms:
            if name in {*self.recovery.curve_arms, *self.views.arms}:
                raise ValueError(f"{name!r} is not trained, so it can be neither in recovery.curve_arms nor in views.arms")
        return self

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
        return [name for name in self.every_arm if isinstance(self.methods[name], TaskVector)]

    def keeps_every_checkpoint(self, arm: str) -> bool:
        """Whether recovery curves or views need all checkpoints of an arm; of the others only step 150, the match and the end are kept."""
        return arm in {*self.recovery.curve_arms, *self.views.arms}

    def probe(self, arm: str) -> str:
        """How the arm is recovered, see `Recovery`."""
        if arm in self.recovery.curve_arms:
            return "curve"
        return "long" if arm in self.recovery.arms or arm == "controls" else "short"

    def run(self, stage: str, seed: int, arm: str | None = None) -> dict[str, Any]:
        """The slice of the config that the result of one stage depends on, as plain JSON values. `arm` names one of Task 1; for `task0`,
        an arm of LAMOL, which has its own."""
        sections = {
            "data": ("data", "tokenizer"),
            "pretrain": ("data", "model", "pretrain", "evaluation", "precision"),
            "task0": ("task0", "evaluation", "precision"),
            "task1": ("task1", "evaluation", "precision"),
            "recovery": ("recovery", "evaluation", "precision"),
            "views": ("views", "evaluation", "precision"),
            "gates": ("gates", "gate_thresholds"),
        }[stage]
        whole = self.model_dump(mode="json")
        slice_: dict[str, Any] = {"scale": self.scale, "seed": seed, "stage": stage} | {key: whole[key] for key in sections}
        if stage == "views":
            del slice_["views"]["arms"]
        if stage == "recovery":
            assert arm is not None
            del slice_["recovery"]["arms"], slice_["recovery"]["curve_arms"]
            slice_["recovery"]["probe"] = self.probe(arm)
        if stage == "pretrain":
            del slice_["evaluation"]["persons_per_group"]
        if stage == "gates":
            slice_["task1_epoch_steps"] = ceil(len(ATTRIBUTES) * self.data.groups.task1 / self.task1.batch_size)
        if arm is None:
            return slice_
        if stage == "task0":
            method = self.methods[arm]
            assert isinstance(method, Lamol)
            return slice_ | {"language_loss": method.language_loss}
        if stage == "task1":
            slice_ |= {"method": whole["methods"][arm], "every_checkpoint": self.keeps_every_checkpoint(arm)}
        return slice_ | {"arm": arm}


class Run(Strict):
    """What one job reads from its `config.json`; sections that its stage does not depend on are absent."""

    scale: str
    seed: int
    stage: str
    arm: str = "none"
    precision: Literal["float32", "bf16"] = "float32"
    data: Data | None = None
    tokenizer: Tokenizer | None = None
    model: Model | None = None
    pretrain: Pretrain | None = None
    task0: Task0 | None = None
    task1: Task1 | None = None
    recovery: RecoveryRun | None = None
    evaluation: Evaluation = Evaluation()
    views: ViewsRun | None = None
    method: AnyArm | None = None
    every_checkpoint: bool = True
    language_loss: Positive | None = None
    gates: Literal["stop", "warn"] = "stop"
    gate_thresholds: GateThresholds | None = None
    task1_epoch_steps: Count | None = None

    def need(self, section: str) -> Any:
        """The named section; a ValueError that names it when this run's config has none."""
        value = getattr(self, section)
        if value is None:
            raise ValueError(f"the config of stage {self.stage!r} has no section {section!r}")
        return value


class RecoveryRun(Recovery):
    arms: list[str] = Field([])
    curve_arms: list[str] = Field([])
    probe: Literal["curve", "long", "short"] = "long"


class ViewsRun(Views):
    arms: list[str] = Field([])


Run.model_rebuild()


def arm_steps(task1: Task1, arm: AnyArm) -> int:
    """Optimizer steps of a Task 1 run."""
    return max(1, round(arm.length * task1.steps))


def checkpoint_steps(task1: Task1, steps: int, every: bool = True) -> list[int]:
    """Steps of a Task 1 run of length `steps` at which weights are kept, ascending; step 0 is the model after Task 0.

    With `every`: every `every`-th step of each stride; step 150, which views and gates refer to; `later_checkpoints` more, evenly
    spaced between the last stride and the end; the end. Without: step 150 and the end.
    """
    kept, start = {150, steps}, 0
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


class ConfigError(StudyError):
    """A configuration that no study can be run with; the message names every offending key."""


def load_study(config: dict[str, Any]) -> StudyConfig:
    """Validate a merged config. Raises ConfigError with one line for each offending key."""
    try:
        return StudyConfig.model_validate(config)
    except ValidationError as error:
        raise ConfigError("bad config:\n" + _one_line_each(error)) from None


def load_run(path: str | Path) -> Run:
    """Read a job's `config.json`. Raises ConfigError that names the file."""
    try:
        return Run.model_validate(json.loads(Path(path).read_text()))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not valid JSON ({error})") from None
    except ValidationError as error:
        raise ConfigError(f"{path}:\n" + _one_line_each(error)) from None


def _one_line_each(error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "study"
        message = item["msg"].removeprefix("Value error, ")
        given = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
        lines.append(f"  {where}: {message}{given}")
    return "\n".join(lines)
