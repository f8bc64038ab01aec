"""Where the Fisher information of Task 0 lies (docs/views.md): its mean in each matrix of the model after Task 0."""

from __future__ import annotations

from operator import itemgetter

import pandas as pd
from transformers import PreTrainedModel

from forgetting.config.jobs.views.shared import FisherJob
from forgetting.data.items import Items
from forgetting.model.anatomy import Anatomy, uniform_name
from forgetting.training.fisher import diagonal_fisher, sample_questions
from forgetting.views.weights import places

MOST_QUESTIONS = 1000


def fisher_by_matrix(job: FisherJob, model: PreTrainedModel, questions: Items) -> pd.DataFrame:
    """Rows of FISHER: the diagonal Fisher from per-example gradients on at most 1000 questions of `task0_train`, not normalised, averaged
    over each matrix. Biases and norms are left out, as in the other views of matrices."""
    chosen = sample_questions(questions.of("task0_train"), MOST_QUESTIONS, job.seed)
    fisher = {uniform_name(name): each for name, each in diagonal_fisher(model, chosen).items()}
    anatomy, rows = Anatomy(model.config), []
    for component, layers in places(anatomy).items():
        for layer in layers:
            values = anatomy.matrix(fisher, layer - 1, component)
            rows.append((layer, component, float(values.double().mean()), values.numel()))
    rows.sort(key=itemgetter(0))
    return pd.DataFrame(rows, columns=["layer", "component", "fisher", "weights"]).assign(scale=job.scale, seed=job.seed)
