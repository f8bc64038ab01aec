"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.config import Data, Groups, Run, Tokenizer
from tests.study import SMOKE, clone_to, snakemake

RESOURCES = Path(__file__).parent.parent / "resources"
TINY_GROUPS = Groups(task0_train=12, task0_val=4, task0_test=8, task1=16, control=4)


@pytest.fixture(scope="session")
def smoke_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the whole study was run at smoke scale. Tests leave it as they found it."""
    clone = clone_to(tmp_path_factory.mktemp("smoke") / "clone")
    done = snakemake("--cores", "2", "all", *SMOKE, "--show-failed-logs", cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    return clone


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete data stage with 44 persons."""
    from forgetting.biography.dataset import build_data

    folder = tmp_path_factory.mktemp("data")
    build_data(Run(scale="tiny", seed=0, stage="data", data=Data(groups=TINY_GROUPS), tokenizer=Tokenizer()), RESOURCES, folder)
    return folder


@pytest.fixture
def tiny_model(tiny_data: Path):
    """A GPT-NeoX of two layers with random weights over the vocabulary of `tiny_data`."""
    from forgetting.biography.tokenizer import load_tokenizer
    from forgetting.config import Model
    from forgetting.model import build_model

    vocabulary = load_tokenizer(tiny_data / "tokenizer").get_vocab_size()
    return build_model(Model(layers=2, hidden_size=32, heads=2, initializer_range=0.2), vocabulary, seed=0)


@pytest.fixture(scope="session")
def tiny_questions(tiny_data: Path):
    from forgetting.tokens import Questions

    return Questions.load(tiny_data / "qa.parquet")
