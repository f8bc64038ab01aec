"""What the steps need, made ahead of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


def made_ahead(make: Callable[[int], Made], steps: range, ahead: int) -> Iterator[Made]:
    """`make(step)` for each of the steps, in order; up to `ahead` of them wait, made by a thread of their own. With 0, none is made
    before it is asked for. An error in `make` comes up where its step is asked for. Close the generator to end the thread."""
    if not ahead:
        yield from map(make, steps)
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
