from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import jobs, sections

from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.data.items import Items
from forgetting.data.points import trough_step
from forgetting.evaluation.exact import score
from forgetting.model.checkpoints import load_checkpoint, load_weights, save_checkpoint
from forgetting.model.manifest import write_manifest
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.stages.finetune import finetune
from forgetting.stages.measurements import evaluate_facts
from forgetting.stages.recovery import recover_arm, recover_controls
from forgetting.stages.task0 import finetune_task0
from forgetting.tables import TableError, read_table, write_table

OPTIMIZER = sections.optimizer(learning_rate=1e-2)


def run_of(arm: str = "seq", probe: str = "curve", controls: bool = False) -> RecoveryJob:
    grid = {"epochs": [0.5, 1.0, 2.0], "evaluations_per_epoch": 3, "evaluate_steps": [1, 3], "doses": [1, 3]}
    recovery = sections.recovery(batch_size=8, optimizer=OPTIMIZER, **grid)
    return jobs.recovery(arm=arm, recovery=recovery, probe=probe, controls=controls)


@pytest.fixture
def task1(tiny_model, tiny_data: Path, tmp_path: Path) -> Path:
    """A short Task 1 run beside the model it started from (task0/model)."""
    save_checkpoint(tiny_model, tmp_path / "task0" / "model")
    write_manifest(tmp_path / "task0", ["model"])
    config = sections.task1(
        steps=20, batch_size=8, optimizer=OPTIMIZER, evaluate=[(10, 5)], evaluate_later=10, checkpoints=[(10, 5)], later_checkpoints=1
    )
    run = jobs.task1(config)
    finetune(run, tiny_data, [tmp_path / "task0" / "model"], tmp_path / "scratch", tmp_path / "task1")
    return tmp_path / "task1"


