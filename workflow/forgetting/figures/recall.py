"""Does another form of the question still reach the fact?

**What it shows.** The same Task 0 facts asked in three forms, before Task 1 and at the checkpoints.

**How to read it.** *a*: the question as it was trained; right is the whole answer with its end token. *b*: the
same, but only the values of the attribute may be answered, and the likeliest is the answer. *c*: the value in a
sentence about the person, the form of pretraining. In *b* and *c* no end token is asked for. Dotted: control
persons, who are in no biography, in the same form. *b* asks of some of the persons of *a* alone, *c* of all, in
several sentences a fact; the small print has the numbers.

**What to look for.** A biography far above the question says that the fact is still there and the question no
longer reaches it. A choice far above it says that the question still reaches the fact, and what is lost is the
form of the answer.

**What would contradict the claim** that the facts survive: nothing in this figure alone. A biography that falls as
far as the question shows no survival, yet its form may be lost as well; facts that no recovery brings back
contradict it. Nor does the figure tell Task 0 from pretraining: no floor was run, as the model without Task 0 is
not viewed, and it may know the biographies as well. Questions after solved ones are in the table of this view
alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY, END, MATCHED, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 5,
    "inputs": {
        "recall": ["viewed"],
    },
}

_FORMS = {"question": "question", "among_values": "choice among values", "biography": "in a biography"}
_POINTS = {"task0": "before\nTask 1", EARLY: WORDS[EARLY].replace(" ", "\n"), MATCHED: "Task 1\nlearned", END: "end"}
_CONTROL: dict[str, Any] = {"color": style.CONTROL_LABEL, "linewidth": 0.9, "linestyle": ":"}


def draw(recall: pd.DataFrame) -> Figure:
    """One panel a form. Frame: RECALL."""
    arms = style.arm_order(recall["arm"])
    figure, panels = style.new_figure(1, 3, height=2.7, sharey=True)
    for letter, panel, (form, text) in zip("abc", panels[0], _FORMS.items(), strict=True):
        _form(panel, recall[recall["form"] == form], arms, recall["seed"].nunique())
        style.title(panel, letter, text)
        style.accuracy_axis(panel, "exact match" if form == "question" else "share right")
    handles = [*style.arm_handles(arms, linestyle="-"), style.line_handle("control persons, a line an arm", **_CONTROL)]
    style.legend(figure, handles, columns=4)
    style.note(figure, recall, f"Asked: {_asked(recall)}. End token: in a alone.", intervals="bars")
    return figure


def _asked(recall: pd.DataFrame) -> str:
    """How many questions each panel rests on in a run."""
    rows = task0_rows(recall, "task0_test")
    counts = {letter: rows.loc[rows["form"] == form, "n"].max() for letter, form in zip("abc", _FORMS, strict=True)}
    return ", ".join(f"{letter} {count:,.0f}" for letter, count in counts.items())


def _form(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> None:
    places = {point: place for place, point in enumerate(_POINTS)}
    for index, arm in enumerate(arms):
        beside = 0.06 * (index - (len(arms) - 1) / 2)
        for split in ("control", "task0_test"):
            curve = over_seeds(task0_rows(rows[rows["arm"] == arm], split), ["point"], seeds, kind=PROPORTION)
            curve = curve.assign(place=curve["point"].map(places) + beside).sort_values("place")
            if split == "control":
                panel.plot(curve["place"], curve["value"], **_CONTROL)
            else:
                style.error_bars(panel, curve, "place", style.arm_look(arm), markersize=3.5, linestyle="-", linewidth=1.1)
    panel.set_xticks(range(len(places)), list(_POINTS.values()))
    panel.set_xlim(-0.3, len(places) - 0.7)
