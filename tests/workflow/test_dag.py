"""The graph of jobs at every scale, what a change reruns, and the style of the workflow files. Dry runs: nothing is computed."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tomllib
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from tests.study import ROOT, clone_to, merged, snakemake

from forgetting.config.steps import arm_steps
from forgetting.config.study import load_study
from forgetting.dependencies import DECIDES_NOTHING, dependencies
from forgetting.figures.catalogue import read_catalogue
from forgetting.pipeline.jobs import jobs_of
from forgetting.pipeline.shown import shown_in

CATALOGUE = shown_in(load_study(merged()), read_catalogue())
FIGURES, COMPARISON = (
    [rule for rule, shown in CATALOGUE.items() if (shown.target, shown.kind) == (target, "figure")] for target in ("all", "methods")
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without results."""
    return clone_to(tmp_path_factory.mktemp("dag") / "clone")


@functools.cache
def told(clone: Path, *arguments: str) -> str:
    """What Snakemake prints, once for each command: nothing here changes the clone."""
    done = snakemake(*arguments, cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def planned(clone: Path, *arguments: str) -> Counter[str]:
    """Number of jobs by rule in a dry run."""
    table = told(clone, "-n", *arguments).partition("Job stats:")[2].partition("Job stats:")[0]
    return Counter({name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table.partition("total")[0], re.M)})


def of_a_seed(jobs: Counter[str]) -> int:
    """Jobs that each seed has: not writing a config, gathering targets, or showing, which all seeds have in common."""
    return sum(count for rule, count in jobs.items() if not re.search(r"_config|^(all|report|fig_.+|table_.+)$", rule))


def test_laptop(clone: Path) -> None:
    jobs = planned(clone, "all")
    assert jobs["make_data"] == jobs["pretrain"] == jobs["task0"] == jobs["check_task0"] == jobs["recovery_controls"] == 1
    views = [rule for rule in jobs if rule.startswith("view_")]
    assert {jobs[rule] for rule in views} == {3} and len(views) == 8
    assert jobs["gate_task0"] == jobs["gate_task1"] == jobs["report"] == 1
    assert all(jobs[name] == 1 for name in FIGURES)
    assert of_a_seed(jobs) <= 48


def test_seeds_repeat_everything_but_figures(clone: Path) -> None:
    one, three = planned(clone, "all"), planned(clone, "all", "--config", "seeds=[0,1,2]")
    shared = {"all", "report", "study_config"} | {rule for rule in one if rule.startswith(("fig_", "table_"))}
    assert three == {rule: count if rule in shared else 3 * count for rule, count in one.items()}


def test_smoke(clone: Path) -> None:
    assert of_a_seed(planned(clone, "all", "--configfile", "config/smoke.yaml")) <= 36


def test_the_floor_starts_from_the_pretrained_model(clone: Path) -> None:
    """Its Task 1 reads no weights of Task 0, nor does its recovery."""
    plan = told(clone, "-n", "results/laptop/seed0/recovery/seq-no-task0/metrics.parquet")
    blocks = re.findall(r"^rule (finetune|recovery):\n((?:    .*\n)+)", plan, re.MULTILINE)
    assert len(blocks) == 2
    for _, block in blocks:
        assert "seed0/pretrain/checkpoints.json" in block and "seed0/task0/checkpoints.json" not in block


def test_methods_trains_every_arm_of_the_comparison_once(clone: Path) -> None:
    jobs = planned(clone, "methods")
    study = load_study(merged())
    assert jobs["finetune"] + jobs["task_vector"] == jobs["recovery"] == len(study.compared_arms)
    assert jobs["task_vector"] == len(study.task_vector_arms) > 0
    assert jobs["task0_lamol"] == jobs["choose"] == jobs["methods_report"] == 1
    assert all(jobs[name] == 1 for name in COMPARISON)
    assert not any(jobs[name] for name in FIGURES), "the figures of `all` are another target"


def test_all_trains_few_arms(clone: Path) -> None:
    jobs = planned(clone, "all")
    assert jobs["finetune"] == len({*load_study(merged()).arms, *load_study(merged()).learning_rate_arms})
    assert not {"task_vector", "task0_lamol", "choose"} & set(jobs)


