"""Every figure and table that there is, read from its file without running it: what it shows, where, and of which data.

A figure is a file in `figures`, a table one in `figures/tables`. Its docstring is a title and, below, the caption (reStructuredText);
`SHOWS` is a literal with the fields of `Shown`; `draw` (of a table `make`) turns the inputs into a figure (a frame). Nothing here needs
Matplotlib or pandas, so that a study can be planned without.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError

from forgetting.config.fields import Strict, Target
from forgetting.errors import StudyError
from forgetting.figures.inputs import input_of

FOLDER = Path(__file__).parent
Question = Literal[
    "Does accuracy collapse?",
    "Is it spurious?",
    "Which method helps?",
    "What happens over many tasks?",
    "Where do weights move?",
    "What do the features show?",
    "Can I trust it?",
]
ITEMS: Sequence[str] = get_args(Question)
"""The sections of a report, in order."""
FORMATS = {"figure": ("png", "pdf", "svg"), "table": ("csv", "md", "tex")}
"""Files of each kind; the first is what its rule is known by."""


class Shown(Strict):
    """One figure or table.

    target: which target of the workflow makes it (in the file: `in`). order: its place in its section. inputs: by the name of its
    argument, which arms' (words as `pipeline/shown.py` explains them; none for what is not of arms). options: further arguments,
    each with the key of the config that it is. only_if: a word for arms that must not be none, or a key that must not be empty.
    """

    kind: Literal["figure", "table"]
    name: str
    path: str
    title: str = Field(min_length=1)
    caption: str = Field(min_length=1)
    question: Question
    target: Annotated[Target, Field(alias="in")]
    order: int = 1000
    only_if: str | None = None
    inputs: dict[str, list[str]]
    options: dict[str, str] = Field({})

    @property
    def rule(self) -> str:
        """The name of its rule."""
        return f"{'fig' if self.kind == 'figure' else 'table'}_{self.name}"

    @property
    def module(self) -> str:
        return f"forgetting.figures.{self.name}" if self.kind == "figure" else f"forgetting.figures.tables.{self.name}"

    @property
    def saver(self) -> str:
        """Module and function that write its files."""
        return "figures.style.save_figure" if self.kind == "figure" else "analysis.summary.save_table"

    @property
    def modules(self) -> list[str]:
        """The files below `workflow` that make it, beside what these import and the script that all have in common."""
        dotted = [self.saver, *(input_of(name).reader for name in self.inputs)]
        files = []
        for module in (self.module, *(f"forgetting.{name.rpartition('.')[0]}" for name in dotted)):
            path = Path(*module.split("."))
            files += [f"{path}.py", f"{path.parent}/__init__.py"]
        return list(dict.fromkeys(files))


def read_catalogue(folder: Path = FOLDER) -> dict[str, Shown]:
    """All figures and tables by the names of their rules, as a report has them: by question, figures first, in their order. Hidden files
    (an editor's mark of a file that it has open) are none.

    Raises StudyError that names a file whose docstring or `SHOWS` is not as it must be.
    """
    found = [shown for path in sorted(folder.glob("[!.]*.py")) if (shown := _read(path, "figure"))]
    found += [shown for path in sorted(folder.glob("tables/[!.]*.py")) if (shown := _read(path, "table"))]
    found.sort(key=lambda shown: (ITEMS.index(shown.question), shown.kind, shown.order, shown.name))
    return {shown.rule: shown for shown in found}


def _read(path: Path, kind: Literal["figure", "table"]) -> Shown | None:
    """What a file shows; None for a module without `SHOWS`."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    said = [node.value for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SHOWS"]
    if not said:
        return None
    title, _, caption = (ast.get_docstring(tree) or "").partition("\n")
    try:
        shows: dict[str, Any] = ast.literal_eval(said[0])
        given = {"kind": kind, "name": path.stem, "path": str(path), "title": title, "caption": caption.strip()}
        return Shown.model_validate(given | shows)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise StudyError(f"{path}: what its docstring (title, caption) and SHOWS say is not as it must be: {wrong}") from None
    except (ValueError, TypeError) as error:
        raise StudyError(f"{path}: SHOWS must be a literal dictionary ({error})") from None
