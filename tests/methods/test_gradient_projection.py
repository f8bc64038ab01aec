"""What the three rules of gradient projection promise, within real training steps."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests import sections
from torch import Tensor

from forgetting.data.items import Items
from forgetting.methods.base import Setting, build_method
from forgetting.methods.gradient_projection import Knobs as GradientProjection
from forgetting.methods.gradient_projection import method as gradient_projection
from forgetting.methods.gradient_projection.method import alignment_direction, input_moments
from forgetting.methods.seq import Knobs as Sequential
from forgetting.training.batches import Batch, QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.step import BatchLoss, Hooks

RULES = ["exact", "gpm", "reference"]
SMALL_WINDOW = (2, 5)
OPTIMIZER = sections.optimizer(learning_rate=1e-2, weight_decay=0.1)


def arm_of(rule: str, **knobs) -> GradientProjection:
    return GradientProjection(method="gradient_projection", rule=rule, **knobs)


def loss_in_model_precision(self: BatchLoss, batch: Batch) -> Tensor:
    hidden = self.model.gpt_neox(input_ids=batch.ids, use_cache=False).last_hidden_state[batch.row, batch.position]
    return F.cross_entropy(hidden @ self.model.get_output_embeddings().weight.T, batch.ids[batch.row, batch.position + 1])


@pytest.fixture
def setting(tiny_model, tiny_questions: Items, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """float64, with a short window for the direction."""
    monkeypatch.setattr(BatchLoss, "forward", loss_in_model_precision)
    monkeypatch.setattr(gradient_projection, "WINDOW", SMALL_WINDOW)
    training = sections.task1(
        steps=10,
        batch_size=8,
        optimizer=OPTIMIZER,
        evaluate=[(10, 5)],
        evaluate_later=20,
        checkpoints=[(10, 5)],
        later_checkpoints=1,
    )
    return Setting(
        model=tiny_model.double().eval(),
        task0_train=tiny_questions.of("task0_train"),
        task1=QuestionBatches(tiny_questions.of("task1"), 8, 0),
        training=training,
        precision="float32",
        seed=0,
        tokenizer=None,
        held_out=frozenset(),
    )


def prepared(setting: Setting, rule: str, **knobs):
    method = build_method(arm_of(rule, **knobs))
    method.before_task(setting)
    return method


def weights_of(model) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


class Watched(Hooks):
    """Records what the optimizer does to the weights in every step, and what is left of it when the method is done."""

    def __init__(self, setting: Setting, method) -> None:
        self.model, self.method = setting.model, method
        self.proposed: list[dict[str, Tensor]] = []
        self.updates: list[dict[str, Tensor]] = []
        self.trainable = method.trainable

    def on_gradient(self) -> None:
        self.before = weights_of(self.model)
        self.method.on_gradient()

    def on_update(self) -> None:
        self.proposed.append(self.moved())
        self.method.on_update()
        self.updates.append(self.moved())

    def moved(self) -> dict[str, Tensor]:
        return {name: weight - self.before[name] for name, weight in weights_of(self.model).items()}


def run(setting: Setting, method, steps: int = 6) -> Watched:
    """Train the model of `setting`."""
    watched = Watched(setting, method)
    plan = Plan(steps, method.batches(), OPTIMIZER, sections.schedule(), frozenset(), lambda step: None, "float32", watched)
    train(setting.model, plan)
    return watched


def largest_component(rows: dict[str, Tensor], direction: dict[str, Tensor], whole: dict[str, Tensor]) -> float:
    """|u . v| / (|w| |v|), the largest of all rows with a direction; norms and biases are one row. w is what u is a part of: a row that
    only decays has nothing left but rounding."""
    found = []
    for name, v in direction.items():
        u, w, v = (each.reshape(-1, v.shape[-1]) for each in (rows[name], whole[name], v))
        lengths = w.norm(dim=1) * v.norm(dim=1)
        found.append(((u * v).sum(1).abs() / lengths)[lengths > 0].max().item())
    return max(found)


def test_the_exact_rule_makes_updates_orthogonal_despite_momentum_and_decay(setting: Setting) -> None:
    direction, _ = alignment_direction(setting, 2)
    watched = run(setting, prepared(setting, "exact", repeats=2))
    for proposed, update in zip(watched.proposed, watched.updates, strict=True):
        assert largest_component(update, direction, proposed) < 1e-6 < 0.5 < largest_component(proposed, direction, proposed)
        assert all(update[name].norm() > 0.1 * proposed[name].norm() for name in direction)


def test_the_sum_of_exact_updates_is_orthogonal_too(setting: Setting) -> None:
    direction, _ = alignment_direction(setting, 1)
    start = weights_of(setting.model)
    watched = run(setting, prepared(setting, "exact", repeats=1), steps=10)
    moved = {name: weight - start[name] for name, weight in weights_of(setting.model).items()}
    path = {name: sum(proposed[name].abs() for proposed in watched.proposed) for name in moved}
    assert largest_component(moved, direction, path) < 1e-6


def test_in_float32_updates_are_orthogonal_up_to_the_rounding_of_the_weights(setting: Setting) -> None:
    """A weight is a multiple of half a unit in its last place, so an update is off by that much in every entry, whatever its size."""
    setting = replace(setting, model=setting.model.float())
    direction, _ = alignment_direction(setting, 1)
    method = prepared(setting, "exact", repeats=1)
    for update in run(setting, method).updates:
        for name, v in direction.items():
            weight = setting.model.get_parameter(name)
            rounding = torch.finfo(torch.float32).eps * (weight.abs() + update[name].abs()).double().norm(dim=-1)
            along = (update[name].double() * v.double()).sum(-1).abs()
            assert (along <= 2 * rounding * v.double().norm(dim=-1)).all(), name


def test_projecting_the_gradient_as_released_leaves_updates_along_the_direction(setting: Setting) -> None:
    direction, _ = alignment_direction(setting, 1)
    for update in run(setting, prepared(setting, "reference", repeats=1)).updates:
        assert largest_component(update, direction, update) > 0.1


class ProjectedGradient(Hooks):
    """What the released rule may have been meant as: the whole component of the gradient along the direction is removed."""

    def __init__(self, setting: Setting, direction: dict[str, Tensor]) -> None:
        self.setting = setting
        self.weights = dict(setting.model.named_parameters())
        self.unit = {name: F.normalize(v, dim=-1) for name, v in direction.items()}

    def batches(self) -> QuestionBatches:
        return self.setting.task1

    def on_gradient(self) -> None:
        for name, weight in self.weights.items():
            weight.grad -= (weight.grad * self.unit[name]).sum(-1, keepdim=True) * self.unit[name]


def test_adam_undoes_a_projection_of_the_gradient_even_with_the_right_norm(setting: Setting) -> None:
    """The norm alone does not mend the released rule. Decay is small beside Adam's part here."""
    direction, _ = alignment_direction(setting, 1)
    for update in run(setting, ProjectedGradient(setting, direction)).updates:
        for name in ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", "gpt_neox.layers.1.attention.dense.weight"):
            assert largest_component(update, {name: direction[name]}, update) > 0.1


