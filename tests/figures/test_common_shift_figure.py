from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from scipy import stats
from tests.figures.synthetic_views import CASES, POINTS, recall_rows, repair_rows, shift_rows

from forgetting.figures import style
from forgetting.figures.common_shift import draw
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


@pytest.fixture
def two_arms() -> list[Axes]:
    """Panels of one seed: seq with a recovery, freeze-2 without one; nothing of freeze-2 was lost at the end."""
    shift = pd.concat([shift_rows("seq", 0, 0.7, 0.3), shift_rows("freeze-2", 0, 0.45, 0.9)])
    undefined = (shift["arm"] == "freeze-2") & (shift["metric"] == "restored_share") & (shift["point"] == "end")
    shift.loc[undefined, ["value", "low", "high"]] = np.nan
    repair, recall = (pd.concat([rows("seq", 0), rows("freeze-2", 0)]) for rows in (repair_rows, recall_rows))
    return draw(shift, repair, recall, recovery_rows("seq", 0, 0.8)).axes


def test_shares_stand_in_the_row_of_their_arm_with_interval_and_chance(two_arms: list[Axes]) -> None:
    panel = two_arms[0]
    assert [text.get_text() for text in panel.get_yticklabels()] == ["seq", "freeze 2"]
    for place, (arm, share) in enumerate((("seq", 0.7), ("freeze-2", 0.45))):
        marks = [(float(x[0]), float(y[0])) for x, y in drawn(panel, arm) if len(x) == 1]
        assert len(marks) == len(POINTS) * len(CASES)
        np.testing.assert_allclose(sorted(x for x, _ in marks), np.repeat([share - 0.2, share, share + 0.1], 3))
        assert all(abs(y - place) < 0.5 for _, y in marks)
    spans = [segment[:, 0] for collection in panel.collections for segment in collection.get_segments()]
    assert sum(np.allclose(span, [-0.01, 0.04]) for span in spans) == 6
    assert sum(np.allclose(span, [0.68, 0.72]) for span in spans) == 3


def test_a_restored_share_without_a_drop_is_said_to_be_undefined(two_arms: list[Axes]) -> None:
    panel = two_arms[1]
    assert [text.get_text() for text in panel.texts] == ["end: undefined (no drop)"]
    assert len([x for x, _ in drawn(panel, "freeze-2") if len(x) == 1]) == 2 * len(CASES)


def test_repair_counts_facts_and_stands_between_the_checkpoint_and_training(two_arms: list[Axes]) -> None:
    for panel in two_arms[2:4]:
        found = drawn(panel, "seq")
        for x, start in (([6, 12, 24], 0.3), ([6, 12, 24], 0.4), ([1, 2, 4], 0.1)):
            assert has(found, x, [start, start + 0.1, start + 0.2])
        assert not has(found, None, [0.2, 0.3, 0.4])  # one shift for all
        ends = sorted((float(x[0]), float(y[0])) for x, y in found if len(x) == 1)
        assert [y for _, y in ends] == [0.2, 0.8] and ends[0][0] < 1 and ends[1][0] > 384
        assert [float(y[0]) for x, y in drawn(panel, "freeze-2") if len(x) == 1] == [0.2]
        assert any(np.allclose(np.asarray(line.get_ydata(), dtype=float), 0.97) for line in panel.lines)


def test_forms_are_drawn_before_task_1_and_at_the_checkpoints_above_their_floor(two_arms: list[Axes]) -> None:
    forms, in_context = two_arms[4:]
    for arm in ("seq", "freeze-2"):
        assert has(drawn(forms, arm), None, [0.99, 0.1, 0.5, 0.4])
        assert has(drawn(forms, arm), None, [0.98, 0.9, 0.7, 0.6])
        assert has(drawn(forms, arm), None, [0.985, 0.5, 0.6, 0.5])
        assert has(drawn(in_context, arm), None, [0.15] * 4) and has(drawn(in_context, arm), None, [0.05] * 4)
    floors = [line for line in forms.lines if to_hex(line.get_color()) == style.CONTROL_LABEL.lower()]
    assert len(floors) == 6 and all(np.allclose(np.asarray(line.get_ydata(), dtype=float), 0.01) for line in floors)


def test_an_arm_that_never_learned_has_two_checkpoints_and_says_so() -> None:
    points = ("early", "end")
    panels = draw(
        shift_rows("seq", 0, 0.7, 0.3, points), repair_rows("seq", 0), recall_rows("seq", 0, points), recovery_rows("seq", 0, 0.8)
    )
    assert [text.get_text() for text in panels.axes[0].texts] == ["Task 1 never learned"]
    assert has(drawn(panels.axes[4], "seq"), [0, 1, 3], [0.99, 0.1, 0.4])


def test_of_several_seeds_the_mean_and_their_interval_are_drawn(tmp_path) -> None:
    shares, recovered = (0.6, 0.7, 0.8), (0.8, 0.9, 0.85)
    frames = [
        pd.concat(parts)
        for parts in (
            [shift_rows("seq", seed, share, share - 0.1) for seed, share in enumerate(shares)],
            [repair_rows("seq", seed) for seed in range(3)],
            [recall_rows("seq", seed) for seed in range(3)],
            [recovery_rows("seq", seed, value) for seed, value in enumerate(recovered)],
        )
    ]
    figure = draw(*frames)
    spans = [segment[:, 0] for collection in figure.axes[0].collections for segment in collection.get_segments()]
    half = stats.t.ppf(0.975, 2) * np.std(shares, ddof=1) / np.sqrt(3)
    assert sum(np.allclose(span, [0.7 - half, 0.7 + half]) for span in spans) == 3
    assert has(drawn(figure.axes[2], "seq"), None, [np.mean(recovered)])
    assert has(drawn(figure.axes[2], "seq"), None, [0.21])  # the checkpoint, of seeds 0, 1, 2
    style.save_figure(figure, [tmp_path / "common_shift.png"])
    assert (tmp_path / "common_shift.png").stat().st_size > 0
