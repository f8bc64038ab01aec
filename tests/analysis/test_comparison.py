from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forgetting.analysis.comparison import choice_table, costs, grid_table, method_table, nothing_generated
from forgetting.analysis.summary import formatted, read_paper

PAPER = Path(__file__).parents[2] / "resources/paper_results.yaml"
STEPS = (0, 100, 200)
TASK0 = {"seq": (1.0, 0.25, 0.5), "ewc-1e0": (1.0, 0.5, 0.75), "ewc-1e2": (1.0, 1.0, 1.0)}
TASK1 = {"seq": (0.0, 0.8, 1.0), "ewc-1e0": (0.0, 0.6, 1.0), "ewc-1e2": (0.0, 0.1, 0.2)}
TRAIN = {
    "seq": {"seconds": 10.0, "trained_rows": 3200, "prepared_rows": 0, "trained_parameters": 7_123_456_789},
    "ewc-1e0": {"seconds": 14.0, "trained_rows": 3200, "prepared_rows": 800, "preparation_seconds": 3.0, "stored_bytes": 64},
}
CHOICE = pd.DataFrame(
    {"family": ["seq", "ewc", "ewc"], "arm": list(TASK0), "chosen": [True, True, False], "learned": [True, True, False], "criterion": 0.5}
).assign(scale="tiny", reason="validation")


