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
        weights=f"{SEED}/pretrain/{MANIFEST}",
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
        data=of_seed("data"),
        folder=of_seed("pretrain"),
        scratch=of_seed("scratch/pretrain"),
        python=interpreter,
    shell:
        "{params.python} {input.script} --config {input.config} --data {params.data} --resources resources "
        "--scratch {params.scratch} --output {params.folder} > {log} 2>&1"
