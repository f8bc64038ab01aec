"""What each part of the weights holds, and what each repair without training brings back, in one table."""

from __future__ import annotations

import pandas as pd

from forgetting.analysis.summary import combine_seeds

_KEYS = ["arm", "point", "operation", "part", "layer", "amount"]
_CONTROLS = {
    "task0_random": {"back_random": "back", "edit_random": "edit"},
    "task0_floor": {"into_floor": "back", "floor": "none"},
    "task0_of_floor": {"of_floor": "back"},
    "task0_into_pretrained": {"into_pretrained": "back", "untaught": "none"},
    "task0_pretrained": {"pretrained": "back"},
    "task0_pretrained_floor": {"pretrained_into_floor": "back"},
}
"""By column: the operations of controls, and that of what each is held against."""
_BESIDE = {"task0_straight": "straight", "beyond_straight": "beyond_straight"}
"""Metrics by column: Task 0 of the straight way back where it has as much of Task 1, and that of the row less it."""


def graft_table(graft: pd.DataFrame) -> pd.DataFrame:
    """One row an operation of GRAFT, over seeds: Task 0, Task 1, update_share, common_share, and Task 0 of its controls.

    task0_random: random weights. task0_floor, task0_into_pretrained: the same part set into the floor, into the pretrained model.
    task0_of_floor, task0_pretrained: that part of those two in the checkpoint; task0_pretrained_floor: that of the pretrained model set
    into the floor. task0_straight: of what is put back or taken away, Task 0 of the straight way back at equal Task 1, and beyond_straight
    the paired difference from it, where the point has a Task 1 to lose.

    `layer` and `amount` are -1 where there is none. Parts that moved in some seeds only are left out.
    """
    rows = graft.assign(amount=graft["amount"].fillna(-1.0))
    exact = rows[rows["metric"] == "exact_match"]
    named = {"task0": exact[exact["split"] == "task0_test"], "task1": exact[exact["split"] == "task1"]}
    named |= {name: rows[rows["metric"] == metric] for name, metric in {"common_share": "common_share", **_BESIDE}.items()}
    wide = named["task0"][["seed", *_KEYS, "update_share"]].reset_index(drop=True)
    for name, of_controls in _CONTROLS.items():
        wide = wide[~wide["operation"].isin(list(of_controls))]
        control = named["task0"][named["task0"]["operation"].isin(list(of_controls))]
        named[name] = control.assign(operation=control["operation"].map(of_controls))
    for name, part in named.items():
        columns = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        wide = wide.merge(part[["seed", *_KEYS, *columns]].rename(columns=columns), on=["seed", *_KEYS], how="left")
    in_every_seed = wide.groupby(_KEYS)["seed"].transform("nunique") == graft["seed"].nunique()
    return combine_seeds(wide[in_every_seed], _KEYS, ["task0", *_CONTROLS, "task1", *_BESIDE, "update_share", "common_share"])
