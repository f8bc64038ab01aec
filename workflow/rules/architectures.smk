# Other architectures and widths (`snakemake architectures`): each variant is a study of its own scale, which this one runs.

from forgetting.pipeline.architectures import variant_configs

try:
    VARIANTS = variant_configs(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None


TRAINING = [f"workflow/scripts/{stage}.py" for stage in ("data", "pretrain", "task0", "finetune", "recovery")]


rule architecture_study:
    """Run the study of one variant with all cores, and gather what it found."""
    input:
        script="workflow/scripts/architecture_study.py",
        library=code("workflow/scripts/architecture_study.py", *TRAINING),
        resources=resource_files,
    output:
        f"{ROOT}/architectures/{{variant}}.parquet",
    log:
        f"{ROOT}/logs/architectures/{{variant}}.log",
    benchmark:
        f"{ROOT}/benchmarks/architectures/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(VARIANTS),
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    threads: all_cores
    params:
        config=lambda wildcards: json.dumps(VARIANTS[wildcards.variant]),
    shell:
        "printf '%s' {params.config:q} | python {input.script} --config /dev/stdin --name {wildcards.variant} --cores {threads} "
        "--output {output} > {log} 2>&1"
