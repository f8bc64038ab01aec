"""What the figures of a sequence draw, against the tables that they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import synthetic
from tests.figures.layout import misplaced
from tests.figures.synthetic_sequence import ARMS, accuracy, write_sequence

from forgetting.analysis.sequence import ALONE
from forgetting.figures import style
from forgetting.figures.catalogue import read_catalogue
from forgetting.figures.present import made, read_input
from forgetting.schemas.metrics import METRICS
from forgetting.tables import write_table

SHOWN = {shown.name: shown for shown in read_catalogue().values() if shown.target == "sequence"}
FIGURES = [name for name, shown in SHOWN.items() if shown.kind == "figure"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two seeds, what the figures of a sequence are made of."""
    root = tmp_path_factory.mktemp("results")
    for seed in (0, 1):
        world, folder = synthetic.World(seed), root / f"seed{seed}"
        write_sequence(folder, seed)
        write_table(synthetic.floors(seed), folder / "data/floors.parquet", METRICS)
        for arm in ARMS:
            facts = world.task1(arm, np.array([0, 60, 150, 600]))
            write_table(synthetic.task1_metrics(facts, arm), folder / f"task1/{arm}/metrics.parquet", METRICS)
    return root


def frames(tree: Path, name: str, arms: tuple[str, ...], seeds: str = "*") -> dict[str, pd.DataFrame]:
    """The inputs of a figure, with the rows of these arms where it shows arms."""
    found = {key: read_input(key, synthetic.files_of(tree, key, seeds)) for key in SHOWN[name].inputs}
    kept = {"sequence": [*arms, ALONE], "sequence_metrics": arms, "sequence_recovery": arms}
    return {key: frame[frame["arm"].isin(kept[key])] if key in kept else frame for key, frame in found.items()}


def drawn(tree: Path, name: str, arms: tuple[str, ...] = ARMS[:2], seeds: str = "0") -> Figure:
    return made(SHOWN[name], **frames(tree, name, arms, seeds))


FLOOR = "seq-no-task0"


def with_floor(tree: Path, name: str, arm: str = "ewc-batch-1e-1") -> Figure:
    """`seq`, and the runs of this arm under the name of the one that never had Task 0."""
    given = frames(tree, name, ("seq", arm), "0")
    renamed = {key: frame.assign(arm=frame["arm"].replace(arm, FLOOR)) if "arm" in frame else frame for key, frame in given.items()}
    return made(SHOWN[name], **renamed)


@pytest.mark.parametrize("name", ["sequence_recovery", "sequence_steps", "sequence_task0"])
def test_the_arm_that_never_had_task_0_is_dotted_with_open_pentagons_as_its_legend_says(tree: Path, name: str) -> None:
    figure = with_floor(tree, name)
    (handle,) = [line for line in figure.legends[0].get_lines() if "never had" in str(line.get_label())]
    color = style.arm_look(FLOOR).color
    lines = [line for line in figure.axes[0].lines if line.get_color() == color and len(line.get_xdata()) > 1 and line.get_marker() != "_"]
    shown = {(line.get_linestyle(), line.get_marker(), line.get_markerfacecolor()) for line in (handle, *lines)}
    assert lines and shown == {(":", "p", "white")} | ({("--", "p", "white")} if name == "sequence_recovery" else set()), "dashed: before"


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_nothing_is_cut_off_or_covered(tree: Path, name: str, count: int) -> None:
    assert misplaced(drawn(tree, name, ARMS[:count], "*")) == []


@pytest.mark.parametrize("name", SHOWN)
def test_all_are_made_of_one_seed_and_of_two(tree: Path, name: str) -> None:
    for seeds in ("0", "*"):
        assert drawn(tree, name, ARMS, seeds) is not None


def test_the_matrix_has_the_accuracy_of_each_task_after_each(tree: Path) -> None:
    figure = drawn(tree, "sequence_matrix")
    answers = frames(tree, "sequence_matrix", ARMS[:1], "0")["sequence"]
    (image,) = figure.axes[0].images
    for stage in range(4):
        for task in range(4):
            cell = answers[(answers["arm"] == "seq") & (answers["stage"] == stage) & (answers["task"] == task)]
            assert image.get_array()[stage, task] == pytest.approx(cell["right"].sum() / cell["asked"].sum())
    framed = [(round(box.get_x() + box.get_width() / 2), round(box.get_y() + box.get_height() / 2)) for box in figure.axes[0].patches]
    assert framed == [(place, place) for place in range(4)]
    assert [len(panel.patches) for panel in with_floor(tree, "sequence_matrix").axes[:2]] == [4, 3], "Task 0 was never learned"


