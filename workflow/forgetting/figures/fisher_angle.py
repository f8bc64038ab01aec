"""Do the matrices that Task 0 depends on most turn most in Task 1?

**What it shows.** Whether the matrices that Task 0 depends on most, by Fisher information, are those whose
early and late Task 1 updates point in different directions.

**How to read it.** One mark a weight matrix of ``seq``. *a*: the mean angle between the updates of steps
0-150 and from there to the end; grey dashes are the angle that independent updates of the same ranks would
have. *b*: the angle minus that chance level. Lines and correlations with and without the two embeddings,
which are few and of which one may lie far out. With several seeds a mark is their mean, and the small print gives the
correlation of each seed by itself.

**What to look for.** A correlation whose interval stays clear of zero in *both* panels and without the
embeddings, and with the same sign in every seed. The intervals treat matrices as independent, which they are
not; they are too narrow rather than too wide.

**What would contradict the claim.** A correlation in *b* at zero, by an interval that leaves room for none worth
speaking of, or of another sign in other seeds. One in *a* that is gone in *b* is an artefact: it reads the
rank of the updates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from forgetting.data.points import EARLY_STEP
from forgetting.figures import style
from forgetting.intervals import CONFIDENCE, Interval, unit_bootstrap

SHOWS = {
    "question": "Where do weights move?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "weights": ["seq"],
        "fisher": [],
    },
}

DRAWS = 5000
EMBEDDINGS = ("embedding", "output_embedding")
_LOOKS = {
    "embedding": style.Look("#000000", "*", "embedding"),
    "output_embedding": style.Look("#5A5A5A", "X", "output embedding"),
    "query": style.Look("#0072B2", "o", "query"),
    "key": style.Look("#1D98DD", "s", "key"),
    "value": style.Look("#009E73", "^", "value"),
    "attention_output": style.Look("#B87A00", "D", "attention output"),
    "mlp_gate": style.Look("#8F8700", "<", "MLP gate"),
    "mlp_input": style.Look("#CC79A7", "v", "MLP input"),
    "mlp_output": style.Look("#D55E00", "P", "MLP output"),
}
_FITS = {False: ("without the embeddings", "-", "#444444"), True: ("all matrices", (0, (4, 2)), "#8C8C8C")}


def draw(weights: pd.DataFrame, fisher: pd.DataFrame) -> Figure:
    """Frames: WEIGHTS (the rows of `seq` are used), FISHER. One point a matrix: mean over seeds."""
    runs = joined(weights, fisher)
    points = over_runs(runs)
    figure, axes = style.new_figure(1, 2, height=4.2, sharex=True)
    labels = {
        "angle": ("a", "angle", f"angle between the updates of steps\n0-{EARLY_STEP} and {EARLY_STEP}-end (degrees)"),
        "excess": ("b", "angle beyond chance", "angle minus chance of the same ranks\n(degrees)"),
    }
    for panel, (column, (letter, text, label)) in zip(axes[0], labels.items(), strict=True):
        for component, look in _LOOKS.items():
            rows = points[points["component"] == component]
            panel.plot(rows["fisher"], rows[column], color=look.color, marker=look.marker, linestyle="none", markersize=5)
        panel.set_xscale("log")
        style.plain_numbers(panel.xaxis)
        panel.set_xlabel("mean diagonal Fisher information of Task 0\n(nats² per weight²)")
        panel.set_ylabel(label)
        style.title(panel, letter, text)
        _fits(panel, points, column)
    axes[0, 0].plot(points["fisher"], points["chance"], marker="_", color="#767676", linestyle="none", zorder=1)
    axes[0, 1].axhline(0, color=style.MODAL_ANSWER, linewidth=0.8, zorder=1)
    shown = [look for component, look in _LOOKS.items() if component in set(points["component"])]
    handles = [style.line_handle(look.label, look.color, marker=look.marker, linestyle="none") for look in shown]
    handles.append(style.line_handle("a: chance", "#767676", marker="_", linestyle="none"))
    style.legend(figure, handles, columns=5)
    seeds = fisher["seed"].nunique()
    style.small_print(
        figure,
        f"One point a matrix of seq{'' if seeds == 1 else f', mean of {seeds} seeds'}. r: Pearson correlation of the angle with the "
        "logarithm of the Fisher information; 95 % bootstrap interval over matrices, which are no independent sample. Chance: "
        f"independent Gaussian updates of the same ranks.{_by_seed(runs)}",
    )
    return figure


def joined(weights: pd.DataFrame, fisher: pd.DataFrame) -> pd.DataFrame:
    """One row a seed, layer and component: fisher, angle, chance, excess (angle - chance). Matrices without an angle or without Fisher
    information are left out. Raises ValueError when none is left."""
    of_pair = (weights["former"] == "task1_early") & (weights["latter"] == "task1_late") & (weights["metric"] == "mean_angle")
    angles = weights[of_pair & (weights["arm"] == "seq")].rename(columns={"value": "angle"})
    keys = ["layer", "component"]
    both = angles[["seed", *keys, "angle", "chance"]].merge(fisher[["seed", *keys, "fisher"]], on=["seed", *keys])
    both = both[both["angle"].notna() & (both["fisher"] > 0)]
    if both.empty:
        raise ValueError("no matrix has both Fisher information and an angle between task1_early and task1_late of arm 'seq'")
    return both.assign(excess=both["angle"] - both["chance"])


def over_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The mean of `joined` rows over seeds, one row a layer and component; of Fisher information the geometric mean."""
    logarithms = runs.assign(fisher=np.log(runs["fisher"]))
    means = logarithms.groupby(["layer", "component"], as_index=False)[["fisher", "angle", "chance", "excess"]].mean()
    return means.assign(fisher=np.exp(means["fisher"]))


