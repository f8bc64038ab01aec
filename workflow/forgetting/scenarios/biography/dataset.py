"""Everything that the data stage writes: persons, questions, biographies, tokenizer, floors and the dataset card."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer as FastTokenizer

from forgetting.config.biography import ATTRIBUTES, HALVES, PRETRAINED_GROUPS, Data, task_of
from forgetting.config.jobs.data import DataJob
from forgetting.data.ragged import Ragged
from forgetting.errors import StudyError
from forgetting.scenarios.biography.coverage import ANSWERS, NAMES, token_coverage
from forgetting.scenarios.biography.floors import modal_answer_floors
from forgetting.scenarios.biography.people import ValueTables, draw_people, halves
from forgetting.scenarios.biography.questions import CUE, read_other_wordings, read_questions
from forgetting.scenarios.biography.rendering import Renderer, Template, disjoint_templates, read_templates, sentence_orders
from forgetting.scenarios.biography.tokenizer import (
    begin_tokens,
    encode,
    encode_exactly,
    encode_prompts,
    end_token,
    save_tokenizer,
    train_tokenizer,
)
from forgetting.schemas.items import ITEMS
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.people import PEOPLE
from forgetting.tables import atomic, write_table

PERSONS_PER_CHUNK = 10_000
WORDS_OF_COVERAGE = {NAMES: "names", ANSWERS: "answers"}


def build_data(job: DataJob, resources: Path, output: Path) -> None:
    """Write people.parquet, items.parquet, biographies.arrow, tokenizer/, floors.parquet, coverage.parquet, card.json and card.md into
    `output`; and what only controls of recovery train on: other_wordings.parquet (the questions of `task0_train`) and
    probe_biographies.arrow."""
    data = job.data
    tables = ValueTables.read(resources / "pools", data.pools)
    templates = read_templates(resources / "templates")
    questions = read_questions(resources / "questions.yaml")
    other = read_other_wordings(resources / "other_wordings.yaml")
    prompts = {attribute: question + CUE for attribute, question in questions.items()}
    people = draw_people(data.groups, tables, job.seed, halves(data.groups) if data.halves else None).frame(tables)
    tokenizer = train_tokenizer(job.tokenizer, _training_text(_all_values(people, job, tables), templates, [prompts, other]))
    end, begin, apart = end_token(tokenizer), begin_tokens(tokenizer), job.tokenizer.kind == "given"
    encoded = encode_exactly if apart else encode
    renderer = Renderer(people, templates, questions, lambda strings: encoded(tokenizer, strings), end, begin=begin)
    write_table(people, output / "people.parquet", PEOPLE)
    save_tokenizer(tokenizer, output / "tokenizer")
    measured = data.measured_units
    _write_questions(people, prompts, renderer, tokenizer, apart, measured, output / "items.parquet")
    trained = people[people["group"] == "task0_train"].reset_index(drop=True)
    reworded = Renderer(trained, templates, other, lambda strings: encoded(tokenizer, strings), end, cue="", begin=begin)
    _write_questions(trained, other, reworded, tokenizer, apart, measured, output / "other_wordings.parquet")
    size = tokenizer.get_vocab_size()
    lengths, predicted = _write_biographies(people, PRETRAINED_GROUPS, data, renderer, [job.seed, 1], size, output / "biographies.arrow")
    _write_biographies(people, ("probe",), data, renderer, [job.seed, 15], size, output / "probe_biographies.arrow")
    floors = modal_answer_floors(people, renderer.answers(), list(measured))
    coverage = token_coverage(people["group"].to_numpy(), renderer.names(), renderer.answers(), predicted)
    for name, arm, frame in (("floors", "modal_answer", floors), ("coverage", "none", coverage)):
        frame = frame.assign(scale=job.scale, seed=job.seed, stage="data", arm=arm, step=0)
        write_table(frame, output / f"{name}.parquet", METRICS)
    _write_card(job, people, renderer, tokenizer, lengths, floors, coverage, output)


def _all_values(people: pd.DataFrame, job: DataJob, tables: ValueTables) -> pd.DataFrame:
    """`people`, and where values are halved those of Task 1 once more with the values of B that an arm may give them."""
    if not job.data.halves:
        return people
    other = draw_people(job.data.groups, tables, job.seed, halves(job.data.groups, HALVES[1])).frame(tables)
    return pd.concat([people, other[other["group"] == "task1"]], ignore_index=True)


def _training_text(people: pd.DataFrame, templates: dict[str, list[Template]], prompts: Sequence[dict[str, str]]) -> Iterator[str]:
    """Text in which every word of the study occurs: each template and prompt filled in, then one line of facts a person."""
    example = people.iloc[0]
    for attribute in ATTRIBUTES:
        for template in templates[attribute]:
            yield template.fill(example["full_name"], example[attribute])
        for wording in prompts:
            yield wording[attribute].format(name=example["full_name"]) + " " + example[attribute]
    for attribute in ATTRIBUTES:
        yield from (" " + value for value in people[attribute])
    yield from (" " + name for name in people["full_name"])


def _write_questions(
    people: pd.DataFrame,
    texts: dict[str, str],
    renderer: Renderer,
    tokenizer: FastTokenizer,
    apart: bool,
    measured: Collection[str],
    path: Path,
) -> None:
    """Prompts and answers as ITEMS, streamed in chunks.

    apart: a row is tok(prompt) + tok(answer) + end whatever the tokenizer makes of the joined text, so that there is a
    boundary. Otherwise tok(prompt + answer) == tok(prompt) + tok(answer) is checked for every row.
    measured: the groups that evaluations ask.
    """
    prompts, answers = renderer.prompts(), renderer.answers()
    per_person = len(ATTRIBUTES)
    with atomic(path) as part, pq.ParquetWriter(part, ITEMS, compression="zstd") as writer:
        for start in range(0, len(people), PERSONS_PER_CHUNK):
            chunk = people.iloc[start : start + PERSONS_PER_CHUNK]
            rows = slice(start * per_person, (start + len(chunk)) * per_person)
            prompt = [texts[name].format(name=full_name) for full_name in chunk["full_name"] for name in ATTRIBUTES]
            answer = [" " + value for row in chunk[list(ATTRIBUTES)].itertuples(index=False) for value in row]
            chunk_prompts, chunk_answers = prompts.slice(rows), answers.slice(rows)
            if apart:
                chunk_prompts = Ragged.from_lists(encode_prompts(tokenizer, prompt))
            else:
                _check_boundaries(prompt, answer, chunk_prompts, chunk_answers, tokenizer)
            columns = [
                np.repeat(chunk["group"].map(task_of).to_numpy(), per_person),
                np.repeat(chunk["group"].to_numpy(), per_person),
                np.repeat(chunk["person"].to_numpy(np.int32), per_person),
                np.tile(np.array(ATTRIBUTES), len(chunk)),
                np.repeat(chunk["group"].isin(list(measured)).to_numpy(), per_person),
                prompt,
                answer,
                _list_array(chunk_prompts),
                _list_array(chunk_answers),
            ]
            writer.write_table(pa.table(columns, schema=ITEMS))


def _check_boundaries(prompt: list[str], answer: list[str], prompts: Ragged, answers: Ragged, tokenizer: FastTokenizer) -> None:
    """Every joined text, tokenised as a whole, must be the tokens of prompt and answer one after the other."""
    end = end_token(tokenizer)
    whole = tokenizer.encode_batch_fast([p + a for p, a in zip(prompt, answer, strict=True)], add_special_tokens=False)
    joined = Ragged.from_lists([[*encoding.ids, end] for encoding in whole])
    ours = Ragged.interleave(prompts, answers)
    if not np.array_equal(joined.tokens, ours.tokens):
        for row, encoding in enumerate(whole):
            if [*prompts[row], *answers[row]] != [*encoding.ids, end]:
                raise StudyError(f"the tokenizer joins prompt and answer in {prompt[row] + answer[row]!r}")


def _list_array(rows: Ragged, item: pa.DataType | None = None) -> pa.ListArray:
    offsets = pa.array((rows.offsets - rows.offsets[0]).astype(np.int32))
    tokens = rows.tokens[rows.offsets[0] : rows.offsets[-1]]
    return pa.ListArray.from_arrays(offsets, pa.array(tokens, type=item or pa.int32(), safe=False))


def _write_biographies(
    people: pd.DataFrame, groups: Sequence[str], data: Data, renderer: Renderer, stream: list[int], vocabulary: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Biographies of the persons of some groups (an Arrow stream, as `datasets.Dataset.from_file` opens), person by person, streamed.

    `stream`: of the random draws. Returns their lengths in tokens, and which tokens of the vocabulary they predict: all but the first of
    each biography.
    """
    token = pa.uint16() if vocabulary <= np.iinfo(np.uint16).max + 1 else pa.int32()
    schema = pa.schema([("person", pa.int32()), ("input_ids", pa.list_(token)), ("value_starts", pa.list_(pa.int32(), len(ATTRIBUTES)))])
    described = people.index[people["group"].isin(groups)].to_numpy()
    generators = [np.random.Generator(np.random.PCG64([*stream, part])) for part in range(2)]
    count = data.biographies_per_person
    lengths, predicted = [], np.zeros(vocabulary, dtype=bool)
    with atomic(path) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for start in range(0, len(described), PERSONS_PER_CHUNK):
            persons = described[start : start + PERSONS_PER_CHUNK]
            templates = disjoint_templates(len(persons), count, generators[0]).reshape(-1, len(ATTRIBUTES))
            order = sentence_orders(len(templates), data.permute, generators[1])
            rows, starts = renderer.biographies(np.repeat(persons, count), templates, order, data.full_name)
            value_starts = pa.FixedSizeListArray.from_arrays(pa.array(starts.ravel(), type=pa.int32()), len(ATTRIBUTES))
            person = pa.array(np.repeat(persons, count), type=pa.int32())
            writer.write_batch(pa.record_batch([person, _list_array(rows, token), value_starts], schema=schema))
            lengths.append(rows.lengths)
            predicted[np.delete(rows.tokens, rows.offsets[:-1])] = True
    return np.concatenate(lengths), predicted


