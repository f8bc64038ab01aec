from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from forgetting.analysis.summary import combine_seeds, formatted, gates_table, methods_table, read_gates, read_paper, save_table

ROOT = Path(__file__).parents[2]

GATE = {"gate": "task0_before", "value": 0.97, "low": 0.9, "high": 0.99, "comparison": ">=", "threshold": 0.95, "floor": 0.02, "step": 9}
GATE |= {"control": None}
RUNS = pd.DataFrame(
    {"seed": [0, 1, 2], "arm": "seq", "before": [0.9, 1.0, 0.8], "before_low": 0.1, "before_high": 1.0, "trough_step": [100.0, 110, 120]}
)


def test_several_seeds_give_a_t_interval() -> None:
    table = combine_seeds(RUNS, ["arm"], ["before", "trough_step"])
    # Student's t on the logit, where the slope is 1 / (0.9 * 0.1)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3) / 0.09
    low, high = (1 / (1 + np.exp(-(np.log(9) + end))) for end in (-half, half))
    np.testing.assert_allclose(table.loc[0, ["before", "before_low", "before_high"]].astype(float), (0.9, low, high))
    assert list(table.columns) == ["arm", "seeds", "before", "before_low", "before_high", "trough_step"]


def test_parameters_of_seeds_with_different_vocabularies_are_a_whole_number() -> None:
    steps = np.arange(0, 200, 10)
    frames = []
    for seed, parameters in enumerate((1000, 1001)):
        curves = [
            pd.DataFrame({"step": steps, "split": split, "metric": "exact_match", "value": 0.5, "low": 0.4, "high": 0.6})
            for split in ("task0_test", "task1", "control")
        ]
        costs = {"trained_parameters": parameters, "seconds": 60.0}
        curves += [pd.DataFrame({"step": [190], "split": "all", "metric": [name], "value": [value]}) for name, value in costs.items()]
        frames.append(pd.concat(curves).assign(seed=seed, arm="seq", kind="all", stage="task1", scale="made up", n=60))
    metrics = pd.concat(frames, ignore_index=True)
    floors = metrics[(metrics["step"] == 0)].assign(stage="floors", arm=None)
    table = methods_table(metrics, floors, 0.99)
    assert table["trained_parameters"].dtype == "Int64"
    assert table.loc[table["early_stop"] == "no", "trained_parameters"].tolist() == [1000]
    assert table["trained_parameters"].isna().sum() == 2, "the floors have none"


def test_one_seed_keeps_its_own_interval() -> None:
    table = combine_seeds(RUNS[RUNS["seed"] == 0], ["arm"], ["before", "trough_step"])
    assert table.loc[0, ["before", "before_low", "before_high"]].tolist() == [0.9, 0.1, 1.0]


def test_cells_hold_value_and_interval_and_a_dash_for_what_is_not_defined() -> None:
    table = pd.DataFrame({"arm": ["seq", "freeze-1"], "before": [0.9, np.nan], "before_low": [0.8, np.nan], "before_high": [0.95, np.nan]})
    table["trough_step"] = [110.0, np.nan]
    assert formatted(table).to_numpy().tolist() == [["seq", "0.900 [0.800, 0.950]", "110"], ["freeze-1", "-", "-"]]


def test_infinite_savings_are_words_and_make_a_median() -> None:
    runs = pd.DataFrame({"seed": [0, 1, 2], "arm": "seq", "savings": [4.0, np.inf, 2.0], "savings_low": 1.0, "savings_high": np.inf})
    table = combine_seeds(runs, ["arm"], ["savings"])
    assert table.loc[0, "savings"] == 4 and "savings_low" not in table
    most = combine_seeds(runs.assign(savings=[np.inf, np.inf, 2.0]), ["arm"], ["savings"])
    single = combine_seeds(runs[runs["seed"] == 1], ["arm"], ["savings"])
    assert formatted(most)["savings"].tolist() == formatted(single)["savings"].tolist() == ["starts above 90 %"]


