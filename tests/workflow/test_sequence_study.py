"""A sequence of three tasks at smoke scale: everything is made, and a second run has nothing to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.study import clone_to, merged, snakemake

from forgetting.config.study import load_study
from forgetting.figures.catalogue import FORMATS, read_catalogue
from forgetting.pipeline.shown import shown_in
from forgetting.pipeline.status import PAGES

pytestmark = [pytest.mark.smoke, pytest.mark.slow]

STUDY = load_study(merged("smoke.yaml", "../tests/workflow/sequence.yaml"))
COMMAND = ("--cores", "2", "sequence", "--configfile", "config/smoke.yaml", "tests/workflow/sequence.yaml")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone_to(tmp_path_factory.mktemp("sequence") / "clone")
    done = snakemake(*COMMAND, "--show-failed-logs", cwd=folder)
    assert done.returncode == 0, done.stdout[-6000:]
    return folder


def test_everything_is_made_and_a_second_run_has_nothing_to_do(clone: Path) -> None:
    root = clone / "results/smoke-sequence"
    shown = [each for each in shown_in(STUDY, read_catalogue()).values() if each.target == "sequence"]
    files = [f"{each.kind}s/{each.name}.{suffix}" for each in shown for suffix in FORMATS[each.kind]]
    assert shown and [name for name in [*files, PAGES["sequence"]] if not (root / name).stat().st_size] == []
    assert not [path for path in root.glob("seed0/scratch/**/*") if path.is_file()]
    assert "Nothing to be done" in snakemake(*COMMAND, cwd=clone).stdout


def test_the_matrix_is_whole(clone: Path) -> None:
    """Every arm was asked about every task after every task, the first time before any."""
    answers = pd.read_parquet(clone / "results/smoke-sequence/seed0/sequence/answers.parquet")
    for arm in STUDY.arms:
        units = answers[answers["arm"] == arm].groupby(["stage", "task"])["unit"].nunique().unstack()
        assert units.to_numpy().tolist() == [[12, 6, 6, 6]] * 4
    alone = answers[answers["arm"] == "alone"]
    assert set(zip(alone["stage"], alone["task"], strict=True)) == {(2, 2), (3, 3)}


def test_another_sequence_reruns_what_it_changes(clone: Path) -> None:
    """A knob of one arm leaves the other arm, and tasks alone, as they are."""
    plan = snakemake("-n", *COMMAND[2:], "--config", 'methods={"replay-20":{"learning_rate":1.0e-3}}', cwd=clone).stdout
    assert "arm=replay-20" in plan and "arm=seq" not in plan and "arm=alone" not in plan