def _write_card(
    job: DataJob,
    people: pd.DataFrame,
    renderer: Renderer,
    tokenizer: FastTokenizer,
    lengths: np.ndarray,
    floors: pd.DataFrame,
    coverage: pd.DataFrame,
    output: Path,
) -> None:
    """What the data holds, for machines (card.json) and for readers (card.md)."""
    prompts, answers = renderer.prompts().lengths, renderer.answers().lengths
    overall = floors[(floors["split"] == "task0_test")]
    card = {
        "scale": job.scale,
        "seed": job.seed,
        "persons": {group: int((people["group"] == group).sum()) for group in job.data.groups.sizes},
        "distinct values": {attribute: int(people[attribute].nunique()) for attribute in ATTRIBUTES},
        "vocabulary": tokenizer.get_vocab_size(),
        "biographies": len(lengths),
        "tokens a biography (mean, max)": [round(float(lengths.mean()), 1), int(lengths.max())],
        "biography tokens": int(lengths.sum()),
        "questions": len(prompts),
        "tokens a prompt (mean, max)": [round(float(prompts.mean()), 1), int(prompts.max())],
        "tokens an answer with end token (mean, max)": [round(float(answers.mean()), 1), int(answers.max())],
        "share of tokens that pretraining has seen": {
            f"{row.split} {WORDS_OF_COVERAGE[row.metric]}": round(row.value, 4) for row in coverage.itertuples(index=False)
        },
        "modal-answer floor on task0_test": {f"{row.kind} {row.metric}": round(row.value, 4) for row in overall.itertuples(index=False)},
    }
    with atomic(output / "card.json") as part:
        part.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    lines = [f"# Data of scale {job.scale}, seed {job.seed}", ""]
    for key, value in card.items():
        if isinstance(value, dict):
            lines += ["", f"**{key}**", "", *(f"- {name}: {number}" for name, number in value.items())]
        elif key not in ("scale", "seed"):
            lines.append(f"- {key}: {value}")
    with atomic(output / "card.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
