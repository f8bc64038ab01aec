from __future__ import annotations

import numpy as np
import pytest
import torch
from tests import jobs

from forgetting.evaluation.exact import answer_loss, score
from forgetting.model.checkpoints import save_checkpoint
from forgetting.schemas.interpolation import INTERPOLATION
from forgetting.tables import read_table, write_table
from forgetting.views.inputs import read_model
from forgetting.views.interpolation import POSITIONS, barrier_weights, interpolation, segment_frame, segments
from forgetting.views.recovered import Recovered
from forgetting.views.scores import Scores

CPU = torch.device("cpu")


@pytest.fixture
def run():
    return jobs.landscape()


def barriers(loss: np.ndarray) -> tuple[float, float]:
    top, line = barrier_weights(loss, POSITIONS)
    return float(top @ loss), float(line @ loss)


@pytest.mark.parametrize("minimum", [-1.0, 0.0, 0.3, 1.0, 2.0])
def test_a_convex_loss_has_no_barrier(minimum):
    assert barriers(3 * (POSITIONS - minimum) ** 2 + 1) == (0, 0)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.5])
def test_the_barrier_of_a_bump_on_a_slope_is_its_height(slope):
    """A triangle of height 2 at 0.4 on a line: above the line it is 2, above the higher end what the slope leaves of it."""
    bump = 2 * np.interp(POSITIONS, [0.2, 0.4, 0.6], [0, 1, 0])
    above_end = 2 - (0.6 * slope if slope > 0 else -0.4 * slope)
    assert barriers(1 + slope * POSITIONS + bump) == pytest.approx((above_end, 2), abs=1e-12)


def test_barriers_are_where_their_peak_is_and_have_the_error_of_paired_differences(questions):
    """Every person's loss rises by the same bump, so the barrier has no error, however different the persons are."""
    asked = questions.of("task0_test", "task1")
    generator = np.random.default_rng(3)
    own = generator.normal(5, 1, len(asked)) * asked.answer_length.numpy()
    bump = np.interp(POSITIONS, [0, 0.25, 1], [0, 1, 0])[:, None] * asked.answer_length.numpy()
    rows = segment_frame(Scores(own + bump, np.zeros_like(bump), asked), POSITIONS)
    found = rows[rows["metric"].str.startswith("barrier")]
    assert np.allclose(found[["position", "value", "error"]], [0.25, 1, 0], atol=1e-9)
    assert (rows.loc[rows["metric"] == "loss", "error"] > 0.05).all()


def test_identical_weights_have_no_barrier_and_one_loss(checkpoints, questions, run):
    same = type(checkpoints)(dict.fromkeys(checkpoints.folders, checkpoints.folders[0]))
    frame = interpolation(run, same, Recovered({}), questions, CPU)
    assert set(frame["segment"]) == {"task0_end"}
    found = frame[frame["metric"].str.startswith("barrier")]
    assert (found["value"] == 0).all() and found[["position", "error"]].isna().all(axis=None)
    assert (frame[frame["metric"] == "loss"].groupby("split")["value"].nunique() == 1).all()


def test_interpolation_equals_brute_force(checkpoints, questions, run, tmp_path):
    for name, step in (("end-1", 200), ("trough-0.5", 400), ("trough-1", 100)):
        save_checkpoint(read_model(checkpoints.folders[step], CPU), tmp_path / "kept" / name)
    frame = interpolation(run, checkpoints, Recovered.find(tmp_path / "kept", 50), questions, CPU)
    write_table(frame, tmp_path / "interpolation.parquet", INTERPOLATION)
    frame = read_table(tmp_path / "interpolation.parquet", INTERPOLATION)
    from_end = {"task0_end": (0, 400), "end_recovered": (400, 200), "task0_end_recovered": (0, 200)}
    from_trough = {"task0_trough": (0, 50), "trough_recovered": (50, 100), "task0_trough_recovered": (0, 100)}
    assert set(frame["segment"]) == {*from_end, *from_trough}
    for segment, (start, end) in (from_end | from_trough).items():
        model = read_model(checkpoints.folders[start], CPU)
        ends = [torch.nn.utils.parameters_to_vector(read_model(checkpoints.folders[step], CPU).parameters()) for step in (start, end)]
        for position in (0.0, 0.35, 1.0):
            with torch.no_grad():
                torch.nn.utils.vector_to_parameters(torch.lerp(*ends, position), model.parameters())
            for split in ("task0_test", "task1"):
                asked = questions.of(split)
                at = frame[(frame["segment"] == segment) & (frame["split"] == split) & np.isclose(frame["position"], position)]
                value = at.set_index("metric")["value"]
                assert value["loss"] == pytest.approx(answer_loss(model, asked, 16), abs=1e-4)
                assert value["exact_match"] == score(model, asked, 16)["exact_match"].mean()


def test_segments_are_those_whose_ends_were_kept(checkpoints):
    folders = checkpoints.folders
    assert list(segments(checkpoints, Recovered({}, trough=100))) == ["task0_trough", "task0_end"]
    only_end = Recovered({("end", 1.0): folders[200]}, trough=400)
    assert segments(checkpoints, only_end) == {
        "task0_end": (folders[0], folders[400]),
        "end_recovered": (folders[400], folders[200]),
        "task0_end_recovered": (folders[0], folders[200]),
    }


def test_a_hill_between_two_equally_low_ends_is_a_barrier_and_a_rise_is_none():
    """What the segments are for: both pass through the same highest loss, but only one has a low end behind it."""
    rise, hill = np.interp(POSITIONS, [0, 1], [0.01, 2.0]), np.interp(POSITIONS, [0, 0.5, 1], [0.01, 2.0, 0.01])
    assert rise.max() == hill.max()
    assert barriers(rise)[0] == 0 and barriers(hill)[0] == pytest.approx(1.99)
