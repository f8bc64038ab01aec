"""How the arms of `freeze` are called and drawn; the number in a name is that of the frozen layers."""

import math

from forgetting.config.names import Family

_TELLS = {"layers": 1}
_GREENS = [(0.0, "#B5EBD6"), (0.27, "#5FCFA5"), (0.43, "#0FA374"), (0.54, "#00704F"), (0.63, "#004A35"), (1.0, "#00140E")]


def _by_depth(layers: float) -> float:
    return layers / 12


FAMILIES = [
    Family(
        "freeze",
        r"freeze-(\d+)",
        "^",
        _GREENS,
        r"freeze \1",
        lambda layers: math.log1p(layers) / math.log(13),
        _TELLS,
        order=60,
    ),
    Family(
        "freeze-as-released",
        r"freeze-as-released-(\d+)",
        "d",
        ["#C3DB7A", "#86A63B", "#4B6316"],
        r"freeze \1, as released",
        _by_depth,
        _TELLS,
        order=61,
    ),
    Family(
        "freeze-layers",
        r"freeze-layers-(\d+)",
        "H",
        ["#A9C4BB", "#2F4A42"],
        r"freeze \1, not embedding",
        _by_depth,
        _TELLS,
        order=62,
    ),
]
