"""The target `diagnose`: what it plans, what it leaves alone, and what it says of a section that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.diagnosed import new_rows, old_rows, save, write_rows
from tests.families import family_model
from tests.study import clone_to, merged, snakemake
from tests.workflow.scripts import run_script

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.fields import ConfigError
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.config.study import load_study
from forgetting.data.probed import TRAIN
from forgetting.errors import StudyError
from forgetting.pipeline.given_plan import diagnosis_forecast, files_behind
from forgetting.stages.diagnosis import Case, Run, runs_of
from forgetting.stages.diagnosis_data import prepare

MINE: dict[str, Any] = {"name": "mine", "before": "before", "after": "after", "old": "old.jsonl"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a section and small files for it."""
    folder = clone_to(tmp_path_factory.mktemp("diagnose") / "clone")
    for name in ("before", "after"):
        save(family_model("gpt_neox", 200), folder / name)
    write_rows(folder / "old.jsonl", old_rows())
    (folder / "mine.yaml").write_text(yaml.safe_dump({"diagnose": MINE}))
    return folder


def test_only_the_diagnosis_is_planned(clone: Path) -> None:
    done = snakemake("-n", "diagnose", "--configfile", "mine.yaml", cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    table = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout.partition("Job stats:")[2].partition("total")[0], re.M))
    assert table == {
        "diagnose": "1",
        **dict.fromkeys(["diagnosis_config", "diagnosis_data", "diagnosis_page", "diagnosis_remedies"], "1"),
        "diagnosis_probe": "3",
    }
    made = set(re.findall(r"results/[\w/.-]+", done.stdout))
    assert all(path.startswith("results/diagnose/mine/") for path in made)


def test_without_a_section_it_says_what_is_missing(clone: Path) -> None:
    done = snakemake("-n", "diagnose", cwd=clone)
    assert done.returncode and "diagnose needs a section `diagnose`" in done.stdout


def test_a_missing_file_is_named_before_any_job(clone: Path) -> None:
    (clone / "other.yaml").write_text(yaml.safe_dump({"diagnose": MINE | {"old": "nowhere.jsonl"}}))
    done = snakemake("-n", "diagnose", "--configfile", "other.yaml", cwd=clone)
    assert done.returncode and "diagnose.old nowhere.jsonl: no such file or folder" in done.stdout


def test_where_nothing_can_be_written_it_stops_before_any_job(clone: Path) -> None:
    (clone / "a-file").write_text("")
    write_rows(clone / "new.jsonl", new_rows())
    for change in ({"write": "a-file/model"}, {"write": "a-file"}):
        (clone / "other.yaml").write_text(yaml.safe_dump({"diagnose": MINE | change | {"new": "new.jsonl"}}))
        done = snakemake("-n", "diagnose", "--configfile", "other.yaml", cwd=clone)
        assert done.returncode and "a-file is not a folder that you may write to" in done.stdout and "Traceback" not in done.stdout


def test_the_study_knows_nothing_of_it() -> None:
    study = load_study(merged() | {"diagnose": MINE})
    assert study.diagnose is not None
    assert study.model_dump_json() == load_study(merged()).model_dump_json()


