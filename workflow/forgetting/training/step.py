"""One optimizer step: the plain one, and the fast one for GPUs, which does the same on packed batches of constant shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from forgetting.config.sections import Optimizer
from forgetting.errors import StudyError
from forgetting.model.anatomy import Anatomy, is_known, logits_at, output_weight
from forgetting.training.attention import within_documents
from forgetting.training.batches import Batch, Batches
from forgetting.training.distributed import World
from forgetting.training.finite import Finite
from forgetting.training.loss import compiled_linear_cross_entropy, linear_cross_entropy
from forgetting.training.optimizer import build_optimizer, set_learning_rate
from forgetting.training.packing import Packed, Packer

PLAIN = os.environ.get("FORGETTING_PLAIN_STEPS", "") not in ("", "0")
"""Do without the fast steps, to compare with them or should they fail. Of the environment, as both give the same up to rounding."""
AMPERE = (8, 0)
"""The first compute capability with bf16."""
LARGEST_HEAD = 256
"""Of flash attention, which also wants a multiple of 8."""
SHAPES = 64
"""How many shapes of batches may be compiled in one process; beyond, code runs slowly as it is written."""
STEPS_BEFORE_GRAPH = 3
"""Compiled code and the optimizer's state are made in the first of them."""
SAMPLE = 16
"""How many batches are looked at to choose their shape."""


class Hooks:
    """What a method may do within each optimizer step; plain training does none of it.

    On a GPU one step is recorded and then repeated, Python code and all, so a hook does the same in each step: no branch on the value
    of a tensor and no number that Python counts.
    """

    def trainable(self, name: str) -> bool:
        """Whether the optimizer owns the parameter called `name`; the others stay bit-identical."""
        return True

    def on_loss(self, loss: Tensor) -> Tensor:
        """The loss to minimise, given that of the batch."""
        return loss

    def on_gradient(self) -> None:
        """Called when the trainable parameters have their gradients, before these are clipped."""

    def on_update(self) -> None:
        """Called when the optimizer has moved the trainable parameters, weight decay included."""


class BatchLoss(nn.Module):
    """Next-token loss (nats) over the predicted tokens of a batch: their mean, or their sum weighted with `batch.share`."""

    def __init__(self, model: PreTrainedModel, precision: str = "float32") -> None:
        super().__init__()
        self.model, self.precision, self.known = model, precision, is_known(model.config)

    def forward(self, batch: Batch) -> Tensor:
        device = self.model.device
        ids, row, position = batch.ids.to(device), batch.row.to(device), batch.position.to(device)
        mask, places = None, None
        if batch.documents is not None:
            window = getattr(self.model.config, "sliding_window", None)
            if window is not None and window < ids.shape[1]:  # which a mask for all layers alike cannot say
                raise StudyError(f"rows of {ids.shape[1]} tokens exceed the attention window of {window}: shorten pretrain.sequence_length")
            documents = batch.documents.to(device)
            causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=device).tril()
            mask = ((documents[:, :, None] == documents[:, None, :]) & causal)[:, None]
            starts = torch.zeros_like(documents)
            starts[:, 1:] = (documents[:, 1:] != documents[:, :-1]) * torch.arange(1, ids.shape[1], device=device)
            places = torch.arange(ids.shape[1], device=device) - starts.cummax(1).values
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            if not self.known:
                return self._of_another_family(batch, ids, row, position)
            hidden = self.model.base_model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False).last_hidden_state
            weight = output_weight(self.model)
            share = None if batch.share is None else batch.share.to(device)
            return linear_cross_entropy(hidden[row, position].float(), weight, ids[row, position + 1], share)

    def _of_another_family(self, batch: Batch, ids: Tensor, row: Tensor, position: Tensor) -> Tensor:
        """The same through the model's own head. Raises StudyError for several documents in a row, which only known families keep apart."""
        if batch.documents is not None:
            Anatomy(self.model.config)
        losses = cross_entropy(logits_at(self.model, ids, row, position).float(), ids[row, position + 1], reduction="none")
        return losses.mean() if batch.share is None else losses @ batch.share.to(losses.device)


class PackedLoss(nn.Module):
    """The same of a packed batch; what `torch.compile` compiles."""

    def __init__(self, model: PreTrainedModel, precision: str) -> None:
        super().__init__()
        self.model, self.device = model, model.device.type
        self.precision = torch.bfloat16 if precision == "bf16" else torch.float32

    def forward(self, batch: Packed) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            hidden = self.model.base_model(
                input_ids=batch.ids, position_ids=batch.places, use_cache=False, bounds=batch.bounds, longest=batch.longest
            ).last_hidden_state
        predicting = hidden[0, batch.predicting].to(self.precision)
        return compiled_linear_cross_entropy(predicting, self.model.get_output_embeddings().weight, batch.target, batch.share)


