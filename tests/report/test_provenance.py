"""Revision and versions, on repositories made for the purpose."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.study import ROOT

from forgetting.report.provenance import machine, package_versions, revision


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, whose results are ignored."""
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text("/results/\n")
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "begin")
    (folder / "results").mkdir()
    (folder / "results" / "report.html").write_text("made")
    return folder


def test_clean_repository(repository: Path) -> None:
    found = revision(repository)
    assert found.commit == git(repository, "rev-parse", "HEAD")
    assert found.changed == () and found.reason == ""


def test_changed_and_new_files_make_it_dirty(repository: Path) -> None:
    (repository / "code.py").write_text("x = 2\n")
    (repository / "new.py").write_text("")
    assert set(revision(repository).changed) == {"code.py", "new.py"}


def test_no_repository_no_commit_and_no_git(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert revision(empty).reason == "not a git repository"
    git(empty, "init", "-q")
    assert revision(empty).reason and not revision(empty).commit
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(repository).reason == "git is not installed"


def test_folder_inside_another_repository_has_no_revision(repository: Path) -> None:
    inside = repository / "copy"
    inside.mkdir()
    found = revision(inside)
    assert not found.commit and found.reason == "not a git repository of its own"


def test_versions_of_every_dependency() -> None:
    found = package_versions(ROOT)
    assert found["forgetting"] and found["Python"] == platform.python_version()
    assert {name: found[name] for name in ("torch", "transformers", "snakemake")} == {
        name: version(name) for name in ("torch", "transformers", "snakemake")
    }


def test_package_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "study"\nversion = "1"\ndependencies = ["no-such-package>=2"]\n')
    assert package_versions(tmp_path)["no-such-package"] == "not installed"


def test_machine_is_named() -> None:
    assert all(machine()[key] for key in ("operating system", "processor", "cores", "memory"))
