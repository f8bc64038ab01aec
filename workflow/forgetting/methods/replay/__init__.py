"""Experience replay: questions of some stored Task 0 units are mixed into Task 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from forgetting.config.knobs import Arm, Share

EXAMPLES = {
    "replay": {"method": "replay", "share": 0.3, "mix": "batch"},
    "replay-half": {"method": "replay", "share": 0.3, "mix": "half"},
    "replay-ratio": {"method": "replay", "share": 0.3, "mix": "ratio"},
}


class Knobs(Arm):
    method: Literal["replay"]
    share: Share = Field(
        description="stored share of the persons of `task0_train`, with all their questions, above 0 to 1; in a sequence also of each "
        "task since"
    )
    mix: Literal["batch", "half", "ratio"] = Field(
        description="`batch`: as many stored questions are added to each batch as it has of Task 1, so that it doubles; `half`: the "
        "batch keeps its size, which must be even, and half of it is stored questions, as in the reference (with `length: 2.0` as many "
        "Task 1 questions are seen); `ratio`: as many are added as keep the proportion of store to Task 1"
    )

    def added_questions(self, task0_train: int, task1: int) -> float:
        return {"batch": 1.0, "half": 0.0, "ratio": self.share * task0_train / task1}[self.mix]

    def problems(self, layers: int, batch_size: int) -> Iterator[str]:
        if self.mix == "half" and batch_size % 2:
            yield f"with mix: half cannot halve a batch of {batch_size}: choose an even task1.batch_size"
