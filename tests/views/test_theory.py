from __future__ import annotations

import numpy as np
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
from forgetting.views.theory import LinearMap, linear_maps, map_inputs, measure_maps, theory

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


def test_map_against_its_definition_with_numpy():
    x, before, change = inputs(), weight(1), 0.1 * weight(2)
    found = LinearMap(x, before, 3).compare(change, UNITS)
    leading_inputs = np.linalg.svd(x.numpy())[2][:3]
    outputs = x.numpy() @ before.numpy().T
    components = np.linalg.svd(outputs - outputs.mean(0))[2][:3]
    shifts = x.numpy() @ change.numpy().T
    assert found["update_on_leading_inputs"].value == pytest.approx(
        np.square(change.numpy() @ leading_inputs.T).sum() / np.square(change.numpy()).sum()
    )
    assert found["update_on_leading_inputs"].chance == 3 / 12
    assert found["input_energy"].value == pytest.approx(np.square(x.numpy() @ leading_inputs.T).sum() / np.square(x.numpy()).sum())
    mean = shifts.mean(0)
    assert found["mean_shift_along"].value == pytest.approx(np.square(components @ mean).sum() / (mean @ mean))
    assert found["single_shifts_along"].value == pytest.approx(np.square(shifts @ components.T).sum() / np.square(shifts).sum())
    assert found["single_shifts_along"].chance == 3 / 9


def test_planted_orthogonal_update():
    """An update that reads only the last input directions and writes only across the leading outputs has shares of 0; the opposite, 1."""
    x, before = inputs(), weight(1)
    linear = LinearMap(x, before, 3)
    directions, outputs = np.linalg.svd(x.numpy())[2], x.numpy() @ before.numpy().T
    components = np.linalg.svd(outputs - outputs.mean(0))[2]
    for rows, columns, share in ((slice(6, 9), slice(3, None), 0.0), (slice(0, 3), slice(0, 3), 1.0)):
        mixing = np.random.default_rng(3).standard_normal((3, len(directions[columns])))
        found = linear.compare(torch.from_numpy(components[rows].T @ mixing @ directions[columns]), UNITS)
        for metric in ("update_on_leading_inputs", "mean_shift_along", "single_shifts_along"):
            assert found[metric][:3] == pytest.approx([share, *[found[metric].low, found[metric].high]], abs=1e-9, nan_ok=True)
            assert found[metric].value == pytest.approx(share, abs=1e-9)
            assert not found[metric].chance_low <= share <= found[metric].chance_high


def test_random_updates_meet_chance_in_every_share():
    linear = LinearMap(inputs(), weight(1), 3)
    found = [linear.compare(weight(seed), UNITS) for seed in range(100, 400)]
    for metric in ("update_on_leading_inputs", "mean_shift_along", "single_shifts_along"):
        chance, values = found[0][metric].chance, [each[metric].value for each in found]
        assert np.mean(values) == pytest.approx(chance, abs=4 * np.std(values) / np.sqrt(len(values)))
        inside = np.mean([each[metric].chance_low <= each[metric].value <= each[metric].chance_high for each in found])
        assert inside == pytest.approx(0.95, abs=0.05)


def test_rotations_and_mirrors_of_both_sides_change_no_share():
    x, before, change = inputs(), weight(1), weight(2)
    generator = np.random.default_rng(7)
    turn_in, turn_out = (torch.from_numpy(ortho_group.rvs(size, random_state=size) * generator.choice([-1, 1], size)) for size in (12, 9))
    first = LinearMap(x, before, 3).compare(change, UNITS)
    second = LinearMap(x @ turn_in, turn_out.T @ before @ turn_in, 3).compare(turn_out.T @ change @ turn_in, UNITS)
    for metric, numbers in first.items():
        assert second[metric] == pytest.approx(numbers, nan_ok=True)


def test_without_an_update_there_is_nothing_to_say():
    assert LinearMap(inputs(), weight(1), 3).compare(torch.zeros(9, 12, dtype=torch.float64), UNITS) == {}
    constant = LinearMap(torch.ones(60, 12, dtype=torch.float64), weight(1), 3).compare(weight(2), UNITS)
    assert "single_shifts_along" not in constant and constant["update_on_leading_inputs"].chance == 1 / 12
    assert alignment(torch.zeros(60, 5), torch.eye(5)[:, :2], UNITS) == {}


