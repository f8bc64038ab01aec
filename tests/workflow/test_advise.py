"""The target `advise`: what it plans, what it leaves alone, and what it says of a section that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.advised import clashing_rows
from tests.diagnosed import old_rows, save, write_rows
from tests.families import family_model, other_model
from tests.study import clone_to, merged, snakemake
from tests.workflow.scripts import failing_script, run_script

from forgetting.config.advice import Advice
from forgetting.config.fields import ConfigError
from forgetting.config.jobs.advice import AdviceJob
from forgetting.config.study import load_study
from forgetting.errors import StudyError
from forgetting.pipeline import given_plan
from forgetting.pipeline.given_plan import advice_forecast, check_trials

MINE: dict[str, Any] = {"name": "mine", "before": "before", "old": "old.jsonl", "new": "new.jsonl"}
PLAIN_MINE = MINE | {"trial": {"lora": False}}
"""Without what needs a further package."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a section and small files for it."""
    folder = clone_to(tmp_path_factory.mktemp("advise") / "clone")
    save(family_model("gpt_neox", 200), folder / "before")
    write_rows(folder / "old.jsonl", old_rows())
    write_rows(folder / "new.jsonl", clashing_rows())
    (folder / "mine.yaml").write_text(yaml.safe_dump({"advise": PLAIN_MINE}))
    return folder


def test_only_the_advice_is_planned(clone: Path) -> None:
    done = snakemake("-n", "advise", "--configfile", "mine.yaml", cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    table = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout.partition("Job stats:")[2].partition("total")[0], re.M))
    assert table == {"advise": "1", "advice_config": "1", "advice_data": "1", "advice_page": "1", "advice_trial": "6"}
    made = set(re.findall(r"results/[\w/.-]+", done.stdout))
    assert all(path.startswith("results/advise/mine/") for path in made)


def test_without_a_section_it_says_what_is_missing(clone: Path) -> None:
    done = snakemake("-n", "advise", cwd=clone)
    assert done.returncode and "advise needs a section `advise` with name, before, old and new" in done.stdout


def test_a_missing_file_is_named_before_any_job(clone: Path) -> None:
    (clone / "other.yaml").write_text(yaml.safe_dump({"advise": PLAIN_MINE | {"new": "nowhere.jsonl"}}))
    done = snakemake("-n", "advise", "--configfile", "other.yaml", cwd=clone)
    assert done.returncode and "advise.new nowhere.jsonl: no such file or folder" in done.stdout


def test_it_is_a_target_by_name(clone: Path) -> None:
    assert re.search(r"^advise \(.+\)$", snakemake("--list-target-rules", cwd=clone).stdout, re.M)


def test_a_method_that_cannot_be_tried_is_refused_before_any_job(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    check_trials(Advice.model_validate(PLAIN_MINE))
    monkeypatch.setattr(given_plan, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r"advise\.trial\.lora needs the package peft: .* or say advise\.trial\.lora: false"):
        check_trials(Advice.model_validate(MINE))
    save(other_model("opt", 200), clone / "opt")
    with pytest.raises(StudyError, match=r"advise\.trial\.freeze: where a model of the family 'opt' has its layers is not known"):
        check_trials(Advice.model_validate(PLAIN_MINE | {"before": "opt"}))
    check_trials(Advice.model_validate(MINE | {"before": "opt", "trial": {"lora": False, "freeze": []}}))


def test_the_study_knows_nothing_of_it() -> None:
    study = load_study(merged() | {"advise": MINE})
    assert study.advise is not None
    assert study.model_dump_json() == load_study(merged()).model_dump_json()


def test_methods_are_named_by_per_cent_the_cheapest_first() -> None:
    assert Advice.model_validate(MINE).tried == ("seq", "freeze-0", "freeze-25", "freeze-50", "lora", "replay-10", "replay-50")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no old": ({"old": None}, "advise.old"),
    "no new": ({"new": None}, "advise.new"),
    "a key of a diagnosis": ({"after": "after"}, "advise.after: Extra inputs are not permitted"),
    "too few units": ({"units": 7}, "advise.units"),
    "nothing to ask": ({"train_share": 1}, "advise.train_share"),
    "more than all layers": ({"trial": {"freeze": [1.5]}}, "advise.trial.freeze"),
    "shares that fall": ({"trial": {"replay": [0.5, 0.1]}}, "advise.trial.replay must rise"),
    "replay of nothing": ({"trial": {"replay": [0.0]}}, "advise.trial.replay"),
    "no rates": ({"trial": {"rates": []}}, "advise.trial.rates"),
    "rates that fall": ({"trial": {"rates": [1.0, 0.3]}}, "advise.trial.rates must rise"),
    "steps that fall": ({"trial": {"evaluate_steps": [8, 2]}}, "advise.trial.evaluate_steps must rise"),
    "nothing to compare": ({"trial": {"freeze": [], "replay": [], "lora": False}}, "nothing to compare plain fine-tuning with"),
    "no seeds": ({"trial": {"seeds": 0}}, "advise.trial.seeds"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_key_is_named(case: str) -> None:
    change, message = BAD[case]
    with pytest.raises(ConfigError) as error:
        load_study(merged() | {"advise": {key: value for key, value in (MINE | change).items() if value is not None}})
    assert message in str(error.value)


def test_the_forecast_grows_with_the_work(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    one, ten = (Advice.model_validate(MINE | {"trial": {"steps": steps}}) for steps in (100_000, 1_000_000))
    minutes = [int(re.search(r"About (\d+) minutes", advice_forecast(each, 1e9, 1))[1]) for each in (one, ten)]  # type: ignore[index]
    assert 9 < minutes[1] / minutes[0] < 11
    assert "7 trials of 100000 steps" in advice_forecast(one, 1e9, 1) and "GB of memory" in advice_forecast(one, 1e9, 1)
    three = Advice.model_validate(MINE | {"trial": {"steps": 100_000, "rates": [0.3, 1.0, 3.0]}})
    assert "21 trials of 100000 steps" in (told := advice_forecast(three, 1e9, 1))
    assert int(re.search(r"About (\d+) minutes", told)[1]) == pytest.approx(3 * minutes[0], rel=0.01)  # type: ignore[index]


def test_cost_tells_of_the_advice(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(clone)
    (clone / "merged.json").write_text(json.dumps(merged() | {"advise": MINE}))
    run_script("cost", monkeypatch, config=clone / "merged.json")
    told = capsys.readouterr().out
    assert "Advice mine:" in told and "Diagnosis" not in told


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "an empty file of new examples": (lambda at: {"new": str(write_rows(at / "e.jsonl", []))}, "the file is empty"),
    "the old file as the new one": (lambda at: {"new": "old.jsonl"}, "are they the same file"),
    "three old units": (lambda at: {"old": str(write_rows(at / "o.jsonl", old_rows()[:3]))}, "only 3 units of old examples"),
    "a new row without an answer": (lambda at: {"new": str(write_rows(at / "n.jsonl", [{"prompt": "where ?"}]))}, "has no column answer"),
    "new examples without choices": (lambda at: {"measure": "choice"}, "choices must be two or more texts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_message(case: str, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = WRONG[case]
    monkeypatch.chdir(clone)
    config = tmp_path / "config.json"
    config.write_text(AdviceJob.of(Advice.model_validate(MINE | make(tmp_path))).text())
    assert message in failing_script("advise_data", monkeypatch, config=config, output=tmp_path / "data")
    assert not list((tmp_path / "data").glob("*")), "nothing half-written"
