from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.evaluation import answer_loss
from forgetting.tables import LANDSCAPE, read_table, write_table
from forgetting.views.inputs import parameter_vector, read_model, uniform_name
from forgetting.views.landscape import Plane, flatten_parameters, grid_axis, landscape, losses_on_plane, plane_through

CPU = torch.device("cpu")


def corners(size: int = 500) -> list[torch.Tensor]:
    return list(torch.randn(3, size, generator=torch.Generator().manual_seed(3)))


def vectors(checkpoints, *steps: int) -> list[torch.Tensor]:
    names = [uniform_name(name) for name, _ in read_model(checkpoints.folders[0], CPU).named_parameters()]
    return [parameter_vector(checkpoints.weights(step), names) for step in steps]


def test_orthogonal_plane_is_orthonormal_and_holds_its_corners():
    start, bend, end = corners()
    plane = Plane.orthogonal(start, bend, end)
    assert float(plane.first @ plane.second) == pytest.approx(0, abs=1e-6)
    assert float(plane.first.norm()) == pytest.approx(1, abs=1e-6)
    assert float(plane.second.norm()) == pytest.approx(1, abs=1e-6)
    assert plane.project(bend) == pytest.approx((float((bend - start).norm()), 0, 1), abs=1e-4)
    alpha, beta, in_plane = plane.project(end)
    assert np.hypot(alpha, beta) == pytest.approx(float((end - start).norm()), rel=1e-5)
    assert in_plane == pytest.approx(1, abs=1e-6)
    assert beta > 0


def test_reference_plane_measures_in_displacements():
    start, bend, end = corners()
    plane = Plane.reference(start, bend, end)
    assert plane.project(bend) == pytest.approx((1, 0, 1), abs=1e-5)
    assert plane.project(end) == pytest.approx((1, 1, 1), abs=1e-5)


@pytest.mark.parametrize("kind", [Plane.orthogonal, Plane.reference])
def test_projection_is_least_squares(kind):
    plane = kind(*corners())
    point = torch.randn(500, generator=torch.Generator().manual_seed(9))
    axes = torch.stack([plane.first, plane.second], 1).double().numpy()
    displacement = (point - plane.origin).double().numpy()
    solution, residual, _, _ = np.linalg.lstsq(axes, displacement, rcond=None)
    alpha, beta, in_plane = plane.project(point)
    assert (alpha, beta) == pytest.approx(tuple(solution), rel=1e-5)
    assert in_plane == pytest.approx(np.sqrt(1 - residual[0] / (displacement @ displacement)), rel=1e-5)


def test_the_origin_has_no_share_in_the_plane():
    start, bend, end = corners()
    assert Plane.orthogonal(start, bend, end).project(start) == pytest.approx((0, 0, float("nan")), nan_ok=True)


def test_three_points_on_a_line_are_refused():
    start, bend, _ = corners()
    for end in (bend, start, start + 3 * (bend - start)):
        with pytest.raises(ValueError, match="one line"):
            Plane.orthogonal(start, bend, end)
        with pytest.raises(ValueError, match="one line"):
            Plane.reference(start, bend, end)
    with pytest.raises(ValueError, match="one line"):
        Plane.orthogonal(start, start, bend)


def test_axes_choose_their_corners(checkpoints):
    read = dict(zip(checkpoints.steps, corners(6) + corners(6), strict=True)).__getitem__
    assert list(plane_through(checkpoints, "orthogonal", lambda step: read(step) + step)[1]) == [0, 150, 400]
    assert list(plane_through(checkpoints, "reference", lambda step: read(step) + step)[1]) == [100, 150, 400]


def test_grid_covers_the_trajectory_with_its_margin():
    axis = grid_axis(np.array([3.0, -1.0, 2.0]), 0.25, 9)
    assert (axis[0], axis[-1], len(axis)) == (-2.0, 4.0, 9)
    assert np.allclose(np.diff(axis), 0.75)


def test_parameters_share_the_flat_vector(checkpoints, questions):
    model = read_model(checkpoints.folders[0], CPU)
    flat = flatten_parameters(model)
    (target,) = vectors(checkpoints, 400)
    flat.copy_(target)
    for name, parameter in read_model(checkpoints.folders[400], CPU).named_parameters():
        assert torch.equal(parameter, model.get_parameter(name))


def test_losses_at_the_corners_are_those_of_the_checkpoints(checkpoints, questions):
    plane = Plane.orthogonal(*vectors(checkpoints, 0, 150, 400))
    groups = [questions.of_groups("task0_test"), questions.of_groups("task1")]
    model = read_model(checkpoints.folders[400], CPU)
    for step in (0, 150, 400):
        alpha, beta, _ = plane.project(*vectors(checkpoints, step))
        losses = losses_on_plane(model, plane, np.array([alpha]), np.array([beta]), groups, 16)
        expected = [answer_loss(read_model(checkpoints.folders[step], CPU), group, 5) for group in groups]
        assert losses[0, 0].tolist() == pytest.approx(expected, rel=1e-4)


def test_losses_vary_along_the_right_axis(checkpoints, questions):
    plane = Plane.orthogonal(*vectors(checkpoints, 0, 150, 400))
    group = questions.of_groups("task1")
    losses = losses_on_plane(read_model(checkpoints.folders[0], CPU), plane, np.array([0.0, 1.0]), np.array([0.0, 2.0, 4.0]), [group], 16)
    assert losses.shape == (3, 2, 1)
    model = read_model(checkpoints.folders[0], CPU)
    torch.nn.utils.vector_to_parameters(plane.origin + plane.first + 4 * plane.second, model.parameters())
    assert losses[2, 1, 0] == pytest.approx(answer_loss(model, group, 16), rel=1e-5)


def test_landscape_table(checkpoints, questions, run, tmp_path):
    frame = landscape(run, checkpoints, questions, CPU)
    write_table(frame, tmp_path / "landscape.parquet", LANDSCAPE)
    frame = read_table(tmp_path / "landscape.parquet", LANDSCAPE)
    grid, trajectory = frame[frame["kind"] == "grid"], frame[frame["kind"] == "trajectory"]
    assert len(grid) == 9
    assert trajectory["step"].tolist() == [0, 50, 100, 150, 200, 400]
    assert np.allclose(grid["mean_loss"], (grid["task0_loss"] + grid["task1_loss"]) / 2)
    assert grid["alpha"].min() < trajectory["alpha"].min() and grid["beta"].max() > trajectory["beta"].max()
    on_plane = trajectory.set_index("step")["in_plane"]
    assert np.allclose(on_plane[[150, 400]], 1, atol=1e-5)
    assert (on_plane[[50, 100, 200]] < 1).all()
    assert trajectory.loc[trajectory["step"] == 0, ["alpha", "beta"]].to_numpy().tolist() == [[0, 0]]
