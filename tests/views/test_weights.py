from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta, ortho_group
from tests import jobs

from forgetting.model.anatomy import Anatomy
from forgetting.model.checkpoints import load_architecture
from forgetting.schemas.weights import WEIGHTS
from forgetting.tables import read_table, write_table
from forgetting.views.inputs import read_weights
from forgetting.views.parts import cells
from forgetting.views.weights import ANGLES, PAIRS, Update, compare, matrix, other_layers, places, weight_updates

CPU = torch.device("cpu")
EMBEDDINGS = ((0, "embedding"), (3, "output_embedding"))
COMPARED = ("mean_angle", "weighted_angle", "principal_angle", "cosine")


@pytest.fixture
def run():
    return jobs.weights()


def update(change: np.ndarray, scale: float = 1.0) -> Update:
    before = torch.full(change.shape, scale, dtype=torch.float64)
    return Update(before, before + torch.from_numpy(change))


def gaussian(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def test_every_matrix_has_the_residual_stream_in_its_rows(checkpoints):
    weights, anatomy = checkpoints.weights(0), Anatomy(load_architecture(checkpoints.folders[0]))
    names = (*anatomy.components, "embedding", "output_embedding")
    shapes = {component: tuple(matrix(weights, anatomy, 1, component).shape) for component in names}
    square, wide, vocabulary = (32, 32), (32, 128), (32, 60)
    assert shapes == dict.fromkeys(("query", "key", "value", "attention_output"), square) | dict.fromkeys(
        ("mlp_input", "mlp_output"), wide
    ) | dict.fromkeys(("embedding", "output_embedding"), vocabulary)
    assert torch.equal(matrix(weights, anatomy, 2, "mlp_input").T, weights["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"])
    assert torch.equal(matrix(weights, anatomy, 1, "attention_output"), weights["gpt_neox.layers.0.attention.dense.weight"])


def test_compare_against_brute_force():
    first, second = gaussian(24, 40, 1), gaussian(24, 40, 2) * np.linspace(3, 0.1, 40)
    result = compare(update(first), update(second, scale=2.0), 0.9, 5)
    left_first, values_first, _ = np.linalg.svd(first)
    left, values, _ = np.linalg.svd(second)
    ranks = [1 + int(np.argmax(np.cumsum(v**2) / np.sum(v**2) >= 0.9)) for v in (values_first, values)]
    assert (result["former_rank"].value, result["rank"].value) == tuple(ranks)
    angles = [np.degrees(np.arccos(np.linalg.norm(left_first[:, : ranks[0]].T @ left[:, i]))) for i in range(ranks[1])]
    assert result["mean_angle"].value == pytest.approx(np.mean(angles))
    assert result["weighted_angle"].value == pytest.approx(np.average(angles, weights=values[: ranks[1]] ** 2))
    chance = beta(ranks[0] / 2, (24 - ranks[0]) / 2).expect(lambda squared_cosine: np.degrees(np.arccos(np.sqrt(squared_cosine))))
    assert result["mean_angle"].chance == result["weighted_angle"].chance == pytest.approx(chance, abs=1e-3)
    assert result["cosine"].value == pytest.approx(np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second))
    assert result["relative_norm"].value == pytest.approx(np.linalg.norm(second) / (2 * np.sqrt(24 * 40)))
    assert result["stable_rank"].value == pytest.approx(np.sum(values**2) / values[0] ** 2)


def test_principal_angle_agrees_with_scipy():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    first, second = gaussian(24, 40, 1), gaussian(24, 40, 2)
    bases = [np.linalg.svd(change)[0][:, :5] for change in (first, second)]
    expected = np.degrees(scipy_linalg.subspace_angles(*bases)).mean()
    assert compare(update(first), update(second), 0.9, 5)["principal_angle"].value == pytest.approx(expected)


def test_planted_subspaces():
    """Two rank-3 updates whose column spaces meet at 40 degrees, whatever their row spaces are."""
    basis = np.linalg.qr(gaussian(30, 6, 4))[0]
    tilted = np.cos(np.radians(40)) * basis[:, :3] + np.sin(np.radians(40)) * basis[:, 3:]
    result = compare(update(basis[:, :3] @ gaussian(3, 50, 5)), update(tilted @ gaussian(3, 50, 6)), 1.0, 3)
    assert (result["rank"].value, result["former_rank"].value) == (3, 3)
    for metric in ("mean_angle", "weighted_angle", "principal_angle"):
        assert result[metric].value == pytest.approx(40, abs=1e-3)


