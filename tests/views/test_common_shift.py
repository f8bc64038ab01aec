from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections

from forgetting.config.biography import ATTRIBUTES
from forgetting.evaluation.exact import score
from forgetting.model.checkpoints import build_model, save_checkpoint
from forgetting.schemas.common_shift import COMMON_SHIFT, COMMON_SHIFT_REPAIR
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import (
    AnswerTokens,
    Change,
    Head,
    LogitSpace,
    Point,
    ResidualSpace,
    answer_states,
    compared_points,
    leading,
)
from forgetting.views.common_shift import (
    common_share,
    common_shift,
    leave_out_means,
    split_change,
    unit_products,
    value_shares,
)
from forgetting.views.inputs import read_model
from forgetting.views.repair import random_draws, repaired

CPU = torch.device("cpu")
VOCABULARY = 60
ACCURACIES = ("exact_match", "first_token_hard")


@pytest.fixture
def run():
    return jobs.answers()


class Plain:
    """A space whose coordinates are logits themselves."""

    name = "logits"

    def coordinates(self, before, after):
        return before, after

    def decode(self, coordinates):
        return coordinates

    def isometric(self, changes):
        return changes.double()

    def corrected(self, after, shifts):
        return (after - shift for shift in shifts)


def random_model(seed: int):
    return build_model(sections.model(heads=4, max_positions=32, initializer_range=0.2), VOCABULARY, seed).eval().double()


def knowing_logits(tokens: AnswerTokens, seed: int = 0) -> torch.Tensor:
    """Logits (R, V) whose largest is the right token's, by a margin of at least 1."""
    logits = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (len(tokens.target), VOCABULARY)))
    return logits.scatter(1, tokens.target[:, None], 2.0)


def planted(tokens: AnswerTokens, grouping: str, size: float = 10.0) -> torch.Tensor:
    """A random shift a group, (R, V)."""
    group = tokens.groups(grouping)
    return size * torch.from_numpy(np.random.default_rng(5).standard_normal((int(group.max()) + 1, VOCABULARY)))[group]


@pytest.fixture
def tokens(questions) -> AnswerTokens:
    return AnswerTokens.of(questions.of("task0_test"))


@pytest.fixture
def train_questions(questions):
    """The persons of `task1` as if they were `task0_train`."""
    chosen = questions.of("task1")
    chosen.split[:] = "task0_train"
    return chosen


def test_answer_tokens_and_their_states_are_those_of_each_question_alone(questions):
    tokens, model = AnswerTokens.of(questions), random_model(0)
    states = answer_states(model, tokens, 7)
    logits = Head.of(model).logits(states)
    row = 0
    for number in range(len(questions)):
        prompt, answer = int(questions.prompt_length[number]), int(questions.answer_length[number])
        with torch.inference_mode():
            whole = model(questions.ids[number : number + 1, : prompt + answer]).logits[0].log_softmax(-1)
        for position in range(answer):
            assert (tokens.question[row], tokens.position[row]) == (number, position)
            assert tokens.target[row] == questions.ids[number, prompt + position]
            assert torch.allclose(logits[row].log_softmax(-1), whole[prompt + position - 1], atol=1e-9)
            row += 1
    assert row == len(states)
    assert torch.allclose(logits.mean(1), torch.zeros(row).double(), atol=1e-9)


def test_question_right_is_what_the_evaluation_scores(questions):
    tokens, model = AnswerTokens.of(questions), random_model(0).float()
    first_guess = questions.ids.clone()  # some right answers, so that the comparison is not of zeros
    states = Head.of(model).logits(answer_states(model, tokens, 7)).argmax(1)
    for row in torch.nonzero((tokens.position == 0) & (tokens.question % 3 == 0))[:, 0]:
        number = tokens.question[row]
        first_guess[number, questions.prompt_length[number]] = states[row]
    questions.ids.copy_(first_guess)
    tokens = AnswerTokens.of(questions)
    right = leading(Head.of(model).logits(answer_states(model, tokens, 7)), tokens.target)
    exact, first = tokens.question_right(right)
    facts = score(model, questions, 7)
    assert first.mean() > 0.3
    assert np.array_equal(first, facts["first_token_hard"]) and np.array_equal(exact, facts["exact_match"])


