"""Task 0 for LAMOL: the model also learns to write the questions."""

from __future__ import annotations

from pathlib import Path

from forgetting.config.jobs.task0 import LamolTask0Job
from forgetting.methods.lamol.language import LanguageBatches
from forgetting.scenarios.biography.tokenizer import end_token, load_tokenizer
from forgetting.stages.task0 import finetune_task0


def finetune_task0_lamol(job: LamolTask0Job, data: Path, start: Path, scratch: Path, output: Path) -> None:
    """Task 0 with `job.language_loss` times the language-modelling loss on top; writes what `finetune_task0` writes."""
    end, weight = end_token(load_tokenizer(data / "tokenizer")), job.language_loss
    finetune_task0(job, data, start, scratch, output, lambda batches: LanguageBatches(batches, weight, end))
