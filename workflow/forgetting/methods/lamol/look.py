"""How the arms of `lamol` are called and drawn; the number in a name is gamma in per cent."""

from forgetting.config.names import NUMBER, Family, logarithmic

_TELLS = {"pseudo_share": 100}
FAMILIES = [
    Family(
        "lamol-distinct",
        f"lamol-{NUMBER}-distinct",
        (5, 0, 180.0),
        ["#F2C4C4", "#E0527E", "#7A1F3D"],
        r"LAMOL, γ \1 %, distinct",
        logarithmic(1, 50),
        _TELLS,
        order=30,
    ),
    Family(
        "lamol",
        f"lamol-{NUMBER}",
        "p",
        ["#EBAECF", "#CC79A7", "#7D2F5C"],
        r"LAMOL, γ \1 %",
        logarithmic(1, 50),
        _TELLS,
        order=31,
    ),
]
