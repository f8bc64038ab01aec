# Tables: each as CSV, Markdown and LaTeX.


rule table_methods:
    """Every arm at its trough, at matched Task 1 accuracy and at the end."""
    input:
        script="workflow/scripts/table_methods.py",
        library=code("workflow/scripts/table_methods.py"),
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", STUDY.arms),
        floors=seeds(rules.make_data.output.floors),
    output:
        csv=report(
            f"{ROOT}/tables/methods.csv",
            caption="../report/methods.rst",
            category=METHODS,
            labels={"table": "methods"},
        ),
        md=f"{ROOT}/tables/methods.md",
        tex=f"{ROOT}/tables/methods.tex",
    log:
        f"{ROOT}/logs/tables/methods.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        accuracy=STUDY.task1.early_stop_accuracy,
    shell:
        "python {input.script} --metrics {input.metrics} --floors {input.floors} "
        "--matched-accuracy {params.accuracy} --output {output} > {log} 2>&1"


rule table_recovery_table:
    """Spurious share and savings of every probed arm, with intervals."""
    input:
        script="workflow/scripts/table_recovery_table.py",
        library=code("workflow/scripts/table_recovery_table.py"),
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", PROBED_ARMS),
        recovery=per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", [*PROBED_ARMS, "controls"]),
        recovery_facts=per_arm(f"{SEED}/recovery/{{arm}}/facts.parquet", [*PROBED_ARMS, "controls"]),
    output:
        csv=report(
            f"{ROOT}/tables/recovery_table.csv",
            caption="../report/recovery_table.rst",
            category=SPURIOUS,
            labels={"table": "recovery table"},
        ),
        md=f"{ROOT}/tables/recovery_table.md",
        tex=f"{ROOT}/tables/recovery_table.tex",
    log:
        f"{ROOT}/logs/tables/recovery_table.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --recovery-facts {input.recovery_facts} "
        "--output {output} > {log} 2>&1"


rule table_learning_rate_table:
    """Collapse, rebound and spurious share at every learning rate."""
    input:
        script="workflow/scripts/table_learning_rate_table.py",
        library=code("workflow/scripts/table_learning_rate_table.py"),
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", RATE_ARMS),
        recovery=per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", [*PROBED_RATE_ARMS, "controls"]),
        recovery_facts=per_arm(f"{SEED}/recovery/{{arm}}/facts.parquet", [*PROBED_RATE_ARMS, "controls"]),
    output:
        csv=report(
            f"{ROOT}/tables/learning_rate_table.csv",
            caption="../report/learning_rate_table.rst",
            category=SPURIOUS,
            labels={"table": "learning rate table"},
        ),
        md=f"{ROOT}/tables/learning_rate_table.md",
        tex=f"{ROOT}/tables/learning_rate_table.tex",
    log:
        f"{ROOT}/logs/tables/learning_rate_table.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --recovery-facts {input.recovery_facts} "
        "--output {output} > {log} 2>&1"


rule table_gates:
    """What the study had to reach, and what it reached."""
    input:
        script="workflow/scripts/table_gates.py",
        library=code("workflow/scripts/table_gates.py"),
        gates=gate_files(),
    output:
        csv=report(
            f"{ROOT}/tables/gates.csv",
            caption="../report/gates.rst",
            category=TRUST,
            labels={"table": "gates"},
        ),
        md=f"{ROOT}/tables/gates.md",
        tex=f"{ROOT}/tables/gates.tex",
    log:
        f"{ROOT}/logs/tables/gates.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --gates {input.gates} --output {output} > {log} 2>&1"