def test_a_value_that_a_seed_lacks_is_counted_and_has_no_mean() -> None:
    """Two seeds that got there are no sample of three: neither a mean nor an interval nor a verdict."""
    runs = RUNS.assign(spurious_share=[1.1, np.nan, 0.9], spurious_share_low=0.8, spurious_share_high=1.2, matched=[0.5, 0.6, np.nan])
    other = runs.assign(arm="freeze-3", spurious_share=[0.7, 0.8, 0.9], matched=np.nan)
    table = combine_seeds(pd.concat([runs, other]), ["arm"], ["before", "spurious_share", "matched"]).set_index("arm")
    assert table["spurious_share_seeds"].tolist() == [2, 3] and table["matched_seeds"].tolist() == [2, 0]
    assert np.isnan(table.loc["seq", ["spurious_share", "spurious_share_low", "matched"]].astype(float)).all()
    assert table.loc["freeze-3", "spurious_share"] == pytest.approx(0.8) and "before_seeds" not in table
    cells = formatted(table.reset_index())
    assert cells["spurious share"].tolist()[0] == "2 of 3 seeds" and cells["spurious share"].tolist()[1].startswith("0.800 [")
    assert cells["Task 0 at matched Task 1"].tolist() == ["2 of 3 seeds", "not reached"]
    one = formatted(combine_seeds(runs[runs["seed"] == 1], ["arm"], ["spurious_share", "matched"]))
    assert one["spurious share"].tolist() == ["-"]


def test_infinite_savings_of_one_seed_do_not_hide_that_another_has_none() -> None:
    table = combine_seeds(RUNS.assign(savings=[np.inf, np.nan, 2.0]), ["arm"], ["savings"])
    assert table["savings"].isna().all() and table["savings_seeds"].tolist() == [2]


def test_a_number_of_unknown_kind_gets_no_guessed_interval() -> None:
    with pytest.raises(KeyError, match="what kind of number"):
        combine_seeds(RUNS.assign(novel=[0.1, 0.2, 0.3]), ["arm"], ["novel"])


def test_three_formats_are_written_and_csv_keeps_numbers(tmp_path: Path) -> None:
    save_table(combine_seeds(RUNS, ["arm"], ["before"]), [tmp_path / "methods"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["methods.csv", "methods.md", "methods.tex"]
    assert pd.read_csv(tmp_path / "methods.csv")["before"].tolist() == [0.9]
    assert "tabular" in (tmp_path / "methods.tex").read_text()
    assert "| Task 0 before" in (tmp_path / "methods.md").read_text()
    with pytest.raises(ValueError, match="html"):
        save_table(RUNS, [tmp_path / "methods.html", tmp_path / "methods.csv"])


def test_gates_are_read_with_what_they_must_reach(tmp_path: Path) -> None:
    path = tmp_path / "seed1-task0.json"
    path.write_text(json.dumps([GATE | {"seed": 1, "passed": True}, GATE | {"seed": 1, "passed": False, "value": 0.5}]))
    table = gates_table(read_gates([path]))
    assert table["passed"].tolist() == ["yes", "NO"]
    assert table["threshold"].tolist() == [">= 0.95", ">= 0.95"]
    assert formatted(table).iloc[0]["value"] == "0.970 [0.900, 0.990]"
    path.write_text("[{")
    with pytest.raises(ValueError, match=r"seed1-task0\.json"):
        read_gates([path])


def test_published_numbers_are_shares_with_a_source_or_refused(tmp_path: Path) -> None:
    paper = read_paper([ROOT / "resources/paper_results.yaml"])
    assert all(0 < found["task0"] < 1 and found["source"] and found["reliability"] for found in paper["families"].values())
    families = yaml.safe_load((ROOT / "config/config.yaml").read_text())["comparison"]["families"]
    assert set(paper["families"]) <= set(families)
    counts = [paper["pseudo_examples"][name] for name in ("generated", "parsed", "distinct", "real_question", "right_answer")]
    assert counts == sorted(counts, reverse=True)
    (tmp_path / "paper.yaml").write_text("families: {}")
    with pytest.raises(ValueError, match=r"paper\.yaml"):
        read_paper([tmp_path / "paper.yaml"])
