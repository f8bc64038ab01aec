"""The studies of other architectures and widths: what each is configured as, what it makes, and its jobs. (No torch.)

A variant is a study of its own scale, run by Snakemake from a job of the study that asks for it (`workflow/rules/architectures.smk`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

from snakemake.utils import update_config

from forgetting.analysis.architectures import ARMS, variant_numbers
from forgetting.config.fields import ConfigError
from forgetting.config.study import StudyConfig, load_study
from forgetting.errors import StudyError
from forgetting.pipeline.given import fill_in
from forgetting.pipeline.jobs import PlannedJob
from forgetting.schemas.architectures import ARCHITECTURES
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.tables import read_tables, write_table


def variant_configs(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The whole config of the study of each variant, by its name. Raises ConfigError that names one that cannot be run."""
    section = config.get("architectures") or {}
    variants = {name: own for name, own in section.get("variants", {}).items() if own is not None}
    return {name: _variant(config, name, own) for name, own in variants.items()}


def _variant(config: dict[str, Any], name: str, own: dict[str, Any]) -> dict[str, Any]:
    whole = deepcopy(config)
    for part in (config["architectures"].get("shared", {}), own):
        update_config(whole, deepcopy(part))
    whole["scale"] = f"{config['scale']}-{name}"
    whole["architectures"]["variants"] = dict.fromkeys(whole["architectures"]["variants"])
    try:
        fill_in(whole)
        study = load_study(whole)
    except ConfigError as error:
        raise ConfigError(f"architectures.variants.{name}: {error}") from None
    if missing := [arm for arm in ARMS if arm not in study.arms or arm not in study.recovery.arms]:
        raise ConfigError(f"architectures.variants.{name}: {missing[0]} must be in arms and in recovery.arms")
    return whole


def variant_jobs(study: StudyConfig) -> list[PlannedJob]:
    """What the study of a variant computes."""
    found = []
    for seed in (f"seed{seed}" for seed in study.seeds):
        found.append(PlannedJob("make_data", f"{seed}/data/card.md"))
        found += [PlannedJob(stage, f"{seed}/{stage}/metrics.parquet") for stage in ("pretrain", "task0")]
        found += [PlannedJob("finetune", f"{seed}/task1/{arm}/metrics.parquet", arm, "task1") for arm in ARMS]
        found += [PlannedJob("recovery", f"{seed}/recovery/{arm}/metrics.parquet", arm) for arm in ARMS]
    return found


def run_variant(config: dict[str, Any], name: str, cores: int, output: Path) -> None:
    """Run the study of a variant as far as its numbers need, and write them (ARCHITECTURES). What is there already is not
    made again. Raises StudyError when a job of it fails; its log has said why."""
    study = load_study(config)
    root = f"results/{study.scale}"

    def files(stage: str, table: str) -> list[str]:
        return [f"{root}/seed{seed}/{stage}/{arm}/{table}.parquet" for seed in study.seeds for arm in ARMS]

    metrics, recovery, facts = files("task1", "metrics"), files("recovery", "metrics"), files("recovery", "facts")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variant.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        # The study that asks for this one holds the lock of the folder; they have no file in common.
        command = ["snakemake", "--nolock", "--rerun-incomplete", "--cores", str(cores), *metrics, *recovery, "--configfile", str(path)]
        if subprocess.run([sys.executable, "-m", *command], stdin=subprocess.DEVNULL).returncode:
            raise StudyError(f"the study {study.scale} failed: the lines above name the job; its log is below {root}/logs")
    numbers = variant_numbers(read_tables(metrics, METRICS), read_tables(recovery, RECOVERY), read_tables(facts, RECOVERY_FACTS))
    model = study.model
    of_model = {"architecture": model.architecture, "layers": model.layers, "width": model.hidden_size}
    write_table(numbers.assign(scale=study.scale, variant=name, **of_model), output, ARCHITECTURES)
