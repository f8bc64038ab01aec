"""How much of the names and answers of each group pretraining has seen: a token that it never touched is a blank vector.

A person with such a name token owns a private row of the embedding, and learning a task can write the person there. At the paper's scale
nobody has one, so a smaller study must see to it, too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES
from forgetting.data.ragged import Ragged

NAMES, ANSWERS = "pretrained_name_tokens", "pretrained_answer_tokens"
"""Metrics: share of the tokens of the full names, and of the answers without their end token, that occur in biographies."""


def token_coverage(group: np.ndarray, names: Ragged, answers: Ragged, pretrained: np.ndarray) -> pd.DataFrame:
    """Rows split (the group), kind ("all"), metric, value, n (tokens), low, high (equal to value: every token is counted) for every group.

    group: (persons,) names of groups. names: one row a person. answers: one row a (person, attribute), person by person, each ended by
    the end token. pretrained: (vocabulary,) bool, the tokens that pretraining predicts at least once.
    """
    without_end = np.ones(len(answers.tokens), dtype=bool)
    without_end[answers.offsets[1:] - 1] = False
    owner_of_answer = np.repeat(np.repeat(np.arange(len(group)), len(ATTRIBUTES)), answers.lengths)[without_end]
    counted = {
        NAMES: (np.repeat(np.arange(len(group)), names.lengths), names.tokens),
        ANSWERS: (owner_of_answer, answers.tokens[without_end]),
    }
    rows = []
    for metric, (owner, tokens) in counted.items():
        for name in dict.fromkeys(group):
            hits = pretrained[tokens[group[owner] == name]]
            share = float(hits.mean()) if len(hits) else float("nan")
            rows.append((name, "all", metric, share, len(hits), share, share))
    return pd.DataFrame(rows, columns=["split", "kind", "metric", "value", "n", "low", "high"])
