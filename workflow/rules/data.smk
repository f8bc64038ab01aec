# Persons, biographies, questions and the tokenizer: no torch.


rule make_data:
    """Draw persons, write biographies and questions, train the tokenizer, compute the floors and the dataset card."""
    input:
        script="workflow/scripts/data.py",
        library=code("workflow/scripts/data.py"),
        config=f"{SEED}/data/config.json",
        resources=RESOURCES,
    output:
        people=f"{SEED}/data/people.parquet",
        questions=f"{SEED}/data/items.parquet",
        biographies=f"{SEED}/data/biographies.arrow",
        controls=[f"{SEED}/data/other_wordings.parquet", f"{SEED}/data/probe_biographies.arrow"],
        floors=f"{SEED}/data/floors.parquet",
        coverage=f"{SEED}/data/coverage.parquet",
        card=multiext(f"{SEED}/data/card", ".json", ".md"),
        tokenizer=multiext(f"{SEED}/data/tokenizer/tokenizer", ".json", "_config.json"),
    log:
        f"{LOGS}/data.log",
    benchmark:
        f"{BENCHMARKS}/data.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: 1
    resources:
        **needs("make_data"),
    params:
        folder=of_seed("data"),
    shell:
        "python {input.script} --config {input.config} --resources resources --output {params.folder} > {log} 2>&1"
