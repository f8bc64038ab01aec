# Whether the weights on disk are still those that were written.


rule verify:
    """Read all checkpoints and compare them with their manifests (size and SHA-256), to find what was deleted or damaged."""
    input:
        script="workflow/scripts/verify.py",
    log:
        f"{ROOT}/logs/verify.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        results=ROOT,
    shell:
        "python {input.script} {params.results} 2>&1 | tee {log}"
