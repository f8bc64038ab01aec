"""The validated study, paths, the code a script depends on, and job sizes, for the other files here. This one has no rules."""

import ast
import functools
import json
import os
import re
import sys
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

from forgetting.config.study import VIEW_KEYS, load_study
from forgetting.errors import StudyError
from forgetting.figures.catalogue import FORMATS, read_catalogue
from forgetting.model.devices import JOBS_PER_DEVICE
from forgetting.pipeline.checksums import compare_by_content
from forgetting.config.job import ConfigError
from forgetting.pipeline.shown import input_files, methods_of, option_flags, shown_in
from forgetting.pipeline.sizes import Sizes
from forgetting.config.steps import arm_steps, checkpoint_steps, dense_steps
from forgetting.data.points import never_had_task0

compare_by_content()

try:
    STUDY = load_study(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

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

RESOURCES = sorted(str(path) for path in Path("resources").rglob("*") if path.is_file())
TEMPLATES = [path for path in RESOURCES if path.startswith("resources/templates/")]


@functools.cache
def imported(path):
    """Files of the library that one Python file imports, found by reading it; nothing is executed."""
    files = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"), filename=path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = Path(path).relative_to("workflow").parts[: -node.level] if node.level else ()
            origin = ".".join([*parents, *filter(None, [node.module])])
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                base = Path("workflow", *parts[:depth])
                files.update(str(file) for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file())
    return files


@functools.cache
def code(script):
    """Library files that a script imports, directly or not: inputs of its rule, so that an edit (never a touch) reruns it."""
    found, queue = set(), [script] if Path(script).is_file() else []
    while queue:
        new = imported(queue.pop()) - found
        found |= new
        queue.extend(new)
    return sorted(found)


def model_files(folder, weights="model"):
    """The files of one saved model, with its weights or with their difference from another model."""
    return [f"{folder}/config.json", f"{folder}/{weights}.safetensors"]


def steps_of(arm):
    """Optimizer steps of a Task 1 run."""
    return arm_steps(STUDY.task1, STUDY.methods[arm])


def kept_steps(arm):
    """Steps at which the weights of a Task 1 run are kept."""
    return checkpoint_steps(STUDY.task1, steps_of(arm), STUDY.keeps_every_checkpoint(arm))


def checkpoint_files(folder, steps):
    """The files of the checkpoints that a Task 1 run in this folder keeps at these steps, and of the match."""
    dense = dense_steps(STUDY.task1, steps) if STUDY.storage.early_checkpoints == "difference" else ()
    weights = {f"step-{step:06d}": "difference" if step in dense else "model" for step in steps} | {"matched": "model"}
    return [file for name, kind in weights.items() for file in model_files(f"{folder}/checkpoints/{name}", kind)]


def task1_checkpoints(wildcards):
    """The files of every checkpoint of the arm."""
    return checkpoint_files(f"{SEED}/task1/{{arm}}".format(**wildcards), kept_steps(wildcards.arm))


def recovered_files(folder):
    """The files of the weights that the recovery curve of an arm in this folder keeps."""
    epochs = [epochs for epochs in STUDY.recovery.epochs if epochs <= 1]
    return [file for start in ("trough", "end") for share in epochs for file in model_files(f"{folder}/checkpoints/{start}-{share:g}")]


def recovered_models(wildcards):
    """The same of the arm; none where it has no curve."""
    if STUDY.probe(wildcards.arm) != "curve":
        return []
    return recovered_files(f"{SEED}/recovery/{{arm}}".format(**wildcards))


def task0_folder(arm):
    """Where the model stands that an arm starts from: after Task 0, of which LAMOL has its own, or without any, after pretraining."""
    method = STUDY.methods[arm]
    if method.start == "pretrained":
        return f"{SEED}/pretrain"
    own = method.task0_language_loss
    return f"{SEED}/task0" if own is None else f"{SEED}/task0-lamol/{own:g}"


def task0_model(wildcards):
    """The files of the model that the arm starts from."""
    folder = task0_folder(wildcards.arm).format(**wildcards)
    return model_files(f"{folder}/model")


def task0_state(wildcards):
    """The file of the last optimizer state of the Task 0 of an arm that goes on with it."""
    folder = task0_folder(wildcards.arm).format(**wildcards)
    return [f"{folder}/model/optimizer.safetensors"] if STUDY.methods[wildcards.arm].carried_state else []


def lamol_arm(wildcards):
    """An arm that starts from the Task 0 of LAMOL with this weight of the language-modelling loss."""
    folder = f"{SEED}/task0-lamol/{wildcards.weight}"
    return next(arm for arm in STUDY.every_arm if task0_folder(arm) == folder)


def method_code(wildcards):
    """The folder of the arm's method, without how figures draw it, and the library files that it imports."""
    folder = f"workflow/forgetting/methods/{STUDY.methods[wildcards.arm].method}"
    files = [f"{folder}/__init__.py", f"{folder}/method.py"]
    return sorted({*files, *(used for file in files for used in code(file))})


def one_of(names):
    """Pattern of a wildcard that may only be one of `names`."""
    return "|".join(map(re.escape, names)) or "(?!)"


def seeds(path):
    """The path once for every seed."""
    return expand(path, seed=STUDY.seeds)


def per_arm(path, arms):
    """The path once for every seed and arm."""
    return expand(path, seed=STUDY.seeds, arm=arms)


def run_text(stage, seed, arm=None, view=None):
    """What one job gets as its config."""
    return json.dumps(STUDY.run(stage, int(seed), arm, view), indent=1)


COMPARED_ARMS = STUDY.compared_arms

# What a job asks a cluster for, which decides no result: forgetting/pipeline/sizes.py computes it.
SIZES = Sizes(STUDY)
PARTITIONS = Path("slurm/partitions.yaml")


@functools.cache
def longest_job(gpus):
    """Minutes that a partition for jobs of so many GPUs allows at most; asking for more would leave a job in the queue for ever."""
    partitions = yaml.safe_load(PARTITIONS.read_text())["partitions"].values() if PARTITIONS.is_file() else ()
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
        return SIZES.of(rule, wildcards.get("arm"))

    gpus = SIZES.gpus(rule)
    return (
        ({"gpu": gpus} if gpus else {})
        | ({"nodes": 1} if gpus > 1 else {})
        | {
            "mem_mb": lambda wildcards, attempt: attempt * size(wildcards).memory,
            "runtime": lambda wildcards, attempt: int(min(size(wildcards).minutes(attempt), longest_job(gpus))),
        }
    )


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


def gate_files():
    """The verdict of every gate."""
    return seeds(
        [
            f"{ROOT}/gates/seed{{seed}}-task0.json",
            f"{ROOT}/gates/seed{{seed}}-task1.json",
        ]
    )
