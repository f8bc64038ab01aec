"""What a script or a module depends on in this library, found by reading imports; nothing is executed.

Snakemake's inputs and the mark of a saved state (`training/resume.py`) both come from here, so that there is one notion of "the code".
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent

DECIDES_NOTHING = frozenset(
    {
        "dependencies.py",
        "errors.py",
        "failures.py",
        "tables.py",
        "model/devices.py",
        "model/manifest.py",
        "pipeline/command.py",
        "report/provenance.py",
    }
)
"""Modules that are passed over, by path below the library: what they do (messages, exit codes, writing and checking files, which
device is free) changes no number. They import nothing of the library but one another (tests/test_dependencies.py)."""


def dependencies(*files: str | Path) -> list[Path]:
    """Every file of the library behind these scripts or modules: the files themselves where they belong to it, and what they import,
    directly or not. Without those in DECIDES_NOTHING and what only these import; sorted. Raises SyntaxError for a file that is no Python.
    """
    return sorted(file for file in _behind(*(Path(file).resolve() for file in files)) if file.is_relative_to(LIBRARY))


def content_digest(*files: Path) -> str:
    """SHA-256 of the contents of these files, in order."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


@functools.cache
def _behind(*files: Path) -> frozenset[Path]:
    """These files and all that they import, directly or not, without those that are passed over."""
    passed_over = {LIBRARY / name for name in DECIDES_NOTHING}
    found, queue = set[Path](), list(files)
    while queue:
        file = queue.pop()
        if file not in found and file not in passed_over:
            found.add(file)
            queue.extend(_imported(file))
    return frozenset(found)


@functools.cache
def _imported(file: Path) -> frozenset[Path]:
    """Files of the library that one file imports itself, and those of the packages that they are in."""
    return frozenset(path for name in _names(file) for path in _files(name, LIBRARY))


def _names(file: Path) -> Iterator[str]:
    """Full names of everything that a file imports, anywhere in it. A name in `from module import name` may be a module, too."""
    for node in _statements(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = file.relative_to(LIBRARY.parent).parts[: -node.level] if node.level else ()
            origin = ".".join([*parents, *filter(None, [node.module])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _statements(module: ast.Module) -> Iterator[ast.AST]:
    """Every statement of a module, at any depth. (`ast.walk` goes through all expressions, too, and takes ten times as long.)"""
    queue: list[ast.AST] = [module]
    while queue:
        node = queue.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            queue.extend(getattr(node, block, ()))


@functools.cache
def _files(name: str, library: Path) -> list[Path]:
    """The file of a module of the library and the `__init__.py` of each package above it; none for any other name."""
    parts = name.split(".")
    if parts[0] != library.name:
        return []
    bases = [library.parent.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]
