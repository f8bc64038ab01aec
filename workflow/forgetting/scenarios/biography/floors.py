"""What accuracy costs nothing: the modal-answer predictor (docs/definitions.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forgetting.config.biography import ATTRIBUTES, MEASURED_GROUPS, task_of
from forgetting.data.ragged import Ragged
from forgetting.intervals import wilson


def modal_answer_floors(people: pd.DataFrame, answers: Ragged, groups: Sequence[str] = MEASURED_GROUPS) -> pd.DataFrame:
    """Accuracy of always giving the most frequent answer of the training persons, for each of `groups`, attribute and "all".

    The training persons are `task0_train`, and for the group of a later task, such as `task1`, that group itself.

    `answers` holds the answer tokens of every (person, attribute), person by person. `exact_match`: the modal value is right;
    `first_token_hard`: the modal first token of the answers is right. Columns split (the group), kind (the attribute), metric, value, n,
    low, high (Wilson, 95 %).
    """
    members = {group: (people["group"] == group).to_numpy() for group in groups}
    first = answers.tokens[answers.offsets[:-1]].reshape(len(people), len(ATTRIBUTES))
    whole = np.column_stack([pd.factorize(people[attribute])[0] for attribute in ATTRIBUTES])
    rows = []
    for metric, codes in (("exact_match", whole), ("first_token_hard", first)):
        for group in groups:
            training = codes[members[group if task_of(group) == group else "task0_train"]]
            of_group = codes[members[group]] == [np.bincount(column).argmax() for column in training.T]
            for name, hits in [*zip(ATTRIBUTES, of_group.T, strict=True), ("all", of_group.ravel())]:
                low, high = wilson(hits.sum(), len(hits))
                rows.append((group, name, metric, hits.mean(), len(hits), low, high))
    return pd.DataFrame(rows, columns=["split", "kind", "metric", "value", "n", "low", "high"])
