"""Freezing the input embedding and the bottom layers, the method that the paper proposes."""

from __future__ import annotations

from forgetting.errors import StudyError
from forgetting.methods.base import Method, Setting
from forgetting.methods.freeze import Knobs
from forgetting.model.anatomy import Anatomy


class Freeze(Method):
    """The input embedding and the chosen layers leave the optimizer; with 0 layers, the embedding only.

    `embedding: false` lets the embedding train, which tells apart what freezing it does and what freezing layers does. An embedding of
    positions counts as part of it; where the output embedding is tied to it, that is frozen too.
    """

    arm: Knobs

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        anatomy = Anatomy(setting.model.config)
        layers = frozen_layers(self.arm, anatomy.layers)
        names = [name for name, _ in setting.model.named_parameters()]
        of_layers = {name for name in names if anatomy.layer_of(name) in layers}
        of_embedding = {name for name in names if self.arm.embedding and anatomy.is_embedding(name)}
        if (layers and not of_layers) or (self.arm.embedding and not of_embedding):
            raise StudyError(f"the model has no layers {sorted(layers)} or no embedding to freeze")
        self.frozen = of_layers | of_embedding

    def trainable(self, name: str) -> bool:
        return name not in self.frozen


def frozen_layers(arm: Knobs, layers: int) -> frozenset[int]:
    """Which of the `layers` layers (from 0) do not train.

    exact: the bottom `arm.layers`. as_released: the reference looks for "layers.1" within names, which also finds 10 to 19, and so on
    (docs/definitions.md): of 12 layers, freezing the bottom two or more also freezes the top two. A model of 10 layers or fewer has no such
    numbers; there the same share of layers at the top, one sixth but at least one, is frozen from the same depth on.
    """
    bottom = set(range(arm.layers))
    if arm.rule == "exact":
        return frozenset(bottom)
    if layers > 10:
        return frozenset(number for number in range(layers) if any(str(number).startswith(str(chosen)) for chosen in bottom))
    top = set(range(layers - max(1, round(layers / 6)), layers)) if arm.layers >= 2 else set()
    return frozenset(bottom | top)


METHOD = Freeze
