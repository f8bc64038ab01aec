"""Gates: what a study must reach before its later results mean anything, checked on the measured tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from scipy.stats import binom

from forgetting.config.jobs.gates import GatesJob
from forgetting.config.sections import GateThresholds
from forgetting.data.points import EARLY_STEP, early_step
from forgetting.errors import StudyError
from forgetting.scenarios.biography.coverage import ANSWERS, NAMES
from forgetting.schemas.facts import ACCURACY
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY
from forgetting.tables import atomic, read_table

ADVICE = {
    "coverage": "names and values that pretraining never saw are blank vectors: lower data.pools, or pretrain more persons",
    "biography_first_token": "pretrain longer (pretrain.steps) or raise pretrain.optimizer.learning_rate",
    "task0_before": "pretrain longer, or change task0.epochs and task0.optimizer.learning_rate; choose them on task0_val",
    "control": "control persons are answered better than the floor: a leak in the data, or too few persons to tell",
    "sequential_trough": f"raise task1.optimizer.learning_rate: the collapse must come within {EARLY_STEP} steps and one epoch",
    "sequential_task1_end": "raise task1.steps",
    "recovery_from_150": "lower task1.optimizer.learning_rate or recover longer: at this rate the early forgetting is real",
}


class GateError(StudyError):
    """A gate that failed; the message has the numbers and what to change."""


@dataclass(frozen=True)
class Gate:
    """One number held against its threshold, at an optimizer step (for a recovery: the Task 1 step it starts from).

    floor: what a predictor without knowledge reaches (None where none applies). control: the same recovery from the pretrained model.
    applies: False for what says nothing because Task 0 was not known before Task 1; whether it passed still decides whether a study stops.
    """

    gate: str
    value: float
    low: float
    high: float
    comparison: str
    threshold: float
    floor: float | None
    step: int
    control: float | None = None
    applies: bool = True

    @property
    def passed(self) -> bool:
        return self.value >= self.threshold if self.comparison == ">=" else self.value <= self.threshold

    def __str__(self) -> str:
        word = ("passed" if self.passed else "FAILED") if self.applies else "not applicable"
        interval = f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
        beside = "" if self.floor is None else f"; floor {self.floor:.3f}"
        beside += "" if self.control is None else f"; from the pretrained model {self.control:.3f}"
        return f"{word}: {self.gate} is {interval}, must be {self.comparison} {self.threshold:g}{beside}"


def task0_gates(job: GatesJob, floors: Path, coverage: Path, pretrain: Path, task0: Path) -> list[Gate]:
    """The gates before Task 1: names and answers made of pretrained tokens, knowledge in biographies, Task 0 accuracy of held-out units,
    control units at chance."""
    limits = job.gate_thresholds
    floor, before, after = (read_table(path, METRICS) for path in (floors, pretrain, task0))
    biography = _row(before, "pretrained", "first_token_hard")
    accuracy = _row(after, "task0_test", ACCURACY)
    exact_floor = _row(floor, "task0_test", ACCURACY)["value"]
    seen = read_table(coverage, METRICS)
    tasks = [split for split in dict.fromkeys(seen["split"]) if split.startswith("task") and not split.startswith("task0")]
    covered = [
        _gate(f"coverage of {what} of {split}", _row(seen, split, metric), ">=", limits.token_coverage, None)
        for what, metric in (("names", NAMES), ("answers", ANSWERS))
        for split in (*tasks, "control")
    ]
    of_reading = [*covered, _gate("biography_first_token", biography, ">=", limits.biography_first_token, None)]
    return [
        *(of_reading if job.biographies_read else []),
        _gate("task0_before", accuracy, ">=", limits.task0_before, exact_floor),
        _control_gate("control after Task 0", _controls(after).tail(1), floor, limits),
    ]


def task1_gates(job: GatesJob, floors: Path, task1: Path, recovery: Path, controls: Path) -> list[Gate]:
    """The gates on `seq`: collapse, Task 1 learned, recovery from the early point, control units at chance in Task 1 and in every probe.

    Collapse and recovery apply only if Task 0 was known at step 0.
    """
    limits = job.gate_thresholds
    floor, curve = (read_table(path, METRICS) for path in (floors, task1))
    probes = pd.concat([read_table(path, RECOVERY) for path in (recovery, controls)], ignore_index=True)
    exact_floor = _row(floor, "task0_test", ACCURACY)["value"]
    early = curve[curve["step"] <= min(EARLY_STEP, job.task1_epoch_steps)]
    of_task0 = early[_where(early, "task0_test", ACCURACY)]
    trough = of_task0.loc[of_task0["value"].idxmin()]
    known = bool(of_task0.loc[of_task0["step"].idxmin(), "value"] >= limits.task0_before)
    right = probes[(probes["training"] == "right") & (probes["epochs"] == 1.0)]
    one_epoch = right[right["start"] == "task1"]
    checkpoint = early_step(one_epoch["checkpoint"].unique().tolist())
    pretrained = _row(right[right["start"] == "pretrained"], "task0_test", ACCURACY)["value"]
    recovered = _row(one_epoch[one_epoch["checkpoint"] == checkpoint], "task0_test", ACCURACY)
    recovery_gate = _gate("recovery_from_150", recovered, ">=", limits.recovery_from_150, exact_floor)
    gates = [
        replace(_gate("sequential_trough", trough, "<=", limits.sequential_trough, exact_floor), applies=known),
        _gate(
            "sequential_task1_end",
            _row(curve, "task1", ACCURACY),
            ">=",
            limits.sequential_task1_end,
            _row(floor, "task1", ACCURACY)["value"],
        ),
        replace(recovery_gate, step=checkpoint, control=float(pretrained), applies=known),
    ]
    for name, frame in (("control during Task 1", curve), ("control during recovery", probes)):
        gates.append(_control_gate(name, _controls(frame), floor, limits))
    return gates


def _where(frame: pd.DataFrame, split: str, metric: str) -> pd.Series:
    return (frame["split"] == split) & (frame["kind"] == "all") & (frame["metric"] == metric)


def _controls(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the control units, by step."""
    return frame[_where(frame, "control", ACCURACY)].sort_values("step")


