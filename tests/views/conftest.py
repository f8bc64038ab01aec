"""A tiny study: questions about a few persons, and a model whose weights drift from checkpoint to checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests import sections
from tests.made_items import made_items

from forgetting.config.biography import ATTRIBUTES
from forgetting.data.items import Items
from forgetting.model.checkpoints import build_model, save_checkpoint
from forgetting.views.inputs import Checkpoints

VOCABULARY = 60
STEPS = (50, 100, 150, 200, 400)


def tiny_model(seed: int = 0):
    return build_model(sections.model(heads=4, max_positions=32, initializer_range=0.2), VOCABULARY, seed).eval()


@pytest.fixture
def questions() -> Items:
    """Ten persons in each of three groups; prompts of 4 to 7 tokens that end in token 5, answers of 1 to 3 tokens and the end token 0."""
    generator = np.random.default_rng(1)
    rows, lengths, unit, group, kind = [], [], [], [], []
    for number, of_group in enumerate(("task0_test", "task1", "control")):
        for member in range(10):
            for name in ATTRIBUTES:
                prompt = [*generator.integers(6, VOCABULARY, generator.integers(3, 7)), 5]
                answer = [*generator.integers(6, VOCABULARY, generator.integers(1, 4)), 0]
                rows.append(torch.tensor([*prompt, *answer]))
                lengths.append((len(prompt), len(answer)))
                unit.append(10 * number + member)
                group.append(of_group)
                kind.append(name)
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    prompt_length, answer_length = torch.tensor(lengths).T
    return made_items(ids, prompt_length, answer_length, np.array(unit), np.array(group, dtype=object), np.array(kind, dtype=object))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """The model after Task 0 and Task 1 checkpoints at STEPS: a random walk of all weights."""
    model = tiny_model()
    save_checkpoint(model, tmp_path / "task0")
    torch.manual_seed(2)
    for step in STEPS:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_checkpoint(model, tmp_path / "task1" / f"step-{step:06d}")
    save_checkpoint(model, tmp_path / "task1" / "matched")
    return Checkpoints.find(tmp_path / "task0", tmp_path / "task1")
