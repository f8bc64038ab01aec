# The forecast of what a study takes.


rule cost:
    """What the study would take at this scale: jobs, GPU or core hours, memory and disk by stage; nothing is trained."""
    input:
        script=ancient("workflow/scripts/cost.py"),
    log:
        f"{ROOT}/logs/cost.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        config=json.dumps(config),
    shell:
        "printf '%s' {params.config:q} | python {input.script} --config /dev/stdin 2>&1 | tee {log}"
