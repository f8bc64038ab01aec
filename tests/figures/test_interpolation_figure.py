from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.figures.interpolation import draw

POSITIONS = np.linspace(0, 1, 21)


def frame(arm: str, seed: int, height: float, segments: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for segment in segments:
        for split in ("task0_test", "task1"):
            for metric, values in (("loss", 1 + height * np.sin(np.pi * POSITIONS)), ("exact_match", 1 - POSITIONS / 2)):
                rows += [(segment, split, metric, *point, 0.01) for point in zip(POSITIONS, values, strict=True)]
            for metric in ("barrier", "barrier_above_line"):
                rows.append((segment, split, metric, 0.5, height, 0.1) if height else (segment, split, metric, np.nan, 0.0, np.nan))
    made = pd.DataFrame(rows, columns=["segment", "split", "metric", "position", "value", "error"])
    return made.assign(scale="synthetic", seed=seed, arm=arm)


def texts(figure, column: int) -> list[str]:
    return [text.get_text() for text in figure.axes[column].texts]


def test_each_panel_names_its_ends_and_the_barrier_of_every_arm() -> None:
    every = ("task0_task1", "task1_recovered", "task0_recovered")
    figure = draw(pd.concat([frame("seq", 0, 0.0, every), frame("replay-20", 0, 0.5, every[:1])]))
    assert texts(figure, 0) == ["no barrier", "barrier 0.50 [0.34, 0.74]"]  # 0.5 exp(-+ 1.96 * 0.1 / 0.5)
    assert texts(figure, 1) == ["no barrier"]
    ends = [[label.get_text() for label in panel.get_xticklabels()] for panel in figure.axes[-3:]]
    assert ends == [
        ["end of Task 0", "half-way", "end of Task 1"],
        ["end of Task 1", "half-way", "recovered"],
        ["end of Task 0", "half-way", "recovered"],
    ]


def test_of_several_seeds_the_mean_and_their_interval_are_drawn() -> None:
    figure = draw(pd.concat([frame("seq", seed, height, ("task0_task1",)) for seed, height in enumerate((0.4, 0.5, 0.6))]))
    # Student's t with 2 degrees of freedom on the logarithm: 0.5 exp(-+ 4.303 * 0.1 / sqrt(3) / 0.5)
    assert texts(figure, 0) == ["barrier 0.50 [0.30, 0.82]"]
