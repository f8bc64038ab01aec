# An HTML page for each target, complete in itself: what it shows, by question, with a caption to each figure and table.

for target in STUDY.targets:

    rule:
        """Figures and tables with captions, the verdict, run times, versions and configuration, in one HTML file."""
        name:
            PAGES[target].removesuffix(".html")
        input:
            script="workflow/scripts/report.py",
            library=code("workflow/scripts/report.py"),
            template=templates("page.html", "workflow.rst"),
            captions=[os.path.relpath(shown.path) for shown in SHOWN.values() if shown.target == target],
            config=rules.study_config.output,
            gates=gate_files(target) if target != "architectures" else [],  # its studies are others
            figures=figure_files(target),
            tables=table_files(target),
        output:
            f"{ROOT}/{PAGES[target]}",
        log:
            f"{ROOT}/logs/{PAGES[target].removesuffix('.html')}.log",
        localrule: True
        conda:
            "../envs/forgetting.yaml"
        params:
            shown=[rule_name for rule_name, shown in SHOWN.items() if shown.target == target],
        shell:
            "python {input.script} --results $(dirname {input.config}) --template $(dirname {input.template[0]}) "
            "--shown {params.shown} --gates {input.gates} --output {output} > {log} 2>&1"