@torch.inference_mode()
def test_inputs_of_the_maps_give_what_each_block_adds(questions):
    """GPT-NeoX: a block adds its attention output and its MLP output to the stream. From the recorded inputs, by hand."""
    model = tiny_model().double()
    found, stream = map_inputs(model, questions, 7), residual_stream(model, questions, 64)
    for layer, block in enumerate(model.gpt_neox.layers, 1):
        of = f"gpt_neox.layers.{layer - 1}"
        attention, mlp = found[f"{of}.attention.dense.weight"], found[f"{of}.mlp.dense_4h_to_h.weight"]
        added = block.attention.dense(attention) + block.mlp.dense_4h_to_h(mlp)
        assert torch.allclose(stream[layer - 1] + added, stream[layer])
        assert torch.allclose(block.input_layernorm(stream[layer - 1]), found[f"{of}.attention.query_key_value.weight"])


def test_maps_of_one_model_have_not_moved_and_a_frozen_block_has_no_rows(questions):
    model = tiny_model()
    maps = linear_maps(model, questions, 3, 64)
    assert set(maps) == {
        (layer, name) for layer in (1, 2) for name in ("query", "key", "value", "attention_output", "mlp_input", "mlp_output")
    }
    assert measure_maps(maps, model, questions.unit) == []
    after = drifted(tiny_model())
    after.gpt_neox.layers[0].load_state_dict(model.gpt_neox.layers[0].state_dict())
    assert {layer for layer, *_ in measure_maps(maps, after, questions.unit)} == {2}


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
    assert not {metric for _, _, metric, _ in rows} & {"single_shifts_along", "depth_correlation"}


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
    assert rows[4, "depth_correlation"][:4] == pytest.approx((1, 1, 1, 0))
    size = float(directions.square().sum(1).mean().sqrt())
    assert [rows[layer, "shift_norm"].value for layer in range(5)] == pytest.approx([layer * size for layer in range(5)])
    spread = float((states[3] - states[3].mean(0)).square().sum(1).mean().sqrt())
    assert rows[3, "relative_shift_norm"].value == pytest.approx(3 * size / spread)
    assert rows[3, "own_norm"].value == pytest.approx(3 * size) and rows[3, "inherited_norm"].value == 0


def test_no_growth_meets_chance():
    correlations = depth_correlations(torch.from_numpy(np.random.default_rng(2).random((6, 4000))))
    assert float(correlations.mean()) == pytest.approx(0, abs=0.03)


def test_bound_holds_and_is_met_when_all_parts_point_the_same_way(questions):
    rows = measure_stream(*stream_shifts(tiny_model(), drifted(tiny_model()), questions, 64), 3, questions.unit)
    values = {(layer, metric): number.value for layer, _, metric, number in rows}
    for layer in range(3):
        assert values[layer, "shift_norm"] <= values[layer, "shift_bound"] * (1 + 1e-9)
    # Gains of 1 and parts 1, 2, 3 in one direction: the shift is their sum, and freezing n layers takes the first n + 1 parts away.
    bounds, frozen = shift_bounds([1.0, 3.0, 6.0], [1.0, 2.0, 3.0], [0.0, 1.0, 3.0])
    assert bounds == [1, 3, 6] and frozen == [5, 3, 0]


def test_theory_table(run, checkpoints, questions, tmp_path):
    folders = stage_folders(checkpoints, 200.0)
    write_table(theory(run, folders, questions, CPU), tmp_path / "theory.parquet", THEORY)
    frame = read_table(tmp_path / "theory.parquet", THEORY)
    assert not frame.duplicated(["after", "split", "layer", "component", "metric"]).any()
    assert set(frame["after"]) == {"task1_early", "task1_matched", "task1_end"} and set(frame["split"]) == {"task0_test"}
    shares = frame[frame["metric"].isin(["update_on_leading_inputs", "single_shifts_along", "mean_shift_along"])]
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
    bounds = frame[frame["metric"] == "bound_if_frozen"].set_index("layer")["value"]
    assert bounds[0] == bounds[1] == pytest.approx(norms[2]) and bounds[2] == 0
