"""The picture of an advice: what it draws, and that no part covers another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.figures.layout import misplaced

from forgetting.config.advice import Advice
from forgetting.figures.advice import draw_advice, looks

STEPS = [0, 5, 20, 100]
METHODS = Advice.model_validate({"name": "a", "before": "b", "old": "o", "new": "n"}).tried


def curves(methods: tuple[str, ...]) -> pd.DataFrame:
    rows = [(name, "test", step, 0.9 - 0.1 * n * step / 100, step / 100) for n, name in enumerate(methods) for step in STEPS]
    frame = pd.DataFrame(rows, columns=["method", "part", "step", "old", "new"])
    return pd.concat([frame, frame.assign(part="val", old=0.0)], ignore_index=True)


def methods(names: tuple[str, ...], taken: str) -> pd.DataFrame:
    frame = pd.DataFrame({"method": names, "words": names, "old": np.linspace(0.2, 1.0, len(names)), "new": 0.93})
    frame = frame.assign(learned=frame["method"] != "freeze-25", taken=frame["method"] == taken)
    ends = {f"{name}{end}": frame[name] + reach for name in ("old", "new") for end, reach in (("_low", -0.04), ("_high", 0.05))}
    return frame.assign(**ends)


@pytest.mark.parametrize("names, taken", [(METHODS, "replay-50"), (("seq", "lora"), "")])
def test_every_method_has_its_way_and_its_stop(names: tuple[str, ...], taken: str) -> None:
    figure = draw_advice(curves(names), methods(names, taken), 0.9)
    left, right = figure.axes
    ways = [line for line in left.lines if len(line.get_xdata()) == len(STEPS)]
    assert len(ways) == len(names)
    assert np.allclose(ways[1].get_ydata(), 0.9 - 0.1 * np.array(STEPS) / 100), "the reported units, not those of the choice"
    written = [text.get_text() for text in right.texts]
    assert written == ["did not learn the new task"] * ("freeze-25" in names)
    rings = [line for line in right.lines if line.get_markerfacecolor() == "none"]
    assert [float(line.get_ydata()[0]) for line in rings] == ([names.index(taken)] if taken else [])
    assert not misplaced(figure)


def test_no_two_methods_look_the_same() -> None:
    drawn = looks(methods(METHODS, ""))
    assert len({(look.color, look.marker) for look in drawn.values()}) == len(METHODS)
