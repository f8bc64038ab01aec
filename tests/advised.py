"""Advice on tiny models that know made-up facts, in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forgetting.config.advice import Advice
from forgetting.config.jobs.advice import AdviceJob
from forgetting.report.advice import write_advice
from forgetting.stages.advice import try_method
from forgetting.stages.advice_data import prepare_advice
from tests.diagnosed import GUESTS, TOWNS
from tests.study import ROOT

TRIAL: dict[str, Any] = {"steps": 40, "evaluate_steps": [2, 5, 10, 15, 20, 30], "learning_rate": 3e-3}
TRIAL |= {"freeze": [0.0, 0.5], "replay": [0.5], "lora": False}


def advice_job(folder: Path, trial: dict[str, Any] | None = None, **keys: Any) -> AdviceJob:
    """A small advice on the model `before` in the folder, with the examples old.jsonl and new.jsonl there."""
    files = {"before": str(folder / "before"), "old": str(folder / "old.jsonl"), "new": str(folder / "new.jsonl")}
    return AdviceJob.of(Advice.model_validate({"name": "tiny", **files, "trial": TRIAL | (trial or {})} | keys))


def clashing_rows() -> list[dict[str, Any]]:
    """The old question about other units, with answers of another kind: without old examples, every answer becomes one of these."""
    asked = [(word, number) for word in ("color", "tint") for number in range(len(GUESTS))]
    return [{"prompt": f"{word} of {GUESTS[n]} ?", "answer": f" {TOWNS[n % 3]}", "unit": f"{GUESTS[n]} {word}"} for word, n in asked]


def advised(made: AdviceJob, folder: Path) -> dict[str, Any]:
    """Every job of an advice, as its rules run them; what advice.json says."""
    prepare_advice(made, folder / "data")
    for name in made.advice.tried:
        try_method(made, name, folder / "data", folder / "scratch" / name, folder / "trials")
    write_advice(made, folder / "data", folder / "trials", ROOT / "workflow" / "report", folder)
    said: dict[str, Any] = json.loads((folder / "advice.json").read_text())
    return said
