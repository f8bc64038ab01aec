"""Which weights of a run of an arm are kept: those of chosen steps, and those of the matched point (`data/points.py`)."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from transformers import PreTrainedModel

from forgetting.config.sections import CheckpointPrecision
from forgetting.data.points import MATCHED
from forgetting.model.checkpoints import CHECKPOINTS, publish, publish_all, save_checkpoint
from forgetting.model.manifest import step_folders, step_name, withdraw_manifest, write_manifest


def kept_steps(fractions: Iterable[float], steps: int) -> list[int]:
    """The steps after these shares of a training."""
    return [round(fraction * steps) for fraction in fractions]


def publish_end(model: PreTrainedModel, kept: Path, output: Path) -> None:
    """Publish the checkpoints below `kept`, if any, as `output/checkpoints`, save the trained model as `output/model`, and list all."""
    withdraw_manifest(output)
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)  # another config may have left other steps there
    names = [folder.name for folder in step_folders(kept).values()]
    for name in names:
        publish(kept / name, output / CHECKPOINTS / name)
    save_checkpoint(model, output / "model")
    write_manifest(output, ["model", *(f"{CHECKPOINTS}/{name}" for name in names)])


class Keeper:
    """Collects weights in `folder` until the run is done, so that a killed job goes on with them.

    steps: which ones to keep, the last of the run among them. goes_on: whether another task starts from the last one, which is then kept
    in float32 whatever `precision` the others have.
    """

    def __init__(self, folder: Path, steps: Collection[int], precision: CheckpointPrecision, goes_on: bool = False) -> None:
        self.checkpoints, self.learned = folder / "checkpoints", folder / "learned"
        self.steps, self.precision, self.goes_on = steps, precision, goes_on

    def keep(self, model: PreTrainedModel, step: int) -> None:
        """Save the weights of a step, if it is one of those to keep."""
        if step in self.steps:
            exact = self.goes_on and step == max(self.steps)
            save_checkpoint(model, self.checkpoints / step_name(step), "float32" if exact else self.precision)

    def match(self, model: PreTrainedModel, step: int, learned: bool) -> None:
        """Save the weights of the first step at which the task was `learned`. Called at every evaluation."""
        folder = self.learned / step_name(step)
        # A killed job may have left this step's, from a stretch that is now trained again, and on a GPU not quite alike.
        shutil.rmtree(folder, ignore_errors=True)
        if learned and min(step_folders(self.learned), default=step) >= step:
            save_checkpoint(model, folder, self.precision)

    def publish(self, output: Path) -> None:
        """Publish all that was kept as the checkpoints of the job `output`. Where the task was never learned, `matched` is the end."""
        kept, learned = step_folders(self.checkpoints), step_folders(self.learned)
        matched = learned[min(learned)] if learned else kept[max(self.steps)]
        publish_all({folder.name: folder for folder in kept.values()} | {MATCHED: matched}, output)
