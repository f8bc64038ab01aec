"""The arm that never had Task 0 is drawn beside the arms that are held against it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from tests.figures import synthetic, synthetic_views

from forgetting.figures import learning_rate, performance, recovery, repairs, style
from forgetting.intervals import summarise
from forgetting.schemas.facts import EXACT

FLOOR = "seq-no-task0"
KEYS = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]


@lru_cache
def frames() -> dict[str, pd.DataFrame]:
    """`seq` and its floor, which begins with no Task 0, probed from the same checkpoints; one seed."""
    world = synthetic.World(0)
    of_seq = world.task1("seq")
    starts = {"task1": (0, 150, 2600, 4000), "shuffled": (150, 4000)}
    metrics = synthetic.task1_metrics(of_seq, "seq")
    facts = [world.recovery("seq", starts), world.recovery("controls", {"pretrained": (0,), "random": (0,)})]
    floor = facts[0].assign(arm=FLOOR)
    before = floor["checkpoint"] == 0
    floor.loc[before, "exact_match"] = False
    facts.append(floor)
    whole = pd.concat(facts, ignore_index=True)
    halved = metrics["value"].where(metrics["metric"] == "early_stop_step", 0.5 * metrics["value"])
    return {
        "metrics": pd.concat([metrics, metrics.assign(arm=FLOOR, value=halved)], ignore_index=True),
        "recovery": summarise(whole, KEYS, EXACT),
        "recovery_facts": whole,
        "floors": synthetic.floors(0),
    }


@pytest.mark.parametrize("panel", [0, 1])
def test_performance_draws_the_floor_dotted_in_grey(panel: int) -> None:
    given = frames()
    figure = performance.draw(given["metrics"], given["recovery"], given["floors"])
    color = style.arm_look(FLOOR).color.lower()
    lines = [line for line in figure.axes[panel].lines if to_hex(line.get_color()) == color and line.get_linestyle() == ":"]
    rows = given["metrics"]
    rows = rows[(rows["arm"] == FLOOR) & (rows["split"] == "task0_test") & (rows["metric"] == "exact_match") & (rows["kind"] == "all")]
    rows = rows[rows["step"] <= (150 if panel == 0 else np.inf)].sort_values("step")
    assert [np.allclose(line.get_ydata(), rows["value"]) for line in lines] == [True]
    assert any("never had Task 0" in text.get_text() for legend in figure.legends for text in legend.get_texts())


@pytest.mark.parametrize(("panel", "checkpoints"), [(0, [0, 150]), (1, [150, 2600, 4000])])
def test_performance_draws_recovery_of_the_floor_where_it_was_measured(panel: int, checkpoints: list[int]) -> None:
    """In the second panel from step 150 on, for those before would smear."""
    given = frames()
    shown = recovered_marks(given["recovery"], panel)
    rows = given["recovery"]
    rows = rows[
        (rows["split"] == "task0_test") & (rows["metric"] == "exact_match") & (rows["kind"] == "all") & (rows["training"] == "right")
    ]
    rows = rows[(rows["start"] == "task1") & np.isclose(rows["epochs"], 1)].set_index(["arm", "checkpoint"])["value"]
    assert shown == {arm: [(step, rows[arm, step]) for step in checkpoints] for arm in ("seq", FLOOR)}
    assert recovered_marks(given["recovery"][given["recovery"]["arm"] != FLOOR], panel)[FLOOR] == []


def recovered_marks(probes: pd.DataFrame, panel: int) -> dict[str, list[tuple[float, float]]]:
    """By arm, where the open marks are."""
    given = frames()
    lines = performance.draw(given["metrics"], probes, given["floors"]).axes[panel].lines
    return {
        arm: [
            (float(x), float(y))
            for line in lines
            if to_hex(line.get_color()) == look.color.lower() and line.get_marker() == look.marker and line.get_markerfacecolor() == "white"
            for x, y in line.get_xydata()
        ]
        for arm in ("seq", FLOOR)
        if (look := style.arm_look(arm))
    }


def test_recovery_draws_the_floor_from_each_checkpoint_and_as_a_share() -> None:
    given = frames()
    figure = recovery.draw(given["metrics"], given["recovery"], given["recovery_facts"])
    color = style.arm_look(FLOOR).color.lower()
    of_floor = [[line for line in panel.lines if to_hex(line.get_color()) == color] for panel in figure.axes[:3]]
    assert all(of_floor), "in every panel"
    assert {line.get_linestyle() for line in of_floor[0]} == {":", "--"}, "after one epoch, and without recovery"
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["seq"], "the floor has no share of its own"
    assert [line.get_marker() for line in of_floor[2]] == ["p", "p", "p"]
    bars = [bar for bar in figure.axes[2].collections if to_hex(bar.get_edgecolor()[0]) == color]
    assert [float(bar.get_paths()[0].vertices[0, 1]) for bar in bars] == [float(line.get_ydata()[0]) for line in of_floor[2]]
    low, high = figure.axes[2].get_xlim()
    assert low < min(float(line.get_xdata()[0]) for line in of_floor[2]) and high > 1, "shares and the whole drop"


def test_an_arm_that_does_not_run_without_task_0_has_no_floor_and_the_small_print_says_so() -> None:
    """The floor of `seq` trains all blocks, so it is no control of what freezing keeps."""
    names = ("metrics", "recovery", "recovery_facts")
    both = {}
    for name in names:
        frame = frames()[name]
        both[name] = pd.concat([frame, frame[frame["arm"] == "seq"].assign(arm="freeze-2")], ignore_index=True)
    figure = recovery.draw(*both.values())
    third = figure.axes[2]
    floors = [line.get_ydata()[0] for line in third.lines if line.get_marker() == "p"]
    assert [label.get_text() for label in third.get_yticklabels()] == ["seq", "freeze 2"]
    assert len(floors) == 3 and max(floors) < 0.5, "of the first row alone"
    said = figure.get_supxlabel().replace("\n", " ")
    assert "Not run without Task 0, so without floor in c: freeze\N{NO-BREAK SPACE}2." in said


def test_repairs_have_their_controls_above_and_task_1_below_where_it_is_learned() -> None:
    given = frames()
    views = (getattr(synthetic_views, f"{name}_rows")("seq", 0) for name in ("graft", "recall", "repair"))
    figure = repairs.draw(*views, given["metrics"], given["recovery"])
    rows_of = dict(zip((label.get_text() for label in figure.axes[0].get_yticklabels()), figure.axes[0].get_yticks(), strict=True))
    rows = given["recovery"].query(
        "arm == @FLOOR and training == 'right' and split == 'task0_test' and metric == 'exact_match' and epochs == 1"
    )
    recovered = rows[rows["kind"] == "all"].set_index("checkpoint")["value"]
    for panel, checkpoint in zip(figure.axes[:2], (150, 4000), strict=True):
        marks = {line.get_marker(): line for line in panel.lines if line.get_linestyle() == "None" and line.get_gid() is None}
        assert set(marks) == {"o", "x", "p"} | ({"^"} if checkpoint == 4000 else set()), "Task 1 is not learned early"
        of_floor = {float(y): float(x) for x, y in marks["p"].get_xydata()}
        assert of_floor[rows_of["recovery, one epoch"] - 0.19] == recovered[checkpoint]
        assert of_floor[rows_of["first block put back"] - 0.19] == 0.25, "the same block set into it"
        aside = {marker: {round(y % 1, 2) for y in marks[marker].get_ydata()} for marker in marks}
        assert aside == {marker: place for marker, place in {"o": {0}, "x": {0.64}, "p": {0.81}, "^": {0.26}}.items() if marker in marks}
    unasked = [text.get_position()[1] - 0.32 for text in figure.axes[1].texts]
    assert sorted(unasked) == pytest.approx([rows_of[name] for name in ("recovery, one epoch",)]), "Task 1 after a recovery"


def test_before_and_after_recovery_at_each_rate_have_the_floor_beside_that_of_seq() -> None:
    given = frames()
    figure = learning_rate.draw(given["metrics"], given["recovery"], given["floors"])
    rows = given["recovery"].query("split == 'task0_test' and metric == 'exact_match' and kind == 'all' and training == 'right'")
    for panel, epochs in zip(figure.axes, (0, 1), strict=True):
        of_panel = rows[np.isclose(rows["epochs"], epochs)].set_index(["arm", "start", "checkpoint"])["value"]
        marks = [line for line in panel.lines if line.get_marker() in ("v", "D") and line.get_linestyle() == "None"]
        for arm in ("seq", FLOOR):
            of_arm = [line for line in marks if (line.get_color() == style.arm_look(FLOOR).color) == (arm == FLOOR)]
            shown = {line.get_marker(): float(line.get_ydata()[0]) for line in of_arm}
            assert shown == pytest.approx({"v": of_panel[arm, "task1", 150], "D": of_panel[arm, "task1", 2600]})