def recover(task1: Path, data: Path, output: Path, **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    recover_arm(run_of(**options), data, task1.parent / "task0", task1, task1.parent / "scratch", output)
    return read_table(output / "metrics.parquet", RECOVERY), read_table(output / "facts.parquet", RECOVERY_FACTS)


def test_a_curve_recovers_from_every_checkpoint_and_long_from_trough_and_end(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    metrics, facts = recover(task1, tiny_data, tmp_path / "out")
    trough = trough_step(read_table(task1 / "metrics.parquet", METRICS), [5, 10, 20])
    longest = metrics[metrics["training"] == "right"].groupby("checkpoint")["epochs"].max()
    assert longest.to_dict() == {step: 2.0 if step in (trough, 20) else 1.0 for step in (0, 5, 10, 20)}
    assert set(metrics.loc[metrics["training"] == "shuffled", "checkpoint"]) == {trough, 20}
    assert set(facts["split"]) == {"task0_test", "control"}
    assert not (tmp_path / "scratch").exists()


def test_control_persons_are_asked_where_an_epoch_is_reported_alone(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    metrics, facts = recover(task1, tiny_data, tmp_path / "out", probe="long")
    probe = metrics[(metrics["training"] == "right") & (metrics["checkpoint"] == 20) & (metrics["metric"] == "exact_match")]
    asked = {split: set(rows["epochs"]) for split, rows in probe[probe["kind"] == "all"].groupby("split")}
    assert asked["control"] == {0.0, 0.5, 1.0, 2.0}
    assert asked["task0_test"] > asked["control"] and {1, 3} < set(probe["step"])
    of_fine = facts[(facts["step"] == 1) & (facts["training"] == "right") & (facts["checkpoint"] == 20)]
    assert set(of_fine["split"]) == {"task0_test"} and set(of_fine["unit"]) == set(facts.loc[facts["split"] == "task0_test", "unit"])


@pytest.mark.parametrize(("probe", "longest", "shuffled"), [("long", 2.0, True), ("short", 1.0, False)])
def test_without_a_curve_only_trough_and_end_are_recovered(
    task1: Path, tiny_data: Path, tmp_path: Path, probe: str, longest: float, shuffled: bool
) -> None:
    metrics, _ = recover(task1, tiny_data, tmp_path / "out", probe=probe)
    trough = trough_step(read_table(task1 / "metrics.parquet", METRICS), [5, 10, 20])
    found = metrics[metrics["training"] == "right"].groupby("checkpoint")["epochs"].max()
    assert found.to_dict() == {0: 0.0, trough: longest, 20: longest}
    assert ("shuffled" in set(metrics["training"])) == shuffled


def test_before_any_recovery_the_accuracies_are_those_of_the_task1_run(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    _, facts = recover(task1, tiny_data, tmp_path / "out")
    of_task1 = pd.read_parquet(task1 / "facts.parquet")
    for checkpoint in (5, 10, 20):
        start = facts[(facts["training"] == "right") & (facts["checkpoint"] == checkpoint) & (facts["epochs"] == 0)]
        then = of_task1[(of_task1["step"] == checkpoint) & of_task1["split"].isin(["task0_test", "control"])]
        assert start["exact_match"].tolist() == then["exact_match"].tolist()
        assert np.allclose(start["answer_nll"], then["answer_nll"], atol=1e-4)


def test_one_epoch_is_the_same_in_a_short_and_in_a_long_probe(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    """The schedule belongs to one epoch, so probing longer does not change what one epoch gives."""
    recover(task1, tiny_data, tmp_path / "long")
    long = pd.read_parquet(tmp_path / "long" / "facts.parquet")
    run = run_of()
    short_run = run.model_copy(update={"recovery": run.recovery.model_copy(update={"epochs": [0.5, 1.0]})})
    recover_arm(short_run, tiny_data, task1.parent / "task0", task1, tmp_path / "scratch", tmp_path / "short")
    short = pd.read_parquet(tmp_path / "short" / "facts.parquet")

    def end(frame: pd.DataFrame) -> pd.Series:
        return frame[(frame["training"] == "right") & (frame["checkpoint"] == 20) & (frame["epochs"] == 1.0)]["answer_nll"]

    assert end(long).tolist() == end(short).tolist()


def test_finished_probes_are_read_back(task1: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that dies at the third probe trains only what is missing when it runs again."""
    from forgetting.stages.recovery import Prober

    train, trained = Prober._train, []

    def dying(self: Prober, probe):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(probe)
        return train(self, probe)

    monkeypatch.setattr(Prober, "_train", dying)
    with pytest.raises(KeyboardInterrupt):
        recover(task1, tiny_data, tmp_path / "out")
    again = []
    monkeypatch.setattr(Prober, "_train", lambda self, probe: again.append(probe) or train(self, probe))
    recover(task1, tiny_data, tmp_path / "out")
    assert trained and not set(trained) & set(again)


def kept_weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: load_weights(path) for path in sorted((folder / "checkpoints").iterdir())}


def test_a_curve_keeps_the_weights_recovered_from_trough_and_end(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    """They are ordinary models, which answer as the facts of the same epoch say; weights of an older run are gone."""
    (tmp_path / "out" / "checkpoints" / "end-9").mkdir(parents=True)
    _, facts = recover(task1, tiny_data, tmp_path / "out")
    trough = trough_step(read_table(task1 / "metrics.parquet", METRICS), [5, 10, 20])
    names = {trough: "trough", 20: "end"}
    kept = {(step, epochs): tmp_path / "out" / "checkpoints" / f"{name}-{epochs:g}" for step, name in names.items() for epochs in (0.5, 1)}
    assert {path.name for path in (tmp_path / "out" / "checkpoints").iterdir()} == {path.name for path in kept.values()}
    questions = Items.load(tiny_data / "items.parquet").of("task0_test", "control")
    for (step, epochs), folder in kept.items():
        then = facts[(facts["training"] == "right") & (facts["checkpoint"] == step) & (facts["epochs"] == epochs)]
        assert np.allclose(score(load_checkpoint(folder), questions, 512)["answer_nll"], then["answer_nll"], atol=1e-5)


@pytest.mark.parametrize("probe", ["long", "short"])
def test_without_a_curve_no_weights_are_kept(task1: Path, tiny_data: Path, tmp_path: Path, probe: str) -> None:
    recover(task1, tiny_data, tmp_path / "out", probe=probe)
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.parametrize("call", [2, *(pytest.param(call, marks=pytest.mark.long) for call in (5, 9, 14))])
def test_an_interrupted_recovery_keeps_identical_weights(
    task1: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Killed at different evaluations, before or after weights were saved."""
    from forgetting.stages import recovery

    recover(task1, tiny_data, tmp_path / "whole")
    calls = itertools.count(1)

    def dying(*arguments):
        if next(calls) == call:
            raise KeyboardInterrupt
        return evaluate_facts(*arguments)

    monkeypatch.setattr(recovery, "evaluate_facts", dying)
    with pytest.raises(KeyboardInterrupt):
        recover(task1, tiny_data, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    recover(task1, tiny_data, tmp_path / "again")
    whole, again = kept_weights(tmp_path / "whole"), kept_weights(tmp_path / "again")
    assert whole.keys() == again.keys() and len(whole) in (2, 4)
    for name, weights in whole.items():
        assert all(torch.equal(weight, again[name][key]) for key, weight in weights.items())


def test_controls_start_from_pretrained_and_random_weights_and_within_the_stages_before(
    task1: Path, tiny_data: Path, tmp_path: Path
) -> None:
    start = task1.parent / "task0"
    task0 = jobs.task0(sections.task0(epochs=2.0, batch_size=8, optimizer=OPTIMIZER, kept_fractions=[0.25, 0.5]))
    finetune_task0(task0, tiny_data, start / "model", tmp_path / "a", tmp_path / "trained")
    recover_controls(run_of("controls"), tiny_data, start, tmp_path / "trained", tmp_path / "scratch", tmp_path / "out")
    metrics = read_table(tmp_path / "out" / "metrics.parquet", RECOVERY)
    longest = metrics.groupby(["start", "checkpoint"])["epochs"].max().to_dict()
    within = {("task0", step): 1.0 for step in (4, 9)}  # of 18 steps
    assert longest == {("pretrained", 0): 2.0, ("random", 0): 2.0, ("all", -1): 6.0} | within
    untouched = metrics[(metrics["epochs"] == 0) & (metrics["metric"] == "answer_nll") & (metrics["split"] == "task0_test")]
    nll = untouched[untouched["kind"] == "all"].set_index(["start", "checkpoint"])["value"]
    assert nll["task0", 9] < nll["task0", 4] < nll["pretrained", 0], "each from its own weights"
    cost = metrics[metrics["start"] == "all"].set_index("metric")["value"]
    steps = cost["seconds"] / cost["step_seconds"]
    assert steps == pytest.approx(metrics.loc[metrics["start"] != "all"].groupby(["start", "checkpoint"])["step"].max().sum())


def test_recovery_from_the_pretrained_model_is_not_task_0_again(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    """With the order of Task 0 it would be its first epoch, batch for batch, and end in the very same weights and answers."""
    start = task1.parent / "task0" / "model"
    config = sections.task0(epochs=1.0, batch_size=8, optimizer=OPTIMIZER)
    finetune_task0(jobs.task0(config), tiny_data, start, tmp_path / "a", tmp_path / "again")
    recover_controls(run_of("controls"), tiny_data, start.parent, start.parent, tmp_path / "b", tmp_path / "out")
    of_task0, facts = (pd.read_parquet(tmp_path / name / "facts.parquet") for name in ("again", "out"))
    facts = facts[(facts["start"] == "pretrained") & (facts["epochs"] == 1.0) & (facts["split"] == "task0_test")]
    of_task0 = of_task0[(of_task0["step"] == of_task0["step"].max()) & (of_task0["split"] == "task0_test")]
    assert facts["unit"].tolist() == of_task0["unit"].tolist()
    assert np.abs(facts["answer_nll"].to_numpy() - of_task0["answer_nll"].to_numpy()).max() > 0.01


def test_controls_of_form_and_content_take_as_many_steps_as_the_right_answers(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    """12 persons of task0_train, 4 of task0_val, 3 of no stage: an epoch is 9 steps of 8 questions, and each control has as many."""
    _, facts = recover(task1, tiny_data, tmp_path / "out", controls=True)
    end = facts[(facts["checkpoint"] == 20) & (facts["epochs"] == 1.0)]
    assert set(end["step"]) == {9}
    units = end.groupby("training")["units"].unique().map(sorted).to_dict()
    assert units == {"right": [12], "shuffled": [12], "reworded": [12], "fresh": [4], "unseen": [3], "text": [3], "dose": [1, 3]}
    answers = {key: rows["answer_nll"].tolist() for key, rows in end.groupby(["training", "units"])}
    assert len({tuple(values) for values in answers.values()}) == len(answers), "no two train on the same"
    for (training, _), rows in facts[facts["checkpoint"] == 20].groupby(["training", "units"]):
        assert {0, 1, 3, 9} <= set(rows["step"]), training


def test_a_run_without_task0_trains_on_fresh_persons_from_every_checkpoint_that_may_be_a_trough(
    task1: Path, tiny_data: Path, tmp_path: Path
) -> None:
    metrics = read_table(task1 / "metrics.parquet", METRICS)
    write_table(metrics.assign(arm="seq-no-task0"), task1 / "metrics.parquet", METRICS)
    _, facts = recover(task1, tiny_data, tmp_path / "out", arm="seq-no-task0", controls=True)
    assert set(facts.loc[facts["training"] == "fresh", "checkpoint"]) == {5, 10, 20}
    assert len(facts[facts["training"] == "unseen"]["checkpoint"].unique()) == 1, "20 is trough and end"


def test_recovery_is_looked_at_from_the_first_step_on(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    """At the main checkpoints; at the others only in an arm with controls, or one that never had Task 0."""
    metrics, _ = recover(task1, tiny_data, tmp_path / "out")
    trough = trough_step(read_table(task1 / "metrics.parquet", METRICS), [5, 10, 20])
    steps = metrics[metrics["training"] == "right"].groupby("checkpoint")["step"].unique().map(sorted)
    assert steps[trough] == [0, 1, 3, 5, 9, 12, 15, 18], "half an epoch is step 5, and from the first epoch on there are three evaluations"
    assert {tuple(found) for step, found in steps.items() if step not in (trough, 20)} == {(0, 9)}
    shutil.rmtree(tmp_path / "out")
    metrics, _ = recover(task1, tiny_data, tmp_path / "out", arm="seq-no-task0")
    steps = metrics[metrics["training"] == "right"].groupby("checkpoint")["step"].unique().map(sorted)
    assert all({1, 3} <= set(found) for found in steps)


def test_no_recovery_without_task0_persons(task1: Path, tiny_data: Path, tmp_path: Path) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(tiny_data / "items.parquet")
    (tmp_path / "data").mkdir()
    pq.write_table(table.filter(pc.not_equal(table["split"], "task0_train")), tmp_path / "data" / "items.parquet")
    with pytest.raises(TableError, match=r"items\.parquet: has no task0_train questions"):
        recover(task1, tmp_path / "data", tmp_path / "out")
