"""A point of the loss landscape by shared prefixes (`forgetting.views.shared_prefix`) against a plain forward pass, at equal losses."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from common import make_data, now, parser, peak_memory, pick, print_table, study, use_threads, write_row
from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model, load_checkpoint
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.views.landscape import SPLITS, Layout, Plane, scores_on_plane, spread_questions
from forgetting.views.scores import AnswerScorer, PlainScorer
from forgetting.views.shared_prefix import PrefixScorer

TARGET_SECONDS = 60


def main() -> None:
    command = parser(__doc__, given_data=True)
    command.add_argument("--points", type=int, default=4, help="points a side that are measured; times are scaled to the grid")
    command.add_argument("--grid", type=int, nargs=2, default=(41, 41), metavar="N", help="points of the grid")
    command.add_argument("--repetitions", type=int, default=3)
    command.add_argument("--questions", type=int, default=48, help="questions a task")
    command.add_argument("--results", type=Path, help="a finished seed such as results/laptop/seed0: its questions and its model")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured = study(arguments.config)
    with tempfile.TemporaryDirectory() as name:
        data = arguments.results / "data" if arguments.results else arguments.data or make_data(configured, Path(name))
        questions = Items.load(data / "items.parquet")
        vocabulary = load_tokenizer(data / "tokenizer").get_vocab_size()
    model = load_checkpoint(arguments.results / "task0/model") if arguments.results else build_model(configured.model, vocabulary, seed=0)
    chosen = [spread_questions(questions.of(split), arguments.questions) for split in SPLITS.values()]
    model.to(pick(arguments.device))
    compare(model, chosen, arguments)


def compare(model: PreTrainedModel, groups: list[Items], arguments: argparse.Namespace) -> None:
    """Time both ways in turns on a random plane and print them; stops when any loss differs."""
    origin = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    points, (rows, columns) = arguments.points, arguments.grid
    generator = torch.Generator().manual_seed(0)
    corners = [origin + torch.randn(len(origin), generator=generator).to(origin.device) * 1e-3 for _ in range(2)]
    plane, axis = Plane.orthogonal(origin, *corners), np.linspace(0, 2, points)
    layout, questions = Layout.of(model), groups[0].joined_with(groups[1])
    scorer = PrefixScorer(model, questions, origin.device)

    def losses(scorer: AnswerScorer) -> np.ndarray:
        scores = scores_on_plane(scorer, layout, plane, axis, axis)
        return np.stack([scores.loss(split)[0] for split in SPLITS.values()], -1)

    shared, plain = partial(losses, scorer), partial(losses, PlainScorer(model, questions, origin.device))
    difference = np.abs(shared() - plain()).max()
    if difference > (1e-5 if origin.device.type == "cpu" else 1e-4) * np.abs(plain()).max():
        raise SystemExit(f"error: losses differ by {difference:.2g}")
    tokens = sum(int((split.prompt_length + split.answer_length).sum()) - len(split) for split in groups)
    print(f"losses equal to {difference:.1e}; {tokens:,} tokens, {sum(len(tree.token) for tree in scorer.trees):,} distinct prefixes")
    ways: dict[str, Callable[[], np.ndarray]] = {"plain forward passes": plain, "ours: shared prefixes": shared}
    wall, cpu = measure(ways, arguments.repetitions)
    best, share = cpu["ours: shared prefixes"], rows * columns / points**2
    settings = f"{len(groups[0])} questions a task, {arguments.threads} threads, median of {arguments.repetitions}"
    print_table(
        f"{rows} x {columns} points, {settings}, scaled from {points} x {points} (laptop's target: {TARGET_SECONDS} s on two free cores)",
        ["way", "seconds", "core-seconds", "core-seconds / 2", "ours is cheaper by"],
        [[way, wall[way] * share, cpu[way] * share, cpu[way] * share / 2, cpu[way] / best] for way in ways],
    )
    print(f"peak memory {peak_memory():.2f} GB")
    ours, theirs = wall["ours: shared prefixes"], wall["plain forward passes"]
    measured = f"{rows} x {columns} points, {len(groups[0])} questions a task: {ours * share:,.0f} s, scaled from {points} x {points}"
    baseline = f"plain forward passes: {theirs * share:,.0f} s"
    write_row(arguments.json, measured, baseline, theirs / ours, f"losses equal to {difference:.0e} nats", seconds=ours * share)


def measure(ways: dict[str, Callable[[], np.ndarray]], repetitions: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds and processor seconds of each way; they take turns. On a busy machine only the second means anything."""
    wall: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repetitions):
        for way, function in ways.items():
            started, used = now(), time.process_time()
            function()
            wall[way].append(now() - started)
            cpu[way].append(time.process_time() - used)
    return tuple({way: statistics.median(values) for way, values in each.items()} for each in (wall, cpu))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