def metrics(seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for arm in TASK0:
            run = {"seed": seed, "arm": arm, "kind": "all", "metric": "exact_match", "low": np.nan, "high": np.nan}
            for split, values in (
                ("task0_test", TASK0[arm]),
                ("task0_val", TASK0[arm]),
                ("task1", TASK1[arm]),
                ("control", (0.0, 0.0, 0.0)),
            ):
                rows += [run | {"split": split, "step": step, "value": value} for step, value in zip(STEPS, values, strict=True)]
            stop = next((step for step, value in zip(STEPS, TASK1[arm], strict=True) if value >= 0.9), np.nan)
            rows.append(run | {"split": "task1", "metric": "early_stop_step", "step": 200, "value": stop})
            rows += [run | {"split": "train", "metric": name, "step": 200, "value": value} for name, value in TRAIN.get(arm, {}).items()]
    return pd.DataFrame(rows)


Probe = tuple[int, str, str, int, float, int]
RIGHT: list[Probe] = [
    (0, "seq", "task1", 0, 0.0, 8),
    (0, "seq", "task1", 200, 0.0, 4),
    (0, "seq", "task1", 200, 1.0, 7),
    (0, "controls", "pretrained", 0, 1.0, 6),
]


def probes(right: Sequence[Probe] = RIGHT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """RECOVERY and RECOVERY_FACTS: 8 facts, of which so many are right: before 8, at the end 4, recovered 7; pretrained 6."""
    keys = {"split": "task0_test", "step": 0}
    rows, facts = [], []
    for seed, arm, start, checkpoint, epochs, count in right:
        run = keys | {"seed": seed, "arm": arm, "start": start, "checkpoint": checkpoint, "epochs": epochs, "training": "right"}
        rows.append(run | {"kind": "all", "metric": "exact_match", "value": count / 8, "low": np.nan, "high": np.nan})
        facts += [run | {"unit": unit, "kind": "major", "exact_match": unit < count} for unit in range(8)]
    return pd.DataFrame(rows), pd.DataFrame(facts)


def floors() -> pd.DataFrame:
    rows = [{"split": split, "kind": "all", "metric": "exact_match", "value": 0.02} for split in ("task0_test", "task1")]
    return pd.DataFrame(rows).assign(seed=0)


def table(seeds: tuple[int, ...] = (0,), **options: Any) -> pd.DataFrame:
    return method_table(metrics(seeds), *probes(), floors(), CHOICE, read_paper([PAPER]), 0.9, **options).set_index("arm")


def test_matched_equal_and_final_accuracies_of_the_chosen_arms() -> None:
    found = table(equal_steps=150)
    assert found.index.tolist()[:2] == ["seq", "ewc-1e0"] and "ewc-1e2" not in found.index
    np.testing.assert_allclose(found["matched"].iloc[:2].astype(float), [0.375, 0.6875])  # halfway, and three quarters of the way
    # Task 1 is at 50 % after 62.5 of 100 steps of seq (0 to 0.8), and after 83.3 of ewc (0 to 0.6).
    np.testing.assert_allclose(found["halfway"].iloc[:2].astype(float), [1 - 0.75 * 0.625, 1 - 0.5 * 5 / 6])
    np.testing.assert_allclose(found["matched_gain"].iloc[:2].astype(float), [0, 0.3125])
    np.testing.assert_allclose(found["task0_at_step_150"].iloc[:2].astype(float), [0.375, 0.625])
    np.testing.assert_allclose(found["task1_at_step_150"].iloc[:2].astype(float), [0.9, 0.8])
    np.testing.assert_allclose(found["stopped"].iloc[:2].astype(float), [0.5, 0.75])
    assert "task0_at_step_200" in table() and table(equal_steps=300)["task0_at_step_300"].isna().all()
    assert found.loc["floor: modal answer", "final"] == 0.02 and found.loc["control: pretrained only", "recovered"] == 0.75


def test_recovery_is_told_from_where_task_1_was_learned_and_is_empty_without_a_probe() -> None:
    found = table()
    assert found.loc["seq", ["drop", "recovered", "spurious_share"]].tolist() == [0.5, 0.875, 0.75]
    assert found.loc["seq", "recovered_from"] == "matched"
    assert found.loc["ewc-1e0", ["drop", "recovered", "spurious_share"]].isna().all()
    assert formatted(found.reset_index()).set_index("arm").loc["ewc-1e0", "after one recovery epoch"] == "-"


def test_an_arm_that_one_seed_did_not_learn_is_recovered_from_the_end_in_all() -> None:
    both = metrics((0, 1))
    both.loc[both["metric"] == "early_stop_step", "value"] = np.where(both["arm"] == "seq", 100, np.nan)[
        both["metric"] == "early_stop_step"
    ]
    from_seq = [
        (checkpoint, epochs, count)
        for checkpoint, early, late in ((0, 8, 8), (100, 2, 8), (200, 4, 6))
        for epochs, count in ((0.0, early), (1.0, late))
    ]
    right = [(seed, "seq", "task1", *probe) for seed in (0, 1) for probe in from_seq]
    args = (floors(), CHOICE, read_paper([PAPER]), 0.9)
    learned = method_table(both, *probes(right), *args).set_index("arm").loc["seq"]
    assert learned[["recovered_from", "drop", "recovered", "spurious_share"]].tolist() == ["matched", 0.75, 1.0, 1.0]
    both.loc[(both["metric"] == "early_stop_step") & (both["seed"] == 1), "value"] = np.nan
    failed = method_table(both, *probes(right), *args).set_index("arm").loc["seq"]
    assert failed[["recovered_from", "drop", "recovered", "spurious_share"]].tolist() == ["end", 0.5, 0.75, 0.5]


def test_costs_are_relative_to_seq_and_empty_where_nothing_is_known() -> None:
    found = costs(metrics()).set_index("arm")
    assert found.loc["seq", ["seconds", "extra_passes"]].tolist() == [10, 0]
    assert found.loc["ewc-1e0", ["seconds", "extra_passes", "preparation_seconds"]].tolist() == pytest.approx([14, 0.25, 3])
    assert found.loc["ewc-1e2"].drop("seed").isna().all()
    assert table().loc["seq", "trained_parameters"] == 7_123_456_789  # no digit is lost


def test_a_longer_run_is_compared_with_as_many_steps_of_seq() -> None:
    longer = metrics()
    longer.loc[(longer["arm"] == "ewc-1e0") & (longer["step"] == 200), "step"] = 400
    longer.loc[(longer["arm"] == "ewc-1e0") & (longer["metric"] == "trained_rows"), "value"] *= 2
    assert costs(longer).set_index("arm").loc["ewc-1e0", "extra_passes"] == pytest.approx(0.125)
    found = method_table(longer, *probes(), floors(), CHOICE, read_paper([PAPER]), 0.9)
    assert found["steps"].iloc[:2].tolist() == [200, 400] and formatted(found)["steps"].iloc[:3].tolist() == ["200", "400", "-"]


def test_published_numbers_stand_apart_with_their_reliability() -> None:
    found = table()
    assert found.loc[["seq", "ewc-1e0"], "paper"].tolist() == ["11.2 %", "at most 22 %"]
    assert found.loc["ewc-1e0", "paper_reliability"].startswith("third-party summary")
    cells = formatted(found.reset_index())
    assert cells["paper: Task 0 after Task 1"].tolist() == ["11.2 %", "at most 22 %", "-", "-", "-"]


def test_grid_holds_every_arm_and_says_what_was_not_reached() -> None:
    both = grid_table(metrics((0, 1)), CHOICE, 0.9)
    cells = formatted(both)
    assert cells["arm"].tolist() == list(TASK0) and cells["chosen"].tolist() == ["yes", "yes", "no"]
    assert cells["Task 0 at matched Task 1"].tolist()[2] == "not reached"
    one = metrics((0, 1))
    failed = (one["seed"] == 1) & (one["arm"] == "seq") & (one["split"] == "task1") & (one["metric"] == "exact_match")
    one["value"] = one["value"].mask(failed, 0.1)
    stop = (one["seed"] == 1) & (one["arm"] == "seq") & (one["metric"] == "early_stop_step")
    found = grid_table(one.assign(value=one["value"].mask(stop)), CHOICE, 0.9)
    assert found[["halfway_seeds", "matched_seeds", "stopped_seeds"]].to_numpy().tolist() == [[1, 1, 1], [2, 2, 2], [0, 0, 0]]
    names = ["Task 0 where Task 1 is at 50 %", "Task 0 at matched Task 1", "Task 0 with early stop"]
    assert formatted(found)[names].iloc[0].tolist() == ["1 of 2 seeds"] * 3, "the seed that got there is no sample of both"
    assert formatted(found)[names].iloc[2].tolist() == ["not reached"] * 3


def test_an_arm_that_generated_nothing_usable_is_said_to_be_seq() -> None:
    """In its row; with no old question in a batch it learns as `seq` does, and its numbers would look like a result."""
    rows = metrics((0, 1))
    arm = next(arm for arm in rows["arm"].unique() if arm != "seq")
    counts = [(0, 0.0), (1, 12.0)]
    made = pd.DataFrame([{"seed": seed, "arm": arm, "metric": "pseudo_used", "value": value} for seed, value in counts])
    made = made.assign(split="train", kind="all", step=0).reindex(columns=rows.columns)
    both = pd.concat([rows, made], ignore_index=True)
    assert nothing_generated(both) == {arm: "nothing generated was usable in 1 of 2 runs: trained as seq"}
    assert nothing_generated(rows) == {}
    remarks = grid_table(both, CHOICE, 0.95).set_index("arm")["remark"]
    assert remarks[arm].startswith("nothing generated") and not remarks["seq"]


def learning(
    task1: dict[str, Sequence[tuple[float, float, float]]], task0: dict[str, Sequence[tuple[float, float, float]]]
) -> pd.DataFrame:
    """METRICS in which each arm has the given curves, one a seed."""
    frames = []
    for seed in range(len(task1["seq"])):
        frame = metrics((seed,))
        for arm, curves in task1.items():
            for split, values in (("task1", curves[seed]), ("task0_test", task0[arm][seed])):
                here = (frame["arm"] == arm) & (frame["split"] == split) & (frame["metric"] == "exact_match")
                frame.loc[here, "value"] = list(values)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def test_an_arm_is_compared_where_all_of_its_seeds_and_of_seq_are() -> None:
    """One seed of EWC stops at 0.92: all are compared at 90 %, none is left out. Straight lines make the values there easy to read."""
    task1 = {
        "seq": [(0.0, 0.5, 1.0)] * 3,
        "ewc-1e0": [(0.0, 0.5, 1.0), (0.0, 0.5, 0.92), (0.0, 0.5, 1.0)],
        "ewc-1e2": [(0.0, 0.1, 0.2)] * 3,
    }
    falls = {"seq": [(1.0, 0.6, 0.2), (1.0, 0.5, 0.1), (1.0, 0.7, 0.3)], "ewc-1e0": [(1.0, 0.8, 0.6), (1.0, 0.8, 0.4), (1.0, 0.9, 0.7)]}
    frame = learning(task1, falls | {"ewc-1e2": [(1.0, 1.0, 1.0)] * 3})
    found = grid_table(frame, CHOICE, 0.99).set_index("arm")
    assert found["compared_at"].tolist() == ["99 %", "90 %", "-"]
    assert np.isnan(found.loc["ewc-1e0", "matched_gain"]) and found.loc["ewc-1e0", "matched_seeds"] == 2
    # At 90 %: seq after 0.8 of its second half; EWC likewise, but 0.4 / 0.42 of it in the seed that learns less.
    seq = np.array([0.6 - 0.4 * 0.8, 0.5 - 0.4 * 0.8, 0.7 - 0.4 * 0.8])
    ewc = np.array([0.8 - 0.2 * 0.8, 0.8 - 0.4 * 0.4 / 0.42, 0.9 - 0.2 * 0.8])
    assert found.loc["ewc-1e0", "common"] == pytest.approx(ewc.mean()) and found.loc["ewc-1e0", "common_gain"] == pytest.approx(
        (ewc - seq).mean()
    )
    cells = formatted(found.reset_index()).set_index("arm")
    assert cells.loc["ewc-1e0", "compared where Task 1 is at"] == "90 %" and cells.loc["ewc-1e0", "at matched, minus seq"] == "2 of 3 seeds"
    assert found.loc["seq", "common_gain"] == 0 and cells.loc["ewc-1e2", "there, minus seq"] == "not reached"


def test_gains_have_intervals_that_hold_for_all_arms_together() -> None:
    task1 = {arm: [(0.0, 0.5, 1.0)] * 3 for arm in TASK0}
    starts = {"seq": (0.60, 0.55, 0.62), "ewc-1e0": (0.70, 0.66, 0.71), "ewc-1e2": (0.75, 0.66, 0.74)}
    found = grid_table(learning(task1, {arm: [(1.0, at, at) for at in of_seeds] for arm, of_seeds in starts.items()}), CHOICE, 0.99)
    found = found.set_index("arm")
    assert np.isnan(found.loc["seq", "common_gain_low_all"]), "seq is compared with nothing"
    for arm in ("ewc-1e0", "ewc-1e2"):
        gains = np.array(starts[arm]) - np.array(starts["seq"])
        half = stats.t.ppf(1 - 0.05 / 2 / 2, 2) * stats.sem(gains)  # two arms
        expected = (gains.mean() - half, gains.mean() + half)
        np.testing.assert_allclose(found.loc[arm, ["common_gain_low_all", "common_gain_high_all"]].astype(float), expected, atol=0.003)
        assert found.loc[arm, "common_gain_low_all"] < found.loc[arm, "common_gain_low"]
    assert "all together [" in formatted(found.reset_index())["there, minus seq"].iloc[1]


def test_recovery_and_the_accuracies_before_it_are_of_the_same_checkpoint() -> None:
    """Task 1 is learned between evaluations at 100 and 200: the interpolated match is no checkpoint, the recovered one is 200."""
    found = table().loc["seq"]
    assert found[["checkpoint", "dropped", "task1_there"]].tolist() == [200, 0.5, 1.0] and found["matched"] == 0.375


def test_choice_is_listed_with_its_reason() -> None:
    cells = formatted(choice_table(CHOICE))
    assert cells.iloc[2].tolist() == ["ewc", "ewc-1e2", "0.500", "no", "no", "validation"]
