# What can be deleted without losing a result.


rule clean_scratch:
    """Delete the saved states of interrupted training; finished jobs have none."""
    log:
        f"{ROOT}/logs/clean_scratch.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        folders=seeds(f"{SEED}/scratch"),
    shell:
        "rm -rfv {params.folders} > {log} 2>&1"


rule clean_checkpoints:
    """Delete the weights of Task 1 and later tasks (most of the disk space); metrics, views and figures stay. They are made again when a job needs them."""
    log:
        f"{ROOT}/logs/clean_checkpoints.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        weights=expand(
            [f"{SEED}/{{task}}/{{arm}}/{name}" for name in (MANIFEST, "checkpoints")],
            seed=STUDY.seeds,
            task=STUDY.tasks,
            arm=[*STUDY.every_arm, ALONE],
        ),
    shell:
        "rm -rfv {params.weights} > {log} 2>&1"
