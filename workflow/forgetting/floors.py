"""What accuracy costs nothing: the modal-answer predictor (science §3)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forgetting.biography.rendering import Ragged
from forgetting.config import ATTRIBUTES, GROUPS
from forgetting.statistics import wilson


def modal_answer_floors(people: pd.DataFrame, answers: Ragged) -> pd.DataFrame:
    """Accuracy of always giving the most frequent answer of `task0_train`, for each group, attribute and "all".

    `answers` holds the answer tokens of every (person, attribute), person by person. `exact_match`: the modal value is right;
    `first_token_hard`:
    the modal first token of the answers is right. Columns group, attribute, metric, value, n, low, high (Wilson, 95 %).
    """
    train = (people["group"] == "task0_train").to_numpy()
    first = answers.tokens[answers.offsets[:-1]].reshape(len(people), len(ATTRIBUTES))
    whole = np.column_stack([pd.factorize(people[attribute])[0] for attribute in ATTRIBUTES])
    rows = []
    for metric, codes in (("exact_match", whole), ("first_token_hard", first)):
        modal = np.array([np.bincount(column).argmax() for column in codes[train].T])
        right = codes == modal
        for group in GROUPS:
            of_group = right[(people["group"] == group).to_numpy()]
            for name, hits in [*zip(ATTRIBUTES, of_group.T, strict=True), ("all", of_group.ravel())]:
                low, high = wilson(hits.sum(), len(hits))
                rows.append((group, name, metric, hits.mean(), len(hits), low, high))
    return pd.DataFrame(rows, columns=["group", "attribute", "metric", "value", "n", "low", "high"])
