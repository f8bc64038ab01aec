"""How the arms of `freeze` are called and drawn; the number in a name is that of the frozen layers."""

import math

from forgetting.config.names import Family

_TELLS = {"layers": 1}
_GREENS = [(0.0, "#0FA676"), (0.27, "#0D8B63"), (0.43, "#0A6E4F"), (0.54, "#08533B"), (0.63, "#053C2A"), (1.0, "#021811")]


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
        ["#7F9B2A", "#5A6F28", "#32420F"],
        r"freeze \1, as released",
        _by_depth,
        _TELLS,
        order=61,
    ),
    Family(
        "freeze-layers",
        r"freeze-layers-(\d+)",
        "H",
        ["#6B9A8A", "#37574D"],
        r"freeze \1, not embedding",
        _by_depth,
        _TELLS,
        order=62,
    ),
]
