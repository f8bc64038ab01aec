# The full comparison of methods (`snakemake methods`): the choice within each family, and what is drawn of all of them.


rule choose:
    """Choose the arm that stands for each family of methods, on task0_val alone."""
    input:
        script="workflow/scripts/choose.py",
        library=code("workflow/scripts/choose.py"),
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", STUDY.compared_arms),
    output:
        f"{ROOT}/comparison/choice.parquet",
    log:
        f"{ROOT}/logs/choose.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        families=json.dumps(STUDY.comparison.families),
        accuracy=STUDY.task1.early_stop_accuracy,
    shell:
        "python {input.script} --metrics {input.metrics} --families {params.families:q} "
        "--matched-accuracy {params.accuracy} --output {output} > {log} 2>&1"


rule view_fisher:
    """Fisher information of Task 0 in every matrix."""
    input:
        script="workflow/scripts/view_fisher.py",
        library=code("workflow/scripts/view_fisher.py"),
        config=f"{SEED}/fisher/config.json",
        questions=rules.make_data.output.questions,
        task0=rules.task0.output.model,
    output:
        f"{SEED}/fisher/fisher.parquet",
    log:
        f"{LOGS}/fisher.log",
    benchmark:
        f"{BENCHMARKS}/fisher.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **ACCELERATOR,
        mem_mb=memory(EVALUATION_BATCH),
        runtime=runtime(1000 * 4 * TOKENS_PER_QUESTION),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --task0 $(dirname {input.task0[0]}) "
        "--output {output} > {log} 2>&1"
