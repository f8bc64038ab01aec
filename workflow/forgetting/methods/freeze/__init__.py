"""Freezing the input embedding and the bottom layers, the method that the paper proposes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from forgetting.config.knobs import Arm

EXAMPLES = {"freeze": {"method": "freeze", "layers": 1}}


class Knobs(Arm):
    method: Literal["freeze"]
    layers: int = Field(ge=0, description="number of bottom layers kept as they are, besides the input embedding")
    embedding: bool = Field(True, description="whether the input embedding is kept, too")
    rule: Literal["exact", "as_released"] = Field(
        "exact",
        description="`as_released`: the reference looks for `layers.1` within names and so also finds 10, 11, ...: of 12 layers, it "
        "freezes the top two beside the bottom 2 (or more). Models of 10 layers or fewer have no such numbers; there the same share, "
        "the top sixth but at least one layer, is frozen from depth 2 on",
    )

    @property
    def uses_task0(self) -> bool:
        return False

    def problems(self, layers: int, batch_size: int) -> Iterator[str]:
        if self.layers > layers:
            yield f"freezes {self.layers} layers, but the model has {layers}"
