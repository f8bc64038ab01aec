# One self-contained HTML file with every figure, table and gate, and a caption to each.


rule report:
    """All figures and tables with captions, in one HTML file."""
    input:
        config=rules.study_config.output,
        captions=[f"workflow/report/{name}.rst" for name in ("workflow", *FIGURES, *TABLES)],
        figures=figure_files(),
        tables=table_files(),
    output:
        f"{ROOT}/report.html",
    log:
        f"{ROOT}/logs/report.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    # Snakemake itself makes the report, from what it recorded about the jobs; it takes no lock for that.
    shell:
        "python -m snakemake figures tables --configfile {input.config} --report {output} > {log} 2>&1"
