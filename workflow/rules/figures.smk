# Figures (PDF, PNG, SVG) and tables (CSV, Markdown, LaTeX): a rule for each file of forgetting/figures that says what it shows.
# They read tables only, no weights and no torch. Captions are in the pages of report.smk, where text and picture stand together.


def shown_code(shown):
    """What makes a figure or table: the script of all, its own file, what reads its inputs and saves it, and what all that imports."""
    files = ["workflow/scripts/show.py", *(f"workflow/{module}" for module in shown.modules)]
    return sorted({*files, *(used for file in files for used in code(file))})


def shown_style(shown):
    """How a figure draws the arms that it shows: an arm of another method changes nothing in it."""
    looks = [f"workflow/forgetting/methods/{method}/look.py" for method in methods_of(STUDY, shown)]
    return ["workflow/forgetting/figures/forgetting.mplstyle", *filter(os.path.isfile, looks)]


def input_flags(names):
    """Flags for the inputs of these names. Snakemake formats shell commands late, when the loop below is over."""
    return lambda wildcards, input: " ".join(f"--{name.replace('_', '-')} {input[name]}" for name in names)


for rule_name, shown in SHOWN.items():

    rule:
        name:
            rule_name
        input:
            **input_files(STUDY, shown),
            script="workflow/scripts/show.py",
            library=shown_code(shown),
            style=shown_style(shown) if shown.kind == "figure" else [],
        output:
            report(
                shown_files(shown)[0],
                category=shown.question,
                labels={shown.kind: shown.name.replace("_", " "), "shows": shown.title},
            ),
            shown_files(shown)[1:],
        log:
            f"{ROOT}/logs/{shown.kind}s/{shown.name}.log",
        benchmark:
            f"{ROOT}/benchmarks/{shown.kind}s/{shown.name}.tsv"
        localrule: True
        conda:
            "../envs/forgetting.yaml"
        params:
            name=rule_name,
            inputs=input_flags(list(shown.inputs)),
            options=option_flags(STUDY, shown),
        shell:
            "python {input.script} {params.name} {params.inputs} {params.options} --output {output} > {log} 2>&1"

    workflow.get_rule(rule_name).docstring = shown.title
