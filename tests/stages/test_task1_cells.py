"""An arm of Task 1 in another cell, about fewer units: what it is asked, and that a missing cell is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES, TINY_GROUPS

from forgetting.config.sections import Task1
from forgetting.data.task1 import questions_of_arm
from forgetting.model.checkpoints import save_checkpoint
from forgetting.scenarios.biography.cells import write_cells
from forgetting.schemas.facts import FACTS
from forgetting.stages.finetune import finetune
from forgetting.tables import TableError, read_table

UNITS = 5


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny data with Task 1 as statements."""
    folder = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    write_cells(jobs.data(data=sections.data(groups=TINY_GROUPS)), ["all-statement"], RESOURCES, folder)
    return folder


def training(steps: int) -> Task1:
    return sections.task1(
        steps=steps,
        batch_size=8,
        optimizer=sections.optimizer(learning_rate=1e-2),
        evaluate=[(10, 10)],
        evaluate_later=steps,
        checkpoints=[(10, 10)],
        later_checkpoints=1,
    )


def test_task1_is_asked_in_the_form_that_it_trains_and_is_learned(data: Path, tiny_model, tmp_path: Path) -> None:
    save_checkpoint(tiny_model, tmp_path / "start")
    entry = {"method": "seq", "task1_format": "statement", "units": UNITS}
    finetune(jobs.task1(training(120), entry), data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "out")
    facts = read_table(tmp_path / "out/facts.parquet", FACTS)
    first = sorted(set(questions_of_arm(data, None, None).of("task1").unit))[:UNITS]
    of_task1 = facts[facts["split"] == "task1"]
    assert sorted(of_task1["unit"].unique()) == first
    right = of_task1.groupby("step")["exact_match"].mean()
    assert right[0] < 0.1 and right[120] > 0.9, "its own sentences are what it learns"
    assert facts.groupby(["step", "split"]).size().loc[(0, "task0_test")] == 6 * TINY_GROUPS.task0_test, "Task 0 is asked as ever"


def test_a_cell_that_was_not_written_is_named(tiny_data: Path) -> None:
    with pytest.raises(TableError, match=r"cells/half-other\.parquet: no such file"):
        questions_of_arm(tiny_data, "half-other", None)
