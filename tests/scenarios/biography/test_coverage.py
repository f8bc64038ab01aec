"""Which tokens of names and answers pretraining has seen: counted again from texts, and asked of every config."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest
from tests import jobs, sections
from tests.conftest import RESOURCES, TINY_GROUPS
from tests.study import merged
from transformers import AutoTokenizer

from forgetting.config.biography import ATTRIBUTES, PRETRAINED_GROUPS, Data, Pools
from forgetting.config.sections import Tokenizer
from forgetting.scenarios.biography.dataset import build_data
from forgetting.schemas.metrics import METRICS
from forgetting.tables import read_table

FEW = sections.pools(first_names=5, middle_names=5, last_names=5, birth_years=3, cities=4, universities=4, majors=4, companies=4)


def coverage_of(folder: Path) -> dict[tuple[str, str], float]:
    rows = read_table(folder / "coverage.parquet", METRICS)
    return rows.set_index(["split", "metric"])["value"].to_dict()


def build(folder: Path, pools: Pools) -> Path:
    data = sections.data(groups=TINY_GROUPS, pools=pools)
    build_data(jobs.data(data=data), RESOURCES, folder)
    return folder


@pytest.mark.parametrize("pools", [sections.pools(), FEW], ids=["many values", "few values"])
def test_shares_are_those_counted_from_the_texts(tmp_path: Path, pools: Pools) -> None:
    folder = build(tmp_path, pools)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    read = datasets.Dataset.from_file(str(folder / "biographies.arrow"))["input_ids"]
    seen = {token for biography in read for token in biography[1:]}
    people = pd.read_parquet(folder / "people.parquet")
    for group, persons in people.groupby("group"):
        names = [token for name in persons["full_name"] for token in tokenizer(" " + name)["input_ids"]]
        answers = [token for column in ATTRIBUTES for value in persons[column] for token in tokenizer(" " + value)["input_ids"]]
        for metric, tokens in (("pretrained_name_tokens", names), ("pretrained_answer_tokens", answers)):
            assert coverage_of(folder)[str(group), metric] == pytest.approx(sum(token in seen for token in tokens) / len(tokens))


def test_names_from_large_pools_are_mostly_blank_and_those_of_pretrained_persons_never(tmp_path: Path) -> None:
    many, few = coverage_of(build(tmp_path / "many", sections.pools())), coverage_of(build(tmp_path / "few", FEW))
    assert many["task1", "pretrained_name_tokens"] < 0.3 < 0.95 < few["task1", "pretrained_name_tokens"]
    for group in PRETRAINED_GROUPS:
        assert many[group, "pretrained_name_tokens"] == many[group, "pretrained_answer_tokens"] == 1.0


@pytest.mark.parametrize(
    ("overlay", "seed"),
    [*(((), seed) for seed in range(5)), (("gpu-small.yaml",), 0)],
    ids=[*(f"laptop {n}" for n in range(5)), "gpu-small"],
)
def test_task1_and_control_persons_are_made_of_pretrained_tokens(tmp_path: Path, overlay: tuple[str, ...], seed: int) -> None:
    """The paper's scale has 100,000 pretrained persons for the same pools."""
    config = merged(*overlay)
    data, tokenizer = Data.model_validate(config["data"]), Tokenizer.model_validate(config["tokenizer"])
    build_data(jobs.data(scale="s", seed=seed, data=data, tokenizer=tokenizer), RESOURCES, tmp_path)
    for (group, metric), share in coverage_of(tmp_path).items():
        assert share >= config["gate_thresholds"]["token_coverage"], (group, metric)


def test_a_fact_is_read_at_least_a_hundred_times_in_pretraining() -> None:
    config = merged()
    persons = sum(config["data"]["groups"][group] for group in PRETRAINED_GROUPS)
    assert config["pretrain"]["packing"] == "document"  # one biography of one person a row, in which every fact stands once
    assert config["pretrain"]["steps"] * config["pretrain"]["batch_size"] / persons >= 100
