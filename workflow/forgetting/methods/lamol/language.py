"""Training a model to write questions while it learns to answer them."""

from __future__ import annotations

import torch

from forgetting.data.items import PADDING
from forgetting.methods.replay.method import MixedBatches
from forgetting.training.batches import Batch, Batches, QuestionBatches


class LanguageBatches(Batches):
    """The question batches, and each of their questions once more as a text to write: generation token, prompt, answer, end token.

    The loss of a batch is the mean over its answer tokens, as without this, plus `weight` (lambda) times the mean over every token after
    a generation token. That token is the end token `end`: nothing else is ever predicted from it, so it is free for the purpose, needs
    no new row of the embedding, and the pretrained model is that of every other arm.
    """

    def __init__(self, questions: QuestionBatches | MixedBatches, weight: float, end: int) -> None:
        self.questions, self.weight, self.end = questions, weight, end

    def batch(self, step: int) -> Batch:
        questions = self.questions.batch(step)
        index = torch.from_numpy(self.questions.rows_at(step))
        lengths = (self.questions.questions.prompt_length + self.questions.questions.answer_length)[index]
        count, width = questions.ids.shape
        row, position = (torch.arange(width) < lengths[:, None]).nonzero(as_tuple=True)
        as_text = torch.nn.functional.pad(questions.ids, (1, 0), value=self.end)
        return Batch(
            torch.cat([torch.nn.functional.pad(questions.ids, (0, 1), value=PADDING), as_text]),
            torch.cat([questions.row, count + row]),
            torch.cat([questions.position, position]),
            share=torch.cat([_equal_shares(1.0, len(questions.row)), _equal_shares(self.weight, len(row))]),
        )


def _equal_shares(total: float, count: int) -> torch.Tensor:
    return torch.full((count,), total / count)
