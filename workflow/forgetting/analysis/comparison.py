"""The tables of the full comparison of methods (docs/definitions.md): the chosen arm of each family, how it was chosen, and the whole grid.

Knobs are chosen on `task0_val`; every accuracy here is of `task0_test` or `task1`. Published numbers have columns of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forgetting.analysis.curves import accuracies_at, at_step, first_reaching, method_summary
from forgetting.analysis.spurious import probe_points, recovery_summary, task0_rows
from forgetting.analysis.summary import combine_seeds, probe_accuracies
from forgetting.data.points import END, MATCHED, curve
from forgetting.intervals import Interval
from forgetting.statistics import DIFFERENCE, difference_ends, mean_over_seeds

HALFWAY = 0.5
"""Task 1 accuracy at which also those arms can be compared that never reach the matched one."""
LADDER = (0.99, 0.95, 0.9, 0.75, HALFWAY)
"""Task 1 accuracies of which an arm is compared with `seq` at the highest that both reach in every seed."""
GAINS = ("halfway_gain", "matched_gain", "common_gain")
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
    of them reach. common: Task 0 where Task 1 is at `compared_at`, see `common_levels`. dropped, task1_there, recovered, spurious_share: of
    the checkpoint in `recovered_from` (see `compared_points`), which follows the interpolated match by up to one distance of evaluations.
    """
    chosen = choice[choice["chosen"]]
    rows = metrics[metrics["arm"].isin(chosen["arm"])]
    step = int(rows.groupby(["seed", "arm"])["step"].max().min()) if equal_steps is None else equal_steps
    equal = accuracies_at(rows, step).rename(columns=lambda name: name.replace("task0", f"task0_at_step_{step}"))
    equal = equal.rename(columns=lambda name: name.replace("task1", f"task1_at_step_{step}"))
    runs = _accuracies(rows, matched_accuracy)
    points = compared_points(rows, recovery)
    for part in (equal, recovered(points, recovery, recovery_facts), task1_there(points, rows), costs(metrics)):
        runs = runs.merge(part, on=["seed", "arm"], how="left")
    values = ["steps", "learned", "before", "trough", "halfway", "matched", "halfway_gain", "matched_gain", "common", "common_gain"]
    values += [f"task0_at_step_{step}", f"task1_at_step_{step}"]
    values += ["stopped", "final", "task1_final", "checkpoint", "dropped", "task1_there", "drop", "recovered", "spurious_share", "seconds"]
    values += ["preparation_seconds", "trained_parameters", "stored_bytes", "extra_passes"]
    table = _compared(runs, values)
    table.insert(table.columns.get_loc("checkpoint"), "recovered_from", table["arm"].map(points.groupby("arm")["point"].first()))
    table = chosen[["family", "arm"]].merge(table, on="arm", how="left").merge(_published(paper), on="family", how="left")
    table = table.assign(remark=_remarks(table["arm"], rows))
    table = pd.concat([table, _floor_rows(rows, recovery, floors).assign(remark="")], ignore_index=True)
    return table.assign(**{name: table[name].round().astype("Int64") for name in ("trained_parameters", "stored_bytes")})  # every digit


def choice_table(choice: pd.DataFrame) -> pd.DataFrame:
    """The arms of each family, what they were ranked by on `task0_val`, and which was chosen. `choice`: CHOICE rows."""
    return choice[["family", "arm", "criterion", "learned", "chosen", "reason"]]


