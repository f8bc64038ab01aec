# A sequence of tasks (`snakemake sequence`): recovery of what was learned before, and the matrix of accuracies. The tasks themselves are
# trained by `finetune`.


rule sequence_recovery:
    """Recover Task 0 and every task before this one from the end of its run: half of the persons of a later task, asked about the others."""
    input:
        script="workflow/scripts/sequence_recovery.py",
        library=code("workflow/scripts/sequence_recovery.py"),
        config=f"{SEED}/sequence/{{task}}/{{arm}}/config.json",
        data=rules.make_data.output,
        weights=f"{SEED}/{{task}}/{{arm}}/{MANIFEST}",
    output:
        metrics=f"{SEED}/sequence/{{task}}/{{arm}}/metrics.parquet",
        facts=f"{SEED}/sequence/{{task}}/{{arm}}/facts.parquet",
    log:
        f"{LOGS}/sequence/{{task}}/{{arm}}.log",
    benchmark:
        f"{BENCHMARKS}/sequence/{{task}}/{{arm}}.tsv"
    wildcard_constraints:
        task=one_of(STUDY.tasks),
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.recovery
    resources:
        **needs("sequence_recovery"),
    params:
        data=of_seed("data"),
        run=of_seed("{task}/{arm}"),
        scratch=of_seed("scratch/sequence/{task}/{arm}"),
        folder=of_seed("sequence/{task}/{arm}"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --run {params.run} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule sequence_controls:
    """The same probes from the pretrained model, random weights and the model after Task 0, none of which learned the tasks."""
    input:
        script="workflow/scripts/sequence_controls.py",
        library=code("workflow/scripts/sequence_controls.py"),
        config=f"{SEED}/sequence/controls/config.json",
        data=rules.make_data.output,
        pretrain=rules.pretrain.output.weights,
        task0=rules.task0.output.weights,
    output:
        metrics=f"{SEED}/sequence/controls/metrics.parquet",
        facts=f"{SEED}/sequence/controls/facts.parquet",
    log:
        f"{LOGS}/sequence/controls.log",
    benchmark:
        f"{BENCHMARKS}/sequence/controls.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: STUDY.threads.recovery
    resources:
        **needs("sequence_controls"),
    params:
        data=of_seed("data"),
        pretrain=of_seed("pretrain/model"),
        task0=of_seed("task0/model"),
        scratch=of_seed("scratch/sequence/controls"),
        folder=of_seed("sequence/controls"),
    shell:
        "python {input.script} --config {input.config} --data {params.data} --pretrain {params.pretrain} --task0 {params.task0} "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"


rule sequence_answers:
    """The answers of every unit before and after each task, by arm: what the matrix of accuracies is made of. No torch."""
    input:
        script="workflow/scripts/sequence_answers.py",
        library=code("workflow/scripts/sequence_answers.py"),
        facts=[f"{SEED}/{task}/{arm}/facts.parquet" for arm, task in product(STUDY.arms, STUDY.tasks)],
        alone=[f"{SEED}/{task}/{ALONE}/facts.parquet" for task in STUDY.later_tasks],
    output:
        f"{SEED}/sequence/answers.parquet",
    log:
        f"{LOGS}/sequence/answers.log",
    benchmark:
        f"{BENCHMARKS}/sequence/answers.tsv"
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        tasks=STUDY.tasks,
    shell:
        "python {input.script} --tasks {params.tasks} --facts {input.facts} {input.alone} --output {output} > {log} 2>&1"
