"""Which jobs a change makes run again: one thing is changed in a finished study, and a dry run must list exactly these jobs.

docs/what-reruns.md has the results as a table.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.study import ROOT, SMOKE, clone_to, merged, snakemake

from forgetting.config.study import load_study
from forgetting.figures.catalogue import read_catalogue
from forgetting.pipeline.shown import shown_in

pytestmark = pytest.mark.smoke

SHOWN = {"report", "all"}
CATALOGUE = shown_in(load_study(merged("smoke.yaml")), read_catalogue())
FIGURES, TABLES = (
    {rule for rule, shown in CATALOGUE.items() if (shown.target, shown.kind) == ("all", kind)} for kind in ("figure", "table")
)
ARMS = ("seq", "freeze-1", "replay-20", "seq-lr-4e-3", "seq-no-task0")
VIEWS = ("landscape", "weights", "features", "positions", "common_shift", "gradients", "graft", "theory")
VIEWS_OF_FREEZE = {f"view_{view}(0, freeze-1)" for view in VIEWS}
OF_OTHERS = {"fig_recovery", "fig_learning_rate", "fig_graft", "fig_edits", "fig_repairs", "fig_answers_by_part", "fig_recovery_stages"}
"""Figures that show no viewed arm but `seq`, if any."""
TABLES_OF_FREEZE = {"table_verdict", "table_methods", "table_claims", "table_graft_table", "table_recovery_path", "table_theory_table"}
SHOW_FREEZE = FIGURES - OF_OTHERS | TABLES_OF_FREEZE | SHOWN
AFTER_FREEZE = {"recovery(0, freeze-1)", *VIEWS_OF_FREEZE, *SHOW_FREEZE}
TRAIN_FREEZE = {"finetune(0, task1, freeze-1)"}


def training(seed: int) -> set[str]:
    """Every job of a seed but data and configs."""
    jobs = {f"{job}, {arm})" for job in (f"finetune({seed}, task1", f"recovery({seed}") for arm in ARMS}
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
SHOW_LANDSCAPE = {"fig_landscape", "fig_turning", "fig_interpolation", "table_recovery_path", "table_claims"}
LANDSCAPE = {"view_landscape(0, seq)", "view_landscape(0, freeze-1)", *SHOW_LANDSCAPE, *SHOWN}
EDITS = {
    f"{LIBRARY}/figures/landscape.py": {"fig_landscape", *SHOWN},
    f"{LIBRARY}/figures/style.py": FIGURES | SHOWN,
    f"{LIBRARY}/views/landscape.py": LANDSCAPE,
    f"{LIBRARY}/schemas/landscape.py": LANDSCAPE,
    f"{LIBRARY}/config/jobs/views/landscape.py": LANDSCAPE,
    f"{LIBRARY}/methods/freeze/method.py": TRAIN_FREEZE | AFTER_FREEZE,
    f"{LIBRARY}/methods/freeze/look.py": SHOW_FREEZE - TABLES,
    f"{LIBRARY}/training/loop.py": training(0) | FIGURES | TABLES | SHOWN,
    f"{LIBRARY}/intervals.py": {"make_data(0)"} | training(0) | FIGURES | TABLES | SHOWN,
    f"{LIBRARY}/statistics.py": {f"view_{view}(0, {arm})" for view in ("common_shift", "graft") for arm in ("seq", "freeze-1")}
    | FIGURES
    | TABLES
    | SHOWN,
    "resources/templates/birthday.txt": {"make_data(0)"} | training(0) | FIGURES | TABLES | SHOWN,
}

OF_NO_CONSEQUENCE = (
    f"{LIBRARY}/config/plan.py",
    f"{LIBRARY}/methods/ewc/__init__.py",
    f"{LIBRARY}/tables.py",
    f"{LIBRARY}/pipeline/command.py",
    f"{LIBRARY}/failures.py",
    f"{LIBRARY}/model/manifest.py",
    "docs/views.md",
    "results/smoke/logs/seed0/task1/seq.log",
)
"""Files of which an edit reruns nothing: neither alone nor together."""


@pytest.mark.parametrize("path", EDITS)
def test_an_edited_file(smoke_clone: Path, path: str) -> None:
    with edited(smoke_clone / path):
        assert planned(smoke_clone) == EDITS[path]


def blocks(document: str) -> list[str]:
    """The Python of a page of docs/."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / document).read_text(), re.DOTALL)


