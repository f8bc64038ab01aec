from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs
from tests.families import LAYERS, VARIANTS, every_family, family_model
from tests.views.conftest import tiny_model

from forgetting.model.anatomy import Anatomy, uniform_name
from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.schemas.graft import GRAFT
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import Point
from forgetting.views.common_shift import common_shift
from forgetting.views.graft import CommonShift, Probed, edited, graft, leading_terms, probed_points, with_part_of, with_random_weights_of
from forgetting.views.inputs import Checkpoints
from forgetting.views.parts import cells, several_parts, single_parts

CPU = torch.device("cpu")


def weights_of(model) -> dict[str, torch.Tensor]:
    return {uniform_name(name): parameter.detach().clone() for name, parameter in model.named_parameters()}


def part(anatomy: Anatomy, name: str, layer: int):
    return next(p for p in [*single_parts(anatomy), *several_parts(anatomy)] if (p.name, p.layer) == (name, layer))


def accuracies(table: pd.DataFrame) -> dict[tuple[str, str, int], float]:
    """Of Task 0, by operation, part and layer."""
    rows = table[(table["metric"] == "exact_match") & (table["split"] == "task0_test")]
    return rows.set_index(["operation", "part", "layer"])["value"].to_dict()


@every_family
def test_every_weight_is_in_one_cell_and_embeddings_blocks_and_the_last_norm_are_all_there_is(family: str) -> None:
    model = family_model(family, 20)
    anatomy, weights = Anatomy(model.config), weights_of(model)
    zeros = {name: torch.zeros_like(values) for name, values in weights.items()}
    ones = {name: torch.ones_like(values) for name, values in weights.items()}
    touched = {name: torch.zeros_like(values) for name, values in weights.items()}
    last = LAYERS + 1
    for chosen in (part(anatomy, "embedding", 0), part(anatomy, "blocks", -1), part(anatomy, "output_embedding", last)):
        made, squared = with_part_of(zeros, ones, chosen, anatomy)
        assert squared == sum(float(values.sum()) for values in made.values())
        touched = {name: values + made[name] for name, values in touched.items()}
    left = [name for name, values in touched.items() if not values.all()]
    assert len(left) in (1, 2) and all("norm" in name or "ln_f" in name for name in left), left  # weight and bias of the last norm
    assert all(values.max() <= 1 for values in touched.values())
    for name, values in weights.items():
        covered = torch.zeros(values.numel())
        for cell in cells(name, values, anatomy):
            covered[slice(None) if cell.where is None else cell.where] += 1
        assert (covered == 1).all(), name


def test_a_group_of_fused_matrices_is_the_rows_of_its_heads_and_their_biases() -> None:
    """GPT-NeoX stores a head's query, key and value below each other."""
    model = family_model("gpt_neox", 20)
    anatomy, weights = Anatomy(model.config), weights_of(model)
    donor = {name: values + 1 for name, values in weights.items()}
    made, _ = with_part_of(weights, donor, part(anatomy, "query_key", -1), anatomy)
    head = model.config.hidden_size // model.config.num_attention_heads
    of_value = np.arange(3 * model.config.hidden_size) % (3 * head) >= 2 * head
    for name, values in weights.items():
        moved = (made[name] != values).numpy()
        if "query_key_value" not in name:
            assert not moved.any(), name
        else:
            assert (moved == ~of_value.reshape(-1, *[1] * (values.ndim - 1))).all(), name


def test_attention_and_mlp_of_a_gated_block_by_their_names() -> None:
    model = family_model("llama", 20)
    anatomy, weights = Anatomy(model.config), weights_of(model)
    donor = {name: values + 1 for name, values in weights.items()}
    for name, projections in {"attention": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}.items():
        made, _ = with_part_of(weights, donor, part(anatomy, name, 2), anatomy)
        moved = {key for key, values in weights.items() if not torch.equal(values, made[key])}
        assert moved == {key for key in weights if "layers.1." in key and key.split(".")[-2] in projections}


