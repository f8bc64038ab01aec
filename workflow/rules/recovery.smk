# The recovery probe, its controls, and the gate on both (docs/definitions.md).


rule recovery:
    """Train on Task 0 again from Task 1 checkpoints of an arm: what comes back was forgotten only spuriously."""
    input:
        script="workflow/scripts/recovery.py",
        library=code("workflow/scripts/recovery.py"),
        config=f"{SEED}/recovery/{{arm}}/config.json",
        data=rules.make_data.output,
        start=start_weights,
        weights=f"{SEED}/task1/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
    output:
        weights=f"{SEED}/recovery/{{arm}}/{MANIFEST}",
        metrics=f"{SEED}/recovery/{{arm}}/metrics.parquet",
        facts=f"{SEED}/recovery/{{arm}}/facts.parquet",
    log:
        f"{LOGS}/recovery/{{arm}}.log",
    benchmark:
        f"{BENCHMARKS}/recovery/{{arm}}.tsv"
    wildcard_constraints:
        arm=one_of(STUDY.every_arm),
    # The longest jobs: start them before the remaining arms of Task 1.
    priority: 1
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.recovery
    resources:
        **needs("recovery"),
    params:
        data=of_seed("data"),
        task0=lambda wildcards: task0_folder(wildcards.arm).format(**wildcards),
        task1=of_seed("task1/{arm}"),
        scratch=of_seed("scratch/recovery/{arm}"),
        folder=of_seed("recovery/{arm}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --task0 {params.task0} --task1 {params.task1} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule recovery_controls:
    """The same probe from the pretrained model that never saw a question, from random weights, and within the stages before Task 1."""
    input:
        script="workflow/scripts/recovery_controls.py",
        library=code("workflow/scripts/recovery_controls.py"),
        config=f"{SEED}/recovery/controls/config.json",
        data=rules.make_data.output,
        pretrain=rules.pretrain.output.weights,
        task0=rules.task0.output.weights,
    output:
        weights=f"{SEED}/recovery/controls/{MANIFEST}",
        metrics=f"{SEED}/recovery/controls/metrics.parquet",
        facts=f"{SEED}/recovery/controls/facts.parquet",
    log:
        f"{LOGS}/recovery/controls.log",
    benchmark:
        f"{BENCHMARKS}/recovery/controls.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.recovery
    resources:
        **needs("recovery_controls"),
    params:
        data=of_seed("data"),
        pretrain=of_seed("pretrain"),
        task0=of_seed("task0"),
        scratch=of_seed("scratch/recovery/controls"),
        folder=of_seed("recovery/controls"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --pretrain {params.pretrain} --task0 {params.task0} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule gate_task1:
    """Stop when sequential training does not show the phenomenon: collapse, Task 1 learned, recovery."""
    input:
        script="workflow/scripts/gates.py",
        library=code("workflow/scripts/gates.py"),
        config=f"{SEED}/gates/config.json",
        floors=rules.make_data.output.floors,
        task1=f"{SEED}/task1/seq/metrics.parquet",
        recovery=f"{SEED}/recovery/seq/metrics.parquet",
        controls=rules.recovery_controls.output.metrics,
    output:
        f"{ROOT}/gates/seed{{seed}}-task1.json",
    log:
        f"{LOGS}/gate-task1.log",
    benchmark:
        f"{BENCHMARKS}/gates/task1.tsv"
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} task1 --config {input.config} --floors {input.floors} --task1 {input.task1} "
        "--recovery {input.recovery} --controls {input.controls} --output {output} 2>&1 | tee {log}"
