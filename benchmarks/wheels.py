"""Fetch what the project needs on a GPU machine without a network, beyond what is installed there: wheels for its Python, in .wheels.

Roots are the requirements of pyproject.toml; versions are those of requirements.txt; what the machine has is benchmarks/gpu-machine.txt.
gpu_first.sh and gpu_second.sh install .wheels by themselves. Run it where there is a package index; it fails when something is missing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("figures", "train", "gpu")
TESTS = ("pytest", "pytest-xdist", "filelock", "accelerate", "datasets")
"""Of the extra `dev`, what the tests on a GPU and the benchmarks import."""
SOURCE_ONLY = ("connection-pool",)
"""Published without a wheel, and all Python: built here."""
PYTHON = "3.12"
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)] + ["manylinux2014_x86_64", "linux_x86_64"]
THERE = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.3",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "os_name": "posix",
}
"""What markers of requirements are about."""
MOST = 64
"""MiB of wheels and files of the repository together."""


def roots() -> list[Requirement]:
    """What pyproject.toml says that a study with figures and training needs, and the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    found = [Requirement(line) for line in lines] + [need for line in optional["dev"] if (need := Requirement(line)).name in TESTS]
    return [need for need in found if need.name != project["name"]]


def listed(path: Path) -> dict[str, str]:
    """Packages and versions ("" where none is said) of a file with lines like name==version name."""
    words = [word for line in path.read_text(encoding="utf-8").splitlines() for word in line.partition("#")[0].split()]
    return {canonicalize_name(name): found for name, _, found in (word.partition("==") for word in words)}


def needs_of(wheel: Path, extras: Iterable[str]) -> list[Requirement]:
    """What a wheel says that it requires there."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(name).decode())
    found = [Requirement(line) for line in headers.get_all("Requires-Dist", [])]
    wanted = ("", *extras)
    return [need for need in found if need.marker is None or any(need.marker.evaluate(THERE | {"extra": extra}) for extra in wanted)]


def fetch(needed: dict[str, str], folder: Path) -> None:
    """Download wheels into the folder, by name and as pip is told. Raises SystemExit; pip has said why."""
    pip = [sys.executable, "-m", "pip"]
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    options = ["--no-deps", "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms]
    commands = [
        [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), needed.pop(name)] for name in SOURCE_ONLY if name in needed
    ]
    if needed:
        commands.append([*pip, "download", "--quiet", *options, "--dest", str(folder), *needed.values()])
    if any(subprocess.run(command, check=False).returncode for command in commands):
        raise SystemExit("error: pip could not fetch them all")


def complete(folder: Path) -> tuple[list[str], list[str]]:
    """Fetch all that is missing. Two lists of messages: what cannot work, and what rests on a version there that is not known."""
    there, pins = listed(ROOT / "benchmarks/gpu-machine.txt"), listed(ROOT / "requirements.txt")
    wrong: list[str] = []
    unknown: list[str] = []
    wheels = {canonicalize_name(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
    waiting, seen = roots(), set[str]()
    while waiting:
        missing = {}
        for need in waiting:
            name = canonicalize_name(need.name)
            if name not in there and name not in wheels:
                missing[name] = f"{name}=={pins[name]}" if pins.get(name) else str(need).partition(";")[0]
        if missing:
            fetch(missing, folder)
            wheels |= {canonicalize_name(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
        coming: list[Requirement] = []
        for need in waiting:
            name = canonicalize_name(need.name)
            carried = wheels.get(name)
            found = str(parse_wheel_filename(carried.name)[1]) if carried else there[name]
            if found and not need.specifier.contains(found, prereleases=True):
                wrong.append(f"{need} is needed, and there is {found}")
            elif not found and need.specifier:
                unknown.append(str(need).partition(";")[0])
            if carried and f"{need.name}{need.extras}" not in seen:
                seen.add(f"{need.name}{need.extras}")
                coming += needs_of(carried, need.extras)
        waiting = coming
    return wrong, sorted(set(unknown))


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    command.add_argument("--folder", type=Path, default=ROOT / ".wheels", help="where wheels go; what is there is kept")
    folder = command.parse_args().folder
    folder.mkdir(exist_ok=True)
    wrong, unknown = complete(folder)
    sizes = {path.name: path.stat().st_size / 2**20 for path in sorted(folder.glob("*.whl"))}
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split("\0")
    tracked = sum((ROOT / name).stat().st_size for name in files if name and (ROOT / name).is_file()) / 2**20
    for name, size in sizes.items():
        print(f"{size:6.1f} MiB  {name}")
    print(f"{sum(sizes.values()):.1f} MiB of wheels, {tracked:.1f} MiB of files of the repository; together at most {MOST}")
    print(f"needed of what is installed there in versions not known: {', '.join(unknown)}")
    print("installed there by gpu_first.sh and gpu_second.sh, or by hand:")
    print(f"  python3 -m pip install --no-index --no-deps --no-compile --target /tmp/packages {folder.name}/*.whl")
    print("  export PYTHONPATH=/tmp/packages")
    if wrong or sum(sizes.values()) + tracked > MOST:
        raise SystemExit("error: " + "; ".join(wrong or ["too large"]))


if __name__ == "__main__":
    main()
