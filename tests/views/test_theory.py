from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import beta, ortho_group, spearmanr
from tests import jobs
from tests.views.conftest import tiny_model

from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.schemas.theory import THEORY
from forgetting.tables import read_table, write_table
from forgetting.views.alignment import alignment, chance_shares, row_directions
from forgetting.views.depth import depth_correlations, measure_stream, shift_bounds, stream_shifts
from forgetting.views.features import residual_stream, stage_folders
from forgetting.views.inputs import read_model
from forgetting.views.theory import measure_updates, theory, written_along

CPU = torch.device("cpu")
UNITS = np.arange(60) // 3


@pytest.fixture
def run():
    return jobs.states()


def inputs(seed: int = 0, count: int = 60, width: int = 12) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.standard_normal((count, width)) * np.linspace(5, 0.2, width) + 1)


def weight(seed: int, rows: int = 9, columns: int = 12) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, columns)))


def drifted(model, scale: float = 0.05, seed: int = 5):
    """The model with all weights a little elsewhere."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("count", [60, 7])
def test_row_directions_are_right_singular_vectors(count):
    rows = inputs(count=count)
    expected = np.linalg.svd(rows.numpy(), full_matrices=False)[2][:3].T
    assert np.abs(np.diag(expected.T @ row_directions(rows, 3).numpy())) == pytest.approx(1)


def test_rows_of_few_dimensions_give_no_more_directions():
    assert row_directions(torch.ones(10, 4, dtype=torch.float64), 3).shape == (4, 1)


def test_random_updates_by_brute_force():
    """Updates built with random singular vectors, against the shortcut that never builds them: same mean, same spread."""
    energies = torch.tensor([9.0, 4.0, 1.0, 0.25], dtype=torch.float64)
    fixed = np.eye(10)[:, :3]
    built = []
    for rotation in ortho_group.rvs(10, size=2000, random_state=1):
        update = np.diag(np.sqrt(energies.numpy())) @ rotation[:4]
        built.append(np.square(update @ fixed).sum() / np.square(update).sum())
    found = chance_shares(energies, 3, 10).numpy()
    assert found.mean() == pytest.approx(0.3, abs=4 * np.std(built) / np.sqrt(len(found)))
    assert found.std() == pytest.approx(np.std(built), rel=0.2)


def test_a_single_random_direction_is_beta_distributed():
    found = np.sort(chance_shares(torch.ones(1, dtype=torch.float64), 3, 10).numpy())
    assert np.quantile(found, [0.1, 0.5, 0.9]) == pytest.approx(beta(1.5, 3.5).ppf([0.1, 0.5, 0.9]), abs=0.06)


def leading(rows: torch.Tensor, count: int) -> torch.Tensor:
    """The leading principal components of `rows` (n, d), (d, count), by numpy."""
    centred = rows.numpy() - rows.numpy().mean(0)
    return torch.from_numpy(np.linalg.svd(centred, full_matrices=False)[2][:count].T)


def test_what_an_update_writes_against_its_definition_by_singular_vectors():
    """|V^T dW|^2 is the sum over singular vectors u_i of dW of s_i^2 |V^T u_i|^2."""
    change, along = weight(2), leading(inputs(width=9), 3)
    left, values, _ = np.linalg.svd(change.numpy())
    cosines = np.square(along.numpy().T @ left[:, : len(values)]).sum(0)
    found = written_along(change, along)
    assert found.value == pytest.approx((np.square(values) * cosines).sum() / np.square(values).sum())
    assert found.chance == 3 / 9


# The network of the paper is residual, y = x + W x. Premise and conclusion are planted apart: what an update reads, and what it writes.
READS = {"leading": slice(0, 3), "others": slice(3, None)}
WRITES = {"leading": slice(0, 3), "others": slice(3, None), "anywhere": slice(0, None)}


def toy(reads: str, writes: str, width: int = 24, seed: int = 3) -> tuple[float, float, float]:
    """Of one layer of the paper's network under a planted update: what it reads of the leading inputs (the premise on the wrong side),
    what it writes along the leading outputs, and how much of the outputs' shift goes along them; each a share."""
    generator = np.random.default_rng(seed)
    x = inputs(count=200, width=width)
    weights = torch.from_numpy(0.1 * generator.standard_normal((width, width)))
    before = x + x @ weights.T
    into, out = (np.linalg.svd(rows.numpy() - rows.numpy().mean(0) * centre)[2] for rows, centre in ((x, 0), (before, 1)))
    mixing = generator.standard_normal((len(out[WRITES[writes]]), len(into[READS[reads]])))
    change = torch.from_numpy(out[WRITES[writes]].T @ mixing @ into[READS[reads]])
    after = x + x @ (weights + change).T
    components = leading(before, 3)
    read = float((change @ torch.from_numpy(into[:3].T)).square().sum() / change.square().sum())
    shifts = alignment(after - before, components, np.arange(200))
    return read, written_along(change, components).value, shifts["single_shifts_along"].value


