"""The tables of the full comparison of methods (science §6): the chosen arm of each family, how it was chosen, and the whole grid.

Knobs are chosen on `task0_val`; every accuracy here is of `task0_test` or `task1`. Published numbers have columns of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from forgetting.summary import combine_seeds, probe_accuracies
from forgetting.views.performance import accuracies_at, curve, method_summary
from forgetting.views.spurious import probe_points, recovery_summary, task0_rows

HALFWAY = 0.5
"""Task 1 accuracy at which also those arms can be compared that never reach the matched one."""
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
    of them reach. recovered, spurious_share, drop: from where Task 1 was learned, or from the end where it never was
    (`recovered_from`).
    """
    chosen = choice[choice["chosen"]]
    rows = metrics[metrics["arm"].isin(chosen["arm"])]
    step = int(rows.groupby(["seed", "arm"])["step"].max().min()) if equal_steps is None else equal_steps
    equal = accuracies_at(rows, step).rename(columns=lambda name: name.replace("task0", f"task0_at_step_{step}"))
    equal = equal.rename(columns=lambda name: name.replace("task1", f"task1_at_step_{step}"))
    runs = _accuracies(rows, matched_accuracy)
    for part in (equal, recovered(rows, recovery, recovery_facts), costs(metrics)):
        runs = runs.merge(part, on=["seed", "arm"], how="left")
    values = ["learned", "before", "trough", "halfway", "matched", f"task0_at_step_{step}", f"task1_at_step_{step}"]
    values += ["stopped", "final", "task1_final", "drop", "recovered", "spurious_share", "seconds", "seconds_ratio"]
    values += ["preparation_seconds", "trained_parameters", "stored_bytes", "extra_passes"]
    table = combine_seeds(runs, ["arm"], values)
    table = chosen[["family", "arm"]].merge(table, on="arm", how="left")
    table = _beside(table, runs, "spurious_share").pipe(_with_matched_count, runs)
    table = table.merge(_published(paper), on="family", how="left")
    table = pd.concat([table, _floor_rows(rows, recovery, floors)], ignore_index=True)
    return table.assign(**{name: table[name].round().astype("Int64") for name in ("trained_parameters", "stored_bytes")})  # every digit


def choice_table(choice: pd.DataFrame) -> pd.DataFrame:
    """The arms of each family, what they were ranked by on `task0_val`, and which was chosen. `choice`: CHOICE rows."""
    return choice[["family", "arm", "criterion", "learned", "chosen", "reason"]]


