from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.intervals import clustered_wilson
from forgetting.views.probe import RIDGE, Guesses, answer_labels, probe


def test_labels_tell_answers_apart(questions):
    rows = questions.select(questions.kind == "university")
    labels = answer_labels(rows, "university")
    answers = [
        tuple(ids[prompt : prompt + answer].tolist())
        for ids, prompt, answer in zip(rows.ids, rows.prompt_length, rows.answer_length, strict=True)
    ]
    assert all((labels[i] == labels[j]) == (answers[i] == answers[j]) for i in range(len(rows)) for j in range(len(rows)))


def test_of_a_birthday_the_month_counts(questions):
    rows = questions.select(questions.kind == "birthday")
    months = rows.ids[torch.arange(len(rows)), rows.prompt_length].numpy()
    labels = answer_labels(rows, "birthday")
    assert ((labels[:, None] == labels) == (months[:, None] == months)).all()


def test_a_planted_attribute_is_read_and_noise_is_not():
    generator = np.random.default_rng(0)
    labels, units = generator.integers(0, 4, 400), np.arange(400)
    noise = torch.from_numpy(generator.standard_normal((400, 20)))
    planted = noise + 8 * torch.nn.functional.one_hot(torch.from_numpy(labels), 20)
    assert probe(planted, units, labels).measured()["probe_accuracy"].value > 0.99
    accuracy = probe(noise, units, labels).measured()["probe_accuracy"]
    assert accuracy.low < 0.25 < accuracy.high
    assert accuracy.value == pytest.approx(0.25, abs=0.1)
    assert accuracy.chance == pytest.approx(0.25, abs=0.1)


def test_probe_against_ordinary_least_squares_with_rows_for_the_penalty():
    generator = np.random.default_rng(1)
    labels, states = generator.integers(0, 3, 60), generator.standard_normal((60, 5))
    states[:, 0] += labels
    fit, test = states[::2], states[1::2]
    centred = fit - fit.mean(0)
    penalty = np.sqrt(RIDGE * np.square(centred).sum() / 5) * np.eye(5)
    one_hot = np.eye(3)[labels[::2]]
    coefficients = np.linalg.lstsq(np.vstack([centred, penalty]), np.vstack([one_hot - one_hot.mean(0), np.zeros((5, 3))]), rcond=None)[0]
    guess = ((test - fit.mean(0)) @ coefficients + one_hot.mean(0)).argmax(1)
    right = guess == labels[1::2]
    found = probe(torch.from_numpy(states), np.arange(60), labels)
    assert (found.right == right).all()
    assert found.measured()["probe_accuracy"][:3] == clustered_wilson(right, np.arange(30))


def test_rotations_and_mirrors_change_no_guess():
    generator = np.random.default_rng(3)
    labels, states = generator.integers(0, 5, 80), generator.standard_normal((80, 12))
    states[:, :5] += np.eye(5)[labels]
    rotation = np.linalg.qr(generator.standard_normal((12, 12)))[0] * generator.choice([-1, 1], 12)
    first, second = (probe(torch.from_numpy(each), np.arange(80), labels) for each in (states, states @ rotation))
    assert (first.right == second.right).all() and 0.3 < first.right.mean() < 1


def test_unseen_values_lower_the_ceiling_and_constant_states_give_the_modal_value():
    labels = np.array([1, 2, 1, 1, 3, 9, 1, 1])  # persons 0, 2, 4, 6 are fitted: 1, 1, 3, 1; tested: 2, 1, 9, 1
    result = probe(torch.full((8, 3), 0.3), np.arange(8), labels).measured()
    assert result["probe_accuracy"].value == result["probe_accuracy"].chance == 0.5
    assert result["probe_ceiling"].value == 0.5


def test_probes_of_several_attributes_are_pooled_by_person():
    one = Guesses(np.arange(4), np.array([1, 1, 0, 1], bool), np.zeros(4, bool), np.ones(4, bool))
    two = Guesses(np.arange(4), np.array([1, 1, 0, 0], bool), np.ones(4, bool), np.ones(4, bool))
    accuracy = Guesses.joined([one, two]).measured()["probe_accuracy"]
    assert accuracy[:3] == clustered_wilson([1, 1, 0, 1, 1, 1, 0, 0], [0, 1, 2, 3] * 2)
    assert accuracy.chance == 0.5


def test_one_person_gives_no_number():
    assert np.isnan(probe(torch.ones(1, 3), np.zeros(1, int), np.zeros(1, np.int64)).measured()["probe_accuracy"].value)