@pytest.mark.parametrize(
    ("reads", "writes", "expected"),
    [
        ("others", "leading", (0, 1, 1)),  # reads nothing of the leading inputs, and still shifts along the leading outputs
        ("leading", "others", (1, 0, 0)),  # reads nothing else, and shifts at right angles to them
        ("others", "others", (0, 0, 0)),
        ("leading", "leading", (1, 1, 1)),
    ],
)
def test_only_what_is_written_decides_where_outputs_shift(reads, writes, expected):
    assert toy(reads, writes) == pytest.approx(expected, abs=1e-9)


def test_reading_no_leading_inputs_and_writing_anywhere_meets_chance():
    found = np.array([toy("others", "anywhere", seed=seed) for seed in range(60)])
    assert found[:, 0] == pytest.approx(0, abs=1e-9)
    assert found[:, 1].mean() == pytest.approx(3 / 24, abs=0.02)
    assert found[:, 2].mean() == pytest.approx(3 / 24, abs=0.02)


def test_random_updates_meet_chance_in_what_they_write():
    along = leading(inputs(width=9), 3)
    found = [written_along(weight(seed), along) for seed in range(100, 400)]
    values = [each.value for each in found]
    assert np.mean(values) == pytest.approx(found[0].chance, abs=4 * np.std(values) / np.sqrt(len(values)))
    assert np.mean([each.chance_low <= each.value <= each.chance_high for each in found]) == pytest.approx(0.95, abs=0.05)


def test_rotations_and_mirrors_of_the_stream_change_no_share():
    change, along = weight(2), leading(inputs(width=9), 3)
    turn = torch.from_numpy(ortho_group.rvs(9, random_state=9) * np.random.default_rng(7).choice([-1, 1], 9))
    assert written_along(turn.T @ change, turn.T @ along) == pytest.approx(written_along(change, along), nan_ok=True)
    assert alignment(torch.zeros(60, 5), torch.eye(5)[:, :2], UNITS) == {}


def planted(questions, component: str, along: bool):
    """A model, and the same with a matrix of its last block updated, along the leading components of its last layer or across them."""
    before, after = tiny_model().double(), tiny_model().double()
    axes = np.linalg.svd((states := residual_stream(before, questions, 64)[-1]).numpy() - states.numpy().mean(0))[2]
    rows = axes[:3] if along else axes[3:]
    block = after.gpt_neox.layers[-1]
    matrix = block.mlp.dense_4h_to_h.weight if component == "mlp_output" else block.attention.dense.weight
    with torch.no_grad():
        matrix += torch.from_numpy(rows.T @ np.random.default_rng(1).standard_normal((len(rows), matrix.shape[1])))
    return before, after


@pytest.mark.parametrize("component", ["mlp_output", "attention_output"])
@pytest.mark.parametrize("along", [True, False])
def test_a_planted_update_of_a_model_is_found_in_what_it_writes_and_where_the_stream_shifts(questions, component, along):
    before, after = planted(questions, component, along)
    states, shift, own = stream_shifts(before, after, questions, 64)
    rows = measure_updates(before, after, states, 3) + measure_stream(states, shift, own, 3, questions.unit)
    found = {(layer, name, metric): number.value for layer, name, metric, number in rows}
    assert {name for _, name, _ in found} == {component, "stream"}
    assert found[2, component, "written_along"] == pytest.approx(float(along), abs=1e-6)
    assert found[2, "stream", "single_shifts_along"] == pytest.approx(float(along), abs=1e-6)
    changed = dict(after.named_parameters())
    norm = sum(float((changed[name] - old).square().sum()) for name, old in before.named_parameters()) ** 0.5
    assert found[2, component, "update_norm"] == pytest.approx(norm)


