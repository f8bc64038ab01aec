# The full comparison of methods (`snakemake methods`): the choice within each family, and what is drawn of all of them.


rule choose:
    """Choose the arm that stands for each family of methods, on task0_val alone."""
    input:
        script="workflow/scripts/choose.py",
        library=code("workflow/scripts/choose.py"),
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", COMPARED_ARMS),
    output:
        f"{ROOT}/comparison/choice.parquet",
    log:
        f"{ROOT}/logs/choose.log",
    benchmark:
        f"{ROOT}/benchmarks/comparison/choice.tsv"
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
        task0=rules.task0.output.weights,
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
        **needs("view_fisher"),
    params:
        task0=of_seed("task0/model"),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --task0 {params.task0} "
        "--output {output} > {log} 2>&1"


rule view_drift:
    """How far each compared arm moves away from the model after Task 0 in what it says about Task 1 and Task 0."""
    input:
        script="workflow/scripts/view_drift.py",
        library=code("workflow/scripts/view_drift.py"),
        config=f"{SEED}/drift/config.json",
        questions=rules.make_data.output.questions,
        task0=[f"{task0_folder(arm)}/{MANIFEST}" for arm in COMPARED_ARMS],
        weights=[f"{SEED}/task1/{arm}/{MANIFEST}" for arm in COMPARED_ARMS],
        metrics=[f"{SEED}/task1/{arm}/metrics.parquet" for arm in COMPARED_ARMS],
    output:
        f"{SEED}/drift/drift.parquet",
    log:
        f"{LOGS}/drift.log",
    benchmark:
        f"{BENCHMARKS}/drift.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_drift"),
    params:
        task0=[f"{task0_folder(arm)}/model" for arm in COMPARED_ARMS],
        task1=[f"{SEED}/task1/{arm}" for arm in COMPARED_ARMS],
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --task0 {params.task0} --task1 {params.task1} "
        "--output {output} > {log} 2>&1"
