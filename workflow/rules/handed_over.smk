# Results that came from another machine without models: no rule makes anything of such a seed, so that its tables are taken as they are.

from forgetting.pipeline.tables_only import handed_over_seeds

try:
    HANDED_OVER = handed_over_seeds(STUDY, Path(ROOT))
except ConfigError as error:
    raise WorkflowError(str(error)) from None

for seed in HANDED_OVER:
    print(
        f"{ROOT}/seed{seed} has tables but no models, and was not computed here: its tables are taken as they are (docs/what-reruns.md).",
        file=sys.stderr,
    )


wildcard_constraints:
    seed=one_of(str(seed) for seed in STUDY.seeds if seed not in HANDED_OVER),
