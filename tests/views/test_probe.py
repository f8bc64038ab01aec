from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.views.probe import RIDGE, answer_labels, probe


def test_labels_tell_answers_apart(questions):
    rows = questions.select(questions.attribute == "university")
    labels = answer_labels(rows, "university")
    answers = [
        tuple(ids[prompt : prompt + answer].tolist())
        for ids, prompt, answer in zip(rows.ids, rows.prompt_length, rows.answer_length, strict=True)
    ]
    assert all((labels[i] == labels[j]) == (answers[i] == answers[j]) for i in range(len(rows)) for j in range(len(rows)))


def test_of_a_birthday_the_month_counts(questions):
    rows = questions.select(questions.attribute == "birthday")
    months = rows.ids[torch.arange(len(rows)), rows.prompt_length].numpy()
    labels = answer_labels(rows, "birthday")
    assert ((labels[:, None] == labels) == (months[:, None] == months)).all()


def test_a_planted_attribute_is_read_and_noise_is_not():
    generator = np.random.default_rng(0)
    labels, persons = generator.integers(0, 4, 400), np.arange(400)
    noise = torch.from_numpy(generator.standard_normal((400, 20)))
    planted = noise + 8 * torch.nn.functional.one_hot(torch.from_numpy(labels), 20)
    assert probe(planted, persons, labels)["probe_accuracy"][0] > 0.99
    accuracy, chance = probe(noise, persons, labels)["probe_accuracy"]
    assert accuracy == pytest.approx(0.25, abs=0.1)
    assert chance == pytest.approx(0.25, abs=0.1)


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
    assert probe(torch.from_numpy(states), np.arange(60), labels)["probe_accuracy"][0] == np.mean(guess == labels[1::2])


def test_unseen_values_lower_the_ceiling_and_constant_states_give_the_modal_value():
    labels = np.array([1, 2, 1, 1, 3, 9, 1, 1])  # persons 0, 2, 4, 6 are fitted: 1, 1, 3, 1; tested: 2, 1, 9, 1
    result = probe(torch.full((8, 3), 0.3), np.arange(8), labels)
    assert result["probe_accuracy"] == (0.5, 0.5)
    assert result["probe_ceiling"][0] == 0.5