def test_an_edited_method_reruns_its_arms_alone(clone: Path) -> None:
    plan = told(clone, "-n", "methods")
    blocks = re.findall(r"rule finetune:\n    input: (.+)\n(?:.*\n)*?    wildcards: seed=0, task=task1, arm=(.+)", plan)
    users = {arm for files, arm in blocks if "methods/ewc/method.py" in files}
    assert not re.search(r"rule (?:make_data|pretrain|task0|recovery):\n    input: .*forgetting/(?:config/arms|methods)", plan), (
        "knobs are no concern of theirs"
    )
    assert users == {"ewc-1e-2", "ewc-3e-2", "ewc-1e-1", "ewc-1e0", "ewc-batch-1e-1"}


def test_paper_is_the_papers_study(clone: Path) -> None:
    jobs = planned(clone, "all", "--configfile", "config/paper.yaml")
    assert jobs["finetune"] == 9  # seq, replay, freeze, EWC, 3 further rates, seq and freeze without Task 0
    study = load_study(merged("paper.yaml"))
    assert jobs["recovery"] == 9 and len(study.recovery.curve_arms) == 6
    longer = {arm for arm in study.every_arm if arm_steps(study.task1, study.methods[arm]) != study.task1.steps}
    assert longer == {"replay-half-20"} and arm_steps(study.task1, study.methods["replay-half-20"]) == 125_000, "as the reference's replay"
    full = planned(clone, "methods", "--configfile", "config/paper.yaml")
    depths = {method.layers for method in study.methods.values() if method.method == "freeze"}
    assert depths == set(range(13))
    assert full["finetune"] == len(study.compared_arms) - full["task_vector"]


@pytest.mark.long
@pytest.mark.parametrize("overlays", [("gpu-small.yaml",), ("paper.yaml", "pythia-70m.yaml")], ids=["gpu-small", "pythia-70m"])
def test_scales_on_a_gpu_train_every_arm(clone: Path, overlays: tuple[str, ...]) -> None:
    """Snakemake merges several overlays as the tests do; lists of the last one replace those of the others."""
    jobs = planned(clone, "all", "methods", "--configfile", *(f"config/{name}" for name in overlays))
    study = load_study(merged(*overlays))
    assert jobs["finetune"] + jobs["task_vector"] == len(study.every_arm)
    assert jobs["recovery"] == len(study.every_arm) and len(study.recovery.curve_arms) == 6
    assert [method.layers for name in study.comparison.families["freeze"] if (method := study.methods[name])] == list(range(7))
    left_out = {name.partition("-")[0] for name in study.methods if name not in study.every_arm}
    assert left_out <= {"freeze", "seq"}, "only depths and rates of other scales are left out"


NAMED = [
    "all",
    "data",
    "figures",
    "tables",
    "report",
    "gates",
    "methods",
    "factors",
    "axes",
    "sequence",
    "architectures",
    "diagnose",
    "advise",
    "cost",
    "verify",
]


@pytest.mark.parametrize("target", [*NAMED, *CATALOGUE])
def test_targets_by_name(clone: Path, target: str) -> None:
    listed = told(clone, "--list-target-rules")
    assert re.search(rf"^{target} \(.+\)$", listed, re.M), f"{target} has no docstring or is no target rule"


SEQUENCE = ("--configfile", "config/smoke.yaml", "tests/workflow/sequence.yaml")


def test_a_sequence_trains_every_task_of_every_arm_from_the_one_before(clone: Path) -> None:
    jobs = planned(clone, "sequence", *SEQUENCE)
    assert jobs["finetune"] == 3 * 2 + 2, "three tasks of two arms, and tasks 2 and 3 alone"
    assert jobs["sequence_recovery"] == 3 * 2 and jobs["sequence_controls"] == jobs["sequence_answers"] == jobs["sequence_report"] == 1
    assert not {"recovery", "gate_task1", "report"} & set(jobs) and not any(rule.startswith("view_") for rule in jobs)
    plan = told(clone, "-n", "sequence", *SEQUENCE)
    blocks = re.findall(r"^rule finetune:\n((?:    .*\n)+)", plan, re.MULTILINE)
    (third,) = [block for block in blocks if "wildcards: seed=0, task=task3, arm=seq\n" in block]
    starts = [f"results/smoke-sequence/seed0/{name}/checkpoints.json" for name in ("task0", "task1/seq", "task2/seq")]
    assert re.findall(r"results/smoke-sequence/seed0/\S+/checkpoints\.json", third.partition("output:")[0]) == starts
    (alone,) = [block for block in blocks if "task=task3, arm=alone" in block]
    assert re.findall(r"results/smoke-sequence/seed0/\S+/checkpoints\.json", alone.partition("output:")[0]) == starts[:1]


