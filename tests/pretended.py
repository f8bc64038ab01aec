"""A device that is not there: its tensors lie beside those of the CPU, but mixing the two fails as it would on a GPU.

Checked are operations on tensors of both devices, CPU tensors indexed with device tensors, and NumPy reading a device tensor. Not: kernels,
half precision, streams, graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cuda")
ATTRIBUTE = {name: getattr(torch.Tensor, name).__get__ for name in ("device", "is_cuda")}
READ_BY_NUMPY = (torch.Tensor.numpy, torch.Tensor.__array__)
ACROSS_DEVICES = (
    torch.Tensor.copy_,
    torch.Tensor.to,
    torch.Tensor.data.__set__,  # type: ignore[attr-defined]
    torch._has_compatible_shallow_copy_type,
)
INDEXING = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)


class PretendedDevice(TorchFunctionMode):
    """Within this mode `torch.device("cuda")` is a device."""

    def __init__(self) -> None:
        super().__init__()
        self._storages: dict[int, Any] = {}  # of the device, by address; kept, so that no address comes twice

    def holds(self, tensor: Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            return tensor.untyped_storage().data_ptr() in self._storages

    def _take(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr():
            self._storages[storage.data_ptr()] = storage

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (ATTRIBUTE["device"], ATTRIBUTE["is_cuda"]) and self.holds(args[0]):
            return DEVICE if func == ATTRIBUTE["device"] else True
        tensors = list(_tensors((args, kwargs)))
        there = [tensor for tensor in tensors if self.holds(tensor)]
        if func in READ_BY_NUMPY and there:
            raise TypeError(f"{func.__name__}: NumPy cannot read a tensor on {DEVICE}")
        if func not in ACROSS_DEVICES:
            self._check(func, args, tensors)
        if func in (torch.Tensor.to, torch.Tensor.cpu):
            return self._moved(func, args, kwargs)
        wanted = kwargs.get("device")
        if wanted is not None and torch.device(wanted) == DEVICE:
            kwargs["device"] = "cpu"
        result = func(*args, **kwargs)
        to_device = torch.device(wanted) == DEVICE if wanted is not None else bool(there) and func is not torch.Tensor.copy_
        for made in _tensors(result) if to_device else ():
            self._take(made)
        return result

    def _check(self, func: Callable[..., Any], args: Any, tensors: list[Tensor]) -> None:
        """Single numbers may come from anywhere, a device tensor takes indices of the CPU, and of an empty tensor nothing is known here."""
        if func in INDEXING and self.holds(args[0]):
            tensors = [args[0], *_tensors(args[2:])]
        devices = {self.holds(tensor) for tensor in tensors if tensor.dim() and tensor.numel()}
        if len(devices) > 1:
            raise RuntimeError(f"{getattr(func, '__name__', func)}: tensors of the CPU and of {DEVICE}")

    def _moved(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor:
        """What `to` and `cpu` return: a copy where the device changes."""
        tensor, *rest = args
        target = kwargs.pop("device", None)
        if func is torch.Tensor.cpu:
            target, rest = "cpu", []
        elif rest and isinstance(rest[0], Tensor):
            other = rest.pop(0)
            target, kwargs["dtype"] = DEVICE if self.holds(other) else "cpu", other.dtype
        elif rest and isinstance(rest[0], (str, torch.device, int)):
            target = rest.pop(0)
        elif rest and rest[0] is None:
            rest.pop(0)
        was = self.holds(tensor)
        will = was if target is None else torch.device(target) == DEVICE
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        moved = tensor.to(*[each for each in rest if isinstance(each, torch.dtype)], **kwargs) if rest or kwargs else tensor
        if will != was and moved.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr():
            moved = tensor.clone()
        if will:
            self._take(moved)
        return moved


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        if nested.device.type != "meta" and nested.layout == torch.strided:
            yield nested
    elif isinstance(nested, dict):
        yield from _tensors(tuple(nested.values()))
    elif isinstance(nested, (list, tuple)):
        for each in nested:
            yield from _tensors(each)
