"""How much of the forgetting is one change common to all facts, a repair without training, and recall in other forms.

**What it shows.** Whether Task 1 changes all old answers in one common way, or wears down each fact by
itself. The change of an answer token from the model before Task 1 to a checkpoint is split into the mean
change of *other* persons at the same attribute and position (common), which cannot be about anybody, and the
rest.

**How to read it.** *a*: the share of the squared change that is common; 0 is what unrelated changes give, and
grey bars are the range when each person's change gets a random sign. *b*: the share of the lost accuracy that
returns when only the common part is taken away. Full marks: in the logits. Open marks: in the residual stream
before the final norm. Strokes: one vector for all tokens, all that a bias could do (logits). *c*, *d*: the
common part estimated from a few facts of ``task0_train`` whose old answers are known, and taken away from the
answers about everybody else: no training. *None* is the checkpoint as it is, *trained* the same checkpoint
after one epoch on ``task0_train`` (where that was measured). *e*: the same facts as a question; as a question
with the choice narrowed to the values of its attribute, of which the likeliest is the answer; and as the
value in a sentence of a biography, the form of pretraining. *f*: as a question after one or three solved ones
of other persons. Dotted: control persons, who are in no biography.

**What to look for.** Shares of *a* and *b* side by side: a shift that all answers share can be most of the
change and yet leave the order of the likeliest tokens as it was. Where forgetting is a common shift, *b* is
near 1 and the lines of *c* and *d* rise to the dashed line with few facts. A biography form far above the
question form says that the fact is still there and the question no longer reaches it. A narrowed choice far
above it says that the question still reaches the fact, and what is lost is the form of the answer.

**What would contradict the claim** that the early collapse is a common shift: a share of *b* near 0 at step
150, or a repair that stays at its first point however many facts are known, while training restores the rest.
That the facts survive would be contradicted by a biography form that falls as far as the question form. Say
nothing from *f* when it is low before Task 1 already: then the model cannot use examples at all. The rest is
not the same as lost knowledge: what turns or shrinks all states alike differs from person to person and is
counted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.spurious import task0_rows
from forgetting.data.points import EARLY, END, MATCHED, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, UNBOUNDED, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 3,
    "inputs": {
        "common_shift": ["viewed"],
        "repair": ["viewed"],
        "recall": ["viewed"],
        "recovery": ["viewed"],
    },
}

_POINTS = {EARLY: ("^", WORDS[EARLY]), MATCHED: ("D", WORDS[MATCHED]), END: ("s", WORDS[END])}
_VARIANTS = {
    ("logits", "kind_position"): "logits",
    ("residual_stream", "kind_position"): "residual stream",
    ("logits", "one_shift"): "one vector for all",
}
_BY_UNITS = {"grouping": "kind_position", "counted": "units"}
_REPAIRS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "logits, whole persons": ({"space": "logits"} | _BY_UNITS, {"linewidth": 1.3}),
    "logits, single facts": (
        {"space": "logits", "grouping": "kind_position", "counted": "facts"},
        {"linestyle": (0, (1, 1)), "linewidth": 1.0},
    ),
    "residual stream, whole persons": (
        {"space": "residual_stream"} | _BY_UNITS,
        {"linestyle": "--", "linewidth": 0.9, "markerfacecolor": "white"},
    ),
}
"""Text of the key: which rows of COMMON_SHIFT_REPAIR, and how they are drawn."""
_NOTHING_KNOWN, _TRAINED = 0.35, 1500.0
"""Places on the axis of known facts: the checkpoint as it is, and after one epoch of recovery."""
_BEFORE: dict[str, Any] = {"color": "#1A1A1A", "linewidth": 0.9, "linestyle": (0, (4, 1.5))}
_CHANCE: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 4.5, "alpha": 0.4}
_CONTROL: dict[str, Any] = {"color": style.CONTROL_LABEL, "linewidth": 0.9, "linestyle": ":"}
_SOLID: dict[str, Any] = {"linestyle": "-", "linewidth": 1.1}
_DASHED: dict[str, Any] = {"linestyle": "--", "linewidth": 0.9, "markerfacecolor": "white"}
_ASKED = {
    "question": ("question", _SOLID),
    "among_values": ("among its values", {"linestyle": (0, (1, 1)), "linewidth": 1.1, "marker": "*"}),
    "biography": ("biography", _DASHED),
}


def draw(common_shift: pd.DataFrame, repair: pd.DataFrame, recall: pd.DataFrame, recovery: pd.DataFrame) -> Figure:
    """a, b: how much of the change is common, and what its removal gives back; c, d: accuracy of other facts against the number of facts
    from which the common part was estimated; e, f: other forms of the questions. Frames: COMMON_SHIFT, COMMON_SHIFT_REPAIR, RECALL, and
    RECOVERY (an arm without rows there has no mark for training)."""
    arms = style.arm_order(common_shift["arm"])
    first = 0.5 + 0.4 * len(arms)
    figure, axes = style.new_figure(3, 2, height=5.9 + first, height_ratios=[first, 1.9, 1.7], gridspec_kw={"hspace": 0.08})
    split = common_shift[common_shift["kind"] == "all"]
    for panel, metric, label in (
        (axes[0, 0], "common_share", "share of the squared change"),
        (axes[0, 1], "restored_share", "restored share of the accuracy lost"),
    ):
        _dots(panel, split[split["metric"] == metric], arms, common_shift["seed"].nunique())
        panel.set_xlabel(label)
    axes[0, 1].tick_params(labelleft=False)
    for panel, point in zip(axes[1], (EARLY, END), strict=True):
        _repairs(panel, split[split["point"] == point], repair[repair["point"] == point], recovery, arms)
    forms = sorted(form for form in recall["form"].unique() if form.startswith("in_context"))
    _forms(axes[2, 0], recall, {form: line for form, (_, line) in _ASKED.items()}, arms)
    _forms(axes[2, 1], recall, dict(zip(dict.fromkeys((forms[0], forms[-1])), (_SOLID, _DASHED), strict=False)), arms)
    axes[1, 0].set_ylabel("exact match of other facts")
    axes[2, 0].set_ylabel("exact match")
    _titles_and_keys(axes, forms)
    style.legend(figure, style.arm_handles(arms, linestyle="-"), columns=6)
    bands = "for one draw" if common_shift["seed"].nunique() == 1 else "over seeds"
    style.note(
        figure,
        common_shift,
        "Task 0 test persons. Common: mean change of other persons at the same attribute and position. c, d: left, the checkpoint itself; "
        f"lines, means over draws of the known facts, with bands {bands} (none for single facts); right, after one epoch on task0_train. "
        "e: biography, the value in a sentence about the person; among its values, the likeliest value of the attribute is the answer.",
    )
    return figure


def _titles_and_keys(axes: np.ndarray, forms: Sequence[str]) -> None:
    texts = ("common part of the change", "accuracy without the common part", f"repair at {WORDS[EARLY]}", "repair at the end")
    for letter, panel, text in zip("abcdef", axes.flat, (*texts, "a question in three forms", "after solved questions"), strict=True):
        style.title(panel, letter, text)
    marks = [style.line_handle(text, marker=marker, linestyle="none") for marker, text in _POINTS.values()]
    variants = [style.line_handle(text, linestyle="none", **_mark(key, "#444444", "o")) for key, text in _VARIANTS.items()]
    lines = [style.line_handle(text, marker="o" if rows["counted"] == "units" else "", **line) for text, (rows, line) in _REPAIRS.items()]
    floor = style.line_handle("control persons", **_CONTROL)
    shots = [form.removeprefix("in_context_") for form in dict.fromkeys((forms[0], forms[-1]))]
    shown = [style.line_handle(f"after {n} solved", marker="o", **line) for n, line in zip(shots, (_SOLID, _DASHED), strict=False)]
    as_asked = [style.line_handle(text, **({"marker": "o"} | line)) for text, line in _ASKED.values()]
    keys = (
        [*marks, style.line_handle("chance", **_CHANCE)],
        variants,
        lines,
        [style.line_handle("before Task 1", **_BEFORE)],
        [*as_asked, floor],
        [*shown, floor],
    )
    for panel, handles, columns in zip(axes.flat, keys, (4, 3, 2, 2, 3, 3), strict=True):
        style.legend_below(panel, handles, columns)


def _mark(variant: tuple[str, str], color: str, marker: style.Marker) -> dict[str, Any]:
    """Filled: logits; open: residual stream; a stroke: one vector for all tokens."""
    space, grouping = variant
    if grouping == "one_shift":
        return {"color": color, "marker": "|", "markersize": 6}
    return {"color": color, "marker": marker, "markerfacecolor": color if space == "logits" else "white"}


def _dots(panel: Axes, rows: pd.DataFrame, arms: list[str], seeds: int) -> None:
    """One row an arm and checkpoint, with the three variants side by side, and the range of chance behind them where there is one."""
    for (place, arm), (offset, (point, (marker, text))) in (
        (each, spot) for each in enumerate(arms) for spot in enumerate(_POINTS.items())
    ):
        here = rows[(rows["arm"] == arm) & (rows["point"] == point)]
        y, look = place + 0.28 * (offset - 1), style.arm_look(arm)
        cells = over_seeds(here, ["space", "grouping"], seeds, kind=UNBOUNDED).set_index(["space", "grouping"])
        if cells["value"].isna().all():
            words = f"Task 1 {style.unlearned(seeds)}" if cells.empty else f"{text}: undefined (no drop)"
            panel.text(0.98, y, words, transform=panel.get_yaxis_transform(), fontsize=6, ha="right", va="center", color="#666666")
            continue
        if here["chance_low"].notna().any():
            panel.hlines(y, here["chance_low"].min(), here["chance_high"].max(), zorder=1, **_CHANCE)
        for index, variant in enumerate(each for each in _VARIANTS if each in cells.index):
            value, low, high = cells.loc[variant, ["value", "low", "high"]].to_numpy(dtype=float)
            panel.hlines(y + 0.07 * (index - 1), low, high, color=look.color, linewidth=0.9)
            panel.plot(value, y + 0.07 * (index - 1), linestyle="none", **_mark(variant, look.color, marker))
    for end in (0, 1):
        panel.axvline(end, color="#999999", linewidth=0.8, zorder=0)
    panel.set_yticks(range(len(arms)), [style.arm_look(arm).label for arm in arms])
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)


def _repairs(panel: Axes, split: pd.DataFrame, repair: pd.DataFrame, recovery: pd.DataFrame, arms: list[str]) -> None:
    """One checkpoint of every arm: `split` and `repair` hold its rows, `recovery` those of all."""
    seeds = split["seed"].nunique()
    shown = task0_rows(repair.assign(split="task0_test"))
    facts_a_unit = repair.loc[repair["kind"] != "all", "kind"].nunique()
    shown = shown.assign(facts=shown["known"] * np.where(shown["counted"] == "units", facts_a_unit, 1))
    whole = split[(split["metric"] == "exact_match") & (split["space"] == "logits") & (split["grouping"] == "kind_position")]
    trained = _trained(split, recovery)
    for index, arm in enumerate(arms):
        look, beside = style.arm_look(arm), 1.15 ** (index - (len(arms) - 1) / 2)
        for chosen, line in _REPAIRS.values():
            curve = shown[(shown["arm"] == arm) & (shown[list(chosen)] == pd.Series(chosen)).all(axis=1)]
            units = chosen["counted"] == "units"
            style.draw_curve(panel, curve, "facts", look, markers=10 if units else 0, band=units, **({"markersize": 3.0} | line))
        ends = ((_NOTHING_KNOWN, whole[whole["removed"] == "nothing"]), (_TRAINED, trained))
        for place, rows in ends:
            point = over_seeds(rows[rows["arm"] == arm], ["arm"], seeds, kind=PROPORTION).assign(place=place * beside)
            style.error_bars(panel, point, "place", look, markersize=4)
    before = over_seeds(whole[whole["removed"] == "everything"], ["arm"], seeds, kind=PROPORTION)["value"]
    panel.axhline(before.mean(), zorder=1, **_BEFORE)
    panel.set_xscale("log", base=2)
    ticks = [1, 6, 24, 96, 384]
    panel.set_xticks([_NOTHING_KNOWN, *ticks, _TRAINED], ["none", *map(str, ticks), "trained"])
    panel.set_xlim(_NOTHING_KNOWN / 1.8, _TRAINED * 1.8)
    panel.set_xlabel("known facts")
    style.accuracy_axis(panel, "")


def _trained(split: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """Recovery by one epoch of training from the checkpoints of `split`: columns seed, arm, value, low, high."""
    checkpoints = split[["seed", "arm", "step"]].drop_duplicates().rename(columns={"step": "checkpoint"})
    rows = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    return rows.merge(checkpoints, on=["seed", "arm", "checkpoint"])[["seed", "arm", "value", "low", "high"]]


def _forms(panel: Axes, recall: pd.DataFrame, forms: dict[str, dict[str, Any]], arms: list[str]) -> None:
    """Accuracy of the questions in each form before Task 1 and at the checkpoints; of control persons as a thin line."""
    places = {point: place for place, point in enumerate(("task0", *_POINTS))}
    seeds = recall["seed"].nunique()
    for form, line in forms.items():
        of_form = recall[recall["form"] == form]
        for index, arm in enumerate(arms):
            of_arm = of_form[of_form["arm"] == arm]
            for split, look in (("control", style.CONTROLS["control"]), ("task0_test", style.arm_look(arm))):
                curve = over_seeds(task0_rows(of_arm, split), ["point"], seeds, kind=PROPORTION)
                curve = curve.assign(place=curve["point"].map(places) + 0.06 * (index - (len(arms) - 1) / 2)).sort_values("place")
                if split == "control":
                    panel.plot(curve["place"], curve["value"], **_CONTROL)
                else:
                    style.error_bars(panel, curve, "place", look, markersize=3.5, **line)
    panel.set_xticks(range(len(places)), ["before\nTask 1", *(text.replace(" l", "\nl") for _, text in _POINTS.values())])
    panel.set_xlim(-0.3, len(places) - 0.7)
    style.accuracy_axis(panel, "")
