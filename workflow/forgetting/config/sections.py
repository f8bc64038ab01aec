"""The parts of a study's configuration, one model a section of `config/*.yaml`, and the names that data and metrics share.

A key that `config/config.yaml` states is required here: a second value in the code could never apply. The descriptions are what
`config/README.md` and editors say of the keys (`config/reference.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forgetting.config.fields import Count, Fraction, NotNegative, Positive, Strict

Stride = tuple[Annotated[int, Field(ge=0)], Count]


class Tokenizer(Strict):
    kind: Literal["word", "bpe", "path", "given"] = Field(
        description="`word`: one token a word; `bpe`: byte-level BPE, both trained on the data; `path`: an existing "
        "tokenizer with the end token `<|endoftext|>`; `given`: the tokenizer of a model, with its own begin and end "
        "tokens. A model that is given brings its own, whatever is said here"
    )
    vocabulary_size: Count = Field(description="largest size of a trained vocabulary")
    path: str | None = Field(description="folder or hub name of a tokenizer, with `kind: path` and `kind: given` only")

    @model_validator(mode="after")
    def _path_given(self) -> Tokenizer:
        if (self.kind in ("path", "given")) != (self.path is not None):
            raise ValueError("tokenizer.path must be given exactly when tokenizer.kind is 'path' or 'given'")
        return self


class Model(Strict):
    """A model from scratch, with untied embeddings, or a given one, whose shape is that of its own `config.json`
    (`pipeline/given.py` fills it in). `rotary_fraction` is for gpt_neox alone."""

    source: Literal["pretrain", "given"] = Field(
        default="pretrain",
        description="`pretrain`: random weights, of the shape that the other keys say; `given`: the model `name`, with its shape and its "
        "tokenizer, see [docs/extending.md](../docs/extending.md#a-given-model)",
    )
    name: str | None = Field(
        default=None,
        description="with `source: given`: a folder with `config.json`, safetensors and a tokenizer, a PEFT adapter, or a name on the hub",
    )
    continue_pretraining: bool = Field(
        default=True,
        description="with `source: given`: whether the given model is trained on the biographies (`pretrain`) before Task 0. Else it has "
        "never read of the persons of Task 0, and the gates on biographies do not apply",
    )
    trust_remote_code: bool = Field(
        default=False, description="with `source: given`: whether Python code that comes with the model may run. Read it first"
    )
    architecture: Literal["gpt_neox", "gpt2", "llama", "mistral", "qwen2", "qwen3", "olmo2"] = Field(
        description="`gpt_neox` (Pythia's), `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3` or `olmo2`, each with as many layers, heads and "
        "about as many weights as the other keys say, untied embeddings and no dropout. Gated MLPs (all but the first two) have a width of "
        "8/3 of `hidden_size`, the others 4",
    )
    layers: Count = Field(description="blocks")
    hidden_size: Count = Field(description="width of the residual stream")
    heads: Count = Field(description="attention heads; must divide the width")
    rotary_fraction: Fraction = Field(
        description="share of each head's dimensions with rotary positions, for `gpt_neox`; 1 in all others but `gpt2`, which has an "
        "embedding of positions"
    )
    initializer_range: Positive = Field(description="standard deviation of the initial weights")
    max_positions: Count = Field(description="longest sequence in tokens")
    vocabulary_multiple: Count = Field(
        description="rows of the embeddings are rounded up to a multiple of this (128: faster matrix products on a GPU); "
        "those that are added stand for no token"
    )

    @property
    def reads_biographies(self) -> bool:
        """Whether it is trained on the biographies before Task 0."""
        return self.source == "pretrain" or self.continue_pretraining

    @model_validator(mode="after")
    def _name_given(self) -> Model:
        if (self.source == "given") != (self.name is not None):
            raise ValueError("model.name must be given exactly when model.source is 'given'")
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> Model:
        if self.source == "pretrain" and self.hidden_size % self.heads:
            raise ValueError(f"model.hidden_size {self.hidden_size} is not divisible by model.heads {self.heads}")
        return self


class Optimizer(Strict):
    """AdamW, or another in its place."""

    kind: Literal["adamw", "sgd", "muon"] = Field(
        default="adamw",
        description="`adamw`; `sgd`: gradient descent with momentum `beta1`, its weight decay added to the gradient; `muon`: PyTorch's, "
        "for the matrices of the blocks, with steps of as large a mean square as AdamW's, which has all other weights",
    )
    learning_rate: Positive = Field(description="peak rate")
    beta1: Fraction = Field(default=0.9, description="decay of AdamW's mean of gradients")
    beta2: Fraction = Field(default=0.999, description="decay of AdamW's mean of squared gradients")
    epsilon: Positive = Field(default=1e-6, description="added to AdamW's denominator")
    weight_decay: NotNegative = Field(description="decoupled; not on biases and norms")
    gradient_clip: Positive = Field(default=1.0, description="largest norm of the gradient")


class Schedule(Strict):
    """Linear warm-up, then a cosine."""

    warmup_steps: Annotated[int, Field(ge=0)] = Field(description="steps of linear warm-up")
    final_fraction: Fraction = Field(description="where the cosine ends, as a share of the peak; 1.0 is a constant rate")


def _ascending(fractions: list[float]) -> list[float]:
    if fractions != sorted(set(fractions)) or not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError("must be above 0, below 1 and ascending")
    return fractions


KeptFractions = Annotated[list[float], AfterValidator(_ascending)]


class Pretrain(Strict):
    steps: Count = Field(description="optimizer steps")
    batch_size: Count = Field(description="sequences a step")
    sequence_length: Count = Field(description="tokens a sequence")
    packing: Literal["stream", "document"] = Field(
        description="`document`: whole biographies side by side, the rest padded; `stream`: one stream of tokens, cut anywhere"
    )
    attention: Literal["document", "packed"] = Field(
        description="`document`: within one biography; `packed`: across those in a sequence, as the reference does"
    )
    fresh: bool = Field(description="render biographies anew in each epoch; otherwise the `data.biographies_per_person` stored ones")
    kept_fractions: Annotated[KeptFractions, Field(min_length=2)] = Field(
        description="shares of the steps after which the weights are kept too: recovery starts from each, and between the last two and the "
        "end lie the updates of pretraining that the weight view compares"
    )
    optimizer: Optimizer
    schedule: Schedule


class Task0(Strict):
    epochs: Positive = Field(description="passes over the questions of `task0_train`")
    batch_size: Count = Field(description="questions a step")
    kept_fractions: KeptFractions = Field(description="shares of the steps after which the weights are kept too: recovery starts from each")
    optimizer: Optimizer
    schedule: Schedule


class Task1(Strict):
    steps: Count = Field(description="optimizer steps of an arm of length 1")
    batch_size: Count = Field(description="questions a step")
    optimizer: Optimizer
    schedule: Schedule
    early_stop_accuracy: Fraction = Field(
        description="Task 1 exact match at which an arm counts as learned: early stop and matched comparison"
    )
    evaluate: list[Stride] = Field(description="list of `[until step, every]`: when all groups are evaluated early on")
    evaluate_later: Count = Field(description="every so many steps after that")
    checkpoints: list[Stride] = Field(
        description="list of `[until step, every]`: when weights are kept early on, for arms in `recovery.curve_arms` or `views.arms`; "
        "of the others the points early (step 150), matched and end are"
    )
    later_checkpoints: Count = Field(description="how many more are kept, evenly spaced to the end")


CheckpointPrecision = Literal["float32", "bfloat16"]


class Storage(Strict):
    """How the weights of Task 1 and recovery are kept."""

    checkpoint_precision: CheckpointPrecision = Field(
        description="of the weights that Task 1 and recovery keep; not of the models that training starts from, nor of saved states. "
        "bfloat16 has 8 significant bits: small updates vanish, see [outputs](../docs/outputs.md#checkpoints)"
    )


class RecoveryTraining(Strict):
    """Training on `task0_train` from Task 1 checkpoints, whatever the arm."""

    batch_size: Count = Field(description="questions a step")
    optimizer: Optimizer
    schedule: Schedule
    epochs: list[Positive] = Field(
        description="passes over `task0_train` that are reported; must contain 1.0. The schedule is that of one epoch; its last rate is "
        "kept after that"
    )
    evaluations_per_epoch: Count = Field(
        description="how finely probes of more than one epoch are measured from the first epoch on, for savings"
    )
    evaluate_steps: Annotated[list[Count], Field(min_length=2)] = Field(
        description="optimizer steps, rising, at which recovery is measured early on, beside `epochs`; the area under recovery is over "
        "these. The unremarkable checkpoints of a curve are measured before and after alone, unless the arm is in `control_arms` or "
        "never had Task 0"
    )
    doses: list[Count] = Field(
        description="rising numbers of persons of `task0_train` to recover on in place of all, for as many steps; as many as "
        "`data.groups.probe` are added"
    )

    @model_validator(mode="after")
    def _lists_rise(self) -> Self:
        for key in ("evaluate_steps", "doses"):
            values = getattr(self, key)
            if values != sorted(set(values)):
                raise ValueError(f"recovery.{key} must rise from one to the next: got {values}")
        return self

    @model_validator(mode="after")
    def _one_epoch_is_measured(self) -> Self:
        if 1.0 not in self.epochs:
            raise ValueError("recovery.epochs must contain 1.0, the epoch that the spurious share is defined on")
        return self


class Recovery(RecoveryTraining):
    """Which arms are recovered, from which checkpoints, and how."""

    arms: list[str] = Field(
        description="arms to recover from trough, early-stop point and end for the longest of `recovery.epochs`, from trough and end also "
        "with shuffled answers. The other arms of the comparison: one epoch. An arm in neither `curve_arms` nor `views.arms` keeps no "
        "earlier checkpoint than step 150, which is then its trough"
    )
    curve_arms: list[str] = Field(description="those of them to recover from every checkpoint, for one epoch; must contain `seq`")
    control_arms: list[str] = Field(
        description="those of them to train, from trough and end, also on the controls of form and content and on `doses`"
    )


class Evaluation(Strict):
    batch_size: Count = Field(description="questions a forward pass")
    units_per_split: Count | None = Field(
        description="evaluate the first so many units (persons) of each split; `null`: all. Of Task 1 all are asked once these have "
        "reached three quarters of `task1.early_stop_accuracy`. Not for the floors (all units) or the feature view (up to 2,000 a split)"
    )


class Landscape(Strict):
    axes: Literal["orthogonal", "reference"] = Field(
        description="`orthogonal`: second axis orthogonal to the first, units of L2 distance; `reference`: as the paper"
    )
    grid: Annotated[int, Field(ge=3)] = Field(description="points a side")
    margin: NotNegative = Field(description="how far the grid reaches beyond the trajectory, as a share of its extent")
    questions: Count = Field(description="questions a point and task")


class Views(Strict):
    arms: Annotated[list[str], Field(min_length=1)] = Field(
        description="arms whose weights are looked at, and which the performance figure draws. All checkpoints of them (and of "
        "`recovery.curve_arms`) are kept, so an arm that enters or leaves is trained again"
    )
    landscape: Landscape
    energy: Fraction = Field(description="share of an update's squared norm that the kept singular directions hold (weight view)")
    principal_rank: Count = Field(description="number of directions compared by principal angles (weight view)")
    components: Count = Field(description="leading principal components (feature view)")


class GateThresholds(Strict):
    """What the default scale must reach before its later results mean anything; each is a fraction of correct answers."""

    token_coverage: Fraction = Field(
        description="at least: share of the name tokens, and of the answer tokens, of Task 1 persons and of control persons that "
        "pretraining has seen; a token that it never touched is a blank vector, and Task 1 another task"
    )
    biography_first_token: Fraction = Field(description="at least: first-token accuracy in biographies of pretrained persons")
    task0_before: Fraction = Field(description="at least: exact match of `task0_test` before Task 1")
    control_false_alarm: Fraction = Field(
        description="share of studies in which, by chance alone, exact match of `control` persons may be above the limit of its gate"
    )
    sequential_trough: Fraction = Field(description="at most: lowest exact match of `task0_test` within 150 steps of `seq`")
    sequential_task1_end: Fraction = Field(description="at least: exact match of `task1` at the end of `seq`")
    recovery_from_150: Fraction = Field(
        description="at least: exact match of `task0_test` after one recovery epoch from the early point (step 150) of `seq`"
    )


def _without_null(families: object) -> object:
    return {family: arms for family, arms in families.items() if arms is not None} if isinstance(families, dict) else families


class Comparison(Strict):
    """The full comparison of methods: the grid of each family, of which `task0_val` chooses one arm.

    A family that is null is left out: an overlay of the config can add keys, but not take them away.
    """

    families: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1), BeforeValidator(_without_null)] = Field(
        description="the families that `snakemake methods` compares, and the grid of each: a list of arms; see below"
    )


class Architectures(Strict):
    """Studies of other models, on the same persons and questions."""

    shared: dict[str, Any] = Field(description="what is merged onto the study for every variant, before its own keys: fewer arms, for one")
    variants: dict[str, dict[str, Any] | None] = Field(
        description="the keys of each variant that `snakemake architectures` runs, by its name; its results go to "
        "`results/<scale>-<name>`. One that is `null` is left out. See `architectures.yaml`",
    )

    @property
    def names(self) -> list[str]:
        """Of the variants that are not left out."""
        return [name for name, keys in self.variants.items() if keys is not None]


class Threads(Strict):
    """CPU threads of one job of each stage. Results agree across thread counts only up to rounding."""

    pretrain: Count = Field(description="CPU threads of the job that pretrains; with several GPUs, of each *(how, not what)*")
    task0: Count = Field(description="of a Task 0 job *(how, not what)*")
    task1: Count = Field(description="of a job of one arm *(how, not what)*")
    recovery: Count = Field(description="of a recovery job *(how, not what)*")
    views: Count = Field(description="of a view *(how, not what)*")
