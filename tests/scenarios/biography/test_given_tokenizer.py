"""A tokenizer that is given, not trained on the data: Pythia's, in a folder or on the hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES, TINY_GROUPS
from tokenizers import Tokenizer as FastTokenizer

from forgetting.errors import StudyError
from forgetting.scenarios.biography.dataset import build_data
from forgetting.scenarios.biography.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder with a byte-level BPE tokenizer of another text, of the kind that Pythia has: it cuts most names into pieces."""
    tokenizer = train_tokenizer(
        sections.tokenizer(kind="bpe", vocabulary_size=400), ["What is the answer? Some other text, of other words."]
    )
    save_tokenizer(tokenizer, tmp_path / "given")
    return tmp_path / "given"


def test_data_is_made_with_a_given_tokenizer(given: Path, tmp_path: Path) -> None:
    tokenizer = sections.tokenizer(kind="path", path=str(given), vocabulary_size=10)
    run = jobs.data(data=sections.data(groups=TINY_GROUPS), tokenizer=tokenizer)
    build_data(run, RESOURCES, tmp_path / "data")  # which checks every boundary of prompt and answer
    made, original = load_tokenizer(tmp_path / "data/tokenizer"), load_tokenizer(given)
    assert made.get_vocab() == original.get_vocab(), "tokenizer.vocabulary_size is of trained ones only"


def test_a_hub_name_without_a_network_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str) -> FastTokenizer:
        raise Exception("cannot locate the file on the Hub\nand more lines")

    monkeypatch.setattr(FastTokenizer, "from_pretrained", offline)
    with pytest.raises(StudyError, match=r"tokenizer.path 'EleutherAI/pythia-160m': .*copy tokenizer.json into a folder") as error:
        train_tokenizer(sections.tokenizer(kind="path", path="EleutherAI/pythia-160m"), [])
    assert "\n" not in str(error.value)
