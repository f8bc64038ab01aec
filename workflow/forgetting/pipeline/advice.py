"""Whether an advice can be given, and what it will take, before anything runs. (No torch.)"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from forgetting.config.advice import Advice
from forgetting.config.sections import Model
from forgetting.errors import StudyError
from forgetting.model.given_files import describe_given, memory_needed
from forgetting.pipeline.given_plan import TOKENS, duration, parameters, rows_of


def check_trials(advice: Advice) -> None:
    """Raises StudyError, before any job, for a method that cannot be tried: LoRA without peft, or freezing in a model of which it is not
    known where the layers are."""
    if advice.trial.lora and find_spec("peft") is None:
        extra = ".venv/bin/pip install -e '.[diagnose]'"
        raise StudyError(f"advise.trial.lora needs the package peft: {extra}, or say advise.trial.lora: false")
    if advice.trial.freeze and Path(advice.before).is_dir():
        family = describe_given(advice.before, trust_remote_code=advice.trust_remote_code).config.get("model_type")
        if family not in get_args(Model.model_fields["architecture"].annotation):
            raise StudyError(f"advise.trial.freeze: where a model of the family {family!r} has its layers is not known: say []")


def advice_forecast(advice: Advice, operations_per_second: float, cores: int) -> str:
    """How long it will take, with how much memory and disk, in a few lines. Raises StudyError for a model that cannot be used."""
    try:
        weights = parameters(advice.before, advice.trust_remote_code)
    except KeyError:
        return "How long the advice takes is not known: the config of the model does not tell its size."
    trial, jobs = advice.trial, len(advice.tried)
    trained = trial.seeds * trial.steps * trial.batch_size * (jobs + len(trial.replay))  # replay doubles a batch
    old, new = rows_of(advice.old, advice.units), rows_of(advice.new, advice.units)
    measured = min(old, advice.units) * (1 - advice.train_share) + min(new, advice.units)
    evaluations = 2 + sum(step < trial.steps for step in trial.evaluate_steps)
    operations = weights * TOKENS * (6 * trained + 2 * jobs * trial.seeds * evaluations * measured)
    return (
        f"Advice {advice.name}: {weights / 1e6:.3g} million weights, {jobs * trial.seeds} trials of {trial.steps} steps of "
        f"{trial.batch_size}. "
        f"{duration(operations / operations_per_second, cores, jobs)}, {memory_needed(weights, trained=True) / 1e9:.1f} GB of memory a job "
        f"(up to {jobs} at a time), 0.05 GB of disk. Computed from sizes, not measured (operations_per_second)."
    )
