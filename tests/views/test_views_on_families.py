"""Every view of weights and states on models of every family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import jobs
from tests.families import LAYERS, every_family_at_length, family_model
from tests.views.conftest import STEPS, VOCABULARY

from forgetting.config.plan import VIEWS
from forgetting.data.items import Items
from forgetting.evaluation.exact import answer_loss
from forgetting.model.anatomy import Anatomy
from forgetting.model.checkpoints import load_architecture, load_checkpoint, save_checkpoint
from forgetting.schemas.common_shift import COMMON_SHIFT, COMMON_SHIFT_REPAIR
from forgetting.schemas.drift import DRIFT
from forgetting.schemas.features import FEATURES
from forgetting.schemas.fisher import FISHER
from forgetting.schemas.gradients import GRADIENTS
from forgetting.schemas.graft import GRAFT
from forgetting.schemas.interpolation import INTERPOLATION
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.schemas.positions import POSITIONS
from forgetting.schemas.recall import RECALL
from forgetting.schemas.theory import THEORY
from forgetting.schemas.weights import WEIGHTS
from forgetting.tables import write_table
from forgetting.views import fisher as fisher_view
from forgetting.views import gradients as gradients_view
from forgetting.views.answer_change import Point
from forgetting.views.common_shift import common_shift
from forgetting.views.drift import drift
from forgetting.views.features import features, lens, residual_streams, view_questions
from forgetting.views.gradients import gradients
from forgetting.views.graft import Probed, graft
from forgetting.views.inputs import Checkpoints, read_model, read_weights
from forgetting.views.interpolation import interpolation
from forgetting.views.landscape import landscape
from forgetting.views.logit_lens import kind_values
from forgetting.views.positions import positions
from forgetting.views.recall import recall
from forgetting.views.recovered import Recovered
from forgetting.views.theory import theory
from forgetting.views.weights import weight_updates

CPU = torch.device("cpu")


@pytest.fixture
def checkpoints(family: str, tmp_path: Path) -> Checkpoints:
    """The model after Task 0, and two checkpoints of a random walk."""
    model = family_model(family, VOCABULARY)
    save_checkpoint(model, tmp_path / "task0")
    torch.manual_seed(2)
    for step in (150, STEPS[-1]):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_checkpoint(model, tmp_path / "task1" / f"step-{step:06d}")
    return Checkpoints.find(tmp_path / "task0", tmp_path / "task1")


@pytest.fixture
def everyone(questions: Items) -> Items:
    """Task 0 is trained on the questions of `task0_test`, of other persons."""
    train = questions.of("task0_test")
    split = np.full(len(train), "task0_train", dtype=object)
    return questions.joined_with(replace(train, unit=train.unit + 100, split=split))


@every_family_at_length
def test_every_view(checkpoints: Checkpoints, everyone: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fisher_view, "MOST_QUESTIONS", 8)
    monkeypatch.setattr(gradients_view, "UNITS", 4)
    folders, anatomy = checkpoints.folders, Anatomy(load_architecture(checkpoints.folders[0]))
    stages, points = checkpoints.stages, [Point("early", 150, folders[150]), Point("end", 400, folders[400])]
    of_weights = {"pretrained_earlier": 0, "pretrained_late": 150, "pretrained": 400, "task0": 0, "task1_early": 150, "task1_end": 400}
    read = {name: read_weights(folders[step]) for name, step in of_weights.items()}
    few = view_questions(everyone, 3)
    states = residual_streams({"pretrained": folders[0]} | stages, few, 64, CPU)
    values = kind_values(everyone)
    split, repaired = common_shift(jobs.answers(), folders[0], points, everyone, CPU)
    frames = {
        "landscape": (LANDSCAPE, landscape(jobs.landscape(), checkpoints, Recovered({}), everyone, CPU)),
        "weights": (WEIGHTS, weight_updates(jobs.weights(), read, anatomy, CPU)),
        "features": (FEATURES, features(jobs.states(), states, few)),
        "lens": (FEATURES, lens(jobs.states(), {"pretrained": folders[0]} | stages, states, few, values, CPU)),
        "theory": (THEORY, theory(jobs.states(), stages, everyone, CPU)),
        "positions": (POSITIONS, positions(jobs.answers(), checkpoints, everyone, CPU)),
        "gradients": (GRADIENTS, gradients(jobs.gradients(), checkpoints, everyone, CPU)),
        "graft": (GRAFT, graft(jobs.answers(), folders[0], folders[0], [Probed(point, None) for point in points[1:]], everyone, CPU)),
        "common_shift": (COMMON_SHIFT, split),
        "common_shift_repair": (COMMON_SHIFT_REPAIR, repaired),
        "recall": (RECALL, recall(jobs.answers(), points[:1], everyone, {"question": few}, CPU)),
        "drift": (DRIFT, drift(jobs.drift(), folders[0], points[:1], everyone, CPU)),
        "fisher": (FISHER, fisher_view.fisher_by_matrix(jobs.fisher(), load_checkpoint(folders[0]), everyone)),
        "interpolation": (INTERPOLATION, interpolation(jobs.landscape(), checkpoints, Recovered({}), everyone, CPU)),
    }
    assert set(VIEWS) < set(frames)
    for name, (schema, frame) in frames.items():
        write_table(frame, tmp_path / f"{name}.parquet", schema)
        assert len(frame) and frame["value" if "value" in frame else frame.columns[-1]].notna().any(), name
    for name in ("weights", "theory", "fisher"):
        matrices = set(frames[name][1]["component"])
        assert set(anatomy.components) <= matrices, name
    assert set(frames["gradients"][1]["layer"]) == {-1, *range(LAYERS + (1 if anatomy.tied else 2))}
    paths = frames["interpolation"][1]
    for position, step in ((0.0, 0), (1.0, 400)):
        model = read_model(folders[step], CPU)
        for split in ("task0_test", "task1"):
            found = paths[(paths["split"] == split) & (paths["metric"] == "loss") & (paths["position"] == position)]["value"].item()
            assert found == pytest.approx(answer_loss(model, everyone.of(split), 16), abs=1e-4)
