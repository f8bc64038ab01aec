"""Which jobs a change makes run again: one thing is changed in a finished study, and a dry run must list exactly these jobs.

docs/what-reruns.md has the results as a table.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.study import SMOKE, clone_to, snakemake

pytestmark = pytest.mark.smoke

SHOWN = {"report", "all"}
FIGURES = {
    *("fig_performance", "fig_answers", "fig_recovery", "fig_learning_rate", "fig_landscape", "fig_interpolation"),
    *("fig_weight_update", "fig_gradients", "fig_features", "fig_common_shift", "fig_frontier"),
}
TABLES = {"table_verdict", "table_methods", "table_recovery_table", "table_recovery_controls", "table_learning_rate_table"}
TABLES |= {"table_claims", "table_gates"}
ARMS = ("seq", "freeze-1", "replay-20", "seq-lr-4e-3", "seq-no-task0")
VIEWS = ("landscape", "weights", "features", "positions", "common_shift", "gradients")
VIEWS_OF_FREEZE = {f"view_{view}(0, freeze-1)" for view in VIEWS}
SHOW_FREEZE = FIGURES - {"fig_recovery", "fig_learning_rate"} | {"table_verdict", "table_methods", "table_claims"} | SHOWN
AFTER_FREEZE = {"recovery(0, freeze-1)", *VIEWS_OF_FREEZE, *SHOW_FREEZE}
TRAIN_FREEZE = {"task1(0, freeze-1)"}


def training(seed: int) -> set[str]:
    """Every job of a seed but data and configs."""
    jobs = {f"{rule}({seed}, {arm})" for rule in ("task1", "recovery") for arm in ARMS}
    jobs |= {f"view_{view}({seed}, {arm})" for view in VIEWS for arm in ("seq", "freeze-1")}
    return jobs | {f"{rule}({seed})" for rule in ("pretrain", "task0", "check_task0", "gate_task0", "gate_task1", "recovery_controls")}


def configs(seed: int) -> set[str]:
    """The jobs that write the configs of a seed."""
    arms = ("seq", "freeze-1", "replay-20", "seq-lr-4e-3", "seq-no-task0")
    written = {f"{stage}/config" for stage in ("data", "pretrain", "task0", "gates", "recovery/controls")}
    written |= {f"{stage}/{arm}/config" for stage in ("task1", "recovery") for arm in arms}
    written |= {f"views/{arm}/{view}" for arm in ("seq", "freeze-1") for view in VIEWS}
    return {f"job_config({seed}, {name})" for name in written}


def planned(clone: Path, *arguments: str) -> set[str]:
    """The jobs that a dry run of `all` lists, each as its rule and the values of its wildcards."""
    done = snakemake("-n", "all", *SMOKE, *arguments, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = set()
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", done.stdout, re.M):
        wildcards = re.search(r"^    wildcards: (.+)$", block, re.M)
        values = re.sub(r"\w+=", "", wildcards[1]) if wildcards else ""
        jobs.add(f"{rule}({values})" if values else rule)
    assert jobs or "Nothing to be done" in done.stdout
    return jobs


@contextmanager
def edited(path: Path) -> Iterator[None]:
    """Another line at the end of a file; afterwards its text is as before, but its time stamp new."""
    before = path.read_bytes()
    path.write_bytes(before + b"\n# an edit\n")
    try:
        yield
    finally:
        path.write_bytes(before)


LIBRARY = "workflow/forgetting"
LANDSCAPE = {"view_landscape(0, seq)", "view_landscape(0, freeze-1)", "fig_landscape", "fig_interpolation", *SHOWN}
EDITS = {
    f"{LIBRARY}/figures/landscape.py": {"fig_landscape", *SHOWN},
    f"{LIBRARY}/figures/style.py": FIGURES | SHOWN,
    f"{LIBRARY}/views/landscape.py": LANDSCAPE,
    f"{LIBRARY}/schemas/landscape.py": LANDSCAPE | FIGURES | TABLES,
    f"{LIBRARY}/config/plan.py": set(),
    f"{LIBRARY}/config/jobs/views/landscape.py": LANDSCAPE,
    f"{LIBRARY}/methods/freeze.py": TRAIN_FREEZE | AFTER_FREEZE,
    f"{LIBRARY}/training/loop.py": training(0) | FIGURES | TABLES | SHOWN,
    f"{LIBRARY}/intervals.py": {"make_data(0)"} | training(0) | FIGURES | TABLES | SHOWN,
    f"{LIBRARY}/statistics.py": {"view_common_shift(0, seq)", "view_common_shift(0, freeze-1)"} | FIGURES | TABLES | SHOWN,
    f"{LIBRARY}/tables.py": set(),
    f"{LIBRARY}/pipeline/command.py": set(),
    f"{LIBRARY}/failures.py": set(),
    f"{LIBRARY}/model/manifest.py": set(),
    "resources/templates/birthday.txt": {"make_data(0)"} | training(0) | FIGURES | TABLES | SHOWN,
    "docs/views.md": set(),
    "results/smoke/logs/seed0/task1/seq.log": set(),
}


@pytest.mark.parametrize("path", EDITS)
def test_an_edited_file(smoke_clone: Path, path: str) -> None:
    with edited(smoke_clone / path):
        assert planned(smoke_clone) == EDITS[path]


def test_a_new_view(smoke_clone: Path) -> None:
    new = [smoke_clone / LIBRARY / folder / "mine.py" for folder in ("views", "schemas")]
    for file in new:
        file.write_text("from forgetting.tables import write_table\n")
    try:
        assert planned(smoke_clone) == set()
    finally:
        for file in new:
            file.unlink()


CHANGES: dict[str, tuple[list[str], set[str]]] = {
    "a knob of one arm": (
        ["--config", 'methods={"freeze-1":{"learning_rate":0.001}}'],
        {"job_config(0, task1/freeze-1/config)", "study_config"} | TRAIN_FREEZE | AFTER_FREEZE,
    ),
    "an arm added": (
        ["--config", 'arms=["seq","replay-20","freeze-1","seq-no-task0","freeze-0"]'],
        {"job_config(0, task1/freeze-0/config)", "task1(0, freeze-0)", "study_config", "fig_frontier", "table_methods"} | SHOWN,
    ),
    "an arm removed": (
        ["--config", 'arms=["seq","freeze-1","seq-no-task0"]'],
        {"study_config", "fig_frontier", "table_methods", "table_recovery_table"} | SHOWN,
    ),
    "a seed added": (
        ["--config", "seeds=[0,1]"],
        {"make_data(1)", "study_config"} | configs(1) | training(1) | FIGURES | TABLES | SHOWN,
    ),
    "a threshold": (
        ["--config", 'gate_thresholds={"task0_before":0.5}'],
        {"job_config(0, gates/config)", "study_config", "gate_task0(0)", "gate_task1(0)", "table_gates"} | SHOWN,
    ),
    "the grid of the landscape": (
        ["--config", 'views={"landscape":{"grid":7}}'],
        {job for arm in ("seq", "freeze-1") for job in (f"job_config(0, views/{arm}/landscape)", f"view_landscape(0, {arm})")}
        | {"study_config", "fig_landscape", "fig_interpolation"}
        | SHOWN,
    ),
    "another number of cores": (["--cores", "7"], set()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_option(smoke_clone: Path, change: str) -> None:
    arguments, expected = CHANGES[change]
    assert planned(smoke_clone, *arguments) == expected


def test_an_edit_and_its_revert(smoke_clone: Path) -> None:
    with edited(smoke_clone / LIBRARY / "training/loop.py"):
        pass
    assert planned(smoke_clone) == set()


def test_touching_everything(smoke_clone: Path) -> None:
    """Code, config, resources and results, products before what they were made from."""
    files = [path for name in ("results", "resources", "config", "workflow") for path in sorted((smoke_clone / name).rglob("*"))]
    before = {path: path.stat() for path in files if path.is_file()}
    try:
        for path in before:
            os.utime(path)
        assert planned(smoke_clone) == set()
    finally:
        for path, state in before.items():
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_fresh_clone_with_copied_results(smoke_clone: Path, tmp_path: Path) -> None:
    """The recipes of docs/what-reruns.md, even where time stamps are lost."""
    clone = clone_to(tmp_path / "clone")
    for name in ("results", ".snakemake/metadata"):
        shutil.copytree(smoke_clone / name, clone / name, copy_function=shutil.copy)
    assert planned(clone) == set()
    for name in ("*.safetensors", "checkpoints.json"):
        for path in (clone / "results").rglob(name):
            path.unlink()
    assert planned(clone) == set(), "models were left out"
    with edited(clone / LIBRARY / "views/landscape.py"):
        assert "pretrain(0)" in planned(clone), "with records, a real change is never hidden"


def test_deleted_weights(smoke_clone: Path) -> None:
    """As `clean_checkpoints` deletes them. Nothing runs for its own sake; when something behind them must run, their arm is trained
    again. While the manifest is there, its weights count as there, and the job that misses them says so (tests/model/test_manifest.py)."""
    folder = smoke_clone / "results/smoke/seed0/task1/freeze-1"
    for name, again in (("checkpoints", set()), ("checkpoints.json", TRAIN_FREEZE | AFTER_FREEZE)):
        aside = (folder / name).rename(folder / f"{name}.aside")
        try:
            assert planned(smoke_clone) == set()
            with edited(smoke_clone / LIBRARY / "views/landscape.py"):
                assert planned(smoke_clone) == LANDSCAPE | again
        finally:
            aside.rename(folder / name)
