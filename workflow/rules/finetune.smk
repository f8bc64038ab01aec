# Task 0, the gate in front of Task 1, and the tasks after Task 0 for every arm.


rule task0:
    """Teach the pretrained model to answer questions about the persons of task0_train."""
    input:
        script="workflow/scripts/task0.py",
        library=code("workflow/scripts/task0.py"),
        config=f"{SEED}/task0/config.json",
        data=rules.make_data.output,
        start=rules.pretrain.output.weights,
    output:
        weights=f"{SEED}/task0/{MANIFEST}",
        metrics=f"{SEED}/task0/metrics.parquet",
        facts=f"{SEED}/task0/facts.parquet",
    log:
        f"{LOGS}/task0.log",
    benchmark:
        f"{BENCHMARKS}/task0.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.task0
    resources:
        **needs("task0"),
    params:
        data=of_seed("data"),
        start=of_seed("pretrain/model"),
        scratch=of_seed("scratch/task0"),
        folder=of_seed("task0"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --start {params.start} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


# Two rules ask the same of Task 0. This one stands in the way of Task 1, so it reruns only when the models do: a threshold
# or a changed check must not train every arm again, hence ancient() and a param that Snakemake does not record (it takes `input`).
# An ancient() gate in front of Task 1 would not do: Snakemake then overlooks, in the same run, what else is out of date behind it.
rule check_task0:
    """Stop before Task 1 when the model does not know its persons, or knows the control persons."""
    input:
        script=ancient("workflow/scripts/gates.py"),
        floors=rules.make_data.output.floors,
        coverage=rules.make_data.output.coverage,
        pretrain=rules.pretrain.output.metrics,
        task0=rules.task0.output.metrics,
    output:
        f"{SEED}/task0/check.json",
    log:
        f"{LOGS}/check-task0.log",
    benchmark:
        f"{BENCHMARKS}/gates/check-task0.tsv"
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        config=lambda wildcards, input: job_text("gates/config", wildcards.seed),
    shell:
        "printf '%s' {params.config:q} | python {input.script} task0 --config /dev/stdin --floors {input.floors} --coverage {input.coverage} "
        "--pretrain {input.pretrain} --task0 {input.task0} --output {output} 2>&1 | tee {log}"


rule gate_task0:
    """Record what pretraining and Task 0 had to reach, and what they reached."""
    input:
        script="workflow/scripts/gates.py",
        library=code("workflow/scripts/gates.py"),
        config=f"{SEED}/gates/config.json",
        floors=rules.make_data.output.floors,
        coverage=rules.make_data.output.coverage,
        pretrain=rules.pretrain.output.metrics,
        task0=rules.task0.output.metrics,
    output:
        f"{ROOT}/gates/seed{{seed}}-task0.json",
    log:
        f"{LOGS}/gate-task0.log",
    benchmark:
        f"{BENCHMARKS}/gates/task0.tsv"
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} task0 --config {input.config} --floors {input.floors} --coverage {input.coverage} "
        "--pretrain {input.pretrain} --task0 {input.task0} --output {output} > {log} 2>&1"


rule finetune:
    """Train one arm on the questions about new persons, evaluating every group densely: Task 1, or the next task of a sequence."""
    input:
        script="workflow/scripts/finetune.py",
        library=code("workflow/scripts/finetune.py"),
        method=method_code,
        config=f"{SEED}/{{task}}/{{arm}}/config.json",
        data=rules.make_data.output,
        cell=cell_of_task1,
        start=former_weights,
        check=rules.check_task0.output,
    output:
        weights=f"{SEED}/{{task}}/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/{{task}}/{{arm}}/metrics.parquet",
        facts=f"{SEED}/{{task}}/{{arm}}/facts.parquet",
    log:
        f"{LOGS}/{{task}}/{{arm}}.log",
    benchmark:
        f"{BENCHMARKS}/{{task}}/{{arm}}.tsv"
    wildcard_constraints:
        task=one_of(STUDY.tasks),
        arm=one_of([*(arm for arm in STUDY.every_arm if arm not in STUDY.task_vector_arms), ALONE]),
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.task1
    resources:
        **needs("finetune"),
    params:
        data=of_seed("data"),
        starts=former_models,
        scratch=of_seed("scratch/{task}/{arm}"),
        folder=of_seed("{task}/{arm}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --starts {params.starts} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule task0_lamol:
    """Task 0 of LAMOL, which learns to make up questions while it learns to answer them."""
    input:
        script="workflow/scripts/task0_lamol.py",
        library=code("workflow/scripts/task0_lamol.py"),
        config=f"{SEED}/task0-lamol/{{weight}}/config.json",
        data=rules.make_data.output,
        start=rules.pretrain.output.weights,
    output:
        weights=f"{SEED}/task0-lamol/{{weight}}/{MANIFEST}",
        metrics=f"{SEED}/task0-lamol/{{weight}}/metrics.parquet",
        facts=f"{SEED}/task0-lamol/{{weight}}/facts.parquet",
    log:
        f"{LOGS}/task0-lamol/{{weight}}.log",
    benchmark:
        f"{BENCHMARKS}/task0-lamol/{{weight}}.tsv"
    # The first of a chain of jobs, the rest of which train beside the other arms.
    priority: 1
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.task1
    resources:
        **needs("task0_lamol"),
    params:
        data=of_seed("data"),
        start=of_seed("pretrain/model"),
        scratch=of_seed("scratch/task0-lamol/{weight}"),
        folder=of_seed("task0-lamol/{weight}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --start {params.start} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule task_vector:
    """Take part of the way from theta* back at every checkpoint of the sequential run; nothing is trained."""
    input:
        script="workflow/scripts/task_vector.py",
        library=code("workflow/scripts/task_vector.py"),
        config=f"{SEED}/task1/{{arm}}/config.json",
        data=rules.make_data.output,
        start=rules.task0.output.weights,
        base=f"{SEED}/task1/seq/{MANIFEST}",
        metrics=f"{SEED}/task1/seq/metrics.parquet",
    output:
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
        facts=f"{SEED}/task1/{{arm}}/facts.parquet",
    log:
        f"{LOGS}/task1/{{arm}}.log",
    benchmark:
        f"{BENCHMARKS}/task1/{{arm}}.tsv"
    wildcard_constraints:
        arm=one_of(STUDY.task_vector_arms),
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.task1
    resources:
        **needs("task_vector"),
    params:
        data=of_seed("data"),
        start=of_seed("task0/model"),
        base=of_seed("task1/seq"),
        folder=of_seed("task1/{arm}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --start {params.start} "
        "--base {params.base} --output {params.folder} > {log} 2>&1"
