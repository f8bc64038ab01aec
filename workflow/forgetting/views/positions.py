"""Which token of an answer goes wrong? Right tokens by kind and place in the answer, at every checkpoint of one arm.

Everything is teacher-forced: each token is predicted after the question and the right tokens before it, in one forward pass. A later token
is easier than the first, because the tokens before it say much about it; `control` units show how much.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.config.jobs.views.answers import AnswersJob
from forgetting.data.items import Items
from forgetting.intervals import Interval, clustered_mean, clustered_wilson
from forgetting.views.answer_change import ROWS_AT_ONCE, AnswerTokens, Head, answer_states, leading
from forgetting.views.inputs import Checkpoints, read_model

SPLITS = ("task0_test", "task1", "control")
END = -1
"""Position of the end token, whatever its place: it is the only token that every answer has but no value."""
_UNDEFINED = Interval(np.nan, np.nan, np.nan)


def token_outcomes(model: PreTrainedModel, tokens: AnswerTokens, batch_size: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """For each of R answer tokens, whether it is the argmax, and its probability: (R,) each."""
    head, right, probability = Head.of(model), [], []
    states = answer_states(model, tokens, batch_size)
    for rows, target in zip(states.split(ROWS_AT_ONCE), tokens.target.to(states.device).split(ROWS_AT_ONCE), strict=True):
        logits = head.logits(rows)
        right.append(leading(logits, target))
        probability.append(_probability(logits, target))
    return torch.cat(right).numpy(), torch.cat(probability).numpy()


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return (logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(1)).exp().double().cpu()


def always_modal(tokens: AnswerTokens, training: Items) -> NDArray[np.bool_]:
    """(R,) whether the most frequent token of `training` at the same kind and place is the right one (the lowest id, if several are).

    The end token counts as any other token at its place, since a guesser does not know where an answer ends.
    """
    seen = _places(AnswerTokens.of(training))
    modal = seen.groupby(["kind", "place"])["target"].agg(lambda column: np.bincount(column).argmax())
    asked = _places(tokens)
    guess = modal.reindex(pd.MultiIndex.from_frame(asked[["kind", "place"]])).to_numpy()
    return guess == asked["target"].to_numpy()


def _places(tokens: AnswerTokens) -> pd.DataFrame:
    kind = tokens.questions.kind[tokens.question.numpy()]
    return pd.DataFrame({"kind": kind, "place": tokens.position.numpy(), "target": tokens.target.numpy()})


def position_rows(
    tokens: AnswerTokens, right: NDArray[np.bool_], probability: NDArray[np.float64], modal: NDArray[np.bool_]
) -> pd.DataFrame:
    """The columns kind, position, metric, n, value, low, high, chance of POSITIONS for one model and split.

    right, probability: (R,), of the model. modal: (R,), of the guess that makes the chance level.
    """
    end = tokens.questions.answer_length[tokens.question] - 1 == tokens.position
    frame = _places(tokens).assign(
        position=torch.where(end, END, tokens.position).numpy(),
        question=tokens.question.numpy(),
        unit=tokens.unit,
        right=right,
        probability=probability,
        modal=modal,
    )
    frame["reached"] = _all_right_before(frame, "right")
    frame["broken"] = frame["reached"] & ~frame["right"]
    frame["modal_broken"] = _all_right_before(frame, "modal") & ~frame["modal"]
    rows: list[tuple[object, ...]] = []
    for kind in ("all", *tokens.questions.kinds):
        of_kind = frame if kind == "all" else frame[frame["kind"] == kind]
        questions = of_kind.drop_duplicates("question")
        for position, cell in of_kind.groupby("position"):
            rows += [(kind, position, *row) for row in _cell_rows(cell, questions)]
    return pd.DataFrame(rows, columns=["kind", "position", "metric", "n", "value", "low", "high", "chance"])


def _all_right_before(frame: pd.DataFrame, column: str) -> pd.Series:
    """Whether all earlier tokens of the same question are true in `column`; rows of a question are in the order of its tokens."""
    wrong = (~frame[column]).astype(int)
    return wrong.groupby(frame["question"]).cumsum() == wrong


def _cell_rows(cell: pd.DataFrame, questions: pd.DataFrame) -> list[tuple[object, ...]]:
    """(metric, n, value, low, high, chance) of the tokens in `cell`; `questions` has one row for each question of the kind."""
    reached = cell[cell["reached"]]
    after_right = clustered_wilson(reached["right"], reached["unit"]) if len(reached) else _UNDEFINED
    first_wrong = questions["question"].isin(cell.loc[cell["broken"], "question"])
    return [
        ("token_hard", len(cell), *clustered_wilson(cell["right"], cell["unit"]), cell["modal"].mean()),
        ("token_hard_after_right", len(reached), *after_right, reached["modal"].mean()),
        ("token_soft", len(cell), *clustered_mean(cell["probability"], cell["unit"]), np.nan),
        ("first_wrong", len(questions), *clustered_wilson(first_wrong, questions["unit"]), cell["modal_broken"].sum() / len(questions)),
    ]


def positions(job: AnswersJob, checkpoints: Checkpoints, questions: Items, device: torch.device) -> pd.DataFrame:
    """Rows of POSITIONS for every checkpoint, the model after Task 0 among them as step 0; one model is in memory at a time.

    Asked are the units of the evaluation. The chance level is learned from all units of `task0_train`, for `task1` from those of
    `task1` itself, as in `floors`.
    """
    asked, chance = {}, {}
    for split in SPLITS:
        asked[split] = AnswerTokens.of(questions.of(split).first_units(job.evaluation.units_per_split))
        chance[split] = always_modal(asked[split], questions.of("task1" if split == "task1" else "task0_train"))
    frames = []
    for step in checkpoints.steps:
        model = read_model(checkpoints.folders[step], device)
        for split, tokens in asked.items():
            rows = position_rows(tokens, *token_outcomes(model, tokens, job.evaluation.batch_size), chance[split])
            frames.append(rows.assign(step=step, split=split))
    return pd.concat(frames, ignore_index=True).assign(scale=job.scale, seed=job.seed, arm=job.arm)
