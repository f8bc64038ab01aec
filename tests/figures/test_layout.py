"""Figures of few arms and of several: nothing is cut off, and no legend covers a label."""

from __future__ import annotations

import functools
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import synthetic
from tests.figures.layout import misplaced

from forgetting.figures import style
from forgetting.figures.catalogue import read_catalogue
from forgetting.figures.present import made, read_input

CATALOGUE = {shown.name: shown for shown in read_catalogue().values() if shown.kind == "figure"}
OF_ANY_ARMS = {"main", "viewed", "all", "curve", "compared"}
OTHERS = {name: shown for name, shown in CATALOGUE.items() if shown.target != "sequence"}  # test_sequence_figures.py has those
FIGURES = [name for name, shown in OTHERS.items() if not shown.only_if and OF_ANY_ARMS & {*chain(*shown.inputs.values())}]
ARMS = ("seq", "replay-20", "freeze-2", "ewc-batch-1e-1")
CASES = [
    *((name, len(ARMS)) for name in FIGURES),
    *(pytest.param(name, count, marks=pytest.mark.long) for name in FIGURES for count in (1, 2)),
    ("learning_rate", 1),
]
LIKE = {"ewc-batch-1e-1": "replay-20"}
"""Arms that no view was made up for, and the arm whose views they take."""
STEPS = np.array([0, 60, 150, 2000, 4000])
OPTIONS = {"matched_accuracy": 0.9}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    families = {style.arm_family(arm) or arm: [arm] for arm in ARMS}
    synthetic.write_tree(root, (0,), STEPS, tuple(STEPS), families)
    return root


def drawn(tree: Path, name: str, arms: tuple[str, ...]) -> Figure:
    shown = CATALOGUE[name]
    rates = tuple(synthetic.RATES) if name == "learning_rate" else ()
    frames = {key: of_arms(tree, key, arms + rates) for key in shown.inputs}
    return made(shown, **frames, **{key: value for key, value in OPTIONS.items() if key in shown.options})


@functools.cache
def table(tree: Path, name: str) -> Any:
    """An input, read once for all figures."""
    return read_input(name, synthetic.files_of(tree, name))


def of_arms(tree: Path, name: str, arms: tuple[str, ...]) -> pd.DataFrame:
    """The input of this name, with the rows of these arms and of the controls."""
    frame = table(tree, name)
    if name == "floors":
        return frame
    there = set(frame["arm"])
    copies = [frame[frame["arm"] == LIKE[arm]].assign(arm=arm) for arm in arms if arm not in there]
    return pd.concat([frame[frame["arm"].isin([*arms, "controls"])], *copies], ignore_index=True)


@pytest.mark.parametrize(("name", "count"), CASES)
def test_nothing_is_cut_off_or_covered(tree: Path, name: str, count: int) -> None:
    assert misplaced(drawn(tree, name, ARMS[:count])) == []


def test_a_legend_that_is_too_wide_gets_fewer_columns() -> None:
    figure, _ = style.new_figure(1, 1, height=3, width=3)
    style.legend(figure, [style.line_handle("a third of it") for _ in range(6)], columns=6)
    assert [len(figure.legends), figure.legends[0]._ncols] == [1, 3]
    assert misplaced(figure) == []


def test_faults_are_found() -> None:
    figure, axes = style.new_figure(1, 1, height=3)
    axes[0, 0].set_xlabel("a label")
    axes[0, 0].legend(handles=[style.line_handle("over it")], loc="upper center", bbox_to_anchor=(0.5, -0.05))
    figure.legend(handles=[style.line_handle("out of the figure")], loc="center", bbox_to_anchor=(1, 0.5))
    figure.legend(handles=[style.line_handle("upon it")], loc="center right", bbox_to_anchor=(0.98, 0.5))
    assert misplaced(figure) == [
        "legend 0 of the figure leaves the figure",
        "legend 0 of the figure covers legend 1 of the figure",
        "legend of a label covers panel a label",
        "legend 0 of the figure covers panel a label",
        "legend 1 of the figure covers panel a label",
    ]
