"""Training steps, of pretraining or fine-tuning: our loop, what its parts save, a plain Hugging Face Trainer, and what the machine can do.

Every variant runs in a fresh process, since the settings of memory allocator and steps hold for a whole process. The variants take
turns. On a CPU each process measures the rate of float32 matrix products just before and after its steps; of a GPU the published rate is
used.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from common import KEEPS_MEMORY, Opened, make_data, now, parser, peak_memory, pick, print_table, study, use_threads, write_row
from forgetting.config.study import StudyConfig
from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.batches import BiographyBatches
from forgetting.scenarios.biography.texts import Biographies
from forgetting.training import step
from forgetting.training.accounting import Work, peak_operations
from forgetting.training.batches import Batch, Batches, QuestionBatches
from forgetting.training.loop import Plan, train
from together import ALONE, Meeting
from traced import Profile

OURS, TRAINER = "our loop", "Hugging Face Trainer"
PLAIN = f"{OURS}, plain steps"
VARIANTS = {  # name: (uses the Trainer, chunked cross-entropy, freed memory is kept, the fast steps where the device can do them)
    OURS: (False, True, True, True),
    PLAIN: (False, True, True, False),
    f"{OURS}, whole logits": (False, False, True, False),
    f"{OURS}, freed memory given back": (False, True, False, False),
    TRAINER: (True, False, False, False),
    f"{TRAINER}, freed memory kept": (True, False, True, False),
}
OF_DEVICE = {
    "cpu": [name for name in VARIANTS if name != PLAIN],  # which is all that a CPU does
    "cuda": [OURS, TRAINER, PLAIN],
}
WARM_UP, PROFILED = 10, 5
SQUARE = 2048
TARGET_SHARE = 0.65


@dataclass
class Steps(Batches):
    """Batches made in advance; the first one again and again after the last, for loops that make batches ahead."""

    batches: list[Batch]

    def batch(self, step: int) -> Batch:
        return self.batches[step % len(self.batches)]


def whole_logits_loss(hidden: Tensor, weight: Tensor, target: Tensor, share: None = None) -> Tensor:
    """What `linear_cross_entropy` replaces."""
    return functional.cross_entropy(hidden @ weight.T, target)


def make_batches(configured: StudyConfig, stage: str, folder: Path, steps: int) -> tuple[list[Batch], int, float]:
    """The first batches of the configured stage, the size of the vocabulary, and the seconds that a batch took to make."""
    data, source = Opened.of(folder), None
    if stage == "task1":
        source = QuestionBatches(Items.load(folder / "items.parquet").of("task1"), configured.task1.batch_size, 0)
    else:
        fixed = Biographies.load(folder / "biographies.arrow").rows
        source = BiographyBatches(configured.pretrain, configured.data, data.renderer, data.pretrained, fixed, 0, data.end)
    start = time.perf_counter()
    batches = [source.batch(step) for step in range(steps)]
    return batches, data.tokenizer.get_vocab_size(), (time.perf_counter() - start) / steps


def run_loop(
    model: PreTrainedModel, configured: StudyConfig, stage: str, batches: list[Batch], profile: Profile | None, meeting: Meeting
) -> tuple[float, dict[int, float]]:
    """Seconds of the steps after the first WARM_UP, and the losses that a training keeps, by step. The profile is of PROFILED more."""
    recipe, marks, last = getattr(configured, stage), [], len(batches)

    def mark(step: int) -> None:
        if step == WARM_UP:
            meeting.wait()
        marks.append(now())
        if profile is not None and step == last:
            profile.start()
        elif profile is not None and step > last:
            profile.stop(PROFILED)

    steps = last + (PROFILED if profile is not None else 0)
    ends = frozenset([WARM_UP, last, steps])
    plan = Plan(steps, Steps(batches), recipe.optimizer, recipe.schedule, ends, mark, configured.precision, schedule_steps=last)
    history = train(model, plan)
    return marks[1] - marks[0], dict(zip(history.steps, history.losses, strict=True))


def run_trainer(model: PreTrainedModel, configured: StudyConfig, stage: str, batches: list[Batch], folder: Path) -> float:
    """The same sequences in batches of the same size, as anyone would train on them; seconds of the steps after the first WARM_UP."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    examples = [example for batch in batches for example in labelled_rows(batch)]

    def collate(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        sequences, labels = ([example[key] for example in examples] for key in ("input_ids", "labels"))
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(sequences, batch_first=True, padding_value=0),
            "labels": pad(labels, batch_first=True, padding_value=-100),
            "attention_mask": pad([torch.ones_like(sequence) for sequence in sequences], batch_first=True, padding_value=0),
        }

    marks = []

    class Stamp(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if state.global_step in (WARM_UP, len(batches)):
                marks.append(now())

    recipe, device = getattr(configured, stage), model.device.type
    optimizer = recipe.optimizer
    settings = TrainingArguments(
        output_dir=str(folder),
        max_steps=len(batches),
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=optimizer.learning_rate,
        weight_decay=optimizer.weight_decay,
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        adam_epsilon=optimizer.epsilon,
        max_grad_norm=optimizer.gradient_clip,
        lr_scheduler_type="cosine",
        bf16=configured.precision == "bf16",
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(model, settings, data_collator=collate, train_dataset=examples, callbacks=[Stamp()]).train()  # type: ignore[arg-type]
    return marks[1] - marks[0]


def labelled_rows(batch: Batch) -> list[dict[str, Tensor]]:
    """The rows of a batch, each cut behind its last predicted token, with -100 for the tokens that are not predicted."""
    labels = torch.full_like(batch.ids, -100)
    labels[batch.row, batch.position + 1] = batch.ids[batch.row, batch.position + 1]
    ends = torch.zeros(len(batch.ids), dtype=torch.long).index_reduce_(0, batch.row, batch.position + 2, "amax")
    return [{"input_ids": ids[:end], "labels": label[:end]} for ids, label, end in zip(batch.ids, labels, ends.tolist(), strict=True)]


def product_rate(rows: int, inner: int, columns: int, seconds: float = 0.4) -> float:
    """Operations a second of float32 products (rows x inner) @ (inner x columns), median over `seconds`."""
    left, right, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 3:
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        took.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / statistics.median(took)


def operations(model: PreTrainedModel, batch: Batch) -> float:
    """What a step on a batch needs, as training jobs count it: 6 for each token and matrix weight behind the input embedding, and causal
    attention. Padding is work that nobody asked for, so it does not count."""
    return Work(model).of(batch)[1]


def measure(
    name: str, configured: StudyConfig, stage: str, folder: Path, steps: int, device: torch.device, profiled: bool, meeting: Meeting
) -> dict[str, Any]:
    """Run one variant in this process."""
    uses_trainer, chunked, _, _ = VARIANTS[name]
    if not chunked:
        step.linear_cross_entropy = whole_logits_loss
    batches, vocabulary, making = make_batches(configured, stage, folder, WARM_UP + steps)
    model = build_model(configured.model, vocabulary, seed=0).to(device)
    hidden, tokens = configured.model.hidden_size, batches[0].ids.numel()

    def rates() -> tuple[float, float]:
        if device.type == "cuda":
            return (peak_operations(torch.cuda.get_device_name(device), configured.precision),) * 2
        return product_rate(SQUARE, SQUARE, SQUARE), product_rate(tokens, hidden, 4 * hidden)

    before = rates()
    losses: dict[int, float] = {}
    profile = Profile(device) if profiled and name == OURS else None
    if uses_trainer:
        seconds = run_trainer(model, configured, stage, batches, folder / "trainer")
    else:
        seconds, losses = run_loop(model, configured, stage, batches, profile, meeting)
    after = rates()
    measured = batches[WARM_UP:]
    return {
        "steps": steps / seconds,
        "tokens": sum(len(batch.row) for batch in measured) / seconds,
        "filled": sum(len(batch.row) for batch in measured) / sum(batch.ids.numel() for batch in measured),
        "operations": sum(operations(model, batch) for batch in measured) / seconds,
        "square": (before[0] + after[0]) / 2,
        "shaped": (before[1] + after[1]) / 2,
        "making": making / (seconds / steps),
        "memory": torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else peak_memory(),
        "losses": losses,
        "profile": profile.rows if profile is not None else [],
    }


def in_fresh_process(name: str, folder: Path, options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, "--only", name, "--data", str(folder), *options]
    _, _, keeps_memory, fast = VARIANTS[name]
    environment = os.environ | {"FORGETTING_PLAIN_STEPS": str(int(not fast))} | (KEEPS_MEMORY if keeps_memory else {})
    done = subprocess.run(command, text=True, capture_output=True, env=environment)
    if done.returncode:
        raise SystemExit(f"error: {name}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


class Found:
    """What every process of every variant measured so far. `after_each` is called after each process."""

    def __init__(
        self, names: list[str], run: Callable[[str], dict[str, Any]], repetitions: int, after_each: Callable[[Found], None]
    ) -> None:
        self.all: dict[str, list[dict[str, Any]]] = {}
        for _ in range(repetitions):
            for name in names:
                self.all.setdefault(name, []).append(run(name))
                after_each(self)

    def median(self, name: str, key: str) -> float:
        return statistics.median(values[key] for values in self.all[name])

    def share(self, name: str, rate: str) -> float:
        return statistics.median(values["operations"] / values[rate] for values in self.all[name])

    def ours_is_faster(self, name: str) -> float:
        """Ratio of each turn, then the median: a turn's processes ran at nearly the same time. The last turn may not be over."""
        return statistics.median(ours["tokens"] / other["tokens"] for ours, other in zip(self.all[OURS], self.all[name], strict=False))

    def print(self, title: str) -> None:
        rows = [
            [
                name,
                self.median(name, "tokens"),
                self.median(name, "steps"),
                self.ours_is_faster(name),
                self.median(name, "operations") / 1e9,
                self.share(name, "square"),
                self.share(name, "shaped"),
                self.median(name, "memory"),
            ]
            for name in self.all
        ]
        columns = [
            "variant",
            "tokens/s",
            "steps/s",
            "ours is faster by",
            "GFLOP/s",
            "share of the machine's",
            "of products of the model's shape",
        ]
        print_table(f"{title} (target on a CPU: a share >= {TARGET_SHARE})", [*columns, "memory, GB"], rows)
        rates = [f"{self.median(OURS, key) / 1e9:,.0f} GFLOP/s" for key in ("square", "shaped")]
        print(f"the machine's: {rates[0]}, of products of the model's shape {rates[1]}")
        print(f"tokens that are predicted: {self.median(OURS, 'filled'):.0%} of the batch; nothing else counts")
        print(f"making a batch takes {self.median(OURS, 'making'):.1%} of a step of ours, which is in no row")

    def difference(self) -> float:
        """Largest difference between the losses of our fast and our plain steps, relative to the loss."""
        ours, plain = (self.all[name][0]["losses"] for name in (OURS, PLAIN))
        return max(abs(ours[step] - plain[step]) / plain[step] for step in ours.keys() & plain.keys())

    def write(self, file: Path | None, stage: str, steps: int) -> None:
        """The row of speed_table.py."""
        rate = self.median(OURS, "steps")
        each, baseline, ratio = f"{rate:,.1f} steps/s", "", None
        if stage == "pretrain":
            hours = steps / rate / 3600
            known = self.share(OURS, "square")
            share = f"{known:.0%} of the machine's operations" if known == known else "whose share of the machine's operations is not known"
            each = f"{self.median(OURS, 'tokens'):,.0f} predicted tokens/s, {share}; {steps:,} steps in {hours:,.1f} h"
        if TRAINER in self.all:
            baseline, ratio = f"Trainer: {self.median(TRAINER, 'steps'):,.1f} steps/s", self.ours_is_faster(TRAINER)
        check = ""
        if PLAIN in self.all:
            check = f"losses of fast and plain steps equal to {self.difference():.0e}; plain steps: {self.median(PLAIN, 'steps'):,.1f}/s"
        numbers = {name: self.median(OURS, name) for name in ("steps", "tokens", "operations", "memory", "making")}
        write_row(file, each, baseline, ratio, check, stage=stage, profile=self.all[OURS][0]["profile"], **numbers)


def main() -> None:
    command = parser(__doc__.splitlines()[0] if __doc__ else None, given_data=True)
    command.add_argument("--stage", choices=("pretrain", "task1"), default="pretrain", help="pretraining, or fine-tuning on questions")
    command.add_argument("--steps", type=int, default=30, help=f"measured steps a process, after {WARM_UP} others")
    command.add_argument("--repetitions", type=int, default=3, help="processes a variant")
    command.add_argument("--only", choices=VARIANTS, help="one variant in this process, as JSON; needs --data")
    command.add_argument("--profile", action="store_true", help="also what our steps spend their time on, for the row of --json")
    command.add_argument("--meet", nargs=2, metavar=("N", "FOLDER"), help="with --only: measure when N such processes are warm")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured, device = study(arguments.config), pick(arguments.device)
    if arguments.only:
        meeting = Meeting(int(arguments.meet[0]), Path(arguments.meet[1])) if arguments.meet else ALONE
        found = measure(arguments.only, configured, arguments.stage, arguments.data, arguments.steps, device, arguments.profile, meeting)
        print(json.dumps(found))
        return
    names = OF_DEVICE[device.type]
    if importlib.util.find_spec("accelerate") is None:
        names = [name for name in names if not VARIANTS[name][0]]
        print("The Trainer is left out: it needs the package accelerate (pip install accelerate).")
    options = ["--threads", str(arguments.threads), "--steps", str(arguments.steps), "--stage", arguments.stage, "--device", device.type]
    options += ["--profile"] if arguments.profile else []
    options += ["--config", *map(str, arguments.config)] if arguments.config else []
    recipe = getattr(configured, arguments.stage)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.data or make_data(configured, Path(name))
        found = Found(
            names,
            lambda variant: in_fresh_process(variant, folder, options),
            arguments.repetitions,
            lambda found: found.write(arguments.json, arguments.stage, recipe.steps),
        )
    found.print(f"Steps of {arguments.stage}, {recipe.batch_size} sequences a batch, {device.type}, median of {arguments.repetitions}")


if __name__ == "__main__":
    main()
