"""The validated study, paths, the code a script depends on, and job sizes, for the other files here. This one has no rules."""

import functools
import json
import os
import re
import sys
from itertools import product
from pathlib import Path

import yaml
from humanfriendly import InvalidTimespan, parse_timespan
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.18")  # the first version that compares small inputs by checksum

# Jobs use the interpreter that runs Snakemake and the library beside this file, whether or not an environment is active.
os.environ.update(
    PATH=os.pathsep.join(filter(None, [str(Path(sys.executable).parent), os.environ.get("PATH")])),
    PYTHONPATH=os.pathsep.join(filter(None, [str(Path("workflow").absolute()), os.environ.get("PYTHONPATH")])),
)
from forgetting.config.plan import ALONE, CONTROLS, VIEWS, jobs
from forgetting.config.steps import arm_steps
from forgetting.config.study import load_study
from forgetting.dependencies import dependencies
from forgetting.errors import StudyError
from forgetting.figures.catalogue import FORMATS, read_catalogue
from forgetting.model.devices import JOBS_PER_DEVICE
from forgetting.model.given_files import memory_there
from forgetting.model.manifest import MANIFEST, step_name
from forgetting.config.fields import ConfigError
from forgetting.pipeline.given import fill_in
from forgetting.pipeline.shown import input_files, methods_of, option_flags, shown_in
from forgetting.pipeline.sizes import Sizes
from forgetting.pipeline.status import PAGES
from forgetting.pipeline.surroundings import check_folder, set_surroundings
from forgetting.data.points import floor_of, never_had_task0

set_surroundings(os.environ)

try:
    fill_in(config)
    STUDY = load_study(config)
except StudyError as error:
    raise WorkflowError(str(error)) from None

if workflow.local_exec and STUDY.model.source == "given" and "mem_mb" not in workflow.global_resources:
    # Of a large model so many jobs side by side as memory holds; the system would kill one more without a word.
    workflow.register_resource("mem_mb", memory_there() // 10**6)

os.environ[JOBS_PER_DEVICE] = str(STUDY.jobs_per_gpu)  # for the jobs of this machine, which lease their GPUs

ROOT = f"results/{STUDY.scale}"
SEED = f"{ROOT}/seed{{seed}}"
LOGS = f"{ROOT}/logs/seed{{seed}}"
BENCHMARKS = f"{ROOT}/benchmarks/seed{{seed}}"


def require_writable(folder):
    """Stop before any job starts when nothing could be written below `folder`."""
    for path in [Path(folder).absolute(), *Path(folder).absolute().parents]:
        if path.exists():
            if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
                raise WorkflowError(f"cannot write results: {path} is not a folder that you may write to")
            return


require_writable(ROOT)

# Without hidden files (.DS_Store, an editor's), which are none of ours and must not make a study run again.
RESOURCES = sorted(
    str(path) for path in Path("resources").rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.parts)
)
TEMPLATES = [path for path in RESOURCES if path.startswith("resources/templates/")]


def code(*files):
    """Files of the library that scripts or modules depend on: inputs of a rule, so that an edit (never a touch) reruns it."""
    return [os.path.relpath(path) for path in dependencies(*files)]


def templates(*names):
    """These templates of pages, and what every page includes."""
    return [f"workflow/report/{name}" for name in (*names, "base.html", "page.css")]


def of_seed(name):
    """A param that is the folder `name` of the job's seed; the names of wildcards in it are filled in."""
    return lambda wildcards: f"{SEED}/{name}".format(**wildcards)


def recovered(wildcards, name):
    """A path below the folder of the arm's recovery, as a list; an empty one where there is no curve, and so no recovered weights."""
    return [f"{SEED}/recovery/{{arm}}/{name}".format(**wildcards)] if STUDY.probe(wildcards.arm) == "curve" else []


def floor_run(wildcards):
    """The folder of the run that is the arm without Task 0, as a list; an empty one where the study has none, and of such a run itself."""
    floor = None if never_had_task0(wildcards.arm) else floor_of(wildcards.arm, STUDY.arms)
    return [f"{SEED}/task1/{floor}".format(**wildcards)] if floor else []


