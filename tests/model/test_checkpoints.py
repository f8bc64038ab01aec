from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests import sections
from transformers import AutoModelForCausalLM

from forgetting.model.checkpoints import CheckpointError, build_model, load_checkpoint, load_weights, save_checkpoint

TINY = sections.model()


def test_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (build_model(TINY, 50, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["gpt_neox.embed_in.weight"], other["gpt_neox.embed_in.weight"])


def test_pythia_160m_has_its_162_million_parameters() -> None:
    with torch.device("meta"):
        model = build_model(sections.model(layers=12, hidden_size=768, heads=12), 50_304, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(162.3e6, rel=1e-3)


def test_rows_are_added_for_no_token_up_to_a_multiple(tmp_path: Path) -> None:
    padded = TINY.model_copy(update={"vocabulary_multiple": 128})
    for tokens, rows in ((50_277, 50_304), (50_304, 50_304), (1, 128)):
        with torch.device("meta"):
            model = build_model(padded, tokens, seed=0)
        assert len(model.get_input_embeddings().weight) == len(model.get_output_embeddings().weight) == rows
    save_checkpoint(build_model(padded, 50, seed=0), tmp_path / "model")
    assert len(load_checkpoint(tmp_path / "model").get_output_embeddings().weight) == 128


def test_a_checkpoint_comes_back_bit_for_bit_and_opens_with_transformers(tmp_path: Path) -> None:
    model = build_model(TINY, 50, seed=0)
    save_checkpoint(model, tmp_path / "step-000001")
    ids = torch.arange(10)[None]
    with torch.no_grad():
        expected = model.eval()(ids).logits
        assert torch.equal(load_checkpoint(tmp_path / "step-000001")(ids).logits, expected)
        assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path / "step-000001")(ids).logits, expected)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("keep", [0, 7, 2000])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, keep: int) -> None:
    save_checkpoint(build_model(TINY, 50, seed=0), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load_checkpoint(tmp_path / "model")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere/model\.safetensors"):
        load_weights(tmp_path / "nowhere")