def test_the_logit_space_is_the_plain_difference_of_centred_logits(tokens):
    models = random_model(0), random_model(1)
    heads, states = [Head.of(model) for model in models], [answer_states(model, tokens, 7) for model in models]
    logits = [head.logits(each) for head, each in zip(heads, states, strict=True)]
    space = LogitSpace(*heads)
    before, after = space.coordinates(*states)
    assert torch.allclose(space.decode(before), logits[0], atol=1e-10)
    assert torch.allclose(space.decode(after), logits[1], atol=1e-10)
    vectors, changes = space.isometric(after - before), logits[1] - logits[0]
    assert torch.allclose(vectors @ vectors.T, changes @ changes.T, atol=1e-8)
    shifts = (after - before)[:3]
    for corrected, change in zip(space.corrected(after, shifts), changes[:3], strict=True):
        assert torch.allclose(corrected, logits[1] - change, atol=1e-10)


@pytest.mark.parametrize("grouping", ["kind_position", "one_shift"])
def test_leave_out_means_and_products_against_loops(tokens, grouping):
    group, unit = tokens.groups(grouping), tokens.unit
    changes = torch.from_numpy(np.random.default_rng(0).standard_normal((len(group), 5)))
    asked = tokens.questions.kind[tokens.question.numpy()] == "major"
    means = leave_out_means(changes, group, unit)
    common, total = 0.0, 0.0
    for row in range(len(group)):
        others = (group.numpy() == int(group[row])) & (unit != unit[row])
        expected = changes[others].mean(0) if others.any() else torch.zeros(5)
        assert torch.allclose(means[row], expected.double(), atol=1e-12)
        if asked[row] and others.any():
            common += float(changes[row] @ expected)
            total += float(changes[row] @ changes[row])
    products, energy = unit_products(changes, group, unit, asked)
    assert float(products.sum()) == pytest.approx(common)
    assert float(energy.sum()) == pytest.approx(total)
    assert common_share(products, energy, 0).value == pytest.approx(common / total)


def test_groups_are_one_for_each_attribute_and_position(tokens):
    kind = tokens.questions.kind[tokens.question.numpy()]
    expected = pd.Series(list(zip(kind, tokens.position.tolist(), strict=True)))
    found = pd.Series(tokens.groups("kind_position").numpy())
    assert (expected.groupby(found).nunique() == 1).all() and (found.groupby(expected).nunique() == 1).all()
    assert len(set(tokens.groups("one_shift").tolist())) == 1


@pytest.mark.parametrize("grouping", ["kind_position", "one_shift"])
def test_a_planted_common_shift_is_all_of_the_change_and_removed_exactly(tokens, grouping):
    before = knowing_logits(tokens)
    change = Change(tokens, before, before + planted(tokens, grouping))
    right = split_change(Plain(), change, grouping)
    shared = torch.tensor(alone(tokens, grouping))
    assert right["nothing"].double().mean() < 0.6
    assert right["everything"].all() and right["common"][~shared].all()
    assert torch.equal(right["rest"][~shared], right["nothing"][~shared])
    share = common_share(*unit_products(change.difference, tokens.groups(grouping), tokens.unit, np.full(len(shared), True)), 0)
    assert share.value == pytest.approx(1) and 0.9 < share.low <= share.high < 1.1
    assert share.chance == pytest.approx(0, abs=0.03) and share.chance_high < 0.7  # ten persons only


def alone(tokens: AnswerTokens, grouping: str) -> np.ndarray:
    """(R,) tokens whose group holds no other person."""
    frame = pd.DataFrame({"group": tokens.groups(grouping).numpy(), "unit": tokens.unit})
    return (frame.groupby("group")["unit"].transform("nunique") == 1).to_numpy()


def test_a_common_shift_and_noise_of_each_fact_give_the_planted_share():
    """Noise of the same expected squared length as the shift: half of the change is common, whatever the number of persons."""
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        shift, noise = generator.standard_normal(40), generator.standard_normal((12, 40))
        shift *= np.sqrt(40) / np.linalg.norm(shift)
        matrices = unit_products(torch.from_numpy(shift + noise), torch.zeros(12, dtype=torch.long), np.arange(12), np.full(12, True))
        shares.append(common_share(*matrices, 0).value)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)


def readable_space() -> LogitSpace:
    """A space of logits whose states are the logits themselves, but for their mean."""
    head = Head(torch.nn.Identity(), torch.eye(VOCABULARY).double() - 1 / VOCABULARY)
    return LogitSpace(head, head)


