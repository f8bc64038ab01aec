"""What a diagnosis will take, before anything runs. (No torch.)"""

from __future__ import annotations

from forgetting.config.diagnosis import Diagnosis
from forgetting.model.given_files import memory_needed
from forgetting.pipeline.given_plan import TOKENS, duration, parameters, rows_of

_CONTROLS = 2
"""Runs from `after` beside the right answers and the doses: shuffled answers, and other wordings."""


def forecast_text(diagnosis: Diagnosis, operations_per_second: float, cores: int) -> str:
    """How long it will take, with how much memory and disk, in a few lines. Raises StudyError for a model that cannot be used."""
    names = [name for name in (diagnosis.before, diagnosis.base, diagnosis.after) if name]
    try:
        weights = [parameters(name, diagnosis.trust_remote_code) for name in names][-1]
    except KeyError:
        return "How long the diagnosis takes is not known: the config of the model does not tell its size."
    probe = diagnosis.probe
    runs = len(diagnosis.starts) * len(probe.rates) * probe.seeds + _CONTROLS + len(probe.doses)
    measured = min(diagnosis.units, rows_of(diagnosis.old, diagnosis.units)) * (1 - diagnosis.train_share)
    evaluations = 4 + sum(step < probe.steps for step in probe.evaluate_steps)
    trained = runs * probe.steps * probe.batch_size
    asked = runs * evaluations * measured + (25 if diagnosis.remedies else 0) * 3 * measured
    operations = weights * TOKENS * (6 * trained + 2 * asked)
    memory = memory_needed(weights, trained=True)
    disk = memory_needed(weights, trained=False) if diagnosis.write else 0
    return (
        f"Diagnosis {diagnosis.name}: {weights / 1e6:.3g} million weights, {runs} trainings of {probe.steps} steps of {probe.batch_size}. "
        f"{duration(operations / operations_per_second, cores, len(diagnosis.starts))}, "
        f"{memory / 1e9:.1f} GB of memory a job (up to {len(diagnosis.starts)} at a time), {disk / 1e9 + 0.05:.2g} GB of disk. "
        "Computed from sizes, not measured (operations_per_second)."
    )
