"""What a training job costs: operations, utilisation, memory and energy of the device.

What counts as an operation. A token that a prediction needs (every token of a document but the last, which is only predicted) costs 2
operations a matrix weight of the blocks forward, 2 for the gradient of the weight where it is trained, and 2 for the gradient of its
input where anything before it is trained: 6 in plain training. A predicted token costs the same for the output embedding. Attention costs
4 operations a layer, unit of width and pair of a token with itself or an earlier one of its document, and twice that backward. The input
embedding, biases, norms, padding, logits of tokens that are not predicted, recomputation, the optimizer, evaluation, and what a method
adds (penalties, projections) count as nothing: a job that spends time on these has the lower utilisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isnan, nan
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from forgetting.model.anatomy import Anatomy, is_known, output_weight
from forgetting.training.batches import Batch

PEAKS = {
    r"NVIDIA H200": {"bf16": 989e12, "float32": 67e12},
    r"NVIDIA H100 80GB HBM3": {"bf16": 989e12, "float32": 67e12},  # the SXM module
    r"NVIDIA H100 PCIe": {"bf16": 756e12, "float32": 51e12},
    r"NVIDIA A100(-SXM4-| |-PCIE-).*": {"bf16": 312e12, "float32": 19.5e12},
    r"NVIDIA L40S": {"bf16": 362e12, "float32": 91.6e12},
    r"Tesla V100-SXM2-.*": {"float32": 15.7e12},
}
"""Operations a second without sparsity, by the name that CUDA gives the device, as published in NVIDIA's data sheets of these products.
bf16: tensor cores. float32: the other ones, which PyTorch uses unless TF32 was allowed."""


def peak_operations(name: str, precision: str) -> float:
    """Published operations a second of the device called `name`, NaN where not known, as for a slice of a device (MIG)."""
    if "MIG" in name or (precision == "float32" and torch.get_float32_matmul_precision() != "highest"):
        return nan
    return next((peaks.get(precision, nan) for pattern, peaks in PEAKS.items() if re.fullmatch(pattern, name)), nan)


def document_lengths(batch: Batch) -> np.ndarray:
    """Tokens of each document, zeros among them, padding (a negative document) left out; where attention crosses documents, of each row."""
    if batch.documents is not None:
        rows, width = batch.documents.shape
        of_batch = batch.documents + torch.arange(rows)[:, None] * (width + 1)
        return np.bincount(of_batch[batch.documents >= 0].numpy())
    # In a row of its own, a document ends with the last token that is predicted in it.
    lengths = np.zeros(len(batch.ids), dtype=np.int64)
    np.maximum.at(lengths, batch.row.numpy(), batch.position.numpy() + 2)
    return lengths


class Work:
    """How many operations one training step of a model needs, given which of its parameters are trained now; none are counted of a family
    that `anatomy.py` does not know."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.token = self.pair = self.prediction = 0
        if not is_known(model.config):
            return
        anatomy, output = Anatomy(model.config), output_weight(model)
        maps = {name for _, name, _ in anatomy.maps(model)}
        reached = False  # whether a parameter so far is trained, so that gradients must come back to here
        for name, parameter in model.named_parameters():
            if name in maps:
                if "attention_output" in anatomy.components_of(name):  # reads as many numbers as all heads of the queries have
                    self.pair += 4 * anatomy.by_output(name, parameter).shape[1] * (3 if reached else 1)
                self.token += (2 + 2 * parameter.requires_grad + 2 * reached) * parameter.numel()
            reached |= parameter.requires_grad and (anatomy.tied or parameter is not output)  # tied, it is the input embedding, too
        self.prediction = (2 + 2 * output.requires_grad + 2 * reached) * output.numel()

    def of(self, batch: Batch) -> tuple[int, int]:
        """Tokens of a batch without padding, and the operations of a step on it."""
        lengths = document_lengths(batch)
        read = (lengths - 1).clip(min=0)
        pairs = int((read * (read + 1)).sum()) // 2
        return int(lengths.sum()), self.token * int(read.sum()) + self.prediction * len(batch.row) + self.pair * pairs


class Needs(NamedTuple):
    """Of one step: tokens without padding, tokens with it, operations."""

    tokens: int
    positions: int
    operations: int


