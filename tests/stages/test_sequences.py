"""The stages of a sequence of tasks: what a run starts from, what it is asked, and how its earlier tasks are recovered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections
from tests.conftest import RESOURCES

from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.config.sections import Task1
from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model, load_weights, save_checkpoint
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.schemas.facts import FACTS
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.stages.finetune import finetune
from forgetting.stages.recovery import recovered_with
from forgetting.stages.sequence import recover_earlier, recover_unlearned
from forgetting.tables import read_table

GROUPS = sections.groups(task0_train=6, task0_val=2, task0_test=4, task1=6, control=2, probe=2, task2=4, task3=4)
TASKS = ("task1", "task2", "task3")
LIMIT = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build_data(jobs.data(data=sections.data(groups=GROUPS)), RESOURCES, folder)
    return folder


@pytest.fixture(scope="module")
def start(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    save_checkpoint(build_model(sections.model(), load_tokenizer(data / "tokenizer").get_vocab_size(), 0), folder)
    return folder


def training(steps: int) -> Task1:
    """With evaluations at every second step."""
    return sections.task1(
        steps=steps,
        batch_size=8,
        optimizer=sections.optimizer(learning_rate=1e-3),
        evaluate=[(steps, 2)],
        evaluate_later=steps,
        checkpoints=[],
        later_checkpoints=1,
        early_stop_accuracy=0.9,
    )


def run(task: str, data: Path, starts: list[Path], folder: Path, **said: Any) -> Path:
    """Learn a task in six steps, with evaluations at 0, 2, 4 and 6; the folder of its last weights."""
    evaluation = sections.evaluation(units_per_split=LIMIT)
    job = jobs.task1(training(6), stage=task, tasks=TASKS, every_checkpoint=False, evaluation=evaluation, **said)
    finetune(job, data, starts, folder / "scratch", folder / task)
    return folder / task / "checkpoints/step-000006"


@pytest.fixture(scope="module")
def sequence(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the first two runs."""
    folder = tmp_path_factory.mktemp("sequence")
    first = run("task1", data, [start], folder, checkpoint_precision="bfloat16")
    run("task2", data, [start, first], folder)
    return folder


def units_asked(folder: Path, step: int) -> dict[str, int]:
    facts = read_table(folder / "facts.parquet", FACTS)
    return facts[facts["step"] == step].groupby("split")["unit"].nunique().to_dict()


def test_between_its_ends_a_run_is_asked_the_first_units_of_all_but_later_tasks(sequence: Path) -> None:
    few = {"task0_train": LIMIT, "task0_val": 2, "task0_test": LIMIT, "control": 2, "task1": LIMIT, "task2": LIMIT}
    assert units_asked(sequence / "task2", 4) == few
    assert units_asked(sequence / "task1", 4) == {name: units for name, units in few.items() if name != "task2"}


def test_at_its_ends_all_units_of_all_tasks_are_asked(sequence: Path) -> None:
    for task in ("task1", "task2"):
        for step in (0, 6):
            asked = units_asked(sequence / task, step)
            assert {name: asked[name] for name in TASKS} == {"task1": 6, "task2": 4, "task3": 4}
            assert asked["task0_test"] == LIMIT


def test_a_task_starts_where_the_one_before_ended(sequence: Path) -> None:
    before, after = (read_table(sequence / task / "facts.parquet", FACTS) for task in ("task1", "task2"))
    ends = [frame[frame["step"] == step].set_index(["unit", "kind"])["answer_nll"] for frame, step in ((before, 6), (after, 0))]
    ends = [end.sort_index() for end in ends]
    pd.testing.assert_series_equal(*ends, rtol=1e-4)


def test_weights_that_another_task_starts_from_are_kept_whole(sequence: Path) -> None:
    """Whatever precision is asked for; of those that nothing starts from it is what was asked for."""
    end, matched = (load_weights(sequence / "task1/checkpoints" / name) for name in ("step-000006", "matched"))
    assert {value.dtype for value in end.values()} == {torch.float32}
    assert any(not torch.equal(value, value.bfloat16().float()) for value in end.values())
    assert matched.keys() == end.keys()


def test_the_early_stop_is_of_the_task_itself(sequence: Path) -> None:
    metrics = read_table(sequence / "task2/metrics.parquet", METRICS)
    (row,) = metrics[metrics["metric"] == "early_stop_step"].to_dict("records")
    assert row["split"] == "task2" and row["n"] == 4 * 6 and set(metrics["stage"]) == {"task2"}


def test_a_task_alone_is_asked_nothing_of_the_others(data: Path, start: Path, tmp_path: Path) -> None:
    job = jobs.task1(training(2), stage="task3", tasks=("task3",), arm="alone", every_checkpoint=False)
    finetune(job, data, [start], tmp_path / "scratch", tmp_path / "out")
    assert set(units_asked(tmp_path / "out", 2)) == {"task0_train", "task0_val", "task0_test", "control", "task3"}


