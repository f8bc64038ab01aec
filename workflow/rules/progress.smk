# What a user sees while jobs run: a line when a job starts and ends, and one a minute on how far the study is.

import logging
import threading
import time

from snakemake.logging import DefaultFormatter, logger
from snakemake_interface_logger_plugins.common import LogEvent

from forgetting.pipeline.status import minute_line, running_line

SILENT_RULES = {"job_config", "study_config"}
"""Rules that write small config files, in no time and by the dozen."""


class BriefFormatter(DefaultFormatter):
    """Names each job in a line when it starts and when it is done, without reasons and files. A dry run still lists these, and so does
    the complete log that Snakemake keeps in .snakemake/log."""

    def format_job_info(self, msg):
        return f"{time.strftime('%H:%M:%S')}  start  {job_name(msg)}"

    def format_job_finished(self, msg):
        return f"{time.strftime('%H:%M:%S')}  done   {NAMES.get(msg['job_id'], msg['job_id'])}"


NAMES, RUNNING = {}, {}
"""By Snakemake's number: the computing jobs that have started, and of those that run their name and log."""


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
        RUNNING[record.jobid] = NAMES[record.jobid], Path(next(iter(record.log or []), ""))
    if event == LogEvent.JOB_FINISHED:
        RUNNING.pop(record.job_id, None)
        return record.job_id in NAMES
    chosen = event is None and record.getMessage().strip() in ("", "Select jobs to execute...")
    return not chosen and event not in (LogEvent.PROGRESS, LogEvent.JOB_STARTED)


for handler in logger.handlers:
    brief = handler.name == "DefaultStreamHandler" and not workflow.output_settings.dryrun
    if brief and isinstance(handler.formatter, DefaultFormatter):
        handler.setFormatter(BriefFormatter(handler.formatter.quiet, handler.formatter.show_failed_logs))
        handler.addFilter(is_of_interest)


def tell_every_minute(line_of_now):
    while True:
        time.sleep(60)
        try:
            line = line_of_now()
        except Exception:  # half-written files of running jobs; what is told in passing must never end a study
            continue
        if line:
            print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def tell_progress():
    """Start telling how far the runs on this machine are: those of the whole study by status.py, of others what runs."""
    targets = list(workflow.dag_settings.targets) or ["all"]
    if not (workflow.is_main_process and workflow.local_exec):
        return

    def line_of_now():
        if not set(targets) <= set(STUDY.targets):
            return running_line(list(RUNNING.values()))
        cores = workflow.global_resources["_cores"].value or 1
        return minute_line(Path(ROOT), targets, time.time(), cores, sys.stderr.isatty())

    threading.Thread(target=tell_every_minute, args=(line_of_now,), daemon=True).start()