def test_range_of_chance_against_rotated_updates():
    """The middle 95 % over 1,000 random rotations of the latter update, by a route that shares no draw with the null."""
    first, second = gaussian(16, 24, 1) * np.linspace(2, 0.1, 24), gaussian(16, 24, 2) * np.linspace(3, 0.1, 24)
    former, found = update(first), compare(update(first), update(second), 0.9, 3)
    rotations = ortho_group(16, seed=3).rvs(1000)
    turned = [compare(former, update(rotation @ second), 0.9, 3) for rotation in rotations]
    for metric in COMPARED:
        values = np.array([result[metric].value for result in turned])
        # A 2.5 % quantile has a standard error of about 0.19 standard deviations from 200 draws, and of 0.09 from 1,000.
        tolerance = 3 * np.hypot(0.19, 0.09) * values.std()
        assert [found[metric].chance_low, found[metric].chance_high] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=tolerance)
        assert found[metric].chance == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(200))


def test_independent_updates_are_within_chance_19_times_in_20():
    """Of 400 pairs the share has a standard error of 1.1 %, and a range from 200 draws has a coverage that strays by 1.5 %."""
    results = [
        compare(update(gaussian(16, 24, seed) * np.linspace(3, 0.1, 24)), update(gaussian(16, 24, seed + 1000)), 0.9, 3)
        for seed in range(400)
    ]
    for metric in COMPARED:
        inside = np.mean([result[metric].chance_low <= result[metric].value <= result[metric].chance_high for result in results])
        assert inside == pytest.approx(0.95, abs=3 * np.hypot(0.011, 0.015))


def test_what_is_shared_is_outside_chance():
    change = gaussian(24, 40, 1)
    same, opposite = (compare(update(change), update(sign * change), 0.9, 5) for sign in (1, -1))
    for metric in COMPARED[:3]:
        assert same[metric].value == pytest.approx(opposite[metric].value, abs=1e-4)
        assert same[metric].value < same[metric].chance_low < same[metric].chance < same[metric].chance_high
    assert same["cosine"].value > same["cosine"].chance_high
    assert opposite["cosine"].value < opposite["cosine"].chance_low


def test_updates_that_avoid_each_other_are_outside_chance():
    basis = np.linalg.qr(gaussian(24, 24, 4))[0]
    result = compare(update(basis[:, :12] @ gaussian(12, 40, 5)), update(basis[:, 12:] @ gaussian(12, 40, 6)), 1.0, 5)
    for metric in COMPARED[:3]:
        assert result[metric].value == pytest.approx(90)
        assert result[metric].value > result[metric].chance_high


def test_an_update_compared_with_itself():
    change = gaussian(24, 40, 1)
    result = compare(update(change), update(change), 0.9, 5)
    assert result["mean_angle"].value == pytest.approx(0, abs=1e-4)
    assert result["principal_angle"].value == pytest.approx(0, abs=1e-4)
    assert result["cosine"].value == pytest.approx(1)


def test_independent_updates_meet_chance():
    result = compare(update(gaussian(96, 96, 1)), update(gaussian(96, 96, 2)), 0.99, 8)
    for metric in ("mean_angle", "weighted_angle", "principal_angle"):
        assert result[metric].value == pytest.approx(result[metric].chance, abs=2.5)
    assert result["cosine"].value == pytest.approx(result["cosine"].chance, abs=0.05)


@pytest.mark.parametrize(("former", "latter"), [(1, 0), (0, 1), (0, 0)])
def test_frozen_matrices_have_no_angle(former, latter):
    result = compare(update(former * gaussian(12, 20, 1)), update(latter * gaussian(12, 20, 2)), 0.99, 4)
    for metric in COMPARED:
        assert np.isnan(result[metric]).all()
    assert (result["rank"].value > 0, result["former_rank"].value > 0) == (bool(latter), bool(former))
    if not latter:
        assert result["relative_norm"].value == 0
        assert np.isnan(result["stable_rank"].value)


def test_layers_are_counted_as_in_the_tables_of_parts(checkpoints):
    """GRAFT and GRADIENTS find layer and component of a weight from its parameter, the tables of matrices a matrix from both."""
    weights, anatomy = checkpoints.weights(0), Anatomy(load_architecture(checkpoints.folders[0]))
    named: dict[str, list[int]] = {}
    for name, values in weights.items():
        for cell in cells(name, values, anatomy) if values.ndim == 2 else ():
            named.setdefault(cell.component, []).append(cell.layer)
            own = values.flatten()[slice(None) if cell.where is None else cell.where]
            assert torch.equal(own.sort().values, matrix(weights, anatomy, cell.layer, cell.component).flatten().sort().values)
    assert {component: sorted(layers) for component, layers in named.items()} == places(anatomy)


