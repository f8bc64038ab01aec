"""What a few training steps spend their time on, by PyTorch's profiler: the longest kernels, and when the device has nothing to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

TOP = 15
IDLE = "(idle)"
NAME_LENGTH = 80


class Profile:
    """Of the device alone: the profiler would slow down what the processor does, and gaps would grow. On a CPU, of its operations."""

    def __init__(self, device: torch.device) -> None:
        self.of = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
        self.profiler = profile(activities=[ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU])
        self.rows: list[dict[str, Any]] = []

    def start(self) -> None:
        self.profiler.start()

    def stop(self, steps: int) -> None:
        """End, and keep as `rows` what took the time of these steps."""
        self.profiler.stop()
        events = [event for event in self.profiler.events() or [] if event.device_type == self.of]
        calls = [event for event in events if not getattr(event, "is_user_annotation", False)]
        spans = [(event.name, event.time_range.start, event.time_range.end) for event in calls]
        self.rows = rows_of(spans, steps)


def rows_of(spans: Iterable[tuple[str, float, float]], steps: int) -> list[dict[str, Any]]:
    """kernel, calls_per_step, ms_per_step, share (of the time from the first start to the last end, which need not add up to 1 where
    kernels overlap): the time with no kernel first, then the TOP kernels by time.

    spans: name, start and end of each call, microseconds.
    """
    calls: dict[str, list[float]] = {}
    first, last, idle, gaps = None, 0.0, 0.0, 0
    for name, start, end in sorted(spans, key=lambda span: span[1]):
        calls.setdefault(name[:NAME_LENGTH], []).append(end - start)
        if first is None:
            first = last = start
        if start > last:
            idle, gaps = idle + start - last, gaps + 1
        last = max(last, end)
    if first is None:
        return []
    longest = sorted(calls.items(), key=lambda item: -sum(item[1]))[:TOP]
    found = [(IDLE, gaps, idle), *((name, len(each), sum(each)) for name, each in longest)]
    return [
        {"kernel": name, "calls_per_step": count / steps, "ms_per_step": took / steps / 1000, "share": took / (last - first)}
        for name, count, took in found
    ]