def test_a_key_with_its_default_reruns_nothing() -> None:
    plain = DiagnosisJob.of(Diagnosis.model_validate(MINE))
    assert plain.text() == DiagnosisJob.of(Diagnosis.model_validate(MINE | {"seed": 0, "also": [], "probe": {"steps": 100}})).text()
    assert json.loads(plain.text()).keys() == {"stage", "scale", "seed", "diagnosis"}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "diagnose.name"),
    "a name that is a path": ({"name": "../elsewhere"}, "diagnose.name: String should match pattern"),
    "an empty path": ({"before": ""}, "diagnose.before: String should have at least 1 character"),
    "no after": ({"after": None}, "diagnose.after"),
    "an unknown key": ({"lr": 3}, "diagnose.lr: Extra inputs are not permitted"),
    "an unknown measure": ({"measure": "bleu"}, "diagnose.measure"),
    "a measure twice": ({"also": ["exact"]}, "diagnose.also has a measure twice"),
    "nothing to train on": ({"train_share": 0}, "diagnose.train_share"),
    "nothing to measure": ({"train_share": 1}, "diagnose.train_share"),
    "too few units": ({"units": 3}, "diagnose.units"),
    "steps that fall": ({"probe": {"evaluate_steps": [8, 2]}}, "diagnose.probe.evaluate_steps must rise"),
    "no steps": ({"probe": {"steps": 0}}, "diagnose.probe.steps"),
    "no seeds": ({"probe": {"seeds": 0}}, "diagnose.probe.seeds"),
    "no rates": ({"probe": {"rates": []}}, "diagnose.probe.rates"),
    "a repair whose cost nobody knows": ({"write": "repaired"}, "diagnose.write needs diagnose.new"),
    "a model that would be overwritten": ({"write": "./after/"}, "diagnose.write is the folder of diagnose.after"),
    "an unknown adapter": ({"probe": {"adapter": "prefix"}}, "diagnose.probe.adapter"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_key_is_named(case: str) -> None:
    change, message = BAD[case]
    with pytest.raises(ConfigError) as error:
        load_study(merged() | {"diagnose": {key: value for key, value in (MINE | change).items() if value is not None}})
    assert message in str(error.value)


def test_the_forecast_grows_with_the_work(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    one, ten = (Diagnosis.model_validate(MINE | {"probe": {"steps": steps}}) for steps in (100_000, 1_000_000))
    minutes = [int(re.search(r"About (\d+) minutes", diagnosis_forecast(each, 1e9, 1))[1]) for each in (one, ten)]  # type: ignore[index]
    assert 9 < minutes[1] / minutes[0] < 11
    assert "GB of memory" in diagnosis_forecast(one, 1e9, 1)


class Recorder:
    """In place of a prober: notes the runs, and trains nothing."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def facts(self, run: Run) -> pd.DataFrame:
        self.runs.append(run)
        rows = {"start": "after", "training": run.training, "rate": run.rate, "split": TRAIN, "step": [0, 1], "score": [0.0, 1.0]}
        return pd.DataFrame(rows)


FORECASTS: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], str]] = {
    "80 units, and 40 to train on": ("o.jsonl", old_rows(), {}, "up to 16 trainings"),  # 12, the shuffled answers, doses of 1, 4 and 16
    "wordings": ("o.jsonl", [row | {"wordings": ["tint ?"]} for row in old_rows()], {}, "up to 17 trainings"),
    "eight units with ten rows each": (
        "o.jsonl",
        [row | {"unit": str(number % 8)} for number, row in enumerate(old_rows())],
        {},
        "up to 14 trainings",  # 4 to train on, so that only the dose of 1 is less
    ),
    "no unit given": ("o.jsonl", [{key: row[key] for key in ("prompt", "answer")} for row in old_rows()], {}, "up to 16 trainings"),
    "fewer to train on": ("o.jsonl", old_rows(), {"train_share": 0.2}, "up to 15 trainings"),  # as many as 16 are all
    "a file that is not looked into": ("o.json", old_rows(), {}, "up to 18 trainings"),
    "a table": ("o.csv", old_rows(), {}, "up to 16 trainings"),
    "no doses": ("o.jsonl", old_rows(), {"probe": {"doses": []}}, " 13 trainings"),
}


@pytest.mark.parametrize("case", FORECASTS)
def test_the_forecast_counts_the_runs_that_there_will_be(case: str, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From three models at two rates, twice each; doses and wordings are run as far as the examples have units and wordings for them."""
    name, rows, keys, told = FORECASTS[case]
    monkeypatch.chdir(clone)
    old = tmp_path / name
    if name.endswith(".csv"):
        old.write_text("".join(f"{','.join(row)}\n" for row in [["prompt", "answer", "unit"], *([*row.values()] for row in rows)]))
    else:
        write_rows(old, rows)
    made = DiagnosisJob.of(Diagnosis.model_validate(MINE | {"old": str(old)} | keys))
    assert told in (said := diagnosis_forecast(made.diagnosis, 1e9, 1)), said
    prepare(made, tmp_path / "data")
    case_of_all, done = Case(made, tmp_path / "data"), Recorder()
    for start in made.diagnosis.starts:
        list(runs_of(case_of_all, start, done))  # type: ignore[arg-type]
    forecast = int(re.search(r"(\d+) trainings", told)[1])  # type: ignore[index]
    assert len(done.runs) == 16 < forecast if name == "o.json" else len(done.runs) == forecast


def test_a_model_that_cannot_be_used_is_named_by_the_forecast(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    with pytest.raises(StudyError, match=r"nowhere"):
        diagnosis_forecast(Diagnosis.model_validate(MINE | {"base": "./nowhere"}), 1e9, 1)


def test_cost_tells_of_the_diagnosis(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(clone)
    (clone / "merged.json").write_text(json.dumps(merged() | {"diagnose": MINE}))
    run_script("cost", monkeypatch, config=clone / "merged.json")
    assert "Diagnosis mine:" in capsys.readouterr().out


def test_names_with_braces_are_no_wildcards(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a{b}.jsonl", old_rows()[:4])
    assert files_behind("diagnose", Diagnosis.model_validate(MINE | {"old": str(path)}), ["old"]) == [str(tmp_path / "a{{b}}.jsonl")]


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "an empty file": (lambda at: {"old": str(write_rows(at / "e.jsonl", []))}, "the file is empty"),
    "ten rows of one unit": (
        lambda at: {"old": str(write_rows(at / "o.jsonl", [row | {"unit": "one"} for row in old_rows()[:10]]))},
        "only 1 units of old examples",
    ),
    "answers that stand in the prompt": (
        lambda at: {"old": str(write_rows(at / "c.jsonl", [row | {"prompt": row["prompt"] + row["answer"]} for row in old_rows()]))},
        "only 0 units of old examples can be used (of which the answer does not stand in the prompt)",
    ),
    "a text that is binary": (lambda at: _binary(at / "text.txt"), "cannot be read as text in UTF-8"),
    "an empty text": (lambda at: _empty(at / "text.txt"), "has no text"),
    "a model folder without a model": (lambda at: _folder(at / "nothing"), "is no folder of a model"),
    "an adapter of nothing": (lambda at: _adapter(at / "adapter", {}), "does not say of which model it is an adapter"),
    "an adapter of a model that is not there": (
        lambda at: _adapter(at / "adapter", {"base_model_name_or_path": "./nowhere"}),
        "./nowhere: is neither a folder nor the name of a model",
    ),
    "weights that are a model and an adapter": (
        lambda at: _both(at / "both"),
        "holds the weights of a model and an adapter, so which is meant cannot be told",
    ),
    "another tokenizer": (lambda at: _other_tokenizer(at / "other"), "has another tokenizer than diagnose.before"),
    "a missing choice": (lambda at: {"measure": "choice"}, "choices must be two or more texts"),
}


def _binary(path: Path) -> dict[str, Any]:
    path.write_bytes(bytes(range(256)))
    return {"text": str(path)}


def _empty(path: Path) -> dict[str, Any]:
    path.write_text("")
    return {"text": str(path)}


def _folder(path: Path) -> dict[str, Any]:
    path.mkdir()
    return {"before": str(path)}


def _adapter(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps(config))
    return {"after": str(path)}


def _both(path: Path) -> dict[str, Any]:
    save(family_model("gpt_neox", 200), path)
    (path / "adapter_config.json").write_text("{}")
    return {"after": str(path)}


def _other_tokenizer(path: Path) -> dict[str, Any]:
    save(family_model("gpt_neox", 200), path)
    made = json.loads((path / "tokenizer.json").read_text())
    words = made["model"]["vocab"]
    words["color"], words["of"] = words["of"], words["color"]
    (path / "tokenizer.json").write_text(json.dumps(made))
    return {"after": str(path)}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_message(case: str, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = WRONG[case]
    monkeypatch.chdir(clone)
    config = tmp_path / "config.json"
    config.write_text(DiagnosisJob.of(Diagnosis.model_validate(MINE | make(tmp_path))).text())
    with pytest.raises(SystemExit) as ending:
        run_script("diagnose_data", monkeypatch, config=config, output=tmp_path / "data")
    assert str(ending.value.code).startswith("error: ") and message in str(ending.value.code)
    assert not list((tmp_path / "data").glob("*")), "nothing half-written"
