"""Several small fine-tunes on one device: processes side by side against one process that trains a stack of models with torch.func.

The stack makes one AdamW step of k models at once: `vmap` over stacked weights, each model with batches of its own. The processes run the
pipeline's own loop. Both start to count when every process has done its first steps.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from common import make_data, now, parser, pick, print_table, study, use_threads, write_row
from forgetting.config.study import StudyConfig
from forgetting.data.items import Questions
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.training.batches import Batch, Batches, QuestionBatches
from forgetting.training.loop import Plan, train

WARM_UP = 10
READY = "ready"


def batches_of(configured: StudyConfig, data: Path, seed: int) -> QuestionBatches:
    return QuestionBatches(Questions.load(data / "qa.parquet").of_groups("task1"), configured.task1.batch_size, seed)


def model_of(configured: StudyConfig, data: Path, seed: int) -> PreTrainedModel:
    return build_model(configured.model, load_tokenizer(data / "tokenizer").get_vocab_size(), seed)


def train_alone(configured: StudyConfig, data: Path, seed: int, steps: int, device: torch.device) -> None:
    """One of several processes: says that it is ready, waits for a line, and prints the seconds of its steps and its losses."""
    marks = []

    def mark(step: int) -> None:
        if step == WARM_UP:
            print(READY, flush=True)
            sys.stdin.readline()
        if step >= WARM_UP:
            marks.append(now())

    recipe, total = configured.task1, WARM_UP + steps
    source: Batches = batches_of(configured, data, seed)
    plan = Plan(total, source, recipe.optimizer, recipe.schedule, frozenset([WARM_UP, total]), mark, configured.precision)
    history = train(model_of(configured, data, seed).to(device), plan)
    print(marks[1] - marks[0], history.losses[history.steps.index(WARM_UP)])


def side_by_side(count: int, steps: int, options: list[str]) -> tuple[float, list[float]]:
    """Steps a second of `count` processes together, and the loss of each after its first steps."""
    command = [sys.executable, "-W", "ignore", __file__, *options]
    jobs = [
        subprocess.Popen([*command, "--seed", str(seed)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for seed in range(count)
    ]
    try:
        for job in jobs:
            assert job.stdout
            if not any(line.strip() == READY for line in iter(job.stdout.readline, "")):
                raise SystemExit("error: a process ended before its first steps")
        for job in jobs:
            assert job.stdin
            job.stdin.write("\n")
            job.stdin.flush()
        said = [job.communicate()[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    seconds, losses = zip(*(map(float, output.split()) for output in said), strict=True)
    return count * steps / max(seconds), list(losses)


class Stack:
    """`count` models with weights, moments and batches of their own, trained at once."""

    def __init__(self, configured: StudyConfig, data: Path, count: int, device: torch.device) -> None:
        self.models = [model_of(configured, data, seed).to(device).train() for seed in range(count)]
        self.sources = [batches_of(configured, data, seed) for seed in range(count)]
        self.weights, self.buffers = stack_module_state(self.models)
        self.base, self.device, self.bf16 = self.models[0], device, configured.precision == "bf16"
        if device.type == "cpu":
            self.base.set_attn_implementation("eager")  # vmap has no rule for the attention of processors and takes the models in turns
        output = self.base.get_output_embeddings().weight
        self.output = next(name for name, weight in self.base.named_parameters() if weight is output)
        recipe = configured.task1.optimizer
        decay = [{"params": [], "weight_decay": recipe.weight_decay}, {"params": [], "weight_decay": 0.0}]
        for weight in self.weights.values():
            decay[weight.ndim < 3]["params"].append(weight)
        betas = (recipe.beta1, recipe.beta2)
        self.optimizer = torch.optim.AdamW(decay, lr=recipe.learning_rate, betas=betas, eps=recipe.epsilon, fused=True)
        self.clip = recipe.gradient_clip

    def step(self, number: int) -> Tensor:
        """The losses (count,) of step `number`."""
        ids, places, targets = self.joined([source.batch(number) for source in self.sources])

        def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor], ids: Tensor, places: Tensor, target: Tensor) -> Tensor:
            call = {"input_ids": ids, "use_cache": False}
            inner = {name.removeprefix("gpt_neox."): value for name, value in weights.items() if name.startswith("gpt_neox.")}
            kept = {name.removeprefix("gpt_neox."): value for name, value in buffers.items()}
            hidden = functional_call(self.base.gpt_neox, (inner, kept), (), call).last_hidden_state
            logits = hidden.flatten(0, 1)[places] @ weights[self.output].T
            return cross_entropy(logits.float(), target, ignore_index=-100)

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            losses = vmap(loss)(self.weights, self.buffers, ids, places, targets)
        losses.sum().backward()
        norms = torch.stack([weight.grad.flatten(1).norm(dim=1) for weight in self.weights.values() if weight.grad is not None]).norm(dim=0)
        for weight in self.weights.values():
            if weight.grad is not None:
                weight.grad.mul_((self.clip / (norms + 1e-6)).clamp(max=1).view(-1, *[1] * (weight.ndim - 1)))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses.detach()

    def joined(self, batches: list[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (count, B, T), and of each model the flat places (count, m) that predict `targets` (count, m); -100 is padding."""
        width, most = max(batch.ids.shape[1] for batch in batches), max(len(batch.row) for batch in batches)
        ids = torch.stack([torch.nn.functional.pad(batch.ids, (0, width - batch.ids.shape[1])) for batch in batches])
        places, targets = torch.zeros(len(batches), most, dtype=torch.long), torch.full((len(batches), most), -100)
        for number, batch in enumerate(batches):
            places[number, : len(batch.row)] = batch.row * width + batch.position
            targets[number, : len(batch.row)] = batch.ids[batch.row, batch.position + 1]
        return ids.to(self.device), places.to(self.device), targets.to(self.device)