def correlation(x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64], seed: int = 0) -> Interval:
    """Pearson correlation of paired values, with the percentile interval of a bootstrap over pairs; NaN where x or y do not vary."""
    pairs = np.stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] < 3:
        return Interval(np.nan, np.nan, np.nan)
    weights = unit_bootstrap(pairs.shape[1], DRAWS, seed) / pairs.shape[1]
    uniform = np.full((1, pairs.shape[1]), 1 / pairs.shape[1])
    draws = _weighted(pairs, weights)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail]) if not np.isnan(draws).all() else (np.nan, np.nan)
    return Interval(float(_weighted(pairs, uniform)[0]), float(low), float(high))


def _weighted(pairs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of the columns of `pairs` (2, n) under each row of `weights` (rows, n), which sum to 1."""
    centred = pairs - pairs.mean(axis=1, keepdims=True)
    means = weights @ centred.T
    squares = weights @ (centred**2).T - means**2
    product = weights @ (centred[0] * centred[1]) - means.prod(axis=1)
    scale = np.sqrt(np.clip(squares, 0, None).prod(axis=1))
    return np.divide(product, scale, out=np.full(len(weights), np.nan), where=scale > 1e-12 * max(1.0, float((centred**2).max())))


def _by_seed(runs: pd.DataFrame) -> str:
    """The correlations of the single seeds in words; nothing for one seed, whose own stand below the panels."""
    if runs["seed"].nunique() < 2:
        return ""
    parts = []
    for panel, column in (("a", "angle"), ("b", "excess")):
        for with_embeddings, (label, *_) in _FITS.items():
            found = [f"{correlation(*_pairs(rows, column, with_embeddings)).value:.2f}" for _, rows in runs.groupby("seed")]
            parts.append(f"{panel}, {label} {', '.join(found)}")
    return f" r by seed: {'; '.join(parts)}."


def _pairs(points: pd.DataFrame, column: str, with_embeddings: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithm of the Fisher information, and `column`, of the matrices in question."""
    rows = points if with_embeddings else points[~points["component"].isin(EMBEDDINGS)]
    rows = rows.dropna(subset=column)
    return np.log(rows["fisher"].to_numpy(dtype=float)), rows[column].to_numpy(dtype=float)


def _fits(panel: Axes, points: pd.DataFrame, column: str) -> None:
    """Least-squares lines with and without the embeddings, and their correlations in words below the title."""
    words = []
    for with_embeddings, (label, dashes, color) in _FITS.items():
        x, y = _pairs(points, column, with_embeddings)
        found = correlation(x, y)
        words.append(f"{label}: r = {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
        if np.isnan(found.value):
            continue
        slope, base = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        panel.plot(np.exp(ends), base + slope * ends, color=color, linestyle=dashes, linewidth=0.9, label=words[-1], zorder=1)
    if handles := panel.get_legend_handles_labels()[0]:
        style.legend_below(panel, handles, columns=1)
