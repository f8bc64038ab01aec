# With `--config tables_only=true` nothing of a seed is made here: tables that came without their models are taken as they are.

from forgetting.pipeline.tables_only import check_configs


def job_configs(seed):
    """Where the config of each job of a seed stands, and what the study makes of it."""
    return ((f"{SEED.format(seed=seed)}/{name}.json", job.text()) for name, job in jobs(STUDY, seed).items())


if STUDY.tables_only:
    try:
        for seed in STUDY.seeds:
            check_configs(job_configs(seed))
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


wildcard_constraints:
    seed=one_of([] if STUDY.tables_only else map(str, STUDY.seeds)),
