"""Common shift or erosion fact by fact: the change of old answers split in two, the repair without training, recall in other forms."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.data.points import matched_step
from forgetting.model.checkpoints import pick_device
from forgetting.pipeline.command import run_command
from forgetting.scenarios.biography.recall import in_sentences
from forgetting.schemas.common_shift import COMMON_SHIFT, COMMON_SHIFT_REPAIR
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recall import RECALL
from forgetting.tables import read_table, write_table
from forgetting.views.answer_change import Point, compared_points
from forgetting.views.common_shift import common_shift
from forgetting.views.inputs import Checkpoints
from forgetting.views.recall import recall, recall_forms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config.json of the view")
    parser.add_argument("--data", type=Path, required=True, help="folder of items.parquet, people.parquet and tokenizer/")
    parser.add_argument("--templates", type=Path, required=True, help="folder of the sentence templates")
    parser.add_argument("--task0", type=Path, required=True, help="folder of the model after Task 0")
    parser.add_argument("--task1", type=Path, required=True, help="folder of metrics.parquet and checkpoints/ of the arm")
    parser.add_argument("--output", type=Path, required=True, help="common_shift.parquet")
    parser.add_argument("--output-repair", type=Path, required=True, help="common_shift_repair.parquet")
    parser.add_argument("--output-recall", type=Path, required=True, help="recall.parquet")
    arguments = parser.parse_args()

    job, device = AnswersJob.load(arguments.config), pick_device()
    questions = Items.load(arguments.data / "items.parquet")
    metrics = read_table(arguments.task1 / "metrics.parquet", METRICS)
    points = compared_points(Checkpoints.find(arguments.task0, arguments.task1 / "checkpoints"), matched_step(metrics))
    split, repaired = common_shift(job, arguments.task0, points, questions, device)
    write_table(split, arguments.output, COMMON_SHIFT)
    write_table(repaired, arguments.output_repair, COMMON_SHIFT_REPAIR)

    forms = recall_forms(job, questions, lambda asked: in_sentences(asked, arguments.data, arguments.templates, job.seed))
    before = Point("task0", 0, arguments.task0)
    write_table(recall(job, [before, *points], questions, forms, device), arguments.output_recall, RECALL)


if __name__ == "__main__":
    run_command(main)
