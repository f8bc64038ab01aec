"""The command line of figures and tables: one flag for each input and option, and `--output`."""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from forgetting.figures.catalogue import Shown, read_catalogue
from forgetting.figures.inputs import input_of
from forgetting.tables import read_tables


def read_input(name: str, files: Sequence[str | Path]) -> Any:
    """The input of this name from its files, one a run; tables list arms in that order. Raises ValueError that names a bad file."""
    found = input_of(name)
    reader, paths = _resolved(found.reader), [str(file) for file in files]
    if isinstance(reader, pa.Schema):
        return read_tables(paths, schema=reader, columns=list(found.columns) if found.columns else None)
    return reader(paths)


def made(shown: Shown, **arguments: Any) -> Any:
    """The figure or frame, from its inputs and options."""
    module = import_module(shown.module)
    return (module.draw if shown.kind == "figure" else module.make)(**arguments)


def present(arguments: Sequence[str]) -> None:
    """Make and save what `arguments` name: the name of a rule, then its flags. A bad file is one message and exit code 1."""
    catalogue = read_catalogue()
    if not arguments or arguments[0] not in catalogue:
        names = "\n".join(f"  {rule:28} {shown.title}" for rule, shown in catalogue.items())
        wanted = arguments[0] if arguments else ""
        if wanted in ("-h", "--help"):
            print(f"Draw a figure or make a table: show.py NAME --help says what it needs.\n{names}")
            return
        sys.exit(f"error: {wanted!r} is no figure and no table: choose one of\n{names}")
    shown = catalogue[arguments[0]]
    given = vars(_parser(shown).parse_args(arguments[1:]))
    try:
        read = {name: read_input(name, given[name]) for name in shown.inputs}
        options = {name: given[name] for name in shown.options if given[name] is not None}
        _resolved(shown.saver)(made(shown, **read, **options), given["output"])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def _parser(shown: Shown) -> argparse.ArgumentParser:
    module = import_module(shown.module)
    parameters = inspect.signature(module.draw if shown.kind == "figure" else module.make).parameters
    parser = argparse.ArgumentParser(
        prog=f"show.py {shown.rule}",
        description=f"{shown.kind.capitalize()}: {shown.title}",
        epilog=f"The files are below results/<scale> (docs/outputs.md). A whole command: snakemake -np --forcerun {shown.rule} -- "
        f"{shown.rule}",
    )
    for name in shown.inputs:
        where = input_of(name).files.format(seed="*", task="*", arm="*", variant="*")
        parser.add_argument(_flag(name), nargs="+", required=True, metavar="FILE", help=where)
    for name, key in shown.options.items():
        needed = parameters[name].default is inspect.Parameter.empty
        parser.add_argument(_flag(name), type=_value, required=needed, metavar="VALUE", help=f"{key} of the config")
    parser.add_argument("--output", nargs="+", required=True, metavar="PATH", help="the files to write, or one stem for all formats")
    return parser


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _value(text: str) -> Any:
    """A number, or a text as it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _resolved(dotted: str) -> Any:
    """What a name of a module of `forgetting` and of something in it stands for."""
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(f"forgetting.{module}"), name)