def stacked(configured: StudyConfig, data: Path, count: int, steps: int, device: torch.device) -> tuple[float, list[float]]:
    """The same as `side_by_side`, of one process with a stack."""
    stack = Stack(configured, data, count, device)
    for number in range(WARM_UP):
        losses = stack.step(number)
    start = now()
    for number in range(WARM_UP, WARM_UP + steps):
        stack.step(number)
    return count * steps / (now() - start), losses.tolist()


def main() -> None:
    command = parser(__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8], help="models at a time")
    command.add_argument("--steps", type=int, default=30, help=f"measured steps of each model, after {WARM_UP} others")
    command.add_argument("--repetitions", type=int, default=1, help="of each way and count, in turns")
    command.add_argument("--seed", type=int, help="train one model in this process, as one of several; needs --data")
    command.add_argument("--data", type=Path, help="a folder with the data stage's files; made when not given")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured, device = study(arguments.config), pick(arguments.device)
    if arguments.seed is not None:
        train_alone(configured, arguments.data, arguments.seed, arguments.steps, device)
        return
    options = [
        "--threads",
        "1" if device.type == "cpu" else str(arguments.threads),
        "--steps",
        str(arguments.steps),
        "--device",
        device.type,
    ]
    options += ["--config", *map(str, arguments.config)] if arguments.config else []
    with tempfile.TemporaryDirectory() as name:
        data = arguments.data or make_data(configured, Path(name))
        ways: dict[str, Callable[[int], tuple[float, list[float]]]] = {
            "processes side by side": lambda count: side_by_side(count, arguments.steps, [*options, "--data", str(data)]),
            "one process, a stack of models": lambda count: stacked(configured, data, count, arguments.steps, device),
        }
        found = {
            (way, count): [function(count) for _ in range(arguments.repetitions)]
            for count in arguments.counts
            for way, function in ways.items()
        }
    report(found, list(ways), arguments.counts, arguments.steps, device, arguments.json)


def report(
    found: dict[tuple[str, int], list[tuple[float, list[float]]]],
    ways: list[str],
    counts: list[int],
    steps: int,
    device: torch.device,
    file: Path | None,
) -> None:
    """Print the table, and hand the best of each way over."""
    rates = {key: statistics.median(rate for rate, _ in values) for key, values in found.items()}
    first = rates[ways[0], counts[0]]
    rows = [[way, count, rates[way, count], rates[way, count] / first] for way in ways for count in counts]
    print_table(f"Fine-tuning steps of all models together, {device.type}", ["way", "models", "steps/s", f"times {counts[0]} alone"], rows)
    difference = max(
        abs(one - other) / other
        for count in counts
        for one, other in zip(found[ways[0], count][0][1], found[ways[1], count][0][1], strict=True)
    )
    print(f"losses after {WARM_UP} steps equal to {difference:.0e}")
    best = {way: max(counts, key=lambda count, way=way: rates[way, count]) for way in ways}
    measured = "; ".join(f"{way}: {rates[way, best[way]]:,.0f} steps/s with {best[way]}" for way in ways)
    write_row(file, f"{measured}; alone {first:,.0f}", rates[ways[0], best[ways[0]]] / first, f"losses equal to {difference:.0e}")


if __name__ == "__main__":
    main()
