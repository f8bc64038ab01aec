from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from forgetting.analysis.claims import COLUMNS, claims_table

LAYERS = 3
KINDS = ("query", "mlp_output")
NAN = float("nan")


def features(seed: int, early: float, whole: float) -> pd.DataFrame:
    """Shifts of the last layer as given (interval 10 % to either side); other layers, groups, pairs and attributes hold something else."""
    rows = []
    for before, after, value in (("task0", "task1_early", early), ("task0", "task1_end", whole), ("task1_early", "task1_end", 77.0)):
        for layer in (0, 1, LAYERS):
            for split in ("task0_test", "task1"):
                for kind in ("all", "major"):
                    right = layer == LAYERS and split == "task0_test" and kind == "all"
                    for metric in ("relative_shift", "cka"):
                        found = value if right and metric == "relative_shift" else 55.0
                        rows.append((before, after, layer, split, kind, metric, found, 0.9 * found, 1.1 * found))
    frame = pd.DataFrame(rows, columns=["before", "after", "layer", "split", "kind", "metric", "value", "low", "high"])
    return frame.assign(scale="tiny", seed=seed, arm="seq", chance=NAN)


def weights(seed: int, excess: dict[tuple[str, str], tuple[list[float], float]], others: float = -2.0) -> pd.DataFrame:
    """By pair: the excess over chance of each block (the same in both of its matrices) and of the embedding; chance is 80 degrees."""
    rows = []
    for (former, latter), (blocks, embedding) in excess.items():
        for metric, factor in (("mean_angle", 1.0), ("weighted_angle", 9.0)):
            places = [(layer, kind, value, others) for layer, value in enumerate(blocks, 1) for kind in KINDS]
            places += [(0, "embedding", embedding, NAN), (len(blocks) + 1, "output_embedding", -33.0, NAN)]
            rows += [(former, latter, layer, kind, metric, 80 + factor * value, 80.0, beside) for layer, kind, value, beside in places]
    frame = pd.DataFrame(rows, columns=["former", "latter", "layer", "component", "metric", "value", "chance", "other_layers"])
    return frame.assign(scale="tiny", seed=seed, arm="seq", chance_low=NAN, chance_high=NAN)