class PlainStep:
    """One optimizer step as written: forward, backward, clip, update."""

    ahead = 0
    """How many batches a thread may make ahead of the steps."""

    def __init__(
        self, model: PreTrainedModel, parameters: Sequence[tuple[str, nn.Parameter]], config: Optimizer, precision: str, hooks: Hooks
    ) -> None:
        self.loss: Any = BatchLoss(model, precision)
        self.tensors = [parameter for _, parameter in parameters]
        self.clip, self.hooks = config.gradient_clip, hooks
        self.optimizer = build_optimizer(parameters, config, _in_block(model, config))
        self.finite = Finite(model.device)

    def spread_over(self, world: World) -> None:
        """Let each process of `world` train on its rows of every batch."""
        self.loss = world.wrap(self.loss)

    def prepare(self, batch: Batch) -> Any:
        """What the step takes of a batch."""
        return batch

    def evaluating(self) -> AbstractContextManager[None]:
        """Within this block the model is evaluated between two steps."""
        return nullcontext()

    def __call__(self, prepared: Any, factor: float) -> Tensor:
        """Train on a prepared batch at this fraction of the peak learning rate; the loss, a scalar on the device that holds until the next
        step."""
        set_learning_rate(self.optimizer, factor)
        return self._train(prepared)

    def _train(self, prepared: Any) -> Tensor:
        loss = self.loss(prepared)
        self.hooks.on_loss(loss).backward()
        self.hooks.on_gradient()
        self.finite.add(loss, nn.utils.clip_grad_norm_(self.tensors, self.clip))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.hooks.on_update()
        return loss.detach()


def _in_block(model: PreTrainedModel, config: Optimizer) -> Callable[[str], bool]:
    """Whether a parameter belongs to a layer, which only Muon asks. Raises StudyError where it does and the family is not known."""
    if config.kind != "muon":
        return lambda name: False
    blocks = Anatomy(model.config)
    return lambda name: blocks.layer_of(name) is not None


class FastStep(PlainStep):
    """The same on packed batches: compiled, and on a GPU recorded once as a CUDA graph and then replayed."""

    ahead = 8

    def __init__(
        self,
        model: PreTrainedModel,
        parameters: Sequence[tuple[str, nn.Parameter]],
        config: Optimizer,
        precision: str,
        hooks: Hooks,
        sample: list[Batch],
    ) -> None:
        super().__init__(model, parameters, config, precision, hooks)
        self.model, self.device = model, model.device
        self.packer = Packer(sample)
        self.loss = torch.compile(PackedLoss(model, precision), dynamic=False)
        self.inputs: Packed | None = None
        self.graph: Any = None
        self.recorded = self.device.type == "cuda"
        if self.device.type == "cuda":
            torch._dynamo.config.recompile_limit = SHAPES
            # Recording must see no other stream: gradients are summed on the one on which they were first made.
            self.stream = torch.cuda.Stream()
        if self.recorded:
            _keep_on_device(self.optimizer, self.device)

    def spread_over(self, world: World) -> None:
        with self._on_stream():
            super().spread_over(world)
        self.recorded = self.recorded and world.count == 1  # what the processes send each other is not recorded

    def prepare(self, batch: Batch) -> Packed:
        packed = self.packer(batch)
        return packed.each(Tensor.pin_memory) if self.device.type == "cuda" else packed

    def __call__(self, prepared: Packed, factor: float) -> Tensor:
        with self._on_stream():
            return self._call(prepared, factor)

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        """On a GPU, this block's work comes after what was begun before it, and before what is begun after it, on a stream of its own."""
        if self.device.type != "cuda":
            yield
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            yield
        torch.cuda.current_stream().wait_stream(self.stream)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Products in TF32, of which the answers are not less sure than the bf16 training made them; everywhere else float32 is exact."""
        usual = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(usual)

    def _call(self, prepared: Packed, factor: float) -> Tensor:
        if self.inputs is None or self.inputs.shape != prepared.shape:
            self.inputs = prepared.each(partial(torch.empty_like, device=self.device))
            self.graph, self.steps = None, 0
        for ours, given in zip(self.inputs.tensors, prepared.tensors, strict=True):
            ours.copy_(given, non_blocking=True)
        set_learning_rate(self.optimizer, factor)
        self.steps += 1
        if not self.recorded or self.steps <= STEPS_BEFORE_GRAPH:
            return self._train(self.inputs)
        if self.graph is None:
            self._record()
        self.graph.replay()
        return self.recorded_loss

    def _record(self) -> None:
        """Record one step; nothing is trained by it."""
        self.graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        # The thread that makes batches goes on pinning memory, which only the recording thread may not do.
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            self.recorded_loss = self._train(self.inputs)

    def _train(self, prepared: Any) -> Tensor:
        with within_documents(self.model):
            return super()._train(prepared)


def _keep_on_device(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Let a recorded step read the learning rate, and AdamW count its steps, on the device."""
    for group in optimizer.param_groups:
        group["lr"], group["capturable"] = torch.tensor(group["lr"], device=device), True


def build_step(
    model: PreTrainedModel,
    parameters: Sequence[tuple[str, nn.Parameter]],
    batches: Batches,
    config: Optimizer,
    precision: str,
    hooks: Hooks,
) -> PlainStep:
    """The fast step where the model is on a GPU that can do it, precision is bf16 and the optimizer AdamW; elsewhere the plain one."""
    head = Anatomy(model.config).head_size if is_known(model.config) else LARGEST_HEAD + 1
    fits = head % 8 == 0 and head <= LARGEST_HEAD
    fast = model.device.type == "cuda" and precision == "bf16" and torch.cuda.get_device_capability() >= AMPERE and fits
    if PLAIN or not fast or config.kind != "adamw":
        return PlainStep(model, parameters, config, precision, hooks)
    return FastStep(model, parameters, config, precision, hooks, [batches.batch(step) for step in range(SAMPLE)])