def test_the_direction_is_the_mean_displacement_of_separate_runs(setting: Setting) -> None:
    """Against runs that really end at either side of the window."""
    direction, rows = alignment_direction(setting, 2)
    assert rows == 2 * SMALL_WINDOW[1] * 8
    orders = [QuestionBatches(setting.task1.questions, 8, 1000 * repeat) for repeat in (1, 2)]
    assert not any(np.array_equal(order.rows_at(0), setting.task1.rows_at(0)) for order in orders)
    expected = {name: torch.zeros_like(v) for name, v in direction.items()}
    for order in orders:
        for steps, sign in zip(SMALL_WINDOW, (-1, 1), strict=True):
            model = copy.deepcopy(setting.model)
            train(model, Plan(steps, order, setting.training.optimizer, sections.schedule(), frozenset(), lambda step: None))
            for name, weight in weights_of(model).items():
                expected[name] += sign * weight / 2
    assert all(torch.allclose(direction[name], expected[name], rtol=0, atol=1e-12) for name in expected)


@pytest.mark.parametrize("rule", RULES)
def test_preparing_leaves_the_model_as_it_was_and_repeats_itself(setting: Setting, rule: str) -> None:
    setting.model.get_input_embeddings().weight.requires_grad_(False)
    wanted = {name: weight.requires_grad for name, weight in setting.model.named_parameters()}
    start = weights_of(setting.model)
    first = prepared(setting, rule, repeats=1)
    second = prepared(setting, rule, repeats=1)
    assert all(torch.equal(start[name], weight) for name, weight in setting.model.named_parameters())
    assert {name: weight.requires_grad for name, weight in setting.model.named_parameters()} == wanted
    assert not any(module._forward_pre_hooks for module in setting.model.modules())
    assert not setting.model.training
    run(setting, first, steps=3)
    ended = weights_of(setting.model)
    setting.model.load_state_dict(start)
    run(setting, second, steps=3)
    assert all(torch.equal(ended[name], weight) for name, weight in setting.model.named_parameters())


