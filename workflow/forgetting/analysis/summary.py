"""The tables of the study: frames of plain numbers (CSV), and the same formatted for reading (Markdown, LaTeX).

pandas writes Markdown with tabulate and LaTeX with jinja2; Snakemake installs both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from forgetting.analysis.curves import collapse_by_rate, method_summary
from forgetting.analysis.spurious import EARLY_STEPS, RELEARNED, probe_points, recovery_summary, task0_rows
from forgetting.analysis.standing import against_controls, content_and_form
from forgetting.data.points import EARLY_STEP, END, MATCHED, TROUGH, curve
from forgetting.intervals import Interval
from forgetting.statistics import CORRELATION, DIFFERENCE, PROPORTION, RATIO, UNBOUNDED, Kind, mean_over_seeds
from forgetting.tables import output_paths, write_formats

FORMATS = ("csv", "md", "tex")
_WHOLE_NUMBERS = ("step", "steps", "checkpoint", "seconds", "parameters", "bytes", "seeds", "seed", "units")
_KINDS: dict[str, Kind] = (
    dict.fromkeys(
        [
            "learned",
            "before",
            "trough",
            "peak",
            "control",
            "final",
            "matched",
            "halfway",
            "common",
            "stopped",
            "task1_final",
            "final_average",
        ]
        + ["dropped", "task1_there", "recovered", "control_persons", "pretrained", "random", "shuffled"]
        + ["kept", "lost_and_recovered", "not_back_after_one_epoch", "average_accuracy", "final_floor", "floor", "early_area"]
        + [
            "area_pretrained",
            "area_floor",
            "task0",
            "control_probability",
            "task0_random",
            "task0_floor",
            "trough_first_token",
            "trough_first_token_floor",
            "later_peak",
            "recovered_long",
            "floor_long",
            "task0_of_floor",
            "task0_into_pretrained",
            "task0_pretrained",
            "task0_pretrained_floor",
            "task0_straight",
            "task1",
            "update_share",
        ],
        PROPORTION,
    )
    | dict.fromkeys(
        ["forgetting", "backward_transfer", "area", "rebound", "drop", "beyond_pretrained", "halfway_gain", "matched_gain", "common_gain"]
        + ["kept_beyond_floor", "beyond_floor", "area_beyond_pretrained", "area_beyond_floor"]
        + ["forward_transfer", "intransigence", "beyond_straight", "common_share"],
        DIFFERENCE,
    )
    | dict.fromkeys(
        [
            "savings",
            "savings_at_least",
            "savings_at_most",
            "task0_nll",
            "seconds",
            "preparation_seconds",
            "trained_parameters",
            "stored_bytes",
            "distance",
            "recovered_length",
            "recovered_distance",
            "barrier",
        ],
        RATIO,
    )
    | {"way_back": CORRELATION}
    | dict.fromkeys(
        ["spurious_share", "floor_share", "restored_share", "stream_restored_share", "extra_passes"],
        UNBOUNDED,
    )
)
"""The kind of number that a column holds, see `kind_of`. A spurious share may pass 1 (recovery may go beyond what was before); the common
share of n units, each left out of the mean that it is held against, lies between -1 / (n - 1) and 1."""
SUMMARISED = frozenset(_KINDS)
"""Names of numbers that tables may have, whatever a table of an earlier version has."""
_PLACES = ("halfway", "matched", "common", "stopped")
"""Places on a run that a seed may never reach, so that the table says so and does not call the number undefined."""
_TITLES = {
    "learned": "Task 1 learned",
    "task1_final": "Task 1 final",
    "before": "Task 0 before",
    "final": "Task 0 final",
    "later_peak": f"highest Task 0 from step {EARLY_STEP} on",
    "matched": "Task 0 at matched Task 1",
    "halfway": "Task 0 where Task 1 is at 50 %",
    "halfway_gain": "halfway, minus seq",
    "matched_gain": "at matched, minus seq",
    "compared_at": "compared where Task 1 is at",
    "common": "Task 0 there",
    "common_gain": "there, minus seq",
    "checkpoint": "recovered from step",
    "dropped": "Task 0 before recovery",
    "task1_there": "Task 1 before recovery",
    "area": f"area above, steps 0-{EARLY_STEP}",
    "rate": "learning rate",
    "trained_parameters": "Trained parameters",
    "stopped": "Task 0 with early stop",
    "recovered": "after one recovery epoch",
    "paper": "paper: Task 0 after Task 1",
    "paper_reliability": "paper: reliability of that number",
}


def methods_table(metrics: pd.DataFrame, floors: pd.DataFrame, matched_accuracy: float) -> pd.DataFrame:
    """One row an arm, without and with early stop, then the two floors. Accuracies are exact match; columns as in `method_summary`."""
    runs = method_summary(metrics, matched_accuracy)
    values = [
        "learned",
        "before",
        "trough",
        "trough_step",
        "rebound",
        "later_peak",
        "final",
        "matched",
        "matched_step",
        "task1_final",
        "forgetting",
        "backward_transfer",
    ]
    values += ["final_average", "area", "steps", "seconds", "trained_parameters"]
    table = combine_seeds(runs, ["arm", "early_stop"], values)
    table["early_stop"] = table["early_stop"].map({True: "yes", False: "no"})
    control = metrics[metrics["arm"] == metrics["arm"].iloc[0]].groupby("seed")
    at_end = [curve(run, "control")["value"].iloc[-1] for _, run in control]
    modal = {group: task0_rows(floors, group)["value"].mean() for group in ("task0_test", "task1")}
    last = [
        {"arm": "floor: modal answer", "final": modal["task0_test"], "task1_final": modal["task1"]},
        {"arm": "floor: control persons", "final": np.mean(at_end)},
    ]
    table = pd.concat([table, pd.DataFrame(last)], ignore_index=True)
    # Every digit, also beside the floors, which have none; a mean over seeds, whose vocabularies differ, is no whole number.
    return table.assign(trained_parameters=table["trained_parameters"].astype(float).round().astype("Int64"))


def recovery_table(
    metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame, early_steps: int = EARLY_STEPS
) -> pd.DataFrame:
    """One row an arm and point (trough, matched, end): accuracies before, dropped and recovered, the controls, and what follows; columns as
    in `recovery_summary` and `against_controls`."""
    points = probe_points(metrics, recovery)
    runs = recovery_summary(recovery_facts, points).merge(probe_accuracies(recovery, points), on=["seed", "arm", "point"])
    runs = runs.merge(against_controls(recovery_facts, points, early_steps), on=["seed", "arm", "point"])
    values = ["checkpoint", "learned", "before", "dropped", "recovered", "control_persons", "pretrained", "floor", "random", "shuffled"]
    values += [
        "recovered_long",
        "floor_long",
        "kept_beyond_floor",
        "beyond_floor",
        "early_area",
        "area_beyond_pretrained",
        "area_beyond_floor",
    ]
    values += [
        "spurious_share",
        "floor_share",
        "savings",
        "savings_at_least",
        "savings_at_most",
        "kept",
        "lost_and_recovered",
        "not_back_after_one_epoch",
    ]
    return combine_seeds(runs, ["arm", "point"], values)


def recovery_controls_table(
    metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame, early_steps: int = EARLY_STEPS
) -> pd.DataFrame:
    """Where as many steps on other form, other content or fewer units bring Task 0, from trough and end: see `content_and_form`."""
    runs = content_and_form(recovery_facts, probe_points(metrics, recovery), early_steps)
    keys, values = ["arm", "point", "training", "units"], ["task0", "early_area", "area_beyond_floor", "task0_nll", "control_probability"]
    return combine_seeds(runs, keys, values) if len(runs) else pd.DataFrame(columns=[*keys, "seeds", *values])


def learning_rate_table(metrics: pd.DataFrame, recovery: pd.DataFrame, recovery_facts: pd.DataFrame) -> pd.DataFrame:
    """One row a learning rate: collapse, rebound, and what recovery brings back from the trough and from where Task 1 was learned."""
    runs = collapse_by_rate(metrics)
    wide = [runs.loc[runs["name"] == "before", ["seed", "arm", "rate", "learned"]]]
    wide += [_named(runs[runs["name"] == name], name) for name in ("before", "trough", "peak")]
    points = probe_points(metrics, recovery)
    probes = recovery_summary(recovery_facts, points).merge(probe_accuracies(recovery, points), on=["seed", "arm", "point"])
    values = ["learned", "before", "trough", "peak"]
    for point in (TROUGH, MATCHED):
        columns = [name for name in probes if name.startswith(("recovered", "spurious_share"))]
        chosen = probes.loc[probes["point"] == point, ["seed", "arm", *columns]]
        wide.append(chosen.rename(columns={name: f"{point}_{name}" for name in columns}))
        values += [f"{point}_recovered", f"{point}_spurious_share"]
    wide.append(probes.loc[probes["point"] == END, ["seed", "arm", "pretrained", "pretrained_low", "pretrained_high"]])
    table = wide[0]
    for part in wide[1:]:
        table = table.merge(part, on=["seed", "arm"], how="left")
    return combine_seeds(table.sort_values("rate"), ["rate", "arm"], [*values, "pretrained"])


def gates_table(gates: pd.DataFrame) -> pd.DataFrame:
    """One row a seed and gate, from the entries that `forgetting.analysis.gates` writes."""
    threshold = gates["comparison"] + gates["threshold"].map(" {:g}".format)
    passed = gates["passed"].map({True: "yes", False: "NO"}).where(gates["applies"], "not applicable")
    table = gates.assign(threshold=threshold, passed=passed)
    return table[["seed", "gate", "value", "low", "high", "threshold", "floor", "control", "step", "passed"]]


def read_gates(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The entries of gate files (lists of objects); those that do not say whether they apply do. Raises ValueError that names a file that
    is not one."""
    frames = []
    for path in map(Path, paths):
        try:
            frame = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
            if missing := {"gate", "value", "threshold", "passed", "seed"} - set(frame):
                raise ValueError(f"no {', '.join(sorted(missing))}")
            frames.append(frame.assign(applies=frame.get("applies", True)))
        except ValueError as error:
            raise ValueError(f"{path}: not a list of gates ({error}); delete it and run again") from None
    return pd.concat(frames, ignore_index=True)


