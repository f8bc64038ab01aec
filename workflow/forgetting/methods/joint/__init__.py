"""All questions of `task0_train` beside those of Task 1, in the proportion of the two.

Not an upper bound: `replay` with `share: 1.0` and `mix: batch` sees more of them a step.
"""

from __future__ import annotations

from typing import Literal

from forgetting.config.knobs import Arm

EXAMPLES = {"joint": {"method": "joint"}}


class Knobs(Arm):
    method: Literal["joint"]

    def added_questions(self, task0_train: int, task1: int) -> float:
        return task0_train / task1
