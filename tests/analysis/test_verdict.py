from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from tests.analysis.test_propositions import table as theory

from forgetting.analysis.propositions import theory_verdicts
from forgetting.analysis.spurious import accuracy_by_unit
from forgetting.analysis.verdict import freezing_table, theory_table, verdict_table
from forgetting.analysis.words import OTHER_FLOOR
from forgetting.config.biography import ATTRIBUTES
from forgetting.figures.present import present
from forgetting.intervals import summarise
from forgetting.schemas.common_shift import COMMON_SHIFT
from forgetting.schemas.facts import EXACT
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.schemas.theory import THEORY
from forgetting.statistics import paired_difference
from forgetting.tables import write_table

UNITS, END = 50, 2000
BEFORE = 0.96
PLANTED = {
    "spurious": {100: (0.10, 0.94), 150: (0.12, 0.94), END: (0.50, 0.70)},
    "kept": {100: (0.96, 0.96), 150: (0.96, 0.96), END: (0.96, 0.96)},
}
"""Exact match at the checkpoints, and after one epoch of recovery from there."""
SHIFTS = {"early": 0.05, "matched": 0.2, "end": 0.8}
Frames = dict[str, pd.DataFrame]


def answers(accuracy: float, split: str = "task0_test", shift: int = 0, **run: object) -> pd.DataFrame:
    """As many right answers as the accuracy says, spread over the persons; `shift` makes others of them the right ones."""
    count = UNITS * len(ATTRIBUTES)
    rank = (np.arange(count) * 7 + shift) % count
    frame = pd.DataFrame({"unit": np.repeat(np.arange(UNITS), len(ATTRIBUTES)), "kind": np.tile(ATTRIBUTES, UNITS)})
    right = rank < round(accuracy * count)
    frame = frame.assign(split=split, exact_match=right, first_token_hard=right, first_token_soft=0.5, answer_nll=1.0)
    return frame.assign(
        **{"scale": "tiny", "stage": "recovery", "start": "task1", "training": "right", "units": 150, "checkpoint": 0, "epochs": 0.0} | run
    )


def recovery_facts(seed: int, jitter: float) -> pd.DataFrame:
    """Two arms and the controls of one seed: what comes back from the checkpoints differs between seeds by the jitter."""
    parts = []
    for arm, checkpoints in PLANTED.items():
        parts += [answers(BEFORE, arm=arm, epochs=epochs) for epochs in (0.0, 1.0)]
        for checkpoint, (dropped, recovered) in checkpoints.items():
            level = recovered + (jitter if recovered != BEFORE else 0)
            parts.append(answers(dropped, arm=arm, checkpoint=checkpoint))
            parts.append(answers(level, shift=3, arm=arm, checkpoint=checkpoint, epochs=1.0))
            parts += [answers(0.0, "control", arm=arm, checkpoint=checkpoint, epochs=epochs) for epochs in (0.0, 1.0)]
        for checkpoint in (100, END):
            parts += [answers(0.1, arm=arm, training="shuffled", checkpoint=checkpoint, epochs=epochs) for epochs in (0.0, 1.0)]
    for start, accuracy in (("pretrained", 0.94), ("random", 0.0)):
        parts += [answers(epochs * accuracy, arm="controls", start=start, epochs=epochs) for epochs in (0.0, 1.0)]
    facts = pd.concat(parts, ignore_index=True)
    return facts.assign(seed=seed, step=(20 * facts["epochs"]).astype(int))


def metrics(seed: int, learned: bool = True) -> pd.DataFrame:
    """Only what the verdict asks of them: where Task 1 was learned."""
    rows = pd.DataFrame({"arm": list(PLANTED), "value": float(END) if learned else np.nan})
    rows = rows.assign(scale="tiny", seed=seed, stage="task1", step=END, split="task1", kind="all", metric="early_stop_step")
    return rows.assign(n=1, low=np.nan, high=np.nan)


def common_shift(seed: int) -> pd.DataFrame:
    """Of arm `spurious`: more is restored in the residual stream late. Rows with another grouping or attribute must not be taken for the
    ones that count, nor a common share of the residual stream."""
    rows = []
    for point, restored in SHIFTS.items():
        for space, grouping, kind in (
            ("logits", "kind_position", "all"),
            ("logits", "one_shift", "all"),
            ("residual_stream", "kind_position", "all"),
            ("logits", "kind_position", "major"),
        ):
            right, stream = (grouping, kind) == ("kind_position", "all"), space == "residual_stream"
            common, again = (-9.0, 0.9 if point == "end" else restored) if stream else (0.7, restored)
            for removed, metric, value in (("nothing", "common_share", common), ("common", "restored_share", again)):
                rows.append((point, space, grouping, kind, removed, metric, value if right else -9.0))
    frame = pd.DataFrame(rows, columns=["point", "space", "grouping", "kind", "removed", "metric", "value"])
    frame = frame.assign(scale="tiny", seed=seed, arm="spurious", step=0, low=frame["value"] - 0.04, high=frame["value"] + 0.04)
    return frame.assign(chance=0.0, chance_low=-0.01, chance_high=0.01)


