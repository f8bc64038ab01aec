# The diagnosis that the config asks for, and what its rules need. This file has no rules.

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.diagnosis import forecast_text, input_paths

DIAGNOSIS = STUDY.diagnose
MINE = f"results/diagnose/{DIAGNOSIS.name}" if DIAGNOSIS else "results/diagnose/none"
STARTS = DIAGNOSIS.starts if DIAGNOSIS else ()

for folder in (MINE, DIAGNOSIS.write) if DIAGNOSIS else ():
    if folder is not None:
        require_writable(folder)


def logs_of_run():
    """The folder of the logs of what was asked for."""
    own = {"diagnose": MINE, "advise": ADVISED}
    asked = set(workflow.dag_settings.targets)
    return f"{own[asked.pop()] if len(asked) == 1 and asked <= set(own) else ROOT}/logs"


def tell_forecast():
    """Say before it starts how long a diagnosis or an advice will take, where that is what was asked for."""
    for target, section, forecast in (("diagnose", DIAGNOSIS, forecast_text), ("advise", ADVICE, advice_forecast)):
        if section and workflow.is_main_process and target in workflow.dag_settings.targets:
            try:
                print(forecast(section, STUDY.operations_per_second, workflow.global_resources["_cores"].value or 1), file=sys.stderr)
            except StudyError as error:
                raise WorkflowError(str(error)) from None


def diagnosed(names):
    """The user's files behind these keys of the section, which their jobs depend on."""

    def files(wildcards):
        check_start()
        try:
            return input_paths(DIAGNOSIS, [name.format(**wildcards) for name in names])
        except StudyError as error:
            raise WorkflowError(str(error)) from None

    return files


def diagnosis_page(wildcards):
    """What the target makes. Raises WorkflowError where nothing says what to diagnose."""
    if DIAGNOSIS is None:
        raise WorkflowError(
            "diagnose needs a section `diagnose` with name, before, after and old, say in mine.yaml: "
            "snakemake --cores 8 diagnose --configfile mine.yaml (docs/diagnose.md)"
        )
    return f"{MINE}/diagnosis.html"
