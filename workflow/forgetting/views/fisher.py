"""Where the Fisher information of Task 0 lies (docs/views.md): its mean in each matrix of the model after Task 0."""

from __future__ import annotations

import pandas as pd
from transformers import GPTNeoXForCausalLM

from forgetting.config.jobs.views.shared import FisherJob
from forgetting.data.items import Questions
from forgetting.training.fisher import diagonal_fisher, sample_questions
from forgetting.views.inputs import uniform_name
from forgetting.views.weights import COMPONENTS, matrix

MOST_QUESTIONS = 1000


def fisher_by_matrix(job: FisherJob, model: GPTNeoXForCausalLM, questions: Questions) -> pd.DataFrame:
    """Rows of FISHER: the diagonal Fisher from per-example gradients on at most 1000 questions of `task0_train`, not normalised, averaged
    over each matrix. Biases and norms are left out, as in the other views of matrices."""
    chosen = sample_questions(questions.of_groups("task0_train"), MOST_QUESTIONS, job.seed)
    fisher = {uniform_name(name): each for name, each in diagonal_fisher(model, chosen).items()}
    blocks, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    places = [(-1, "embedding"), *((layer, part) for layer in range(blocks) for part in COMPONENTS), (blocks, "output_embedding")]
    rows = []
    for layer, component in places:
        values = matrix(fisher, layer, component, heads)
        rows.append((layer, component, float(values.double().mean()), values.numel()))
    return pd.DataFrame(rows, columns=["layer", "component", "fisher", "weights"]).assign(scale=job.scale, seed=job.seed)