def test_a_shift_beside_the_candidates_is_common_over_the_vocabulary_and_not_among_the_values(tokens):
    """All answers shift alike, far, on tokens that are no value; among the values each person's logits change on their own."""
    generator = torch.Generator().manual_seed(0)
    candidates = torch.arange(20, 40)
    change = torch.zeros(len(tokens.target), VOCABULARY).double()
    change[:, :20] = 5 * torch.randn(20, generator=generator).double()
    change[:, candidates] = torch.randn(len(tokens.target), 20, generator=generator).double()
    space, before = readable_space(), torch.randn(len(tokens.target), VOCABULARY, generator=generator).double()
    moved = Change(tokens, *space.coordinates(before, before + change))
    found = value_shares(space, moved, dict.fromkeys(ATTRIBUTES, candidates), 0).set_index("kind")
    whole = unit_products(space.isometric(moved.difference), tokens.groups("kind_position"), tokens.unit, np.full(len(change), True))
    assert common_share(*whole, 0).value > 0.9
    assert abs(found.loc["all", "value"]) < 0.15 and found.loc["all", "chance_high"] > found.loc["all", "value"]
    assert set(found.index) == {"all", *ATTRIBUTES}


def test_the_share_among_values_is_that_of_their_centred_logits(tokens):
    """Kind by kind, from whole logits: the mean change of the other persons, as a plain loop finds it."""
    generator = torch.Generator().manual_seed(2)
    before, after = torch.randn(2, len(tokens.target), VOCABULARY, generator=generator).double() + torch.randn(VOCABULARY).double()
    after = after + torch.linspace(0, 3, VOCABULARY).double()
    space, candidates = readable_space(), torch.tensor([7, 9, 30, 31])
    found = value_shares(space, Change(tokens, *space.coordinates(before, after)), dict.fromkeys(ATTRIBUTES, candidates), 0)
    change = ((after - before)[:, candidates] - (after - before)[:, candidates].mean(1, keepdim=True)).numpy()
    kind, first = tokens.questions.kind[tokens.question.numpy()], (tokens.position == 0).numpy()
    inner, squares = 0.0, 0.0
    for name in ATTRIBUTES:
        rows = change[first & (kind == name)]
        inner += sum(float(row @ np.delete(rows, place, 0).mean(0)) for place, row in enumerate(rows))
        squares += float((rows**2).sum())
    assert found.set_index("kind").loc["all", "value"] == pytest.approx(inner / squares)


def test_changes_of_each_fact_alone_have_the_chance_share():
    """Independent changes: mean 0 (a plain mean of 8 would hold 1/8), and the null range holds about 95 % of the estimates."""
    generator = np.random.default_rng(1)
    values, inside = [], []
    for _ in range(150):
        matrices = unit_products(
            torch.from_numpy(generator.standard_normal((8, 30))), torch.zeros(8, dtype=torch.long), np.arange(8), np.full(8, True)
        )
        share = common_share(*matrices, 0)
        values.append(share.value)
        inside.append(share.chance_low <= share.value <= share.chance_high)
        assert share.chance == pytest.approx(0, abs=0.02)
    assert np.mean(values) == pytest.approx(0, abs=0.02)
    assert np.mean(inside) > 0.85


def test_identical_checkpoints_have_no_change(questions, train_questions, run, tmp_path):
    save_checkpoint(random_model(0).float(), tmp_path / "same")
    both = questions.of("task0_test").joined_with(train_questions)
    split, repair = common_shift(run, tmp_path / "same", [Point("end", 400, tmp_path / "same")], both, CPU)
    assert (split.loc[split["metric"] == "squared_change", "value"] == 0).all()
    assert split.loc[split["metric"] == "common_share", "value"].isna().all()
    accuracy = split[split["metric"].isin(ACCURACIES)].pivot_table(
        index=["space", "grouping", "kind", "metric"], columns="removed", values="value"
    )
    assert (accuracy.nunique(axis=1) == 1).all()
    plain = split[split["removed"] == "nothing"].set_index(["space", "grouping", "kind", "metric"])["value"]
    for row in repair.itertuples():
        assert row.value == pytest.approx(plain[row.space, row.grouping, row.kind, row.metric])


