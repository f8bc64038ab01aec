from __future__ import annotations

import functools
import re
import subprocess
import sys
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from scipy import stats
from tests.figures import synthetic
from tests.figures.layout import misplaced, misprinted
from tests.figures.synthetic import files_of
from tests.study import merged

from forgetting.data.points import EARLY_STEP
from forgetting.figures import freeze_depth, method_comparison, recovery, style
from forgetting.figures.catalogue import Shown, read_catalogue
from forgetting.figures.fisher_angle import correlation, joined, over_runs
from forgetting.figures.present import made, read_input
from forgetting.figures.pseudo_examples import yields
from forgetting.statistics import PROPORTION, over_seeds

CATALOGUE = read_catalogue()
FIGURES = [shown.name for shown in CATALOGUE.values() if shown.kind == "figure"]
SAY_OTHER_THINGS_OF_ONE_SEED = (
    "features",
    "fisher_angle",
    "frontier",
    "method_comparison",
    "pseudo_examples",
    "turning",
    "weight_update",
    "weight_update_arms",
)
STEPS = np.array([0, 20, 60, 100, 150, 800, 2000, 4000])
CHECKPOINTS = (0, 60, 150, 4000)
SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
OPTIONS = {"matched_accuracy": 0.9}
KEPT = (
    *synthetic.CHOSEN,
    *synthetic.ARMS,
    "replay-ratio-5",
    "ewc-1e2",
    "task-vector-0.2",
    "task-vector-0.8",
    "task-vector-0.2-end-0.75",
)
SMALL_GRID = {family: [arm for arm in arms if arm in KEPT] for family, arms in synthetic.FAMILIES.items()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two seeds."""
    root = tmp_path_factory.mktemp("results")
    synthetic.write_tree(root, (0, 1), STEPS, CHECKPOINTS, SMALL_GRID)
    return root


ONLY_COMPARED = {*chain(*SMALL_GRID.values())} - {*synthetic.ARMS, *synthetic.RATES}
"""Arms that figures of the comparison of methods show alone."""


def files_for(tree: Path, shown: Shown, name: str, seeds: str) -> list[str]:
    """The files of an input, of the arms that a study would give to a figure or table."""
    files = files_of(tree, name, seeds)
    return files if shown.target == "methods" else [file for file in files if Path(file).parent.name not in ONLY_COMPARED]


def drawn(tree: Path, name: str, seeds: str = "*") -> Figure:
    shown = CATALOGUE[f"fig_{name}"]
    frames = {key: read_input(key, files_for(tree, shown, key, seeds)) for key in shown.inputs}
    return made(shown, **frames, **{key: value for key, value in OPTIONS.items() if key in shown.options})


@functools.cache
def drawn_without_warnings(tree: Path, name: str, seeds: str = "*") -> Figure:
    """Once for all tests that only look at it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "'\\w+' deprecated - use '\\w+'", DeprecationWarning)  # matplotlib 3.10.0 of a newer pyparsing
        figure = drawn(tree, name, seeds)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(
    ("name", "seeds"),
    [*((name, "*") for name in FIGURES), *(pytest.param(name, "0", marks=pytest.mark.long) for name in SAY_OTHER_THINGS_OF_ONE_SEED)],
)
def test_figure_draws_without_warnings_and_names_its_axes(tree: Path, name: str, seeds: str) -> None:
    figure = drawn_without_warnings(tree, name, seeds)
    assert misplaced(figure) == []
    visible = [axes for axes in figure.axes if axes.axison and axes.has_data()]
    assert visible
    for axis in ("xaxis", "yaxis"):  # named, or with names at its ticks
        both = [getattr(axes, axis) for axes in visible]
        ticks = [text.get_text() for each in both for text in each.get_ticklabels()]
        of_all = figure.get_supylabel() if axis == "yaxis" else ""
        assert of_all or any(each.get_label_text() for each in both) or any(re.search("[a-z]{3}", text) for text in ticks), axis
    assert all(axes.get_title(loc="left") for axes in figure.axes[:2] if axes.axison)
    assert figure.get_supxlabel(), "the note that says what the intervals are"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_asks_one_question_and_can_be_printed(tree: Path, name: str) -> None:
    assert CATALOGUE[f"fig_{name}"].title.endswith("?")
    assert misprinted(drawn_without_warnings(tree, name), style.WIDTH) == []


