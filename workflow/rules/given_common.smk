# The diagnosis and the advice that the config asks for, and what their rules need. This file has no rules.

from forgetting.config.jobs.advice import AdviceJob
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.pipeline.given_plan import advice_forecast, check_trials, diagnosis_forecast, files_behind

DIAGNOSIS = STUDY.diagnose
MINE = f"results/diagnose/{DIAGNOSIS.name}" if DIAGNOSIS else "results/diagnose/none"
STARTS = DIAGNOSIS.starts if DIAGNOSIS else ()
ADVICE = STUDY.advise
ADVISED = f"results/advise/{ADVICE.name}" if ADVICE else "results/advise/none"
TRIED = ADVICE.tried if ADVICE else ()

for folder in ([MINE, DIAGNOSIS.write] if DIAGNOSIS else []) + ([ADVISED] if ADVICE else []):
    if folder is not None:
        require_writable(folder)


def logs_of_run():
    """The folder of the logs of what was asked for."""
    own = {"diagnose": MINE, "advise": ADVISED}
    asked = set(workflow.dag_settings.targets)
    return f"{own[asked.pop()] if len(asked) == 1 and asked <= set(own) else ROOT}/logs"


def tell_forecast():
    """Say before it starts how long a diagnosis or an advice will take, where that is what was asked for."""
    for target, section, forecast in (("diagnose", DIAGNOSIS, diagnosis_forecast), ("advise", ADVICE, advice_forecast)):
        if section and workflow.is_main_process and target in workflow.dag_settings.targets:
            try:
                print(forecast(section, STUDY.operations_per_second, workflow.global_resources["_cores"].value or 1), file=sys.stderr)
            except StudyError as error:
                raise WorkflowError(str(error)) from None


def of_user(target, *keys):
    """The user's files behind these keys of the section `target`, which a job of it depends on; the names of wildcards are filled in."""

    def files(wildcards):
        check_start()
        try:
            return files_behind(target, getattr(STUDY, target), [key.format(**wildcards) for key in keys])
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


def advice_page(wildcards):
    """What the target makes. Raises WorkflowError where nothing says what to advise on, or a method cannot be tried."""
    if ADVICE is None:
        raise WorkflowError(
            "advise needs a section `advise` with name, before, old and new, say in mine.yaml: "
            "snakemake --cores 8 advise --configfile mine.yaml (docs/advise.md)"
        )
    try:
        check_trials(ADVICE)
    except StudyError as error:
        raise WorkflowError(str(error)) from None
    return f"{ADVISED}/advice.html"