def grid_table(metrics: pd.DataFrame, choice: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Every arm of the comparison: Task 0 at the trough, at matched Task 1 and at the end, and Task 1 at the end."""
    runs = _accuracies(metrics[metrics["arm"].isin(choice["arm"])], matched_accuracy)
    table = combine_seeds(runs, ["arm"], ["learned", "trough", "halfway", "matched", "stopped", "final", "task1_final", "steps"])
    table = choice[["family", "arm", "chosen"]].merge(table, on="arm", how="left")
    return _with_matched_count(table, runs)


def costs(metrics: pd.DataFrame) -> pd.DataFrame:
    """What a run costs, one row a seed and arm; NaN where the metrics do not say.

    seconds_ratio: training seconds of a step over those of `seq` with the same seed. extra_passes: how many questions went through the
    model beyond those that `seq` sees in as many steps, as a share of these; preparation counts, 0 is as many.
    """
    train = metrics[(metrics["group"] == "train") & metrics["metric"].isin(_COSTS)]
    found = train.pivot_table("value", ["seed", "arm"], "metric", aggfunc="last").reindex(columns=_COSTS)
    steps = metrics.groupby(["seed", "arm"])["step"].max()
    found = found.reindex(steps.index)
    a_step = found[["seconds", "trained_rows"]].div(steps, axis=0)
    of_seq = a_step.xs("seq", level="arm").reindex(found.index.get_level_values("seed")).set_index(found.index)
    found["seconds_ratio"] = a_step["seconds"] / of_seq["seconds"]
    seen = found["trained_rows"] + found["prepared_rows"].fillna(0)
    found["extra_passes"] = seen / (of_seq["trained_rows"] * steps) - 1
    return found.reset_index()


def recovered(metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame) -> pd.DataFrame:
    """What one recovery epoch brings back from where Task 1 was learned: columns seed, arm, drop, recovered and
    spurious_share with their intervals. `recovered_from` is matched, or end where Task 1 was never learned."""
    points = matched_points(metrics, recovery)
    shares = recovery_summary(recovery_facts[recovery_facts["arm"].isin([*points["arm"], "controls"])], points)
    shares = shares[["seed", "arm", "learned", "spurious_share", "spurious_share_low", "spurious_share_high"]]
    found = probe_accuracies(recovery, points)
    found["drop"] = found["before"] - found["dropped"]
    found = found[["seed", "arm", "drop", "recovered", "recovered_low", "recovered_high"]]
    table = shares.merge(found, on=["seed", "arm"])
    table["recovered_from"] = np.where(table["learned"], "matched", "end")
    return table.drop(columns="learned")


def matched_points(metrics: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """For each probed run in `metrics`, the checkpoint where Task 1 was learned, or the last; columns as in `probe_points`."""
    points = probe_points(metrics, recovery[recovery["arm"].isin(metrics["arm"].unique())])
    return points[points["point"] == "matched"]


def after_one_epoch(points: pd.DataFrame, recovery: pd.DataFrame) -> pd.DataFrame:
    """`points` (as in `probe_points`) with value, low, high: Task 0 exact match after one recovery epoch from there."""
    rows = task0_rows(recovery[(recovery["start"] == "task1") & np.isclose(recovery["epochs"], 1)])
    return points.merge(rows[["seed", "arm", "checkpoint", "value", "low", "high"]], on=["seed", "arm", "checkpoint"])


def read_paper(paths: Sequence[str | Path]) -> dict[str, Any]:
    """The published numbers of `resources/paper_results.yaml`. Raises ValueError that names a file that is not such a table."""
    path = Path(paths[0])
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("families", "pseudo_examples")}
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a table of published numbers ({error})") from None


def _accuracies(metrics: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """Rows of `method_summary` without early stop; `stopped` is Task 0 with it, `halfway` Task 0 where Task 1 first reaches 50 %."""
    summary = method_summary(metrics, matched_accuracy)
    full = summary[~summary["early_stop"]].drop(columns=["seconds", "trained_parameters"])
    ends = {"final": "stopped", "final_low": "stopped_low", "final_high": "stopped_high"}
    stopped = summary.loc[summary["early_stop"], ["seed", "arm", *ends]].rename(columns=ends)
    halfway = method_summary(metrics, HALFWAY)
    halfway = halfway.loc[~halfway["early_stop"], ["seed", "arm", "matched", "matched_low", "matched_high"]]
    halfway = halfway.rename(columns=lambda name: name.replace("matched", "halfway"))
    return full.merge(stopped, on=["seed", "arm"]).merge(halfway, on=["seed", "arm"])


def _with_matched_count(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Adds `matched_seeds`: in how many seeds Task 1 reached the accuracy at which the arms are matched."""
    return table.assign(matched_seeds=table["arm"].map(runs.groupby("arm")["matched"].count()))


def _beside(table: pd.DataFrame, runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Adds `recovered_from` after `column`; where the seeds differ, both."""
    sources = runs.groupby("arm")["recovered_from"].agg(lambda found: " or ".join(sorted(found.dropna().unique(), reverse=True)))
    last = [name for name in table if name.startswith(column)][-1]
    table.insert(table.columns.get_loc(last) + 1, "recovered_from", table["arm"].map(sources).replace("", np.nan))
    return table


def _published(paper: dict[str, Any]) -> pd.DataFrame:
    """family, paper_percent, paper_reliability."""
    rows = []
    for family, found in paper["families"].items():
        words = [found.get("bound"), found.get("setting"), found["source"], found["reliability"]]
        rows.append((family, 100 * found["task0"], "; ".join(word for word in words if word)))
    return pd.DataFrame(rows, columns=["family", "paper_percent", "paper_reliability"])


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
