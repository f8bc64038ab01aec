from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from scipy import stats
from tests.figures import synthetic
from tests.figures.synthetic_views import ANSWER_STEPS, SHARES, position_rows

from forgetting.analysis.spurious import transitions
from forgetting.config.biography import ATTRIBUTES
from forgetting.figures import answers_by_part
from forgetting.figures.answers import draw, fates, first_errors
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

STEPS = np.array([0, 20, 60, 150, 800, 4000])
ARMS = ("seq", "replay-20")
UNITS = {"task0_test": 30, "task1": 10, "control": 10}


def floors(seed: int) -> pd.DataFrame:
    values = {"all": 0.024} | {kind: 0.01 * number for number, kind in enumerate(ATTRIBUTES, 1)}
    rows = [{"split": "task0_test", "kind": name, "metric": "exact_match", "value": value} for name, value in values.items()]
    return pd.DataFrame(rows).assign(seed=seed, arm="modal_answer", step=0)


@lru_cache
def frames(seeds: int) -> dict[str, pd.DataFrame]:
    made: dict[str, list[pd.DataFrame]] = {name: [] for name in ("metrics", "recovery", "recovery_facts", "floors", "positions")}
    for seed in range(seeds):
        world = synthetic.World(seed, UNITS)
        made["floors"].append(floors(seed))
        for arm in ARMS:
            made["metrics"].append(synthetic.task1_metrics(world.task1(arm, STEPS), arm))
            facts = world.recovery(arm, {"task1": ANSWER_STEPS, "shuffled": (150, 4000)})
            made["recovery_facts"].append(facts)
            keys = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]
            made["recovery"].append(summarise(facts, keys, EXACT))
            made["positions"].append(position_rows(arm, seed))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in made.items()}


def points(seeds: int, point: str = "trough", checkpoint: int = 150) -> pd.DataFrame:
    rows = [(seed, arm, point, checkpoint) for seed in range(seeds) for arm in ARMS]
    return pd.DataFrame(rows, columns=["seed", "arm", "point", "checkpoint"])


def curves(panel) -> list[list[float]]:
    """Without those of single seeds."""
    shown = [line for line in panel.lines if len(line.get_xdata()) > 2 and line.get_gid() != "single seed"]
    return [[float(value) for value in line.get_ydata()] for line in shown]


def bars(panel) -> list[Rectangle]:
    return [patch for patch in panel.patches if isinstance(patch, Rectangle)]


def test_fates_are_the_transitions() -> None:
    facts = frames(3)["recovery_facts"]
    found = fates(facts, points(3))
    for row in points(3).itertuples():
        run = facts[
            (facts["seed"] == row.seed) & (facts["arm"] == row.arm) & (facts["training"] == "right") & (facts["split"] == "task0_test")
        ]
        stages = [
            run[(run["checkpoint"] == checkpoint) & (run["epochs"] == epochs)] for checkpoint, epochs in ((0, 0.0), (150, 0.0), (150, 1.0))
        ]
        expected = transitions(*stages)
        shares = found[(found["seed"] == row.seed) & (found["arm"] == row.arm)].set_index("part")["value"]
        assert shares.to_dict() == pytest.approx({"filled": expected.kept, "open": expected.not_back_after_one_epoch})


def test_fates_by_hand() -> None:
    """Six persons with one fact: one was not known, two are kept, two come back, one does not. Shares are of the five."""
    right = {(0, 0.0): "yyyyyn", (150, 0.0): "yynnny", (150, 1.0): "ynyyny"}
    rows = [
        {"checkpoint": checkpoint, "epochs": epochs, "unit": unit, "exact_match": mark == "y"}
        for (checkpoint, epochs), marks in right.items()
        for unit, mark in enumerate(marks)
    ]
    facts = pd.DataFrame(rows).assign(seed=0, arm="seq", start="task1", training="right", split="task0_test", kind="major")
    found = fates(facts, points(1).head(1)).set_index("part")
    assert found["value"].to_dict() == pytest.approx({"filled": 0.4, "open": 0.2})
    # One fact a person is a plain binomial: Wilson's interval.
    for part, successes in (("filled", 2), ("open", 1)):
        expected = stats.binomtest(successes, 5).proportion_ci(method="wilson")
        assert tuple(found.loc[part, ["low", "high"]]) == pytest.approx((expected.low, expected.high))
    without = facts[facts["epochs"] == 1].assign(arm="seq-no-task0")
    found = fates(pd.concat([facts, without.assign(exact_match=[mark == "y" for mark in "yynyyn"])]), points(1)).set_index(["arm", "part"])
    assert found.loc[("seq", "floor"), "value"] == pytest.approx(0.8) and found.loc[("seq", "filled"), "value"] == pytest.approx(0.4)
    nothing_known = facts.assign(exact_match=facts["exact_match"] & (facts["checkpoint"] > 0))
    assert fates(nothing_known, points(1).head(1)).empty


def test_first_errors_are_read_at_the_checkpoint_of_the_point() -> None:
    made = frames(1)
    found = first_errors(made["positions"], made["recovery"], points(1)).set_index(["arm", "part"])
    before = made["recovery"]
    for arm in ARMS:
        row = before[(before["arm"] == arm) & (before["checkpoint"] == 150) & (before["epochs"] == 0) & (before["training"] == "right")]
        row = row[(row["split"] == "task0_test") & (row["metric"] == "exact_match") & (row["kind"] == "all")]
        assert found.loc[(arm, "filled"), "value"] == row["value"].item()
        assert found.loc[(arm, "open"), "value"] == pytest.approx(0.1)


