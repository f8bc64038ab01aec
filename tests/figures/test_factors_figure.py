"""The figure of the crossed experiment draws each cell once, and nothing covers another."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from tests.figures import synthetic_factors
from tests.figures.layout import misplaced

from forgetting.figures.factors import draw

ALL = synthetic_factors.ARMS


def drawn(seeds: tuple[int, ...], arms: list[str]) -> Figure:
    frames = synthetic_factors.frames(seeds, arms)
    return draw(**{name: frames[name] for name in ("metrics", "facts", "halves")})


@pytest.mark.parametrize(("seeds", "arms"), [((0,), ALL), ((0, 1, 2), ALL), ((0,), ["seq", "seq-half-statement"])])
def test_nothing_is_cut_off_or_covered(seeds: tuple[int, ...], arms: list[str]) -> None:
    assert misplaced(drawn(seeds, arms)) == []


def test_every_panel_has_both_halves_and_floors_of_both_cells() -> None:
    figure = drawn((0,), ALL)
    for panel in figure.axes[:3]:
        styles = sorted(str(line.get_linestyle()) for line in panel.lines)
        assert styles == sorted(["-", "--", ":"] * 2)
    assert len(figure.axes[3].lines) == 6