class Meter:
    """Adds what training uses to `usage`, plain numbers by name that a saved state can hold, so that a resumed job goes on counting.

    steps; positions: tokens with padding; operations: as above; possible_operations: what the device could have done in the time;
    energy: joules of the whole device, whoever uses it, evaluation included; memory: largest bytes of tensors; devices: how many are used.
    The last four are NaN where not known, as without a GPU. Where several processes share each batch, one of them counts for all: its own
    share as many times.
    """

    def __init__(self, model: PreTrainedModel, precision: str, usage: dict[str, float], processes: int = 1) -> None:
        self.usage, self.work, self.processes, self.device = usage, Work(model), processes, next(model.parameters()).device
        self.on_gpu = self.device.type == "cuda" and torch.cuda.is_available()
        self.peak = peak_operations(torch.cuda.get_device_name(self.device), precision) if self.on_gpu else nan
        self.counter = EnergyCounter(self.device if self.on_gpu else torch.device("cpu"))
        self.energy_before = self.counter.joules()

    def needs(self, batch: Batch, positions: int) -> Needs:
        """What a step on a batch needs, whose tensors must be on the CPU; `positions` tokens go through the model, padding included."""
        tokens, operations = self.work.of(batch)
        return Needs(self.processes * tokens, self.processes * positions, self.processes * operations)

    def count(self, step: Needs) -> int:
        """Count a step that was made; its tokens without padding."""
        self._add(steps=1, positions=step.positions, operations=step.operations)
        return step.tokens

    def wait(self) -> None:
        """Until the device has done what it was given, so that its time does not count as that of what comes next."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def read(self, seconds: float) -> float:
        """Add what was used since the last call, in `seconds` of training, which it gives back."""
        energy = self.counter.joules()
        self._add(possible_operations=self.processes * seconds * self.peak, energy=self.processes * (energy - self.energy_before))
        self.energy_before = energy
        memory = float(torch.cuda.max_memory_allocated(self.device)) if self.on_gpu else nan
        for name, value in (("memory", memory), ("devices", float(self.processes) if self.on_gpu else nan)):
            self.usage[name] = max(value, self.usage.get(name, value))
        return seconds

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            self.usage[name] = self.usage.get(name, 0) + value


def usage_metrics(usages: Iterable[tuple[float, int, dict[str, float]]]) -> dict[str, float]:
    """Metrics of trainings of one job, each given as seconds, tokens without padding, and what a Meter counted; without those not known."""
    seconds, tokens, counted = zip(*usages, strict=True)
    total = {name: sum(usage[name] for usage in counted) for name in ("steps", "positions", "operations", "possible_operations", "energy")}
    found = {
        "seconds": sum(seconds),
        "tokens_per_second": sum(tokens) / sum(seconds),
        "step_seconds": sum(seconds) / total["steps"],
        "trained_tokens": sum(tokens),
        "padding_share": 1 - sum(tokens) / total["positions"],
        "trained_operations": total["operations"],
        "model_flop_utilisation": total["operations"] / total["possible_operations"],
        "devices": max(usage["devices"] for usage in counted),
        "peak_device_memory": max(usage["memory"] for usage in counted),
        "energy_joules": total["energy"],
    }
    return {name: value for name, value in found.items() if not isnan(value)}


class EnergyCounter:
    """What a device has used since its driver was loaded, by NVML (the optional package nvidia-ml-py, from the Volta generation on)."""

    def __init__(self, device: torch.device) -> None:
        self.handle = None
        if device.type != "cuda":
            return
        try:
            import pynvml
        except ImportError:
            return
        self.library = pynvml
        try:
            pynvml.nvmlInit()
            # By its unique name, as CUDA_VISIBLE_DEVICES gives devices other numbers.
            self.handle = pynvml.nvmlDeviceGetHandleByUUID("GPU-" + str(torch.cuda.get_device_properties(device).uuid).removeprefix("GPU-"))
        except pynvml.NVMLError:
            pass

    def joules(self) -> float:
        """NaN where not known."""
        if self.handle is None:
            return nan
        try:
            return self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000
        except self.library.NVMLError:
            return nan