@pytest.mark.parametrize("seeds", [1, 3])
def test_lines_and_rows_are_attributes_and_tokens_of_seq(seeds: int) -> None:
    made = {name: frame[frame["arm"].isin(["seq", "modal_answer"])] for name, frame in frames(seeds).items()}
    late = (made["positions"]["split"] == "control") & (made["positions"]["step"] == 4000)
    made["positions"] = made["positions"].assign(value=made["positions"]["value"] - 0.05 * late)
    figure = answers_by_part.draw(made["metrics"], made["floors"], made["positions"])
    by_attribute, attributes_left, by_token, tokens_left = figure.axes
    named = [[label.get_text() for label in panel.get_yticklabels()] for panel in (attributes_left, tokens_left)]
    assert named[0] == ["birthday", "birth city", "university", "major", "company", "company city"]
    assert named[1] == ["token 1", "token 2", "token 3", "token 4", "end token"], "the fifth token is too rare"
    exact = made["metrics"]
    exact = exact[(exact["metric"] == "exact_match") & (exact["split"] == "task0_test")]
    floors, early, end = zip(*(marks(attributes_left, place) for place in range(6)), strict=True)
    control = made["positions"]
    control = control[(control["split"] == "control") & (control["metric"] == "token_hard") & (control["kind"] == "all")]
    for number, (curve, kind) in enumerate(zip(curves(by_attribute), ATTRIBUTES, strict=True)):
        means = exact[exact["kind"] == kind].groupby("step")["value"].mean()
        assert curve == pytest.approx(means[means.index <= 150].to_list())
        assert (early[number], end[number]) == pytest.approx((means[150], means[4000]))
        assert floors[number] == pytest.approx([0.01 * (number + 1)] * 2)
    means = [SHARES[position] - 0.01 * (seeds - 1) / 2 for position in (0, 1, 2, 3, -1)]
    assert [marks(tokens_left, place)[2] for place in range(5)] == pytest.approx(means)
    for place, position in enumerate((0, 1, 2, 3, -1)):
        of_control = control[control["position"] == position].groupby("step")["value"].mean()
        assert marks(tokens_left, place)[0] == pytest.approx([of_control[150], of_control[4000]]), "control persons, each time"
    colors = [{label.get_color() for label in panel.get_yticklabels()} for panel in (attributes_left, tokens_left)]
    assert not colors[0] & colors[1], "a colour is that of an attribute or of a token"
    assert [len(panel.collections) for panel in (by_attribute, by_token)] == [0, 5], "bands"


def marks(panel, place: int) -> tuple[list[float], float, float]:
    """Floors, early and late share in the row of this place, each with its floor at its height, the early one above."""
    row = [line for line in panel.lines if abs(line.get_ydata()[0] - place) < 0.5]
    floors, shares = (
        sorted((float(line.get_ydata()[0]), float(line.get_xdata()[0])) for line in row if (line.get_marker() == "|") == is_floor)
        for is_floor in (True, False)
    )
    assert [y for y, _ in floors] == [y for y, _ in shares]
    return [x for _, x in floors], shares[0][1], shares[1][1]


@pytest.mark.parametrize("seeds", [1, 3])
def test_bars_end_where_the_shares_do(seeds: int) -> None:
    made = frames(seeds)
    figure = draw(**made)
    first_wrong, outcome = figure.axes[-2:]
    assert [label.get_text() for label in first_wrong.get_yticklabels()] == [
        f"{arm}, {point}" for arm in ("seq", "replay 20 %") for point in ("trough", "end")
    ]
    for panel in (first_wrong, outcome):
        assert len(bars(panel)) == 3 * 2 * len(ARMS)
        assert [bar.get_width() for bar in bars(panel)[::3]] == [1] * 4
    broken = 0.1 + 0.02 * (seeds - 1) / 2
    hatched, filled = bars(first_wrong)[1], bars(first_wrong)[2]
    assert hatched.get_hatch() and hatched.get_x() + hatched.get_width() == pytest.approx(1 - broken)
    assert hatched.get_x() == pytest.approx(filled.get_width())
    kept = fates(made["recovery_facts"], points(seeds, "end", 4000))
    kept = kept[(kept["arm"] == "replay-20") & (kept["part"] == "filled")]
    assert bars(outcome)[-1].get_width() == pytest.approx(kept["value"].mean())
    last = [line for line in outcome.collections if isinstance(line, LineCollection)][-3]
    ends = [float(x) for x, _ in last.get_segments()[0]]
    if seeds == 1:
        assert ends == pytest.approx(kept[["low", "high"]].to_numpy()[0].tolist())
    else:
        mean = kept["value"].mean()
        half = stats.t.ppf(0.975, seeds - 1) * stats.sem(kept["value"]) / (mean * (1 - mean))  # on the logit
        low, high = (1 / (1 + np.exp(-(np.log(mean / (1 - mean)) + end))) for end in (-half, half))
        units = [np.sqrt(((kept["value"] - kept[end]) ** 2).sum()) / seeds for end in ("low", "high")]
        assert ends == pytest.approx([min(low, mean - units[0]), max(high, mean + units[1])])
