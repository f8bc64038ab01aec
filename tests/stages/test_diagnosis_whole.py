"""Whole diagnoses of tiny pairs of models of which it is known what happened to them."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests import diagnosed
from tests.diagnosed import diagnose, erased, hidden, job, knowing_model, new_rows, old_rows, save, write_rows
from transformers import AutoModelForCausalLM


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders: before knows the facts, spurious hides them, real has learned others in their place."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    before = knowing_model()
    save(before, folder / "before")
    save(hidden(copy.deepcopy(before)), folder / "spurious")
    save(erased(copy.deepcopy(before)), folder / "real")
    write_rows(folder / "old.jsonl", old_rows())
    write_rows(folder / "new.jsonl", new_rows())
    return folder


def test_hidden_knowledge_is_spurious(models: Path, tmp_path: Path) -> None:
    keys = {"new": str(models / "new.jsonl"), "write": str(tmp_path / "repaired")}
    said = diagnose(job(models / "old.jsonl", models / "before", models / "spurious", **keys), tmp_path)
    assert said["verdict"] == "spurious", said["sentence"]
    page = (tmp_path / "diagnosis.html").read_text()
    assert said["sentence"].partition(" (")[0] in page and "src=" not in page.replace('src="data:image/png', "")
    table = pd.read_csv(tmp_path / "tables" / "numbers.csv").set_index("what")
    assert table.loc["before", "value"] == 1 and table.loc["after", "value"] < 0.3
    repaired = AutoModelForCausalLM.from_pretrained(tmp_path / "repaired")
    ids = torch.tensor([diagnosed.tokenizer()(row["prompt"])["input_ids"] for row in old_rows()])
    right = [
        diagnosed.WORDS[token] == row["answer"].strip()
        for token, row in zip(repaired(ids).logits[:, -1].argmax(1), old_rows(), strict=True)
    ]
    assert sum(right) > 0.5 * len(right), "chosen for old and new together"


def test_overwritten_knowledge_is_not_spurious(models: Path, tmp_path: Path) -> None:
    said = diagnose(job(models / "old.jsonl", models / "before", models / "real"), tmp_path)
    assert said["verdict"] == "real", said["sentence"]


def test_an_unchanged_model_lost_nothing(models: Path, tmp_path: Path) -> None:
    said = diagnose(job(models / "old.jsonl", models / "before", models / "before", remedies=False), tmp_path)
    assert said["verdict"] == "nothing lost", said["sentence"]


def test_swapped_models_are_refused(models: Path, tmp_path: Path) -> None:
    said = diagnose(job(models / "old.jsonl", models / "spurious", models / "before", remedies=False), tmp_path)
    assert said["verdict"] == "cannot be said" and said["decided_by"] == "the old task was known before"
    assert (tmp_path / "diagnosis.html").exists()


def test_a_diagnosis_is_the_same_again_and_goes_on_from_what_is_done(models: Path, tmp_path: Path) -> None:
    made = job(models / "old.jsonl", models / "before", models / "spurious", remedies=False)
    assert diagnose(made, tmp_path / "one") == diagnose(made, tmp_path / "two")
    assert not (tmp_path / "one" / "scratch" / "after").exists()
