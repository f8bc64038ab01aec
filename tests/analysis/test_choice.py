"""The choice of knobs: on task0_val, at matched Task 1, and never swayed by the test persons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forgetting.analysis.choice import choose


def run(arm: str, seed: int, val: list[float], test: list[float], task1: list[float]) -> pd.DataFrame:
    rows = [
        (step, split, "all", "exact_match", values[step])
        for split, values in (("task0_val", val), ("task0_test", test), ("task1", task1))
        for step in range(len(values))
    ]
    reached = [step for step, value in enumerate(task1) if value >= 0.99]
    rows.append((len(task1) - 1, "task1", "all", "early_stop_step", float(reached[0]) if reached else np.nan))
    frame = pd.DataFrame(rows, columns=["step", "split", "kind", "metric", "value"])
    return frame.assign(scale="tiny", seed=seed, stage="task1", arm=arm, n=1, low=np.nan, high=np.nan)


def chosen(frame: pd.DataFrame) -> dict[str, str]:
    picked = frame[frame["chosen"]]
    assert picked["family"].is_unique
    return dict(zip(picked["family"], picked["arm"], strict=True))


def test_highest_task0_val_at_matched_task1_wins_whatever_the_test_says() -> None:
    metrics = pd.concat(
        [
            run("weak", 0, val=[1, 0.2, 0.1], test=[1, 1, 1], task1=[0, 0.99, 1]),
            run("strong", 0, val=[1, 0.6, 0.5], test=[1, 0, 0], task1=[0, 0.98, 1]),
        ]
    )
    frame = choose(metrics, {"family": ["weak", "strong"]}, 0.99)
    assert chosen(frame) == {"family": "strong"}
    assert frame.set_index("arm")["criterion"].to_dict() == pytest.approx({"weak": 0.2, "strong": 0.55}), "interpolated to 99 %"


def test_an_arm_that_did_not_learn_in_every_seed_cannot_win_against_one_that_did() -> None:
    metrics = pd.concat(
        [run("lazy", seed, val=[1, 1], test=[1, 1], task1=[0, task1]) for seed, task1 in ((0, 1.0), (1, 0.5))]
        + [run("diligent", seed, val=[1, 0.3], test=[1, 0.3], task1=[0, 1]) for seed in (0, 1)]
    )
    frame = choose(metrics, {"family": ["lazy", "diligent"]}, 0.99)
    assert chosen(frame) == {"family": "diligent"}
    assert "not learned" in frame.set_index("arm").loc["lazy", "reason"]


def test_where_none_learned_task1_both_tasks_count() -> None:
    metrics = pd.concat(
        [
            run("frozen", 0, val=[1, 1.0], test=[1, 1], task1=[0, 0.0]),
            run("middle", 0, val=[1, 0.8], test=[1, 0.8], task1=[0, 0.5]),
        ]
    )
    frame = choose(metrics, {"family": ["frozen", "middle"]}, 0.99)
    assert chosen(frame) == {"family": "middle"}
    assert not frame["learned"].any()


def test_each_family_has_one_choice_and_every_arm_a_reason() -> None:
    metrics = pd.concat([run(arm, 0, [1, 0.5], [1, 0.5], [0, 1]) for arm in ("seq", "a", "b")])
    frame = choose(metrics, {"seq": ["seq"], "letters": ["a", "b"]}, 0.99)
    assert chosen(frame) == {"seq": "seq", "letters": "a"}, "a tie goes to the first"
    assert frame["reason"].str.len().min() > 0
