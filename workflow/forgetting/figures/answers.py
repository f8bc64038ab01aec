"""Which answers are forgotten: by attribute, by place in the answer, fact by fact.

**What it shows.** Which Task 0 answers are forgotten, about persons whose questions were never trained on: by
attribute, by token within the answer, and fact by fact.

**How to read it.** *a*: exact match for each attribute; the axis is linear to step 10, then logarithmic, and
the vertical line is step 150. *b*: the share of right tokens at each place in the answer, read after the
question and the right tokens before it. Later tokens are easier: the name of a city gives away its state. How
much easier, the control persons show, whom the model never read about; a later token stands for knowledge
only as far as it lies above them. Dashed: ``seq`` on those answers alone whose earlier tokens it got right,
as when it writes the answer itself. Near the trough these are few, hence the wide band. *c*: the token at
which answers go wrong first. From the left: wholly right; a later token wrong; the first token wrong. *d*:
the facts that were known before Task 1. From the left: still right at that point; wrong, but right after one
epoch on *other* persons' Task 0 questions; not recovered. *Trough* is the lowest checkpoint of the first 150
steps. Black lines are the intervals of the two borders, the left one above.

**What to look for.** If task alignment is lost, answers go wrong at the first token, in every attribute at
about the same time, and the white part of *c* turns into the hatched part of *d*: given its beginning the
model still completes an answer, and a short recovery brings it back. Attributes that stay low while others
rebound, and the white part of *d*, are where facts themselves are lost.

**What would contradict the claim.** Later tokens that fall to the control persons together with the first:
then the values themselves are gone. A decline fact by fact in which few of the lost facts return, or one that
spares some attributes altogether: then it is no common loss of the task's format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from forgetting.analysis.spurious import fact_fates, probe_facts, probe_points, probe_stages, task0_rows
from forgetting.data.points import EARLY, EARLY_STEP, END, TROUGH, WORDS
from forgetting.figures import style
from forgetting.intervals import clustered_wilson
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Does accuracy collapse?",
    "in": "all",
    "order": 2,
    "inputs": {
        "metrics": ["main"],
        "recovery": ["main", "controls"],
        "recovery_facts": ["main", "controls"],
        "floors": [],
        "positions": ["main"],
    },
}

_END = -1
_MOST_TOKENS = 5
_RARE = 0.05
"""Tokens of the answer beyond the first five, or that fewer of the questions have, are not drawn."""
_POINTS = (TROUGH, END)
_HATCH = "//////"
_TICKS = {0: "0", 10: "10", 100: "100", 1000: "1k", 10000: "10k"}
_CONDITIONAL: dict[str, Any] = {"linestyle": "--", "linewidth": 1.0}
_CONTROL: dict[str, Any] = {"linestyle": ":", "linewidth": 1.0, "band": False}
_FLOOR: dict[str, Any] = {"color": style.MODAL_ANSWER, "linewidth": 1.0, "linestyle": (0, (6, 2, 1, 2)), "zorder": 1}


def draw(
    metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame, floors: pd.DataFrame, positions: pd.DataFrame
) -> Figure:
    """Frames: METRICS of the task1 runs, RECOVERY and RECOVERY_FACTS of the same arms, METRICS floors, POSITIONS."""
    arms = [arm for arm in style.arm_order(metrics["arm"]) if not style.is_rate_arm(arm)]
    tokens, kinds = _tokens_drawn(positions), [kind for kind in metrics["kind"].unique() if kind != "all"]
    figure, rows = style.new_figure(3, 1, height=5.6 + 0.45 * len(arms), height_ratios=[1, 1, 0.3 + 0.25 * len(arms)])
    first, second, third = (_split(figure, row, columns) for row, columns in zip(rows[:, 0], (len(kinds), len(tokens), 2), strict=True))
    _by_kind(first, metrics, floors, arms, kinds)
    _by_token(second, positions, list(tokens), arms)
    points = probe_points(metrics, recovery)
    points = points[points["point"].isin(_POINTS) & points["arm"].isin(arms)]
    seeds = metrics["seed"].nunique()
    _bars(third[0], over_seeds(first_errors(positions, recovery, points), ["arm", "point", "part"], seeds, kind=PROPORTION), arms)
    _bars(third[1], over_seeds(fates(recovery_facts, points), ["arm", "point", "part"], seeds, kind=PROPORTION), arms)
    third[0].axvline(_chance(positions, 0), **_FLOOR)
    third[1].axvline(_floor(floors, "all"), **_FLOOR)
    third[1].tick_params(labelleft=False)
    style.title(third[0], "c", "where an answer first goes wrong")
    style.title(third[1], "d", "what becomes of a fact")
    third[0].set_xlabel("share of Task 0 questions, held-out persons")
    third[1].set_xlabel("share of the facts known before Task 1")
    style.legend(figure, _handles(arms), columns=4)
    style.note(
        figure,
        metrics,
        f"Vertical line: {WORDS[EARLY]}. b: each token is predicted after the right ones before it; token 1 is the first; "
        f"tokens asked, from left to right: {', '.join(f'{count:,.0f}' for count in tokens.values())}. "
        "Floor in c: first token right; in d: answer right.",
    )
    return figure


def _split(figure: Figure, row: Axes, columns: int) -> list[Axes]:
    """`columns` panels that share their vertical axis, in place of `row`."""
    place = row.get_subplotspec()
    assert place is not None
    row.remove()
    return list(place.subgridspec(1, columns).subplots(sharey=True, squeeze=False)[0])


def _tokens_drawn(positions: pd.DataFrame) -> dict[int, float]:
    """Positions that get a panel, the end token last, and how many questions have them (mean over seeds)."""
    counts = _tokens(positions, "task0_test", "token_hard").groupby("position")["n"].mean()
    common = counts[(counts.index != _END) & (counts >= _RARE * counts[_END])]
    return {int(position): float(counts[position]) for position in [*sorted(common.index)[:_MOST_TOKENS], _END]}


def _tokens(positions: pd.DataFrame, split: str, metric: str) -> pd.DataFrame:
    return positions[(positions["split"] == split) & (positions["metric"] == metric) & (positions["kind"] == "all")]


def _by_kind(panels: list[Axes], metrics: pd.DataFrame, floors: pd.DataFrame, arms: list[str], kinds: list[str]) -> None:
    rows = metrics[metrics["metric"] == "exact_match"]
    for panel, kind in zip(panels, kinds, strict=True):
        of_kind = rows[rows["kind"] == kind]
        task0, control = (of_kind[of_kind["split"] == split] for split in ("task0_test", "control"))
        _curves(panel, task0, arms)
        style.draw_curve(panel, control[control["arm"] == arms[0]], "step", style.CONTROLS["control"], **_CONTROL)
        panel.axhline(_floor(floors, kind), **_FLOOR)
    _finish(panels, "a", [name.removesuffix("_name").replace("_", " ") for name in kinds], "Task 0 exact match\n(share of answers)")


def _by_token(panels: list[Axes], positions: pd.DataFrame, tokens: list[int], arms: list[str]) -> None:
    hard, after_right = (_tokens(positions, "task0_test", metric) for metric in ("token_hard", "token_hard_after_right"))
    control = _tokens(positions, "control", "token_hard")
    for number, (panel, position) in enumerate(zip(panels, tokens, strict=True)):
        of_token, after, of_control = (frame[frame["position"] == position] for frame in (hard, after_right, control))
        _curves(panel, of_token, arms)
        if number:  # nothing comes before the first token
            style.draw_curve(panel, after[after["arm"] == arms[0]], "step", style.arm_look(arms[0]), **_CONDITIONAL)
        style.draw_curve(panel, of_control[of_control["arm"] == arms[0]], "step", style.CONTROLS["control"], **_CONTROL)
        panel.axhline(_chance(positions, position), **_FLOOR)
    names = ["end token" if position == _END else f"token {position + 1}" for position in tokens]
    _finish(panels, "b", names, "Task 0 right tokens\n(share of tokens)")


def _curves(panel: Axes, rows: pd.DataFrame, arms: list[str]) -> None:
    for arm in reversed(arms):
        style.draw_curve(panel, rows[rows["arm"] == arm], "step", style.arm_look(arm), markers=6, markersize=2.5, linewidth=1.1)
    panel.axvline(EARLY_STEP, color="#BBBBBB", linewidth=0.8, zorder=0)


def _finish(panels: list[Axes], letter: str, names: list[str], label: str) -> None:
    for panel, name in zip(panels, [f"{letter}  {names[0]}", *names[1:]], strict=True):
        panel.set_title(name, fontsize=8)
        panel.set_xscale("symlog", linthresh=10, linscale=0.5)
        panel.set_xlim(-1, None)
        shown = {step: text for step, text in _TICKS.items() if step <= panel.get_xlim()[1]}
        panel.set_xticks(list(shown), list(shown.values()))
        panel.tick_params(axis="x", which="minor", length=0)
        panel.set_xlabel("Task 1 step")
    style.accuracy_axis(panels[0], label)


def _floor(floors: pd.DataFrame, kind: str) -> float:
    """Exact match of always giving the most frequent answer; NaN when the floors do not have the attribute."""
    chosen = (floors["split"] == "task0_test") & (floors["metric"] == "exact_match") & (floors["kind"] == kind)
    return float(floors.loc[chosen, "value"].mean())


def _chance(positions: pd.DataFrame, position: int) -> float:
    rows = _tokens(positions, "task0_test", "token_hard")
    return float(rows.loc[rows["position"] == position, "chance"].mean())


def first_errors(positions: pd.DataFrame, recovery: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Columns seed, arm, point, part, value, low, high: the shares of questions answered right (`part` filled) and of those whose first
    token is wrong (open) at each of `points`; in the others the first wrong token is a later one."""
    probes = task0_rows(recovery[(recovery["start"] == "task1") & (recovery["epochs"] == 0)])
    rows = _tokens(positions, "task0_test", "first_wrong")
    rows = rows[rows["position"] == 0].rename(columns={"step": "checkpoint"})
    parts = {"filled": probes, "open": rows}
    keys = ["seed", "arm", "checkpoint"]
    found = [points.merge(part[[*keys, "value", "low", "high"]], on=keys).assign(part=name) for name, part in parts.items()]
    return pd.concat(found, ignore_index=True)[["seed", "arm", "point", "part", "value", "low", "high"]]


