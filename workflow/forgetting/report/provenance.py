"""What a report was made with: the revision of the code, the versions of the packages, the machine. Imports none of the packages."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

STUDY_EXTRAS = ("figures", "train")
"""What pyproject.toml asks for beyond planning: drawing and running a study."""


@dataclass(frozen=True)
class Revision:
    """A git commit and the files that differ from it; without a commit, `reason` says why there is none."""

    commit: str = ""
    changed: tuple[str, ...] = ()
    reason: str = ""


def revision(repository: Path) -> Revision:
    """The revision of a working tree. A folder inside somebody else's repository has none."""
    try:
        prefix, commit = _git(repository, "rev-parse", "--show-prefix", "HEAD").split("\n")[:2]
        if prefix:
            return Revision(reason="not a git repository of its own")
        status = _git(repository, "status", "--porcelain", "--untracked-files=normal")
    except FileNotFoundError:
        return Revision(reason="git is not installed")
    except subprocess.TimeoutExpired:
        return Revision(reason="git did not answer")
    except subprocess.CalledProcessError as error:
        return Revision(reason=(error.stderr.strip().splitlines() or ["git failed"])[0].removeprefix("fatal: ").partition(" (")[0])
    return Revision(commit, tuple(line[3:] for line in status.splitlines()))


def package_versions(repository: Path) -> dict[str, str]:
    """Versions of the project, of Python and of every package that a study needs by pyproject.toml."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    texts = [*project["dependencies"], *(text for extra in STUDY_EXTRAS for text in extras.get(extra, ()))]
    names = [match[0] for text in texts if (match := re.match(r"[\w.-]+", text)) and match[0] != project["name"]]
    return {project["name"]: project["version"], "Python": platform.python_version()} | {name: _installed(name) for name in names}


def machine() -> dict[str, str]:
    """Operating system, processor and memory of the machine that this runs on."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"operating system": platform.platform(), "processor": _processor(), "cores": f"{os.cpu_count()}, of which {free} may be used"}
    try:
        found["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    except (ValueError, OSError, AttributeError):
        found["memory"] = "unknown"
    return found


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(repository: Path, *arguments: str) -> str:
    """What git prints. It takes no lock and writes nothing, so a read-only folder will do."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=30).stdout
