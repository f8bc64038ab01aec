"""Losses of both tasks on the plane of the Task 1 run.

**What it shows.** The loss on held-out Task 0 questions, on Task 1 questions, and their mean, on a plane
through weight space, with the path that training took. One row an arm.

**How to read it.** Three models span the plane: the end of Task 0 (circle, the origin), step 150 of Task 1
(triangle) and the end of Task 1 (square). The horizontal axis is the direction of the first 150 steps, the
vertical one what is left of the later way. Stars: the weights after one epoch of recovery, from the trough on
a dotted line and from the end on a solid one. Dark is a low loss; the levels are evenly spaced in the
logarithm and the same in all panels. The path has many more dimensions than two. The three models lie in the
plane by construction, the others do not: the percentages beside each row are the smallest share of the way to
any other checkpoint that lies in this plane (lengths in weight space), and that of what recovery itself adds.

**What to look for.** A path with a bend: first sideways, up the walls of the Task 0 valley while Task 1
hardly improves, then along Task 1. Replay and freezing should bend less or stay inside the Task 0 valley.

**What would contradict the claim.** A straight path, on which Task 0 gets worse exactly as Task 1 gets
better; or a small percentage, for then the picture shows a shadow from which little follows between the three
models.
"""

from __future__ import annotations

from typing import Any

import matplotlib.patheffects as effects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from forgetting.data.points import EARLY_STEP, REFERENCE_ORIGIN, early_step
from forgetting.figures import style

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 1,
    "inputs": {
        "landscape": ["viewed"],
    },
    "options": {"axes": "views.landscape.axes"},
}

_LOSSES = {"task0_loss": "Task 0, held-out", "task1_loss": "Task 1", "mean_loss": "mean of both"}
_RECOVERY = {
    "recovery_trough": ("one epoch of recovery from the trough", (0, (1.2, 1.2))),
    "recovery_end": ("one epoch of recovery from the end", "-"),
}
"""Kind of point: legend text and line."""
_OUTLINE = [effects.withStroke(linewidth=2.2, foreground="white")]


def draw(landscape: pd.DataFrame, axes: str = "orthogonal") -> Figure:
    """One row an arm, one column a loss; contours have the same levels everywhere. Of several seeds, the first is drawn.

    Frame: LANDSCAPE. `axes` says what its coordinates are: orthogonal (L2 distances) or reference (multiples of the displacements).
    """
    seed = landscape["seed"].min()
    frame = landscape[landscape["seed"] == seed]
    arms = style.arm_order(frame["arm"])
    figure, panels = style.new_figure(len(arms), 3, height=0.9 + 2.0 * len(arms), sharex="row", sharey="row")
    levels = loss_levels(frame.loc[frame["kind"] == "grid", list(_LOSSES)].to_numpy())
    for row, arm in zip(panels, arms, strict=True):
        run = frame[frame["arm"] == arm]
        for panel, loss in zip(row, _LOSSES, strict=True):
            contours = _contours(panel, run[run["kind"] == "grid"], loss, levels)
            _trajectory(panel, run[run["kind"] == "trajectory"].sort_values("step"), style.arm_look(arm))
            for kind, look in _RECOVERY.items():
                _recovery(panel, run[run["kind"] == kind].sort_values("epochs"), look)
        share = least_in_plane(run[run["kind"] == "trajectory"], axes)
        inside = "" if np.isnan(share) else f"\npath at least {np.floor(100 * share):.0f} % in the plane"
        back = run.loc[run["kind"].isin(_RECOVERY) & (run["epochs"] > 0), "in_plane"].min()
        inside += "" if np.isnan(back) else f"\nrecovery itself at least {np.floor(100 * back):.0f} %"
        row[0].set_ylabel(f"{style.arm_look(arm).label}{inside}\nbeta: after step {EARLY_STEP}")
    for letter, panel, text in zip("abc", panels[0], _LOSSES.values(), strict=True):
        style.title(panel, letter, text)
    for panel in panels[-1]:
        panel.set_xlabel(f"alpha: first {EARLY_STEP} steps")
    label = "loss (nats per answer token,", "log-spaced levels)"
    bar = figure.colorbar(contours, ax=panels, shrink=0.6, pad=0.02, label=(" " if len(arms) > 1 else "\n").join(label))
    bar.set_ticks(np.log(levels[::3]), labels=[f"{level:.2g}" for level in levels[::3]])
    unit = "distance in weight space (L2 norm)" if axes == "orthogonal" else "multiples of the two displacements"
    drawn = set(frame["kind"])
    if back_kinds := [kind for kind in _RECOVERY if kind in drawn]:
        handles = [style.line_handle(_RECOVERY[kind][0], "#222222", linestyle=_RECOVERY[kind][1], marker="*") for kind in back_kinds]
        style.legend(figure, [style.line_handle("Task 1, in the colour of its arm", "#999999"), *handles], 3)
    error = frame[["task0_error", "task1_error"]].max(axis=None)
    sampling = (
        ""
        if np.isnan(error)
        else f" Losses have a standard error of at most {error:.2g} from the choice of persons, the same at all points."
    )
    style.small_print(
        figure,
        f"Seed {seed}. Axes: {unit}. Circle: after Task 0; triangle: step {EARLY_STEP}; square: end of the run; star: recovered, "
        "one epoch. In the plane: smallest share of a checkpoint's displacement, over those that do not span the plane; of recovery, "
        f"of what it adds itself.{sampling}",
    )
    return figure


