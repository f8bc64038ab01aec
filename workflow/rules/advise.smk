# Which way to train a model of the user's own on something new keeps the most of the old (docs/advise.md)? The study has no part in these rules.


rule advise:
    """How to train your own model on something new and forget least: --configfile mine.yaml with a section `advise`."""
    input:
        advice_page,


rule advice_config:
    """Write what the jobs of an advice depend on."""
    output:
        f"{ADVISED}/config.json",
    log:
        f"{ADVISED}/logs/config.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=AdviceJob.of(ADVICE).text() if ADVICE else "",
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule advice_data:
    """Read old and new examples, tokenise them with the model's tokenizer, and split them by unit."""
    input:
        of_user("advise", "old", "new", "tokenizer"),
        script="workflow/scripts/advise_data.py",
        library=code("workflow/scripts/advise_data.py"),
        config=rules.advice_config.output,
    output:
        multiext(f"{ADVISED}/data/items", ".parquet"),
        f"{ADVISED}/data/rows.parquet",
        f"{ADVISED}/data/data.json",
    log:
        f"{ADVISED}/logs/data.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        folder=lambda wildcards: f"{ADVISED}/data",
    shell:
        "python {input.script} --config {input.config} --output {params.folder} > {log} 2>&1"


rule advice_trial:
    """Train the model for a little on new examples by one method, and ask it about both tasks."""
    input:
        of_user("advise", "before"),
        rules.advice_data.output,
        script="workflow/scripts/advise_trial.py",
        library=code(
            "workflow/scripts/advise_trial.py",
            *(f"workflow/forgetting/methods/{name}/method.py" for name in ("seq", "freeze", "replay")),
        ),
        config=rules.advice_config.output,
    output:
        f"{ADVISED}/trials/{{method}}.parquet",
        f"{ADVISED}/trials/{{method}}-trials.parquet",
    log:
        f"{ADVISED}/logs/trial-{{method}}.log",
    benchmark:
        f"{ADVISED}/benchmarks/trial-{{method}}.tsv"
    wildcard_constraints:
        method=one_of(TRIED),
    conda:
        "../envs/forgetting.yaml"
    threads: 2
    params:
        data=lambda wildcards: f"{ADVISED}/data",
        scratch=lambda wildcards: f"{ADVISED}/scratch/{wildcards.method}",
        folder=lambda wildcards: f"{ADVISED}/trials",
    shell:
        "python {input.script} --config {input.config} --method {wildcards.method} --data {params.data} --scratch {params.scratch} "
        "--output {params.folder} > {log} 2>&1"


rule advice_page:
    """Which method to take by written rules, and the page."""
    input:
        rules.advice_data.output,
        expand(f"{ADVISED}/trials/{{method}}.parquet", method=TRIED),
        expand(f"{ADVISED}/trials/{{method}}-trials.parquet", method=TRIED),
        script="workflow/scripts/advise_page.py",
        library=code("workflow/scripts/advise_page.py"),
        template=templates("advice.html", "given.html"),
        config=rules.advice_config.output,
    output:
        f"{ADVISED}/advice.html",
        f"{ADVISED}/advice.json",
        expand(f"{ADVISED}/tables/{{name}}.{{suffix}}", name=["methods", "curves", "trials"], suffix=["csv", "parquet"]),
    log:
        f"{ADVISED}/logs/page.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        data=lambda wildcards: f"{ADVISED}/data",
        trials=lambda wildcards: f"{ADVISED}/trials",
        folder=lambda wildcards: ADVISED,
    shell:
        "python {input.script} --config {input.config} --data {params.data} --trials {params.trials} "
        "--template $(dirname {input.template[0]}) --output {params.folder} 2>&1 | tee {log}"
