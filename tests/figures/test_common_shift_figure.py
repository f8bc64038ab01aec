from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from scipy import stats
from tests.figures.synthetic_views import POINTS, recall_rows, repair_rows, shift_rows

from forgetting.figures import common_shift, recall, repair, style
from forgetting.schemas.recovery import RECOVERY


def recovery_rows(arm: str, seed: int, value: float) -> pd.DataFrame:
    """One epoch from every checkpoint gives `value`; other epochs, starts and groups give something else."""
    rows = [
        (training, step + seed, epochs, group, value if (training, epochs, group) == ("right", 1.0, "task0_test") else 0.05)
        for training in ("right", "shuffled")
        for step in POINTS.values()
        for epochs in (0.0, 0.5, 1.0)
        for group in ("task0_test", "control")
    ]
    made = pd.DataFrame(rows, columns=["training", "checkpoint", "epochs", "split", "value"]).assign(start="task1", units=150)
    made = made.assign(scale="synthetic", seed=seed, stage="recovery", arm=arm, step=0, kind="all", metric="exact_match", n=60)
    return made.assign(low=made["value"] - 0.04, high=made["value"] + 0.04)[RECOVERY.names]


def drawn(panel: Axes, arm: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Data of all lines of a panel in the colour of an arm, but for the caps of bars."""
    color = style.arm_look(arm).color.lower()
    lines = [line for line in panel.lines if to_hex(line.get_color()) == color and line.get_marker() != "_"]
    return [(np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)) for line in lines]


def has(found: list[tuple[np.ndarray, np.ndarray]], x: list[float] | None, y: list[float]) -> bool:
    return any(len(ys) == len(y) and np.allclose(ys, y) and (x is None or np.allclose(xs, x)) for xs, ys in found)


def marks(panel: Axes, arm: str) -> list[tuple[float, float]]:
    """Single points in the colour of an arm."""
    return [(float(x[0]), float(y[0])) for x, y in drawn(panel, arm) if len(x) == 1]


def test_shares_stand_in_the_row_of_their_arm_with_interval_and_chance() -> None:
    figure = common_shift.draw(pd.concat([shift_rows("seq", 0, 0.7, 0.3), shift_rows("freeze-2", 0, 0.45, 0.9)]))
    assert len([panel for panel in figure.axes if panel.get_title(loc="left")]) == 4
    panel = figure.axes[0]
    assert [text.get_text() for text in panel.get_yticklabels()] == ["seq", "freeze 2"]
    for place, (arm, share) in enumerate((("seq", 0.7), ("freeze-2", 0.45))):
        found = marks(panel, arm)
        np.testing.assert_allclose(sorted(x for x, _ in found), [share - 0.3, share, share + 0.1])
        assert all(abs(y - place) < 0.5 for _, y in found) and len({y for _, y in found}) == 3
    spans = [segment[:, 0] for collection in panel.collections for segment in collection.get_segments()]
    assert sum(np.allclose(span, [-0.01, 0.04]) for span in spans) == 6
    assert sum(np.allclose(span, [0.68, 0.72]) for span in spans) == 1


def test_a_shift_that_is_the_forgetting_is_told_from_one_that_only_comes_with_it() -> None:
    """Both arms have the same common share and the same checkpoint; the marks say which shift takes the answers."""
    rows = pd.concat([shift_rows("seq", 0, 0.7, 0.3), shift_rows("freeze-2", 0, 0.7, 0.3)])
    accuracy = {("seq", "common"): 0.25, ("seq", "rest"): 0.95, ("freeze-2", "common"): 0.95, ("freeze-2", "rest"): 0.22}
    for (arm, removed), value in accuracy.items():
        chosen = (rows["arm"] == arm) & (rows["removed"] == removed) & (rows["metric"] == "exact_match")
        rows.loc[chosen, "value"] = value
    panel = common_shift.draw(rows).axes[2]
    for place, arm in enumerate(("seq", "freeze-2")):
        found = sorted((y - place, x) for x, y in marks(panel, arm))
        assert [x for _, x in found] == [0.2, accuracy[arm, "common"], accuracy[arm, "rest"]], "as it is, without, alone"
    assert [line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == "--"] == [0.97], "before Task 1"


def test_each_state_has_a_row_of_its_own_and_its_interval_in_either_space() -> None:
    rows = shift_rows("seq", 0, 0.7, 0.3)
    chosen = (rows["space"] == "residual_stream") & (rows["removed"] == "common") & (rows["metric"] == "exact_match")
    rows.loc[chosen, ["value", "low", "high"]] = 0.7, 0.6, 0.8
    for panel, spans in zip(common_shift.draw(rows).axes[2:], ((0.49, 0.51), (0.6, 0.8)), strict=True):
        places = [y for _, y in marks(panel, "seq")]
        assert len(set(places)) == len(places) == 3
        bars = {tuple(np.round(segment[:, 0], 6)) for collection in panel.collections for segment in collection.get_segments()}
        assert bars == {(0.19, 0.21), spans, (0.89, 0.91)}


def test_of_several_seeds_the_mean_and_their_interval_are_drawn() -> None:
    shares = (0.6, 0.7, 0.8)
    figure = common_shift.draw(pd.concat([shift_rows("seq", seed, share, share - 0.1) for seed, share in enumerate(shares)]))
    spans = [segment[:, 0] for collection in figure.axes[0].collections for segment in collection.get_segments()]
    half = stats.t.ppf(0.975, 2) * np.std(shares, ddof=1) / np.sqrt(3)
    ends = np.tanh(np.arctanh(0.7) + np.array([-half, half]) / (1 - 0.7**2))
    assert sum(np.allclose(span, ends) for span in spans) == 1


def test_a_table_without_the_share_among_values_is_drawn() -> None:
    rows = shift_rows("seq", 0, 0.7, 0.3)
    panel = common_shift.draw(rows[rows["metric"] != "common_share_among_values"]).axes[0]
    assert len(marks(panel, "seq")) == 2


def test_repair_counts_facts_and_stands_between_the_checkpoint_and_training() -> None:
    """Beside random shifts, which give 0.05, 0.15, 0.25, and the same training without Task 0."""
    shift = pd.concat([shift_rows("seq", 0, 0.7, 0.3), shift_rows("freeze-2", 0, 0.45, 0.9)])
    known = pd.concat([repair_rows("seq", 0), repair_rows("freeze-2", 0)])
    trained = pd.concat([recovery_rows("seq", 0, 0.8), recovery_rows("seq-no-task0", 0, 0.75)])
    for panel in repair.draw(shift, known, trained).axes[:2]:
        found = drawn(panel, "seq")
        assert has(found, [6, 12, 24], [0.4, 0.5, 0.6])
        assert has(found, None, [0.05, 0.15, 0.25])
        assert not has(found, None, [0.3, 0.4, 0.5]) and not has(found, None, [0.2, 0.3, 0.4])  # in the logits; one shift for all
        ends = sorted((float(x[0]), float(y[0])) for x, y in found if len(x) == 1)
        assert [y for _, y in ends] == [0.2, 0.8] and ends[0][0] < 6 and ends[1][0] > 384
        assert [float(y[0]) for x, y in drawn(panel, "freeze-2") if len(x) == 1] == [0.2]
        assert [y for _, y in marks(panel, "seq-no-task0")] == [0.75]
        assert any(np.allclose(np.asarray(line.get_ydata(), dtype=float), 0.97) for line in panel.lines)


def test_the_level_of_nothing_known_stays_in_sight_and_the_facts_of_training_are_told() -> None:
    shift = pd.concat([shift_rows("seq", 0, 0.7, 0.3), shift_rows("freeze-2", 0, 0.45, 0.9)])
    known = pd.concat([repair_rows("seq", 0), repair_rows("freeze-2", 0)])
    figure = repair.draw(shift, known, recovery_rows("seq", 0, 0.8))
    for panel in figure.axes:
        levels = [
            segment[:, 1]
            for collection in panel.collections
            if hasattr(collection, "get_segments")
            for segment in collection.get_segments()
            if np.ptp(segment[:, 0]) > 384
        ]
        np.testing.assert_allclose(levels, [[0.2, 0.2]] * 2)
    assert "Trained: on 900 facts." in figure.get_supxlabel().replace("\n", " "), "six of each of 150 persons"
    assert "Trained" not in repair.draw(shift, known, recovery_rows("seq", 0, 0.8)[:0]).get_supxlabel()


def test_forms_are_drawn_before_task_1_and_at_the_checkpoints_above_their_floor() -> None:
    panels = recall.draw(pd.concat([recall_rows("seq", 0), recall_rows("freeze-2", 0)])).axes
    expected = ([0.99, 0.1, 0.5, 0.4], [0.985, 0.5, 0.6, 0.5], [0.98, 0.9, 0.7, 0.6])
    for panel, values in zip(panels, expected, strict=True):
        for arm in ("seq", "freeze-2"):
            assert has(drawn(panel, arm), None, values)
        floors = [line for line in panel.lines if to_hex(line.get_color()) == style.CONTROL_LABEL.lower()]
        assert len(floors) == 2 and all(np.allclose(np.asarray(line.get_ydata(), dtype=float), 0.01) for line in floors)


def test_an_arm_that_never_learned_has_two_checkpoints() -> None:
    panel = recall.draw(recall_rows("seq", 0, ("early", "end"))).axes[0]
    assert has(drawn(panel, "seq"), [0, 1, 3], [0.99, 0.1, 0.4])
