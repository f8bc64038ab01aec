from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.figures.synthetic_views import POINTS, drift_rows

from forgetting.figures import style
from forgetting.figures.drift import ENOUGH_ARMS, draw, forgetting_against_drift, spearman
from forgetting.schemas.metrics import METRICS

BEFORE = 0.95


def metrics_rows(arm: str, seed: int, accuracies: dict[str, float]) -> pd.DataFrame:
    """Task 0 exact match BEFORE at step 0, then by point; other groups, attributes and metrics hold something else."""
    steps = {0: BEFORE} | {POINTS[point]: value for point, value in accuracies.items()}
    rows = [
        (step, split, kind, metric, value if (split, kind, metric) == ("task0_test", "all", "exact_match") else 0.123)
        for step, value in steps.items()
        for split in ("task0_test", "task1")
        for kind in ("all", "major")
        for metric in ("exact_match", "first_token_hard")
    ]
    made = pd.DataFrame(rows, columns=["step", "split", "kind", "metric", "value"])
    made = made.assign(scale="synthetic", seed=seed, stage="task1", arm=arm, n=360)
    return made.assign(low=made["value"] - 0.02, high=made["value"] + 0.05)[METRICS.names]


def study(arms: dict[str, tuple[float, float]], seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Arms with their (divergence, exact match) at step 150; at the end they have moved by 1 more and know 0.1 more."""
    drift = [drift_rows(arm, seed, {"early": moved, "end": moved + 1}) for arm, (moved, _) in arms.items()]
    metrics = [metrics_rows(arm, seed, {"early": known, "end": known + 0.1}) for arm, (_, known) in arms.items()]
    return pd.concat(drift), pd.concat(metrics)


def test_the_loss_is_that_of_the_same_run_and_step_and_its_interval_is_turned_round() -> None:
    found = forgetting_against_drift(*study({"seq": (1.5, 0.2), "replay-20": (1.0, 0.7)})).set_index(["arm", "point", "metric"])
    row = found.loc[("seq", "early", "kl_to_theta_star"), ["value", "low", "high", "lost", "lost_low", "lost_high"]]
    np.testing.assert_allclose(row.to_numpy(dtype=float), [3.0, 2.7, 3.3, 0.75, 0.70, 0.77])
    assert found.loc[("replay-20", "end", "kl_from_theta_star"), "lost"] == pytest.approx(BEFORE - 0.8)
    assert len(found) == 8


def test_of_several_seeds_both_coordinates_have_an_interval_over_them() -> None:
    moved, known = (1.0, 1.2, 1.7), (0.2, 0.3, 0.25)
    runs = [study({"seq": pair}, seed) for seed, pair in enumerate(zip(moved, known, strict=True))]
    drift, metrics = (pd.concat(frames) for frames in zip(*runs, strict=True))
    found = forgetting_against_drift(drift, metrics).set_index(["point", "metric"]).loc[("early", "kl_from_theta_star")]
    # Student's t on the scale of each kind: the logarithm of a divergence, Fisher's z of a difference of accuracies.
    lost = BEFORE - np.array(known)
    half = stats.t.ppf(0.975, 2) * stats.sem(moved) / np.mean(moved)
    np.testing.assert_allclose([found["low"], found["high"]], np.mean(moved) * np.exp([-half, half]))
    half = stats.t.ppf(0.975, 2) * stats.sem(lost) / (1 - lost.mean() ** 2)
    np.testing.assert_allclose([found["lost_low"], found["lost_high"]], np.tanh(np.arctanh(lost.mean()) + [-half, half]))
    np.testing.assert_allclose([found["value"], found["lost"]], [np.mean(moved), BEFORE - np.mean(known)])


def test_a_step_that_was_not_evaluated_is_named() -> None:
    drift, metrics = study({"seq": (1.5, 0.2)})
    with pytest.raises(ValueError, match=r"'arm': 'seq', 'step': 150"):
        forgetting_against_drift(drift, metrics[metrics["step"] != 150])
    with pytest.raises(ValueError, match="step 0"):
        forgetting_against_drift(drift, metrics[metrics["step"] != 0])


def test_correlation_is_spearmans_and_knows_order_from_chance() -> None:
    generator = np.random.default_rng(5)
    unrelated = [(generator.integers(0, 6, 25).astype(float), generator.normal(size=25)) for _ in range(100)]
    found = [spearman(x, y) for x, y in unrelated]
    np.testing.assert_allclose([each.value for each in found], [stats.spearmanr(x, y).statistic for x, y in unrelated])
    assert sum(each.low < 0 < each.high for each in found) >= 88  # 95 in the long run, with a standard error of 2
    y = unrelated[0][1]
    np.testing.assert_allclose(spearman(y, np.exp(y)), [1, 1, 1])
    few = spearman(y[: ENOUGH_ARMS - 1], np.exp(y[: ENOUGH_ARMS - 1]))
    assert few.value == pytest.approx(1) and np.isnan([few.low, few.high]).all()
    assert np.isnan(spearman([1, 2], [1, 2]).value)


def test_every_arm_is_a_line_through_its_checkpoints_and_correlations_stand_below() -> None:
    arms = {f"replay-{share}": (0.1 * share, 0.8 - 0.01 * share) for share in range(1, 11)}
    figure = draw(*study(arms | {"seq-no-task0": (9.0, 0.0)}))  # which does not start from theta*, and is left out
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["replay"]
    for panel, factor in zip(figure.axes, (1, 2), strict=True):
        for moved, known in arms.values():
            lines = [line for line in panel.lines if len(line.get_xdata()) == 2]
            ends = [np.array([line.get_xdata(), line.get_ydata()], dtype=float) for line in lines]
            expected = [[factor * moved, factor * (moved + 1)], [BEFORE - known, BEFORE - known - 0.1]]
            assert any(np.allclose(end, expected) for end in ends)
        texts = [text.get_text() for text in panel.get_legend().get_texts()]
        assert texts == ["step 150: ρ = 1.00 [1.00, 1.00], 10 arms", "Task 1 learned: 0 arms", "end: ρ = 1.00 [1.00, 1.00], 10 arms"]


def test_two_arms_of_two_seeds_can_be_drawn_without_a_correlation(tmp_path) -> None:
    runs = [study({"seq": (1.5 + seed, 0.2), "freeze-2": (0.0, 0.9)}, seed) for seed in range(2)]
    figure = draw(*(pd.concat(frames) for frames in zip(*runs, strict=True)))
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "step 150: 2 arms"
    style.save_figure(figure, [tmp_path / "drift.png"])
    assert (tmp_path / "drift.png").stat().st_size > 0
