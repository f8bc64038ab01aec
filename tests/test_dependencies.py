"""What a script depends on, held against what Python really loads; and that the modules which are passed over may be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forgetting import dependencies as module
from forgetting.dependencies import DECIDES_NOTHING, LIBRARY, dependencies
from forgetting.training.resume import Scratch
from tests import jobs
from tests.study import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"


def loaded(program: str) -> set[Path]:
    """Files of the library with anything in them that Python has loaded when `program` ends."""
    told = "\nimport sys\nfor name, module in list(sys.modules.items()):\n    if name.startswith('forgetting.'): print(module.__file__)"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", program + told], env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return {path for line in done.stdout.split() if (path := Path(line)).stat().st_size}


@pytest.mark.parametrize("script", ["data", "finetune", pytest.param("view_features", marks=pytest.mark.long)])
def test_everything_that_a_script_loads_is_found_or_passed_over(script: str) -> None:
    found = loaded(f"import runpy; runpy.run_path({str(SCRIPTS / f'{script}.py')!r})")
    assert found
    assert found <= {*dependencies(SCRIPTS / f"{script}.py"), *(LIBRARY / name for name in DECIDES_NOTHING)}


def test_modules_that_decide_nothing_load_only_one_another() -> None:
    names = [name.removesuffix(".py").replace("/", ".") for name in sorted(DECIDES_NOTHING)]
    found = loaded("".join(f"import forgetting.{name}\n" for name in names))
    assert found == {LIBRARY / name for name in DECIDES_NOTHING}


@pytest.mark.parametrize("script", ["pretrain", "task0", "task0_lamol", "finetune", "task_vector", "recovery", "recovery_controls"])
def test_what_trains_depends_on_nothing_that_looks_at_results(script: str) -> None:
    rooms = {path.relative_to(LIBRARY).parts[0] for path in dependencies(SCRIPTS / f"{script}.py") if path.stat().st_size}
    assert not rooms & {"views", "analysis", "figures", "report", "pipeline", "statistics.py", "subspaces.py"}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of its own, in which a script imports in every way that Python knows."""
    folder = tmp_path / "forgetting"
    texts = {
        "__init__.py": "",
        "a.py": "import json\nimport forgetting.inner.deep\n",
        "unused.py": "",
        "errors.py": "from forgetting import hidden\n",
        "hidden.py": "",
        "inner/__init__.py": "from forgetting import package_wide\n",
        "inner/deep.py": "from . import beside\nfrom .. import up\n",
        "inner/beside.py": "from forgetting.inner import deep\n",
        "package_wide.py": "",
        "up.py": "def late():\n    from forgetting.late import thing\n",
        "late.py": "from forgetting.errors import Error\nthing = 1\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "script.py").write_text("from forgetting.a import b\n")
    monkeypatch.setattr(module, "LIBRARY", folder)
    return folder


def test_imports_are_followed_in_every_form(library: Path) -> None:
    found = {str(path.relative_to(library)) for path in dependencies(library.parent / "script.py")}
    inner = {f"inner/{name}.py" for name in ("__init__", "deep", "beside")}
    assert found == {"__init__.py", "a.py", "up.py", "late.py", "package_wide.py", *inner}
    assert dependencies(library / "late.py") == [library / "__init__.py", library / "late.py"], "a module counts itself"


def test_a_saved_state_is_bound_to_the_code_of_its_stage(library: Path, tmp_path: Path) -> None:
    """An edit of what the stage does not import, or of what decides nothing, keeps the state."""
    run = jobs.data()

    def mark() -> str:
        module._imported.cache_clear()  # a job reads its code once
        module._behind.cache_clear()
        return Scratch(tmp_path / "scratch", run, code=[library / "a.py"]).mark

    before = mark()
    for name in ("unused.py", "errors.py", "hidden.py"):
        (library / name).write_text("# edited\n")
        assert mark() == before
    (library / "late.py").write_text("thing = 2\n")
    assert mark() != before
