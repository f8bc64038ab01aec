# The views that read weights, one job an arm each. The view of performance needs tables only: see figures.smk.


rule view_landscape:
    """Losses on the plane through three checkpoints and on straight lines between them, with training and recovery in that plane."""
    input:
        script="workflow/scripts/view_landscape.py",
        library=code("workflow/scripts/view_landscape.py"),
        config=f"{SEED}/views/{{arm}}/landscape.json",
        questions=rules.make_data.output.questions,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
        recovered=lambda wildcards: recovered(wildcards, MANIFEST),
    output:
        landscape=f"{SEED}/views/{{arm}}/landscape.parquet",
        interpolation=f"{SEED}/views/{{arm}}/interpolation.parquet",
    log:
        f"{LOGS}/views/{{arm}}/landscape.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/landscape.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_landscape"),
    params:
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
        recovered=lambda wildcards: ["--recovered", *folder] if (folder := recovered(wildcards, "checkpoints")) else [],
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --metrics {input.metrics} {params.recovered} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output.landscape} --output-interpolation {output.interpolation} > {log} 2>&1"


rule view_weights:
    """Angles, ranks and norms of the updates of every matrix in every stage."""
    input:
        script="workflow/scripts/view_weights.py",
        library=code("workflow/scripts/view_weights.py"),
        config=f"{SEED}/views/{{arm}}/weights.json",
        pretrained=rules.pretrain.output.weights,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
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
        **needs("view_weights"),
    params:
        pretrain=of_seed("pretrain"),
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
    shell:
        "python {input.script} --config {input.config} --pretrain {params.pretrain} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output} > {log} 2>&1"


rule view_features:
    """How the residual stream moves between stages, and what the logit lens reads from it."""
    input:
        script="workflow/scripts/view_features.py",
        library=code("workflow/scripts/view_features.py"),
        config=f"{SEED}/views/{{arm}}/features.json",
        questions=rules.make_data.output.questions,
        pretrained=rules.pretrain.output.weights,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
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
        **needs("view_features"),
    params:
        pretrained=of_seed("pretrain/model"),
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --metrics {input.metrics} --pretrained {params.pretrained} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output.features} --output-points {output.points} > {log} 2>&1"


rule view_positions:
    """Which tokens of an answer are right, by attribute and place in the answer, at every checkpoint."""
    input:
        script="workflow/scripts/view_positions.py",
        library=code("workflow/scripts/view_positions.py"),
        config=f"{SEED}/views/{{arm}}/positions.json",
        questions=rules.make_data.output.questions,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
    output:
        f"{SEED}/views/{{arm}}/positions.parquet",
    log:
        f"{LOGS}/views/{{arm}}/positions.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/positions.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_positions"),
    params:
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output} > {log} 2>&1"


rule view_gradients:
    """Whether the gradients of Task 0 and Task 1 are opposed, at the early checkpoints and at the end."""
    input:
        script="workflow/scripts/view_gradients.py",
        library=code("workflow/scripts/view_gradients.py"),
        config=f"{SEED}/views/{{arm}}/gradients.json",
        questions=rules.make_data.output.questions,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
    output:
        f"{SEED}/views/{{arm}}/gradients.parquet",
    log:
        f"{LOGS}/views/{{arm}}/gradients.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/gradients.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_gradients"),
    params:
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output} > {log} 2>&1"


rule view_theory:
    """What Task 1 did to each layer: the propositions of the paper, measured."""
    input:
        script="workflow/scripts/view_theory.py",
        library=code("workflow/scripts/view_theory.py"),
        config=f"{SEED}/views/{{arm}}/theory.json",
        questions=rules.make_data.output.questions,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
    output:
        f"{SEED}/views/{{arm}}/theory.parquet",
    log:
        f"{LOGS}/views/{{arm}}/theory.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/theory.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_theory"),
    params:
        task0=start_model,
        checkpoints=of_seed("task1/{arm}/checkpoints"),
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} --metrics {input.metrics} "
        "--task0 {params.task0} --checkpoints {params.checkpoints} "
        "--output {output} > {log} 2>&1"


rule view_graft:
    """Which weights hold what Task 1 changed: parts of a checkpoint are put back, and the model is asked."""
    input:
        script="workflow/scripts/view_graft.py",
        library=code("workflow/scripts/view_graft.py"),
        config=f"{SEED}/views/{{arm}}/graft.json",
        questions=rules.make_data.output.questions,
        pretrained=rules.pretrain.output.weights,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
        floor=lambda wildcards: [f"{folder}/{MANIFEST}" for folder in floor_run(wildcards)],
    output:
        f"{SEED}/views/{{arm}}/graft.parquet",
    log:
        f"{LOGS}/views/{{arm}}/graft.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/graft.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_graft"),
    params:
        pretrained=of_seed("pretrain/model"),
        task0=start_model,
        task1=of_seed("task1/{arm}"),
        floor=lambda wildcards: ["--floor", *folder] if (folder := floor_run(wildcards)) else [],
    shell:
        "python {input.script} --config {input.config} --questions {input.questions} {params.floor} --pretrained {params.pretrained} "
        "--task0 {params.task0} --task1 {params.task1} --output {output} > {log} 2>&1"


rule view_common_shift:
    """Whether all old answers change alike or each fact erodes on its own, a repair without training, and recall in other forms."""
    input:
        script="workflow/scripts/view_common_shift.py",
        library=code("workflow/scripts/view_common_shift.py"),
        config=f"{SEED}/views/{{arm}}/common_shift.json",
        data=rules.make_data.output,
        templates=TEMPLATES,
        task0=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
    output:
        shift=f"{SEED}/views/{{arm}}/common_shift.parquet",
        repair=f"{SEED}/views/{{arm}}/common_shift_repair.parquet",
        recall=f"{SEED}/views/{{arm}}/recall.parquet",
    log:
        f"{LOGS}/views/{{arm}}/common_shift.log",
    benchmark:
        f"{BENCHMARKS}/views/{{arm}}/common_shift.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.views
    resources:
        **needs("view_common_shift"),
    params:
        data=of_seed("data"),
        templates=lambda wildcards, input: Path(input.templates[0]).parent,
        task0=start_model,
        task1=of_seed("task1/{arm}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --templates {params.templates} "
        "--task0 {params.task0} --task1 {params.task1} --output {output.shift} "
        "--output-repair {output.repair} --output-recall {output.recall} > {log} 2>&1"