def recipe(arm):
    """The entry of the arm; a later task alone is learned by plain fine-tuning."""
    return STUDY.methods["seq" if arm == ALONE else arm]


def task0_folder(arm):
    """Where the model stands that an arm starts from: after Task 0, of which LAMOL has its own, or without any, after pretraining."""
    method = recipe(arm)
    if method.start == "pretrained":
        return f"{SEED}/pretrain"
    own = method.task0_language_loss
    return f"{SEED}/task0" if own is None else f"{SEED}/task0-lamol/{own:g}"


def start_model(wildcards):
    """The folder of the model that the arm starts from."""
    return f"{task0_folder(wildcards.arm)}/model".format(**wildcards)


def start_weights(wildcards):
    """The manifest of the same, which stands for it among the inputs of a job."""
    return f"{task0_folder(wildcards.arm)}/{MANIFEST}".format(**wildcards)


def runs_before(wildcards):
    """The folders of the runs of the same arm on the tasks before this one, in order."""
    tasks = STUDY.tasks[: 0 if wildcards.arm == ALONE else STUDY.tasks.index(wildcards.task)]
    return [f"{SEED}/{task}/{{arm}}".format(**wildcards) for task in tasks]


def former_models(wildcards):
    """The models after Task 0 and after each task that the arm has learned since; the last is the one that it starts from."""
    last = step_name(arm_steps(STUDY.task1, recipe(wildcards.arm)))
    return [start_model(wildcards), *(f"{run}/checkpoints/{last}" for run in runs_before(wildcards))]


def former_weights(wildcards):
    """The manifests of the same."""
    return [start_weights(wildcards), *(f"{run}/{MANIFEST}" for run in runs_before(wildcards))]


def cell_of_task1(wildcards):
    """Task 1 in the values and form of the arm, as a list; an empty one where they are those of every other arm."""
    cell = recipe(wildcards.arm).cell
    return [f"{SEED}/data/cells/{cell}.parquet".format(**wildcards)] if cell else []


def check_start():
    """Stop where a changed config, or changed code, would leave old numbers under its name, and where the jobs of a cluster would not get
    this folder as it is. Called by the first inputs of each target, as Snakemake knows both only while jobs are planned."""
    try:
        check_folder(Path.cwd(), on_cluster=not workflow.local_exec)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
    missing = {"mtime", "params", "input"} - {trigger.name.lower() for trigger in workflow.rerun_triggers}
    if missing:
        raise WorkflowError(
            f"--rerun-triggers leaves out {', '.join(sorted(missing))} (on the command line, in a profile, or by SNAKEMAKE_PROFILE): "
            "a changed config or code would rerun nothing, and old results pass for new ones. Leave the option out."
        )


def resource_files(wildcards):
    """The texts that every study starts from."""
    check_start()
    return RESOURCES


def method_code(wildcards):
    """The folder of the arm's method, without how figures draw it, and the library files that it imports."""
    folder = f"workflow/forgetting/methods/{recipe(wildcards.arm).method}"
    return code(f"{folder}/__init__.py", f"{folder}/method.py")


def one_of(names):
    """Pattern of a wildcard that may only be one of `names`."""
    return "|".join(map(re.escape, names)) or "(?!)"


def seeds(path):
    """The path once for every seed."""
    return expand(path, seed=STUDY.seeds)


def per_arm(path, arms):
    """The path once for every seed and arm."""
    return expand(path, seed=STUDY.seeds, arm=arms)


@functools.cache
def jobs_of_seed(seed):
    """Every job of a seed, by the path of its config file there."""
    return jobs(STUDY, int(seed))


def job_text(job, seed):
    """What one job gets as its config."""
    return jobs_of_seed(seed)[job].text()


COMPARED_ARMS = STUDY.compared_arms

# What a job asks a cluster for, which decides no result: forgetting/pipeline/sizes.py computes it.
SIZES = Sizes(STUDY)
PARTITIONS = Path("slurm/partitions.yaml")


