# Figures (PDF, PNG, SVG) and tables (CSV, Markdown, LaTeX). They read tables only, no weights and no torch.
# One entry below is one rule: what it shows, where it stands in the report, and the files and options of its script.

FORGETTING = "Does accuracy collapse?"
SPURIOUS = "Is it spurious?"
METHODS = "Which method helps?"
WEIGHTS = "Where do weights move?"
FEATURES = "What do the features show?"
TRUST = "Can I trust it?"
QUESTIONS = (FORGETTING, SPURIOUS, METHODS, WEIGHTS, FEATURES, TRUST)


def metrics_of(arms):
    """What the Task 1 runs of some arms measured."""
    return per_arm(f"{SEED}/task1/{{arm}}/metrics.parquet", arms)


def recovery_of(arms):
    """What the recovery probes of some arms measured."""
    return per_arm(f"{SEED}/recovery/{{arm}}/metrics.parquet", arms)


def recovery_facts_of(arms):
    """The same, question by question."""
    return per_arm(f"{SEED}/recovery/{{arm}}/facts.parquet", arms)


def views_of(arms, table):
    """One table of the views of some arms."""
    return per_arm(f"{SEED}/views/{{arm}}/{table}.parquet", arms)


MAIN_ARMS = list(dict.fromkeys(["seq", *STUDY.views.arms]))
# Those that never had Task 0, which the others are held against.
FLOOR_ARMS = [arm for arm in STUDY.arms if never_had_task0(arm) and arm in STUDY.recovery.arms]
VERDICT_ARMS = [*STUDY.views.arms, *FLOOR_ARMS]
CONTROL_ARMS = [arm for arm in STUDY.recovery.control_arms if arm in STUDY.arms]
PROBED_ARMS = [arm for arm in STUDY.recovery.arms if arm in STUDY.arms]
CURVE_ARMS = [arm for arm in STUDY.recovery.curve_arms if arm in STUDY.arms]
RATE_ARMS = ["seq", *STUDY.learning_rate_arms]


def compared(*methods):
    """The arms of the comparison that use one of these methods after Task 0."""
    return [arm for arm in COMPARED_ARMS if STUDY.methods[arm].method in methods and not never_had_task0(arm)]


THEORY_ARMS = list(dict.fromkeys([*MAIN_ARMS, *compared("freeze")]))
floors = seeds(rules.make_data.output.floors)
choice = rules.choose.output
paper = "resources/paper_results.yaml"
matched = {"matched_accuracy": STUDY.task1.early_stop_accuracy}
early = {"early_steps": STUDY.recovery.evaluate_steps[-1]}

