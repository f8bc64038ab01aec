# Figures: each as PDF, PNG and SVG. They read tables only, no weights and no torch.

FORGETTING = "1. Is Task 0 forgotten?"
SPURIOUS = "2. Is the forgetting spurious?"
MODEL = "3. What changes in the model?"
METHODS = "4. Which method forgets less?"
TRUST = "5. Can the study be trusted?"

STYLE = "workflow/forgetting/figures/forgetting.mplstyle"
MAIN_ARMS = list(dict.fromkeys(["seq", *STUDY.views.arms]))
PROBED_ARMS = [arm for arm in STUDY.recovery.arms if arm in STUDY.arms]
CURVE_ARMS = [arm for arm in STUDY.recovery.curve_arms if arm in STUDY.arms]
RATE_ARMS = ["seq", *STUDY.learning_rate_arms]
PROBED_RATE_ARMS = [arm for arm in RATE_ARMS if arm in STUDY.recovery.arms]


rule fig_performance:
    """Accuracies on Task 0 and Task 1 against step, and the recovery curve."""
    input:
        script="workflow/scripts/fig_performance.py",
        library=code("workflow/scripts/fig_performance.py"),
        style=STYLE,
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", MAIN_ARMS),
        recovery=per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", ["seq"]),
        floors=seeds(rules.make_data.output.floors),
    output:
        pdf=f"{ROOT}/figures/performance.pdf",
        png=report(
            f"{ROOT}/figures/performance.png",
            caption="../report/performance.rst",
            category=FORGETTING,
            labels={"figure": "performance"},
        ),
        svg=f"{ROOT}/figures/performance.svg",
    log:
        f"{ROOT}/logs/figures/performance.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --floors {input.floors} "
        "--output {output} > {log} 2>&1"


rule fig_recovery:
    """What one epoch of recovery brings back, beside its controls."""
    input:
        script="workflow/scripts/fig_recovery.py",
        library=code("workflow/scripts/fig_recovery.py"),
        style=STYLE,
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", CURVE_ARMS),
        recovery=per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", [*CURVE_ARMS, "controls"]),
        recovery_facts=per_arm(f"{SEED}/recovery/{{arm}}/facts.parquet", [*CURVE_ARMS, "controls"]),
    output:
        pdf=f"{ROOT}/figures/recovery.pdf",
        png=report(
            f"{ROOT}/figures/recovery.png",
            caption="../report/recovery.rst",
            category=SPURIOUS,
            labels={"figure": "recovery"},
        ),
        svg=f"{ROOT}/figures/recovery.svg",
    log:
        f"{ROOT}/logs/figures/recovery.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --recovery-facts {input.recovery_facts} "
        "--output {output} > {log} 2>&1"


rule fig_learning_rate:
    """Collapse and recovery against the learning rate of Task 1."""
    input:
        script="workflow/scripts/fig_learning_rate.py",
        library=code("workflow/scripts/fig_learning_rate.py"),
        style=STYLE,
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", RATE_ARMS),
        recovery=per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", [*PROBED_RATE_ARMS, "controls"]),
        recovery_facts=per_arm(f"{SEED}/recovery/{{arm}}/facts.parquet", [*PROBED_RATE_ARMS, "controls"]),
        floors=seeds(rules.make_data.output.floors),
    output:
        pdf=f"{ROOT}/figures/learning_rate.pdf",
        png=report(
            f"{ROOT}/figures/learning_rate.png",
            caption="../report/learning_rate.rst",
            category=SPURIOUS,
            labels={"figure": "learning rate"},
        ),
        svg=f"{ROOT}/figures/learning_rate.svg",
    log:
        f"{ROOT}/logs/figures/learning_rate.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --recovery-facts {input.recovery_facts} "
        "--floors {input.floors} --output {output} > {log} 2>&1"


rule fig_landscape:
    """Losses of both tasks on the plane of the Task 1 run."""
    input:
        script="workflow/scripts/fig_landscape.py",
        library=code("workflow/scripts/fig_landscape.py"),
        style=STYLE,
        landscape=per_arm(f"{SEED}/views/{{arm}}/landscape.parquet", STUDY.views.arms),
    output:
        pdf=f"{ROOT}/figures/landscape.pdf",
        png=report(
            f"{ROOT}/figures/landscape.png",
            caption="../report/landscape.rst",
            category=MODEL,
            labels={"figure": "landscape"},
        ),
        svg=f"{ROOT}/figures/landscape.svg",
    log:
        f"{ROOT}/logs/figures/landscape.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        axes=STUDY.views.landscape.axes,
    shell:
        "python {input.script} --landscape {input.landscape} --axes {params.axes} --output {output} > {log} 2>&1"