def frames(seeds: int) -> Frames:
    jitters = (0.0, 0.02, -0.02)[:seeds]
    facts = pd.concat([recovery_facts(seed, jitter) for seed, jitter in enumerate(jitters)], ignore_index=True)
    return {
        "metrics": pd.concat([metrics(seed) for seed in range(seeds)], ignore_index=True),
        "recovery": summarise(
            facts, ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"], EXACT
        ),
        "recovery_facts": facts,
        "common_shift": pd.concat([common_shift(seed) for seed in range(seeds)], ignore_index=True),
    }


def test_a_difference_of_accuracies_and_its_interval() -> None:
    first, second = answers(0.8), answers(0.5, shift=3)
    by_unit = (first.groupby("unit")["exact_match"].mean() - second.groupby("unit")["exact_match"].mean()).to_numpy()
    found = paired_difference(accuracy_by_unit(first), accuracy_by_unit(second), len(ATTRIBUTES))
    assert found.value == pytest.approx(0.3)
    half = student.ppf(0.975, UNITS - 1) * by_unit.std(ddof=1) / np.sqrt(UNITS)
    assert found[1:] == pytest.approx([0.3 - half, 0.3 + half], abs=0.02)
    same = paired_difference(np.ones(UNITS), np.ones(UNITS), len(ATTRIBUTES))
    assert same.low < same.value == 0 < same.high, "no person differs, which is known of so many persons only"


def test_one_seed_with_planted_losses() -> None:
    table = verdict_table(**frames(1)).set_index("arm")
    row = table.loc["spurious"]
    planted = {"before": BEFORE, "pretrained": 0.94, "random": 0, "early_checkpoint": 100, "late_checkpoint": END}
    planted |= {"early_drop": 0.86, "late_drop": 0.46, "early_recovered": 0.94, "late_recovered": 0.7, "early_shuffled": 0.1}
    planted |= {"early_beyond_pretrained": 0, "late_beyond_pretrained": -0.24, "early_spurious_share": 0.84 / 0.86}
    planted |= {"late_spurious_share": 0.2 / 0.46, "early_common_share": 0.7, "early_restored_share": 0.05, "late_restored_share": 0.8}
    planted |= {"early_stream_restored_share": 0.05, "late_stream_restored_share": 0.9}
    assert {name: row[name] for name in planted} == pytest.approx(planted)
    for name in ("early_drop", "late_spurious_share", "late_beyond_pretrained", "early_restored_share"):
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    said = row["conclusion"]
    assert said.startswith("In this run: Early loss spurious (98 % [") and "back); late loss " in said
    assert "not ahead early (perhaps only format relearned), behind late (more than format lost)" in said
    assert said.endswith("Common-shift part: little early, most late.")
    assert table.loc["kept", "conclusion"] == "In this run: Nothing forgotten, early or late."
    assert np.isnan(table.loc["kept", "early_common_share"]) and np.isnan(table.loc["kept", "early_spurious_share"])


def test_three_seeds_give_the_interval_over_seeds() -> None:
    table = verdict_table(**frames(3)).set_index("arm")
    recovered = np.array([0.94, 0.96, 0.92])
    half = student.ppf(0.975, 2) * recovered.std(ddof=1) / np.sqrt(3)
    on_logit = np.log(0.94 / 0.06) + np.array([-half, half]) / (0.94 * 0.06)
    single = [verdict_table(**{name: part[part["seed"] == seed] for name, part in frames(3).items()}).set_index("arm") for seed in range(3)]
    names = ["early_recovered", "early_recovered_low", "early_recovered_high"]
    ends = np.array([one.loc["spurious", names].tolist() for one in single])
    units = [0.94 - np.sqrt(((recovered - ends[:, 1]) ** 2).sum()) / 3, 0.94 + np.sqrt(((ends[:, 2] - recovered) ** 2).sum()) / 3]
    low, high = 1 / (1 + np.exp(-on_logit))
    assert table.loc["spurious", names].tolist() == pytest.approx([0.94, min(low, units[0]), max(high, units[1])])
    share, names = half / 0.86, [f"early_spurious_share{end}" for end in ("", "_low", "_high")]
    found = table.loc["spurious", names].tolist()
    assert found[0] == pytest.approx(0.84 / 0.86) and found[1] <= 0.84 / 0.86 - share + 1e-9 and found[2] >= 0.84 / 0.86 + share - 1e-9
    assert not table["conclusion"].str.contains("In this run").any()
    assert (table["seeds"] == 3).all()
    assert "late loss mostly not back (43 % [33, 54] back)" not in table.loc["spurious", "conclusion"]  # the interval reaches over one half
    assert "late loss partly not back (43 % [33, 54] back)" in table.loc["spurious", "conclusion"]


