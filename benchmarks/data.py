"""The data stage at the size of the paper, and its way of making tokens against rendering text and tokenising it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from common import Opened, alternate, make_data, parser, peak_memory, print_table, seconds_of, study, use_threads, write_row
from forgetting.config.biography import ATTRIBUTES, GROUPS, TEMPLATES_PER_ATTRIBUTE
from forgetting.scenarios.biography.tokenizer import encode

PERSONS = (50_000, 10_000, 40_000, 80_000, 19_000, 1_000)
TARGET_SECONDS, TARGET_MEMORY = 60, 4


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--persons", type=int, nargs=len(GROUPS), default=PERSONS, metavar="N", help=f"persons of {', '.join(GROUPS)}")
    command.add_argument("--sample", type=int, default=20_000, help="biographies in the comparison with tokenised text")
    command.add_argument("--repetitions", type=int, default=3, help="of that comparison")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    groups = dict(zip(GROUPS, arguments.persons, strict=True))
    configured = study(arguments.config, {"data": {"groups": groups}})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = peak_memory()
        seconds = seconds_of(lambda: make_data(configured, folder))
        memory = peak_memory()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
        persons = sum(arguments.persons)
        print_table(
            f"Data of {persons:,} persons, {arguments.threads} threads",
            ["measure", "value", "target"],
            [
                ["biographies", sum(arguments.persons[:3]) * configured.data.biographies_per_person, ""],
                ["questions", persons * len(ATTRIBUTES), ""],
                ["seconds", seconds, f"<= {TARGET_SECONDS} for 200,000 persons"],
                ["peak memory, GB", memory, f"<= {TARGET_MEMORY} for 200,000 persons"],
                ["of which before the first person, GB", before, ""],
                ["output, GB", size, ""],
            ],
        )
        write_row(arguments.json, f"{persons:,} persons in {seconds:.1f} s, {memory:.1f} GB")
        compare(folder, arguments.sample, arguments.repetitions)


def compare(folder: Path, sample: int, repetitions: int) -> None:
    """The same biographies both ways; stops when their tokens differ."""
    data = Opened.of(folder)
    people, renderer = data.people, data.renderer
    generator = np.random.default_rng(0)
    persons = generator.integers(0, len(people), sample)
    numbers = generator.integers(0, TEMPLATES_PER_ATTRIBUTE, (sample, len(ATTRIBUTES)))
    order = np.argsort(generator.random((sample, len(ATTRIBUTES))), axis=1)
    names = people["full_name"].to_list()
    values = people[list(ATTRIBUTES)].to_numpy()

    def rendered_text() -> list[list[int]]:
        texts = []
        for person, chosen, places in zip(persons, numbers, order, strict=True):
            sentences = (data.templates[ATTRIBUTES[at]][chosen[at]].fill(names[person], values[person, at]) for at in places)
            texts.append("".join(sentences))
        return [[*row, data.end] for row in encode(data.tokenizer, texts)]

    ours = renderer.biographies(persons, numbers, order)[0]
    if any(ours[row].tolist() != tokens for row, tokens in enumerate(rendered_text())):
        raise SystemExit("error: the two ways give different tokens")
    seconds = alternate(
        {"render text, tokenise it": rendered_text, "ours: join pieces": lambda: renderer.biographies(persons, numbers, order)}, repetitions
    )
    baseline = next(iter(seconds.values()))
    rows = [[name, sample / took, baseline / took] for name, took in seconds.items()]
    print_table(f"The same tokens of {sample:,} biographies", ["way", "biographies/s", "ratio"], rows)


if __name__ == "__main__":
    main()