SHOWN = {
    # The figures and tables of `all`.
    "fig_performance": dict(
        about="Accuracies on Task 0 and Task 1 against step, and the recovery curve.",
        category=FORGETTING,
        input=dict(metrics=metrics_of([*MAIN_ARMS, *FLOOR_ARMS]), recovery=recovery_of(["seq"]), floors=floors),
    ),
    "fig_answers": dict(
        about="Which answers are forgotten: by attribute, by place in the answer, fact by fact.",
        category=FORGETTING,
        input=dict(
            metrics=metrics_of(MAIN_ARMS),
            recovery=recovery_of([*MAIN_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*MAIN_ARMS, "controls"]),
            floors=floors,
            positions=views_of(MAIN_ARMS, "positions"),
        ),
    ),
    "fig_recovery": dict(
        about="What one epoch of recovery brings back, beside its controls.",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(CURVE_ARMS),
            recovery=recovery_of([*CURVE_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*CURVE_ARMS, "controls"]),
        ),
    ),
    "fig_learning_rate": dict(
        about="Collapse and recovery against the learning rate of Task 1.",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(RATE_ARMS),
            recovery=recovery_of([*RATE_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*RATE_ARMS, "controls"]),
            floors=floors,
        ),
    ),
    "fig_landscape": dict(
        about="Losses of both tasks on the plane of the Task 1 run.",
        category=WEIGHTS,
        input=dict(landscape=views_of(STUDY.views.arms, "landscape")),
        options=dict(axes=STUDY.views.landscape.axes),
    ),
    "fig_interpolation": dict(
        about="Losses and barriers on straight lines between the ends of Task 0, of Task 1 and of recovery.",
        category=WEIGHTS,
        input=dict(interpolation=views_of(STUDY.views.arms, "interpolation")),
    ),
    "fig_weight_update": dict(
        about="Angles between the weight updates of the stages.",
        category=WEIGHTS,
        input=dict(weights=views_of(STUDY.views.arms, "weights")),
        options=dict(energy=STUDY.views.energy),
    ),
    "fig_gradients": dict(
        about="Whether the gradients of the two tasks are opposed.",
        category=WEIGHTS,
        input=dict(gradients=views_of(STUDY.views.arms, "gradients")),
    ),
    "fig_features": dict(
        about="How the residual stream moves between the stages.",
        category=FEATURES,
        input=dict(features=views_of(STUDY.views.arms, "features"), points=views_of(STUDY.views.arms, "feature_points")),
    ),
    "fig_common_shift": dict(
        about="How much of the forgetting is one change common to all facts, a repair without training, and recall in other forms.",
        category=SPURIOUS,
        input=dict(
            common_shift=views_of(STUDY.views.arms, "common_shift"),
            repair=views_of(STUDY.views.arms, "common_shift_repair"),
            recall=views_of(STUDY.views.arms, "recall"),
            recovery=recovery_of(STUDY.views.arms),
        ),
    ),
    "table_verdict": dict(
        about="Of every viewed arm: what is lost, what comes back, what explains it, and the conclusion.",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(VERDICT_ARMS),
            recovery=recovery_of([*VERDICT_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*VERDICT_ARMS, "controls"]),
            common_shift=views_of(STUDY.views.arms, "common_shift"),
            features=views_of(STUDY.views.arms, "features"),
        ),
        options=early,
    ),
    "fig_frontier": dict(
        about="The arms of `all` on the Task 0 / Task 1 frontier.",
        category=METHODS,
        input=dict(metrics=metrics_of(STUDY.arms), floors=floors),
        options=matched,
    ),
    "table_methods": dict(
        about="Every arm of `all` at its trough, at matched Task 1 accuracy and at the end.",
        category=METHODS,
        input=dict(metrics=metrics_of(STUDY.arms), floors=floors),
        options=matched,
    ),
    "table_recovery_table": dict(
        about="Spurious share and savings of every probed arm, with intervals.",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(PROBED_ARMS),
            recovery=recovery_of([*PROBED_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*PROBED_ARMS, "controls"]),
        ),
        options=early,
    ),
    "table_recovery_controls": dict(
        about="Does other form, other content, or a few persons bring Task 0 back as well?",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(CONTROL_ARMS),
            recovery=recovery_of(CONTROL_ARMS),
            recovery_facts=recovery_facts_of(CONTROL_ARMS),
        ),
        options=early,
    ),
    "table_learning_rate_table": dict(
        about="Collapse, rebound and spurious share at every learning rate.",
        category=SPURIOUS,
        input=dict(
            metrics=metrics_of(RATE_ARMS),
            recovery=recovery_of([*RATE_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*RATE_ARMS, "controls"]),
        ),
    ),
    "table_claims": dict(
        about="What the paper says of shifts, angles and gradients, in numbers.",
        category=WEIGHTS,
        input={name: views_of(STUDY.views.arms, name) for name in ("features", "weights", "gradients")},
    ),
    "table_gates": dict(
        about="What the study had to reach, and what it reached.",
        category=TRUST,
        input=dict(gates=gate_files()),
    ),
    # Those of `methods`.
    "fig_method_comparison": dict(
        about="Every method on the frontier; the chosen arms at matched Task 1, before and after recovery.",
        category=METHODS,
        input=dict(
            metrics=metrics_of(COMPARED_ARMS),
            recovery=recovery_of([*COMPARED_ARMS, "controls"]),
            floors=floors,
            choice=choice,
        ),
        options=matched,
    ),
    "fig_freeze_depth": dict(
        about="Forgetting and recovery against the number of frozen layers.",
        category=METHODS,
        input=dict(
            metrics=metrics_of(compared("seq", "freeze")),
            recovery=recovery_of(compared("seq", "freeze")),
            floors=floors,
        ),
        options=matched,
    ),
    "fig_replay_share": dict(
        about="Early drop and final accuracy against the stored share.",
        category=METHODS,
        input=dict(metrics=metrics_of(compared("seq", "replay", "joint")), floors=floors),
        options=matched,
    ),
    "fig_task_vector": dict(
        about="Both tasks against how much of the task vector is taken back.",
        category=METHODS,
        input=dict(metrics=metrics_of(compared("seq", "task_vector")), floors=floors, paper=paper),
        options=matched,
    ),
    "fig_theory": dict(
        about="The propositions of the paper, measured layer by layer.",
        category=FEATURES,
        input=dict(theory=views_of(THEORY_ARMS, "theory")),
    ),
    "table_theory_table": dict(
        about="Which propositions of the paper the data support.",
        category=FEATURES,
        input=dict(theory=views_of(THEORY_ARMS, "theory")),
    ),
    "fig_drift": dict(
        about="Forgetting against how far a model moves on Task 1.",
        category=METHODS,
        input=dict(drift=seeds(rules.view_drift.output), metrics=metrics_of(COMPARED_ARMS)),
    ),
    "fig_fisher_angle": dict(
        about="Fisher information of each matrix against the angle between its Task 1 updates.",
        category=WEIGHTS,
        input=dict(weights=views_of(["seq"], "weights"), fisher=seeds(rules.view_fisher.output)),
    ),
    "fig_pseudo_examples": dict(
        about="What the pseudo examples of LAMOL are worth.",
        category=METHODS,
        input=dict(metrics=metrics_of(compared("lamol")), paper=paper),
    ),
    "table_method_table": dict(
        about="The chosen arm of every family at matched Task 1 and at equal steps, its cost, its recovery, and the paper's number.",
        category=METHODS,
        input=dict(
            metrics=metrics_of(COMPARED_ARMS),
            recovery=recovery_of([*COMPARED_ARMS, "controls"]),
            recovery_facts=recovery_facts_of([*COMPARED_ARMS, "controls"]),
            floors=floors,
            choice=choice,
            paper=paper,
        ),
        options=matched | {"equal_steps": STUDY.task1.steps},
    ),
    "table_choice_table": dict(
        about="Which arm stands for each family, and why.",
        category=METHODS,
        input=dict(choice=choice),
    ),
    "table_grid_table": dict(
        about="Every arm of the comparison.",
        category=METHODS,
        input=dict(metrics=metrics_of(COMPARED_ARMS), choice=choice),
        options=matched,
    ),
}

