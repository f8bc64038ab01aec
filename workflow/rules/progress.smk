# What a user sees while jobs run: a line when a job starts and ends, and one a minute on how far the study is.

import logging
import threading
import time

from snakemake.logging import DefaultFormatter, logger
from snakemake_interface_logger_plugins.common import LogEvent

from forgetting.pipeline.status import minute_line

SILENT_RULES = {"job_config", "study_config"}
"""Rules that write small config files, in no time and by the dozen."""


class BriefFormatter(DefaultFormatter):
    """Names each job in a line when it starts and when it is done, without reasons and files. A dry run still lists these, and so does
    the complete log that Snakemake keeps in .snakemake/log."""

    def format_job_info(self, msg):
        return f"{time.strftime('%H:%M:%S')}  start  {job_name(msg)}"

    def format_job_finished(self, msg):
        return f"{time.strftime('%H:%M:%S')}  done   {NAMES.get(msg['job_id'], msg['job_id'])}"


NAMES = {}
"""The computing jobs that have started, by Snakemake's number."""


def job_name(msg):
    wildcards = ", ".join(f"{name}={value}" for name, value in msg["wildcards"].items())
    return f"{msg['rule_name']} {wildcards}".rstrip()


def is_of_interest(record):
    """Whether a user is to see a record: not the jobs that write configs, nor what Snakemake says of choosing jobs and counting them."""
    event = getattr(record, "event", None)
    if event == LogEvent.JOB_INFO:
        if record.rule_name in SILENT_RULES:
            return False
        NAMES[record.jobid] = job_name(record.__dict__)
    if event == LogEvent.JOB_FINISHED:
        return record.job_id in NAMES
    chosen = event is None and record.getMessage().strip() in ("", "Select jobs to execute...")
    return not chosen and event not in (LogEvent.PROGRESS, LogEvent.JOB_STARTED)


for handler in logger.handlers:
    brief = handler.name == "DefaultStreamHandler" and not workflow.output_settings.dryrun
    if brief and isinstance(handler.formatter, DefaultFormatter):
        handler.setFormatter(BriefFormatter(handler.formatter.quiet, handler.formatter.show_failed_logs))
        handler.addFilter(is_of_interest)


def tell_every_minute(root, targets, cores):
    while True:
        time.sleep(60)
        try:
            line = minute_line(root, targets, time.time(), cores, sys.stderr.isatty())
        except Exception:  # half-written files of running jobs; what is told in passing must never end a study
            continue
        if line:
            print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def tell_progress():
    """Start telling how far the study is, for the runs that status.py knows: those of the whole study, on this machine."""
    targets = list(workflow.dag_settings.targets) or ["all"]
    if workflow.is_main_process and workflow.local_exec and set(targets) <= set(STUDY.targets):
        cores = workflow.global_resources["_cores"].value or 1
        threading.Thread(target=tell_every_minute, args=(Path(ROOT), targets, cores), daemon=True).start()
