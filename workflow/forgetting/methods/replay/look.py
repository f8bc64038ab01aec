"""How the arms of `replay` are called and drawn; the number in a name is the stored share in per cent."""

from forgetting.config.names import NUMBER, Family, logarithmic

_TELLS = {"share": 100}
FAMILIES = [
    Family(
        "replay",
        f"replay-{NUMBER}",
        "s",
        ["#1D98DD", "#006DA9", "#004065"],
        r"replay \1 %",
        logarithmic(1, 100),
        _TELLS,
        order=10,
    ),
    Family(
        "replay-half",
        f"replay-half-{NUMBER}",
        "8",
        ["#5D8EEC", "#3461CE", "#17358A"],
        r"replay \1 %, half",
        logarithmic(1, 100),
        _TELLS,
        order=11,
    ),
    Family(
        "replay-ratio",
        f"replay-ratio-{NUMBER}",
        "D",
        ["#2D9FA4", "#1E727D", "#0B424B"],
        r"replay \1 %, ratio",
        logarithmic(1, 50),
        _TELLS,
        order=12,
    ),
]
