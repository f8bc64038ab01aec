"""How the arms of `gradient_projection` are called and drawn."""

from forgetting.config.names import NUMBER, Family

FAMILIES = [
    Family("projection", "projection-exact", "P", ["#3D2370"] * 2, "projection", order=50),
    Family(
        "projection-gpm",
        f"projection-gpm-{NUMBER}",
        "h",
        ["#A27CE7", "#6035AE"],
        r"GPM \1 %",
        lambda energy: (energy - 95) / 5,
        {"energy": 100},
        order=51,
    ),
    Family("projection-reference", "projection-reference", "*", ["#A37CE6"] * 2, "projection, as released", order=52),
    Family("gpm-vectors-only", "gpm-vectors-only", (6, 1, 0.0), ["#C84BE8"] * 2, "GPM, biases and norms alone", order=70),
    Family("gpm-rows-only", "gpm-rows-only", (8, 1, 0.0), ["#A3189C"] * 2, "GPM, embedding rows alone", order=71),
]
