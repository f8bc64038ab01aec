"""At which token do answers go wrong, and which lost facts come back?

**What it shows.** Task 0 answers about persons whose questions were never trained on, at the lowest checkpoint of
the first 150 steps (*trough*) and at the end of Task 1.

**How to read it.** *a*: the token at which answers go wrong first. From the left: wholly right; a later token
wrong; the first token wrong. *b*: the facts that were known before Task 1. From the left: still right at that
point; wrong, but right after one epoch on *other* persons' Task 0 questions; not recovered. Black lines are the
intervals of the two borders, the left one above. Purple, in *b*: how many of the same facts the model that never
had Task 0 answers right after the same Task 1 and the same epoch, where that model was run, with its interval at
the lower edge. Grey, dash-dotted: in *a* how often the most frequent first token is right, which the right border of the
filled and hatched parts together is to be held against; in *b* how often the most frequent answer is.

**What to look for.** If task alignment is lost, answers go wrong at the first token, and the white part of *a*
turns into the hatched part of *b*: a short recovery brings the answer back. The white part of *b* is what one
epoch does not bring back; more of it may come with more. The hatched part shows something of Task 0 only as far as
it reaches beyond the purple line: up to there, the epoch teaches a model that has nothing to remember as much.

**What would contradict the claim.** A decline fact by fact in which few of the lost facts return.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from forgetting.analysis.spurious import fact_fates, floor_probe, probe_facts, probe_points, probe_stages, probes_by_checkpoint, task0_rows
from forgetting.data.points import END, NO_TASK0, TROUGH
from forgetting.figures import style
from forgetting.figures.answers_by_part import chance_of_token, tokens_of
from forgetting.intervals import clustered_wilson
from forgetting.schemas.facts import ACCURACY
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 2,
    "inputs": {
        "metrics": ["main"],
        "recovery": ["main", "controls"],
        "recovery_facts": ["main", "controls", "without_task0"],
        "floors": [],
        "positions": ["main"],
    },
}

_POINTS = (TROUGH, END)
_HATCH = "//////"
_FLOOR: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 1.0, "linestyle": (0, (6, 2, 1, 2)), "zorder": 1}
_TICK: dict[str, Any] = {"color": style.arm_look(f"seq{NO_TASK0}").color, "markeredgewidth": 2.0}


def draw(
    metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame, floors: pd.DataFrame, positions: pd.DataFrame
) -> Figure:
    """Frames: METRICS of the task1 runs, RECOVERY and RECOVERY_FACTS of the same arms, METRICS floors, POSITIONS."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if not style.is_rate_arm(arm)]
    figure, axes = style.new_figure(1, 2, height=2.6 + 0.4 * len(arms), sharey=True)
    first, second = axes[0]
    points = probe_points(metrics, recovery)
    points = points[points["point"].isin(_POINTS) & points["arm"].isin(arms)]
    seeds = metrics["seed"].nunique()
    _bars(first, over_seeds(first_errors(positions, recovery, points), ["arm", "point", "part"], seeds, kind=PROPORTION), arms)
    outcomes = over_seeds(fates(recovery_facts, points), ["arm", "point", "part"], seeds, kind=PROPORTION)
    _bars(second, outcomes, arms)
    _floors(second, outcomes[outcomes["part"] == "floor"], arms)
    first.axvline(chance_of_token(positions, 0), **_FLOOR)
    second.axvline(_floor(floors), **_FLOOR)
    style.title(first, "a", "first error")
    style.title(second, "b", "fate of facts")
    first.set_xlabel("share of Task 0 questions,\nheld-out persons")
    second.set_xlabel("share of the facts\nknown before Task 1")
    style.legend_below(first, _handles("answer right", "a later token wrong first", "first token wrong", "most frequent first token"), 1)
    keys = _handles("kept", "lost, back after one epoch", "not back after one epoch", "most frequent answer")
    if "floor" in set(outcomes["part"]):
        keys.append(style.line_handle("never had Task 0, after the epoch", **_TICK, linestyle="none", marker="|", markersize=8))
    style.legend_below(second, keys, 1)
    style.note(figure, metrics, intervals="black and purple lines" if "floor" in set(outcomes["part"]) else "black lines")
    return figure


def _floor(floors: pd.DataFrame) -> float:
    """Exact match of always giving the most frequent answer."""
    chosen = (floors["split"] == "task0_test") & (floors["metric"] == "exact_match") & (floors["kind"] == "all")
    return float(floors.loc[chosen, "value"].mean())


