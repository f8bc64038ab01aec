"""Recovery of every earlier task of a sequence, from the end of each task (docs/definitions.md)."""

from __future__ import annotations

import shutil
from pathlib import Path

from forgetting.config.jobs.sequence import SequenceRecoveryJob
from forgetting.model.checkpoints import CHECKPOINTS, WEIGHTS
from forgetting.model.manifest import MANIFEST, step_folders
from forgetting.stages.recovery import Probe, Prober, write_probes


def recover_earlier(job: SequenceRecoveryJob, data: Path, run: Path, scratch_folder: Path, output: Path) -> None:
    """From the last weights of the folder `run`, of an arm that has learned a task: recover Task 0 and each task in between, one epoch
    each, and as long with shuffled answers, which teaches the form alone. Writes metrics.parquet and facts.parquet."""
    assert job.learned is not None
    step, folder = max(step_folders(run / CHECKPOINTS).items())
    probers = {
        Prober(job, data, [run / MANIFEST], scratch_folder / task, task): [
            Probe(job.learned, step, folder, 1.0, "fine"),
            Probe(job.learned, step, folder, 1.0, "ends", "shuffled"),
        ]
        for task in ("task0", *job.tasks)
    }
    write_probes(probers, output)
    shutil.rmtree(scratch_folder)


def recover_unlearned(job: SequenceRecoveryJob, data: Path, pretrain: Path, task0: Path, scratch_folder: Path, output: Path) -> None:
    """The same probes from models that never learned the task: after pretraining, with random weights, and for tasks after Task 0 from the
    model after Task 0 (step 0 of Task 1), which knows their form. `pretrain` and `task0` are the folders of their models."""
    without = [Probe("pretrained", 0, pretrain, 1.0, "fine"), Probe("random", 0, pretrain, 1.0, "fine")]
    form = Probe("task1", 0, task0, 1.0, "fine")
    inputs = [pretrain / WEIGHTS, task0 / WEIGHTS]
    probers = {Prober(job, data, inputs, scratch_folder / "task0", "task0"): without}
    for task in job.tasks:
        probers[Prober(job, data, inputs, scratch_folder / task, task)] = [*without, form]
    write_probes(probers, output)
    shutil.rmtree(scratch_folder)
