"""The tables of the full comparison of methods (science §6): the chosen arm of each family, how it was chosen, and the whole grid.

Knobs are chosen on `task0_val`; every accuracy here is of `task0_test` or `task1`. Published numbers have columns of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forgetting.summary import combine_seeds, probe_accuracies
from forgetting.views.performance import accuracies_at, curve, method_summary
from forgetting.views.spurious import probe_points, recovery_summary, task0_rows

HALFWAY = 0.5
"""Task 1 accuracy at which also those arms can be compared that never reach the matched one."""
_NOT_BY_ALL = ["halfway", "matched", "stopped"]
"""Places on a run that some seeds may never reach."""
_COSTS = ["seconds", "preparation_seconds", "trained_parameters", "stored_bytes", "prepared_rows", "trained_rows"]


def method_table(
    metrics: pd.DataFrame,
    recovery: pd.DataFrame,
    recovery_facts: pd.DataFrame,
    floors: pd.DataFrame,
    choice: pd.DataFrame,
    paper: dict[str, Any],
    matched_accuracy: float,
    equal_steps: int | None = None,
) -> pd.DataFrame:
    """One row for the chosen arm of each family, then the floors and the control of the recovery probe.

    Frames: METRICS and RECOVERY (with controls) of the compared arms, RECOVERY_FACTS, METRICS floors, CHOICE; `paper` as `read_paper`
    gives it. Accuracies are exact match. `equal_steps`: the step at which the arms are also compared; by default the last one that all
    of them reach. drop, recovered, spurious_share: from the point in `recovered_from`, see `compared_points`.
    """
    chosen = choice[choice["chosen"]]
    rows = metrics[metrics["arm"].isin(chosen["arm"])]
    step = int(rows.groupby(["seed", "arm"])["step"].max().min()) if equal_steps is None else equal_steps
    equal = accuracies_at(rows, step).rename(columns=lambda name: name.replace("task0", f"task0_at_step_{step}"))
    equal = equal.rename(columns=lambda name: name.replace("task1", f"task1_at_step_{step}"))
    runs = _accuracies(rows, matched_accuracy)
    points = compared_points(rows, recovery)
    for part in (equal, recovered(points, recovery, recovery_facts), costs(metrics)):
        runs = runs.merge(part, on=["seed", "arm"], how="left")
    values = ["steps", "learned", "before", "trough", "halfway", "matched", "halfway_gain", "matched_gain"]
    values += [f"task0_at_step_{step}", f"task1_at_step_{step}"]
    values += ["stopped", "final", "task1_final", "drop", "recovered", "spurious_share", "seconds"]
    values += ["preparation_seconds", "trained_parameters", "stored_bytes", "extra_passes"]
    table = combine_seeds(runs, ["arm"], values).merge(_seeds_that_reached(runs), on="arm")
    table.insert(table.columns.get_loc("drop"), "recovered_from", table["arm"].map(points.groupby("arm")["point"].first()))
    table = chosen[["family", "arm"]].merge(table, on="arm", how="left").merge(_published(paper), on="family", how="left")
    table = pd.concat([table, _floor_rows(rows, recovery, floors)], ignore_index=True)
    return table.assign(**{name: table[name].round().astype("Int64") for name in ("trained_parameters", "stored_bytes")})  # every digit


def choice_table(choice: pd.DataFrame) -> pd.DataFrame:
    """The arms of each family, what they were ranked by on `task0_val`, and which was chosen. `choice`: CHOICE rows."""
    return choice[["family", "arm", "criterion", "learned", "chosen", "reason"]]


def grid_table(metrics: pd.DataFrame, choice: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Every arm of the comparison: its length, Task 0 from the trough to the end, and Task 1 at the end."""
    runs = _accuracies(metrics[metrics["arm"].isin(choice["arm"])], matched_accuracy)
    table = combine_seeds(
        runs, ["arm"], ["steps", "learned", "trough", *_NOT_BY_ALL, "halfway_gain", "matched_gain", "final", "task1_final"]
    )
    return choice[["family", "arm", "chosen"]].merge(table.merge(_seeds_that_reached(runs), on="arm"), on="arm", how="left")


def costs(metrics: pd.DataFrame) -> pd.DataFrame:
    """What a run costs, one row a seed and arm; NaN where the metrics do not say.

    extra_passes: how many questions went through the model beyond those that `seq` with the same seed sees in as many steps, as a share of
    these; preparation counts, 0 is as many.
    """
    train = metrics[(metrics["group"] == "train") & metrics["metric"].isin(_COSTS)]
    found = train.pivot_table("value", ["seed", "arm"], "metric", aggfunc="last").reindex(columns=_COSTS)
    steps = metrics.groupby(["seed", "arm"])["step"].max()
    found = found.reindex(steps.index)
    of_seq = (found["trained_rows"] / steps).xs("seq", level="arm").reindex(steps.index.get_level_values("seed"))
    seen = found["trained_rows"] + found["prepared_rows"].fillna(0)
    found["extra_passes"] = seen / (of_seq.to_numpy() * steps) - 1
    return found.reset_index()