def test_the_matrix_names_the_arms_that_it_has_no_room_for(tree: Path) -> None:
    given = frames(tree, "sequence_matrix", ARMS, "0")["sequence"]
    fifth = given[given["arm"] == "freeze-2"].assign(arm="freeze-3")
    texts = [
        made(SHOWN["sequence_matrix"], sequence=each).get_supxlabel().replace("\n", " ") for each in (given, pd.concat([given, fifth]))
    ]
    assert "table" not in texts[0] and style.arm_look(style.arm_order([*ARMS, "freeze-3"])[-1]).label in texts[1]


def test_arms_stand_side_by_side_after_a_task(tree: Path) -> None:
    panel = drawn(tree, "sequence_recovery", ARMS[:3]).axes[1]
    first = {
        line.get_color(): float(line.get_xdata()[0]) for line in panel.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"
    }
    assert sorted(first[style.arm_look(arm).color] for arm in ARMS[:3]) == pytest.approx([1.88, 2, 2.12])


def test_task_0_goes_on_where_the_task_before_ended(tree: Path) -> None:
    figure = drawn(tree, "sequence_task0", ARMS[:1])
    line = next(line for line in figure.axes[0].lines if line.get_color() == style.arm_look("seq").color)
    place, value = (np.asarray(part, dtype=float) for part in line.get_data())
    assert (place[0], place[-1]) == (0, 3) and (np.diff(place) > 0).all()
    for task in (2, 3):
        assert value[place == task] == pytest.approx(accuracy("seq", task, 0), abs=0.01)


def test_recovery_follows_task_1_through_the_later_ones(tree: Path) -> None:
    figure = drawn(tree, "sequence_recovery", ARMS[:1])
    assert figure.axes[1].get_xlim()[0] > 1, "nothing was learned before Task 1 but Task 0"
    points = {tuple(point) for line in figure.axes[1].lines for point in np.asarray(line.get_xydata()).round(4).tolist()}
    for stage in (2, 3):
        before = accuracy("seq", stage, 1)
        assert (stage, round(before, 4)) in points and (stage, round(1 - (1 - before) * 0.4, 4)) in points
        assert (stage, 0.05) in points, "shuffled answers"


def test_a_task_that_was_never_learned_has_an_open_mark(tree: Path) -> None:
    figure = drawn(tree, "sequence_steps", ("seq", "freeze-2"))
    marks = {(line.get_color(), *point) for line in figure.axes[0].lines for point in line.get_xydata().tolist()}
    freeze = style.arm_look("freeze-2").color
    assert (freeze, 2.0, 370.0) in marks
    top = figure.axes[0].get_ylim()[1]
    assert [y for color, x, y in marks if color == freeze and x == 3] == [pytest.approx(1.05 / 1.1 * top)]
    text = figure.get_supxlabel().replace("\n", " ")
    assert "at most 450 steps apart" in text and "Mark at the top" in text
    given = frames(tree, "sequence_steps", ("seq",), "0")
    metrics = given["sequence_metrics"]
    all_learned = made(SHOWN["sequence_steps"], **given | {"sequence_metrics": metrics.assign(value=metrics["value"].fillna(300.0))})
    assert all_learned.axes[0].get_ylim()[1] < 600, "no room for marks that nothing needs"
    assert "Mark at the top" not in all_learned.get_supxlabel().replace("\n", " ")


def test_of_one_run_a_bar_reaches_down_to_the_evaluation_before(tree: Path) -> None:
    bars = [line for line in drawn(tree, "sequence_steps", ("seq",)).axes[0].lines if line.get_marker() == "_"]
    lows = {(float(x), float(y)) for line in bars for x, y in line.get_xydata() if line.get_color() == style.arm_look("seq").color}
    beside = style.side_by_side(2)[0]
    assert {(2 + beside, 200.0), (3 + beside, 400.0)} <= lows, "learned at 370 and 430"


def test_the_tables_say_what_was_made_up(tree: Path) -> None:
    recovered = made(SHOWN["sequence_recovery_table"], **frames(tree, "sequence_recovery_table", ARMS[:1], "0"))
    row = recovered[(recovered["after"] == "Task 3") & (recovered["task"] == "Task 2")].iloc[0]
    assert row["dropped"] == pytest.approx(accuracy("seq", 3, 2)) and row["after_task0"] == pytest.approx(0.02 + 0.98 * 0.1)
    assert (recovered["shuffled"] == 0.05).all()
    assert len(recovered) == 1 + 2 + 3, "each task before the one that was learned last"
    numbers = made(SHOWN["sequence_table"], **frames(tree, "sequence_table", ARMS[:1], "0")).iloc[0]
    assert numbers["forgetting"] == pytest.approx(-numbers["backward_transfer"], abs=0.02), "made up so that nothing gets better"