def test_three_formats_and_the_same_bytes_twice(tree: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        style.save_figure(drawn(tree, "gradients"), [tmp_path / folder / "gradients"])
    for kind in ("pdf", "png", "svg"):
        assert (tmp_path / f"first/gradients.{kind}").read_bytes() == (tmp_path / f"second/gradients.{kind}").read_bytes()
    assert len(list((tmp_path / "first").iterdir())) == 3
    assert b"/Type3" not in (tmp_path / "first/gradients.pdf").read_bytes(), "fonts are embedded as TrueType"
    assert b"<text" not in (tmp_path / "first/gradients.svg").read_bytes(), "letters are outlines, which need no font"


def test_task_1_of_seq_alone_is_drawn_where_no_arm_has_learned_it(tree: Path) -> None:
    panels = drawn(tree, "performance").axes
    dashed = [{line.get_color() for line in panel.lines if line.get_linestyle() == "--"} - {style.MODAL_ANSWER} for panel in panels]
    assert dashed[0] == {style.SEQUENTIAL.lower()} and len(dashed[1]) == 3


def test_paths_are_told_apart_by_marks_and_end_in_a_large_one(tree: Path) -> None:
    panel = drawn(tree, "frontier").axes[0]
    paths = [line for line in panel.lines if len(line.get_xdata()) > 2]
    ends = [line for line in panel.lines if len(line.get_xdata()) == 1]
    assert [path.get_marker() for path in paths] == [end.get_marker() for end in ends] and len(paths) > 2
    assert min(end.get_markersize() for end in ends) > max(path.get_markersize() for path in paths)


def test_correlations_by_seed_are_told(tree: Path) -> None:
    runs = joined(*(read_input(name, files_of(tree, name)) for name in ("weights", "fisher")))
    text = drawn(tree, "fisher_angle").get_supxlabel().replace("\n", " ")
    for panel, column in (("a", "angle"), ("b", "excess")):
        for words, rows in (("without the embeddings", runs[~runs["component"].str.endswith("embedding")]), ("all matrices", runs)):
            found = [stats.pearsonr(np.log(of_seed["fisher"]), of_seed[column]).statistic for _, of_seed in rows.groupby("seed")]
            assert f"{panel}, {words} {found[0]:.2f}, {found[1]:.2f}" in text


def frames_in_which_one_seed_failed(tree: Path, arm: str, *names: str) -> dict[str, pd.DataFrame]:
    """METRICS in which the arm did not learn Task 1 in seed 1, RECOVERY, and more inputs."""
    frames = {name: read_input(name, files_of(tree, name)) for name in ("metrics", "recovery", *names)}
    metrics = frames["metrics"]
    unlearned = (metrics["metric"] == "early_stop_step") & (metrics["arm"] == arm) & (metrics["seed"] == 1)
    return frames | {"metrics": metrics.assign(value=metrics["value"].mask(unlearned))}


def test_shuffled_answers_have_a_mark_for_trough_and_end_though_seeds_have_their_troughs_at_different_steps(tree: Path) -> None:
    shown = CATALOGUE["fig_recovery"]
    frames = {key: read_input(key, files_for(tree, shown, key, "*")) for key in shown.inputs}
    for name in ("recovery", "recovery_facts"):
        moved = frames[name]["seed"].eq(1) & frames[name]["arm"].eq("seq") & frames[name]["checkpoint"].eq(150)
        assert moved.any()
        frames[name] = frames[name].assign(checkpoint=frames[name]["checkpoint"].mask(moved, 100))
    stars = [line for line in recovery.draw(**frames).axes[0].lines if line.get_marker() == "*"]
    assert [sorted(line.get_xdata()) for line in stars] == [[125, 4000]]


def test_one_seed_that_stopped_is_no_point_of_two_seeds(tree: Path) -> None:
    figure = freeze_depth.draw(**frames_in_which_one_seed_failed(tree, "seq", "floors"), matched_accuracy=0.9)
    stopped = [line for line in figure.axes[1].lines if line.get_color() == freeze_depth._STOPPED.color]
    assert stopped and all(-1 not in np.round(np.asarray(line.get_xdata(), dtype=float)) for line in stopped)
    assert "not learned in every seed" in figure.get_supxlabel().replace("\n", " ")


def test_an_arm_looks_the_same_everywhere_and_unlike_the_others() -> None:
    arms = ["seq", "replay-5", "replay-20", "freeze-0", "freeze-1", "freeze-2", "freeze-3", "freeze-4", "seq-lr-1e-5", "seq-lr-1e-3"]
    looks = [style.arm_look(arm) for arm in arms]
    assert len({look.color for look in looks}) == len(arms)
    assert {style.arm_look(arm).marker for arm in arms if arm.startswith("freeze")} == {"^"}
    assert style.arm_order(reversed(arms)) == arms
    assert style.main_arms(arms) == ["seq", "replay-20", "freeze-2"]


def test_families_differ_in_marker_and_colour() -> None:
    arms = {family: names[len(names) // 2] for family, names in synthetic.FAMILIES.items()}
    arms |= {"end": "task-vector-0.2-end-0.75", "layers": "freeze-layers-1"}
    looks = [style.arm_look(arm) for arm in arms.values()]
    colors = np.array([to_rgb(look.color) for look in looks])
    distance = np.linalg.norm(colors[:, None] - colors, axis=-1) + 9 * np.eye(len(colors))
    assert len({look.marker for look in looks}) == len(looks)
    assert distance.min() > 0.12
    grid = [style.arm_look(arm) for names in synthetic.FAMILIES.values() for arm in names]
    assert len({look[:2] for look in grid}) == len({look.label for look in grid}) == len(grid)
    assert style.arm_order(reversed(list(arms.values())))[0] == "seq"
    assert style.arm_order(["ewc-1e1", "ewc-1e-2", "replay-ratio-5", "replay-50"]) == ["replay-50", "replay-ratio-5", "ewc-1e-2", "ewc-1e1"]


def contrast_with_white(color: str) -> float:
    """Of WCAG 2.2, from relative luminance."""
    parts = np.array(to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05)


def test_every_arm_stands_out_from_paper() -> None:
    """At least 3:1, what WCAG asks of graphics."""
    assert contrast_with_white("#000000") == pytest.approx(21)
    arms = merged()["methods"]
    looks = [*style.CONTROLS.values(), *map(style.arm_look, arms)]
    assert len(looks) > 60
    assert {look.label: look.color for look in looks if contrast_with_white(look.color) < 3} == {}


def test_arms_that_never_learned_are_marked_and_have_no_matched_point(tree: Path) -> None:
    panel = drawn(tree, "method_comparison").axes[0]
    labels = [text.get_text() for text in panel.get_yticklabels()]
    assert [label for label in labels if label.endswith("†")] == ["freeze 2, as released †"]
    matched = [line for line in drawn(tree, "task_vector").axes[0].lines if line.get_marker() == "P"]
    np.testing.assert_allclose(np.asarray(matched[0].get_xdata(), dtype=float), [0, 0.2, 0.4])


def test_labels_tell_the_knobs_of_a_name() -> None:
    labels = {
        arm: style.arm_look(arm).label for arm in ("task-vector-0.2-end-0.75", "freeze-layers-2", "projection-gpm-97", "ewc-batch-1e-1")
    }
    assert list(labels.values()) == ["task vector, α 0.2, end 0.75", "freeze 2, not embedding", "GPM 97 %", "EWC batch, λ 1e-1"]
    assert style.arm_knob("freeze-layers-2", "freeze") is None and style.arm_knob("task-vector-0.2-end-0.75", "task-vector") is None


def test_an_arm_that_one_seed_did_not_learn_is_compared_at_its_end_in_all(tree: Path) -> None:
    frames = frames_in_which_one_seed_failed(tree, "lamol-20", "floors", "choice")
    panels = method_comparison.draw(**frames, matched_accuracy=0.9).axes
    labels = [text.get_text() for text in panels[0].get_yticklabels()]
    assert [label for label in labels if label.endswith("†")] == ["LAMOL, γ 20 % †", "freeze 2, as released †"]
    wanted = "arm == 'lamol-20' and kind == 'all' and metric == 'exact_match' and split == 'task0_test'"
    kept, again = (frames[name].query(wanted) for name in ("metrics", "recovery"))
    expected = [kept.query("step == 4000"), again.query("start == 'task1' and checkpoint == 4000 and epochs == 1")]
    row = labels.index("LAMOL, γ 20 % †")
    marks = [line for panel in panels[1:] for line in panel.lines if line.get_marker() == "p" and list(line.get_ydata()) == [row]]
    assert [len(rows) for rows in expected] == [2, 2]
    np.testing.assert_allclose([line.get_xdata()[0] for line in marks], [rows["value"].mean() for rows in expected])


def test_methods_are_read_against_the_model_without_task0_and_unequal_lengths_are_told(tree: Path) -> None:
    frames = {name: read_input(name, files_of(tree, name, "0")) for name in ("metrics", "recovery", "floors", "choice")}
    for name, renamed in {"metrics": {}, "recovery": {}, "choice": {"family": "no-task0"}}.items():  # seq as if it never had Task 0
        of_seq = frames[name]["arm"] == "seq"
        frames[name] = pd.concat([frames[name], frames[name][of_seq].assign(arm="seq-no-task0", **renamed)], ignore_index=True)
    longer = frames["metrics"]["arm"] == "joint"
    late = frames["metrics"]["step"] > EARLY_STEP  # earlier ones have checkpoints, which recovery starts from
    frames["metrics"]["step"] *= 1 + (longer & late)
    figure = method_comparison.draw(**frames, matched_accuracy=0.9)
    assert "Runs: 1 to 2 times the steps of seq." in figure.get_supxlabel().replace("\n", " ")
    floor = frames["metrics"].query("arm == 'seq-no-task0' and kind == 'all' and metric == 'exact_match' and split == 'task0_test'")
    trough = floor[floor["step"] <= EARLY_STEP].nsmallest(1, "value")
    bands = [patch for patch in figure.axes[0].patches if to_hex(patch.get_facecolor()) == style.arm_look("seq-no-task0").color.lower()]
    np.testing.assert_allclose(bands[0].get_x() + np.array([0, bands[0].get_width()]), trough[["low", "high"]].to_numpy()[0])
    learned = set(frames["metrics"].query("metric == 'early_stop_step'").dropna(subset="value")["arm"])
    others = set(frames["choice"].loc[~frames["choice"]["chosen"], "arm"])
    small = [line for line in figure.axes[1].lines if line.get_alpha() == 0.45]
    assert len(small) == len(learned & others) > 0


def test_correlation_agrees_with_scipy() -> None:
    x = np.random.default_rng(0).normal(size=26)
    y = 0.6 * x + np.random.default_rng(1).normal(size=26)
    found = correlation(x, y)
    method = stats.BootstrapMethod(n_resamples=9999, method="percentile")
    expected = stats.pearsonr(x, y)
    assert found.value == pytest.approx(expected.statistic)
    np.testing.assert_allclose(found[1:], expected.confidence_interval(method=method), atol=0.04)
    assert np.isnan(correlation(np.ones(5), np.arange(5.0))).all()
    assert np.isnan(correlation([1, 2], [1, 2])).all()


def test_angles_meet_fisher_by_seed_and_matrix() -> None:
    keys = {"arm": "seq", "former": "task1_early", "latter": "task1_late", "metric": "mean_angle", "component": "query"}
    weights = pd.DataFrame({"seed": [0, 1, 0], "layer": [0, 0, 1], "value": [10.0, 20.0, np.nan], "chance": [12.0, 24.0, 5.0]} | keys)
    fisher = pd.DataFrame({"seed": [0, 1, 0], "layer": [0, 0, 1], "component": "query", "fisher": [1e-4, 1e-2, 1.0]})
    rows = joined(pd.concat([weights, weights.assign(arm="replay-20"), weights.assign(former="task0")]), fisher)
    np.testing.assert_allclose(rows[["seed", "fisher", "angle", "excess"]], [[0, 1e-4, 10, -2], [1, 1e-2, 20, -4]])
    np.testing.assert_allclose(over_runs(rows)[["fisher", "angle", "chance", "excess"]], [[1e-3, 15, 18, -3]])
    with pytest.raises(ValueError, match="no matrix"):
        joined(weights.assign(arm="replay-20"), fisher)


def test_yield_is_a_share_of_what_was_generated() -> None:
    counts = {"generated": 200, "parsed": 150, "used": 20, "unknown": 7}
    rows = [{"seed": 0, "arm": "lamol-20", "split": "train", "metric": f"pseudo_{name}", "value": float(n)} for name, n in counts.items()]
    empty = [row | {"arm": "lamol-50", "value": 0.0} for row in rows]
    found = yields(pd.DataFrame(rows + empty))
    assert dict(zip(found["check"], found["value"], strict=True)) == {"parsed": 0.75, "used": 0.1}
    expected = [stats.binomtest(count, 200).proportion_ci(method="wilson") for count in (150, 20)]
    np.testing.assert_allclose(found[["low", "high"]], expected)


def test_an_arm_that_could_replay_nothing_is_told_below_the_figure(tree: Path) -> None:
    shown = CATALOGUE["fig_pseudo_examples"]
    frames = {key: read_input(key, files_for(tree, shown, key, "*")) for key in shown.inputs}
    metrics = frames["metrics"]
    none = metrics["metric"].eq("pseudo_used") & metrics["arm"].eq("lamol-20") & metrics["seed"].eq(1)
    assert none.any()
    figure = made(shown, **frames | {"metrics": metrics.assign(value=metrics["value"].mask(none, 0.0))})
    assert "nothing generated was usable in 1 of 2 runs: trained as seq" in figure.get_supxlabel().replace("\n", " ")
    assert misplaced(figure) == []


def test_small_print_says_what_the_intervals_that_are_drawn_are() -> None:
    frame = pd.DataFrame({"seed": [0, 0, 1, 1], "step": [0, 1] * 2, "value": [0.4, 0.5, 0.6, 0.6], "low": 0.0, "high": 1.0})
    look = style.arm_look("seq")

    def printed(rows: pd.DataFrame, *, band: bool = False, bars: bool = False) -> str:
        figure, axes = style.new_figure(1, 1, height=2)
        style.draw_curve(axes.flat[0], rows, "step", look, band=band)
        if bars:
            style.error_bars(axes.flat[0], rows, "step", look)
        style.note(figure, rows)
        return figure.get_supxlabel().replace("\n", " ")

    assert printed(frame, band=True).startswith("Mean of 2 seeds; bands: 95 % interval over seeds (Student's t")
    assert printed(frame, bars=True).startswith("Mean of 2 seeds; bars: ")
    assert printed(frame, band=True, bars=True).startswith("Mean of 2 seeds; bands and bars: ")
    one = frame[frame["seed"] == 0]
    assert printed(one, bars=True) == "One seed; bars: 95 % interval clustered by person; at exactly 0 and 1 by their number alone."
    assert printed(one.assign(low=np.nan, high=np.nan), bars=True) == "One seed, so no intervals."
    known = frame.assign(low=frame["value"], high=frame["value"])
    assert printed(known, bars=True).startswith("Mean of 2 seeds.") and "bars" not in printed(known, bars=True)


def test_no_band_of_a_share_leaves_its_range(tree: Path) -> None:
    figure = drawn(tree, "performance", "*")
    bands = [path.vertices[:, 1] for panel in figure.axes for band in panel.collections for path in band.get_paths()]
    assert bands and all(band.min() >= 0 and band.max() <= 1 for band in bands)
    frame = pd.DataFrame({"seed": [0, 1, 2], "step": 0, "value": [0.94, 0.98, 1.0], "low": 0.9, "high": 1.0})
    assert over_seeds(frame, ["step"], kind=PROPORTION).loc[0, "high"] <= 1 < stats.t.interval(0.95, 2, 0.973, stats.sem(frame["value"]))[1]


def test_few_seeds_are_drawn_beside_their_mean() -> None:
    frame = pd.DataFrame(
        {"seed": np.repeat([0, 1, 2], 2), "step": [0, 1] * 3, "value": [0.9, 0.5, 0.8, 0.4, 1.0, 0.6], "low": 0.3, "high": 1.0}
    )
    for seeds, lines in ((3, 4), (1, 1)):
        panel = style.new_figure(1, 1, 2.0)[1][0, 0]
        style.draw_curve(panel, frame[frame["seed"] < seeds], "step", style.arm_look("seq"))
        assert len(panel.lines) == lines
    many = pd.concat([frame.assign(seed=frame["seed"] + 3 * more) for more in range(2)])
    panel = style.new_figure(1, 1, 2.0)[1][0, 0]
    style.draw_curve(panel, many, "step", style.arm_look("seq"))
    assert len(panel.lines) == 1


def test_small_print_tells_of_single_seeds_only_where_they_are_drawn(tree: Path) -> None:
    for name, expected in (("performance", "Thin lines: single seeds."), ("frontier", "Pale dots: single seeds."), ("graft", None)):
        said = drawn(tree, name, "*").get_supxlabel().replace("\n", " ")
        assert "Mean of" in said and (expected in said if expected else "single seeds" not in said), name


@pytest.mark.long
def test_everything_is_shown_where_torch_cannot_be_imported(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('figures and tables must not need torch')")
    lines = ["from forgetting.figures.present import present"]
    for rule, shown in CATALOGUE.items():
        seeds, result = ("0", "result.png") if shown.kind == "figure" else ("*", "result")
        flags = [part for name in shown.inputs for part in (f"--{name.replace('_', '-')}", *files_for(tree, shown, name, seeds))]
        given = (
            OPTIONS
            | {"axes": "orthogonal", "questions": 42, "early_steps": 20, "equal_steps": 800}
            | {"units": 400, "batch_size": 16, "learning_rate": 2e-4}
        )
        flags += [part for name in shown.options for part in (f"--{name.replace('_', '-')}", str(given[name]))]
        lines += [f"present({[rule, *flags, '--output', str(tmp_path / rule / result)]})"]
    (tmp_path / "all.py").write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "all.py")], capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert done.returncode == 0, done.stderr
    files = {rule: len(list((tmp_path / rule).iterdir())) for rule in CATALOGUE}
    assert files == {rule: 1 if shown.kind == "figure" else 3 for rule, shown in CATALOGUE.items()}


def environment(home: Path) -> dict[str, str]:
    """Modules in `home` come first."""
    return {"PYTHONPATH": f"{home}:{SCRIPTS.parent}", "HOME": str(home), "PATH": ""}


def test_a_truncated_table_is_one_message(tree: Path, tmp_path: Path) -> None:
    broken = tmp_path / "weights.parquet"
    broken.write_bytes(b"PAR1")
    command = [sys.executable, str(SCRIPTS / "show.py"), "fig_weight_update", "--weights", str(broken)]
    command += ["--output", str(tmp_path / "figure")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=False)
    assert done.returncode == 1
    assert "weights.parquet" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("figure.*"))
