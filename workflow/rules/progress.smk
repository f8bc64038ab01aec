# What a user sees while jobs run: what Snakemake prints about each, and what `snakemake status` knows of the plan.

import logging

from snakemake.logging import DefaultFormatter, logger, timestamp


class BriefFormatter(DefaultFormatter):
    """Says in a few lines which job starts, why, and where its log is, without the names of all its files.

    A dry run still lists these, and so does the complete log that Snakemake keeps in .snakemake/log.
    """

    def format_job_info(self, msg):
        wildcards = ", ".join(f"{name}={value}" for name, value in msg["wildcards"].items())
        reason = msg["reason"] if len(msg["reason"]) <= 200 else msg["reason"][:200] + " ..."
        lines = [timestamp(), f"job {msg['jobid']}: {msg['rule_name']} {wildcards}".rstrip(), f"    reason: {reason}"]
        return "\n".join([*lines, *(f"    log: {log}" for log in msg["log"])])


for handler in logger.handlers:
    brief = handler.name == "DefaultStreamHandler" and not workflow.output_settings.dryrun
    if brief and isinstance(handler.formatter, DefaultFormatter):
        handler.setFormatter(BriefFormatter(handler.formatter.quiet, handler.formatter.show_failed_logs))


def only_looks():
    """Whether nothing was asked for but what is read and printed."""
    asked = set(workflow.dag_settings.targets)
    return bool(asked) and asked <= {"status", "cost"}


def only_look(wildcards):
    """No input. Called when `status` or `cost` is asked for, before Snakemake takes locks and says what it will do.

    A Snakemake that ends removes the locks of every other one in the folder, so one that only looks takes none.
    """
    if only_looks():
        workflow.persistence.lock = workflow.persistence.noop
        for handler in logger.handlers:
            handler.setLevel(logging.ERROR)
    return []


def jobs_of_target(target):
    """For each job behind the figures and tables of `all` or `methods`, and for themselves, one file that it makes, below ROOT; {seed}
    stands for every seed."""
    names = [name for name, shown in SHOWN.items() if shown.target == target]
    start = SEED.format(seed=STUDY.seeds[0]) + "/"
    inputs = [file for name in names for files in input_files(STUDY, SHOWN[name]).values() for file in files]
    arms = {Path(file.removeprefix(start)).parts[1] for file in inputs if file.startswith(f"{start}task1/")}
    folders = dict.fromkeys(f"{task0_folder(arm)}/metrics.parquet".removeprefix(f"{SEED}/") for arm in STUDY.every_arm if arm in arms)
    made = dict.fromkeys(file.removeprefix(start) for file in inputs if file.startswith(start) and Path(file).stem in REPORTING)
    shown = [shown_files(SHOWN[name])[0].removeprefix(f"{ROOT}/") for name in names]
    of_seed = ["data/card.md", "pretrain/metrics.parquet", *folders, *made]
    return [f"seed{{seed}}/{file}" for file in of_seed] + shown


REPORTING = {"metrics", "drift", "fisher", *VIEW_KEYS}
"""Names of the files that stand for a job of an arm."""
