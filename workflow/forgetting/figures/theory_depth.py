"""Do shifts add up with depth?

**What it shows.** The second proposition of the paper: how far the states of held-out Task 0 questions shift in
each layer (*a*), and how far each layer alone shifts them (*b*), at the last prompt token.

**How to read it.** Both in units of the spread of the states before, since the residual stream itself grows
with depth, and on one scale. In *b* arms stand side by side at each layer. Layers count from 1. Solid lines and
filled marks: Task 0 to step 150; dashed lines and open marks: Task 0 to the end. Bands and bars that are not seen
are narrower than their lines and marks; of one seed *b* has none. The own part of a layer is what it makes of the
states as they were before, so that nothing from below is in it.

**What to look for.** *a* rises although *b* does not: shifts add up. Where *b* rises, too, later layers were merely
changed more. Frozen layers lie at 0 in *a* and have no own part; in an arm that has some the proposition does not
apply.

**What would contradict the theory.** A flat or falling *a* where all layers were updated.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import TASK1_END
from forgetting.figures import style
from forgetting.figures.by_layer import STAGE_FACES, STAGES, layer_axis, stage_handles
from forgetting.schemas.theory import SPLIT, STREAM
from forgetting.statistics import RATIO, over_seeds

SHOWS = {
    "question": "What do the features show?",
    "in": "all",
    "order": 5,
    "inputs": {
        "theory": ["main"],
    },
}

_LATER = 0.11
"""How far the marks of the end stand beside those of step 150."""


def draw(theory: pd.DataFrame) -> Figure:
    """Whole and own shift by layer. Frame: THEORY."""
    rows = theory[(theory["split"] == SPLIT) & (theory["component"] == STREAM) & (theory["layer"] > 0)]
    arms = style.arm_order(rows["arm"])
    figure, axes = style.new_figure(1, 2, height=2.7, sharey=True)
    panels = (("whole shift", rows[rows["metric"] == "relative_shift_norm"]), ("own part of the layer", own_parts(rows)))
    for letter, panel, (text, shown) in zip("ab", axes[0], panels, strict=True):
        for arm, beside in zip(arms, 2 * style.side_by_side(len(arms)), strict=True):
            for stage, line in STAGES.items():
                look = style.arm_look(arm)._replace(face=STAGE_FACES[stage])
                chosen = shown[(shown["arm"] == arm) & (shown["after"] == stage)]
                if letter == "a":
                    style.draw_curve(panel, chosen, "layer", look, kind=RATIO, markers=20, clip_on=False, **line)
                else:
                    _marks(panel, chosen.assign(layer=chosen["layer"] + beside + _LATER * (stage == TASK1_END)), look)
        style.title(panel, letter, text)
        panel.set_ylim(0, None)
        layer_axis(panel, rows)
    handles = style.arm_handles(arms, linewidth=1.3)
    axes[0, 0].set_ylabel("shift of a question\n/ spread before")
    style.legend(figure, [*handles, *stage_handles()], columns=3)
    one = rows["seed"].nunique() == 1
    style.note(figure, rows, "None in b." if one else "", intervals="bands (a)" if one else None, shares=False)
    return figure


def _marks(panel: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    """No lines between layers: the own part of one says nothing about the next."""
    for _, of_seed in style.single_seeds(rows):
        style.seed_dots(panel, of_seed["layer"], of_seed["value"], look)
    style.error_bars(panel, over_seeds(rows, ["layer"], kind=RATIO), "layer", look, markersize=4)


def own_parts(rows: pd.DataFrame) -> pd.DataFrame:
    """The own part of each layer over the spread, which is the length of the shift over its relative length. Without
    intervals, and without layers that did not move."""
    keys = ["seed", "arm", "after", "layer"]
    wide = rows.pivot_table(index=keys, columns="metric", values="value").reset_index().dropna(subset="own_norm")
    spread = wide["shift_norm"] / wide["relative_shift_norm"]
    moved = wide["shift_norm"] > 0
    return wide[keys].assign(value=wide["own_norm"] / spread, low=float("nan"), high=float("nan"))[moved]
