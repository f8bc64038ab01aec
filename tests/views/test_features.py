from __future__ import annotations

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from tests import jobs
from tests.views.conftest import tiny_model

from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.features import FEATURE_POINTS, FEATURES
from forgetting.tables import read_table, write_table
from forgetting.views.features import (
    compare_states,
    feature_points,
    features,
    lens,
    residual_stream,
    residual_streams,
    shift_plane,
    stage_folders,
    view_questions,
)
from forgetting.views.inputs import Checkpoints, read_model
from forgetting.views.logit_lens import kind_values
from forgetting.views.measured import DRAWS, unit_means

CPU = torch.device("cpu")

UNITS = np.arange(80) // 2


@pytest.fixture
def run():
    return jobs.states()


def states(seed: int, count: int = 80, width: int = 10) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.standard_normal((count, width)) * np.linspace(4, 0.5, width) + 3)


def test_states_are_those_of_each_question_alone(checkpoints, questions):
    """One question at a time, without padding, block after block by hand; the last entry is not normed."""
    model = read_model(checkpoints.folders[0], CPU)
    found = residual_stream(model, questions, 7)
    assert found.shape == (3, len(questions), 32)
    for row in range(0, len(questions), 17):
        prompt = questions.ids[row : row + 1, : questions.prompt_length[row]]
        with torch.inference_mode():
            output = model.gpt_neox(prompt, output_hidden_states=True)
            normed = model.gpt_neox.final_layer_norm(found[-1, row])
        for layer in range(2):
            assert torch.allclose(found[layer, row], output.hidden_states[layer][0, -1], atol=1e-5)
        assert torch.allclose(normed, output.last_hidden_state[0, -1], atol=1e-5)


def test_identical_states_have_not_moved():
    result = compare_states(states(0), states(0), 3, UNITS)
    assert result["relative_shift"][0] == 0
    assert np.isnan(result["shift_along_leading"][0])
    assert result["subspace_angle"][0] == pytest.approx(0, abs=1e-4)
    assert result["cka"][0] == pytest.approx(1)


def test_planted_shift_along_and_across_the_leading_components():
    before = states(0)
    axes = np.linalg.svd(before.numpy() - before.numpy().mean(0), full_matrices=False)[2]
    shift = 3 * axes[1] + 4 * axes[7]
    result = compare_states(before, before + torch.from_numpy(shift), 3, UNITS)
    deviation = np.sqrt(np.mean(np.sum((before.numpy() - before.numpy().mean(0)) ** 2, axis=1)))
    assert result["relative_shift"][0] == pytest.approx(5 / deviation)
    assert result["relative_shift_along"].value == pytest.approx(3 / deviation)
    assert result["relative_shift_across"].value == pytest.approx(4 / deviation)
    assert result["shift_along_leading"][:4] == pytest.approx((9 / 25, 9 / 25, 9 / 25, 0.3))  # all persons move alike
    assert result["subspace_angle"][0] == pytest.approx(0, abs=1e-4)
    assert result["cka"][0] == pytest.approx(1)


def test_random_shifts_meet_chance():
    generator = np.random.default_rng(3)
    shares = [
        compare_states(states(0), states(0) + torch.from_numpy(generator.standard_normal(10)), 3, UNITS)["shift_along_leading"]
        for _ in range(300)
    ]
    assert np.mean([share.value for share in shares]) == pytest.approx(shares[0].chance, abs=0.04)


def test_subspace_angle_agrees_with_scipy():
    before, after = states(0), states(1) @ torch.from_numpy(np.linalg.qr(np.random.default_rng(5).standard_normal((10, 10)))[0])
    axes = [np.linalg.svd(s.numpy() - s.numpy().mean(0), full_matrices=False)[2][:3].T for s in (before, after)]
    assert compare_states(before, after, 3, UNITS)["subspace_angle"][0] == pytest.approx(
        np.degrees(scipy.linalg.subspace_angles(*axes)).mean()
    )


def test_alignment_of_kernels_and_its_chance_over_permutations():
    before, after = states(0), states(0) * torch.linspace(0, 1, 10) + states(1)
    centring = np.eye(80) - 1 / 80
    first, second = (centring @ s.numpy() @ s.numpy().T @ centring for s in (before, after))
    cka = compare_states(before, after, 3, UNITS)["cka"]
    value, chance = cka.value, cka.chance
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    assert value == pytest.approx(np.sum(first * second) / scale)
    generator = np.random.default_rng(2)
    draws = [np.sum(first * second[np.ix_(order, order)]) / scale for order in (generator.permutation(80) for _ in range(400))]
    assert np.mean(draws) == pytest.approx(chance, abs=4 * np.std(draws) / 20)
    rotation = torch.from_numpy(np.linalg.qr(generator.standard_normal((10, 10)))[0])
    assert compare_states(before, 3 * after @ rotation, 3, UNITS)["cka"][0] == pytest.approx(value)


