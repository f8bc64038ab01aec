"""What the training of a model that somebody else made needs beside the loop: a learning rate by its size, and LoRA."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from forgetting.errors import StudyError
from forgetting.training.step import Hooks

REFERENCE_RATE, REFERENCE_WEIGHTS, RATE_EXPONENT = 3e-5, 135e6, -0.3
"""The default learning rate is the first for a model of so many weights, and changes with that power of their number: through what was
found good for 2 and for 135 million, and near what is usual for 7 billion."""
RATE_OF_LORA = 10


def training_rate(given: float | None, weights: int, low_rank: bool) -> float:
    """The learning rate that the user gave, else the default for so many weights; with LoRA ten times the default."""
    if given is not None:
        return given
    rate = REFERENCE_RATE * (weights / REFERENCE_WEIGHTS) ** RATE_EXPONENT
    return rate * RATE_OF_LORA if low_rank else rate


class LowRank(Hooks):
    """Trains the adapters alone."""

    def trainable(self, name: str) -> bool:
        return ".lora_" in name


def with_lora(model: PreTrainedModel, seed: int, key: str) -> LowRank:
    """Put a trainable adapter of rank 16 on every linear map (Hu et al. 2021), in place, with random weights that depend on `seed` alone.
    Raises StudyError that names the `key` of the config which asks for it, where peft is not installed."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise StudyError(f"{key} needs the package peft: .venv/bin/pip install -e '.[diagnose]'") from None
    maps = [name for name, module in model.named_modules() if type(module).__name__ in ("Linear", "Conv1D")]
    head = model.get_output_embeddings()
    targets = [name for name in maps if model.get_submodule(name) is not head]
    torch.manual_seed(seed)
    inject_adapter_in_model(LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets), model)
    model.to(next(model.parameters()).device)
    return LowRank()
