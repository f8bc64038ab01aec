"""The parts of a study's configuration, one model a section of `config/*.yaml`, and the names that data and metrics share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from forgetting.config.fields import Count, Fraction, Positive, Strict

Stride = tuple[Annotated[int, Field(ge=0)], Count]

ATTRIBUTES = ("birthday", "birth_city", "university", "major", "company_name", "company_city")
MEASURED_GROUPS = ("task0_train", "task0_val", "task0_test", "task1", "control")
GROUPS = (*MEASURED_GROUPS, "probe")
"""In the order in which persons are drawn; `probe` comes last, so that its size changes no other person."""
PRETRAINED_GROUPS = ("task0_train", "task0_val", "task0_test")
TEMPLATES_PER_ATTRIBUTE = 50


class Groups(Strict):
    """Persons in each group of science §1."""

    task0_train: Count = 150
    task0_val: Count = 50
    task0_test: Count = 100
    task1: Count = 400
    control: Count = 50
    probe: Count = 64

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
    """A model from scratch, with untied embeddings. `rotary_fraction` is for gpt_neox alone."""

    architecture: Literal["gpt_neox", "gpt2", "llama", "mistral", "qwen2", "qwen3", "olmo2"] = "gpt_neox"
    layers: Count = 4
    hidden_size: Count = 128
    heads: Count = 4
    rotary_fraction: Fraction = 0.25
    initializer_range: Positive = 0.02
    max_positions: Count = 512
    vocabulary_multiple: Count = 1

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


CheckpointPrecision = Literal["float32", "bfloat16"]


class Storage(Strict):
    """How the weights of Task 1 and recovery are kept.

    early_checkpoints: `difference` stores those of the strides of `task1.checkpoints`, but for step 150 and the end, as differences from
    the model that the arm started from.
    """

    early_checkpoints: Literal["whole", "difference"] = "whole"
    checkpoint_precision: CheckpointPrecision = "float32"

    @model_validator(mode="after")
    def _differences_are_of_float32(self) -> Storage:
        if self.early_checkpoints == "difference" and self.checkpoint_precision != "float32":
            raise ValueError("early_checkpoints: difference is for checkpoint_precision: float32; use one of the two")
        return self


class Recovery(Strict):
    """Training on `task0_train` from Task 1 checkpoints.

    Each of `arms` is recovered from its trough, its early-stop point and its end, for the longest of `epochs`; those that are also in
    `curve_arms` from every other checkpoint too, for one epoch. The other arms of the comparison are recovered from the same three
    points for one epoch, without controls of their own. From trough and end of `control_arms` the controls of form and content are
    trained, too, and of `doses` persons of `task0_train` in place of all.

    evaluate_steps: optimizer steps at which recovery is looked at early on, beside `epochs`; the area under the curve reaches from the
    first to the last of them.
    """

    batch_size: Count
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    epochs: list[Positive] = Field([0.25, 0.5, 1.0, 2.0, 5.0])
    evaluations_per_epoch: Count = 4
    evaluate_steps: Annotated[list[Count], Field(min_length=2)] = Field([1, 2, 4, 8, 15, 20])
    doses: list[Count] = Field([1, 4, 16])
    arms: list[str]
    curve_arms: list[str]
    control_arms: list[str] = Field([])

    @model_validator(mode="after")
    def _lists_rise(self) -> Recovery:
        for key in ("evaluate_steps", "doses"):
            values = getattr(self, key)
            if values != sorted(set(values)):
                raise ValueError(f"recovery.{key} must rise from one to the next: got {values}")
        return self

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

    token_coverage: Fraction = 0.99
    biography_first_token: Fraction = 0.95
    task0_before: Fraction = 0.95
    control_above_floor: Fraction = 0.03
    sequential_trough: Fraction = 0.15
    sequential_task1_end: Fraction = 0.99
    recovery_from_150: Fraction = 0.90


def _without_null(families: object) -> object:
    return {family: arms for family, arms in families.items() if arms is not None} if isinstance(families, dict) else families


class Comparison(Strict):
    """The full comparison of methods: the grid of each family, of which `task0_val` chooses one arm.

    A family that is null is left out: an overlay of the config can add keys, but not take them away.
    """

    families: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1), BeforeValidator(_without_null)]


class Threads(Strict):
    """CPU threads of one job of each stage, lowered to `--cores` and to the cores that there are. Results agree across thread counts only
    up to rounding."""

    pretrain: Count = 4
    task0: Count = 4
    task1: Count = 1
    recovery: Count = 1
    views: Count = 1
