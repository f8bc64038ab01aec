"""Sections of the config for tests that say only what matters to them."""

from __future__ import annotations

from typing import Any

from forgetting.config.biography import Data, Groups, Pools
from forgetting.config.sections import (
    Evaluation,
    GateThresholds,
    Landscape,
    Model,
    Optimizer,
    Pretrain,
    RecoveryTraining,
    Schedule,
    Task0,
    Task1,
    Tokenizer,
)


def groups(**said: int) -> Groups:
    units = {"task0_train": 12, "task0_val": 4, "task0_test": 8, "task1": 16, "control": 4, "probe": 3}
    return Groups(**units | said)


def pools(**said: int) -> Pools:
    """All values that there are."""
    names = {"first_names": 400, "middle_names": 400, "last_names": 1000, "birth_years": 200}
    return Pools(**names | {"cities": 200, "universities": 300, "majors": 100, "companies": 263} | said)


def data(**said: Any) -> Data:
    given = {"groups": groups(), "pools": pools(), "biographies_per_person": 5, "permute": True, "full_name": True}
    return Data(**given | said)


def tokenizer(**said: Any) -> Tokenizer:
    return Tokenizer(**{"kind": "word", "vocabulary_size": 8192, "path": None} | said)


def model(**said: Any) -> Model:
    given = {"architecture": "gpt_neox", "layers": 2, "hidden_size": 32, "heads": 2, "rotary_fraction": 0.25, "initializer_range": 0.02}
    return Model(**given | {"max_positions": 512, "vocabulary_multiple": 1} | said)


def optimizer(learning_rate: float, **said: Any) -> Optimizer:
    return Optimizer(**{"learning_rate": learning_rate, "weight_decay": 0.01} | said)


def schedule(**said: Any) -> Schedule:
    """A constant rate."""
    return Schedule(**{"warmup_steps": 0, "final_fraction": 1.0} | said)


def pretrain(**said: Any) -> Pretrain:
    given = {"packing": "document", "attention": "document", "fresh": True, "kept_fractions": [0.5, 0.75], "schedule": schedule()}
    return Pretrain(**given | said)


def task0(**said: Any) -> Task0:
    return Task0(**{"schedule": schedule(), "kept_fractions": []} | said)


def task1(**said: Any) -> Task1:
    return Task1(**{"schedule": schedule(), "early_stop_accuracy": 0.99} | said)


def recovery(**said: Any) -> RecoveryTraining:
    given = {"schedule": schedule(), "epochs": [0.25, 0.5, 1.0, 2.0, 5.0], "evaluations_per_epoch": 4}
    return RecoveryTraining(**given | {"evaluate_steps": [1, 2, 4, 8, 15, 20], "doses": [1, 4, 16]} | said)


def evaluation(**said: Any) -> Evaluation:
    return Evaluation(**{"batch_size": 512, "units_per_split": None} | said)


def landscape(**said: Any) -> Landscape:
    return Landscape(**{"axes": "orthogonal", "grid": 3, "margin": 0.3, "questions": 24} | said)


def gate_thresholds(**said: float) -> GateThresholds:
    given = {"token_coverage": 0.99, "biography_first_token": 0.95, "task0_before": 0.95, "control_false_alarm": 0.01}
    given |= {"sequential_trough": 0.15, "sequential_task1_end": 0.99, "recovery_from_150": 0.90}
    return GateThresholds(**given | said)
