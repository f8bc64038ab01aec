# The views that read weights, one job an arm each. The view of performance needs tables only: see figures.smk.


rule view_landscape:
    """Losses on the plane through three checkpoints, and the trajectory in it."""
    input:
        script="workflow/scripts/view_landscape.py",
        library=code("workflow/scripts/view_landscape.py"),
        config=f"{SEED}/views/{{arm}}/config.json",
        questions=rules.make_data.output.questions,
        task0=task0_model,
        checkpoints=task1_checkpoints,
    output:
        f"{SEED}/views/{{arm}}/landscape.parquet",
    log:
        f"{LOGS}/views/{{arm}}/landscape.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/landscape.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **ACCELERATOR,
        mem_mb=memory(EVALUATION_BATCH),
        runtime=runtime(2 * STUDY.views.landscape.grid**2 * STUDY.views.landscape.questions * TOKENS_PER_QUESTION),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} "
        "--task0 $(dirname {input.task0[0]}) --checkpoints $(dirname $(dirname {input.checkpoints[0]})) "
        "--output {output} > {log} 2>&1"


rule view_weights:
    """Angles, ranks and norms of the updates of every matrix in every stage."""
    input:
        script="workflow/scripts/view_weights.py",
        library=code("workflow/scripts/view_weights.py"),
        config=f"{SEED}/views/{{arm}}/config.json",
        late=rules.pretrain.output.late,
        pretrained=rules.pretrain.output.model,
        task0=task0_model,
        checkpoints=task1_checkpoints,
    output:
        f"{SEED}/views/{{arm}}/weights.parquet",
    log:
        f"{LOGS}/views/{{arm}}/weights.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/weights.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **ACCELERATOR,
        mem_mb=memory(0),
        runtime=runtime(1000 * STUDY.model.hidden_size),
    shell:
        "python {input.script} --config {input.config} --pretrained-late $(dirname {input.late[0]}) --pretrained $(dirname {input.pretrained[0]}) "
        "--task0 $(dirname {input.task0[0]}) --checkpoints $(dirname $(dirname {input.checkpoints[0]})) "
        "--output {output} > {log} 2>&1"


rule view_features:
    """How the residual stream moves between stages, and what a linear probe reads from it."""
    input:
        script="workflow/scripts/view_features.py",
        library=code("workflow/scripts/view_features.py"),
        config=f"{SEED}/views/{{arm}}/config.json",
        questions=rules.make_data.output.questions,
        pretrained=rules.pretrain.output.model,
        task0=task0_model,
        checkpoints=task1_checkpoints,
    output:
        features=f"{SEED}/views/{{arm}}/features.parquet",
        points=f"{SEED}/views/{{arm}}/feature_points.parquet",
    log:
        f"{LOGS}/views/{{arm}}/features.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/features.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **ACCELERATOR,
        mem_mb=memory(EVALUATION_BATCH),
        runtime=runtime(5 * questions(STUDY.data.groups.task0_test + STUDY.data.groups.task1)),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --pretrained $(dirname {input.pretrained[0]}) "
        "--task0 $(dirname {input.task0[0]}) --checkpoints $(dirname $(dirname {input.checkpoints[0]})) "
        "--output {output.features} --output-points {output.points} > {log} 2>&1"
