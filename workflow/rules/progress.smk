# What a user sees while jobs run: what Snakemake prints about each.

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
