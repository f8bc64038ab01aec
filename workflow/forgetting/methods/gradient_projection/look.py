"""How the arms of `gradient_projection` are called and drawn."""

from forgetting.config.names import NUMBER, Family

FAMILIES = [
    Family("projection", "projection-exact", "P", ["#3D2370"] * 2, "projection", order=50),
    Family(
        "projection-gpm",
        f"projection-gpm-{NUMBER}",
        "h",
        ["#CDB9F2", "#8A63D0"],
        r"GPM \1 %",
        lambda energy: (energy - 95) / 5,
        {"energy": 100},
        order=51,
    ),
    Family("projection-reference", "projection-reference", "*", ["#DACAF5"] * 2, "projection, as released", order=52),
    Family("gpm-vectors-only", "gpm-vectors-only", (6, 1, 0.0), ["#C84BE8"] * 2, "GPM, biases and norms alone", order=70),
    Family("gpm-rows-only", "gpm-rows-only", (8, 1, 0.0), ["#7B2FA8"] * 2, "GPM, embedding rows alone", order=71),
]