def test_maps_of_one_model_have_not_moved_and_a_frozen_block_has_no_rows(questions):
    model = tiny_model()
    states = residual_stream(model, questions, 64)
    assert measure_updates(model, model, states, 3) == []
    after = drifted(tiny_model())
    after.gpt_neox.layers[0].load_state_dict(model.gpt_neox.layers[0].state_dict())
    rows = measure_updates(model, after, states, 3)
    assert {layer for layer, *_ in rows} == {2}
    assert {name for _, name, metric, _ in rows if metric == "written_along"} == {"attention_output", "mlp_output"}
    assert {name for _, name, _, _ in rows} == {"query", "key", "value", "attention_output", "mlp_input", "mlp_output"}


def test_the_first_component_is_the_papers_own_quantity(questions):
    """|cos| of the shift of the mean with the first principal component, by numpy, less the variance of that mean over persons."""
    before, after = tiny_model().double(), drifted(tiny_model()).double()
    states, shift, own = stream_shifts(before, after, questions, 64)
    found = {(layer, metric): number.value for layer, _, metric, number in measure_stream(states, shift, own, 3, questions.unit)}
    for layer in (1, 2):
        first = np.linalg.svd(states[layer].numpy() - states[layer].numpy().mean(0))[2][0]
        mean = shift[layer].numpy().mean(0)
        off = pd.DataFrame(shift[layer].numpy() - mean).groupby(questions.unit).sum().to_numpy() / len(shift[layer])
        along, whole = ((first @ mean) ** 2 - ((off @ first) ** 2).sum(), mean @ mean - (off**2).sum())
        taken_off = abs(along / whole - (first @ mean) ** 2 / (mean @ mean))
        assert found[layer, "mean_shift_along_first"] == pytest.approx(along / whole, abs=0.2 * taken_off)  # 400 resamples
        assert found[layer, "mean_shift_along_first"] <= found[layer, "mean_shift_along"] + 1e-12


def test_shift_and_own_part_against_block_by_block_swaps(questions):
    """The own part of block i: the old model with only that block's weights taken from the new one, at layer i."""
    before, after = tiny_model().double(), drifted(tiny_model()).double()
    states, shift, own = stream_shifts(before, after, questions, 7)
    assert torch.allclose(states, residual_stream(before, questions, 64))
    assert torch.allclose(states + shift, residual_stream(after, questions, 64))
    assert torch.allclose(own[0], shift[0])
    for layer in (1, 2):
        mixed = tiny_model().double()
        mixed.gpt_neox.layers[layer - 1].load_state_dict(after.gpt_neox.layers[layer - 1].state_dict())
        assert torch.allclose(own[layer], residual_stream(mixed, questions, 64)[layer] - states[layer])


def test_identical_checkpoints_shift_nothing(questions):
    rows = measure_stream(*stream_shifts(tiny_model(), tiny_model(), questions, 64), 3, questions.unit)
    assert {metric for _, _, metric, number in rows if number.value != 0} == set()
    assert not {metric for _, _, metric, _ in rows} & {"single_shifts_along", "relative_depth_correlation"}


def test_depth_correlation_agrees_with_scipy():
    lengths = torch.from_numpy(np.random.default_rng(0).random((5, 40)))
    lengths[0, :10] = lengths[1, :10]  # ties
    lengths[:, 39] = 2.0
    found = depth_correlations(lengths)
    assert found[:39].numpy() == pytest.approx([spearmanr(np.arange(5), column).statistic for column in lengths.T.numpy()[:39]])
    assert found[39].isnan()