def _row(frame: pd.DataFrame, split: str, metric: str) -> pd.Series:
    """The row of the last step of a split's micro-average."""
    rows = frame[_where(frame, split, metric)]
    return rows.loc[rows["step"].idxmax()]


def _gate(name: str, row: pd.Series, comparison: str, threshold: float, floor: float | None) -> Gate:
    return Gate(
        name, row["value"], row["low"], row["high"], comparison, threshold, None if floor is None else float(floor), int(row["step"])
    )


def _control_gate(name: str, rows: pd.DataFrame, floors: pd.DataFrame, limits: GateThresholds) -> Gate:
    """The highest of `rows`, accuracies of control units, against what the highest of as many by chance stays below.

    Chance is always giving the most frequent answer, at the upper end of its interval: it is known from few units, and a model that
    draws from all values is a little better. With probability `control_false_alarm` one of the evaluations would be higher by chance
    (binomial, after Bonferroni, which repeated questions make too wide rather than too narrow).
    """
    floor = _row(floors, "control", ACCURACY)
    highest = rows.loc[rows["value"].idxmax()]
    n = int(highest["n"])
    threshold = binom.isf(limits.control_false_alarm / len(rows), n, floor["high"]) / n
    return _gate(name, highest, "<=", float(threshold), floor["value"])


def settle(gates: list[Gate], job: GatesJob, output: Path) -> None:
    """Print every gate and write them as JSON. Raises GateError when one failed and `gates: stop` is set; then nothing is written."""
    for gate in gates:
        print(gate, flush=True)
    failed = [gate for gate in gates if not gate.passed]
    if failed and job.gates == "stop":
        lines = [f"  {gate}\n    {ADVICE[gate.gate.split(' ')[0]]}" for gate in failed]
        raise GateError(
            f"seed {job.seed}: {len(failed)} of {len(gates)} gates failed; set `gates: warn` to go on all the same\n" + "\n".join(lines)
        )
    rows = [asdict(gate) | {"passed": bool(gate.passed), "scale": job.scale, "seed": job.seed} for gate in gates]
    with atomic(output) as part:
        part.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
