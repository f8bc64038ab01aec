"""What the model views read: the checkpoints of one arm, and fixed subsets of questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.data.items import Items
from forgetting.data.points import TASK1_EARLY, TASK1_END, early_step
from forgetting.errors import StudyError
from forgetting.model.anatomy import uniform_name
from forgetting.model.checkpoints import load_checkpoint, load_weights
from forgetting.model.manifest import step_folders


@dataclass(frozen=True)
class Checkpoints:
    """Folders of one Task 1 run by step; step 0 is the end of Task 0. Nothing is read before it is asked for."""

    folders: Mapping[int, Path]

    @classmethod
    def find(cls, task0: str | Path, task1: str | Path) -> Self:
        """`task0` is the model after Task 0, `task1` the folder that holds `step-000150` and the like (`matched` is passed over).

        Raises StudyError that names the folder when it holds fewer than two steps, since no plane and no pair of updates needs less.
        """
        found = step_folders(Path(task1))
        if len(found) < 2:
            raise StudyError(f"{task1}: the views need at least two checkpoints step-*, found {len(found)}")
        return cls({0: Path(task0)} | found)

    @property
    def steps(self) -> list[int]:
        return sorted(self.folders)

    @property
    def last(self) -> int:
        return self.steps[-1]

    @property
    def early(self) -> int:
        """The step of the early point, where the alignment direction ends. Raises StudyError when there is none."""
        try:
            return early_step(self.steps)
        except ValueError as error:
            raise StudyError(f"the views need an early point of Task 1: {error}") from None

    @property
    def stage_steps(self) -> dict[str, int]:
        """Steps of the end of Task 0 and of the early point and the end of Task 1."""
        return {"task0": 0, TASK1_EARLY: self.early, TASK1_END: self.last}

    @property
    def stages(self) -> dict[str, Path]:
        """Folders of the same."""
        return {name: self.folders[step] for name, step in self.stage_steps.items()}

    def weights(self, step: int) -> dict[str, Tensor]:
        return read_weights(self.folders[step])


def read_model(folder: str | Path, device: torch.device) -> PreTrainedModel:
    """A saved model in evaluation mode on `device`."""
    model = load_checkpoint(folder)
    nn.Module.to(model, device)
    return model


def read_weights(folder: str | Path) -> dict[str, Tensor]:
    """Weights by `uniform_name`."""
    return {uniform_name(name): weight for name, weight in load_weights(folder).items()}


def parameter_vector(weights: Mapping[str, Tensor], names: Iterable[str]) -> Tensor:
    """All named weights as one float32 vector (P,), in the order of `names`. Raises StudyError that names a missing one."""
    try:
        return torch.cat([weights[name].reshape(-1).float() for name in names])
    except KeyError as error:
        raise StudyError(f"a checkpoint has no weight {error.args[0]!r}; it has {sorted(weights)[:3]} and so on") from None


def evenly_spaced_units(questions: Items, units: int) -> Items:
    """All questions of at most `units` units (at least one), evenly spaced over those there are.

    Whole units, because every n-th question may belong to the same few kinds.
    """
    everyone = np.unique(questions.unit)
    if units >= len(everyone):
        return questions
    chosen = np.linspace(0, len(everyone) - 1, max(1, units)).round().astype(int)
    return questions.of_units(everyone[chosen])
