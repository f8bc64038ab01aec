"""The studies of other architectures: what each is configured as, what they would cost, and one run from end to end."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.study import clone_to, merged, snakemake

from forgetting.config.fields import ConfigError
from forgetting.config.plan import data_job, finetune_job, pretrain_job, recovery_job
from forgetting.config.study import load_study
from forgetting.figures.catalogue import read_catalogue
from forgetting.pipeline.architectures import variant_configs, variant_jobs
from forgetting.pipeline.forecast import forecast
from forgetting.pipeline.shown import input_files

STUDIES = {name: load_study(config) for name, config in variant_configs(merged()).items()}


def test_families_and_widths_are_those_that_were_asked_for() -> None:
    shapes = [(study.model.architecture, study.model.hidden_size) for study in STUDIES.values()]
    assert sorted(shapes) == [("gpt2", 192), ("gpt_neox", 192), ("gpt_neox", 384), ("gpt_neox", 768), ("llama", 192)]
    assert {study.model.hidden_size // study.model.heads for study in STUDIES.values()} == {48}
    assert {study.scale for study in STUDIES.values()} == {f"laptop-{name}" for name in STUDIES}


def test_all_variants_have_the_data_of_the_study_and_no_variants_of_their_own() -> None:
    study = load_study(merged())
    for variant in STUDIES.values():
        assert data_job(variant, 0).model_copy(update={"scale": study.scale}) == data_job(study, 0)
        assert variant.architectures.names == []
        assert variant.task1.optimizer == study.task1.optimizer and variant.task0 == study.task0
        assert recovery_job(variant, 0, "seq").recovery.optimizer == study.recovery.optimizer
        assert finetune_job(variant, 0, "task1", "seq-no-task0").method == {"method": "seq", "start": "pretrained"}
    assert pretrain_job(STUDIES["gpt-neox"], 0).pretrain == study.pretrain


def test_two_hours_a_seed_on_two_cores_are_enough() -> None:
    hours = sum(forecast(study, variant_jobs(study))[-1].core_hours for study in STUDIES.values())
    assert 0.5 < hours / 2 < 2


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"model": {"heads": 5}}, "architectures.variants.mine: bad config:.*model.hidden_size 192 is not divisible"),
        ({"model": {"architecture": "rnn"}}, "architectures.variants.mine: .*model.architecture"),
        ({"arms": ["seq"], "recovery": {"arms": ["seq"]}}, "architectures.variants.mine: seq-no-task0 must be in arms"),
    ],
)
def test_a_variant_that_cannot_be_run_is_named_before_any_job(own: dict[str, object], named: str) -> None:
    whole = merged()
    whole["architectures"]["variants"]["mine"] = own
    with pytest.raises(ConfigError, match=f"(?s){named}"):
        variant_configs(whole)


def test_a_variant_that_is_null_is_left_out() -> None:
    whole = merged()
    whole["architectures"]["variants"]["llama"] = None
    assert set(variant_configs(whole)) == set(STUDIES) - {"llama"}
    files = input_files(load_study(whole), read_catalogue()["fig_architectures"])["architectures"]
    assert files == [f"results/laptop/architectures/{name}.parquet" for name in STUDIES if name != "llama"]


@pytest.mark.slow
def test_the_target_runs_each_variant_once_and_makes_its_page(tmp_path: Path) -> None:
    clone = clone_to(tmp_path / "clone")
    (clone / "two.yaml").write_text(
        "architectures:\n  variants: {gpt-neox: null, gpt2: null, gpt-neox-4x: null, gpt-neox-2x: {model: {hidden_size: 64, heads: 4}}}\n"
    )
    command = ("--cores", "2", "architectures", "--configfile", "config/smoke.yaml", "two.yaml")
    done = snakemake(*command, cwd=clone)
    logs = "".join(path.read_text()[-3000:] for path in (clone / "results/smoke/logs/architectures").glob("*.log"))
    assert done.returncode == 0, done.stdout[-3000:] + logs
    results = clone / "results/smoke"
    assert "Collapse, return and spurious share" in (results / "architectures_report.html").read_text()
    found = pd.concat(pd.read_parquet(path) for path in sorted((results / "architectures").glob("*.parquet")))
    assert set(found["variant"]) == {"llama", "gpt-neox-2x"} and set(found["width"]) == {32, 64}
    again = snakemake("-n", *command, cwd=clone)
    assert "Nothing to be done" in again.stdout