def fates(facts: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Columns as `first_errors`, of the facts known before Task 1: those kept (`part` filled) and those not back after one epoch (open) at
    `points`; the others are lost and recovered. The shares are those of `spurious.transitions`, the intervals clustered by person."""
    test = probe_facts(facts)
    test = test[test["start"] == "task1"]
    rows: list[tuple[object, ...]] = []
    for point in points.itertuples():
        run = test[(test["seed"] == point.seed) & (test["arm"] == point.arm)]
        known = fact_fates(*probe_stages(run, point.checkpoint))
        for part, fate in (("filled", "kept"), ("open", "not_back_after_one_epoch")):
            if len(known):
                interval = clustered_wilson(known[fate], known.index.get_level_values("unit"))
                rows.append((point.seed, point.arm, point.point, part, *interval))
    return pd.DataFrame(rows, columns=["seed", "arm", "point", "part", "value", "low", "high"])


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


def _places(arms: list[str]) -> Iterator[tuple[float, str, str]]:
    for place, arm in enumerate(arms):
        for offset, point in zip((-0.21, 0.21), _POINTS, strict=True):
            yield place + offset, arm, point


def _handles(arms: list[str]) -> list[Any]:
    looks: dict[str, dict[str, Any]] = {
        "c: answer right · d: kept": {"facecolor": "#777777"},
        "c: a later token wrong first · d: lost, recovered": {"facecolor": "white", "hatch": _HATCH},
        "c: first token wrong · d: not back after one epoch": {"facecolor": "white"},
    }
    conditional = style.line_handle(
        f"b: {style.arm_look(arms[0]).label}, all tokens before right", style.arm_look(arms[0]).color, linestyle="--", linewidth=1.0
    )
    patches = [Patch(edgecolor="#777777", label=label, **look) for label, look in looks.items()]
    return [*style.arm_handles(arms), conditional, style.CONTROL_HANDLE, style.FLOOR_HANDLE, *patches]
