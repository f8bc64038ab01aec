# The config of each job, written to the folder of its results: a job depends on these values and on no others.


rule job_config:
    """Write what one job of a seed depends on."""
    output:
        f"{SEED}/{{job}}.json",
    log:
        f"{LOGS}/config/{{job}}.log",
    wildcard_constraints:
        job=one_of(jobs(STUDY, 0)),
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=lambda wildcards: job_text(wildcards.job, wildcards.seed),
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
