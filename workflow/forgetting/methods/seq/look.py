"""How the arms of `seq` are called and drawn."""

from forgetting.config.names import POWER, Family, logarithmic

FAMILIES = [
    Family("seq", "seq", "o", ["#D55E00"] * 2, "seq", order=0),
    Family(
        "seq-warmup",
        r"seq-warmup-(\d+)",
        (3, 1, 0.0),
        ["#B22222"] * 2,
        r"seq, warm-up of \1 steps",
        tells={"warmup_steps": 1},
        order=90,
    ),
    Family("seq-carried-state", "seq-carried-state", (3, 1, 180.0), ["#FF5439"] * 2, "seq, optimizer of Task 0", order=91),
    Family(
        "seq-batch",
        r"seq-batch-(\d+)",
        (4, 1, 45.0),
        ["#5E1914"] * 2,
        r"seq, batch of \1",
        tells={"batch_size": 1},
        order=92,
    ),
    Family(
        "seq-lr",
        f"seq-lr-{POWER}",
        "D",
        ["#D170A9", "#9E4984", "#6B185C"],
        r"seq, rate \1",
        logarithmic(1e-5, 1e-2),
        tells={"learning_rate": 1},
        order=93,
    ),
]
