from __future__ import annotations

import threading
from itertools import islice

import pytest

from forgetting.training.feed import made_ahead


def test_batches_are_made_ahead_in_order() -> None:
    made = []

    def make(number: int) -> int:
        made.append((number, threading.current_thread().name))
        return number

    assert list(islice(made_ahead(make, range(3, 100), 0), 2)) == [3, 4] and len(made) == 2
    made.clear()
    ahead = made_ahead(make, range(5), 2)
    assert next(ahead) == 0
    assert list(ahead) == [1, 2, 3, 4]
    assert [number for number, _ in made] == [0, 1, 2, 3, 4]
    assert all(name.startswith("batches") for _, name in made)


def test_an_error_of_the_thread_comes_up_in_the_loop() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise ValueError("batch 3")
        return number

    ahead = made_ahead(make, range(9), 4)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="batch 3"):
        next(ahead)