def test_random_weights_hold_the_share_of_the_squared_update_that_is_asked_for() -> None:
    torch.manual_seed(0)
    after = {"a": torch.randn(300, 200), "b": torch.randn(100)}
    before = {name: torch.zeros_like(values) for name, values in after.items()}
    made = with_random_weights_of(after, before, 0.3, after.keys(), seed=1)
    assert torch.equal(with_random_weights_of(after, before, 1.0, {"a"}, seed=1)["b"], after["b"]), "not among those to draw from"
    total = sum(float(values.square().sum()) for values in after.values())
    back = sum(float((after[name] - made[name]).square().sum()) for name in after)
    assert back / total == pytest.approx(0.3, abs=0.02)
    assert all(((values == 0) | (values == after[name])).all() for name, values in made.items())


@pytest.mark.parametrize("family", [name for name in VARIANTS if name in ("gpt_neox", "gpt2", "llama")])
def test_an_edit_takes_a_planted_direction_away_and_its_control_as_much_of_something_else(family: str) -> None:
    """Every matrix moved along one strong direction and a little along all; afterwards only the little is left."""
    before_model = family_model(family, 20)
    anatomy, before = Anatomy(before_model.config), weights_of(before_model)
    generator = torch.Generator().manual_seed(3)
    after, little, strong = dict(before), {}, 0.0
    for name, values in before.items():
        if anatomy.layer_of(name) is None or values.ndim != 2:
            continue
        new = values.clone()
        little[name] = 1e-3 * torch.randn(values.shape, generator=generator)
        for cell in cells(name, values, anatomy):
            index = torch.arange(values.numel()) if cell.where is None else cell.where
            inside = torch.zeros(values.numel(), dtype=torch.bool)
            inside[index] = True
            rows = inside.reshape(values.shape)
            left = torch.randn(values.shape[0], 1, generator=generator) * rows.any(1, keepdim=True)
            right = torch.randn(1, values.shape[1], generator=generator) * rows.any(0, keepdim=True)
            new += left * right
            strong += float((left * right).square().sum())
        after[name] = new + little[name]
    terms = leading_terms(before, after, anatomy.components, anatomy)
    made, taken = edited(after, terms, 1, seed=None)
    assert taken == pytest.approx(strong, rel=0.01)
    for name, noise in little.items():
        assert (made[name] - before[name]).norm() < 1.5 * noise.norm(), name
    control, of_control = edited(after, terms, 1, seed=5)
    length = sum(float((control[name] - after[name]).double().square().sum()) for name in little)
    assert of_control == pytest.approx(taken) and length == pytest.approx(taken, rel=1e-4)
    assert all((control[name] - before[name]).norm() > 0.9 * (after[name] - before[name]).norm() for name in little)


def take_answers_of(model, questions, rows) -> None:
    """The answers of these rows become what the model says."""
    for row in rows:
        start = int(questions.prompt_length[row])
        for place in range(start, start + int(questions.answer_length[row])):
            questions.ids[row, place] = model(questions.ids[row : row + 1, :place]).logits[0, -1].argmax()


@pytest.fixture
def found(questions, tmp_path) -> pd.DataFrame:
    """A checkpoint whose output embedding moved far but to no effect (all rows alike), and whose second block moved little but to some.

    theta* answers half of the questions of each split right: their answers are made its own.
    """
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    with torch.no_grad():
        take_answers_of(model, questions, range(0, len(questions), 2))
        model.get_output_embeddings().weight.add_(torch.full((1, 32), 9.0))
        torch.manual_seed(1)
        for parameter in model.gpt_neox.layers[1].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    save_checkpoint(model, tmp_path / "end")
    table = graft(
        jobs.answers(), tmp_path / "task0", tmp_path / "task0", [Probed(Point("end", 400, tmp_path / "end"), None)], questions, CPU
    )
    assert not set(table["operation"]) & {"floor", "into_floor"}, "without a floor"
    write_table(table, tmp_path / "graft.parquet", GRAFT)
    return read_table(tmp_path / "graft.parquet", GRAFT)