METHOD = dict(zip(("__init__", "method", "look"), blocks("adding-a-method.md"), strict=True))
NEW_METHOD = {f"{LIBRARY}/methods/l2_start/{name}.py": text for name, text in METHOD.items()}
NEW_ARM = ['methods={"l2-start-1e1":{"method":"l2_start","penalty":10.0}}']
NEW_ARM += ['arms=["seq","replay-20","freeze-1","seq-no-task0","l2-start-1e1"]']
NEW: dict[str, tuple[dict[str, str], list[str], set[str]]] = {
    "an arm of a new method": (
        NEW_METHOD,
        ["--config", *NEW_ARM],
        {"job_config(0, task1/l2-start-1e1/config)", "finetune(0, task1, l2-start-1e1)", "study_config"}
        | {"fig_frontier", "table_methods"}
        | SHOWN,
    ),
    "a figure": ({f"{LIBRARY}/figures/answer_loss.py": blocks("extending.md")[0]}, [], {"fig_answer_loss"} | SHOWN),
}


@contextmanager
def added(clone: Path, files: dict[str, str]) -> Iterator[None]:
    """New files, and folders for them; afterwards they are gone."""
    folders = [folder for name in files if not (folder := (clone / name).parent).exists()]
    try:
        for name, text in files.items():
            (clone / name).parent.mkdir(exist_ok=True)
            (clone / name).write_text(text)
        yield
    finally:
        for name in files:
            (clone / name).unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def touched(clone: Path) -> Iterator[None]:
    """Code, config, resources and results with new time stamps, products before what they were made from."""
    files = [path for name in ("results", "resources", "config", "workflow") for path in sorted((clone / name).rglob("*"))]
    before = {path: path.stat() for path in files if path.is_file()}
    try:
        for path in before:
            os.utime(path)
        yield
    finally:
        for path, state in before.items():
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("new", NEW)
def test_what_the_documents_add_reruns_nothing_else(smoke_clone: Path, new: str) -> None:
    files, arguments, expected = NEW[new]
    with added(smoke_clone, files):
        assert planned(smoke_clone, *arguments) == expected


def test_what_changes_no_result_reruns_nothing(smoke_clone: Path) -> None:
    """All of it at once: one dry run tells, as nothing that one change makes run again is hidden by another."""
    new_view = {f"{LIBRARY}/{folder}/mine.py": "from forgetting.tables import write_table\n" for folder in ("views", "schemas")}
    with edited(smoke_clone / LIBRARY / "training/loop.py"):
        pass
    with ExitStack() as changes:
        changes.enter_context(touched(smoke_clone))
        for path in OF_NO_CONSEQUENCE:
            changes.enter_context(edited(smoke_clone / path))
        changes.enter_context(added(smoke_clone, NEW_METHOD | new_view))
        assert planned(smoke_clone, "--cores", "7") == set()


CHANGES: dict[str, tuple[list[str], set[str]]] = {
    "a knob of one arm": (
        ["--config", 'methods={"freeze-1":{"learning_rate":0.001}}'],
        {"job_config(0, task1/freeze-1/config)", "study_config"} | TRAIN_FREEZE | AFTER_FREEZE,
    ),
    "an arm added": (
        ["--config", 'arms=["seq","replay-20","freeze-1","seq-no-task0","freeze-0"]'],
        {"job_config(0, task1/freeze-0/config)", "finetune(0, task1, freeze-0)", "study_config", "fig_frontier", "table_methods"} | SHOWN,
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
        | {"study_config", *SHOW_LANDSCAPE}
        | SHOWN,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_option(smoke_clone: Path, change: str) -> None:
    arguments, expected = CHANGES[change]
    assert planned(smoke_clone, *arguments) == expected


@pytest.mark.long
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


@pytest.mark.long
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