def least_in_plane(path: pd.DataFrame, axes: str) -> float:
    """Smallest share in the plane over the checkpoints of one path that do not span it; NaN when there are none.

    The origin (the end of Task 0, or with reference axes the checkpoint nearest to `REFERENCE_ORIGIN`), the early point and the
    end span it, so they lie in it whatever the path does.
    """
    steps = sorted(path["step"])
    bend = early_step(steps)
    before = [step for step in steps if step < bend]
    origin = 0 if axes == "orthogonal" else min(before, key=lambda step: abs(step - REFERENCE_ORIGIN))
    return float(path.loc[~path["step"].isin([origin, bend, steps[-1]]), "in_plane"].min())


def loss_levels(losses: np.ndarray, count: int = 16) -> np.ndarray:
    """Contour levels, evenly spaced in log(loss), from the lowest to the highest finite loss."""
    finite = losses[np.isfinite(losses)]
    low = max(float(finite.min()), 1e-3)
    return np.geomspace(low, max(float(finite.max()), 1.01 * low) * 1.001, count)


def _contours(panel: Axes, grid: pd.DataFrame, loss: str, levels: np.ndarray) -> ContourSet:
    table = grid.pivot(index="beta", columns="alpha", values=loss)
    height = np.clip(table.to_numpy(dtype=float), levels[0], levels[-1])
    steps = np.log(levels)
    filled = panel.contourf(table.columns, table.index, np.log(height), levels=steps, cmap="cividis")
    panel.contour(table.columns, table.index, np.log(height), levels=steps, colors="white", linewidths=0.4, linestyles="solid", alpha=0.6)
    panel.grid(visible=False)
    return filled


def _trajectory(panel: Axes, path: pd.DataFrame, look: style.Look) -> None:
    panel.plot(path["alpha"], path["beta"], color=look.color, linewidth=1.5, path_effects=_OUTLINE)
    early = path[path["step"] == early_step(path["step"])].iloc[0]
    for point, marker in ((path.iloc[0], "o"), (early, "^"), (path.iloc[-1], "s")):
        panel.plot(
            point["alpha"],
            point["beta"],
            marker=marker,
            color=look.color,
            markeredgecolor="white",
            markersize=6,
            linestyle="none",
            clip_on=False,
        )


def _recovery(panel: Axes, path: pd.DataFrame, look: tuple[str, Any]) -> None:
    """Nothing for an arm without a recovery curve."""
    panel.plot(path["alpha"], path["beta"], color="#222222", linewidth=1.2, linestyle=look[1], path_effects=_OUTLINE)
    last = path.tail(1)
    panel.plot(last["alpha"], last["beta"], marker="*", color="#222222", markeredgecolor="white", markersize=8, linestyle="none")
