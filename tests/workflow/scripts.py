"""Scripts of the workflow, run in the process of the tests as their rules run them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from tests.study import ROOT, merged

from forgetting.config.plan import jobs
from forgetting.config.study import load_study
from forgetting.figures.present import present

RESOURCES = ROOT / "resources"


def run_script(name: str, monkeypatch: pytest.MonkeyPatch, **flags: Path | str) -> None:
    """Run `workflow/scripts/<name>.py` with a flag for each of `flags`. A script that fails raises SystemExit."""
    arguments = [str(part) for key, value in flags.items() for part in (f"--{key.replace('_', '-')}", value)]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(ROOT / "workflow" / "scripts" / f"{name}.py"), run_name="__main__")


def failing_figure(rule: str, **flags: Path | str) -> str:
    """The message that `show.py` ends with for a figure or table."""
    with pytest.raises(SystemExit) as ending:
        present([rule, *(str(part) for key, value in flags.items() for part in (f"--{key.replace('_', '-')}", value))])
    assert isinstance(ending.value.code, str) and ending.value.code.startswith("error: ")
    return ending.value.code


def run_positional(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> None:
    """The same, with arguments that have no flag."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(ROOT / "workflow" / "scripts" / f"{name}.py"), run_name="__main__")


def failing_script(name: str, monkeypatch: pytest.MonkeyPatch, **flags: Path | str) -> str:
    """The message that a script ends with, which is all that its user sees beside exit code 1."""
    with pytest.raises(SystemExit) as ending:
        run_script(name, monkeypatch, **flags)
    assert isinstance(ending.value.code, str), "exit code 1 and a message, no traceback"
    assert ending.value.code.startswith("error: ")
    return ending.value.code


def smoke_config(folder: Path, job: str = "data") -> Path:
    """Write the config.json of a job of the smoke study into `folder`."""
    path = folder / "config.json"
    path.write_text(jobs(load_study(merged("smoke.yaml")), 0)[f"{job}/config"].text())
    return path