def read_paper(paths: Sequence[str | Path]) -> dict[str, Any]:
    """The published numbers of `resources/paper_results.yaml`. Raises ValueError that names a file that is not such a table."""
    path = Path(paths[0])
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("families", "pseudo_examples")}
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a table of published numbers ({error})") from None


def kind_of(name: str) -> Kind:
    """The kind of number in a column; the time or place before or behind a name, as in `early_drop`, and the step do not matter.

    Raises KeyError for a name that is not known: its interval may not be guessed.
    """
    if name.startswith(("task0_at_step_", "task1_at_step_")):
        return PROPORTION
    short = name.removeprefix("early_").removeprefix("late_").removeprefix("trough_").removeprefix("matched_")
    short = short.removesuffix("_trough").removesuffix("_end")
    for known in (name, short):
        if known in _KINDS:
            return _KINDS[known]
    if _is_whole(name):
        return RATIO
    raise KeyError(f"what kind of number is {name!r}? Say it in forgetting.analysis.summary._KINDS")


def combine_seeds(runs: pd.DataFrame, keys: Sequence[str], values: Sequence[str], kind: Kind | None = None) -> pd.DataFrame:
    """One row for each combination of `keys`: each value with its interval (`_low`, `_high`), and how many seeds there are.

    With several seeds: mean and interval over the seeds (`mean_over_seeds`, by the kind of number: `kind`, or that of its name). With one:
    the value and its interval, if it has one. A value that a seed lacks has no mean, since the seeds that have it are not a sample of all:
    `<name>_seeds`, which every value has that is undefined anywhere, says how many do. Infinite savings have no mean: where a seed has
    them, the value is the median over seeds, without an interval. Steps and the share of seeds that learned Task 1 go without; interval
    columns that would be empty are left out.
    """
    rows: list[dict[str, Any]] = []
    partial = [name for name in values if runs[name].isna().any()]
    for key, group in runs.groupby(list(keys), sort=False):
        row: dict[str, Any] = dict(zip(keys, key, strict=True)) | {"seeds": len(group)}
        for name in values:
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, _over_seeds(group, name, kind)), strict=True))
            if _is_whole(name) or name == "learned":
                del row[f"{name}_low"], row[f"{name}_high"]
            if name in partial:
                row[f"{name}_seeds"] = int(group[name].notna().sum())
        rows.append(row)
    table = pd.DataFrame(rows)
    empty = [name for name in table if name.endswith(("_low", "_high")) and table[name].isna().all()]
    return table.drop(columns=empty)


