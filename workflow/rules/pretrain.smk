# Pretraining on biographies.


rule pretrain:
    """Train a model from random weights on the biographies."""
    input:
        script="workflow/scripts/pretrain.py",
        library=code("workflow/scripts/pretrain.py"),
        config=f"{SEED}/pretrain/config.json",
        data=rules.make_data.output,
        resources=RESOURCES,
    output:
        model=model_files(f"{SEED}/pretrain/model"),
        late=model_files(f"{SEED}/pretrain/late"),
        metrics=f"{SEED}/pretrain/metrics.parquet",
    log:
        f"{LOGS}/pretrain.log",
    benchmark:
        f"{BENCHMARKS}/pretrain.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: SIZES.of("pretrain").threads
    resources:
        **needs("pretrain"),
    params:
        scratch=f"{SEED}/scratch/pretrain",
        python=interpreter,
    shell:
        "{params.python} {input.script} --config {input.config} --data $(dirname {input.data[0]}) --resources resources "
        "--scratch {params.scratch} --output $(dirname {output.metrics}) > {log} 2>&1"
