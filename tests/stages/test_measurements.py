from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections
from tests.conftest import TINY_GROUPS

from forgetting.config.biography import ATTRIBUTES
from forgetting.data.items import Items
from forgetting.evaluation.scorers import SCORERS, TeacherForced
from forgetting.methods.base import Setting
from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.facts import FACTS
from forgetting.schemas.metrics import METRICS
from forgetting.stages import measurements
from forgetting.stages.finetune import finetune
from forgetting.stages.measurements import Exam
from forgetting.tables import read_table

LIMIT = 5
"""Persons a group; Task 1 has more."""


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A model that answers right what is asked about the persons in `persons`, and nothing else."""
    known: dict[str, np.ndarray] = {"persons": np.array([], dtype=int)}

    def score(model: Any, questions: Items, batch_size: int) -> pd.DataFrame:
        right = np.isin(questions.unit, known["persons"])
        return pd.DataFrame(
            {"exact_match": right, "first_token_hard": right, "first_token_soft": right.astype("f4"), "answer_nll": (~right).astype("f4")}
        )

    monkeypatch.setattr(TeacherForced, "__call__", lambda self, *asked: score(*asked))
    return known


def task1_units(questions: Items) -> np.ndarray:
    return np.unique(questions.unit[questions.split == "task1"])


def test_a_model_that_learned_only_the_first_persons_has_not_learned_task_1(knows: dict, tiny_questions: Items) -> None:
    exam = Exam(SCORERS["exact"], tiny_questions, LIMIT, 0.9, 64)
    units = task1_units(tiny_questions)
    knows["persons"] = units[:LIMIT]
    facts = exam.facts(torch.nn.Identity(), at_an_end=False)
    assert not exam.learned(facts)
    assert measurements.facts_frame(facts, exam.questions).query("split == 'task1'")["exact_match"].mean() == LIMIT / len(units)
    knows["persons"] = units
    assert exam.learned(exam.facts(torch.nn.Identity(), at_an_end=False))


def test_all_persons_of_task_1_are_asked_once_most_of_the_first_are_known_and_of_other_groups_never_more(
    knows: dict, tiny_questions: Items
) -> None:
    exam = Exam(SCORERS["exact"], tiny_questions, LIMIT, 0.9, 64)
    units = task1_units(tiny_questions)
    for known, asked in ((3, LIMIT), (4, len(units))):  # 0.6 and 0.8 of the first five; three quarters of 0.9 is 0.675
        knows["persons"] = units[:known]
        frame = measurements.facts_frame(exam.facts(torch.nn.Identity(), at_an_end=False), exam.questions)
        counts = frame.groupby("split")["unit"].nunique()
        assert counts["task1"] == asked
        assert (counts.drop("task1") == [min(LIMIT, getattr(TINY_GROUPS, split)) for split in counts.drop("task1").index]).all()
        assert not frame.duplicated(["unit", "kind"]).any() and len(frame) == len(ATTRIBUTES) * counts.sum()
        assert frame.loc[frame["exact_match"], "unit"].isin(units[:known]).all()


def test_an_early_stop_counts_every_person_of_task_1(
    knows: dict, tiny_setting: Setting, tiny_questions: Items, tiny_data: Path, tmp_path: Path
) -> None:
    save_checkpoint(tiny_setting.model, tmp_path / "start")
    config = tiny_setting.training.model_copy(update={"steps": 6, "early_stop_accuracy": 0.9})
    run = jobs.task1(config)
    run = run.model_copy(update={"evaluation": sections.evaluation(units_per_split=LIMIT)})
    units = task1_units(tiny_questions)
    for known, stop in ((units[:LIMIT], np.nan), (units, 0.0)):
        knows["persons"] = known
        finetune(run, tiny_data, [tmp_path / "start"], tmp_path / "scratch", tmp_path / "out")
        metrics = read_table(tmp_path / "out/metrics.parquet", METRICS)
        row = metrics[metrics["metric"] == "early_stop_step"].iloc[0]
        np.testing.assert_equal(row["value"], stop)
        assert row["n"] == len(ATTRIBUTES) * len(units)
        assert read_table(tmp_path / "out/facts.parquet", FACTS).query("split == 'task1'")["unit"].nunique() == len(units)
