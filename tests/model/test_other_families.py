"""Models of families that have no anatomy: trained, asked, diagnosed and advised on through their own head."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests import diagnosed
from tests.advised import advice_job, advised
from tests.diagnosed import diagnose, job, new_rows, old_rows, save, write_rows
from tests.families import OTHERS, family_model, other_model
from torch.nn.functional import cross_entropy

from forgetting.config.sections import Optimizer, Schedule
from forgetting.errors import StudyError
from forgetting.evaluation.choice import sequences
from forgetting.evaluation.exact import score
from forgetting.model.anatomy import is_known, logits_at, output_weight
from forgetting.training.batches import Batch, QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.step import BatchLoss

VOCABULARY = 50
IDS = torch.tensor([[3, 7, 11, 19, 0], [5, 2, 23, 29, 31]])
ROW, POSITION = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 3])
QUESTIONS = sequences([[3, 7], [5, 2, 23]], [[11, 19], [29, 31]])
"""The rows of IDS."""
every_other = pytest.mark.parametrize("family", OTHERS)


@pytest.mark.parametrize("family", ["gpt_neox", "llama", *OTHERS])
def test_logits_are_those_of_the_model_itself(family: str) -> None:
    model = family_model(family, VOCABULARY) if family not in OTHERS else other_model(family, VOCABULARY)
    assert is_known(model.config) == (family not in OTHERS)
    with torch.no_grad():
        assert torch.allclose(logits_at(model, IDS, ROW, POSITION), model(IDS).logits[ROW, POSITION], atol=1e-5)


@every_other
def test_questions_are_scored_as_one_at_a_time(family: str) -> None:
    model = other_model(family, VOCABULARY)
    found = score(model, QUESTIONS, batch_size=2)
    for row, (start, stop) in enumerate(((2, 4), (3, 5))):
        with torch.no_grad():
            whole = model(IDS[[row], :stop]).logits[0].log_softmax(-1)
        expected = -sum(float(whole[place - 1, IDS[row, place]]) for place in range(start, stop)) / 2
        assert found["answer_nll"][row] == pytest.approx(expected, rel=1e-4)


@every_other
def test_a_step_of_training_is_that_of_the_library(family: str) -> None:
    """One step of AdamW on the mean loss of the answers, with the gradient clipped, by plain torch."""
    model = other_model(family, VOCABULARY)
    expected = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(expected.parameters(), 1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0)
    rows, places = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2, 2, 3])
    cross_entropy(expected(IDS).logits[rows, places], IDS[rows, places + 1]).backward()
    torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    optimizer.step()
    plan = Plan(
        1,
        QuestionBatches(QUESTIONS, 2, 0),
        Optimizer(learning_rate=1e-3, weight_decay=0.0),
        Schedule(warmup_steps=0, final_fraction=1.0),
        frozenset(),
        lambda step: None,
    )
    history = train(model, plan)
    for (name, ours), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=2e-5), name  # of steps of 1e-3
    assert history.usage["operations"] == 0, "not counted"


def test_several_documents_in_a_row_are_refused() -> None:
    batch = Batch(IDS, ROW, POSITION, documents=torch.zeros_like(IDS))
    with pytest.raises(StudyError, match="family 'opt' are not known"):
        BatchLoss(other_model("opt", VOCABULARY))(batch)


def test_its_output_embedding_is_not_taken_for_its_logits() -> None:
    with pytest.raises(StudyError, match="family 'phi' are not known"):
        output_weight(other_model("phi", VOCABULARY))


@pytest.mark.parametrize("family", ["gpt_bigcode", "gemma2"])
def test_it_is_diagnosed_with_all_but_the_edits(family: str, tmp_path: Path) -> None:
    model = other_model(family, len(diagnosed.WORDS))
    save(model, tmp_path / "before")
    save(diagnosed.fit(model, [row["prompt"] + row["answer"] for row in new_rows()], 2), tmp_path / "after")
    small = {"steps": 2, "evaluate_steps": [1], "seeds": 1, "rates": [1.0], "doses": []}
    old = write_rows(tmp_path / "old.jsonl", old_rows())
    said = diagnose(job(old, tmp_path / "before", tmp_path / "after", probe=small), tmp_path)
    assert said["decided_by"] == "the old task was known before"
    assert set(pd.read_csv(tmp_path / "tables" / "repairs.csv")["remedy"]) == {"none", "interpolation"}
    assert (tmp_path / "diagnosis.html").exists()


def test_ways_without_layers_are_tried(tmp_path: Path) -> None:
    save(other_model("gemma2", len(diagnosed.WORDS)), tmp_path / "before")
    write_rows(tmp_path / "old.jsonl", old_rows())
    write_rows(tmp_path / "new.jsonl", new_rows())
    said = advised(advice_job(tmp_path, {"steps": 2, "evaluate_steps": [1], "freeze": []}), tmp_path)
    assert said["advice"] == "cannot be said" and not said["gates"][0]["passed"]
    assert pd.read_csv(tmp_path / "tables" / "methods.csv")["method"].tolist() == ["seq", "replay-50"]
