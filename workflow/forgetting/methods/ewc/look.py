"""How the arms of `ewc` are called and drawn; the number in a name is the penalty."""

from forgetting.config.names import POWER, Family, logarithmic

_TELLS = {"penalty": 1}
FAMILIES = [
    Family(
        "ewc",
        f"ewc-{POWER}",
        "v",
        ["#F7CF7A", "#E69F00", "#8F5F00"],
        r"EWC, λ \1",
        logarithmic(1e-2, 1e2),
        _TELLS,
        order=20,
    ),
    Family(
        "ewc-batch",
        f"ewc-batch-{POWER}",
        "<",
        ["#DCC0A5", "#CFA883", "#8A5A33"],
        r"EWC batch, λ \1",
        logarithmic(1e-2, 1e2),
        _TELLS,
        order=21,
    ),
]
