# The recovery probe of science section 4, its controls, and the gate on both.


# The outputs of a rule are fixed names, and only recovery curves keep weights, so they need a rule of their own.
for curve in (True, False):

    rule:
        """Train on Task 0 again from Task 1 checkpoints of an arm: what comes back was forgotten only spuriously."""
        name:
            "recovery_curve" if curve else "recovery"
        input:
            script="workflow/scripts/recovery.py",
            library=code("workflow/scripts/recovery.py"),
            config=f"{SEED}/recovery/{{arm}}/config.json",
            data=rules.make_data.output,
            start=task0_model,
            checkpoints=task1_checkpoints,
            metrics=f"{SEED}/task1/{{arm}}/metrics.parquet",
            facts=f"{SEED}/task1/{{arm}}/facts.parquet",
        output:
            recovered_files(f"{SEED}/recovery/{{arm}}") if curve else [],
            metrics=f"{SEED}/recovery/{{arm}}/metrics.parquet",
            facts=f"{SEED}/recovery/{{arm}}/facts.parquet",
        log:
            f"{LOGS}/recovery/{{arm}}.log",
        benchmark:
            f"{BENCHMARKS}/recovery/{{arm}}.tsv"
        wildcard_constraints:
            arm=one_of(arm for arm in STUDY.every_arm if (STUDY.probe(arm) == "curve") == curve),
        # The longest jobs: start them before the remaining arms of Task 1.
        priority: 1
        conda:
            "../envs/forgetting.yaml"
        threads: STUDY.threads.recovery
        resources:
            **needs("recovery_curve" if curve else "recovery"),
        params:
            steps=lambda wildcards: kept_steps(wildcards.arm),
            scratch=f"{SEED}/scratch/recovery/{{arm}}",
        shell:
            "python {input.script} --config {input.config} --data $(dirname {input.data[0]}) "
            "--task0 $(dirname $(dirname {input.start[0]})) --task1 $(dirname {input.metrics}) --steps {params.steps} "
            "--scratch {params.scratch} --output $(dirname {output.metrics}) > {log} 2>&1"


rule recovery_controls:
    """The same probe from the pretrained model that never saw a question, and from random weights."""
    input:
        script="workflow/scripts/recovery_controls.py",
        library=code("workflow/scripts/recovery_controls.py"),
        config=f"{SEED}/recovery/controls/config.json",
        data=rules.make_data.output,
        start=rules.pretrain.output.model,
    output:
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
        scratch=f"{SEED}/scratch/recovery/controls",
    shell:
        "python {input.script} --config {input.config} --data $(dirname {input.data[0]}) --start $(dirname {input.start[0]}) "
        "--scratch {params.scratch} --output $(dirname {output.metrics}) > {log} 2>&1"


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
