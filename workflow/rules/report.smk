# Two HTML pages, each complete in itself: what `all` shows and what `methods` shows, by question, with a caption to each figure and table.


def answers(figures, tables):
    """The questions that these figures and tables answer, in order, each with what answers it."""
    named = {f"fig_{name}": ("figure", name) for name in figures} | {f"table_{name}": ("table", name) for name in tables}
    return [
        {
            "question": question,
            "items": [
                {"name": name, "kind": kind, "about": SHOWN[shown]["about"]}
                for shown, (kind, name) in named.items()
                if SHOWN[shown]["category"] == question
            ],
        }
        for question in QUESTIONS
        if any(SHOWN[shown]["category"] == question for shown in named)
    ]


for report_name, figures_shown, tables_shown in (
    ("report", FIGURES, TABLES),
    ("methods_report", COMPARISON_FIGURES, COMPARISON_TABLES),
):

    rule:
        """Figures and tables with captions, the verdict, run times, versions and configuration, in one HTML file."""
        name:
            report_name
        input:
            script="workflow/scripts/report.py",
            library=code("workflow/scripts/report.py"),
            template=["workflow/report/page.html", "workflow/report/page.css"],
            captions=[f"workflow/report/{name}.rst" for name in ("workflow", *figures_shown, *tables_shown)],
            config=rules.study_config.output,
            gates=gate_files(),
            figures=figure_files(figures_shown),
            tables=table_files(tables_shown),
        output:
            f"{ROOT}/{report_name}.html",
        log:
            f"{ROOT}/logs/{report_name}.log",
        localrule: True
        conda:
            "../envs/forgetting.yaml"
        params:
            contents=json.dumps(answers(figures_shown, tables_shown)),
        shell:
            "python {input.script} --results $(dirname {input.config}) --captions $(dirname {input.template[0]}) "
            "--contents {params.contents:q} --gates {input.gates} --output {output} > {log} 2>&1"
