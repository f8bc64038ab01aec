"""One training on several GPUs: a process for each, which share every batch and end with the same weights (torch's DDP).

Batches are functions of the step, so the processes need not send each other data: each makes the whole batch of a step, trains on its
rows of it, and the gradients are added up. `forgetting.pipeline.launch` starts the processes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from forgetting.errors import StudyError
from forgetting.failures import LOST_CONTACT, first_line, lost_contact
from forgetting.model.checkpoints import pick_device
from forgetting.training.batches import Batch, Batches

PATIENCE = timedelta(hours=2)
"""How long the others wait for the leader, which alone evaluates and saves. A process that ends is noticed at once."""


class World:
    """The processes of a training: this one alone, unless `join` finds others.

    rank: number of this process. count: how many there are. leads: whether this is the one that evaluates, saves and prints.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count, self._parent = rank, count, os.getppid()

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def ending(self, requested: int) -> int:
        """The signal that ends all processes, 0 for none: one of those that they got, or that of a launcher which is gone."""
        orphan = self.count > 1 and os.getppid() != self._parent
        return self.agree(requested or (signal.SIGTERM if orphan else 0))

    def agree(self, number: int) -> int:
        """The largest of what the processes give. It waits for all of them, but for no device: the sum is made on the CPU."""
        if self.count == 1:
            return number
        largest = torch.tensor(number)
        _reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The leader runs this block before the others do."""
        if not self.leads:
            self.agree(0)
        yield
        if self.leads:
            self.agree(0)

    def share(self, batches: Batches) -> Batches:
        """Batches with the rows of this process alone. Raises StudyError, at the first batch, when they cannot be shared evenly."""
        return batches if self.count == 1 else _Share(batches, self.rank, self.count)

    def wrap(self, loss: nn.Module) -> nn.Module:
        """A module that returns a loss, so that its backward pass leaves in every process the gradients of the whole batch."""
        return loss if self.count == 1 else DistributedDataParallel(loss)

    def mean(self, loss: Tensor) -> Tensor:
        """The loss of the whole batch, given that of the rows of each process."""
        if self.count > 1:
            loss = loss.detach().clone()
            _reduce(loss, dist.ReduceOp.SUM)
            loss /= self.count
        return loss


_finished: deque[dist.Work] = deque(maxlen=8)


def _reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> None:
    """All-reduce in place. What was done is kept for a while: a thread of gloo that freed the tensor would wait for the interpreter, and
    the interpreter, when it ends, for that thread."""
    work = dist.all_reduce(tensor, operation, async_op=True)
    work.wait()
    _finished.append(work)


ALONE = World()


@dataclass
class _Share(Batches):
    batches: Batches
    rank: int
    count: int

    def batch(self, step: int) -> Batch:
        return rows_of(self.batches.batch(step), self.rank, self.count)


def rows_of(batch: Batch, rank: int, count: int) -> Batch:
    """Every row of `batch` belongs to one of `count` processes, as many to each, side by side.

    The loss of a part is weighted such that the mean over the processes, which DDP makes of the gradients, is that of the whole batch: a
    process that has more tokens to predict counts for more.
    """
    rows, rest = divmod(len(batch.ids), count)
    if rest:
        raise StudyError(f"batches of {len(batch.ids)} rows cannot be shared by {count} GPUs evenly: choose another number of GPUs")
    mine = slice(rank * rows, (rank + 1) * rows)
    chosen = (batch.row >= mine.start) & (batch.row < mine.stop)
    share = torch.full((len(batch.row),), 1 / len(batch.row)) if batch.share is None else batch.share
    return replace(
        batch,
        ids=batch.ids[mine],
        row=batch.row[chosen] - mine.start,
        position=batch.position[chosen],
        documents=None if batch.documents is None else batch.documents[mine],
        share=share[chosen] * count,
    )


@contextmanager
def join() -> Iterator[tuple[World, torch.device]]:
    """The processes that the launcher started, of which this is one, and the device of this one; this process alone without launcher.

    A process that fails as another one left it says so and ends with LOST_CONTACT; the launcher then names the one to blame.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE, pick_device()
        return
    world = World(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        try:
            yield world, device
        except SystemExit:  # all were asked to end
            dist.destroy_process_group()
            raise
        dist.destroy_process_group()
    except RuntimeError as error:
        if not lost_contact(error):
            raise
        print(f"process {world.rank} of {world.count} lost contact with the others: {first_line(error)}", flush=True)
        time.sleep(2)  # the one that failed first should also be seen to end first
        sys.exit(LOST_CONTACT)
