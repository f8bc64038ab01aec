"""What becomes of the results of gpu_first.sh and gpu_second.sh: tables in docs/results/gpu, the page docs/results-gpu.md, the speed that
forecasts assume.

python benchmarks/gpu_results.py take OUTPUT [OUTPUT...]   rows, profiles, and tables and figures of the study; then the page
python benchmarks/gpu_results.py render [--check]          the page from the tables
python benchmarks/gpu_results.py calibrate                 operations_per_second of config/paper.yaml, and what it costs then
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common import ROOT, study
from forgetting.pipeline import sizes
from forgetting.pipeline.forecast import forecast
from forgetting.pipeline.jobs import jobs_of
from forgetting.report.documents import IMAGES, RESULTS, TEMPLATES, Results
from forgetting.report.export import rounded
from forgetting.tables import atomic
from speed_table import CHECKS

PAGE, TABLES = Path("docs/results-gpu.md"), RESULTS / "gpu"
NOT_MEASURED = "not measured"
FIGURES = {"performance": "Accuracy on both tasks", "recovery": "Recovery", "landscape": "Loss landscape"}
NUMBERS = ("steps", "tokens", "operations", "memory", "making", "seconds")
"""Of a row, where it has them: steps, predicted tokens and operations a second; GB; making a batch, as a share of a step; seconds."""
SPEED = [
    "name",
    "measured",
    "baseline",
    "ratio",
    "check",
    "failed",
    *NUMBERS,
    "device",
    "driver",
    "torch",
    "transformers",
    "revision",
    "day",
]


def read_rows(folders: Iterable[Path], quick: bool = False) -> dict[str, dict[str, Any]]:
    """The last row of each name in rows.jsonl of these folders; one that measured nothing takes no other's place. Tiny sizes only where
    `quick` asks for them."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        path = folder / "rows.jsonl"
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            row = json.loads(text)
            if row["quick"] == quick and (row["measured"] or row["name"] not in found):
                found[row["name"]] = row | {"day": datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()}
    return found


def take(repository: Path, folders: list[Path], quick: bool = False) -> None:
    """Write the tables and figures of these outputs into `repository`, in place of what was there of the same name."""
    rows = read_rows(folders, quick)
    head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, text=True, capture_output=True, check=False).stdout.strip()
    speed = [{"revision": head, **row["machine"], **row} for row in rows.values()]
    profile = [{"stage": row["stage"], **kernel} for row in rows.values() for kernel in row.get("profile", [])]
    write(pd.DataFrame(speed).reindex(columns=SPEED), repository / TABLES / "speed.csv")
    write(pd.DataFrame(profile), repository / TABLES / "profile.csv")
    for archive in (path for folder in folders for path in sorted(folder.glob("study-*.tar.gz"))):
        with tempfile.TemporaryDirectory() as name, tarfile.open(archive) as opened:
            opened.extractall(name, filter="data")
            for path in Path(name).glob("*/tables/*.csv"):
                write(pd.read_csv(path), repository / TABLES / path.name)
            for path in (path for figure in FIGURES for path in Path(name).glob(f"*/figures/{figure}.png")):
                (repository / IMAGES).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, repository / IMAGES / f"gpu-small-{path.name}")


def write(table: pd.DataFrame, path: Path) -> None:
    """Four significant digits; nothing where there is no row."""
    if len(table):
        with atomic(path) as part:
            rounded(table).to_csv(part, index=False)


def read(repository: Path, name: str) -> pd.DataFrame:
    """A table of docs/results/gpu; empty where it is not there."""
    path = repository / TABLES / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=SPEED)


class Calibration(NamedTuple):
    """What the time of a step is made of: operations at a rate (a second), and seconds beside them."""

    operations_per_second: float
    step_seconds: float


def calibrated(speed: pd.DataFrame) -> Calibration | None:
    """Rate and seconds from the measured steps of pretraining and fine-tuning, by forecasts' own formula: seconds of a step = operations /
    rate + seconds beside (docs/cost.md). None where one of the two was not measured."""
    both = speed[speed["name"].isin(["pretraining", "fine-tuning"])].dropna(subset=["steps", "operations"]).set_index("name")
    if len(both) < 2:
        return None
    seconds, needed = 1 / both["steps"], both["operations"] / both["steps"]
    rate = (needed["pretraining"] - needed["fine-tuning"]) / (seconds["pretraining"] - seconds["fine-tuning"])
    beside = seconds["fine-tuning"] - needed["fine-tuning"] / rate
    if rate <= 0 or beside < 0:  # the larger step decides, and the small one has nothing beside its operations
        return Calibration(needed["pretraining"] / seconds["pretraining"], 0.0)
    return Calibration(rate, beside)