rule fig_weight_update:
    """Angles between the weight updates of the stages."""
    input:
        script="workflow/scripts/fig_weight_update.py",
        library=code("workflow/scripts/fig_weight_update.py"),
        style=STYLE,
        weights=per_arm(f"{SEED}/views/{{arm}}/weights.parquet", STUDY.views.arms),
    output:
        pdf=f"{ROOT}/figures/weight_update.pdf",
        png=report(
            f"{ROOT}/figures/weight_update.png",
            caption="../report/weight_update.rst",
            category=MODEL,
            labels={"figure": "weight update"},
        ),
        svg=f"{ROOT}/figures/weight_update.svg",
    log:
        f"{ROOT}/logs/figures/weight_update.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        energy=STUDY.views.energy,
    shell:
        "python {input.script} --weights {input.weights} --energy {params.energy} --output {output} > {log} 2>&1"


rule fig_features:
    """How the residual stream moves between the stages."""
    input:
        script="workflow/scripts/fig_features.py",
        library=code("workflow/scripts/fig_features.py"),
        style=STYLE,
        features=per_arm(f"{SEED}/views/{{arm}}/features.parquet", STUDY.views.arms),
        points=per_arm(f"{SEED}/views/{{arm}}/feature_points.parquet", STUDY.views.arms),
    output:
        pdf=f"{ROOT}/figures/features.pdf",
        png=report(
            f"{ROOT}/figures/features.png",
            caption="../report/features.rst",
            category=MODEL,
            labels={"figure": "features"},
        ),
        svg=f"{ROOT}/figures/features.svg",
    log:
        f"{ROOT}/logs/figures/features.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    shell:
        "python {input.script} --features {input.features} --points {input.points} --output {output} > {log} 2>&1"


rule fig_frontier:
    """Every method on the Task 0 / Task 1 frontier."""
    input:
        script="workflow/scripts/fig_frontier.py",
        library=code("workflow/scripts/fig_frontier.py"),
        style=STYLE,
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", STUDY.arms),
        floors=seeds(rules.make_data.output.floors),
    output:
        pdf=f"{ROOT}/figures/frontier.pdf",
        png=report(
            f"{ROOT}/figures/frontier.png",
            caption="../report/frontier.rst",
            category=METHODS,
            labels={"figure": "frontier"},
        ),
        svg=f"{ROOT}/figures/frontier.svg",
    log:
        f"{ROOT}/logs/figures/frontier.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        accuracy=STUDY.task1.early_stop_accuracy,
    shell:
        "python {input.script} --metrics {input.metrics} --floors {input.floors} "
        "--matched-accuracy {params.accuracy} --output {output} > {log} 2>&1"


rule fig_freeze_depth:
    """Forgetting and recovery against the number of frozen layers."""
    input:
        script="workflow/scripts/fig_freeze_depth.py",
        library=code("workflow/scripts/fig_freeze_depth.py"),
        style=STYLE,
        metrics=per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", ["seq", *STUDY.freeze_arms]),
        recovery=per_arm(
            f"{SEED}/recovery/{{arm}}/metrics.parquet", [arm for arm in PROBED_ARMS if arm == "seq" or arm in STUDY.freeze_arms]
        ),
        floors=seeds(rules.make_data.output.floors),
    output:
        pdf=f"{ROOT}/figures/freeze_depth.pdf",
        png=report(
            f"{ROOT}/figures/freeze_depth.png",
            caption="../report/freeze_depth.rst",
            category=METHODS,
            labels={"figure": "freeze depth"},
        ),
        svg=f"{ROOT}/figures/freeze_depth.svg",
    log:
        f"{ROOT}/logs/figures/freeze_depth.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        accuracy=STUDY.task1.early_stop_accuracy,
    shell:
        "python {input.script} --metrics {input.metrics} --recovery {input.recovery} --floors {input.floors} "
        "--matched-accuracy {params.accuracy} --output {output} > {log} 2>&1"
