"""What a study cost by stage: benchmark files say how long jobs took, their metrics what they trained and what the device said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

from forgetting.report.runtimes import Job
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY
from forgetting.tables import read_table

_SPLIT, _TRAINED = "train", "trained_tokens"
HOUR, KILOWATT_HOUR = 3600, 3.6e6


@dataclass(frozen=True)
class Cost:
    """All jobs of a stage of all seeds; NaN: not known.

    gpu_hours: time of the jobs, for each GPU that they held. core_hours: processor time. What follows is of training alone: tokens,
    without padding; padding: share of the trained positions; tokens_per_second: of one job; utilisation: operations that the model needs
    as a share of what the devices could have done meanwhile; memory: bytes, the largest of a job; energy: kWh.
    """

    stage: str
    jobs: int
    gpu_hours: float
    core_hours: float
    tokens: float
    tokens_per_second: float
    padding: float
    utilisation: float
    memory: float
    energy: float


def read_training(results: Path) -> dict[str, list[dict[str, float]]]:
    """Metrics of every job that trained in the folder of a study, by stage: name and value, and the number of its `seed`. Jobs of an older
    version, and those that only combine weights, say nothing."""
    found: dict[str, list[dict[str, float]]] = {}
    for path in sorted(results.glob("seed*/**/metrics.parquet")):
        seed, stage = path.relative_to(results).parts[:2]
        table = read_table(path, RECOVERY if stage in ("recovery", "sequence") else METRICS, ["split", "metric", "value"])
        values = table[table["split"] == _SPLIT].groupby("metric")["value"].last().to_dict()
        if _TRAINED in values:
            found.setdefault(stage, []).append(values | {"seed": int(seed.removeprefix("seed"))})
    return found


def stage_totals(jobs: Sequence[Job], training: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Cost]:
    """One entry a stage, in the order in which they come, then their sum."""
    on_gpu = {f"seed{values['seed']:.0f}" for found in training.values() for values in found if "devices" in values}
    stages = list(dict.fromkeys(job.stage.partition("/")[0] for job in sorted(jobs, key=lambda job: job.started)))
    costs = [
        _cost(stage, [job for job in jobs if job.stage.partition("/")[0] == stage], training.get(stage, ()), on_gpu) for stage in stages
    ]
    everything = [values for stage in stages for values in training.get(stage, ())]
    total = _cost("all", jobs, everything, set())
    return [*costs, Cost(**(vars(total) | {"gpu_hours": _sum(cost.gpu_hours for cost in costs)}))]


def _cost(stage: str, jobs: Sequence[Job], training: Sequence[Mapping[str, float]], on_gpu: Collection[str]) -> Cost:
    tokens = _total(training, _TRAINED)
    positions = _sum(values[_TRAINED] / (1 - values["padding_share"]) for values in training)
    rated = [values for values in training if "model_flop_utilisation" in values]
    possible = _sum(values["trained_operations"] / values["model_flop_utilisation"] for values in rated)
    held = {f"seed{values['seed']:.0f}": values["devices"] for values in training if "devices" in values}
    used = [job for job in jobs if job.works and job.seed in on_gpu]
    return Cost(
        stage=stage,
        jobs=len(jobs),
        gpu_hours=_sum(held.get(job.seed, 1) * job.seconds for job in used) / HOUR,
        core_hours=_sum(job.cpu_seconds for job in jobs) / HOUR,
        tokens=tokens,
        tokens_per_second=tokens / _total(training, "seconds"),
        padding=1 - tokens / positions,
        utilisation=_total(rated, "trained_operations") / possible,
        memory=max((values["peak_device_memory"] for values in training if "peak_device_memory" in values), default=nan),
        energy=_total(training, "energy_joules") / KILOWATT_HOUR,
    )


def _total(training: Sequence[Mapping[str, float]], name: str) -> float:
    return _sum(values.get(name, nan) for values in training)


def _sum(values: Iterable[float]) -> float:
    """Of those that are known; NaN where none is."""
    known = [value for value in values if not isnan(value)]
    return sum(known) if known else nan
