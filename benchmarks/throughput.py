"""Training steps of pretraining: our loop, what its parts save, a plain Hugging Face Trainer, and the machine's own matrix products.

Every variant runs in a fresh process, since the setting of the memory allocator holds for a whole process. The variants take turns. Each
process measures the rate of float32 matrix products just before and after its steps.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPTNeoXForCausalLM

from common import Opened, make_data, parser, print_table, study, use_threads
from forgetting.command import keep_freed_memory
from forgetting.config import StudyConfig
from forgetting.model import build_model
from forgetting.tokens import Biographies
from forgetting.training import loop
from forgetting.training.accounting import Work
from forgetting.training.batches import Batch, Batches, BiographyBatches

OURS, TRAINER = "our loop", "Hugging Face Trainer"
VARIANTS = {  # name: (uses the Trainer, chunked cross-entropy, freed memory is kept)
    OURS: (False, True, True),
    f"{OURS}, whole logits": (False, False, True),
    f"{OURS}, freed memory given back": (False, True, False),
    TRAINER: (True, False, False),
    f"{TRAINER}, freed memory kept": (True, False, True),
}
WARM_UP = 5
SQUARE = 2048
TARGET_SHARE = 0.65


@dataclass
class Steps(Batches):
    """Batches made in advance, with the time at which each was asked for."""

    batches: list[Batch]
    times: list[float] = field(default_factory=list)

    def batch(self, step: int) -> Batch:
        self.times.append(time.perf_counter())
        return self.batches[step]


def whole_logits_loss(hidden: Tensor, weight: Tensor, target: Tensor, share: None = None) -> Tensor:
    """What `linear_cross_entropy` replaces."""
    return functional.cross_entropy(hidden @ weight.T, target)


def make_batches(configured: StudyConfig, folder: Path, steps: int) -> tuple[list[Batch], int, float]:
    """The first batches of the configured pretraining, the size of the vocabulary, and the seconds that a batch took to make."""
    data = Opened.of(folder)
    fixed = Biographies.load(folder / "biographies.arrow").rows
    source = BiographyBatches(configured.pretrain, configured.data, data.renderer, data.pretrained, fixed, 0, data.end)
    start = time.perf_counter()
    batches = [source.batch(step) for step in range(steps)]
    return batches, data.tokenizer.get_vocab_size(), (time.perf_counter() - start) / steps


def run_loop(model: GPTNeoXForCausalLM, configured: StudyConfig, batches: list[Batch]) -> list[float]:
    """Times of the beginnings of all steps."""
    source = Steps(batches)
    recipe = configured.pretrain
    plan = loop.Plan(len(batches), source, recipe.optimizer, recipe.schedule, frozenset([len(batches)]), lambda step: None)
    loop.train(model, plan)
    return source.times


def run_trainer(model: GPTNeoXForCausalLM, configured: StudyConfig, batches: list[Batch], folder: Path) -> list[float]:
    """The same sequences in batches of the same size, as anyone would train on them; times of the beginnings of all steps."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    # Padding only follows the last predicted token of a row: the sequences are cut there.
    ends = [torch.zeros(len(batch.ids), dtype=torch.long).index_reduce_(0, batch.row, batch.position + 2, "amax") for batch in batches]
    rows = [row[:end] for batch, stop in zip(batches, ends, strict=True) for row, end in zip(batch.ids, stop.tolist(), strict=True)]

    def collate(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        sequences = [example["input_ids"] for example in examples]
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(sequences, batch_first=True, padding_value=0),
            "labels": pad(sequences, batch_first=True, padding_value=-100),
            "attention_mask": pad([torch.ones_like(sequence) for sequence in sequences], batch_first=True, padding_value=0),
        }

    times = []

    class Stamp(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    recipe, optimizer = configured.pretrain, configured.pretrain.optimizer
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
        use_cpu=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    dataset: Any = [{"input_ids": row} for row in rows]
    Trainer(model, settings, data_collator=collate, train_dataset=dataset, callbacks=[Stamp()]).train()
    return times


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


def operations(model: GPTNeoXForCausalLM, batch: Batch) -> float:
    """What a step on a batch needs, as training jobs count it: 6 for each token and matrix weight behind the input embedding, and causal
    attention. Padding is work that nobody asked for, so it does not count."""
    return Work(model).of(batch)[1]


def measure(name: str, configured: StudyConfig, folder: Path, steps: int) -> dict[str, float]:
    """Run one variant in this process."""
    uses_trainer, chunked, keeps_memory = VARIANTS[name]
    if keeps_memory:
        keep_freed_memory()
    if not chunked:
        loop.linear_cross_entropy = whole_logits_loss
    batches, vocabulary, making = make_batches(configured, folder, WARM_UP + steps + 1)
    model = build_model(configured.model, vocabulary, seed=0)
    hidden, tokens = configured.model.hidden_size, batches[0].ids.numel()

    def rates() -> tuple[float, float]:
        return product_rate(SQUARE, SQUARE, SQUARE), product_rate(tokens, hidden, 4 * hidden)

    before = rates()
    times = run_trainer(model, configured, batches, folder / "trainer") if uses_trainer else run_loop(model, configured, batches)
    after = rates()
    measured = batches[WARM_UP:-1]
    seconds = times[WARM_UP + steps] - times[WARM_UP]
    return {
        "tokens": sum(len(batch.row) for batch in measured) / seconds,
        "filled": sum(len(batch.row) for batch in measured) / sum(batch.ids.numel() for batch in measured),
        "operations": sum(operations(model, batch) for batch in measured) / seconds,
        "square": (before[0] + after[0]) / 2,
        "shaped": (before[1] + after[1]) / 2,
        "making": making / (seconds / steps),
    }


def in_fresh_process(name: str, folder: Path, options: list[str]) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", __file__, "--only", name, "--data", str(folder), *options]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(names: list[str], run: Callable[[str], dict[str, float]], repetitions: int, title: str) -> None:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(repetitions):
        for name in names:
            found[name].append(run(name))

    def median(name: str, key: str) -> float:
        return statistics.median(values[key] for values in found[name])

    def share(name: str, rate: str) -> float:
        return statistics.median(values["operations"] / values[rate] for values in found[name])

    def ours_is_faster(name: str) -> float:
        """Ratio of each turn, then the median: a turn's processes ran at nearly the same time."""
        return statistics.median(ours["tokens"] / other["tokens"] for ours, other in zip(found[OURS], found[name], strict=True))

    rows = [
        [name, median(name, "tokens"), ours_is_faster(name), median(name, "operations") / 1e9, share(name, "square"), share(name, "shaped")]
        for name in names
    ]
    columns = ["variant", "tokens/s", "ours is faster by", "GFLOP/s", "share of square products", "share of products of the model's shape"]
    print_table(f"{title} (target: a share >= {TARGET_SHARE})", columns, rows)
    rates = {key: statistics.median(values[key] for every in found.values() for values in every) / 1e9 for key in ("square", "shaped")}
    print(f"float32 products: {rates['square']:.1f} GFLOP/s square, {rates['shaped']:.1f} GFLOP/s of the model's shape")
    print(
        f"tokens that are predicted: {median(OURS, 'filled'):.0%} of the batch; the rest is padding and ends of rows, which does not count"
    )
    print(f"making a batch takes {median(OURS, 'making'):.1%} of a step, which is in no row")


def main() -> None:
    command = parser(__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--steps", type=int, default=30, help=f"measured steps a process, after {WARM_UP} others")
    command.add_argument("--repetitions", type=int, default=3, help="processes a variant")
    command.add_argument("--only", choices=VARIANTS, help="one variant in this process, as JSON; needs --data")
    command.add_argument("--data", type=Path, help="a folder with the data stage's files; made when not given")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured = study(arguments.config)
    if arguments.only:
        print(json.dumps(measure(arguments.only, configured, arguments.data, arguments.steps)))
        return
    names = list(VARIANTS)
    if importlib.util.find_spec("accelerate") is None:
        names = [name for name in names if not VARIANTS[name][0]]
        print("The Trainer is left out: it needs the package accelerate (pip install accelerate).")
    options = ["--threads", str(arguments.threads), "--steps", str(arguments.steps)]
    options += ["--config", str(arguments.config)] if arguments.config else []
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.data or make_data(configured, Path(name))
        recipe = configured.pretrain
        title = f"Pretraining steps, {recipe.batch_size} sequences a batch, {arguments.threads} threads, median of {arguments.repetitions}"
        report(names, lambda variant: in_fresh_process(variant, folder, options), arguments.repetitions, title)


if __name__ == "__main__":
    main()
