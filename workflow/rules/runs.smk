# The config of each job, written to the folder of its results: a job depends on these values and on no others.


rule run_config:
    """Write the part of the config that one stage of a seed depends on."""
    output:
        f"{SEED}/{{stage}}/config.json",
    log:
        f"{LOGS}/config/{{stage}}.log",
    wildcard_constraints:
        stage="data|pretrain|task0|fisher|drift|gates",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=lambda wildcards: run_text(wildcards.stage, wildcards.seed),
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule run_config_of_arm:
    """Write the part of the config that one stage of an arm depends on."""
    output:
        f"{SEED}/{{stage}}/{{arm}}/config.json",
    log:
        f"{LOGS}/config/{{stage}}-{{arm}}.log",
    wildcard_constraints:
        stage="task1|recovery",
        arm=one_of([*STUDY.every_arm, "controls"]),
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=lambda wildcards: run_text(wildcards.stage, wildcards.seed, wildcards.arm),
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule run_config_of_view:
    """Write the part of the config that one view of an arm depends on."""
    output:
        f"{SEED}/views/{{arm}}/{{view}}.json",
    log:
        f"{LOGS}/config/view-{{view}}-{{arm}}.log",
    wildcard_constraints:
        arm=one_of(STUDY.every_arm),
        view=one_of(VIEW_KEYS),
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=lambda wildcards: run_text("views", wildcards.seed, wildcards.arm, wildcards.view),
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule run_config_of_lamol:
    """Write the part of the config that a Task 0 of LAMOL depends on."""
    output:
        f"{SEED}/task0-lamol/{{weight}}/config.json",
    log:
        f"{LOGS}/config/task0-lamol-{{weight}}.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=lambda wildcards: run_text("task0", wildcards.seed, lamol_arm(wildcards)),
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule study_config:
    """Write the whole resolved config of the study."""
    output:
        f"{ROOT}/config.json",
    log:
        f"{ROOT}/logs/config.log",
    # Before all others: scripts/status.py reads it while the study runs.
    priority: 2
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=STUDY.model_dump_json(indent=1),
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"
