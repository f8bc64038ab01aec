"""The command line that all figure and table scripts share: one flag for each kind of input, and `--output`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from forgetting.analysis.summary import read_gates, read_paper
from forgetting.schemas.choice import CHOICE
from forgetting.schemas.common_shift import COMMON_SHIFT, COMMON_SHIFT_REPAIR
from forgetting.schemas.drift import DRIFT
from forgetting.schemas.features import FEATURE_POINTS, FEATURES
from forgetting.schemas.fisher import FISHER
from forgetting.schemas.gradients import GRADIENTS
from forgetting.schemas.interpolation import INTERPOLATION
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.positions import POSITIONS
from forgetting.schemas.recall import RECALL
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.schemas.theory import THEORY
from forgetting.schemas.weights import WEIGHTS
from forgetting.tables import read_tables

Result = TypeVar("Result")

_FACTS_IN_USE = ["seed", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]
_FACTS_IN_USE += ["person", "group", "attribute", "exact_match", "answer_nll"]
INPUTS: dict[str, tuple[Callable[[list[str]], Any], str]] = {
    "metrics": (partial(read_tables, schema=METRICS), "metrics.parquet of the Task 1 runs"),
    "pretrained": (partial(read_tables, schema=METRICS), "metrics.parquet of the same runs of the study whose names are pretrained"),
    "recovery": (partial(read_tables, schema=RECOVERY), "metrics.parquet of the recovery probes and their controls"),
    "recovery_facts": (partial(read_tables, schema=RECOVERY_FACTS, columns=_FACTS_IN_USE), "facts.parquet of the same"),
    "floors": (partial(read_tables, schema=METRICS), "floors.parquet of the data"),
    "landscape": (partial(read_tables, schema=LANDSCAPE), "landscape.parquet of the views"),
    "interpolation": (partial(read_tables, schema=INTERPOLATION), "interpolation.parquet of the views"),
    "positions": (partial(read_tables, schema=POSITIONS), "positions.parquet of the views"),
    "weights": (partial(read_tables, schema=WEIGHTS), "weights.parquet of the views"),
    "features": (partial(read_tables, schema=FEATURES), "features.parquet of the views"),
    "points": (partial(read_tables, schema=FEATURE_POINTS), "feature_points.parquet of the views"),
    "theory": (partial(read_tables, schema=THEORY), "theory.parquet of the views"),
    "common_shift": (partial(read_tables, schema=COMMON_SHIFT), "common_shift.parquet of the views"),
    "repair": (partial(read_tables, schema=COMMON_SHIFT_REPAIR), "common_shift_repair.parquet of the views"),
    "recall": (partial(read_tables, schema=RECALL), "recall.parquet of the views"),
    "drift": (partial(read_tables, schema=DRIFT), "drift.parquet of every seed"),
    "fisher": (partial(read_tables, schema=FISHER), "fisher.parquet of every seed"),
    "gradients": (partial(read_tables, schema=GRADIENTS), "gradients.parquet of the views"),
    "choice": (partial(read_tables, schema=CHOICE), "choice.parquet of the comparison"),
    "paper": (read_paper, "resources/paper_results.yaml"),
    "gates": (read_gates, "the files of the gates (JSON)"),
}
"""Name of an input: how its files are read, and what they are. Each takes one file a run; tables list arms in that order."""
OPTIONS: dict[str, dict[str, Any]] = {
    "matched_accuracy": {"type": float, "default": 0.99, "help": "Task 1 accuracy at which arms are compared (default 0.99)"},
    "equal_steps": {"type": int, "help": "step at which the arms are compared (default: the last one that all of them reach)"},
    "early_steps": {"type": int, "default": 20, "help": "step up to which the area under recovery reaches (default 20)"},
    "energy": {"type": float, "default": 0.99, "help": "share of an update's squared norm that a rank counts (default 0.99)"},
    "axes": {"choices": ("orthogonal", "reference"), "default": "orthogonal", "help": "axes of the landscape (default orthogonal)"},
}


def present(
    description: str | None,
    make: Callable[..., Result],
    save: Callable[[Result, Sequence[str]], None],
    inputs: Sequence[str],
    options: Sequence[str] = (),
) -> None:
    """Parse the command line, read the inputs, `make` the result of them and `save` it. A bad file is one message and exit code 1."""
    script = Path(sys.argv[0]).stem
    epilog = f"The files are below results/<scale> (docs/outputs.md). A whole command: snakemake -np --forcerun {script} -- {script}"
    parser = argparse.ArgumentParser(description=description, epilog=epilog)
    for name in inputs:
        parser.add_argument(f"--{name.replace('_', '-')}", nargs="+", required=True, metavar="FILE", help=INPUTS[name][1])
    for name in options:
        parser.add_argument(f"--{name.replace('_', '-')}", **OPTIONS[name])
    parser.add_argument("--output", nargs="+", required=True, metavar="PATH", help="the files to write, or one stem for all formats")
    given = vars(parser.parse_args())
    try:
        read = {name: INPUTS[name][0](given[name]) for name in inputs}
        save(make(**read, **{name: given[name] for name in options}), given["output"])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
