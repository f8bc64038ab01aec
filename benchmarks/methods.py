"""Optimizer steps of every Task 1 method against those of `seq`, and what each prepares once before Task 1."""

from __future__ import annotations

import copy
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from common import make_data, parser, print_table, seconds_of, start_as_jobs_do, study, use_threads
from forgetting.config.study import StudyConfig
from forgetting.data.items import Items
from forgetting.methods.base import Method, Setting, build_method
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.people import held_out_names
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train

ARMS = ("seq", "replay-20", "replay-ratio-50", "joint", "ewc-1e0", "lamol-20", "projection-exact", "projection-gpm-97", "freeze-2")
TARGET_RATIO = 1.5


def setting_of(configured: StudyConfig, folder: Path) -> Setting:
    """Task 1 of seed 0 on a model with random weights: the speed does not depend on what it has learned."""
    questions, tokenizer = Items.load(folder / "items.parquet"), load_tokenizer(folder / "tokenizer")
    return Setting(
        model=build_model(configured.model, tokenizer.get_vocab_size(), seed=0),
        task0_train=questions.of("task0_train"),
        task1=QuestionBatches(questions.of("task1"), configured.task1.batch_size, seed=0),
        training=configured.task1,
        precision=configured.precision,
        seed=0,
        tokenizer=tokenizer,
        held_out=held_out_names(folder),
    )


def run(method: Method, steps: int) -> None:
    """`steps` of Task 1; the first ones build the optimizer's state, as in any run."""
    training = method.setting.training
    train(
        method.setting.model,
        Plan(steps, method.batches(), training.optimizer, training.schedule, frozenset([steps]), lambda step: None, hooks=method),
    )


def main() -> None:
    command = parser(__doc__, given_data=True)
    command.set_defaults(threads=1)
    command.add_argument("--arms", nargs="+", default=list(ARMS), help="arms of config/methods.yaml; seq is always measured")
    command.add_argument("--steps", type=int, default=40, help="steps a turn")
    command.add_argument("--repetitions", type=int, default=5, help="turns of each arm")
    arguments = command.parse_args()
    start_as_jobs_do()
    use_threads(arguments.threads)
    configured = study(arguments.config)
    names = list(dict.fromkeys(["seq", *arguments.arms]))
    methods, preparation = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        setting = setting_of(configured, arguments.data or make_data(configured, Path(folder)))
    for name in names:
        methods[name] = build_method(configured.methods[name])
        own = replace(setting, model=copy.deepcopy(setting.model))
        preparation[name] = seconds_of(lambda name=name, own=own: methods[name].before_task(own))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.repetitions):
        for name, method in methods.items():
            seconds[name].append(seconds_of(lambda method=method: run(method, arguments.steps)) / arguments.steps)
    rows = []
    for name in names:
        ratios = [ours / plain for ours, plain in zip(seconds[name], seconds["seq"], strict=True)]
        rows.append(
            [name, 1000 * statistics.median(seconds[name]), statistics.median(ratios), preparation[name], methods[name].stored_bytes / 1e6]
        )
    columns = ["arm", "ms a step", f"against seq (target <= {TARGET_RATIO})", "preparation, s", "stored, MB"]
    print_table(f"Task 1 steps, {arguments.threads} thread(s)", columns, rows)


if __name__ == "__main__":
    main()
