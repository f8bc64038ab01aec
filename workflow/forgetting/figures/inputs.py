"""What figures and tables are made of, by the name of the argument that takes it: where it lies, and what reads it."""

from __future__ import annotations

from typing import NamedTuple


class Input(NamedTuple):
    """files: below results/<scale>, with {seed}, {task} and {arm} where there is one for each. reader: in `forgetting`, the schema that the
    files are read with, or a function of their paths. columns: those that are read, where not all are."""

    files: str
    reader: str
    columns: tuple[str, ...] | None = None


_FACTS = ("seed", "arm", "step", "start", "training", "units", "checkpoint", "epochs", "unit", "split", "kind")
_TASK1, _RECOVERY, _VIEWS = "seed{seed}/task1/{arm}", "seed{seed}/recovery/{arm}", "seed{seed}/views/{arm}"
_OTHERS = {
    "metrics": Input(f"{_TASK1}/metrics.parquet", "schemas.metrics.METRICS"),
    "pretrained": Input(f"{_TASK1}/metrics.parquet", "schemas.metrics.METRICS"),  # of the study `beside`
    "recovery": Input(f"{_RECOVERY}/metrics.parquet", "schemas.recovery.RECOVERY"),
    "recovery_facts": Input(f"{_RECOVERY}/facts.parquet", "schemas.recovery.RECOVERY_FACTS", (*_FACTS, "exact_match", "answer_nll")),
    "facts": Input(
        f"{_TASK1}/facts.parquet",
        "schemas.facts.FACTS",
        ("seed", "arm", "step", "unit", "split", "kind", "exact_match", "first_token_hard"),
    ),
    "halves": Input("seed{seed}/data/cells/halves.parquet", "schemas.halves.HALVES_OF_UNITS"),
    "floors": Input("seed{seed}/data/floors.parquet", "schemas.metrics.METRICS"),
    "points": Input(f"{_VIEWS}/feature_points.parquet", "schemas.features.FEATURE_POINTS"),
    "repair": Input(f"{_VIEWS}/common_shift_repair.parquet", "schemas.common_shift.COMMON_SHIFT_REPAIR"),
    "architectures": Input("architectures/{variant}.parquet", "schemas.architectures.ARCHITECTURES"),  # of every variant
    "drift": Input("seed{seed}/drift/drift.parquet", "schemas.drift.DRIFT"),
    "fisher": Input("seed{seed}/fisher/fisher.parquet", "schemas.fisher.FISHER"),
    "sequence": Input("seed{seed}/sequence/answers.parquet", "schemas.sequence.SEQUENCE"),
    "sequence_metrics": Input("seed{seed}/{task}/{arm}/metrics.parquet", "schemas.metrics.METRICS"),
    "sequence_recovery": Input("seed{seed}/sequence/{task}/{arm}/metrics.parquet", "schemas.recovery.RECOVERY"),
    "sequence_controls": Input("seed{seed}/sequence/controls/metrics.parquet", "schemas.recovery.RECOVERY"),
    "alone": Input("seed{seed}/{task}/alone/metrics.parquet", "schemas.metrics.METRICS"),  # tasks after Task 1
    "choice": Input("comparison/choice.parquet", "schemas.choice.CHOICE"),
    "gates": Input("gates/seed{seed}-*.json", "analysis.summary.read_gates"),
    "paper": Input("resources/paper_results.yaml", "analysis.summary.read_paper"),
}


def input_of(name: str) -> Input:
    """The input of this name. One that is not listed is the table of a view, with the schema of the same name."""
    return _OTHERS.get(name) or Input(f"{_VIEWS}/{name}.parquet", f"schemas.{name}.{name.upper()}")