def test_one_rotation_of_both_checkpoints_changes_nothing():
    before, after = states(0), 0.5 * states(0) + states(1)
    generator = np.random.default_rng(8)
    rotation = torch.from_numpy(np.linalg.qr(generator.standard_normal((10, 10)))[0] * generator.choice([-1, 1], 10))
    first, second = compare_states(before, after, 3, UNITS), compare_states(before @ rotation, after @ rotation, 3, UNITS)
    for metric, numbers in first.items():
        assert second[metric] == pytest.approx(numbers, abs=1e-6, nan_ok=True)


def test_planted_angle_between_leading_subspaces():
    generator = np.random.default_rng(4)
    plane, angle = generator.standard_normal((80, 2)) * 10, np.radians(25)
    before, after = np.zeros((80, 6)), np.zeros((80, 6))
    before[:, :2], after[:, 0] = plane, plane[:, 0]
    after[:, 1], after[:, 2] = np.cos(angle) * plane[:, 1], np.sin(angle) * plane[:, 1]
    found = compare_states(torch.from_numpy(before), torch.from_numpy(after), 2, UNITS)["subspace_angle"].value
    assert found == pytest.approx(25 / 2)  # principal angles of 0 and 25 degrees


def test_person_means_are_those_of_whole_persons():
    values, units = torch.arange(6.0), np.array([7, 7, 7, 2, 2, 9])
    draws = unit_means(values, units)
    assert draws.shape == (1 + DRAWS,) and draws[0] == 2.5
    sums, sizes = {7: 3.0, 2: 7.0, 9: 5.0}, {7: 3, 2: 2, 9: 1}
    possible = [sum(sums[p] for p in drawn) / sum(sizes[p] for p in drawn) for drawn in itertools.product(sums, repeat=3)]
    assert all(np.isclose(possible, float(draw)).any() for draw in draws[1:])
    assert float(draws[1:].mean()) == pytest.approx(np.mean(possible), abs=0.15)


@pytest.mark.parametrize("shift", [1.0, 0.25])
def test_interval_of_the_shift_covers_the_true_shift(shift):
    """Also where the shift is hardly longer than what sampling 40 persons adds to its square (a quarter of it with 0.25)."""
    generator = np.random.default_rng(6)
    covered, inside, found, true = 0, 0, [], []
    for _ in range(60):
        before = torch.from_numpy(generator.standard_normal((80, 10)))
        after = before + shift + torch.from_numpy(generator.standard_normal((40, 10)).repeat(2, axis=0))
        result = compare_states(before, after, 3, UNITS)["relative_shift"]
        spread = float((before - before.mean(0)).square().sum(1).mean().sqrt())
        covered += result.low <= np.sqrt(10) * shift / spread <= result.high
        inside += result.low <= result.value <= result.high
        found.append(result.value * spread)
        true.append(np.sqrt(10) * shift)
    assert covered >= 50 and inside == 60
    assert np.mean(np.square(found)) == pytest.approx(np.mean(np.square(true)), rel=0.1)


def test_states_that_do_not_vary_give_no_numbers():
    constant = torch.full((20, 6), 0.1)
    assert all(np.isnan(number.value) for number in compare_states(constant, constant + 1, 3, np.arange(20)).values())


def test_shift_plane_reads_the_planted_shift():
    before = states(0)
    axes = np.linalg.svd(before.numpy() - before.numpy().mean(0), full_matrices=False)[2]
    origin, plane = shift_plane(before, before + torch.from_numpy(2 * axes[0] + 5 * axes[3]))
    assert torch.allclose(plane.T @ plane, torch.eye(2, dtype=torch.float64), atol=1e-9)
    assert plane[plane[:, 0].abs().argmax(), 0] > 0
    moved = (before.mean(0) + torch.from_numpy(2 * axes[0] + 5 * axes[3]) - origin) @ plane
    assert moved.abs().tolist() == pytest.approx([2, 5])
    assert shift_plane(before, before)[1][:, 1].norm() == 0


def test_view_questions_are_all_of_both_groups_or_a_limited_number(questions):
    everyone = view_questions(questions)
    assert set(everyone.split) == {"task0_test", "task1", "control"}
    assert len(np.unique(everyone.unit)) == 30
    assert len(np.unique(view_questions(questions, most_units=3).unit)) == 9


