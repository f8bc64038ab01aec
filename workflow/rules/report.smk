# Self-contained HTML files with figures and tables and a caption to each.

for report_name, figures_shown, tables_shown in (
    ("report", FIGURES, TABLES),
    ("methods_report", COMPARISON_FIGURES, COMPARISON_TABLES),
):

    rule:
        """Figures and tables with captions, in one HTML file."""
        name:
            report_name
        input:
            config=rules.study_config.output,
            captions=[f"workflow/report/{name}.rst" for name in ("workflow", *figures_shown, *tables_shown)],
            figures=figure_files(figures_shown),
            tables=table_files(tables_shown),
        output:
            f"{ROOT}/{report_name}.html",
        log:
            f"{ROOT}/logs/{report_name}.log",
        localrule: True
        conda:
            "../envs/forgetting.yaml"
        # Snakemake itself makes the report, from what it recorded about the jobs; it takes no lock for that.
        shell:
            "python -m snakemake {input.figures} {input.tables} --configfile {input.config} --report {output} > {log} 2>&1"
