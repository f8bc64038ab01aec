from __future__ import annotations

import numpy as np
import pytest
import torch
from tests import jobs

from forgetting.config.biography import ATTRIBUTES
from forgetting.evaluation.exact import answer_loss
from forgetting.model.anatomy import uniform_name
from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.tables import read_table, write_table
from forgetting.views.inputs import parameter_vector, read_model
from forgetting.views.landscape import Layout, Plane, grid_axis, landscape, plane_through, scores_on_plane, spread_questions
from forgetting.views.recovered import Recovered
from forgetting.views.shared_prefix import answer_scorer

CPU = torch.device("cpu")


@pytest.fixture
def run():
    return jobs.landscape()


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


@pytest.mark.parametrize("kind", [Plane.orthogonal, Plane.reference])
def test_projection_of_a_planted_displacement(kind):
    """2 first - 3 second, and across the plane as much again: the coordinates are 2 and -3, and 1/sqrt(2) of the length is inside."""
    plane = kind(*(corner.double() for corner in corners()))
    inside = 2 * plane.first - 3 * plane.second
    axes = torch.stack([plane.first, plane.second], 1)
    across = torch.randn(500, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    across -= axes @ torch.linalg.lstsq(axes, across[:, None]).solution[:, 0]
    assert plane.project(plane.origin + inside) == pytest.approx((2, -3, 1), abs=1e-9)
    assert plane.project(plane.origin + inside + across * inside.norm() / across.norm()) == pytest.approx((2, -3, 0.5**0.5), abs=1e-9)
    assert plane.project(plane.origin + across) == pytest.approx((0, 0, 0), abs=1e-7)


def test_axes_choose_their_corners(checkpoints):
    read = dict(zip(checkpoints.steps, corners(6) + corners(6), strict=True)).__getitem__
    for axes, start in (("orthogonal", 0), ("reference", 100)):
        asked = []
        plane_through(checkpoints, axes, lambda step, asked=asked: asked.append(step) or read(step) + step)
        assert asked == [start, 150, 400]


def test_grid_covers_the_trajectory_with_its_margin():
    axis = grid_axis(np.array([3.0, -1.0, 2.0]), 0.25, 9)
    assert (axis[0], axis[-1], len(axis)) == (-2.0, 4.0, 9)
    assert np.allclose(np.diff(axis), 0.75)


@pytest.mark.parametrize("kind", [Plane.orthogonal, Plane.reference])
def test_grid_equals_brute_force(checkpoints, questions, kind):
    """Every point in double precision: the weights copied into the model, and a plain forward pass."""
    plane = kind(*(vector.double() for vector in vectors(checkpoints, 0, 150, 400)))
    model = read_model(checkpoints.folders[0], CPU).double()
    scorer = answer_scorer(model, questions, CPU)
    alphas, betas = np.array([-1.0, 0.5, 2.0]), np.array([0.0, 3.0])
    scores = scores_on_plane(scorer, Layout.of(model), plane, alphas, betas)
    for split in ("task0_test", "task1"):
        losses, _ = scores.loss(split)
        assert losses.shape == (2, 3)
        for row, beta in enumerate(betas):
            for column, alpha in enumerate(alphas):
                torch.nn.utils.vector_to_parameters(plane.origin + alpha * plane.first + beta * plane.second, model.parameters())
                assert losses[row, column] == pytest.approx(answer_loss(model, questions.of(split), 7), abs=1e-10)


def test_losses_at_the_corners_are_those_of_the_checkpoints(checkpoints, questions):
    plane = Plane.orthogonal(*vectors(checkpoints, 0, 150, 400))
    model = read_model(checkpoints.folders[400], CPU)
    for step in (0, 150, 400):
        alpha, beta, _ = plane.project(*vectors(checkpoints, step))
        scores = scores_on_plane(answer_scorer(model, questions, CPU), Layout.of(model), plane, np.array([alpha]), np.array([beta]))
        for split in ("task0_test", "task1"):
            expected = answer_loss(read_model(checkpoints.folders[step], CPU), questions.of(split), 5)
            assert scores.loss(split)[0].item() == pytest.approx(expected, abs=1e-4)


def test_a_grid_does_not_depend_on_the_number_of_threads(checkpoints, questions):
    plane = Plane.orthogonal(*vectors(checkpoints, 0, 150, 400))
    model, axis = read_model(checkpoints.folders[0], CPU), np.array([0.0, 1.0])
    found, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(scores_on_plane(answer_scorer(model, questions, CPU), Layout.of(model), plane, axis, axis).nats)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert np.array_equal(*found)


@pytest.mark.parametrize("count", [6, 24, 60, 100])
def test_questions_are_spread_over_persons_and_attributes(questions, count):
    split = questions.of("task1")
    chosen = spread_questions(split, count)
    assert len(chosen) == min(count, 60)
    assert len(set(zip(chosen.unit, chosen.kind, strict=True))) == len(chosen)
    assert len(set(chosen.unit)) == min(count, 10)
    asked = [int((chosen.kind == name).sum()) for name in ATTRIBUTES]
    assert max(asked) - min(asked) <= 1 or count > 10  # whole rounds of ten persons do not divide by six
    assert max(asked) - min(asked) <= 2


def test_landscape_table(checkpoints, questions, run, tmp_path):
    frame = landscape(run, checkpoints, Recovered({}), questions, CPU)
    write_table(frame, tmp_path / "landscape.parquet", LANDSCAPE)
    frame = read_table(tmp_path / "landscape.parquet", LANDSCAPE)
    grid, trajectory = frame[frame["kind"] == "grid"], frame[frame["kind"] == "trajectory"]
    assert len(grid) == 9
    assert trajectory["step"].tolist() == [0, 50, 100, 150, 200, 400]
    assert np.allclose(grid["mean_loss"], (grid["task0_loss"] + grid["task1_loss"]) / 2)
    assert (grid[["task0_error", "task1_error"]] > 0).all(axis=None)
    assert grid["alpha"].min() < trajectory["alpha"].min() and grid["beta"].max() > trajectory["beta"].max()
    on_plane = trajectory.set_index("step")["in_plane"]
    assert np.allclose(on_plane[[150, 400]], 1, atol=1e-5)
    assert (on_plane[[50, 100, 200]] < 1).all()
    assert trajectory.loc[trajectory["step"] == 0, ["alpha", "beta"]].to_numpy().tolist() == [[0, 0]]


def test_recovery_is_projected_onto_the_plane_of_task1(checkpoints, questions, run, tmp_path):
    """Weights put back half of the way to theta* lie half of the way in the plane; the grid reaches as far as the recovery does."""
    start, end = vectors(checkpoints, 0, 400)
    model = read_model(checkpoints.folders[0], CPU)
    for epochs, share in (("0.5", 0.5), ("1", 2.0)):
        torch.nn.utils.vector_to_parameters(start + share * (end - start), model.parameters())
        save_checkpoint(model, tmp_path / "kept" / f"end-{epochs}")
        save_checkpoint(model, tmp_path / "kept" / f"trough-{epochs}")
    frame = landscape(run, checkpoints, Recovered.find(tmp_path / "kept", trough=50), questions, CPU)
    at_end = frame.loc[(frame["kind"] == "trajectory") & (frame["step"] == 400), ["alpha", "beta"]].to_numpy()
    for kind, step in (("recovery_trough", 50), ("recovery_end", 400)):
        path = frame[frame["kind"] == kind]
        assert path[["step", "epochs"]].to_numpy().tolist() == [[step, 0], [step, 0.5], [step, 1]]
        assert np.allclose(path[["alpha", "beta"]].to_numpy()[1:], [[0.5], [2]] * at_end, atol=1e-4)
        assert np.isnan(path["in_plane"].iloc[0])
        assert np.allclose(path["in_plane"].to_numpy()[1:], 1, atol=1e-3) if step == 400 else (path["in_plane"][1:] < 0.99).all()
    assert frame.loc[frame["kind"] == "grid", "beta"].max() > 2 * at_end[0, 1]


def test_a_trough_at_the_end_is_drawn_once(tmp_path):
    for name in ("trough-1", "end-1"):
        (tmp_path / name).mkdir()
    task1 = {0: tmp_path, 100: tmp_path}
    assert [kind for kind, *_ in Recovered.find(tmp_path, trough=100).points(task1)] == ["recovery_end", "recovery_end"]
    assert not list(Recovered.find(None, trough=100).points(task1))