def test_planted_growth_with_depth():
    generator = np.random.default_rng(1)
    states = torch.from_numpy(generator.standard_normal((5, 60, 8)))
    directions = torch.from_numpy(generator.standard_normal((60, 8)))
    growing = torch.stack([layer * directions for layer in range(5)])
    rows = {(layer, metric): number for layer, _, metric, number in measure_stream(states, growing, growing, 2, UNITS)}
    assert rows[4, "relative_depth_correlation"][:4] == pytest.approx((1, 1, 1, 0))
    size = float(directions.square().sum(1).mean().sqrt())
    assert [rows[layer, "shift_norm"].value for layer in range(5)] == pytest.approx([layer * size for layer in range(5)])
    spread = float((states[3] - states[3].mean(0)).square().sum(1).mean().sqrt())
    assert rows[3, "relative_shift_norm"].value == pytest.approx(3 * size / spread)
    assert rows[3, "own_norm"].value == pytest.approx(3 * size) and rows[3, "inherited_norm"].value == 0


def test_no_growth_meets_chance():
    correlations = depth_correlations(torch.from_numpy(np.random.default_rng(2).random((6, 4000))))
    assert float(correlations.mean()) == pytest.approx(0, abs=0.03)


def test_the_bound_holds_for_what_it_was_measured_on_and_is_met_when_all_parts_point_the_same_way(questions):
    rows = measure_stream(*stream_shifts(tiny_model(), drifted(tiny_model()), questions, 64), 3, questions.unit)
    values = {(layer, metric): number.value for layer, _, metric, number in rows}
    for layer in range(3):
        assert values[layer, "shift_norm"] <= values[layer, "shift_bound"] * (1 + 1e-9)
    # Gains of 1 and parts 1, 2, 3 in one direction: the shift is their sum, and freezing n layers takes the first n + 1 parts away.
    bounds, predicted = shift_bounds([1.0, 3.0, 6.0], [1.0, 2.0, 3.0], [0.0, 1.0, 3.0])
    assert bounds == [1, 3, 6] and predicted == [5, 3, 0]


def test_theory_table(run, checkpoints, questions, tmp_path):
    folders = stage_folders(checkpoints, 200.0)
    write_table(theory(run, folders, questions, CPU), tmp_path / "theory.parquet", THEORY)
    frame = read_table(tmp_path / "theory.parquet", THEORY)
    assert not frame.duplicated(["after", "split", "layer", "component", "metric"]).any()
    assert set(frame["after"]) == {"task1_early", "task1_matched", "task1_end"} and set(frame["split"]) == {"task0_test"}
    shares = frame[frame["metric"].isin(["written_along", "written_along_first", "single_shifts_along", "mean_shift_along"])]
    assert shares["value"].between(0, 1).all() and (shares["chance_low"] < shares["chance"]).all()


def test_every_model_is_loaded_once(run, checkpoints, questions, monkeypatch):
    loaded = []

    def recorded(folder, device):
        loaded.append(folder.name)
        return read_model(folder, device)

    monkeypatch.setattr("forgetting.views.theory.read_model", recorded)
    theory(run, stage_folders(checkpoints, 200.0), questions, CPU)
    assert sorted(loaded) == ["matched", "step-000150", "step-000400", "task0"]


def test_frozen_bottom_layers_stay_where_they_are(run, checkpoints, questions):
    start = load_checkpoint(checkpoints.folders[0])
    model = drifted(load_checkpoint(checkpoints.folders[0]))
    model.gpt_neox.embed_in.load_state_dict(start.gpt_neox.embed_in.state_dict())
    model.gpt_neox.layers[0].load_state_dict(start.gpt_neox.layers[0].state_dict())
    save_checkpoint(model, checkpoints.folders[400].parent / "frozen")
    folders = {"task0": checkpoints.folders[0], "task1_end": checkpoints.folders[400].parent / "frozen"}
    frame = theory(run, folders, questions, CPU)
    norms = frame[frame["metric"] == "shift_norm"].set_index("layer")["value"]
    assert norms[0] == norms[1] == 0 and norms[2] > 0
    predicted = frame[frame["metric"] == "predicted_if_frozen"].set_index("layer")["value"]
    assert predicted[0] == predicted[1] == pytest.approx(norms[2]) and predicted[2] == 0
