"""One figure: from nothing; again in seconds, after a change of style or from the tables of another machine; without torch; by hand."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from tests.study import ROOT, SMOKE, clone_to, merged, snakemake

from forgetting.config.fields import ConfigError
from forgetting.config.plan import finetune_job
from forgetting.config.study import load_study
from forgetting.figures.catalogue import read_catalogue
from forgetting.figures.present import present
from forgetting.pipeline.tables_only import check_configs

TABLES_ONLY = ("--config", "tables_only=true")
ONE_ARM = ("arms=[seq]", "learning_rate_arms=[]", 'views={"arms":["seq"]}')
ONE_ARM += ('recovery={"arms":["seq"],"curve_arms":["seq"],"control_arms":[]}',)
LIMIT = 15
"""CPU seconds of one figure; other work on the machine does not change them."""
BLOCKER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}, as without the extras", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing can be imported but what the extra `figures` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {re.split(r"[><=\[]", text)[0] for extra in ("train", "dev") for text in extras[extra]} - {project["name"]}
    assert {"torch", "transformers", "datasets"} <= names
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER.format(names=names))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "blocker")}
    assert subprocess.run([sys.executable, "-c", "import torch"], env=env, capture_output=True).returncode, "torch is still there"
    return env


def jobs(output: str) -> list[str]:
    """Rules of the jobs that were run, or would be in a dry run."""
    return re.findall(r"^(?:(?:local)?rule|\d\d:\d\d:\d\d  start ) (\w+)", output, re.M)


def draw_again(clone: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Change the style of a figure, draw it, and check that this was one quick job."""
    module = clone / "workflow/forgetting/figures/landscape.py"
    module.write_text(module.read_text() + "\n# an edit\n")
    started, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = snakemake("-c1", "fig_landscape", *SMOKE, *arguments, cwd=clone, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-3000:]
    assert jobs(done.stdout) == ["fig_landscape"]
    assert (clone / "results/smoke/figures/landscape.pdf").stat().st_mtime >= started
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= LIMIT


@pytest.mark.long
def test_a_figure_from_nothing(tmp_path: Path) -> None:
    """The README's first command in small: data, pretraining, Task 0, Task 1 and recovery of one arm come before it."""
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--cores", "2", "fig_performance", *SMOKE, "--show-failed-logs", "--config", *ONE_ARM, cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    drawn = sorted(path.name for path in (clone / "results/smoke/figures").iterdir())
    assert drawn == ["performance.pdf", "performance.png", "performance.svg"]
    assert not list((clone / "results").rglob("*.part"))


@pytest.mark.smoke
def test_a_figure_after_a_change_of_style(smoke_clone: Path, tmp_path: Path) -> None:
    draw_again(Path(shutil.copytree(smoke_clone, tmp_path / "clone")))


@pytest.mark.smoke
def test_a_figure_from_the_tables_of_another_machine(smoke_clone: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """A fresh clone with nothing but tables and small JSON files: no models, no records of Snakemake, no torch."""
    clone = clone_to(tmp_path / "clone")
    for path in [file for kind in ("parquet", "json") for file in (smoke_clone / "results").rglob(f"*.{kind}")]:
        copy = clone / path.relative_to(smoke_clone)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    draw_again(clone, *TABLES_ONLY, env=bare)
    for backend in ("file", "db"):
        rest = snakemake("-n", "figures", "tables", *SMOKE, *TABLES_ONLY, "--persistence-backend", backend, cwd=clone, env=bare)
        assert rest.returncode == 0, rest.stdout[-3000:]
        assert all(re.match("fig_|table_|figures$|tables$", rule) for rule in jobs(rest.stdout))
    changed = snakemake("-n", "fig_landscape", *SMOKE, *TABLES_ONLY, 'views={"landscape":{"grid":7}}', cwd=clone, env=bare)
    assert changed.returncode != 0
    assert re.search(r"views/\w+/landscape\.json .+landscape\.grid", changed.stdout), "tables of another config are refused"


def test_with_tables_only_a_missing_table_is_named_and_nothing_is_computed(tmp_path: Path) -> None:
    done = snakemake("-n", "fig_landscape", *SMOKE, *TABLES_ONLY, cwd=clone_to(tmp_path / "clone"))
    assert done.returncode != 0 and "Missing input files for rule fig_landscape" in done.stdout
    assert "results/smoke/seed0/views/seq/landscape.parquet" in done.stdout


def test_configs_of_other_tables_are_told(tmp_path: Path) -> None:
    study = load_study(merged("smoke.yaml"))
    present = json.loads(finetune_job(study, 0, "task1", "replay-20").text())
    path = tmp_path / "config.json"

    def check(**found: object) -> None:
        path.write_text(json.dumps(present | found))
        check_configs([(str(path), json.dumps(present)), (str(tmp_path / "not-there.json"), "{}")])

    check()
    check(a_key_of_another_version=1)
    with pytest.raises(ConfigError, match=r"config\.json .*\(task1\.batch_size\)"):
        check(task1=present["task1"] | {"batch_size": 5})
    with pytest.raises(ConfigError, match=r"config\.json .*\(method\)"):
        check(method=present["method"] | {"warmup_steps": 5})
    path.write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        check_configs([(str(path), "{}")])


def test_tables_only_is_recorded_nowhere() -> None:
    study = load_study(merged("smoke.yaml") | {"tables_only": True})
    assert study.tables_only and "tables_only" not in study.model_dump_json()


@pytest.mark.parametrize("rule", read_catalogue())
def test_everything_shown_explains_itself(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        present([rule, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert re.search(r"^(Figure|Table): .+", text, re.M)
    assert "--output" in text and rule in text
    assert ".parquet" in text or ".json" in text


def test_a_figure_is_drawn_by_hand() -> None:
    command = [sys.executable, "workflow/scripts/show.py", "fig_landscape", "--help"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "workflow"}, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "--landscape FILE" in done.stdout


def test_an_unknown_figure_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"'fig_landscap' is no figure (.*\n)+.*fig_performance"):
        present(["fig_landscap"])
