"""The README's first command in small: from an empty folder to one figure of one arm. The whole study is in test_smoke.py."""

from __future__ import annotations

from pathlib import Path

from tests.study import SMOKE, clone_to, snakemake

ONE_ARM = ("arms=[seq]", "learning_rate_arms=[]", 'views={"arms":["seq"]}')
ONE_ARM += ('recovery={"arms":["seq"],"curve_arms":["seq"],"control_arms":[]}',)


def test_a_figure_is_made_from_nothing(tmp_path: Path) -> None:
    """Data, pretraining, Task 0, Task 1 and recovery on the way."""
    clone = clone_to(tmp_path / "clone")
    done = snakemake("--cores", "2", "fig_performance", *SMOKE, "--show-failed-logs", "--config", *ONE_ARM, cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    figures = sorted(path.name for path in (clone / "results/smoke/figures").iterdir())
    assert figures == ["performance.pdf", "performance.png", "performance.svg"]
    assert not list((clone / "results").rglob("*.part"))
