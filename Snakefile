"""The study at a glance: what is configured, which rule files make it, and the names to ask for.

snakemake --cores 8 all                 the whole study at laptop scale
snakemake --cores 8 methods             every method of the paper, compared
snakemake --cores 8 diagnose --configfile mine.yaml     is what your own model forgot gone, or only hidden?
snakemake --cores 8 advise --configfile mine.yaml       how to train it on something new and forget least
snakemake --cores 8 architectures       the study with other architectures and widths
snakemake --list-target-rules           the names of everything that can be asked for
snakemake --cores 8 all --configfile config/smoke.yaml
"""


include: "workflow/rules/start.smk"


configfile: "config/config.yaml"
configfile: "config/methods.yaml"
configfile: "config/architectures.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/tables_only.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    arm=one_of([*STUDY.every_arm, ALONE]),
    weight="[^/]+",


rule all:
    """The whole study: data, models, recovery, views, gates, figures, tables and the report."""
    default_target: True
    input:
        f"{ROOT}/report.html",
        seeds(f"{SEED}/data/card.md"),
        gate_files(),
        figure_files(),
        table_files(),


include: "workflow/rules/runs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/recovery.smk"
include: "workflow/rules/sequence.smk"
include: "workflow/rules/views.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/architectures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/progress.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/clean.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/given_common.smk"
include: "workflow/rules/diagnose.smk"
include: "workflow/rules/advise.smk"


rule data:
    """Persons, biographies, questions, tokenizer and dataset card."""
    input:
        seeds(rules.make_data.output),


rule figures:
    """All figures, each as PDF, PNG and SVG."""
    input:
        figure_files(),


rule tables:
    """All tables, each as CSV, Markdown and LaTeX."""
    input:
        table_files(),


rule methods:
    """The full comparison of methods: all families and their grids, the choice, figures, tables, and a report of its own."""
    input:
        files_of_target("methods"),


rule sequence:
    """Every arm through all tasks (config/sequence.yaml): what is left of each, what recovery brings back, and a report of its own."""
    input:
        lambda wildcards: files_of_target("sequence"),


rule factors:
    """The crossed experiment of values and format: which of them decides what is forgotten? With --configfile config/factors.yaml."""
    input:
        lambda wildcards: files_of_target("factors"),


rule axes:
    """Plain fine-tuning with one thing changed at a time: persons, optimizer, batch, rate. With --configfile config/axes.yaml."""
    input:
        lambda wildcards: files_of_target("axes"),


rule architectures:
    """The study for other architectures and widths (config/architectures.yaml), one figure, and a report of its own."""
    input:
        f"{ROOT}/architectures_report.html",
        figure_files("architectures"),


rule gates:
    """What the study must reach for its results to mean anything, checked."""
    input:
        gate_files(),


onsuccess:
    if set(workflow.dag_settings.targets) == {"diagnose"}:
        print(f"Done. {MINE}/diagnosis.html has the verdict, and what it follows from.")
    elif set(workflow.dag_settings.targets) == {"advise"}:
        print(f"Done. {ADVISED}/advice.html says which method to take, and what it follows from.")
    elif set(workflow.dag_settings.targets) != {"cost"}:
        explained = Path(ROOT, "report.html").is_file()
        print(
            f"Done. Results are in {ROOT}; {'report.html there explains them' if explained else '`all` adds the report that explains them'}."
        )


onerror:
    print(
        f"Something failed: the lines above name the job, its log is below {logs_of_run()} (empty where the disk is full). Run the same command again to go on from there."
    )
