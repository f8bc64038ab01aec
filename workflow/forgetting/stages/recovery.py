"""The recovery probe and its controls: is the forgetting spurious (docs/definitions.md)?"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.config.jobs.recovery import RecoveryJob
from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.data.items import Items
from forgetting.data.points import EARLY_STEP, END, MATCHED, TROUGH, matched_step, never_had_task0, trough_step
from forgetting.evaluation.scorers import SCORERS
from forgetting.intervals import summarise
from forgetting.model.checkpoints import (
    CHECKPOINTS,
    load_architecture,
    load_checkpoint,
    pick_device,
    publish_all,
    random_model,
    save_checkpoint,
)
from forgetting.model.manifest import MANIFEST, step_folders
from forgetting.scenarios.biography.texts import Biographies
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.stages.measurements import evaluate_facts, facts_frame, of_run, run_metrics
from forgetting.tables import TableError, atomic, read_table, write_table
from forgetting.training.accounting import usage_metrics
from forgetting.training.batches import RECOVERY_ORDER, Batches, QuestionBatches, TextBatches, epoch_steps
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch

PROBED_SPLITS = ("task0_test", "control")
OTHER_WORDINGS, UNSEEN_TEXT = "other_wordings.parquet", "probe_biographies.arrow"
_DOSE_STREAM, _HALF_STREAM = 16, 17
CODE = (Path(__file__),)
"""What the saved state of a probe is bound to, with all that it imports."""
RANDOM_START_SEED = 1_000_003
"""Added to the seed of the study, so that no random start is another seed's initialisation of pretraining."""


