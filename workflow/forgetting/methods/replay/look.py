"""How the arms of `replay` are called and drawn; the number in a name is the stored share in per cent."""

from forgetting.config.names import NUMBER, Family, logarithmic

_TELLS = {"share": 100}
FAMILIES = [
    Family(
        "replay",
        f"replay-{NUMBER}",
        "s",
        ["#56B4E9", "#0072B2", "#003A5C"],
        r"replay \1 %",
        logarithmic(1, 100),
        _TELLS,
        order=10,
    ),
    Family(
        "replay-half",
        f"replay-half-{NUMBER}",
        "8",
        ["#7FA6F0", "#2F5BC4", "#12296B"],
        r"replay \1 %, half",
        logarithmic(1, 100),
        _TELLS,
        order=11,
    ),
    Family(
        "replay-ratio",
        f"replay-ratio-{NUMBER}",
        "D",
        ["#8FDCE0", "#2BA5B5", "#0F5A66"],
        r"replay \1 %, ratio",
        logarithmic(1, 50),
        _TELLS,
        order=12,
    ),
]
