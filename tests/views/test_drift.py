from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from tests import jobs, sections

from forgetting.model.checkpoints import build_model, save_checkpoint
from forgetting.schemas.drift import DRIFT
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import AnswerTokens, Head, Point, answer_states
from forgetting.views.drift import divergences, drift

CPU = torch.device("cpu")


@pytest.fixture
def run():
    return jobs.drift()


def random_model(seed: int):
    return build_model(sections.model(heads=4, max_positions=32, initializer_range=0.2), 60, seed).eval().double()


def test_divergences_against_scipy_one_question_at_a_time(questions):
    questions = questions.select(np.arange(0, len(questions), 11))
    tokens, models = AnswerTokens.of(questions), (random_model(0), random_model(1))
    heads, states = [Head.of(model) for model in models], [answer_states(model, tokens, 5) for model in models]
    found, row = divergences(*heads, *states), 0
    for number in range(len(questions)):
        start, length = int(questions.prompt_length[number]), int(questions.answer_length[number])
        with torch.inference_mode():
            old, new = (model(questions.ids[number : number + 1]).logits[0].softmax(-1).numpy() for model in models)
        for position in range(start - 1, start + length - 1):
            assert float(found[0, row]) == pytest.approx(scipy.stats.entropy(old[position], new[position]), rel=1e-9)
            assert float(found[1, row]) == pytest.approx(scipy.stats.entropy(new[position], old[position]), rel=1e-9)
            row += 1
    assert row == found.shape[1]


def test_drift_is_zero_for_theta_star_itself_and_grows_along_a_walk(checkpoints, questions, run, tmp_path):
    points = [Point(str(step), step, checkpoints.folders[step]) for step in (0, 50, 400)]
    write_table(drift(run, checkpoints.folders[0], points, questions, CPU), tmp_path / "drift.parquet", DRIFT)
    table = read_table(tmp_path / "drift.parquet", DRIFT)
    assert set(table["split"]) == {"task1", "task0_test"}
    assert (table.loc[table["point"] == "0", "value"] == 0).all()
    values = table[table["kind"] == "all"].pivot_table(index=["split", "metric"], columns="step", values="value")
    assert (values[50] > 0).all() and (values[400] > values[50]).all()
    parts = table[table["kind"] != "all"].assign(total=lambda frame: frame["value"] * frame["n"])
    sums = parts.groupby(["split", "metric", "step"])[["total", "n"]].sum()
    whole = table[table["kind"] == "all"].set_index(["split", "metric", "step"])["value"]
    assert np.allclose((sums["total"] / sums["n"]).sort_index(), whole.sort_index())


@pytest.mark.parametrize("becomes_sure", [True, False])
def test_the_two_divergences_come_apart_when_a_model_becomes_sure_of_something_else_or_unsure(becomes_sure, questions, run, tmp_path):
    """A model that says anything has logits of zero. Only the divergence that is weighted by it is without bound; that of the sure model
    is at most the logarithm of the vocabulary, since it never meets what the other holds for impossible."""
    model = random_model(0).float()
    with torch.no_grad():
        for name, factor in (("sure", 30.0), ("unsure", 0.0)):
            model.get_output_embeddings().weight.mul_(factor)
            save_checkpoint(model, tmp_path / name)
    before, after = ("unsure", "sure") if becomes_sure else ("sure", "unsure")
    table = drift(run, tmp_path / before, [Point("end", 400, tmp_path / after)], questions, CPU)
    values = table[table["kind"] == "all"].set_index(["split", "metric"])["value"]
    for split in ("task1", "task0_test"):
        from_theta, to_theta = values[split, "kl_from_theta_star"], values[split, "kl_to_theta_star"]
        large, small = (from_theta, to_theta) if becomes_sure else (to_theta, from_theta)
        assert 0.5 * np.log(60) < small <= np.log(60) < 10 < large
