"""Does freezing the bottom layers make the last layer shift less?

**What it shows.** The third proposition of the paper: the shift of the last layer with n frozen bottom layers
as a share of that of ``seq`` at the same checkpoint, after 150 steps (*a*) and at the end of each run (*b*), and its
assumption, that the layers that train move no further than they do in ``seq`` (*c*). Held-out Task 0
questions, last prompt token.

**How to read it.** Leftmost ``seq`` itself; *emb.* freezes the embedding, n the embedding and the bottom n
layers. Black line: the prediction from the parts of ``seq``, as if its other layers moved as they did. It is
no bound of the other arms. *c*: length of the update of all matrices that the arm trained over that in
``seq``; filled at step 150, open at the end of each run, which arms that learn more slowly reach later.

**What to look for.** Points of *a* and *b* below 1, falling with n, and where they lie to the prediction.
Points above the line of 1 in *c* break the assumption: there the proposition does not apply.

**What would contradict the theory.** A last layer that moves as far with frozen layers as without although the
others moved no further.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.analysis.propositions import NO_FREEZE, freeze_depth, predicted_reductions, updates_over_seq
from forgetting.data.points import EARLY, END, TASK1_EARLY, TASK1_END, WORDS
from forgetting.figures import style
from forgetting.schemas.theory import SPLIT, STREAM
from forgetting.statistics import RATIO, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "theory": ["main", "compared:freeze"],
    },
}

_STAGES = {TASK1_EARLY: f"at {WORDS[EARLY]}", TASK1_END: f"at the {WORDS[END]}"}
_FILLS: dict[str, Any] = {EARLY: "full", END: "none"}
"""Of the marks of *c*, by checkpoint as in `_STAGES`."""
_PREDICTED = style.Look("#1A1A1A", "", "prediction from the parts of seq (a, b)")
_ONE = {"color": style.MODAL_ANSWER, "linewidth": 0.8}


def draw(theory: pd.DataFrame) -> Figure:
    """Shift of the last layer against the number of frozen ones, and how far the others moved. Frame: THEORY, with `seq`."""
    rows = theory[theory["split"] == SPLIT]
    arms = [arm for arm in style.arm_order(rows["arm"]) if arm == NO_FREEZE or freeze_depth(arm) is not None]
    figure, axes = style.new_figure(1, 3, height=2.7, sharex=True)
    for letter, panel, (stage, text) in zip("ab", axes[0], _STAGES.items(), strict=False):
        _reductions(panel, rows[rows["after"] == stage], arms)
        style.title(panel, letter, text)
    _updates(axes[0, 2], rows, arms)
    style.title(axes[0, 2], "c", "assumption")
    axes[0, 1].sharey(axes[0, 0])
    axes[0, 0].set_ylabel("shift of the last layer\n/ that of seq")
    axes[0, 2].set_ylabel("update of trained layers\n/ that of seq")
    depths = sorted({_place(arm) for arm in arms})
    for panel in axes[0]:
        panel.axhline(1, **_ONE)
        panel.set_ylim(0, None)
        panel.set_xlim(-1.5, max(depths) + 0.5)
        panel.set_xticks(depths, [{-1: "none", 0: "\nemb."}.get(depth, str(depth)) for depth in depths])
    axes[0, 1].set_xlabel("frozen bottom layers")
    stages = [style.line_handle(f"{WORDS[point]} (c)", marker="^", fillstyle=fill, linestyle="none") for point, fill in _FILLS.items()]
    predicted = style.line_handle(_PREDICTED.label, _PREDICTED.color)
    style.legend(figure, [*style.arm_handles(arms, linestyle="none"), *stages, predicted], columns=4)
    style.note(figure, rows, "None in c and of the prediction." * (rows["seed"].nunique() == 1), shares=False)
    return figure


def _place(arm: str) -> int:
    depth = freeze_depth(arm)
    return -1 if depth is None else depth


def _reductions(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    stream = rows[rows["component"] == STREAM]
    last = stream[(stream["metric"] == "shift_norm") & (stream["layer"] == stream["layer"].max())]
    unit = last[last["arm"] == NO_FREEZE].set_index("seed")["value"].rename("unit")
    shares = relative_to(last, unit)
    seeds = rows["seed"].nunique()
    for arm in arms:
        points = over_seeds(shares[shares["arm"] == arm].assign(n=_place(arm)), ["n"], seeds, kind=RATIO)
        style.error_bars(panel, points, "n", style.arm_look(arm), markersize=4.5)
    if len(unit):
        line = over_seeds(pd.concat(_predictions(rows)), ["n"], seeds, kind=RATIO)
        line = line[line["n"] <= max(map(_place, arms))]
        panel.plot(line["n"], line["value"], color=_PREDICTED.color, linewidth=0.9)


def _predictions(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The prediction of every seed by n, from -1 for none frozen."""
    for seed, of_seed in rows.groupby("seed"):
        found = predicted_reductions(of_seed)
        yield pd.DataFrame({"seed": seed, "n": [-1, *found.index], "value": [1.0, *found], "low": np.nan, "high": np.nan})


def _updates(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    seeds = rows["seed"].nunique()
    for stage, fill in zip(_STAGES, _FILLS.values(), strict=True):
        of_stage = rows[rows["after"] == stage]
        for arm in arms:
            ratios = [{"seed": seed, "n": _place(arm), "value": updates_over_seq(frame, arm)} for seed, frame in of_stage.groupby("seed")]
            points = over_seeds(pd.DataFrame(ratios).assign(low=np.nan, high=np.nan).dropna(subset="value"), ["n"], seeds, kind=RATIO)
            points["n"] += 0.12 if stage == TASK1_END else -0.12
            style.error_bars(panel, points, "n", style.arm_look(arm), markersize=4.5, fillstyle=fill)


def relative_to(rows: pd.DataFrame, unit: pd.Series) -> pd.DataFrame:
    """`rows` with value, low and high divided by the `unit` of their seed (index: seed)."""
    joined = rows.join(unit, on="seed")
    return joined.assign(**{name: joined[name] / joined["unit"] for name in ("value", "low", "high")})