def test_the_part_that_matters_is_not_the_part_that_moved_furthest(found: pd.DataFrame) -> None:
    rows = found[(found["metric"] == "exact_match") & (found["split"] == "task0_test")].set_index(["operation", "part", "layer"])
    # Those that are there once: with others in the index pandas 2.2 gives a series for each.
    once = rows[~rows.index.duplicated(keep=False)]
    value, share = once["value"], once["update_share"]
    nothing, start = value["none", "all", -1], value["start", "all", -1]
    assert start >= 0.5 and nothing < start - 0.2, "something was lost"
    assert share["back", "output_embedding", 3] > 0.9 > 0.1 > share["back", "block", 2]
    assert value["back", "output_embedding", 3] == pytest.approx(nothing)
    assert value["back", "block", 2] == value["back", "blocks", -1] == start
    assert value["forward", "block", 2] == pytest.approx(nothing) and value["forward", "output_embedding", 3] == start
    assert value["back_random", "block", 2] < start - 0.1, "so short a way back of any weights brings little"
    assert ("back", "block", 1) not in rows.index, "what did not move has no row"


def test_accuracies_are_those_of_greedy_answers(found: pd.DataFrame, questions, tmp_path) -> None:
    for operation, folder in (("none", "end"), ("start", "task0")):
        model = load_checkpoint(tmp_path / folder)
        for split in ("task0_test", "task1"):
            asked = questions.of(split)
            right = []
            for row in range(len(asked)):
                start, length = int(asked.prompt_length[row]), int(asked.answer_length[row])
                ids = asked.ids[row : row + 1, : start + length]
                guess = model(ids).logits[0, start - 1 : start + length - 1].argmax(-1)
                right.append(bool((guess == ids[0, start:]).all()))
            rows = found[(found["operation"] == operation) & (found["split"] == split) & (found["metric"] == "exact_match")]
            assert rows["value"].item() == pytest.approx(np.mean(right))
            assert rows["low"].item() - 1e-9 <= rows["value"].item() < rows["high"].item()


