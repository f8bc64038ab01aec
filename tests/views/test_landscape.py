from __future__ import annotations

from pathlib import Path

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
from forgetting.views.inputs import Checkpoints, parameter_vector, read_model
from forgetting.views.landscape import (
    Layout,
    Plane,
    grid_axis,
    landscape,
    path_frame,
    plane_through,
    scores_on_plane,
    spread_questions,
)
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
    points = dict(zip(checkpoints.folders.values(), corners(6) + corners(6), strict=True))
    for axes, start in (("orthogonal", 0), ("reference", 100)):
        asked = []
        plane_through(checkpoints, axes, lambda folder, asked=asked: asked.append(folder) or points[folder] + len(asked))
        assert asked == [checkpoints.folders[step] for step in (start, 150, 400)]


def planted_path(points: dict[int, list[float]], back: list[float] | None = None):
    """`path_frame` of checkpoints at these points of a made-up space, and of one recovered from the last of them, `back`."""
    places = {Path(str(step)): torch.tensor(point) for step, point in points.items()}
    places[Path("end-1")] = torch.tensor(back or [0.0] * 4)
    checkpoints = Checkpoints({step: Path(str(step)) for step in points})
    recovered = Recovered({("end", 1.0): Path("end-1")} if back else {})
    plane = Plane.orthogonal(*torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
    return path_frame(plane, checkpoints, recovered, lambda folder: places[folder].clone())


def test_a_path_of_two_straight_stages_turns_where_they_meet():
    """3 to the right, then 4 up: at x before the corner the cosine is (3 - x) / |(3 - x, 4)|, beyond it y / |(3, y)|."""
    points = {0: (0, 0), 50: (1, 0), 100: (2, 0), 150: (3, 0), 300: (3, 1), 400: (3, 3), 500: (3, 4)}
    turn = planted_path({step: [1.0 + x, 2.0 + y, 5.0, 0.0] for step, (x, y) in points.items()}).set_index("step")["turn"]
    expected = {50: 2 / 20**0.5, 100: 1 / 17**0.5, 150: 0, 300: 1 / 10**0.5, 400: 3 / 18**0.5}
    assert turn.loc[list(expected)].to_dict() == pytest.approx(expected, abs=1e-6)
    assert turn.loc[[0, 500]].isna().all() and turn.idxmin() == 150


def test_a_straight_path_turns_nowhere_and_an_arc_everywhere_alike():
    straight = planted_path({step: [step / 100, 0.0, 1.0, 0.0] for step in (0, 20, 150, 400)})["turn"]
    assert straight[1:-1].to_numpy() == pytest.approx(1, abs=1e-6)
    angles = {step: step / 400 * np.pi / 2 for step in (0, 50, 150, 300, 400)}
    arc = planted_path({step: [float(np.cos(angle)), float(np.sin(angle)), 0.0, 0.0] for step, angle in angles.items()})["turn"]
    assert arc[1:-1].to_numpy() == pytest.approx(np.cos(np.pi / 4), abs=1e-6)  # chords of a quarter meet at 135 degrees wherever


def test_a_turn_of_the_blocks_can_hide_behind_the_embeddings(checkpoints, questions, run, tmp_path):
    """The embeddings go on in one direction, far; the blocks turn at a right angle at step 150. All weights hardly turn."""
    model = read_model(checkpoints.folders[0], CPU)
    start = {name: weight.clone() for name, weight in model.named_parameters()}
    embedding, query, output = (next(name for name in start if part in name) for part in ("embed_in", "dense_h_to_4h", "dense_4h_to_h"))
    moved = {50: (1, 1, 0), 150: (3, 3, 0), 200: (4, 3, 1), 400: (7, 3, 4)}
    for step, amounts in moved.items():
        with torch.no_grad():
            for name, factor, amount in zip((embedding, query, output), (10, 1, 1), amounts, strict=True):
                change = torch.zeros_like(start[name])
                change.flatten()[0] = 0.1 * factor * amount
                model.get_parameter(name).copy_(start[name] + change)
        save_checkpoint(model, tmp_path / "task1-planted" / f"step-{step:06d}")
    planted = Checkpoints.find(checkpoints.folders[0], tmp_path / "task1-planted")
    frame = landscape(run, planted, Recovered({}), questions, CPU)
    path = frame[frame["kind"] == "trajectory"].set_index(["weights", "step"])
    assert path.loc[("blocks", 150), "turn"] == pytest.approx(0, abs=1e-5)
    assert path.loc[("all", 150), "turn"] > 0.98
    assert path.loc[("blocks", 400), "distance"] == pytest.approx(0.5, rel=1e-5)
    assert path.loc[("all", 400), "distance"] == pytest.approx((7**2 + 0.5**2) ** 0.5, rel=1e-5)


def test_recovery_along_the_way_back_and_across_it():
    """From (3, 4): half of the way to theta* has cosine 1; as far across it has 0, and ends farther from theta* than it started."""
    points = {0: [0.0, 0, 0, 0], 150: [3.0, 0, 0, 0], 400: [3.0, 4, 0, 0]}
    for back, cosine, length, distance in (
        ([1.5, 2, 0, 0], 1, 2.5, 2.5),
        ([3.0, 4, 2.5, 0], 0, 2.5, 31.25**0.5),
        ([6.0, 8, 0, 0], -1, 5, 10),
    ):
        last = planted_path(points, [float(x) for x in back]).iloc[-1]
        assert (last["way_back"], last["recovered_length"], last["distance"]) == pytest.approx((cosine, length, distance), abs=1e-6)


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
    grid, paths = frame[frame["kind"] == "grid"], frame[frame["kind"] == "trajectory"]
    trajectory = paths[paths["weights"] == "all"]
    assert len(grid) == 9
    assert trajectory["step"].tolist() == [0, 50, 100, 150, 200, 400]
    assert np.allclose(grid["mean_loss"], (grid["task0_loss"] + grid["task1_loss"]) / 2)
    assert (grid[["task0_error", "task1_error"]] > 0).all(axis=None)
    assert grid["alpha"].min() < trajectory["alpha"].min() and grid["beta"].max() > trajectory["beta"].max()
    on_plane = trajectory.set_index("step")["in_plane"]
    assert np.allclose(on_plane[[150, 400]], 1, atol=1e-5)
    assert (on_plane[[50, 100, 200]] < 1).all()
    assert trajectory.loc[trajectory["step"] == 0, ["alpha", "beta"]].to_numpy().tolist() == [[0, 0]]
    states = {step: read_model(folder, CPU).double().state_dict() for step, folder in checkpoints.folders.items()}
    for weights, part in (("all", ""), ("blocks", ".layers.")):
        points = {step: torch.cat([state[name].flatten() for name in state if part in name]) for step, state in states.items()}
        found = paths[paths["weights"] == weights].set_index("step")
        for step in (50, 150, 200):
            so_far, left = points[step] - points[0], points[400] - points[step]
            assert found.loc[step, "turn"] == pytest.approx(float(torch.cosine_similarity(so_far, left, dim=0)), abs=1e-5)
            assert found.loc[step, "distance"] == pytest.approx(float(so_far.norm()), rel=1e-5)
            axes = torch.stack([points[150] - points[0], points[400] - points[0]], 1)
            inside = axes @ torch.linalg.lstsq(axes, so_far[:, None]).solution
            assert found.loc[step, "in_plane"] == pytest.approx(float(inside.norm() / so_far.norm()), rel=1e-4)


def test_recovery_is_projected_onto_the_plane_of_task1(checkpoints, questions, run, tmp_path):
    """Weights put back half of the way to theta* lie half of the way in the plane; the grid reaches as far as the recovery does."""
    start, end = vectors(checkpoints, 0, 400)
    model = read_model(checkpoints.folders[0], CPU)
    for epochs, share in (("0.5", 0.5), ("1", 2.0)):
        torch.nn.utils.vector_to_parameters(start + share * (end - start), model.parameters())
        save_checkpoint(model, tmp_path / "kept" / f"end-{epochs}")
        save_checkpoint(model, tmp_path / "kept" / f"trough-{epochs}")
    frame = landscape(run, checkpoints, Recovered.find(tmp_path / "kept", trough=50), questions, CPU)
    frame = frame[frame["weights"] == "all"]
    at_end = frame.loc[(frame["kind"] == "trajectory") & (frame["step"] == 400), ["alpha", "beta"]].to_numpy()
    for kind, step in (("recovery_trough", 50), ("recovery_end", 400)):
        path = frame[frame["kind"] == kind]
        assert path[["step", "epochs"]].to_numpy().tolist() == [[step, 0], [step, 0.5], [step, 1]]
        assert np.allclose(path[["alpha", "beta"]].to_numpy()[1:], [[0.5], [2]] * at_end, atol=1e-4)
        assert path[["in_plane", "way_back"]].iloc[0].isna().all()
        if step == 400:
            assert path["way_back"].to_numpy()[1:] == pytest.approx([1, -1], abs=1e-4)
        assert np.allclose(path["in_plane"].to_numpy()[1:], 1, atol=1e-3) if step == 400 else (path["in_plane"][1:] < 0.99).all()
    assert frame.loc[frame["kind"] == "grid", "beta"].max() > 2 * at_end[0, 1]


def test_a_trough_at_the_end_is_drawn_once(tmp_path):
    for name in ("trough-1", "end-1"):
        (tmp_path / name).mkdir()
    task1 = {0: tmp_path, 100: tmp_path}
    assert [kind for kind, *_ in Recovered.find(tmp_path, trough=100).points(task1)] == ["recovery_end", "recovery_end"]
    assert not list(Recovered.find(None, trough=100).points(task1))