if STUDY.beside:
    SHOWN["fig_blank_names"] = dict(
        about="The same study with and without name tokens that pretraining never saw.",
        category=FORGETTING,
        input=dict(
            metrics=metrics_of(["seq", "freeze-0"]),
            pretrained=[file.replace(ROOT, f"results/{STUDY.beside}", 1) for file in metrics_of(["seq", "freeze-0"])],
            floors=floors,
        ),
    )


def input_flags(names):
    """Command line flags for the inputs of these names. Snakemake formats shell commands late, when this file's loop is over."""
    return lambda wildcards, input: " ".join(f"--{name.replace('_', '-')} {input[name]}" for name in names)


for rule_name, shown in SHOWN.items():
    kind, name = rule_name.split("_", 1)
    folder = "figures" if kind == "fig" else "tables"
    stem = f"{ROOT}/{folder}/{name}"
    choices = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in shown.get("options", {}).items())
    main, *others = ("png", "pdf", "svg") if kind == "fig" else ("csv", "md", "tex")

    rule:
        name:
            rule_name
        input:
            **shown["input"],
            script=f"workflow/scripts/{rule_name}.py",
            library=code(f"workflow/scripts/{rule_name}.py"),
            style="workflow/forgetting/figures/forgetting.mplstyle" if kind == "fig" else [],
        output:
            report(
                f"{stem}.{main}",
                caption=f"../report/{name}.rst",
                category=shown["category"],
                labels={"figure" if kind == "fig" else "table": name.replace("_", " ")},
            ),
            [f"{stem}.{other}" for other in others],
        log:
            f"{ROOT}/logs/{stem.removeprefix(ROOT + '/')}.log",
        benchmark:
            f"{ROOT}/benchmarks/{folder}/{name}.tsv"
        localrule: True
        conda:
            "../envs/forgetting.yaml"
        params:
            inputs=input_flags(list(shown["input"])),
            choices=choices,
        shell:
            "python {input.script} {params.inputs} {params.choices} --output {output} > {log} 2>&1"

    workflow.get_rule(rule_name).docstring = shown["about"]
