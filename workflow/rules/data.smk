# Persons, biographies, questions and the tokenizer: no torch.


rule make_data:
    """Draw persons, write biographies and questions, train the tokenizer, compute the floors and the dataset card."""
    input:
        script="workflow/scripts/data.py",
        library=code("workflow/scripts/data.py"),
        config=f"{SEED}/data/config.json",
        resources=resource_files,
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


rule make_cells:
    """Write Task 1 in the other values and forms that arms ask for, and of which half of the values each person is."""
    input:
        script="workflow/scripts/cells.py",
        library=code("workflow/scripts/cells.py"),
        config=f"{SEED}/data/config.json",
        resources=RESOURCES,
        tokenizer=rules.make_data.output.tokenizer,
    output:
        halves=f"{SEED}/data/cells/halves.parquet",
        cells=[f"{SEED}/data/cells/{cell}.parquet" for cell in STUDY.cells],
    log:
        f"{LOGS}/cells.log",
    benchmark:
        f"{BENCHMARKS}/cells.tsv"
    conda:
        "../envs/forgetting.yaml"
    threads: 1
    resources:
        **needs("make_data"),
    params:
        cells=STUDY.cells,
        folder=of_seed("data"),
    shell:
        "python {input.script} --config {input.config} --cells {params.cells} --resources resources --data {params.folder} > {log} 2>&1"
