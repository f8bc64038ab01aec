"""How long jobs that wait for one another take on a machine of so many cores or GPUs."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One job. units: cores or GPUs that it holds. needs: the job that must end before it starts; without it among the others, none."""

    name: Hashable
    seconds: float
    units: int
    needs: Hashable = None


def wall_seconds(tasks: Sequence[Task], units: float) -> float:
    """List scheduling: whenever units are free, start the waiting jobs with the longest chain behind them. No job may need more units."""
    followers: dict[Hashable, list[Task]] = {}
    names = {task.name for task in tasks}
    for task in tasks:
        followers.setdefault(task.needs if task.needs in names else None, []).append(task)

    def seconds_to_end(task: Task) -> float:
        return task.seconds + max(map(seconds_to_end, followers.get(task.name, [])), default=0.0)

    ready = list(followers.get(None, []))
    running: list[tuple[float, int, Task]] = []
    now, started = 0.0, 0
    while ready or running:
        for task in sorted(ready, key=seconds_to_end, reverse=True):
            if task.units <= units:
                units -= task.units
                started += 1
                heapq.heappush(running, (now + task.seconds, started, task))
                ready.remove(task)
        now, _, ended = heapq.heappop(running)
        units += ended.units
        ready += followers.get(ended.name, [])
    return now
