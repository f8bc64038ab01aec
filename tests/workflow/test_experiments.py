"""The targets with arms, figures and a report of their own, at smoke scale in a copied clone."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.study import SMOKE, clone_to, snakemake

from forgetting.figures.catalogue import FORMATS, read_catalogue

CATALOGUE = read_catalogue()


def files_of(target: str) -> list[str]:
    """All files of the figures and tables of a target."""
    shown = [each for each in CATALOGUE.values() if each.target == target]
    return [f"{each.kind}s/{each.name}.{suffix}" for each in shown for suffix in FORMATS[each.kind]]


@pytest.mark.parametrize("target", ["factors", "axes", "sequence"])
def test_a_study_without_such_arms_or_tasks_says_what_to_add(target: str) -> None:
    done = snakemake("-n", target)
    assert done.returncode != 0
    assert f"this study has no arms or tasks for `{target}`: add --configfile config/{target}.yaml" in done.stdout


@pytest.mark.smoke
@pytest.mark.slow
def test_the_crossed_experiment_is_made(tmp_path) -> None:
    """Three cells, from one pretraining and one Task 0; and a second run has nothing to do."""
    arms = "[seq,seq-no-task0,seq-half-statement,seq-half-statement-no-task0,seq-other]"
    overlays = ("--configfile", "config/factors.yaml", SMOKE[1])
    command = ("factors", *overlays, "--config", "seeds=[0]", f"factors={arms}")
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--cores", "2", *command, "--show-failed-logs", cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    root = clone / "results/smoke"
    assert [name for name in [*files_of("factors"), "factors_report.html"] if not (root / name).stat().st_size] == []
    table = pd.read_csv(root / "tables/factors_table.csv")
    assert table[["format", "values", "half"]].value_counts().eq(1).all() and len(table) == 3 * 3
    assert sorted(path.name for path in root.glob("seed0/data/cells/*")) == [
        "all-other.parquet",
        "half-statement.parquet",
        "halves.parquet",
    ]
    assert "Nothing to be done" in snakemake("--cores", "1", *command, cwd=clone).stdout
