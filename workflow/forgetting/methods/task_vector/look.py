"""How the arms of `task_vector` are called and drawn."""

from forgetting.config.names import NUMBER, Family

FAMILIES = [
    Family(
        "task-vector",
        f"task-vector-{NUMBER}",
        ">",
        ["#9D930F", "#726A10", "#433E00"],
        r"task vector, α \1",
        lambda alpha: alpha,
        {"alpha": 1},
        order=40,
    ),
    Family(
        "task-vector-end",
        f"task-vector-{NUMBER}-end-{NUMBER}",
        (4, 1, 0.0),
        ["#99924E", "#565225"],
        r"task vector, α \1, end \2",
        lambda end: end,
        {"alpha": 1, "vector_end": 1},
        order=41,
    ),
]