def _over_seeds(group: pd.DataFrame, name: str, kind: Kind | None) -> Interval:
    """One value of a group of runs, a seed each."""
    values = group[name].astype(float)
    low, high = (group[end].astype(float) if end in group else pd.Series(np.nan, group.index) for end in (f"{name}_low", f"{name}_high"))
    if len(group) == 1:
        return Interval(values.iloc[0], low.iloc[0], high.iloc[0])
    if np.isinf(values).any() and values.notna().all():
        return Interval(float(np.median(values)), np.nan, np.nan)
    return mean_over_seeds(values, kind or kind_of(name), low, high)


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: text cells, a value with its interval in one cell, readable column names.

    Where a column `<name>_seeds` counts the seeds that have `<name>`, and not all do, the cell says so instead. An interval
    `<name>_low_all` to `<name>_high_all`, which holds together with those of the other rows, follows in the same cell.
    """
    ends = {name for name in table if name.removesuffix("_low").removesuffix("_high") in table and name.endswith(("_low", "_high"))}
    ends |= {"low", "high"} & set(table) if "value" in table else set()
    ends |= {name for name in table if name.endswith(("_low_all", "_high_all"))}
    counts = {name for name in table if name.endswith("_seeds") and name.removesuffix("_seeds") in table}
    columns = {}
    for name in table:
        if name in ends | counts:
            continue
        low, high = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
        lows, highs, lows_all, highs_all = (
            table[end] if end in table else [np.nan] * len(table) for end in (low, high, f"{name}_low_all", f"{name}_high_all")
        )
        cells = [_cell(name, *cell) for cell in zip(table[name], lows, highs, strict=True)]
        if f"{name}_low_all" in ends:
            cells = [_with_all(*cell) for cell in zip(cells, lows_all, highs_all, strict=True)]
        if f"{name}_seeds" in counts:
            missing = "not reached" if name.removesuffix("_gain").removesuffix("_step") in _PLACES else "-"
            reached = zip(cells, table[f"{name}_seeds"], table["seeds"], strict=True)
            cells = [_with_count(*cell, missing) for cell in reached]
        columns[_TITLES.get(name, name.replace("_", " ").replace("task0", "Task 0").replace("task1", "Task 1"))] = cells
    return pd.DataFrame(columns)


def save_table(table: pd.DataFrame, outputs: Sequence[str | Path]) -> None:
    """Write the given files, or a stem as csv (plain numbers), md and tex (formatted)."""
    reading = formatted(table)

    def write(path: Path, kind: str) -> None:
        if kind == "csv":
            table.to_csv(path, index=False, float_format="%.6g")
        elif kind == "md":
            path.write_text(reading.to_markdown(index=False, disable_numparse=True) + "\n", encoding="utf-8")
        else:
            path.write_text(reading.to_latex(index=False, escape=True), encoding="utf-8")

    write_formats(output_paths(outputs, FORMATS), write)


def _cell(name: str, value: Any, low: float, high: float) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if name == "learned":
        return f"{100 * value:.0f} %"
    if name == "rate":
        return f"{value:.4g}"
    if np.isinf(value):
        return "no bound" if name == "savings_at_most" else f"starts above {100 * RELEARNED:.0f} %"
    places = 0 if _is_whole(name) else 3
    text = f"{value:,.{places}f}"
    return text if pd.isna(low) or pd.isna(high) else f"{text} [{low:.{places}f}, {high:.{places}f}]"


def _with_all(cell: str, low: float, high: float) -> str:
    """A cell with the interval that holds together with those of the other rows."""
    return cell if pd.isna(low) or pd.isna(high) else f"{cell}; all together [{low:.3f}, {high:.3f}]"


def _with_count(cell: str, reached: float, seeds: float, missing: str) -> str:
    """A cell, or in how many seeds there is such a value where that is not in all; `missing` where there is in none."""
    if pd.isna(reached) or reached == seeds:
        return cell
    return f"{reached:.0f} of {seeds:.0f} seeds" if reached else missing


def _is_whole(name: str) -> bool:
    return name.rsplit("_", 1)[-1] in _WHOLE_NUMBERS


def _named(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """seed, arm and the value columns, renamed after what the value is."""
    return rows[["seed", "arm", "value", "low", "high"]].rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})


def probe_accuracies(recovery: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """For each seed, arm and point: exact match before, dropped, recovered, of control units, and after one epoch from each control."""
    test, control = task0_rows(recovery), task0_rows(recovery, "control")
    shuffled = task0_rows(recovery, training="shuffled")
    one_epoch, from_task1 = np.isclose(test["epochs"], 1), test["start"] == "task1"
    table = points[["seed", "arm", "point", "checkpoint"]]
    at_point, of_run = ["seed", "arm", "checkpoint"], ["seed", "arm"]
    parts = [
        (test[from_task1 & (test["epochs"] == 0) & (test["checkpoint"] == 0)], "before", of_run),
        (test[from_task1 & (test["epochs"] == 0)], "dropped", at_point),
        (test[from_task1 & one_epoch], "recovered", at_point),
        (control[(control["start"] == "task1") & np.isclose(control["epochs"], 1)], "control_persons", at_point),
        (shuffled[np.isclose(shuffled["epochs"], 1)], "shuffled", at_point),
        (test[(test["start"] == "pretrained") & one_epoch], "pretrained", ["seed"]),
        (test[(test["start"] == "random") & one_epoch], "random", ["seed"]),
    ]
    for rows, name, keys in parts:
        chosen = rows.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
        table = table.merge(chosen[[*keys, name, f"{name}_low", f"{name}_high"]], on=keys, how="left")
    return table.drop(columns="checkpoint")
