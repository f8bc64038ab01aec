"""Exact match by one forward pass (`forgetting.evaluation.exact.score`) against generating the answers, at equal results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from common import alternate, make_data, parser, pick, print_table, study, use_threads, write_row
from forgetting.config.sections import Optimizer, Schedule
from forgetting.data.items import Items
from forgetting.evaluation.exact import score
from forgetting.model.checkpoints import build_model, load_checkpoint
from forgetting.scenarios.biography.tokenizer import end_token, load_tokenizer
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train

LEARNED_UNITS = 10
TARGET_RATIO = 20


@torch.inference_mode()
def generated_exact_match(model: PreTrainedModel, questions: Items, batch_size: int) -> np.ndarray:
    """(n,) whether greedy generation gives each answer, end token included. Batches share one prompt length, so that none needs padding."""
    exact = np.zeros(len(questions), dtype=bool)
    lengths = questions.prompt_length.numpy()
    longest = int(questions.answer_length.max())
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for start in range(0, len(same), batch_size):
            rows = same[start : start + batch_size]
            prompt = questions.ids[torch.from_numpy(rows), :length].to(model.device)
            output = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=longest, pad_token_id=0)
            for row, tokens in zip(rows, output.cpu(), strict=True):
                answer = questions.ids[row, length : length + questions.answer_length[row]]
                exact[row] = torch.equal(tokens[length : length + len(answer)], answer)
    return exact


def learn_some(model: PreTrainedModel, questions: Items, steps: int) -> None:
    """Teach the answers about a few persons, so that right and wrong answers both occur."""
    batches = QuestionBatches(questions.of_units(np.unique(questions.unit)[:LEARNED_UNITS]), 32, seed=0)
    optimizer = Optimizer(name="adamw", learning_rate=2e-3, weight_decay=0.01)
    train(model, Plan(steps, batches, optimizer, Schedule(warmup_steps=10, final_fraction=1.0), frozenset([steps]), lambda step: None))


def main() -> None:
    command = parser(__doc__, given_data=True)
    command.add_argument("--repetitions", type=int, default=3)
    command.add_argument("--batch-size", type=int, help="questions; the configured evaluation.batch_size when not given")
    command.add_argument("--persons", type=int, default=100, help="persons of task0_test asked about")
    command.add_argument("--single", type=int, default=60, help="questions that are also generated one at a time; 0: none")
    command.add_argument("--train-steps", type=int, default=150, help="steps on ten persons' answers, for lack of a trained model")
    command.add_argument(
        "--results", type=Path, help="a finished seed such as results/laptop/seed0: its questions and its model after Task 0"
    )
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured = study(arguments.config)
    batch_size = arguments.batch_size or configured.evaluation.batch_size
    with tempfile.TemporaryDirectory() as name:
        data = arguments.results / "data" if arguments.results else arguments.data or make_data(configured, Path(name))
        questions = Items.load(data / "items.parquet").of("task0_test").first_units(arguments.persons)
        if arguments.results:
            model = load_checkpoint(arguments.results / "task0/model")
        else:
            tokenizer = load_tokenizer(data / "tokenizer")
            model = build_model(configured.model, tokenizer.get_vocab_size(), seed=0)
            learn_some(model.to(pick(arguments.device)), questions, arguments.train_steps)
        model.to(pick(arguments.device)).generation_config.eos_token_id = end_token(load_tokenizer(data / "tokenizer"))
    if model.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as between the steps of a training, for both ways
    rate, ratio = compare(model, questions, batch_size, arguments.single, arguments.repetitions, arguments.threads)
    seconds = len(questions) / rate
    measured, baseline = f"{len(questions):,} questions in {seconds:.2f} s", f"`generate` in batches: {seconds * ratio:.1f} s"
    write_row(arguments.json, measured, baseline, ratio, "exact match of every question, but for ties", seconds=seconds)


def compare(model: PreTrainedModel, questions: Items, batch_size: int, single: int, repetitions: int, threads: int) -> tuple[float, float]:
    """Time the ways in turns and print them; stops when they judge any question differently. Our questions a second, and how many times as
    many as `generate` in batches."""
    ours = score(model, questions, batch_size)["exact_match"].to_numpy()
    theirs = generated_exact_match(model, questions, batch_size)
    tolerated = 0 if model.device.type == "cpu" else len(questions) // 10_000  # where sums of a GPU differ between shapes, ties do, too
    if np.sum(ours != theirs) > tolerated:
        raise SystemExit(f"error: exact match differs on {np.sum(ours != theirs)} of {len(questions)} questions")
    longest = int(questions.answer_length.max())
    print(
        f"equal exact match on {np.sum(ours == theirs)} of {len(questions)} questions, {ours.sum()} right; longest answer {longest} tokens"
    )

    few = questions.select(np.linspace(0, len(questions) - 1, min(single, len(questions))).astype(int))
    counts = {f"generate, batches of {batch_size}": len(questions), "ours: one forward pass": len(questions)}
    ways: dict[str, Callable[[], object]] = {
        f"generate, batches of {batch_size}": lambda: generated_exact_match(model, questions, batch_size),
        "ours: one forward pass": lambda: score(model, questions, batch_size),
    }
    if single:
        ways["generate, one question at a time"] = lambda: generated_exact_match(model, few, 1)
        counts["generate, one question at a time"] = len(few)
    seconds = alternate(ways, repetitions)
    rate = {name: counts[name] / took for name, took in seconds.items()}
    best = rate["ours: one forward pass"]
    print_table(
        f"Exact match, {threads} threads, median of {repetitions} (target: ratio >= {TARGET_RATIO})",
        ["way", "questions/s", "ours is faster by"],
        [[name, value, best / value] for name, value in rate.items()],
    )
    return best, best / rate[f"generate, batches of {batch_size}"]


if __name__ == "__main__":
    main()