@functools.cache
def longest_job(gpus):
    """Minutes that a partition for jobs of so many GPUs allows at most; asking for more would leave a job in the queue for ever."""
    partitions = yaml.safe_load(PARTITIONS.read_text())["partitions"].values() if PARTITIONS.is_file() else ()
    most = max((limit.get("max_gpu", 0) for limit in partitions), default=gpus)
    if gpus > most and not workflow.local_exec:
        raise WorkflowError(
            f"a job asks for {gpus} GPUs (gpus_per_job, gpus_for_pretraining), but no partition in {PARTITIONS} allows more than {most} (max_gpu)"
        )
    limits = [limit["max_runtime"] for limit in partitions if limit.get("max_gpu", 0) >= gpus and "max_runtime" in limit]
    try:
        return max((minutes(limit) for limit in limits), default=float("inf"))
    except InvalidTimespan as error:
        raise WorkflowError(f"{PARTITIONS}: max_runtime: {error}; write it as 4d, 36h, 90m or a number of minutes") from None


def minutes(limit):
    """Of a time as in slurm/partitions.yaml."""
    return limit if isinstance(limit, (int, float)) else parse_timespan(limit) / 60


def needs(rule):
    """Resources of a job of this rule: memory and minutes computed from the config, more at each attempt, and its GPUs, on one node."""

    def size(wildcards):
        return SIZES.of(rule, wildcards.get("arm"), wildcards.get("task"))

    gpus = SIZES.gpus(rule)
    return (
        ({"gpu": gpus} if gpus else {})
        | ({"nodes": 1} if gpus > 1 else {})
        | {
            "mem_mb": lambda wildcards, attempt: attempt * size(wildcards).memory,
            "runtime": lambda wildcards, attempt: int(min(size(wildcards).minutes(attempt), longest_job(gpus))),
        }
    )


def all_cores(wildcards):
    """Threads of a job that runs a study of its own. Raises WorkflowError on a cluster: rules are read before the executor is known."""
    if not workflow.local_exec:
        raise WorkflowError(
            "architectures runs whole studies on the machine where Snakemake runs: start it within a job of the cluster, without a profile "
            "(snakemake --cores N architectures)"
        )
    return workflow.cores


def interpreter(wildcards, resources):
    """What runs the script of a job: Python, and one process for each GPU where the job has several. Snakemake does not record what it
    takes from `resources`, so that another number of GPUs makes nothing run again."""
    gpus = resources.get("gpu", 0)
    return f"python -m forgetting.pipeline.launch {gpus}" if gpus > 1 else "python"


try:
    SHOWN = shown_in(STUDY, read_catalogue())
except StudyError as error:
    raise WorkflowError(str(error)) from None


def shown_by(target, kind):
    """The figures or tables that a target makes."""
    return [shown for shown in SHOWN.values() if shown.target == target and shown.kind == kind]


def figure_files(target="all"):
    """Figures of a target, in every format."""
    return [file for shown in shown_by(target, "figure") for file in shown_files(shown)]


def table_files(target="all"):
    """Tables of a target, in every format."""
    return [file for shown in shown_by(target, "table") for file in shown_files(shown)]


def shown_files(shown):
    """The files of one figure or table."""
    return [f"{ROOT}/{shown.kind}s/{shown.name}.{suffix}" for suffix in FORMATS[shown.kind]]


def gate_files(target="all"):
    """The verdict of every gate; of a sequence, of those before its first task."""
    before = [f"{ROOT}/gates/seed{{seed}}-task0.json"]
    return seeds(before if target == "sequence" else [*before, f"{ROOT}/gates/seed{{seed}}-task1.json"])


def files_of_target(target):
    """What a target makes that has a report, figures and tables of its own. Raises WorkflowError where the study has nothing for it."""
    if target not in STUDY.targets:
        raise WorkflowError(f"this study has no arms or tasks for `{target}`: add --configfile config/{target}.yaml")
    return [f"{ROOT}/{PAGES[target]}", *gate_files(target), *figure_files(target), *table_files(target)]
