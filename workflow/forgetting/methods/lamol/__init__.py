"""LAMOL (Sun et al. 2020): the model learns to write Task 0 questions itself, and replays its own before it forgets how."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from forgetting.config.fields import Count, Positive
from forgetting.config.knobs import Arm, Share

EXAMPLES = {
    "lamol": {"method": "lamol", "pseudo_share": 0.2, "language_loss": 0.25},
    "lamol-distinct": {"method": "lamol", "pseudo_share": 0.2, "language_loss": 0.25, "duplicates": False},
}


class Knobs(Arm):
    work: ClassVar[float] = 2.0  # assumption, from runs at laptop scale

    method: Literal["lamol"]
    pseudo_share: Share = Field(description="gamma: pseudo examples made before Task 1, as a share of the Task 1 questions")
    language_loss: Positive = Field(
        description="lambda: weight of the language-modelling loss in this method's own Task 0, `task0-lamol/<lambda>`"
    )
    top_k: Count = Field(20, description="tokens to sample from")
    duplicates: bool = Field(
        True,
        description="`true`: a text that was sampled several times is trained on as often, as in the paper; `false`: as often as any "
        "other. Either way a pass over Task 1 meets gamma times as many examples as questions",
    )

    @property
    def task0_language_loss(self) -> float:
        return self.language_loss