def test_an_arm_that_kept_only_step_150_the_end_and_the_matched_point(checkpoints):
    folder = checkpoints.folders[150].parent
    for step in (50, 100, 200):
        shutil.rmtree(checkpoints.folders[step])
    folders = stage_folders(Checkpoints.find(checkpoints.folders[0], folder), 200.0)
    assert {name: path.name for name, path in folders.items()} == {
        "task0": "task0",
        "task1_early": "step-000150",
        "task1_matched": "matched",
        "task1_end": "step-000400",
    }
    assert all(path.is_dir() for path in folders.values())


def test_an_arm_that_never_learned_has_no_matched_point(checkpoints):
    """`matched/` is there all the same: it holds the weights of the end."""
    assert (checkpoints.folders[400].parent / "matched").is_dir()
    assert set(stage_folders(checkpoints, float("nan"))) == {"task0", "task1_early", "task1_end"}


def test_features_tables(run, checkpoints, questions, tmp_path):
    asked = view_questions(questions)
    folders = {"pretrained": checkpoints.folders[50]} | stage_folders(checkpoints, 200.0)
    streams = residual_streams(folders, asked, 16, CPU)
    of_lens = lens(run, folders, streams, asked, kind_values(questions), CPU)
    table = pd.concat([features(run, streams, asked), of_lens], ignore_index=True)
    write_table(table, tmp_path / "features.parquet", FEATURES)
    write_table(feature_points(run, streams, checkpoints.stage_steps, asked), tmp_path / "points.parquet", FEATURE_POINTS)
    frame, points = read_table(tmp_path / "features.parquet", FEATURES), read_table(tmp_path / "points.parquet", FEATURE_POINTS)

    pairs = frame[frame["before"] != frame["after"]]
    assert len(pairs) == 5 * 3 * 2 * 7 * 6  # pairs, layers, groups, attributes and all, metrics
    own = frame[frame["before"] == frame["after"]]
    assert (own["metric"].str.startswith("lens").sum()) == 5 * 3 * 7 * (3 * 4 + 1)
    assert not frame.duplicated(["before", "after", "layer", "split", "kind", "metric"]).any()
    assert pairs.loc[pairs["layer"] == 0, "value"].isna().all()  # every prompt ends in the same token
    assert pairs.loc[pairs["layer"] > 0, "value"].notna().all()
    same = pairs[(pairs["before"] == "task0") & (pairs["after"] == "task1_end")]
    twin = pairs[(pairs["before"] == "task0") & (pairs["after"] == "task1_matched")]  # the same weights in the fixture
    assert np.allclose(same["value"], twin["value"], equal_nan=True)

    assert points["step"].unique().tolist() == [0, 150, 400]
    assert points["layer"].unique().tolist() == [1, 2]
    start = points[points["step"] == 0].groupby("layer")[["leading_component", "mean_shift"]].mean()
    assert np.allclose(start, 0, atol=1e-6)
    assert (points[points["step"] == 150].groupby("layer")["mean_shift"].mean() > 0).all()


def test_a_rotation_hides_what_the_states_know_from_the_lens_alone(run, questions, tmp_path):
    """Where no layer says the right value any more, what was known may be turned out of the output's reach (the geometry is as it was) or
    gone (the states are those of other questions): the lens is at chance for both, and CKA tells them apart."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "model")
    right = model.get_output_embeddings().weight[questions.ids[torch.arange(len(questions)), questions.prompt_length]].detach()
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=generator)).Q
    others = torch.randperm(len(questions), generator=generator)
    stages = {"task0": right, "task1_early": right @ rotation, "task1_end": right[others]}
    streams = {stage: states.expand(3, -1, -1).clone() for stage, states in stages.items()}
    folders = dict.fromkeys(stages, tmp_path / "model")
    table = pd.concat(
        [features(run, streams, questions), lens(run, folders, streams, questions, kind_values(questions), CPU)], ignore_index=True
    )
    for split in ("task0_test", "task1"):
        rows = table[(table["split"] == split) & (table["kind"] == "all") & (table["layer"] == 2)]
        said = rows[rows["metric"] == "lens_rank"].set_index("after")
        assert said.loc["task0", "value"] < 1.5
        for after in ("task1_early", "task1_end"):
            assert said.loc[after, "value"] > 0.8 * said.loc[after, "chance"] > 5
        kept = rows[(rows["metric"] == "cka") & (rows["before"] == "task0")].set_index("after")["value"]
        assert kept["task1_early"] == pytest.approx(1, abs=1e-4) and kept["task1_end"] < 0.7