def gradients(seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Cosines at steps 0, 10, 50 and 75 by part and comparison."""
    rows = []
    for part, factor in (("all", 1.0), ("blocks", 2.0), ("block", 50.0)):
        for step, value in ((0, -0.1), (10, -0.2), (50, -0.3), (75, 0.4)):
            rows += [
                (step, part, comparison, factor * found) for comparison, found in (("task0_task1", value + shift), ("task0_shuffled", 0.05))
            ]
    frame = pd.DataFrame(rows, columns=["step", "part", "comparison", "value"])
    return frame.assign(scale="tiny", seed=seed, arm="seq", layer=-1, n=150)


def landscape(seed: int, turns: tuple[float, ...] = (0.5, 0.1, 0.7)) -> pd.DataFrame:
    """Turns at steps 100, 150 and 200 of a run of 400; of the blocks they are half. Legs of lengths 3 and 4, at right angles."""
    steps, alpha, beta = (0, 100, 150, 200, 400), (0.0, 2.0, 3.0, 3.0, 3.0), (0.0, 0.0, 0.0, 1.0, 4.0)
    frame = pd.DataFrame({"step": steps, "alpha": alpha, "beta": beta, "distance": np.hypot(alpha, beta), "turn": [NAN, *turns, NAN]})
    both = pd.concat([frame.assign(weights="all"), frame.assign(weights="blocks", turn=frame["turn"] / 2)])
    grid = frame.assign(kind="grid", weights="all", step=-1, turn=9.0)
    return pd.concat([both.assign(kind="trajectory"), grid]).assign(scale="tiny", seed=seed, arm="seq")


PLANTED = {
    ("pretraining", "task0"): ([-4.0, -6.0, -8.0], 3.0),
    ("task0", "task1_early"): ([-12.0, -10.0, -11.0], -5.0),
    ("task1_early", "task1_late"): ([-1.0, -2.0, -9.0], 1.0),
}


def made(seeds: int) -> pd.DataFrame:
    shifts = [(1.5, 0.2), (1.0, 0.3), (2.0, 0.1)][:seeds]
    table = claims_table(
        pd.concat([features(seed, *pair) for seed, pair in enumerate(shifts)]),
        pd.concat([weights(seed, PLANTED) for seed in range(seeds)]),
        pd.concat([gradients(seed, 0.01 * seed) for seed in range(seeds)]),
        pd.concat([landscape(seed) for seed in range(seeds)]),
    )
    assert list(table.columns) == COLUMNS and set(table["seeds"]) == {seeds}
    return table.set_index("statistic")


def test_one_seed_with_planted_numbers() -> None:
    value = made(1)["value"]
    planted = {"shift_early": 1.5, "shift_whole": 0.2, "shift_kept": 0.2 / 1.5}
    planted |= {"task0_in_pretraining": -6, "task0_in_pretraining_beyond_other_layers": -4, "task0_in_pretraining_embedding": 9}
    planted |= {"early_in_task0": -11, "early_in_task0_beyond_other_layers": -9, "early_in_task0_embedding": 6}
    planted |= {"late_in_early": -4, "late_in_early_embedding": 5, "late_turns_away": 7, "late_bottom": 7.5}  # two lower blocks, one upper
    planted |= {"gradients_start_all": -0.1, "gradients_first_steps_all": -0.25, "gradients_start_blocks": -0.2}
    planted |= {"turn_all": 0.1 - 0.6, "turn_blocks": 0.05 - 0.3}
    assert {name: value[name] for name in planted} == pytest.approx(planted)


def test_a_path_is_held_against_two_stages_that_meet_at_its_own_corner() -> None:
    """Of two legs of 3 and 4 at a right angle the cosines at 100, 150 and 200 are those of (1, 4), 0 and (3, 1)."""
    right_angle = claims_table(features(0, 1.0, 0.5), weights(0, PLANTED), gradients(0), landscape(0, (0.9, 0.0, 0.9))).set_index(
        "statistic"
    )
    assert right_angle.loc["turn_all", "reference"] == pytest.approx(0 - (1 / 17**0.5 + 1 / 10**0.5) / 2)
    short = landscape(0)
    short = claims_table(features(0, 1.0, 0.5), weights(0, PLANTED), gradients(0), short[short["step"] != 200]).set_index("statistic")
    assert "turn_all" not in short.index, "the next checkpoint is the last, which has no turn"


def test_each_number_has_what_it_is_read_against_and_only_a_known_interval() -> None:
    table = made(1)
    assert table.loc["shift_kept", "reference"] == 1 and table.loc["late_turns_away", "reference"] == 0
    assert table.loc["gradients_first_steps_blocks", "reference"] == pytest.approx(0.1)
    assert table.loc["shift_kept", ["low", "high"]].tolist() == pytest.approx([0.18 / 1.65, 0.22 / 1.35])
    assert table.loc[["late_bottom", "gradients_start_all"], ["low", "high"]].isna().all(axis=None)


def test_several_seeds_give_the_interval_over_seeds_of_the_ratio_of_each() -> None:
    table = made(3)
    ratios = np.array([0.2 / 1.5, 0.3, 0.05])
    half = student.ppf(0.975, 2) * ratios.std(ddof=1) / np.sqrt(3)
    assert table.loc["shift_kept", ["value", "low", "high"]].tolist() == pytest.approx(
        ratios.mean() * np.exp([0, -half / ratios.mean(), half / ratios.mean()])
    )
    assert table.loc["gradients_start_all", "value"] == pytest.approx(-0.09)


def test_frozen_matrices_have_no_angle_and_no_row() -> None:
    frozen = PLANTED | {pair: ([NAN, *PLANTED[pair][0][1:]], NAN) for pair in PLANTED if pair[1] != "task0"}
    found = claims_table(features(0, 1.0, 0.5), weights(0, frozen), gradients(0), landscape(0))["statistic"].tolist()
    assert "task0_in_pretraining" in found and not [name for name in found if name.startswith(("early", "late"))]


def test_a_layer_that_did_not_move_cancels_nothing() -> None:
    found = claims_table(features(0, 0.0, 0.0), weights(0, PLANTED), gradients(0), landscape(0)).set_index("statistic")
    assert found.loc["shift_early", "value"] == 0 and "shift_kept" not in found.index