def test_an_arm_that_did_not_learn_is_named() -> None:
    given = frames(1)
    table = verdict_table(**given | {"metrics": metrics(0, learned=False)})
    assert table["conclusion"].str.startswith("In this run: Task 1 not learned. ").all() and (table["learned"] == 0).all()


@pytest.mark.parametrize(("floor", "said"), [("seq-no-task0", OTHER_FLOOR), ("spurious-no-task0", "a model that never had Task 0")])
def test_an_arm_is_said_to_be_held_against_plain_fine_tuning_where_it_has_no_floor_of_its_own(floor: str, said: str) -> None:
    given = frames(1)
    given |= {name: pd.concat([frame, frame[frame["arm"] == "kept"].assign(arm=floor)]) for name, frame in given.items()}
    row = verdict_table(**given).set_index("arm").loc["spurious"]
    assert row["floor_arm"] == floor and f"Against {said}, before recovery: behind" in row["conclusion"]
    assert set(verdict_table(**frames(1))["floor_arm"]) == {""}


def test_the_command_reads_exact_schemas_and_writes_three_formats(tmp_path: Path) -> None:
    schemas = {
        "metrics": METRICS,
        "recovery": RECOVERY,
        "recovery_facts": RECOVERY_FACTS,
        "common_shift": COMMON_SHIFT,
    }
    given, flags = frames(1), []
    for name, schema in schemas.items():
        write_table(given[name], tmp_path / f"{name}.parquet", schema)
        flags += [f"--{name.replace('_', '-')}", str(tmp_path / f"{name}.parquet")]
    present(["table_verdict", *flags, "--output", str(tmp_path / "verdict")])
    written = pd.read_csv(tmp_path / "verdict.csv")
    numbers = [name for name in written if not name.endswith(("_low", "_high", "_seeds"))][3:15]
    answering = ("drop", "spurious_share", "floor_share", "kept_beyond_floor", "area_beyond_floor", "beyond_floor")
    assert numbers == [f"{time}_{name}" for time in ("early", "late") for name in answering], "what stands open on the page"
    assert written["arm"].tolist() == list(PLANTED) and list(written.columns[:3]) == ["arm", "conclusion", "seeds"]
    assert "Nothing forgotten, early or late." in (tmp_path / "verdict.md").read_text()
    assert r"98 \% [" in (tmp_path / "verdict.tex").read_text()


@pytest.mark.parametrize("seeds", [1, 3])
def test_theory_is_told_in_the_order_of_the_propositions(tmp_path: Path, seeds: int) -> None:
    parts = [theory(arm, seed, last=last) for seed in range(seeds) for arm, last in (("seq", 10.0), ("freeze-1", 3.0 + 0.1 * seed))]
    given = pd.concat([pd.concat(parts).assign(after=after) for after in ("task1_end", "task1_early")], ignore_index=True)
    table = theory_table(given)
    assert table["proposition"].is_monotonic_increasing and table["after"].tolist() == ["step 150", "end"] * (len(table) // 2)
    first = table[table["statistic"] == table["statistic"][0]]
    assert first["arm"].tolist() == ["seq", "seq", "freeze-1", "freeze-1"] and set(first["asks"]) == {"premise met?"}
    assert set(first["verdict"]) == {"in this run: premise met" if seeds == 1 else "premise met"}
    assert len(table) == len(theory_verdicts(given)) and not table.drop(columns=["low", "high"]).isna().any(axis=None)
    assert set(freezing_table(given)["proposition"]) == {"3"}
    write_table(given, tmp_path / "theory.parquet", THEORY)
    for name, expected in (("theory_table", table), ("theory_freezing", freezing_table(given))):
        present([f"table_{name}", "--theory", str(tmp_path / "theory.parquet"), "--output", str(tmp_path / name)])
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(expected)
