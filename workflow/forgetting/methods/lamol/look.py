"""How the arms of `lamol` are called and drawn; the number in a name is gamma in per cent."""

from forgetting.config.names import NUMBER, Family, logarithmic

_TELLS = {"pseudo_share": 100}
FAMILIES = [
    Family(
        "lamol-distinct",
        f"lamol-{NUMBER}-distinct",
        (5, 0, 180.0),
        ["#DF6E6E", "#C62356", "#6F1C38"],
        r"LAMOL, γ \1 %, distinct",
        logarithmic(1, 50),
        _TELLS,
        order=30,
    ),
    Family(
        "lamol",
        f"lamol-{NUMBER}",
        "p",
        ["#DA69A6", "#AA417B", "#642549"],
        r"LAMOL, γ \1 %",
        logarithmic(1, 50),
        _TELLS,
        order=31,
    ),
]