def test_the_straight_line_runs_from_the_checkpoint_to_where_task_1_began(found: pd.DataFrame) -> None:
    line = found[(found["operation"] == "interpolation") & (found["metric"] == "exact_match") & (found["split"] == "task0_test")]
    assert line["amount"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    ends = found[(found["metric"] == "exact_match") & (found["split"] == "task0_test")].set_index("operation")["value"]
    assert abs(line["value"].iloc[-1] - ends["start"]) < abs(line["value"].iloc[0] - ends["start"])
    common = found[found["metric"] == "common_share"].set_index(["operation", "part"])["value"]
    assert np.isnan(common["forward", "output_embedding"]), "no state changed, so no share of a change is common"
    assert common["none", "all"] <= 1


def test_the_common_share_is_that_of_the_common_shift_view(questions, tmp_path) -> None:
    """Of two models, one after the other: a bias of the last block moves all states alike, a new block moves each on its own."""
    known = questions.of("task1")
    known.split[:] = "task0_train"
    asked, model = questions.of("task0_test"), tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    shift = CommonShift(tiny_model(), asked, jobs.answers())
    shares = []
    for name in ("alike", "apart"):
        torch.manual_seed(1)
        with torch.no_grad():
            if name == "alike":
                model.gpt_neox.layers[1].mlp.dense_4h_to_h.bias.add_(torch.randn(32))
            for parameter in model.gpt_neox.layers[1].parameters() if name == "apart" else ():
                parameter.add_(0.3 * torch.randn_like(parameter))
        save_checkpoint(model, tmp_path / name)
        split, _ = common_shift(jobs.answers(), tmp_path / "task0", [Point("end", 400, tmp_path / name)], asked.joined_with(known), CPU)
        told = split[(split["space"] == "residual_stream") & (split["grouping"] == "kind_position") & (split["kind"] == "all")]
        expected = told[told["metric"] == "common_share"].squeeze()
        found = shift.share(weights_of(model))
        assert tuple(found) == pytest.approx((expected["value"], expected["low"], expected["high"]), abs=1e-4)
        shares.append(found.value)
    assert shares[0] == pytest.approx(1, abs=1e-3) and shares[1] < 0.9


@pytest.mark.parametrize("rest_knows", [True, False])
def test_a_part_that_only_lets_others_speak_does_nothing_for_a_floor_that_knows_nothing(rest_knows: bool, questions, tmp_path) -> None:
    """Task 1 spoilt the second block alone, so putting it back restores all. In one floor only that block differs from theta*, as if it
    brought Task 0 along; in the other the first block, too, never learned it."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    with torch.no_grad():
        take_answers_of(model, questions, range(len(questions)))
        torch.manual_seed(1)
        for parameter in model.gpt_neox.layers[1].parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        save_checkpoint(model, tmp_path / "end")
        if not rest_knows:
            for parameter in model.gpt_neox.layers[0].parameters():
                parameter.add_(2.0 * torch.randn_like(parameter))
        save_checkpoint(model, tmp_path / "floor")
    point = Probed(Point("end", 400, tmp_path / "end"), tmp_path / "floor")
    table = graft(jobs.answers(), tmp_path / "task0", tmp_path / "task0", [point], questions, CPU)
    rows = accuracies(table)
    assert rows["back", "block", 2] == rows["start", "all", -1] == 1
    into_floor = rows["into_floor", "block", 2]
    assert into_floor == 1 if rest_knows else into_floor < 0.5
    assert rows["floor", "all", -1] < 0.9


@pytest.mark.parametrize("of_task0", [True, False])
def test_the_part_of_the_pretrained_model_tells_what_task_0_taught_from_what_task_1_spoilt(of_task0: bool, questions, tmp_path) -> None:
    """Task 1 spoilt the second block. Either Task 0 had been learned in it, or the pretrained model had it as it was."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    with torch.no_grad():
        take_answers_of(model, questions, range(len(questions)))
        torch.manual_seed(1)
        other = 1 if of_task0 else 0
        for name, scale in (("pretrained", 2.0), ("end", 0.5)):
            changed = load_checkpoint(tmp_path / "task0")
            for parameter in changed.gpt_neox.layers[1 if name == "end" else other].parameters():
                parameter.add_(scale * torch.randn_like(parameter))
            save_checkpoint(changed, tmp_path / name)
    points = [Probed(Point("end", 400, tmp_path / "end"), tmp_path / "end")]
    rows = accuracies(graft(jobs.answers(), tmp_path / "pretrained", tmp_path / "task0", points, questions, CPU))
    assert rows["back", "block", 2] == rows["into_floor", "block", 2] == 1
    for operation in ("pretrained", "pretrained_into_floor"):
        assert rows[operation, "block", 2] < 0.5 if of_task0 else rows[operation, "block", 2] == 1
    # The floor's block is spoilt as that of the checkpoint is; the pretrained model lacks the block that Task 0 taught, or another.
    assert rows["of_floor", "block", 2] == rows["none", "all", -1] < 0.9
    assert rows["untaught", "all", -1] < 0.5
    assert rows["into_pretrained", "block", 2] == 1 if of_task0 else rows["into_pretrained", "block", 2] == rows["untaught", "all", -1]


def test_a_part_that_learned_the_form_of_questions_is_told_from_one_that_learned_task_0(questions, tmp_path) -> None:
    """Task 1 spoilt the second block of the checkpoint. The floor's own is as good as that of theta*: it needed no Task 0."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    torch.manual_seed(1)
    with torch.no_grad():
        take_answers_of(model, questions, range(len(questions)))
        for name, block in (("end", 1), ("floor", 0)):
            changed = load_checkpoint(tmp_path / "task0")
            for parameter in changed.gpt_neox.layers[block].parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
            save_checkpoint(changed, tmp_path / name)
    point = Probed(Point("end", 400, tmp_path / "end"), tmp_path / "floor")
    rows = accuracies(graft(jobs.answers(), tmp_path / "task0", tmp_path / "task0", [point], questions, CPU))
    assert rows["none", "all", -1] < 0.9
    assert rows["of_floor", "block", 2] == 1
    assert rows["into_floor", "block", 2] == rows["floor", "all", -1] < 0.9


def test_repairs_stand_beside_the_straight_way_at_equal_task_1(questions, tmp_path) -> None:
    """The model before Task 1 knows Task 0 and nothing else, the checkpoint Task 1: against a walk along the table's own accuracies."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    torch.manual_seed(1)
    with torch.no_grad():
        for split in ("task0_test", "task1"):
            take_answers_of(model, questions, np.flatnonzero(questions.split == split))
            if split == "task0_test":
                for block in model.gpt_neox.layers:
                    for parameter in block.parameters():
                        parameter.add_(0.1 * torch.randn_like(parameter))
    save_checkpoint(model, tmp_path / "end")
    table = graft(
        jobs.answers(), tmp_path / "task0", tmp_path / "task0", [Probed(Point("end", 400, tmp_path / "end"), None)], questions, CPU
    )
    keys = ["operation", "part", "layer", "amount"]
    named = table["metric"].where(table["metric"] != "exact_match", table["split"])
    wide = table.assign(amount=table["amount"].fillna(-1), named=named).pivot(index=keys, columns="named", values="value")
    way = pd.concat([wide.loc[["none"]], wide.loc[["interpolation"]], wide.loc[["start"]]])
    assert way[["task0_test", "task1"]].iloc[[0, -1]].to_numpy().diagonal().max() < 0.7 < way["task1"].iloc[0]
    walk = np.linspace(0, 10, 100_001)
    task0, task1 = (np.interp(walk, np.arange(11), way[split]) for split in ("task0_test", "task1"))
    repairs = wide.loc[["back", "back_random", "edit", "edit_random"]]
    for repair in repairs.itertuples():
        assert repair.straight == pytest.approx(task0[task1 >= repair.task1 - 1e-9].max(), abs=1e-3)
        assert repair.beyond_straight == pytest.approx(repair.task0_test - repair.straight)
    assert wide["straight"].notna().sum() == len(repairs) and repairs["straight"].nunique() > 3, repairs
    ends = table[table["metric"] == "beyond_straight"]
    assert (ends["low"] < ends["value"]).all() and (ends["value"] < ends["high"]).all()


def test_the_random_control_of_some_blocks_leaves_the_embeddings_alone(questions, tmp_path) -> None:
    """The embeddings alone moved to some effect, the blocks by too little for any. Were the control of a block drawn from all weights, it
    would put embeddings back."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    torch.manual_seed(1)
    with torch.no_grad():
        take_answers_of(model, questions, range(len(questions)))
        model.get_input_embeddings().weight.add_(torch.randn_like(model.get_input_embeddings().weight))
        for block in model.gpt_neox.layers:
            for parameter in block.parameters():
                parameter.add_(1e-5 * torch.randn_like(parameter))
    save_checkpoint(model, tmp_path / "end")
    table = graft(
        jobs.answers(), tmp_path / "task0", tmp_path / "task0", [Probed(Point("end", 400, tmp_path / "end"), None)], questions, CPU
    )
    rows = accuracies(table)
    assert rows["back", "embedding", 0] == 1 > rows["none", "all", -1]
    assert rows["back_random", "blocks_from", 2] == rows["none", "all", -1]


def test_the_floor_is_taken_at_the_step_of_the_trough_and_at_its_own_end(tmp_path) -> None:
    for folder in (
        "arm/step-000010",
        "arm/step-000020",
        "arm/step-000400",
        "arm/matched",
        "floor/step-000020",
        "floor/step-000300",
        "floor/matched",
    ):
        (tmp_path / folder).mkdir(parents=True)
    values = pd.DataFrame(
        {
            "arm": "seq",
            "split": ["task0_val"] * 3 + ["train"],
            "kind": "all",
            "value": (value := [0.5, 0.2, 0.6, 300.0]),
            "low": value,
            "high": value,
            "step": [10, 20, 400, 400],
        }
    )
    metrics = values.assign(metric=["exact_match"] * 3 + ["early_stop_step"])
    found = probed_points(Checkpoints.find(tmp_path / "task0", tmp_path / "arm"), metrics, tmp_path / "floor")
    folders = [(point.name, point.step, floor and floor.name) for point, floor in found]
    assert folders == [("trough", 20, "step-000020"), ("matched", 300, "matched"), ("end", 400, "step-000300")]
    (tmp_path / "floor/step-000020").rmdir()
    found = probed_points(Checkpoints.find(tmp_path / "task0", tmp_path / "arm"), metrics, tmp_path / "floor")
    assert [floor and floor.name for _, floor in found] == [None, "matched", "step-000300"]