@pytest.mark.parametrize("unit", ["facts", "units"])
@pytest.mark.parametrize("grouping", ["kind_position", "one_shift"])
def test_a_planted_shift_is_repaired_where_it_was_seen(tokens, train_questions, grouping, unit):
    """Known facts shift alike: their mean is the shift. A position they do not reach keeps its error."""
    known_tokens = AnswerTokens.of(train_questions)
    shift = planted(tokens, "kind_position" if grouping == "kind_position" else "one_shift")
    of_group = dict(zip(tokens.groups(grouping).tolist(), shift, strict=True))
    known_before = knowing_logits(known_tokens, 9)
    zero = torch.zeros(VOCABULARY).double()
    known_shift = torch.stack([of_group.get(number, zero) for number in known_tokens.groups(grouping).tolist()])
    before = knowing_logits(tokens)
    known = Change(known_tokens, known_before, known_before + known_shift)
    asked = Change(tokens, before, before + shift)
    draws = random_draws(train_questions, unit, 2, seed=0)
    found = repaired(Plain(), known, asked, grouping, draws)
    for right, draw in zip(found, draws, strict=True):
        seen_groups = set(known_tokens.groups(grouping)[np.isin(known_tokens.question.numpy(), draw)].tolist())
        seen = torch.tensor([number in seen_groups for number in tokens.groups(grouping).tolist()])
        assert right[seen].all()
        untouched = leading(asked.after[~seen], tokens.target[~seen])
        assert torch.equal(right[~seen], untouched)


def test_random_shifts_of_the_same_length_repair_nothing(tokens, train_questions):
    """A planted shift is undone by its mean, and by no random vector as long."""
    known_tokens = AnswerTokens.of(train_questions)
    before, shift = knowing_logits(tokens), planted(tokens, "one_shift")
    known_before = knowing_logits(known_tokens, 9)
    known = Change(known_tokens, known_before, known_before + shift[:1])
    asked = Change(tokens, before, before + shift)
    draws = random_draws(train_questions, "units", 2, seed=0)
    assert repaired(Plain(), known, asked, "one_shift", draws).float().mean() == 1
    as_is = leading(asked.after, tokens.target).float().mean()
    assert repaired(Plain(), known, asked, "one_shift", draws, random=0).float().mean() < as_is + 0.1 < 1


def test_draws_are_seeded_facts_or_whole_persons(train_questions):
    assert all(len(draw) == 4 for draw in random_draws(train_questions, "facts", 4, 0))
    for draw in random_draws(train_questions, "units", 4, 0):
        assert len(draw) == 4 * len(ATTRIBUTES) and len(np.unique(train_questions.unit[draw])) == 4
    first, again, other = (random_draws(train_questions, "units", 4, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_residual_stream_is_corrected_before_the_norm(tokens):
    model = random_model(0)
    states = answer_states(model, tokens, 7)
    space = ResidualSpace(Head.of(model))
    shift = torch.from_numpy(np.random.default_rng(0).standard_normal(32))
    corrected = next(space.corrected(states + shift, shift[None]))
    with torch.inference_mode():
        plain = model.gpt_neox.final_layer_norm(states) @ model.get_output_embeddings().weight.T
    assert torch.allclose(corrected.log_softmax(1), plain.log_softmax(1), atol=1e-9)


def test_tables_hold_every_point(checkpoints, questions, train_questions, run, tmp_path):
    both = questions.of("task0_test").joined_with(train_questions)
    points = compared_points(checkpoints, 200.0)
    assert [(point.name, point.step) for point in points] == [("early", 150), ("matched", 200), ("end", 400)]
    assert [point.name for point in compared_points(checkpoints, float("nan"))] == ["early", "end"]
    split, repair = common_shift(run, checkpoints.folders[0], points, both, CPU)
    write_table(split, tmp_path / "split.parquet", COMMON_SHIFT)
    write_table(repair, tmp_path / "repair.parquet", COMMON_SHIFT_REPAIR)
    split, repair = read_table(tmp_path / "split.parquet", COMMON_SHIFT), read_table(tmp_path / "repair.parquet", COMMON_SHIFT_REPAIR)
    assert not split.duplicated(["point", "kind", "space", "grouping", "removed", "metric"]).any()
    assert not repair.duplicated(["point", "kind", "space", "grouping", "counted", "known", "metric"]).any()
    assert (repair["known"].groupby(repair["counted"]).max() == pd.Series({"facts": 32, "random": 1, "units": 8})).all()
    shares = split[split["metric"].str.startswith("common_share")]
    assert len(shares[shares["metric"] == "common_share_among_values"]) == len(points) * (1 + len(ATTRIBUTES))
    assert ((shares["low"] <= shares["value"]) & (shares["value"] <= shares["high"])).mean() > 0.9
    facts = score(read_model(checkpoints.folders[400], CPU), questions.of("task0_test"), 7)
    row = {"point": "end", "kind": "all", "space": "logits", "grouping": "one_shift", "removed": "nothing", "metric": "exact_match"}
    assert split.loc[(split[list(row)] == pd.Series(row)).all(axis=1), "value"].item() == pytest.approx(facts["exact_match"].mean())
