# Is what a model of the user's own lost gone, or only hidden (docs/diagnose.md)? The study has no part in these rules.


rule diagnose:
    """Whether what your own model forgot is gone or only hidden: --configfile mine.yaml with a section `diagnose`."""
    input:
        diagnosis_page,


rule diagnosis_config:
    """Write what the jobs of a diagnosis depend on."""
    output:
        f"{MINE}/config.json",
    log:
        f"{MINE}/logs/config.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        text=DiagnosisJob.of(DIAGNOSIS).text() if DIAGNOSIS else "",
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


rule diagnosis_data:
    """Read the examples, tokenise them with the model's tokenizer, and split them by unit."""
    input:
        of_user("diagnose", "old", "new", "text", "tokenizer"),
        script="workflow/scripts/diagnose_data.py",
        library=code("workflow/scripts/diagnose_data.py"),
        config=rules.diagnosis_config.output,
    output:
        multiext(f"{MINE}/data/items", ".parquet"),
        f"{MINE}/data/rows.parquet",
        f"{MINE}/data/text.json",
        f"{MINE}/data/data.json",
    log:
        f"{MINE}/logs/data.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        folder=lambda wildcards: f"{MINE}/data",
    shell:
        "python {input.script} --config {input.config} --output {params.folder} > {log} 2>&1"


rule diagnosis_probe:
    """Train one of the models for a little on old examples, and ask it about others."""
    input:
        of_user("diagnose", "{start}"),
        rules.diagnosis_data.output,
        script="workflow/scripts/diagnose_probe.py",
        library=code("workflow/scripts/diagnose_probe.py"),
        config=rules.diagnosis_config.output,
    output:
        f"{MINE}/probes/{{start}}.parquet",
        f"{MINE}/probes/{{start}}-scores.parquet",
    log:
        f"{MINE}/logs/probe-{{start}}.log",
    benchmark:
        f"{MINE}/benchmarks/probe-{{start}}.tsv"
    wildcard_constraints:
        start=one_of(STARTS),
    conda:
        "../envs/forgetting.yaml"
    threads: 2
    params:
        data=lambda wildcards: f"{MINE}/data",
        scratch=lambda wildcards: f"{MINE}/scratch/{wildcards.start}",
        folder=lambda wildcards: f"{MINE}/probes",
    shell:
        "python {input.script} --config {input.config} --start {wildcards.start} --data {params.data} --scratch {params.scratch} "
        "--output {params.folder} > {log} 2>&1"


rule diagnosis_remedies:
    """Repairs of the model that need no training, and where asked for, the repaired model."""
    input:
        of_user("diagnose", "before", "after"),
        rules.diagnosis_data.output,
        probe=f"{MINE}/probes/after.parquet",
        script="workflow/scripts/diagnose_remedies.py",
        library=code("workflow/scripts/diagnose_remedies.py"),
        config=rules.diagnosis_config.output,
    output:
        f"{MINE}/remedies/remedies.parquet",
    log:
        f"{MINE}/logs/remedies.log",
    benchmark:
        f"{MINE}/benchmarks/remedies.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: 2
    params:
        data=lambda wildcards: f"{MINE}/data",
        probes=lambda wildcards: f"{MINE}/probes",
        folder=lambda wildcards: f"{MINE}/remedies",
    shell:
        "python {input.script} --config {input.config} --data {params.data} --probes {params.probes} --output {params.folder} > {log} 2>&1"


rule diagnosis_page:
    """The verdict by written rules, and the page."""
    input:
        rules.diagnosis_data.output,
        expand(f"{MINE}/probes/{{start}}.parquet", start=STARTS),
        expand(f"{MINE}/probes/{{start}}-scores.parquet", start=STARTS),
        remedies=rules.diagnosis_remedies.output,
        script="workflow/scripts/diagnose_page.py",
        library=code("workflow/scripts/diagnose_page.py"),
        template=templates("diagnosis.html", "given.html"),
        config=rules.diagnosis_config.output,
    output:
        f"{MINE}/diagnosis.html",
        f"{MINE}/verdict.json",
        expand(
            f"{MINE}/tables/{{name}}.{{suffix}}",
            name=["numbers", "curves", "scores", "remedies", "repairs", "questions"],
            suffix=["csv", "parquet"],
        ),
    log:
        f"{MINE}/logs/page.log",
    localrule: True
    conda:
        "../envs/forgetting.yaml"
    params:
        data=lambda wildcards: f"{MINE}/data",
        probes=lambda wildcards: f"{MINE}/probes",
        folder=lambda wildcards: MINE,
    shell:
        "python {input.script} --config {input.config} --data {params.data} --probes {params.probes} --remedies {input.remedies} "
        "--template $(dirname {input.template[0]}) --output {params.folder} 2>&1 | tee {log}"