def cost(speed: pd.DataFrame) -> str:
    """In words: what to write where, and what the paper's scale costs with it."""
    found = calibrated(speed)
    if found is None:
        return f"Speed of steps: {NOT_MEASURED}. Forecasts rest on an assumption ([cost.md](cost.md))."
    paper = study([ROOT / "config/paper.yaml"])
    usual = dict(sizes.STEP_SECONDS)
    sizes.STEP_SECONDS[1] = found.step_seconds
    whole = forecast(paper.model_copy(update={"operations_per_second": found.operations_per_second}), jobs_of(paper, ("all",)))
    sizes.STEP_SECONDS.update(usual)
    hours = {stage.name: stage.gpu_hours for stage in whole}
    rate, beside = f"{found.operations_per_second:.1e}", f"{found.step_seconds:.4f} s"
    return (
        f"From both kinds of steps: `operations_per_second: {rate}` in config/paper.yaml, and {beside} a step beside its "
        "operations (`STEP_SECONDS` in workflow/forgetting/pipeline/sizes.py). With both, `all` at the paper's scale is forecast at "
        f"{hours['all']:.1f} GPU hours, of which pretraining takes {hours['pretrain']:.1f} and recovery {hours['recovery']:.1f}."
    )


def page(repository: Path) -> str:
    """docs/results-gpu.md, from the tables. What they do not have reads *not measured* or *not run yet*."""
    speed, profile = read(repository, "speed"), read(repository, "profile")
    rows, cells = [], speed.astype(object).where(speed.notna(), "")
    for check in CHECKS:
        found = cells[cells["name"] == check.name].to_dict("records")
        row = found[0] if found else dict.fromkeys(SPEED, "")
        said = "; ".join(filter(None, [row["measured"], f"failed: {row['failed']}" if row["failed"] else ""]))
        ratio = f"{row['ratio']:.1f}" if row["ratio"] != "" else ""
        rows.append(row | {"what": check.what, "target": check.target, "measured": said or NOT_MEASURED, "ratio": ratio})
    kernels = {
        stage: [
            {
                "kernel": row.kernel,
                "calls": f"{row.calls_per_step:,.0f}",
                "milliseconds": f"{row.ms_per_step:.3f}",
                "share": f"{row.share:.3f}",
            }
            for row in of_stage.itertuples()
        ]
        for stage, of_stage in (profile.groupby("stage", sort=False) if len(profile) else ())
    }
    tables = {path.stem: pd.read_csv(path) for path in sorted((repository / RESULTS).glob("*.csv"))}
    tables |= {f"gpu/{path.stem}": pd.read_csv(path) for path in sorted((repository / TABLES).glob("*.csv"))}
    results = Results(tables, [], {}, set())
    told = ["device", "driver", "torch", "transformers", "revision", "day"]
    machines = [
        f"{row.device} (driver {row.driver}, torch {row.torch}, transformers {row.transformers}), commit {row.revision}, {row.day}"
        for row in speed[told].drop_duplicates().itertuples()
    ]
    images = [
        {"file": f"gpu-small-{name}.png", "about": about}
        for name, about in FIGURES.items()
        if (repository / IMAGES / f"gpu-small-{name}.png").exists()
    ]
    loader = FileSystemLoader(ROOT / TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("results-gpu.md.jinja").render(
        machines=machines,
        speed=rows,
        profile=kernels,
        cost=cost(speed),
        images=images,
        has=results.has,
        rows=results.rows,
        cell=results.cell,
    )
    return text.strip() + "\n"


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("what", choices=("take", "render", "calibrate"))
    command.add_argument("outputs", nargs="*", type=Path, help="folders that the two scripts wrote, in the order of the runs")
    command.add_argument("--check", action="store_true", help="with render: write nothing; fail when the page is not what its tables give")
    arguments = command.parse_args()
    if arguments.what == "take":
        take(ROOT, arguments.outputs)
    if arguments.what == "calibrate":
        print(cost(read(ROOT, "speed")))
        return
    text = page(ROOT)
    if arguments.check:
        if text != (ROOT / PAGE).read_text(encoding="utf-8"):
            raise SystemExit(f"error: {PAGE} is not what its tables give; render it again")
        return
    with atomic(ROOT / PAGE) as part:
        part.write_text(text, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
