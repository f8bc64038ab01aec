"""How the arm of `joint` is called and drawn."""

from forgetting.config.names import Family

FAMILIES = [Family("joint", "joint", "X", ["#000000"] * 2, "joint, in proportion", order=80)]
