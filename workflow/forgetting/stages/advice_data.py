"""The examples of an advice, tokenised and split, with what is to be known of them before anything is tried."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forgetting.config.jobs.advice import AdviceJob
from forgetting.data.tried import HELD, LEARNED, NEW_TRAIN, OLD_TEST, OLD_TRAIN, OLD_VAL, TRAINED
from forgetting.errors import StudyError
from forgetting.scenarios.jsonl import Example, read_examples, split_units
from forgetting.stages.given_data import counted, floors, reading_of, write_items, write_json

FEWEST_NEW = 8
_NEW_STREAM, _OLD_STREAM = 34, 35


def prepare_advice(job: AdviceJob, output: Path) -> None:
    """Write items.parquet, rows.parquet and data.json into `output`. Raises StudyError for examples that cannot be used."""
    config = job.advice
    reading = reading_of(config, [config.before])
    old, left_out = read_examples(Path(config.old), reading, job.seed)
    new, new_left_out = read_examples(Path(config.new), reading, job.seed)
    asked_of = {tuple(example.prompt_ids) for example in new}
    both = [example for example in old if tuple(example.prompt_ids) in asked_of]
    if both:
        left_out = left_out | {"asked in the new examples, too": len(both)}
        old = [example for example in old if tuple(example.prompt_ids) not in asked_of]
    if not old:
        raise StudyError(f"advise.old {config.old}: every prompt of it stands in advise.new {config.new}, too: are they the same file?")
    trained, measured = split_units(old, config.units, config.train_share, job.seed)
    splits = split_new(new, config.new, config.units // 2, job.seed)
    first, second = halves(sorted(measured), np.random.default_rng([job.seed, _OLD_STREAM]))
    for split, units in ((OLD_TRAIN, trained), (OLD_VAL, first), (OLD_TEST, second)):
        splits[split] = [example for example in old if example.unit in units and (split == OLD_TRAIN or not example.copyable)]
    write_items(splits, output, new=(*LEARNED, *HELD))
    write_json(
        {
            "left_out": left_out,
            "new_left_out": new_left_out,
            **counted(splits),
            "floors": floors(splits[OLD_TRAIN], splits[OLD_TEST], config.measure),
        },
        output / "data.json",
    )


def split_new(new: Sequence[Example], path: str, most: int, seed: int) -> dict[str, list[Example]]:
    """The new examples by split, by unit: a quarter of the units, or `most`, is held out; of the others as many are measured. Each of
    these two is cut in halves, to choose on and to report. Raises StudyError that names the file where there are too few units."""
    units = list(dict.fromkeys(example.unit for example in new))
    if len(units) < FEWEST_NEW:
        raise StudyError(
            f"advise.new {path}: only {len(units)} units of new examples can be used: {FEWEST_NEW} at least, and for an answer that means "
            "something about a hundred"
        )
    random = np.random.default_rng([seed, _NEW_STREAM])
    drawn = [units[place] for place in random.permutation(len(units))]
    held = min(most, len(drawn) // 4)
    asked = min(most, len(drawn) - held)
    parts = {NEW_TRAIN: set(drawn[held + asked :])}
    for pair, chosen in ((HELD, drawn[:held]), (TRAINED, drawn[held : held + asked])):
        parts[pair.val], parts[pair.test] = halves(chosen, random)
    return {split: [example for example in new if example.unit in chosen] for split, chosen in parts.items()}


def halves(units: Sequence[str], random: np.random.Generator) -> tuple[set[str], set[str]]:
    """The units in two random halves."""
    order = [units[place] for place in random.permutation(len(units))]
    return set(order[: len(order) // 2]), set(order[len(order) // 2 :])