def test_updates_with_too_few_directions_have_no_principal_angle():
    thin = gaussian(12, 2, 1) @ gaussian(2, 20, 2)
    assert np.isnan(compare(update(thin), update(gaussian(12, 20, 3)), 0.99, 4)["principal_angle"].value)


def test_weights_table(checkpoints, run, tmp_path):
    read = {"pretrained_earlier": 200, "pretrained_late": 50, "pretrained": 100, "task0": 0, "task1_early": 150, "task1_end": 400}
    weights = {name: read_weights(checkpoints.folders[step]) for name, step in read.items()}
    frozen = "gpt_neox.layers.0.attention.dense.weight"
    weights["task1_early"][frozen] = weights["task0"][frozen]
    anatomy = Anatomy(load_architecture(checkpoints.folders[0]))
    write_table(weight_updates(run, weights, anatomy, CPU), tmp_path / "weights.parquet", WEIGHTS)
    frame = read_table(tmp_path / "weights.parquet", WEIGHTS)
    matrices = frame[["layer", "component"]].drop_duplicates()
    assert len(matrices) == 2 + 2 * len(anatomy.components)
    assert set(matrices.loc[matrices["layer"].isin([0, 3]), "component"]) == {"embedding", "output_embedding"}
    assert len(frame) == len(matrices) * len(PAIRS) * frame["metric"].nunique()
    early = frame[(frame["latter"] == "task1_early") & (frame["layer"] == 1) & (frame["component"] == "attention_output")]
    values = early.set_index("metric")["value"]
    assert (values["rank"], values["relative_norm"]) == (0, 0)
    assert np.isnan(values["mean_angle"])
    angles = frame[frame["metric"] == "mean_angle"].set_index(["layer", "component", "latter"])["other_layers"]
    without = set(angles[angles.isna()].index) - {(layer, name, pair[1]) for layer, name in EMBEDDINGS for pair in PAIRS}
    # The latter update of the frozen matrix; and of the other layer the one whose former is frozen in all the others.
    assert without == {(1, "attention_output", "task1_early"), (2, "attention_output", "task1_late")}
    assert angles.loc[[0, 3]].isna().all()
    assert frame.loc[~frame["metric"].str.endswith("angle"), "other_layers"].isna().all()


def test_other_layers_share_what_all_layers_share():
    """Layers whose updates lie in one common space share it with each other; with a space of its own, a layer shares with itself alone."""
    basis, tail = np.linalg.qr(gaussian(40, 40, 1))[0], 1e-6
    common = [basis[:, :4] @ gaussian(4, 30, seed) + tail * gaussian(40, 30, seed + 9) for seed in (2, 3, 4)]
    own = [basis[:, 4 * i : 4 * i + 4] @ gaussian(4, 30, i) for i in range(3)]
    for updates, everywhere in ((common, True), (own, False)):
        first, *rest = (update(change) for change in updates)
        found = other_layers(rest, first, 0.99, 2)["mean_angle"]
        itself = compare(first, first, 0.99, 2)["mean_angle"]
        assert found == pytest.approx(itself.value - itself.chance if everywhere else 90 - itself.chance, abs=0.1)


def test_other_layers_are_means_of_what_compare_says_without_its_null(monkeypatch):
    """A frozen layer counts in no mean, one of too few directions not in that of the principal angle."""
    latter, thin = update(gaussian(16, 24, 1)), gaussian(16, 2, 2) @ gaussian(2, 24, 3)
    former = [update(change) for change in (gaussian(16, 24, 4), np.zeros((16, 24)), thin)]
    compared = [compare(one, latter, 0.9, 3) for one in former]
    for name in ("random_angles", "random_principal_angles", "percentiles"):
        monkeypatch.delattr(f"forgetting.views.weights.{name}")
    found = other_layers(former, latter, 0.9, 3)
    assert set(found) == set(ANGLES)
    for metric, value in found.items():
        assert value == pytest.approx(np.nanmean([one[metric].value - one[metric].chance for one in compared]))


@pytest.mark.parametrize(("former", "latter"), [(0, 1), (1, 0)])
def test_a_frozen_layer_and_frozen_others_share_nothing(former, latter):
    assert other_layers([update(former * gaussian(6, 8, 1))], update(latter * gaussian(6, 8, 2)), 0.99, 2) == {}


def test_an_update_is_formed_once_for_its_directions(monkeypatch):
    found, formed = update(gaussian(6, 8, 1)), []
    change = Update.change.fget
    monkeypatch.setattr(Update, "change", property(lambda self: formed.append(self) or change(self)))
    assert found.directions.shape == (6, 6) and found.energies.shape == (6,) and found.rank(1.0) == 6
    assert formed == [found]