@pytest.mark.parametrize("rule", RULES)
def test_task1_comes_in_the_order_of_seq(setting: Setting, rule: str) -> None:
    plain = build_method(Sequential(method="seq"))
    plain.before_task(setting)
    method = prepared(setting, rule, repeats=1)
    assert all(torch.equal(method.batches().batch(step).ids, plain.batches().batch(step).ids) for step in range(20))


def inside(setting: Setting, moments: dict[str, Tensor], ranks: dict[str, int]) -> dict[str, Tensor]:
    """Random inputs within the leading directions of each moment."""
    leading = {name: np.linalg.eigh(moment.numpy())[1][:, ::-1][:, : ranks[name]].copy() for name, moment in moments.items()}
    return {name: torch.randn(5, ranks[name], dtype=torch.float64) @ torch.from_numpy(basis).T for name, basis in leading.items()}


def test_gpm_keeps_what_maps_do_to_inputs_of_task_0(setting: Setting) -> None:
    moments = input_moments(setting.model, setting.task0_train)
    method = prepared(setting, "gpm", energy=0.9)
    start = weights_of(setting.model)
    inputs = inside(setting, moments, {name: subspace.rank for name, subspace in method.rule.subspaces.items()})
    assert len(inputs) == 4 * 2 + 1
    run(setting, method, steps=10)
    for name, x in inputs.items():
        before, after = x @ start[name].T, x @ setting.model.get_parameter(name).T
        assert (after - before).norm() < 1e-6 * before.norm(), name
        anywhere = torch.randn_like(x)
        assert (anywhere @ (setting.model.get_parameter(name) - start[name]).T).norm() > 1e-3 * before.norm(), name


def test_gpm_with_all_energy_keeps_every_answer_of_task_0_while_task_1_is_learned(setting: Setting) -> None:
    """With few questions, whose inputs do not fill the space."""
    stored = setting.task0_train.select(np.arange(2))
    setting = replace(setting, task0_train=stored)

    def outputs() -> Tensor:
        with torch.no_grad():
            return setting.model(input_ids=stored.ids).logits[stored.ids > 0]

    def task1_loss() -> float:
        with torch.no_grad():
            batches = QuestionBatches(setting.task1.questions, len(setting.task1.questions), 0)
            return float(BatchLoss(setting.model)(batches.batch(0)))

    before, loss = outputs(), task1_loss()
    run(setting, prepared(setting, "gpm", energy=1.0), steps=10)
    assert (outputs() - before).norm() < 1e-6 * before.norm()
    assert task1_loss() < 0.9 * loss


def test_gpm_holds_biases_norms_and_the_embeddings_of_task_0_tokens_bit_for_bit(setting: Setting) -> None:
    method = prepared(setting, "gpm")
    start = weights_of(setting.model)
    run(setting, method)
    seen = {int(token) for row, length in zip(setting.task0_train.ids, lengths(setting.task0_train), strict=True) for token in row[:length]}
    for name, weight in setting.model.named_parameters():
        assert method.trainable(name) == (weight.ndim == 2), name
        if weight.ndim < 2:
            assert torch.equal(weight, start[name]), name
    embedding = "gpt_neox.embed_in.weight"
    moved = (setting.model.get_parameter(embedding) != start[embedding]).any(1)
    assert {int(token) for token in torch.nonzero(~moved)} == seen


