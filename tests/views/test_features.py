from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from forgetting.tables import FEATURE_POINTS, FEATURES, read_table, write_table
from forgetting.views.features import (
    compare_states,
    feature_points,
    features,
    residual_stream,
    residual_streams,
    shift_plane,
    view_questions,
)
from forgetting.views.inputs import read_model

CPU = torch.device("cpu")


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
    result = compare_states(states(0), states(0), 3)
    assert result["relative_shift"][0] == 0
    assert np.isnan(result["shift_along_leading"][0])
    assert result["subspace_angle"][0] == pytest.approx(0, abs=1e-4)
    assert result["cka"][0] == pytest.approx(1)


def test_planted_shift_along_and_across_the_leading_components():
    before = states(0)
    axes = np.linalg.svd(before.numpy() - before.numpy().mean(0), full_matrices=False)[2]
    shift = 3 * axes[1] + 4 * axes[7]
    result = compare_states(before, before + torch.from_numpy(shift), 3)
    deviation = np.sqrt(np.mean(np.sum((before.numpy() - before.numpy().mean(0)) ** 2, axis=1)))
    assert result["relative_shift"][0] == pytest.approx(5 / deviation)
    assert result["shift_along_leading"] == pytest.approx((9 / 25, 0.3))
    assert result["subspace_angle"][0] == pytest.approx(0, abs=1e-4)
    assert result["cka"][0] == pytest.approx(1)


def test_random_shifts_meet_chance():
    generator = np.random.default_rng(3)
    shares = [
        compare_states(states(0), states(0) + torch.from_numpy(generator.standard_normal(10)), 3)["shift_along_leading"] for _ in range(300)
    ]
    assert np.mean([value for value, _ in shares]) == pytest.approx(shares[0][1], abs=0.04)


def test_subspace_angle_agrees_with_scipy():
    before, after = states(0), states(1) @ torch.from_numpy(np.linalg.qr(np.random.default_rng(5).standard_normal((10, 10)))[0])
    axes = [np.linalg.svd(s.numpy() - s.numpy().mean(0), full_matrices=False)[2][:3].T for s in (before, after)]
    assert compare_states(before, after, 3)["subspace_angle"][0] == pytest.approx(np.degrees(scipy.linalg.subspace_angles(*axes)).mean())


def test_alignment_of_kernels_and_its_chance_over_permutations():
    before, after = states(0), states(0) * torch.linspace(0, 1, 10) + states(1)
    centring = np.eye(80) - 1 / 80
    first, second = (centring @ s.numpy() @ s.numpy().T @ centring for s in (before, after))
    value, chance = compare_states(before, after, 3)["cka"]
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    assert value == pytest.approx(np.sum(first * second) / scale)
    generator = np.random.default_rng(2)
    draws = [np.sum(first * second[np.ix_(order, order)]) / scale for order in (generator.permutation(80) for _ in range(400))]
    assert np.mean(draws) == pytest.approx(chance, abs=4 * np.std(draws) / 20)
    rotation = torch.from_numpy(np.linalg.qr(generator.standard_normal((10, 10)))[0])
    assert compare_states(before, 3 * after @ rotation, 3)["cka"][0] == pytest.approx(value)


def test_states_that_do_not_vary_give_no_numbers():
    constant = torch.full((20, 6), 0.1)
    assert all(np.isnan(value) for value, _ in compare_states(constant, constant + 1, 3).values())


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
    assert set(everyone.group) == {"task0_test", "task1"}
    assert len(np.unique(everyone.person)) == 20
    assert len(np.unique(view_questions(questions, most_persons=3).person)) == 6


def test_features_tables(run, checkpoints, questions, tmp_path):
    asked = view_questions(questions)
    streams = residual_streams({"pretrained": checkpoints.folders[50]} | checkpoints.stages, asked, 16, CPU)
    write_table(features(run, streams, asked), tmp_path / "features.parquet", FEATURES)
    write_table(feature_points(run, streams, checkpoints.stage_steps, asked), tmp_path / "points.parquet", FEATURE_POINTS)
    frame, points = read_table(tmp_path / "features.parquet", FEATURES), read_table(tmp_path / "points.parquet", FEATURE_POINTS)

    pairs = frame[frame["before"] != frame["after"]]
    assert len(pairs) == 4 * 3 * 2 * 7 * 4  # pairs, layers, groups, attributes and all, metrics
    assert len(frame) - len(pairs) == 4 * 3 * 2 * 6 * 2  # checkpoints, layers, groups, attributes, probe metrics
    assert pairs.loc[pairs["layer"] == 0, "value"].isna().all()  # every prompt ends in the same token
    assert pairs.loc[pairs["layer"] > 0, "value"].notna().all()

    assert points["step"].unique().tolist() == [0, 150, 400]
    assert points["layer"].unique().tolist() == [1, 2]
    start = points[points["step"] == 0].groupby("layer")[["leading_component", "mean_shift"]].mean()
    assert np.allclose(start, 0, atol=1e-6)
    assert (points[points["step"] == 150].groupby("layer")["mean_shift"].mean() > 0).all()
