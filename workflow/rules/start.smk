# What comes before everything else: the library, config files that can be read, and a word about the lock of another run.

import atexit
import sys

from loky import cpu_count
from snakemake.exceptions import WorkflowError

sys.path.insert(0, "workflow")  # the library beside this file, installed or not

from forgetting.pipeline.lock import find_lock, remember_run
from forgetting.config.fields import ConfigError
from forgetting.config.yamlfile import check_config_file

try:
    for config_file in [*workflow.configfiles, "config/config.yaml", "config/methods.yaml"]:
        if str(config_file).endswith((".yaml", ".yml")):
            check_config_file(config_file)
except ConfigError as error:
    raise WorkflowError(f"bad config: {error}") from None


CORES_ASKED_FOR = workflow.global_resources["_cores"].value
if workflow.local_exec and CORES_ASKED_FOR is not None:
    # Threads that share a core wait for each other, and training gets many times slower.
    workflow.register_resource("_cores", min(CORES_ASKED_FOR, cpu_count()))


def say_whose_lock():
    """Advice as the last line of a run that found the folder locked, below that of Snakemake, which is to unlock it."""
    if lock := find_lock():
        print(lock.advice, file=sys.stderr)


if workflow.is_main_process:
    if "--unlock" in sys.argv and (lock := find_lock()) and lock.alive:
        raise WorkflowError(lock.advice)
    atexit.register(say_whose_lock)


onstart:
    if not only_looks():
        remember_run()
        if CORES_ASKED_FOR != workflow.global_resources["_cores"].value:
            print(
                f"--cores {CORES_ASKED_FOR}, but this process may use {cpu_count()}: all jobs together get {cpu_count()}.",
                file=sys.stderr,
            )
