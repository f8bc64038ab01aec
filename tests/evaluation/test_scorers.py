"""What every scorer promises."""

from __future__ import annotations

import pandas as pd
import pytest

from forgetting.data.items import Items
from forgetting.evaluation.scorers import SCORERS
from forgetting.intervals import summarise


@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_gives_a_row_a_question_and_what_it_says_it_measures(name: str, tiny_model, tiny_questions: Items) -> None:
    scorer, asked = SCORERS[name], tiny_questions.of("task0_test", "task1")
    measures = scorer.measures
    facts = scorer(tiny_model, asked, batch_size=16)
    assert measures.accuracy in measures.proportions
    assert facts[["unit", "split", "kind"]].to_numpy().tolist() == [
        list(row) for row in zip(asked.unit, asked.split, asked.kind, strict=True)
    ]
    assert all(facts[column].isin([0, 1]).all() for column in measures.proportions)
    assert facts[measures.columns].notna().all().all()
    pd.testing.assert_frame_equal(facts, scorer(tiny_model, asked, batch_size=16))
    assert set(summarise(facts, [], measures)["metric"]) == set(measures.columns)