def recovered(points: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame) -> pd.DataFrame:
    """What one recovery epoch brings back from `points` (one a seed and arm, as in `probe_points`): columns seed, arm, drop, recovered and
    spurious_share with their intervals."""
    shares = recovery_summary(recovery_facts[recovery_facts["arm"].isin([*points["arm"], "controls"])], points)
    shares = shares[["seed", "arm", "spurious_share", "spurious_share_low", "spurious_share_high"]]
    found = probe_accuracies(recovery, points)
    found["drop"] = found["before"] - found["dropped"]
    return shares.merge(found[["seed", "arm", "drop", "recovered", "recovered_low", "recovered_high"]], on=["seed", "arm"])


def compared_points(metrics: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """The checkpoint at which each probed run in `metrics` is compared, columns as in `probe_points`: that where Task 1 was learned
    (matched), or for an arm that did not learn it in every seed the last one (end), in all seeds."""
    points = probe_points(metrics, recovery[recovery["arm"].isin(metrics["arm"].unique())])
    by_all = points.groupby("arm")["learned"].transform("all")
    return points[points["point"] == np.where(by_all, "matched", "end")]


def after_one_epoch(points: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """`points` (as in `probe_points`) with value, low, high: Task 0 exact match after one recovery epoch from there."""
    rows = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    return points.merge(rows[["seed", "arm", "checkpoint", "value", "low", "high"]], on=["seed", "arm", "checkpoint"])


def _accuracies(metrics: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Rows of `method_summary` without early stop; `stopped` is Task 0 with it, `halfway` Task 0 where Task 1 first reaches 50 %.

    halfway_gain, matched_gain: what the arm has there beyond `seq` with the same seed, which started from the same weights; but LAMOL
    from those of its own Task 0, so that its gain is to be read beside the `before` of both.
    """
    summary = method_summary(metrics, matched_accuracy)
    full = summary[~summary["early_stop"]].drop(columns=["seconds", "trained_parameters"])
    ends = {"final": "stopped", "final_low": "stopped_low", "final_high": "stopped_high"}
    stopped = summary.loc[summary["early_stop"], ["seed", "arm", *ends]].rename(columns=ends)
    halfway = method_summary(metrics, HALFWAY)
    halfway = halfway.loc[~halfway["early_stop"], ["seed", "arm", "matched", "matched_low", "matched_high"]]
    halfway = halfway.rename(columns=lambda name: name.replace("matched", "halfway"))
    runs = full.merge(stopped, on=["seed", "arm"]).merge(halfway, on=["seed", "arm"])
    of_seq = runs[runs["arm"] == "seq"].set_index("seed")
    return runs.assign(**{f"{place}_gain": runs[place] - runs["seed"].map(of_seq[place]) for place in ("halfway", "matched")})


def _seeds_that_reached(runs: pd.DataFrame) -> pd.DataFrame:
    """arm, and for each column that not every seed need have, in how many it is: `halfway_seeds`, `matched_seeds`, `stopped_seeds`."""
    return runs.groupby("arm")[_NOT_BY_ALL].count().add_suffix("_seeds").reset_index()


def _published(paper: dict[str, Any]) -> pd.DataFrame:
    """family, paper (in words, since some are bounds), paper_reliability."""
    rows = []
    for family, found in paper["families"].items():
        number = [found.get("bound"), f"{100 * found['task0']:.3g} %"]
        words = [found.get("setting"), found["source"], found["reliability"]]
        rows.append((family, " ".join(filter(None, number)), "; ".join(filter(None, words))))
    return pd.DataFrame(rows, columns=["family", "paper", "paper_reliability"])


def _floor_rows(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame) -> pd.DataFrame:
    modal = {group: task0_rows(floors, group)["value"].mean() for group in ("task0_test", "task1")}
    controls = [curve(run, "control")["value"].iloc[-1] for _, run in metrics[metrics["arm"] == "seq"].groupby("seed")]
    pretrained = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])
    rows = [
        {"arm": "floor: modal answer", "final": modal["task0_test"], "task1_final": modal["task1"]},
        {"arm": "floor: control persons", "final": np.mean(controls)},
        {"arm": "control: pretrained only", "recovered": pretrained["value"].mean()},
    ]
    return pd.DataFrame(rows)