def test_a_sequence_has_the_jobs_that_the_config_tells(clone: Path) -> None:
    study = load_study(merged("smoke.yaml", "../tests/workflow/sequence.yaml"))
    told_by_config = Counter(job.rule for job in jobs_of(study, ["sequence"]))
    plan = planned(clone, "sequence", *SEQUENCE)
    assert told_by_config == {rule: plan[rule] for rule in told_by_config} and set(told_by_config) > {"finetune", "sequence_recovery"}


def test_figures_of_a_sequence_are_not_planned_for_one_task(clone: Path) -> None:
    assert not [rule for target in ("all", "methods") for rule in planned(clone, target) if "sequence" in rule]
    assert planned(clone, "sequence", "--configfile", "config/paper.yaml", "config/paper-sequence.yaml")["finetune"] == 5 * 4 + 4


def test_headline_figure_needs_few_runs(clone: Path) -> None:
    jobs = planned(clone, "fig_performance")
    assert jobs["finetune"] <= 4
    assert jobs["recovery"] == 2, "of seq, and of the model that never had Task 0"
    assert not any(rule.startswith("view_") for rule in jobs)


def test_figures_and_data_import_no_torch() -> None:
    scripts = [f"workflow/scripts/{name}.py" for name in ("show", "data", "gates", "choose", "report")]
    modules = [shown.module for shown in read_catalogue().values()]
    program = (
        "import importlib, runpy, sys; sys.path[:0] = ['workflow']\n"
        "for name in sys.argv[1:]: runpy.run_path(name) if name.endswith('.py') else importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program, *scripts, *modules], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("rule", "script"), [("make_data", "data"), ("finetune",) * 2, ("view_features",) * 2])
def test_all_code_that_a_script_depends_on_is_input(clone: Path, rule: str, script: str) -> None:
    plan = told(clone, "-n", "all")
    block = re.search(rf"rule {rule}:\n    input: (.+)", plan)
    assert block
    expected = {str(path.relative_to(ROOT)) for path in dependencies(ROOT / f"workflow/scripts/{script}.py")}
    assert expected <= set(block[1].split(", "))


def test_all_code_that_makes_a_figure_is_input(clone: Path) -> None:
    """The files behind every module that is loaded when it is made, and nothing of another figure."""
    program = (
        "import sys; sys.path[:0] = ['workflow']\n"
        "from forgetting.figures.present import present, read_catalogue\n"
        "from forgetting.figures import inputs\nfrom importlib import import_module\n"
        "shown = read_catalogue()['table_verdict']\n"
        "for name in [shown.saver, *(inputs.input_of(key).reader for key in shown.inputs)]:\n"
        "    import_module('forgetting.' + name.rpartition('.')[0])\n"
        "import_module(shown.module)\n"
        "print(*(module.__file__ for name, module in sys.modules.items() if name.partition('.')[0] == 'forgetting'), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=clone, text=True, capture_output=True)
    imported = {str(Path(line).resolve().relative_to(clone.resolve())) for line in done.stdout.split()}
    block = re.search(r"rule table_verdict:\n    input: (.+)", told(clone, "-n", "all"))
    assert imported and block, done.stderr[-2000:]
    inputs = set(block[1].split(", "))
    assert imported <= inputs | {f"workflow/forgetting/{name}" for name in DECIDES_NOTHING}
    shown = {file for file in inputs if file.startswith("workflow/forgetting/figures/tables/")}
    assert shown == {f"workflow/forgetting/figures/tables/{name}.py" for name in ("__init__", "verdict")}


def test_lint_and_format() -> None:
    assert (done := snakemake("--lint", cwd=ROOT)).returncode == 0, done.stdout
    files = ["Snakefile", *map(str, sorted((ROOT / "workflow" / "rules").glob("*.smk")))]
    done = subprocess.run([sys.executable, "-m", "snakefmt", "--check", *files], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_conda_environment_has_the_versions_of_the_lock() -> None:
    lock = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    text = (ROOT / "workflow" / "envs" / "forgetting.yaml").read_text()
    pins = dict(re.findall(r"- ([\w-]+)==([\w.]+)", text))
    assert pins
    assert pins == {name: lock[name] for name in pins}


def test_lock_covers_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    locked = {line.split("==")[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    missing = [name for text in wanted if (name := re.split(r"[><=\[]", text)[0]).lower() not in {*locked, project["name"]}]
    assert not missing
