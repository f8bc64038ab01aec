"""The whole study at smoke scale in a copied clone: everything is made, and a second run has nothing to do."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path

import pandas as pd
import pytest
from tests.study import SMOKE, merged, snakemake

from forgetting.config.study import load_study
from forgetting.figures.catalogue import FORMATS, Shown, read_catalogue
from forgetting.pipeline.shown import shown_in

pytestmark = pytest.mark.smoke

SHOWN = shown_in(load_study(merged("smoke.yaml")), read_catalogue()).values()


def files_of(target: str) -> list[str]:
    """All files of the figures and tables of a target."""
    return [f"{each.kind}s/{each.name}.{suffix}" for each in SHOWN if each.target == target for suffix in FORMATS[each.kind]]


def planned(clone: Path, *arguments: str) -> list[str]:
    """Rules that a dry run would run."""
    done = snakemake("-n", "all", *SMOKE, *arguments, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    table = done.stdout.partition("Job stats:")[2].partition("total")[0]
    return re.findall(r"^(\w+) +\d+$", table, re.M)


def test_everything_is_made(smoke_clone: Path) -> None:
    root = smoke_clone / "results" / "smoke"
    files = [*files_of("all"), "report.html", "config.json", "seed0/data/card.md", "gates/seed0-task0.json", "gates/seed0-task1.json"]
    assert [name for name in files if not (root / name).stat().st_size] == []
    assert not list(root.rglob("*.part"))
    assert not [path for path in root.glob("seed0/scratch/**/*") if path.is_file()], "a finished job leaves no state behind"


def missing_in_report(root: Path, report: str, target: str) -> list[str]:
    """Figures whose picture is not in the page, and tables without a place of their own."""
    text = (root / report).read_text()
    assert len(text) < 20e6

    def there(each: Shown) -> bool:
        if each.kind == "table":
            return f'id="{each.name}"' in text
        return b64encode((root / f"figures/{each.name}.png").read_bytes()).decode() in text

    return [each.rule for each in SHOWN if each.target == target and not there(each)]


def test_report_holds_every_figure(smoke_clone: Path) -> None:
    assert missing_in_report(smoke_clone / "results" / "smoke", "report.html", "all") == []


def test_checkpoints_open_with_transformers(smoke_clone: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smoke_clone / "results/smoke/seed0/task1/seq/checkpoints/matched")
    assert model.config.model_type == "gpt_neox"


def test_second_run_has_nothing_to_do(smoke_clone: Path) -> None:
    done = snakemake("--cores", "2", "all", *SMOKE, cwd=smoke_clone)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_the_report_of_snakemake_is_made(smoke_clone: Path) -> None:
    done = snakemake("all", *SMOKE, "--report", "provenance.html", cwd=smoke_clone)
    assert done.returncode == 0, done.stdout[-3000:]
    text = (smoke_clone / "provenance.html").read_text()
    (smoke_clone / "provenance.html").unlink()
    assert "workflow/scripts/pretrain.py" in text and "performance.png" in text


@pytest.mark.long
def test_the_comparison_of_methods_is_made(smoke_clone: Path) -> None:
    """`methods` after `all`: it trains the arms that `all` has not, and chooses, draws and reports; then `all` still has nothing to do."""
    done = snakemake("--cores", "2", "methods", *SMOKE, "--show-failed-logs", cwd=smoke_clone)
    assert done.returncode == 0, done.stdout[-6000:]
    root = smoke_clone / "results" / "smoke"
    assert [name for name in files_of("methods") if not (root / name).stat().st_size] == []
    assert missing_in_report(root, "methods_report.html", "methods") == []
    assert planned(smoke_clone) == []
    choice = pd.read_parquet(root / "comparison" / "choice.parquet")
    assert choice.groupby("family")["chosen"].sum().eq(1).all()
    kept = {path.name for path in (root / "seed0/task1/ewc-1e0/checkpoints").iterdir()}
    assert kept == {"step-000150", "step-000200", "matched"}


def test_failed_gate_stops_before_task1(smoke_clone: Path) -> None:
    check = smoke_clone / "results/smoke/seed0/task0/check.json"
    check.rename(check.with_suffix(".aside"))
    try:
        done = snakemake("--cores", "1", str(check.relative_to(smoke_clone)), *SMOKE, "--config", "gates=stop", cwd=smoke_clone)
    finally:
        check.with_suffix(".aside").rename(check)
    assert done.returncode != 0
    assert "task0_before is" in done.stdout
    assert "pretrain.steps" in done.stdout, "the message says what to change"


@pytest.mark.long
def test_truncated_input_is_named(smoke_clone: Path) -> None:
    table = smoke_clone / "results/smoke/seed0/views/seq/landscape.parquet"
    whole = table.read_bytes()
    figure = smoke_clone / "results/smoke/figures/landscape.pdf"
    table.write_bytes(whole[: len(whole) // 2])
    try:
        done = snakemake("--cores", "1", "fig_landscape", "--forcerun", "fig_landscape", *SMOKE, cwd=smoke_clone)
    finally:
        table.write_bytes(whole)
    log = (smoke_clone / "results/smoke/logs/figures/landscape.log").read_text()
    left = figure.exists()
    snakemake("--cores", "1", "all", *SMOKE, cwd=smoke_clone)  # leave the study as it was found
    assert done.returncode != 0
    assert not left, "nothing half-written"
    assert "landscape.parquet" in log
    assert "Traceback" not in log


def test_gates_are_recorded(smoke_clone: Path) -> None:
    gates = json.loads((smoke_clone / "results/smoke/gates/seed0-task1.json").read_text())
    assert {"gate", "value", "threshold", "passed"} <= set(gates[0])
