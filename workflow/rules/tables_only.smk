# With `--config tables_only=true` nothing of a seed is made here: tables that came without their models are taken as they are.

from forgetting.pipeline.tables_only import check_configs


def job_configs(seed):
    """Where the config of each job of a seed stands, and what the study makes of it."""
    folder = SEED.format(seed=seed)
    for stage in ("data", "pretrain", "task0", "fisher", "drift", "gates"):
        yield f"{folder}/{stage}/config.json", run_text(stage, seed)
    yield f"{folder}/recovery/controls/config.json", run_text("recovery", seed, "controls")
    for arm in STUDY.every_arm:
        for stage in ("task1", "recovery"):
            yield f"{folder}/{stage}/{arm}/config.json", run_text(stage, seed, arm)
        for view in VIEW_KEYS:
            yield f"{folder}/views/{arm}/{view}.json", run_text("views", seed, arm, view)


if STUDY.tables_only:
    try:
        for seed in STUDY.seeds:
            check_configs(job_configs(seed))
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


wildcard_constraints:
    seed=one_of([] if STUDY.tables_only else map(str, STUDY.seeds)),