def grid_table(metrics: pd.DataFrame, choice: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Every arm of the comparison: its length, Task 0 from the trough to the end, and Task 1 at the end."""
    runs = _accuracies(metrics[metrics["arm"].isin(choice["arm"])], matched_accuracy)
    places = ["halfway", "matched", "stopped", "halfway_gain", "matched_gain", "common", "common_gain"]
    table = _compared(runs, ["steps", "learned", "trough", *places, "final", "task1_final"])
    return choice[["family", "arm", "chosen"]].merge(table, on="arm", how="left").assign(remark=_remarks(choice["arm"], metrics))


def nothing_generated(metrics: pd.DataFrame) -> dict[str, str]:
    """By arm, in words, in how many runs an arm that replays what the model generates had nothing to replay."""
    used = metrics[(metrics["split"] == "train") & (metrics["metric"] == "pseudo_used")].groupby(["arm", "seed"])["value"].last()
    found = {}
    for arm, values in used.groupby("arm"):
        none = int((values == 0).sum())
        if none:
            found[str(arm)] = f"nothing generated was usable in {none} of {len(values)} runs: trained as seq"
    return found


def _remarks(arms: pd.Series, metrics: pd.DataFrame) -> pd.Series:
    said = nothing_generated(metrics)
    return pd.Series([said.get(arm, "") for arm in arms], arms.index)


def costs(metrics: pd.DataFrame) -> pd.DataFrame:
    """What a run costs, one row a seed and arm; NaN where the metrics do not say.

    extra_passes: how many questions went through the model beyond those that `seq` with the same seed sees in as many steps, as a share of
    these; preparation counts, 0 is as many.
    """
    train = metrics[(metrics["split"] == "train") & metrics["metric"].isin(_COSTS)]
    found = train.pivot_table("value", ["seed", "arm"], "metric", aggfunc="last").reindex(columns=_COSTS)
    steps = metrics.groupby(["seed", "arm"])["step"].max()
    found = found.reindex(steps.index)
    of_seq = (found["trained_rows"] / steps).xs("seq", level="arm").reindex(steps.index.get_level_values("seed"))
    seen = found["trained_rows"] + found["prepared_rows"].fillna(0)
    found["extra_passes"] = seen / (of_seq.to_numpy() * steps) - 1
    return found.reset_index()


def recovered(points: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame) -> pd.DataFrame:
    """What one recovery epoch brings back from `points` (one a seed and arm, as in `probe_points`): columns seed, arm, checkpoint (its
    step), dropped, drop, recovered and spurious_share with their intervals."""
    shares = recovery_summary(recovery_facts[recovery_facts["arm"].isin([*points["arm"], "controls"])], points)
    shares = shares[["seed", "arm", "checkpoint", "spurious_share", "spurious_share_low", "spurious_share_high"]]
    found = probe_accuracies(recovery, points)
    found["drop"] = found["before"] - found["dropped"]
    return shares.merge(found[["seed", "arm", "drop", *_with_ends("dropped"), *_with_ends("recovered")]], on=["seed", "arm"])


def compared_points(metrics: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """The checkpoint at which each probed run in `metrics` is compared, columns as in `probe_points`: that where Task 1 was learned
    (matched), or for an arm that did not learn it in every seed the last one (end), in all seeds."""
    points = probe_points(metrics, recovery[recovery["arm"].isin(metrics["arm"].unique())])
    by_all = points.groupby("arm")["learned"].transform("all")
    return points[points["point"] == np.where(by_all, MATCHED, END)]


def after_one_epoch(points: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """`points` (as in `probe_points`) with value, low, high: Task 0 exact match after one recovery epoch from there."""
    rows = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    return points.merge(rows[["seed", "arm", "checkpoint", "value", "low", "high"]], on=["seed", "arm", "checkpoint"])


def task1_there(points: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """seed, arm, task1_there (with ends): Task 1 exact match at the checkpoints in `points`, which the same evaluations measured."""
    rows = task0_rows(metrics, "task1").rename(columns={"step": "checkpoint"})
    found = points[["seed", "arm", "checkpoint"]].merge(rows, on=["seed", "arm", "checkpoint"])
    names = dict(zip(("value", "low", "high"), _with_ends("task1_there"), strict=True))
    return found.rename(columns=names)[["seed", "arm", *names.values()]]


def common_levels(metrics: pd.DataFrame) -> dict[str, float]:
    """For each arm the highest accuracy of LADDER that Task 1 reaches in every seed, of the arm and of `seq`; NaN where it reaches none.

    No seed is left out of a comparison there. What is compared among the seeds that got somewhere is chosen by its outcome.
    """
    highest = {
        arm: min(curve(run, "task1")["value"].max() for _, run in runs.groupby("seed")) for arm, runs in metrics.groupby("arm", sort=False)
    }
    return {arm: next((level for level in LADDER if min(own, highest["seq"]) >= level), np.nan) for arm, own in highest.items()}


def surely_beyond_seq(metrics: pd.DataFrame, matched_accuracy: float) -> set[str]:
    """The arms in `metrics` that keep more of Task 0 than `seq` where all seeds of both have learned as much of Task 1, by an interval that
    holds for all arms together. With one seed there is none."""
    table = _compared(_accuracies(metrics, matched_accuracy), ["common", "common_gain"])
    if "common_gain_low_all" not in table:
        return set()
    return set(table.loc[table["common_gain_low_all"] > 0, "arm"])


def _accuracies(metrics: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Rows of `method_summary` without early stop; `stopped` is Task 0 with it, `halfway` Task 0 where Task 1 first reaches 50 %, `common`
    where it first reaches `compared_at`.

    halfway_gain, matched_gain, common_gain: what the arm has there beyond `seq` with the same seed, with the ends that the units of both
    give. Both start from the same weights, but for LAMOL, which has a Task 0 training of its own: its gain is to be read beside the
    `before` of both.
    """
    summary = method_summary(metrics, matched_accuracy)
    full = summary[~summary["early_stop"]].drop(columns=["seconds", "trained_parameters"])
    ends = dict(zip(_with_ends("final"), _with_ends("stopped"), strict=True))
    stopped = summary.loc[summary["early_stop"], ["seed", "arm", *ends]].rename(columns=ends)
    runs = full.merge(stopped, on=["seed", "arm"]).merge(_where_task1_is(metrics, HALFWAY, "halfway"), on=["seed", "arm"])
    compared_at = runs["arm"].map(common_levels(metrics))
    at_levels = {level: _where_task1_is(metrics, level, "common") for level in compared_at.dropna().unique()}
    common = [rows[rows["arm"].isin(runs.loc[compared_at == level, "arm"])] for level, rows in at_levels.items()]
    runs = runs.assign(compared_at=compared_at)
    runs = runs.merge(pd.concat(common or [_where_task1_is(metrics.iloc[:0], HALFWAY, "common")]), on=["seed", "arm"], how="left")
    for place in ("halfway", "matched"):
        runs = _with_gain(runs, place, runs[runs["arm"] == "seq"][["seed", *_with_ends(place)]])
    of_seq = [rows[rows["arm"] == "seq"].assign(compared_at=level) for level, rows in at_levels.items()]
    of_seq = [rows[["seed", "compared_at", *_with_ends("common")]] for rows in of_seq]
    return _with_gain(runs, "common", pd.concat(of_seq or [runs.iloc[:0][["seed", "compared_at", *_with_ends("common")]]]))


def _where_task1_is(metrics: pd.DataFrame, accuracy: float, name: str) -> pd.DataFrame:
    """seed, arm and `name` with its ends: Task 0 where Task 1 first reaches the accuracy."""
    rows = []
    for (seed, arm), run in metrics.groupby(["seed", "arm"], sort=False):
        point = at_step(curve(run, "task0_test"), first_reaching(curve(run, "task1"), accuracy))
        rows.append((seed, arm, point.value, point.low, point.high))
    return pd.DataFrame(rows, columns=["seed", "arm", *_with_ends(name)])


def _with_gain(runs: pd.DataFrame, place: str, of_seq: pd.DataFrame) -> pd.DataFrame:
    """`runs` with `<place>_gain` and its ends, beyond `of_seq`, which is joined on the columns that both have beside the place's."""
    on = [name for name in of_seq if name not in _with_ends(place)]
    both = runs.merge(of_seq, on=on, how="left", suffixes=("", "_of_seq"))
    gains = []
    for row in both.to_dict("records"):
        own, other = (Interval(*(row[f"{name}{suffix}"] for name in _with_ends(place))) for suffix in ("", "_of_seq"))
        is_seq = row["arm"] == "seq"  # beyond itself it has nothing, and that is sure
        gains.append((own.value - other.value, *((np.nan, np.nan) if is_seq else difference_ends(own, other))))
    found = pd.DataFrame(gains, columns=_with_ends(f"{place}_gain"), index=runs.index)
    return pd.concat([runs, found], axis=1)


def _compared(runs: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """`combine_seeds` by arm, with `compared_at` (a percentage) before `common`, and beside the interval of each gain one,
    `<gain>_low_all` to `<gain>_high_all`, that holds together with those of all other arms (95 %).

    These are t intervals at 1 - 0.05 / (arms compared), after Bonferroni: they need no common variance and no resampling of a handful of
    seeds. With three seeds they are wide, which is what three seeds can say about a dozen arms.
    """
    table = combine_seeds(runs, ["arm"], values)
    level = table["arm"].map(runs.groupby("arm")["compared_at"].first())
    table.insert(table.columns.get_loc("common"), "compared_at", ["-" if np.isnan(at) else f"{100 * at:g} %" for at in level])
    for gain in (name for name in GAINS if name in values):
        groups = {arm: rows for arm, rows in runs.groupby("arm") if arm != "seq" and len(rows) > 1 and rows[gain].notna().all()}
        ends = {
            arm: mean_over_seeds(rows[gain], DIFFERENCE, rows[f"{gain}_low"], rows[f"{gain}_high"], comparisons=len(groups))
            for arm, rows in groups.items()
        }
        if ends:
            after = table.columns.get_loc(gain) + 1
            table.insert(after, f"{gain}_high_all", table["arm"].map({arm: found.high for arm, found in ends.items()}))
            table.insert(after, f"{gain}_low_all", table["arm"].map({arm: found.low for arm, found in ends.items()}))
    return table


def _with_ends(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _published(paper: dict[str, Any]) -> pd.DataFrame:
    """family, paper (in words, since some are bounds), paper_reliability."""
    rows = []
    for family, found in paper["families"].items():
        number = [found.get("bound"), f"{100 * found['task0']:.3g} %"]
        words = [found.get("setting"), found["source"], found["reliability"]]
        rows.append((family, " ".join(filter(None, number)), "; ".join(filter(None, words))))
    return pd.DataFrame(rows, columns=["family", "paper", "paper_reliability"])


def _floor_rows(metrics: pd.DataFrame, recovery: pd.DataFrame, floors: pd.DataFrame) -> pd.DataFrame:
    modal = {split: task0_rows(floors, split)["value"].mean() for split in ("task0_test", "task1")}
    controls = [curve(run, "control")["value"].iloc[-1] for _, run in metrics[metrics["arm"] == "seq"].groupby("seed")]
    pretrained = task0_rows(recovery[(recovery["start"] == "pretrained") & np.isclose(recovery["epochs"], 1)])
    rows = [
        {"arm": "floor: modal answer", "final": modal["task0_test"], "task1_final": modal["task1"]},
        {"arm": "floor: control persons", "final": np.mean(controls)},
        {"arm": "control: pretrained only", "recovered": pretrained["value"].mean()},
    ]
    return pd.DataFrame(rows)
