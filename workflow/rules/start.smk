# What comes before everything else: the library, config files that can be read, and a word about the lock of another run.

import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, "workflow")  # the library beside this file, installed or not

from forgetting.lock import lock_advice, remember_run
from forgetting.run import ConfigError
from forgetting.yamlfile import check_config_file

try:
    for config_file in [*workflow.configfiles, "config/config.yaml", "config/methods.yaml"]:
        if str(config_file).endswith((".yaml", ".yml")):
            check_config_file(config_file)
except ConfigError as error:
    raise WorkflowError(f"bad config: {error}") from None

if workflow.is_main_process and (advice := lock_advice()):
    print(advice, file=sys.stderr)


onstart:
    remember_run()
