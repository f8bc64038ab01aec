"""Tiny random models of every family, with what sets it apart: fewer key heads, a head width of its own, tied embeddings, a window."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, PreTrainedModel

from forgetting.model.anatomy import FAMILIES, scratch_config
from forgetting.model.checkpoints import random_model
from tests import sections

LAYERS, WIDTH, HEADS = 2, 32, 4
VARIANTS: dict[str, dict[str, Any]] = {
    "gpt_neox": {},
    "gpt2": {},
    "gpt2-tied": {"tie_word_embeddings": True},
    "llama": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 1, "sliding_window": 6},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 12},
    "olmo2": {"num_key_value_heads": 2},
}
assert {name.partition("-")[0] for name in VARIANTS} == set(FAMILIES)
_SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "max_position_embeddings": 64}
OTHERS: dict[str, dict[str, Any]] = {
    "gpt_bigcode": {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64}
    | dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.0),
    "phi": _SHAPE | {"intermediate_size": 64},  # its output embedding has a bias
    "gemma2": _SHAPE | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 3.0},
    "opt": _SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": WIDTH, "dropout": 0.0},
}
"""Families that have no anatomy."""
every_family = pytest.mark.parametrize("family", VARIANTS)
UNLIKE = ("gpt2-tied", "qwen3")
"""Two that share hardly anything: fused against separate matrices, tied against untied embeddings, learned against rotary positions."""
every_family_at_length = pytest.mark.parametrize(
    "family", [name if name in UNLIKE else pytest.param(name, marks=pytest.mark.long) for name in VARIANTS]
)
"""For tests of ten seconds a family."""


def family_model(family: str, vocabulary: int, seed: int = 0) -> PreTrainedModel:
    """Biases and norms are random, too."""
    kind = family.partition("-")[0]
    shape = sections.model(architecture=kind, layers=LAYERS, hidden_size=WIDTH, heads=HEADS, initializer_range=0.2)
    model = random_model(AutoConfig.for_model(**scratch_config(shape, vocabulary) | VARIANTS[family]), seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def other_model(family: str, vocabulary: int, seed: int = 0) -> PreTrainedModel:
    """A tiny model of one of OTHERS. Biases are random, too, and there is no dropout."""
    tokens = dict.fromkeys(["bos_token_id", "eos_token_id", "pad_token_id"], 0)
    config = AutoConfig.for_model(family, vocab_size=vocabulary, **tokens, **OTHERS[family], initializer_range=0.2, init_std=0.2)
    model = random_model(config, seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model
