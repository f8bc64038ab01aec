# The advice that the config asks for, and what its rules need. This file has no rules.

from forgetting.config.jobs.advice import AdviceJob
from forgetting.pipeline.advice import advice_forecast, advice_inputs, check_trials

ADVICE = STUDY.advise
ADVISED = f"results/advise/{ADVICE.name}" if ADVICE else "results/advise/none"
TRIED = ADVICE.tried if ADVICE else ()

if ADVICE:
    require_writable(ADVISED)


def advised(*keys):
    """The user's files behind these keys of the section, which their jobs depend on."""

    def files(wildcards):
        check_start()
        try:
            return advice_inputs(ADVICE, *keys)
        except StudyError as error:
            raise WorkflowError(str(error)) from None

    return files


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