@dataclass(frozen=True)
class Probe:
    """One recovery run: from which weights, on what, for how many epochs.

    start, training, units: see RECOVERY; `units` is asked for by a dose alone. grid: when it is evaluated: ends (before and after), fine
    (also at `recovery.evaluate_steps`), or full (also at the reported epochs, and evenly after the first). keep: the names (trough, end)
    under which the recovered weights of the first epoch are kept, at every reported share of it.
    """

    start: str
    checkpoint: int
    folder: Path
    epochs: float
    grid: Literal["ends", "fine", "full"] = "full"
    training: str = "right"
    units: int | None = None
    keep: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its files in the scratch folder."""
        return f"{self.start}-{self.training}-{self.units}-{self.checkpoint}-{self.epochs}"


class Prober:
    """Trains one epoch or more on `task0_train`, or as many steps on what a control has in its place, and measures `task0_test`, and at
    reported epochs `control` as well. Of another task than Task 0 it trains on half of the units, and measures the other half.

    Finished probes are kept in the scratch folder, and read back as long as the files `starts`, which stand for the weights they
    begin with, are the same. There, too, is the state of the one that runs.
    """

    def __init__(
        self, job: RecoveryJob | SequenceRecoveryJob, data: Path, starts: Sequence[Path], scratch_folder: Path, task: str = "task0"
    ) -> None:
        self.job = job
        self.config, self.scorer = job.recovery, SCORERS[job.scorer]
        questions = Items.load(data / "items.parquet")
        self.train_questions, measured = recovered_with(questions, task, job.seed)
        if not len(self.train_questions):
            split = "task0_train" if task == "task0" else task
            raise TableError(f"{data / 'items.parquet'}: has no {split} questions to recover with")
        self.measured = measured.first_units(job.evaluation.units_per_split)
        self.recovered = PROBED_SPLITS[0] if task == "task0" else task
        """The split whose accuracy is to come back."""
        self.to_come_back = self.measured.of(self.recovered)
        self.unseen_questions, self.fresh_questions = questions.of("probe"), questions.of("task0_val")
        self.inputs = [data / "items.parquet", *starts]
        self.data = data
        if isinstance(job, RecoveryJob) and job.controls:
            self.inputs += [data / name for name in (OTHER_WORDINGS, UNSEEN_TEXT)]
        self.units = np.unique(self.train_questions.unit)
        self.scratch = Scratch(scratch_folder, job, self.inputs, CODE)
        self.kept = self.scratch.folder / "checkpoints"

    def facts(self, probe: Probe) -> pd.DataFrame:
        """RECOVERY_FACTS rows of one probe, trained now or read back when an earlier job finished it."""
        path = self._path(probe)
        if path.exists():
            return read_table(path, RECOVERY_FACTS)
        frame = self._train(probe)
        write_table(frame, path, RECOVERY_FACTS)
        shutil.rmtree(self.scratch.folder / probe.name, ignore_errors=True)
        return frame

    def _path(self, probe: Probe) -> Path:
        return self.scratch.folder / f"{probe.name}.parquet"

    def _cost_path(self, probe: Probe) -> Path:
        return self.scratch.folder / f"{probe.name}.json"

    def _train(self, probe: Probe) -> pd.DataFrame:
        model = self._model(probe).to(pick_device())
        batches, units = self._trained_on(probe)
        steps = self._evaluated_steps(probe)

        def evaluate(step: int) -> dict[str, Tensor]:
            epochs = steps[step]
            if epochs in self.config.epochs and epochs <= 1:
                for name in probe.keep:
                    save_checkpoint(model, self.kept / f"{name}-{epochs:g}", self.job.checkpoint_precision)
            asked = self.measured if epochs in (0.0, probe.epochs, *self.config.epochs) else self.to_come_back
            return evaluate_facts(self.scorer, model, asked, self.job.evaluation.batch_size)

        plan = Plan(
            max(steps),
            batches,
            self.config.optimizer,
            self.config.schedule,
            frozenset(steps),
            evaluate,
            self.job.precision,
            schedule_steps=self._steps(1.0),
        )
        history = train(model, plan, Scratch(self.scratch.folder / probe.name, self.job, self.inputs, CODE))
        with atomic(self._cost_path(probe)) as part:
            part.write_text(json.dumps([history.seconds, history.tokens, history.usage]), encoding="utf-8")
        frames = [
            facts_frame(found, self.measured).assign(step=int(step), epochs=steps[int(step)]) for step, found in history.evaluations.items()
        ]
        return pd.concat(frames, ignore_index=True).assign(
            scale=self.job.scale,
            seed=self.job.seed,
            stage=self.job.stage,
            arm=self.job.arm,
            start=probe.start,
            training=probe.training,
            units=units,
            checkpoint=probe.checkpoint,
        )

    def _trained_on(self, probe: Probe) -> tuple[Batches, int]:
        """The batches of a probe, and how many units they are about. Their order is not that of Task 0."""
        size, seed = self.config.batch_size, self.job.seed
        if probe.training == "text":
            texts = Biographies.load(self.data / UNSEEN_TEXT)
            return TextBatches(texts.rows, size, seed, RECOVERY_ORDER), texts.units
        questions = {
            "right": lambda: self.train_questions,
            "shuffled": lambda: self.train_questions.with_shuffled_answers(seed),
            "reworded": lambda: Items.load(self.data / OTHER_WORDINGS),
            "dose": lambda: self.train_questions.of_units(
                np.random.default_rng([seed, _DOSE_STREAM]).permutation(self.units)[: probe.units]
            ),
            "unseen": lambda: self.unseen_questions,
            "fresh": lambda: self.fresh_questions,
        }[probe.training]()
        return QuestionBatches(questions, size, seed, RECOVERY_ORDER), len(np.unique(questions.unit))

    def _steps(self, epochs: float) -> int:
        """Optimizer steps in passes over `task0_train`, for every probe, whatever it trains on."""
        return epoch_steps(len(self.train_questions), self.config.batch_size, epochs)

    def _evaluated_steps(self, probe: Probe) -> dict[int, float]:
        """Steps at which a probe is evaluated, in ascending order, and how many epochs each is; the even grid is for savings."""
        last, reported = self._steps(probe.epochs), {0.0, probe.epochs}
        if probe.grid == "full":
            reported.update(epochs for epochs in self.config.epochs if epochs <= probe.epochs)
            if probe.epochs > 1:
                per_epoch = self.config.evaluations_per_epoch
                reported.update(np.arange(per_epoch, round(probe.epochs * per_epoch) + 1) / per_epoch)
        per_step = self.config.batch_size / len(self.train_questions)
        early = {step: step * per_step for step in self.config.evaluate_steps if step < last and probe.grid != "ends"}
        return dict(sorted((early | {self._steps(epochs): epochs for epochs in sorted(reported)}).items()))

    def control_probes(self, step: int, folder: Path) -> list[Probe]:
        """The controls of form and content from one Task 1 checkpoint, and doses of the right answers. One dose is of as many units as
        the unseen ones are."""
        doses = {*self.config.doses, len(np.unique(self.unseen_questions.unit))}
        probes = [Probe("task1", step, folder, 1.0, "fine", training) for training in ("reworded", "fresh", "unseen", "text")]
        return probes + [Probe("task1", step, folder, 1.0, "fine", "dose", units) for units in sorted(doses) if units < len(self.units)]

    def _model(self, probe: Probe) -> PreTrainedModel:
        if probe.start != "random":
            return load_checkpoint(probe.folder)
        return random_model(load_architecture(probe.folder), RANDOM_START_SEED + self.job.seed)

    def write(self, probes: list[Probe], output: Path) -> None:
        """Run every probe and write metrics.parquet, facts.parquet, the weights that are kept to checkpoints/, and their manifest."""
        write_probes({self: probes}, output)
        publish_all({folder.name: folder for folder in self.kept.glob("*-*") if folder.is_dir()}, output)
        self.scratch.remove()

    def usages(self, probes: list[Probe]) -> list[Any]:
        """What each of these probes took to train, as `usage_metrics` has it."""
        return [json.loads(self._cost_path(probe).read_text(encoding="utf-8")) for probe in probes]

    def run_missing(self, probes: list[Probe]) -> None:
        """Train those of the probes that no earlier job finished."""
        self._run([probe for probe in probes if not self._path(probe).exists()])

    def _run(self, probes: list[Probe]) -> None:
        """Train these probes, with a line after each on what came out and how long the others will take."""
        started, total, done = time.perf_counter(), sum(probe.epochs for probe in probes), 0.0
        for number, probe in enumerate(probes, start=1):
            frame = self.facts(probe)
            done += probe.epochs
            final = frame[(frame["step"] == frame["step"].max()) & (frame["split"] == self.recovered)][self.scorer.measures.accuracy].mean()
            rate = (time.perf_counter() - started) / done if done else float("nan")
            print(
                f"probe {number}/{len(probes)} ({probe.start}, {probe.training}, from step {probe.checkpoint}, {probe.epochs:g} epochs)  "
                f"{self.recovered} exact match {final:.3f}  {rate:.1f} s/epoch  {rate * (total - done):.0f} s left",
                flush=True,
            )


def recovered_with(questions: Items, task: str, seed: int) -> tuple[Items, Items]:
    """What recovery of a task trains on, and what tells whether the task came back, the questions of the task first.

    Task 0: the persons of `task0_train`, and `task0_test` and `control`, whose questions no stage trained on. Any other task has no such
    persons, so a random half of its units is trained on and the rest asked, which was trained on in that task (docs/definitions.md).
    """
    if task == "task0":
        test, control = (questions.of(split) for split in PROBED_SPLITS)
        return questions.of("task0_train"), test.joined_with(control)
    of_task = questions.of(task)
    units = np.random.default_rng([seed, _HALF_STREAM]).permutation(np.unique(of_task.unit))
    trained, asked = np.split(units, [len(units) // 2])
    return of_task.of_units(trained), of_task.of_units(asked)


def write_probes(done: Mapping[Prober, list[Probe]], output: Path) -> None:
    """Run all probes of these probers of one job, and write facts.parquet, and metrics.parquet with what they cost to train together:
    split train, start and training all, and how many epochs they were."""
    for prober, probes in done.items():
        prober.run_missing(probes)
    first = next(iter(done))
    facts = pd.concat([prober.facts(probe) for prober, probes in done.items() for probe in probes], ignore_index=True)
    trained = {prober: [probe for probe in probes if probe.epochs] for prober, probes in done.items()}
    usage = usage_metrics(chain.from_iterable(prober.usages(probes) for prober, probes in trained.items()))
    epochs = sum(probe.epochs for probe in chain.from_iterable(trained.values()))
    costs = of_run(run_metrics(0, usage), first.job).assign(start="all", training="all", units=0, checkpoint=-1, epochs=epochs)
    keys = ["scale", "seed", "stage", "arm", "step", "start", "training", "units", "checkpoint", "epochs"]
    metrics = summarise(facts, keys, first.scorer.measures)
    write_table(facts, output / "facts.parquet", RECOVERY_FACTS)
    write_table(pd.concat([metrics, costs], ignore_index=True), output / "metrics.parquet", RECOVERY)


def recover_arm(job: RecoveryJob, data: Path, task0: Path, task1: Path, scratch_folder: Path, output: Path) -> None:
    """Probe one arm from its Task 1 checkpoints; `task0` and `task1` are the folders of the model it started from and of its run.

    From the points trough, matched and end, for one epoch (probe: short) or for the longest of `recovery.epochs`,
    trough and end then also with shuffled answers (long); from every other checkpoint for one epoch too (curve), when the weights
    recovered from trough and end are kept as well. `controls` of the job adds the controls of form and content at trough and end. What the
    arm started from (checkpoint 0) is scored as it is, in a curve also after one epoch.

    The other checkpoints of a curve are looked at before and after, but finely in an arm with controls, and in one that never had Task 0:
    at any of its checkpoints another arm may have the trough that it is held against. With controls, such an arm is for the same reason
    trained on fresh persons from all checkpoints among which a trough may be.
    """
    metrics = read_table(task1 / "metrics.parquet", METRICS)
    prober = Prober(job, data, [task1 / MANIFEST], scratch_folder)
    kind = job.probe
    folders = step_folders(task1 / CHECKPOINTS)
    trough, end = trough_step(metrics, list(folders)), max(folders)
    main = {trough, end}
    matched = matched_step(metrics)
    if not np.isnan(matched):
        folders[int(matched)] = task1 / CHECKPOINTS / MATCHED
        main.add(int(matched))
    elsewhere: Literal["ends", "fine"] = "fine" if job.controls or never_had_task0(job.arm) else "ends"
    probes = [Probe("task1", 0, task0 / "model", 1.0 if kind == "curve" else 0.0, elsewhere)]
    for step, folder in sorted(folders.items()):
        if step in main or kind == "curve":
            longest = max(prober.config.epochs) if step in main and kind != "short" else 1.0
            keep = tuple(name for name, at in ((TROUGH, trough), (END, end)) if at == step and kind == "curve")
            grid: Literal["ends", "fine", "full"] = elsewhere if step not in main else "full" if kind != "short" else "fine"
            probes.append(Probe("task1", step, folder, longest, grid, keep=keep))
    for step in sorted({trough, end}) if kind != "short" else ():
        probes.append(Probe("task1", step, folders[step], 1.0, training="shuffled"))
        probes += prober.control_probes(step, folders[step]) if job.controls else []
    if job.controls and never_had_task0(job.arm):
        elsewhere_early = [step for step in sorted(folders) if step <= EARLY_STEP and step != trough]
        probes += [Probe("task1", step, folders[step], 1.0, "fine", "fresh") for step in elsewhere_early]
    prober.write(probes, output)


def recover_controls(job: RecoveryJob, data: Path, pretrain: Path, task0: Path, scratch_folder: Path, output: Path) -> None:
    """The same probe from the pretrained model, which never saw a question, and from random weights; and from the checkpoints within
    pretraining and Task 0, the two stages before Task 1, for one epoch. `pretrain` and `task0` are the folders of their jobs."""
    prober = Prober(job, data, [pretrain / MANIFEST, task0 / MANIFEST], scratch_folder)
    model, longest = pretrain / "model", max(prober.config.epochs)
    probes = [Probe("pretrained", 0, model, longest), Probe("random", 0, model, longest)]
    for stage, folder in (("pretraining", pretrain), ("task0", task0)):
        probes += [Probe(stage, step, checkpoint, 1.0, "fine") for step, checkpoint in step_folders(folder / CHECKPOINTS).items()]
    prober.write(probes, output)
