"""How well biographies are read."""

from __future__ import annotations

import numpy as np
import torch

from forgetting.data.items import Items
from forgetting.scenarios.biography.pretraining import biography_first_token
from forgetting.scenarios.biography.texts import Biographies


def test_biography_first_token_against_single_forwards(tiny_model, tiny_data, tiny_questions: Items) -> None:
    biographies = Biographies.load(tiny_data / "biographies.arrow")
    group = tiny_questions.split[::6]
    facts = biography_first_token(tiny_model, biographies, group, batch_size=5)
    assert len(facts) == 6 * len(np.unique(biographies.person))
    for person in np.unique(biographies.person)[::5]:
        row = int(np.flatnonzero(biographies.person == person)[0])
        ids = torch.from_numpy(biographies.rows[row].astype(np.int64))
        with torch.no_grad():
            guesses = tiny_model(ids[None]).logits[0].argmax(-1)
        expected = [bool(guesses[start - 1] == ids[start]) for start in biographies.value_starts[row]]
        assert facts.loc[facts["unit"] == person, "first_token_hard"].tolist() == expected
