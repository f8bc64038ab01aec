from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forgetting.config.biography import ATTRIBUTES
from forgetting.model.anatomy import uniform_name
from forgetting.views.inputs import Checkpoints, evenly_spaced_units, parameter_vector, read_model


def folders(*steps: int) -> Checkpoints:
    return Checkpoints({step: Path(str(step)) for step in steps})


def test_checkpoints_are_found_by_step_without_the_matched_one(checkpoints):
    assert checkpoints.steps == [0, 50, 100, 150, 200, 400]
    assert checkpoints.stage_steps == {"task0": 0, "task1_early": 150, "task1_end": 400}


def test_the_early_point_is_step_150_or_the_last_one_before_it_that_is_not_the_end():
    assert folders(0, 100, 150, 200).early == 150
    assert folders(0, 100, 140, 200).early == 140
    assert folders(0, 20, 60, 90).early == 60
    assert folders(0, 50, 150).early == 50
    with pytest.raises(ValueError, match="between step 1 and 150"):
        _ = folders(0, 200, 300).early


def test_a_folder_without_checkpoints_is_named(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        Checkpoints.find(tmp_path, tmp_path)


def test_the_vector_of_a_checkpoint_is_that_of_the_loaded_model(checkpoints):
    model = read_model(checkpoints.folders[150], torch.device("cpu"))
    names = [uniform_name(name) for name, _ in model.named_parameters()]
    expected = torch.nn.utils.parameters_to_vector(model.parameters())
    assert torch.equal(parameter_vector(checkpoints.weights(150), names), expected)
    with pytest.raises(ValueError, match="no weight 'absent'"):
        parameter_vector(checkpoints.weights(150), ["absent"])


@pytest.mark.parametrize("units", [1, 3, 7, 30, 1000])
def test_subset_keeps_whole_persons_evenly(questions, units):
    kept = evenly_spaced_units(questions, units)
    who, counts = np.unique(kept.unit, return_counts=True)
    assert len(who) == min(units, 30)
    assert (counts == len(ATTRIBUTES)).all()
    if len(who) > 1:
        assert np.ptp(np.diff(who)) <= 1
