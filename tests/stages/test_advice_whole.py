"""Whole advice on a tiny model, for new examples of which it is known what learning them does to the old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tests.advised import advice_job, advised, clashing_rows
from tests.diagnosed import NAMES, knowing_model, old_rows, save, write_rows

from forgetting.config.jobs.advice import AdviceJob
from forgetting.data.tried import HELD, LEARNED, MEASURED, OLD_TEST, OLD_TRAIN, OLD_VAL, TRAINED
from forgetting.errors import StudyError
from forgetting.evaluation.given import GivenQuestions
from forgetting.model import given_files
from forgetting.schemas.advice import TRIALS, TRIED
from forgetting.schemas.diagnosis import ROWS
from forgetting.schemas.items import ITEMS
from forgetting.stages import advice as stage
from forgetting.stages.advice import method_entry, one_trial, try_method
from forgetting.stages.advice_data import prepare_advice
from forgetting.tables import read_table


def agreeing_rows() -> list[dict[str, Any]]:
    """What the model knows already, asked in another word: nothing old stands in the way."""
    return [row | {"prompt": row["prompt"].replace("color", "tint")} for row in old_rows()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("advice")
    save(knowing_model(), made / "before")
    write_rows(made / "old.jsonl", old_rows())
    write_rows(made / "new.jsonl", clashing_rows())
    write_rows(made / "agreeing.jsonl", agreeing_rows())
    return made


def test_replay_is_taken_where_plain_fine_tuning_overwrites_the_old_answers(folder: Path, tmp_path: Path) -> None:
    said = advised(advice_job(folder, {"freeze": [0.0]}), tmp_path)
    assert (said["advice"], said["method"]) == ("take", "replay-50"), said["sentence"]
    table = pd.read_csv(tmp_path / "tables" / "methods.csv").set_index("method")
    assert table.loc["seq", "old"] < 0.2 < 0.6 < table.loc["replay-50", "old"]
    assert table.loc["replay-50", "gain_low"] > 0 and table.loc["replay-50", "behind"] != table.loc["replay-50", "behind"]
    assert table.loc["replay-50", "stored"] == 16 and table.loc["freeze-0", "trained_share"] < 1 == table.loc["seq", "trained_share"]
    page = (tmp_path / "advice.html").read_text()
    assert "all methods had the same" in page and "advise.trial.rates" in page
    assert said["sentence"].partition(":")[0] in page and "src=" not in page.replace('src="data:image/png', "")
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        f"{name}.{suffix}" for name in ("methods", "curves", "trials") for suffix in ("csv", "parquet")
    }


def test_plain_fine_tuning_at_a_lower_rate_is_a_competitor(folder: Path, tmp_path: Path) -> None:
    """New examples that agree with the old ones: only too high a rate forgets, and freezing helps against that alone."""
    trial = {"freeze": [0.0], "replay": [], "learning_rate": 1e-3, "rates": [1.0, 30.0]}
    made = advice_job(folder, trial, new=str(folder / "agreeing.jsonl"), train_share=0.2)
    said = advised(made, tmp_path)
    assert (said["advice"], said["method"], said["learning_rate"]) == ("nothing forgotten", "seq", 1e-3), said["sentence"]
    assert "take plain fine-tuning (rate 0.001)" in said["sentence"]
    page, table = (tmp_path / "advice.html").read_text(), pd.read_csv(tmp_path / "tables" / "methods.csv")
    assert said["sentence"].partition(":")[0] in page and "all methods had the same" not in page
    assert [page.count(f'<td class="number">{rate}</td>') for rate in ("0.001", "0.03")] == [2, 0], "each at its own rate, no other"
    assert len(table) == 4 and table.loc[table["judged"], "method"].tolist() == ["seq", "freeze-0"]
    assert table.loc[table["taken"], "learning_rate"].tolist() == [1e-3]
    assert {len(pd.read_csv(tmp_path / "tables" / f"{name}.csv").groupby(["method", "rate"])) for name in ("curves", "trials")} == {4}


def test_nothing_is_forgotten_where_the_new_examples_agree_with_the_old(folder: Path, tmp_path: Path) -> None:
    trial = {"freeze": [], "learning_rate": 1e-3}
    made = advice_job(folder, trial, new=str(folder / "agreeing.jsonl"), train_share=0.2)
    said = advised(made, tmp_path)
    assert (said["advice"], said["method"]) == ("nothing forgotten", "seq"), said["sentence"]


def prepared(folder: Path, tmp_path: Path, **keys: Any) -> AdviceJob:
    made = advice_job(folder, {"steps": 2, "evaluate_steps": [1], "seeds": 2}, **keys)
    prepare_advice(made, tmp_path / "data")
    return made


def test_no_unit_is_in_two_splits_and_replay_stores_none_that_is_measured(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path)
    items = read_table(tmp_path / "data" / "items.parquet", ITEMS)
    assert items.groupby("unit")["split"].nunique().max() == 1
    counts = items.groupby("split")["unit"].nunique().to_dict()
    assert {counts[OLD_TRAIN], counts[OLD_VAL], counts[OLD_TEST]} == {32, 24} and counts[OLD_VAL] == counts[OLD_TEST]
    assert counts[HELD.val] == counts[HELD.test] == 5 and counts[TRAINED.val] == counts[TRAINED.test] == 15
    assert set(items.loc[items["split"].isin(LEARNED), "task"]) == {"new"}
    rows = read_table(tmp_path / "data" / "rows.parquet", ROWS)
    assert rows["unit_name"][items["task"] == "old"].isin(NAMES).all()


def test_a_trial_trains_on_what_its_method_says(folder: Path, tmp_path: Path) -> None:
    made = prepared(folder, tmp_path)
    questions = GivenQuestions(made.advice, tmp_path / "data")
    model = questions.load_named(made.advice.before)
    assert method_entry("freeze-50", model)[0] == {"method": "freeze", "layers": 1}
    assert method_entry("freeze-1", model)[0]["layers"] == 1, "a share is rounded up"
    tried, trial = one_trial(made, "replay-50", 1.0, 1, questions)
    assert set(tried["split"]) == set(MEASURED) and sorted(tried["step"].unique()) == [0, 1, 2]
    assert trial["rows"].item() == 2 * 2 * made.advice.trial.batch_size, "as many old questions as new ones in each of two steps"
    again, _ = one_trial(made, "replay-50", 1.0, 1, questions)
    other, _ = one_trial(made, "replay-50", 1.0, 0, questions)
    assert again.equals(tried) and not other["answer_nll"].equals(tried["answer_nll"])
    assert other[other["step"] == 0]["score"].equals(tried[tried["step"] == 0]["score"])


@pytest.mark.parametrize("name", ["seq", "lora"])
def test_a_multiple_of_the_rate_is_the_trial_at_that_rate(name: str, folder: Path, tmp_path: Path) -> None:
    if name == "lora":
        pytest.importorskip("peft")
    made = prepared(folder, tmp_path)
    questions = GivenQuestions(made.advice, tmp_path / "data")
    tried, trial = one_trial(made, name, 0.5, 0, questions)
    half = advice_job(folder, {"steps": 2, "evaluate_steps": [1], "learning_rate": 1.5e-3})
    assert tried.drop(columns="rate").equals(one_trial(half, name, 1.0, 0, questions)[0].drop(columns="rate"))
    assert trial["learning_rate"].item() == pytest.approx(1.5e-3 * (10 if name == "lora" else 1)) and set(tried["rate"]) == {0.5}


def test_low_rank_trials_move_the_adapter_alone(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    made = prepared(folder, tmp_path)
    questions = GivenQuestions(made.advice, tmp_path / "data")
    tried, trial = one_trial(made, "lora", 1.0, 0, questions)
    rank, shapes = 16, [(32, 96), (32, 32), (32, 128), (128, 32)]  # into and out of the four maps of a block of width 32
    assert trial["trained"].item() == 2 * sum(rank * (into + out) for into, out in shapes)
    first, last = (tried.loc[tried["step"] == step, "answer_nll"].to_numpy() for step in (0, 2))
    assert (first != last).any()
    assert one_trial(made, "lora", 1.0, 0, questions)[0].equals(tried), "its random weights depend on the seed alone"


def test_an_interrupted_job_goes_on_with_the_trials_that_are_left(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = advice_job(folder, {"steps": 2, "evaluate_steps": [1], "seeds": 2, "rates": [0.5, 1.0]})
    prepare_advice(made, tmp_path / "data")
    done: list[tuple[float, int]] = []

    def interrupted(job: AdviceJob, name: str, rate: float, seed: int, questions: GivenQuestions) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((rate, seed))
        return one_trial(job, name, rate, seed, questions)

    def resumed(job: AdviceJob, name: str, rate: float, seed: int, questions: GivenQuestions) -> Any:
        assert (rate, seed) not in done, "it was finished"
        return one_trial(job, name, rate, seed, questions)

    monkeypatch.setattr(stage, "one_trial", interrupted)
    with pytest.raises(KeyboardInterrupt):
        try_method(made, "seq", tmp_path / "data", tmp_path / "scratch", tmp_path / "trials")
    assert not (tmp_path / "trials").exists(), "nothing half-written"
    monkeypatch.setattr(stage, "one_trial", resumed)
    try_method(made, "seq", tmp_path / "data", tmp_path / "scratch", tmp_path / "trials")
    assert not (tmp_path / "scratch").exists()
    monkeypatch.setattr(stage, "one_trial", one_trial)
    try_method(made, "seq", tmp_path / "data", tmp_path / "scratch", tmp_path / "again")
    files = [read_table(tmp_path / name / "seq.parquet", TRIED) for name in ("trials", "again")]
    assert files[0].equals(files[1])
    trials = read_table(tmp_path / "trials" / "seq-trials.parquet", TRIALS)
    assert list(zip(trials["rate"], trials["seed"], strict=True)) == [(0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)]
    assert trials["same_alone"].notna().tolist() == [True, False, False, False]


def test_the_same_file_as_old_and_new_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"every prompt of it stands in advise.new .* too: are they the same file"):
        prepared(folder, tmp_path, new=str(folder / "old.jsonl"))
    assert not (tmp_path / "data").exists()


def test_too_few_new_units_are_told(folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "few.jsonl", clashing_rows()[:7])
    with pytest.raises(StudyError, match="only 7 units of new examples can be used: 8 at least"):
        prepared(folder, tmp_path, new=str(tmp_path / "few.jsonl"))


def test_a_model_too_large_to_be_trained_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(folder, tmp_path)
    questions = GivenQuestions(made.advice, tmp_path / "data")
    weights = sum(values.numel() for values in questions.load_named(made.advice.before).parameters())
    monkeypatch.setattr(given_files, "memory_there", lambda: 5 * 4 * weights)  # of the six copies that training takes
    with pytest.raises(StudyError, match=r"before: .* to be trained"):
        one_trial(made, "seq", 1.0, 0, questions)
