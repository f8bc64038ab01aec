# What comes before everything else: the library, config files that can be read, and no more cores than there are.

import os
import sys
import threading

from loky import cpu_count
from snakemake.exceptions import WorkflowError

sys.path.insert(0, "workflow")  # the library beside this file, installed or not

from forgetting.config.fields import ConfigError
from forgetting.pipeline.surroundings import check_variables
from forgetting.config.yamlfile import check_config_file

try:
    for config_file in [*workflow.configfiles, "config/config.yaml", "config/methods.yaml", "config/architectures.yaml"]:
        if str(config_file).endswith((".yaml", ".yml")):
            check_config_file(config_file)
except ConfigError as error:
    raise WorkflowError(f"bad config: {error}") from None

try:
    check_variables(os.environ)
except ConfigError as error:
    raise WorkflowError(str(error)) from None


CORES_ASKED_FOR = workflow.global_resources["_cores"].value
if workflow.local_exec and CORES_ASKED_FOR is not None:
    # Threads that share a core wait for each other, and training gets many times slower.
    workflow.register_resource("_cores", min(CORES_ASKED_FOR, cpu_count()))


onstart:
    if workflow.local_exec:
        # The limit of jobs started in a second is for clusters. It makes Snakemake look at all waiting jobs again a second after every look, and
        # each job that ends begins another such series: after a hundred jobs that takes a third of a core for the rest of the run.
        workflow.scheduler.job_rate_limiter = None
    # Snakemake takes this lock while it chooses jobs, and again when SIGTERM interrupts it there: with its own it would wait for itself for ever.
    workflow.scheduler._lock = threading.RLock()
    if CORES_ASKED_FOR != workflow.global_resources["_cores"].value:
        print(
            f"--cores {CORES_ASKED_FOR}, but this process may use {cpu_count()}: all jobs together get {cpu_count()}.",
            file=sys.stderr,
        )
    tell_progress()  # of progress.smk
    tell_forecast()  # of diagnose.smk