def first_errors(positions: pd.DataFrame, recovery: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Columns seed, arm, point, part, value, low, high: the shares of questions answered right (`part` filled) and of those whose first
    token is wrong (open) at each of `points`; in the others the first wrong token is a later one."""
    probes = task0_rows(recovery[(recovery["start"] == "task1") & (recovery["epochs"] == 0)])
    rows = tokens_of(positions, "task0_test", "first_wrong")
    rows = rows[rows["position"] == 0].rename(columns={"step": "checkpoint"})
    parts = {"filled": probes, "open": rows}
    keys = ["seed", "arm", "checkpoint"]
    found = [points.merge(part[[*keys, "value", "low", "high"]], on=keys).assign(part=name) for name, part in parts.items()]
    return pd.concat(found, ignore_index=True)[["seed", "arm", "point", "part", "value", "low", "high"]]


def fates(facts: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Columns as `first_errors`, of the facts known before Task 1: those kept (`part` filled) and those not back after one epoch (open) at
    `points`; the others are lost and recovered. The shares are those of `spurious.transitions`, the intervals clustered by person.

    floor: those of them that the same arm without Task 0 answers right after its epoch (`floor_probe`), for arms that have one."""
    test = probe_facts(facts)
    test = test[test["start"] == "task1"]
    probes, arms = probes_by_checkpoint(test), set(test["arm"])
    rows: list[tuple[object, ...]] = []
    for point in points.itertuples():
        run = test[(test["seed"] == point.seed) & (test["arm"] == point.arm)]
        known = fact_fates(*probe_stages(run, point.checkpoint))
        if known.empty:
            continue
        parts = {"filled": known["kept"], "open": known["not_back_after_one_epoch"]}
        if f"{point.arm}{NO_TASK0}" in arms:
            parts["floor"] = _right_without_task0(floor_probe(probes, points, point._asdict()), known.index)
        for part, answers in parts.items():
            rows.append((point.seed, point.arm, point.point, part, *clustered_wilson(answers, answers.index.get_level_values("unit"))))
    return pd.DataFrame(rows, columns=["seed", "arm", "point", "part", "value", "low", "high"])


def _right_without_task0(probe: pd.DataFrame, known: pd.Index) -> pd.Series:
    """Whether each of these facts is right after one epoch of a recovery."""
    return probe[np.isclose(probe["epochs"], 1)].set_index(["unit", "kind"]).loc[known, ACCURACY]


def _bars(panel: Axes, shares: pd.DataFrame, arms: list[str]) -> None:
    """One bar an arm and point: filled from the left, open to the right, hatched between; an interval at each of the two borders."""
    for place, arm, point in _places(arms):
        parts = shares[(shares["arm"] == arm) & (shares["point"] == point)].set_index("part")
        if not {"filled", "open"} <= set(parts.index):
            continue
        ink, height = style.arm_look(arm).color, 0.36
        filled, rest = parts.loc["filled"], 1 - parts.loc["open", ["value", "low", "high"]].astype(float)
        panel.barh(place, 1, height, facecolor="white", edgecolor=ink, linewidth=0.8)
        panel.barh(
            place, rest["value"] - filled["value"], height, filled["value"], facecolor="white", edgecolor=ink, hatch=_HATCH, linewidth=0.8
        )
        panel.barh(place, filled["value"], height, facecolor=ink, edgecolor=ink, linewidth=0.8)
        for border, shift in ((filled, -0.08), (rest, 0.08)):
            for color, width in (("white", 2.6), ("#1A1A1A", 1.1)):  # white around it, so that it is seen on a dark bar
                panel.hlines(place + shift, border["low"], border["high"], color=color, linewidth=width, zorder=3)
    panel.set_yticks([place for place, *_ in _places(arms)], [f"{style.arm_look(arm).label}, {point}" for _, arm, point in _places(arms)])
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.set_xlim(0, 1.01)
    panel.grid(axis="y", visible=False)


def _floors(panel: Axes, shares: pd.DataFrame, arms: list[str]) -> None:
    """A line across the bar where the same arm without Task 0 comes to, and its interval along the lower edge."""
    found = shares.set_index(["arm", "point"])
    for place, arm, point in _places(arms):
        if (arm, point) in found.index:
            value, low, high = found.loc[(arm, point), ["value", "low", "high"]].astype(float)
            for color, width in (("white", 4.0), (_TICK["color"], 2.0)):
                panel.vlines(value, place - 0.2, place + 0.2, color=color, linewidth=width, zorder=2.5)
                panel.hlines(place + 0.2, low, high, color=color, linewidth=width, zorder=2.5)


def _places(arms: list[str]) -> Iterator[tuple[float, str, str]]:
    for place, arm in enumerate(arms):
        for offset, point in zip((-0.21, 0.21), _POINTS, strict=True):
            yield place + offset, arm, point


def _handles(filled: str, hatched: str, white: str, floor: str) -> list[Any]:
    """The key of a panel: its three parts, from the left, and its floor."""
    looks: dict[str, dict[str, Any]] = {
        filled: {"facecolor": "#777777"},
        hatched: {"facecolor": "white", "hatch": _HATCH},
        white: {"facecolor": "white"},
    }
    return [*(Patch(edgecolor="#777777", label=label, **look) for label, look in looks.items()), style.line_handle(floor, **_FLOOR)]