def test_an_earlier_task_is_recovered_on_half_of_its_units_and_asked_about_the_rest(data: Path) -> None:
    questions = Items.load(data / "items.parquet")
    trained, asked = (set(each.unit.tolist()) for each in recovered_with(questions, "task1", 0))
    everyone = set(questions.of("task1").unit.tolist())
    assert len(trained) == len(asked) == 3 and not trained & asked and trained | asked == everyone
    assert recovered_with(questions, "task1", 1)[0].unit.tolist() != sorted(trained)
    trained0, asked0 = recovered_with(questions, "task0", 0)
    assert set(trained0.split) == {"task0_train"} and set(asked0.split) == {"task0_test", "control"}


def recovery_job(**said: Any) -> SequenceRecoveryJob:
    given = {"scale": "tiny", "seed": 0, "arm": "seq", "precision": "float32", "checkpoint_precision": "float32"}
    training = sections.recovery(batch_size=8, optimizer=sections.optimizer(learning_rate=1e-3), evaluate_steps=[1, 2])
    return SequenceRecoveryJob(recovery=training, evaluation=sections.evaluation(), **given | said)


def test_every_earlier_task_is_recovered_from_the_end(data: Path, sequence: Path, tmp_path: Path) -> None:
    recover_earlier(recovery_job(learned="task2", tasks=("task1",)), data, sequence / "task2", tmp_path / "scratch", tmp_path / "out")
    assert not (tmp_path / "scratch").exists()
    metrics = read_table(tmp_path / "out/metrics.parquet", RECOVERY)
    rows = metrics[(metrics["metric"] == "exact_match") & (metrics["kind"] == "all")]
    assert set(rows["start"]) == {"task2"} and set(rows["checkpoint"]) == {6}
    shuffled, rows = (rows[(rows["training"] == "shuffled") == which] for which in (True, False))
    assert {(row.split, row.step) for row in shuffled.itertuples()} >= {("task0_test", 0), ("task0_test", 5), ("task1", 0), ("task1", 3)}
    steps = {split: group.sort_values("step")[["step", "epochs"]].to_numpy().tolist() for split, group in rows.groupby("split")}
    # Six persons of Task 0 are 36 questions, 5 batches of 8; half of task 1 are 18, 3 batches.
    assert [step for step, _ in steps["task0_test"]] == [0, 1, 2, 5] and [step for step, _ in steps["task1"]] == [0, 1, 2, 3]
    assert steps["task1"][-1][1] == 1.0
    facts = read_table(tmp_path / "out/facts.parquet", RECOVERY_FACTS)
    assert facts[facts["split"] == "task1"]["unit"].nunique() == 3
    cost = metrics[metrics["split"] == "train"].set_index("metric")
    assert (cost["epochs"] == 4.0).all() and cost.loc["trained_tokens", "value"] > 0


def test_what_never_learned_a_task_is_recovered_alike(data: Path, start: Path, tmp_path: Path) -> None:
    job = recovery_job(learned=None, tasks=("task1", "task2"), arm="controls")
    recover_unlearned(job, data, start, start, tmp_path / "scratch", tmp_path / "out")
    rows = read_table(tmp_path / "out/metrics.parquet", RECOVERY)
    rows = rows[(rows["metric"] == "exact_match") & (rows["kind"] == "all") & np.isclose(rows["epochs"], 1)]
    found = {(row.start, row.split) for row in rows.itertuples()}
    later = {(start, task) for start in ("pretrained", "random", "task1") for task in ("task1", "task2")}
    assert found == later | {(start, split) for start in ("pretrained", "random") for split in ("task0_test", "control")}
    assert not rows.duplicated(["start", "split"]).any()


@pytest.mark.parametrize(
    "method",
    [
        {"method": "ewc", "penalty": 1.0},
        {"method": "gradient_projection", "rule": "gpm"},
        {"method": "lamol", "pseudo_share": 0.2, "language_loss": 0.25},
        {"method": "replay", "share": 0.5, "mix": "batch"},
    ],
    ids=lambda entry: entry["method"],
)
def test_methods_learn_a_second_task(method: dict[str, Any], data: Path, start: Path, sequence: Path, tmp_path: Path) -> None:
    """They prepare on Task 0 and task 1, and store something of both."""
    run("task2", data, [start, sequence / "task1/checkpoints/step-000006"], tmp_path, method=method, arm="mine")
    numbers = read_table(tmp_path / "task2/metrics.parquet", METRICS).set_index("metric")["value"]
    expected = {"ewc": (6 + 6) * 6, "gradient_projection": (6 + 6) * 6, "lamol": round(0.2 * 4 * 6), "replay": 0}
    assert numbers["prepared_rows"] == expected[method["method"]]
    assert (numbers["stored_bytes"] > 0) == (method["method"] != "lamol")
