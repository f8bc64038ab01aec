"""setup.sh, with nothing to install but a package of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.study import ROOT

BACKEND = """
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(folder, "tiny-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("tiny.pth", os.getcwd())
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return "tiny-1-py3-none-any.whl"
"""
"""A build system that needs no package."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="setup.sh is for POSIX shells")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with setup.sh and a package `tiny` that needs nothing, so that no registry is asked."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "setup.sh", folder)
    (folder / "requirements.txt").write_text("")
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{build}[project]\nname = "tiny"\nversion = "1"\n')
    (folder / "backend.py").write_text(BACKEND)
    (folder / "tiny.py").write_text("")
    return folder


def set_up(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(folder / "setup.sh")]
    environment = {**os.environ, "PYTHON": sys.executable, **env}
    return subprocess.run(command, cwd="/", env=environment, text=True, capture_output=True, timeout=300)


def imports_tiny_of(folder: Path) -> str:
    command = [folder / ".venv/bin/python", "-c", "import tiny; print(tiny.__file__)"]
    return subprocess.run(command, cwd="/", text=True, capture_output=True).stdout.strip()


@pytest.mark.long
def test_an_environment_without_pip_is_made_again(clone: Path) -> None:
    """As `python -m venv` leaves it on a machine without ensurepip, or when it was interrupted."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    done = set_up(clone)
    assert done.returncode == 0, done.stderr
    assert "made again" in done.stderr and imports_tiny_of(clone) == str(clone / "tiny.py")
    mark = next((clone / ".venv").glob("installed-*")).stat().st_mtime_ns
    again = set_up(clone)
    assert again.returncode == 0 and not again.stdout + again.stderr, "nothing is done when all is there"
    assert next((clone / ".venv").glob("installed-*")).stat().st_mtime_ns == mark


@pytest.mark.long
def test_a_copied_clone_gets_an_environment_of_its_own(clone: Path, tmp_path: Path) -> None:
    assert set_up(clone).returncode == 0
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True)
    assert imports_tiny_of(copy) == str(clone / "tiny.py"), "which is the danger"
    done = set_up(copy)
    assert done.returncode == 0 and "made for another folder" in done.stderr
    assert imports_tiny_of(copy) == str(copy / "tiny.py")


def test_what_is_missing_is_said_in_one_line(clone: Path, tmp_path: Path) -> None:
    absent = set_up(clone, PYTHON="python3.99")
    assert absent.returncode == 1 and absent.stderr.strip() == (
        "setup.sh: there is no python3.99; name one: PYTHON=python3.11 bash setup.sh"
    )
    without_venv = tmp_path / "python"
    without_venv.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exit 1\nexec {sys.executable} "$@"\n')
    without_venv.chmod(0o755)
    done = set_up(clone, PYTHON=str(without_venv))
    assert done.returncode == 1 and "install its venv package" in done.stderr.splitlines()[-1]
    assert not (clone / ".venv").exists()


def test_the_environment_of_another_folder_behind_a_link_is_left_alone(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (clone / ".venv").symlink_to(tmp_path / "other")
    (tmp_path / "tools").mkdir()
    for tool in ("bash", "dirname", "cat", "rm"):  # no sha256sum, as on a Mac
        (tmp_path / "tools" / tool).symlink_to(str(shutil.which(tool)))
    done = set_up(clone, PATH=str(tmp_path / "tools"))
    assert done.returncode == 1 and "is a link to an environment of another folder" in done.stderr
    assert (tmp_path / "other").is_dir()
