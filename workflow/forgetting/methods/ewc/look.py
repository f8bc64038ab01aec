"""How the arms of `ewc` are called and drawn; the number in a name is the penalty."""

from forgetting.config.names import POWER, Family, logarithmic

_TELLS = {"penalty": 1}
FAMILIES = [
    Family(
        "ewc",
        f"ewc-{POWER}",
        "v",
        ["#BF850B", "#8A5F00", "#523700"],
        r"EWC, λ \1",
        logarithmic(1e-2, 1e2),
        _TELLS,
        order=20,
    ),
    Family(
        "ewc-batch",
        f"ewc-batch-{POWER}",
        "<",
        ["#BB8450", "#8A5F35", "#52361E"],
        r"EWC batch, λ \1",
        logarithmic(1e-2, 1e2),
        _TELLS,
        order=21,
    ),
]