def lengths(questions: Items) -> list[int]:
    return (questions.prompt_length + questions.answer_length).tolist()


def test_gpm_reads_every_real_token_of_task_0_and_no_padding(setting: Setting) -> None:
    """Moments of two maps from one unpadded question at a time."""
    model, questions = setting.model, setting.task0_train
    first, last = (torch.zeros(32, 32, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        for row, length in zip(questions.ids, lengths(questions), strict=True):
            ids = row[None, :length]
            embedded = model.gpt_neox.layers[0].input_layernorm(model.gpt_neox.embed_in(ids))[0]
            hidden = model.gpt_neox(input_ids=ids).last_hidden_state[0]
            first += embedded.T @ embedded
            last += hidden.T @ hidden
    moments = input_moments(model, questions)
    assert torch.allclose(moments["gpt_neox.layers.0.attention.query_key_value.weight"], first, rtol=1e-9, atol=1e-9)
    output = next(name for name, weight in model.named_parameters() if weight is model.get_output_embeddings().weight)
    assert torch.allclose(moments[output], last, rtol=1e-9, atol=1e-9)


def test_what_each_rule_stores_and_saw_is_counted(setting: Setting) -> None:
    parameters = sum(parameter.numel() for parameter in setting.model.parameters())
    for rule in ("exact", "reference"):
        method = prepared(setting, rule, repeats=2)
        assert method.stored_bytes == 8 * parameters
        assert method.prepared_rows == 2 * SMALL_WINDOW[1] * 8
        direction, _ = alignment_direction(setting, 2)
        whole = torch.cat([v.flatten() for v in direction.values()])
        assert method.after_task() == {"direction_norm": pytest.approx(whole.norm().item())}
    method = prepared(setting, "gpm", energy=0.9)
    ranks = [(subspace.rank, len(subspace.basis)) for subspace in method.rule.subspaces.values()]
    tokens = len({int(token) for token in setting.task0_train.ids.unique()})
    assert method.stored_bytes == 8 * (sum(min(rank, d - rank) * d for rank, d in ranks) + tokens)
    assert method.prepared_rows == len(setting.task0_train)
    assert method.after_task() == {"protected_share": pytest.approx(np.mean([rank / d for rank, d in ranks]))}


@pytest.mark.parametrize("held", [["subspaces"], ["rows"], ["vectors"], ["subspaces", "rows", "vectors"]], ids="-".join)
def test_what_gpm_holds_is_what_it_is_told_to_and_what_can_move_is_counted(setting: Setting, held: list[str]) -> None:
    """Counted from the updates: of a map, the rank of what its rows do; of the embedding's rows and of vectors, which moved."""
    method = prepared(setting, "gpm", energy=0.9, hold=held)
    start = weights_of(setting.model)
    updates = run(setting, method, steps=40).updates
    embedding, free = "gpt_neox.embed_in.weight", 0
    for name, weight in weights_of(setting.model).items():
        moved = torch.stack([update[name] for update in updates])  # (steps, rows, d) or (steps, d)
        if weight.ndim < 2:
            assert bool(moved.any()) == ("vectors" not in held), name
            free += 0 if "vectors" in held else weight.numel()
        elif name == embedding:
            still = int((~moved.any(dim=-1).any(dim=0)).sum())
            assert (still > 0) == ("rows" in held)
            free += (len(weight) - still) * weight.shape[1]
        else:
            acts_on = int(torch.linalg.matrix_rank(moved.flatten(0, 1), rtol=1e-7))
            rank = method.rule.subspaces[name].rank if "subspaces" in held else 0
            assert acts_on == min(weight.shape[1] - rank, 40 * len(weight)), name
            free += len(weight) * (weight.shape[1] - rank)
    in_optimizer = sum(value.numel() for name, value in start.items() if method.trainable(name))
    assert in_optimizer - method.held_weights == free


def test_the_exact_rule_takes_one_direction_a_row(setting: Setting) -> None:
    direction, _ = alignment_direction(setting, 1)
    rows = sum(int((v.reshape(-1, v.shape[-1]) != 0).any(1).sum()) for v in direction.values())
    assert prepared(setting, "exact", repeats=1).held_weights == rows
    assert prepared(setting, "reference", repeats=1).held_weights == 0
