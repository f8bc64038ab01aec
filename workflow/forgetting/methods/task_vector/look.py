"""How the arms of `task_vector` are called and drawn."""

from forgetting.config.names import NUMBER, Family

FAMILIES = [
    Family(
        "task-vector",
        f"task-vector-{NUMBER}",
        ">",
        ["#F2E97A", "#DCCB1E", "#7A7000"],
        r"task vector, α \1",
        lambda alpha: alpha,
        {"alpha": 1},
        order=40,
    ),
    Family(
        "task-vector-end",
        f"task-vector-{NUMBER}-end-{NUMBER}",
        (4, 1, 0.0),
        ["#B3AC6B", "#4A4720"],
        r"task vector, α \1, end \2",
        lambda end: end,
        {"alpha": 1, "vector_end": 1},
        order=41,
    ),
]
