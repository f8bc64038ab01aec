"""Whole diagnoses of tiny pairs of models of which it is known what happened to them."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests import diagnosed
from tests.diagnosed import diagnose, erased, hidden, job, knowing_model, new_rows, old_rows, save, write_rows
from tests.families import family_model
from tests.workflow.test_disk import files_up_to
from transformers import AutoModelForCausalLM

from forgetting.data.probed import NEW, RIGHT, TEST, TRAIN
from forgetting.errors import StudyError
from forgetting.schemas.diagnosis import REMEDIES
from forgetting.stages import diagnosis as stage
from forgetting.stages.diagnosis import Case, Run, probe, trained
from forgetting.stages.diagnosis_data import prepare
from forgetting.tables import WriteError
from forgetting.views.remedies import _write_best, write_model


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
    asked = {row["prompt"]: row for row in old_rows()}
    for row in pd.read_csv(tmp_path / "tables" / "questions.csv").to_dict("records"):
        assert (row["unit"], row["answer"]) == (asked[row["prompt"]]["unit"], asked[row["prompt"]]["answer"]) and row["before"] == 1
    repairs = pd.read_csv(tmp_path / "tables" / "repairs.csv")
    shift = repairs[repairs["remedy"] == "common_shift"]
    assert sorted(shift["control"]) == [False, False, True, True, True, True] and set(shift["split"]) == {TEST, NEW}
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


def test_an_interrupted_probe_goes_on_with_what_is_left(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"steps": 2, "evaluate_steps": [1], "seeds": 2, "rates": [1.0], "doses": [4]}
    made = job(models / "old.jsonl", models / "before", models / "spurious", probe=small)
    prepare(made, tmp_path / "data")
    done: list[str] = []

    def interrupted(case: Case, start: str, run: Run, *others: Any) -> list[pd.DataFrame]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(run.name)
        return trained(case, start, run, *others)

    monkeypatch.setattr(stage, "trained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe(made, "after", tmp_path / "data", tmp_path / "scratch", tmp_path / "probes")
    assert not (tmp_path / "probes").exists(), "nothing half-written"
    first = list(done)
    done.clear()
    probe(made, "after", tmp_path / "data", tmp_path / "scratch", tmp_path / "probes")
    assert len(done) == 2 and not set(first) & set(done)
    assert not (tmp_path / "scratch").exists()
    monkeypatch.undo()
    probe(made, "after", tmp_path / "data", tmp_path / "scratch", tmp_path / "again")
    assert (tmp_path / "again" / "after.parquet").read_bytes() == (tmp_path / "probes" / "after.parquet").read_bytes()


def test_models_of_two_sizes_have_no_way_back_but_a_page(models: Path, tmp_path: Path) -> None:
    save(family_model("gpt_neox", len(diagnosed.WORDS) + 8), tmp_path / "larger")
    small = {"steps": 2, "evaluate_steps": [1], "seeds": 1, "rates": [1.0], "doses": []}
    said = diagnose(job(models / "old.jsonl", models / "before", tmp_path / "larger", probe=small), tmp_path)
    assert said["verdict"] == "cannot be said" and not len(pd.read_csv(tmp_path / "tables" / "repairs.csv"))


def test_low_rank_recovery_trains_the_adapter_alone(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    made = job(models / "old.jsonl", models / "before", models / "spurious", probe={"steps": 4, "adapter": "lora", "seeds": 1, "doses": []})
    prepare(made, tmp_path)
    case = Case(made, tmp_path)
    model = case.load("after")
    given = {name: values.clone() for name, values in model.named_parameters()}
    whole = case.measured(model, case.where(TEST))
    trained(case, "after", Run(RIGHT, 1.0, 0, 40), lambda model, step: pd.DataFrame(), model)
    now = {name.replace(".base_layer", ""): values for name, values in model.named_parameters()}
    assert all(torch.equal(values, now[name]) for name, values in given.items())
    assert any(".lora_B" in name and bool(values.any()) for name, values in now.items())
    assert not case.measured(model, case.where(TEST))["answer_nll"].equals(whole["answer_nll"])


def test_without_peft_low_rank_recovery_says_what_it_needs(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    made = job(models / "old.jsonl", models / "before", models / "spurious", probe={"adapter": "lora"})
    prepare(made, tmp_path)
    with pytest.raises(StudyError, match="adapter lora needs the package peft"):
        trained(Case(made, tmp_path), "after", Run(RIGHT, 1.0, 0, 40), lambda model, step: pd.DataFrame())


def test_further_measures_wordings_and_text_are_told(models: Path, tmp_path: Path) -> None:
    rows = [row | {"wordings": [f"tint of {row['unit']} ?", f"where is color of {row['unit']} ?"]} for row in old_rows()]
    rows = [row | {"choices": [row["answer"], " town0", " town1"]} for row in rows]
    (tmp_path / "text.txt").write_text("where is unit1 ? " * 40)
    keys = {"also": ["contains", "choice", "choice_normalised"], "text": str(tmp_path / "text.txt"), "new_tokens": 3}
    small = {"steps": 2, "evaluate_steps": [1], "seeds": 1, "rates": [1.0], "doses": []}
    made = job(write_rows(tmp_path / "old.jsonl", rows), models / "before", models / "spurious", probe=small, remedies=False, **keys)
    said = diagnose(made, tmp_path)
    scores = pd.read_csv(tmp_path / "tables" / "scores.csv")
    given = scores[(scores["start"] == "before") & (scores["state"] == "given")].set_index("measure")["value"]
    assert given["contains"] == given["choice"] == given["same_alone"] == 1 and given["perplexity"] > 1
    assert said["decided_by"] == "known in several wordings" and given["known_wordings"] < 0.5
    curves = pd.read_csv(tmp_path / "tables" / "curves.csv")
    assert set(curves["training"]) == {"right", "shuffled", "wordings"}
    assert set(scores["state"]) == {"given", "recovered"}


def test_old_and_new_values_of_one_question_are_told(models: Path, tmp_path: Path) -> None:
    """Every old question has a new answer: the log-probability of both, against the model alone."""
    new = [row | {"answer": " town1"} for row in old_rows()]
    made = job(models / "old.jsonl", models / "before", models / "real", new=str(write_rows(tmp_path / "new.jsonl", new)))
    prepare(made, tmp_path)
    case = Case(made, tmp_path)
    model = case.load("before")
    found = pd.concat(case.values(model)).set_index("measure")
    places, reader = case.where(TEST), diagnosed.tokenizer()
    prompts = [case.prompt(place) for place in places]
    with torch.no_grad():
        for name, answers in (("old", [case.answers[place] for place in places]), ("new", [" town1"] * len(places))):
            sums = []
            for prompt, answer in zip(prompts, answers, strict=True):
                ids = [*prompt, *reader(answer)["input_ids"], reader.eos_token_id]
                said = model(torch.tensor([ids])).logits[0].log_softmax(-1)
                sums.append(sum(float(said[place - 1, ids[place]]) for place in range(len(prompt), len(ids))))
            assert found.loc[f"{name}_value_log_probability", "value"] == pytest.approx(sum(sums) / len(sums), abs=1e-3)
    assert found.loc["old_value_likelier", "value"] == 1 and found.loc["old_value_likelier", "n"] == len(places)
    write_rows(tmp_path / "new.jsonl", new_rows())
    prepare(made, tmp_path / "others")
    assert Case(made, tmp_path / "others").values(model) == []


def test_ten_rows_make_a_page_but_no_verdict(models: Path, tmp_path: Path) -> None:
    small = {"steps": 2, "evaluate_steps": [1], "seeds": 1, "rates": [1.0], "doses": []}
    ten = write_rows(tmp_path / "ten.jsonl", old_rows()[:10])
    said = diagnose(job(ten, models / "before", models / "spurious", probe=small, remedies=False), tmp_path)
    failed = [gate["name"] for gate in said["gates"] if not gate["passed"]]
    assert said["verdict"] == "cannot be said" and "enough units" in failed and (tmp_path / "diagnosis.html").exists()


def test_answers_that_are_all_the_same_are_known_by_knowing_nothing(models: Path, tmp_path: Path) -> None:
    same = write_rows(tmp_path / "same.jsonl", [row | {"answer": " color1"} for row in old_rows()])
    prepare(job(same, models / "before", models / "spurious"), tmp_path)
    floors = json.loads((tmp_path / "data.json").read_text())["floors"]
    assert floors["modal_answer"][0] == floors["shuffled_answers"] == 1


def test_a_repaired_model_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    model = family_model("gpt_neox", len(diagnosed.WORDS))
    with files_up_to(4096), pytest.raises(WriteError, match="repaired: cannot be written"):
        write_model(model, diagnosed.tokenizer(), tmp_path / "repaired")
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.safetensors"))
    write_model(model, diagnosed.tokenizer(), tmp_path / "repaired")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "repaired")
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in model.state_dict().items())


def test_no_repair_is_written_where_each_costs_what_it_brings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {(TEST, 0): 0.0, (NEW, 0): 1.0, (TEST, 30): 0.4, (NEW, 30): 0.6}
    rows = [(RIGHT, 40, 1.0, 0, step, split, value) for (split, step), value in scores.items()]
    trained_itself = [(RIGHT, 40, 1.0, 0, step, TRAIN, float(step > 0)) for step in (0, 30)]
    probed = pd.DataFrame(rows + trained_itself, columns=["training", "units", "rate", "seed", "step", "split", "score"])
    case: Any = None
    _write_best(case, case, pd.DataFrame(columns=REMEDIES.names), probed.assign(start="after"), [], tmp_path / "repaired")
    assert "nothing is written" in capsys.readouterr().out and not (tmp_path / "repaired").exists()
