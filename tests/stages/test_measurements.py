from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections
from tests.conftest import TINY_GROUPS

from forgetting.config.sections import ATTRIBUTES
from forgetting.data.items import Questions
from forgetting.methods.base import Setting
from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.facts import FACTS
from forgetting.schemas.metrics import METRICS
from forgetting.stages import measurements
from forgetting.stages.measurements import Task1Exam
from forgetting.stages.task1 import finetune_task1
from forgetting.tables import read_table

LIMIT = 5
"""Persons a group; Task 1 has more."""


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A model that answers right what is asked about the persons in `persons`, and nothing else."""
    known: dict[str, np.ndarray] = {"persons": np.array([], dtype=int)}

    def score(model: Any, questions: Questions, batch_size: int) -> pd.DataFrame:
        right = np.isin(questions.person, known["persons"])
        return pd.DataFrame(
            {"exact_match": right, "first_token_hard": right, "first_token_soft": right.astype("f4"), "answer_nll": (~right).astype("f4")}
        )

    monkeypatch.setattr(measurements, "score", score)
    return known


def task1_persons(questions: Questions) -> np.ndarray:
    return np.unique(questions.person[questions.group == "task1"])


def test_a_model_that_learned_only_the_first_persons_has_not_learned_task_1(knows: dict, tiny_questions: Questions) -> None:
    exam = Task1Exam(tiny_questions, LIMIT, 0.9, 64)
    persons = task1_persons(tiny_questions)
    knows["persons"] = persons[:LIMIT]
    facts = exam.facts(torch.nn.Identity())
    assert not exam.learned(facts)
    assert measurements.facts_frame(facts, exam.questions).query("group == 'task1'")["exact_match"].mean() == LIMIT / len(persons)
    knows["persons"] = persons
    assert exam.learned(exam.facts(torch.nn.Identity()))


def test_all_persons_of_task_1_are_asked_once_most_of_the_first_are_known_and_of_other_groups_never_more(
    knows: dict, tiny_questions: Questions
) -> None:
    exam = Task1Exam(tiny_questions, LIMIT, 0.9, 64)
    persons = task1_persons(tiny_questions)
    for known, asked in ((3, LIMIT), (4, len(persons))):  # 0.6 and 0.8 of the first five; three quarters of 0.9 is 0.675
        knows["persons"] = persons[:known]
        frame = measurements.facts_frame(exam.facts(torch.nn.Identity()), exam.questions)
        counts = frame.groupby("group")["person"].nunique()
        assert counts["task1"] == asked
        assert (counts.drop("task1") == [min(LIMIT, getattr(TINY_GROUPS, group)) for group in counts.drop("task1").index]).all()
        assert not frame.duplicated(["person", "attribute"]).any() and len(frame) == len(ATTRIBUTES) * counts.sum()
        assert frame.loc[frame["exact_match"], "person"].isin(persons[:known]).all()


def test_an_early_stop_counts_every_person_of_task_1(
    knows: dict, tiny_setting: Setting, tiny_questions: Questions, tiny_data: Path, tmp_path: Path
) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    config = tiny_setting.training.model_copy(update={"steps": 6, "early_stop_accuracy": 0.9})
    run = jobs.task1(config)
    run = run.model_copy(update={"evaluation": sections.evaluation(persons_per_group=LIMIT)})
    persons = task1_persons(tiny_questions)
    for known, stop in ((persons[:LIMIT], np.nan), (persons, 0.0)):
        knows["persons"] = known
        finetune_task1(run, tiny_data, tmp_path / "start", tmp_path / "scratch", tmp_path / "out")
        metrics = read_table(tmp_path / "out/metrics.parquet", METRICS)
        row = metrics[metrics["metric"] == "early_stop_step"].iloc[0]
        np.testing.assert_equal(row["value"], stop)
        assert row["n"] == len(ATTRIBUTES) * len(persons)
        assert read_table(tmp_path / "out/facts.parquet", FACTS).query("group == 'task1'")["person"].nunique() == len(persons)
