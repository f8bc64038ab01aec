"""Which figures and tables a study has, and of which of its files each is made.

An input says whose it is in words: `main` (seq and the viewed arms), `viewed`, `all` (`arms`), `without_task0` (those of `arms` that never
had Task 0 and are probed), `probed`, `curve` and `controlled` (as in `recovery`), `rates`, `factors`, `axes`, `compared` (the
comparison of methods), `compared:freeze,ewc` (those of it that use these methods after Task 0), `compared_floors` (those of it that never
had Task 0); any other word is the name of an arm, or `controls` (of recovery).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Any

from forgetting.config.study import StudyConfig
from forgetting.data.points import never_had_task0
from forgetting.figures.catalogue import Shown
from forgetting.figures.inputs import input_of


def shown_in(study: StudyConfig, catalogue: dict[str, Shown]) -> dict[str, Shown]:
    """Those of the figures and tables that this study has."""
    return {rule: shown for rule, shown in catalogue.items() if shown.target in study.targets and _has(study, shown.only_if)}


def _has(study: StudyConfig, condition: str | None) -> bool:
    if condition is None:
        return True
    return bool(arms_of(study, [condition]) if condition.startswith("compared") else key_of(study, condition))


def key_of(study: StudyConfig, key: str) -> Any:
    """The value of a dotted key of the config; a number is an index of a list, as in `recovery.evaluate_steps.-1`."""

    def inside(value: Any, part: str) -> Any:
        return value[int(part)] if isinstance(value, list) else getattr(value, part)

    return reduce(inside, key.split("."), study)


def arms_of(study: StudyConfig, words: Sequence[str]) -> list[str]:
    """The arms that these words stand for, each once."""
    recovery = study.recovery
    groups = {
        "main": ["seq", *study.views.arms],
        "viewed": study.views.arms,
        "all": study.arms,
        "without_task0": [arm for arm in study.arms if never_had_task0(arm) and arm in recovery.arms],
        "probed": [arm for arm in recovery.arms if arm in study.arms],
        "curve": [arm for arm in recovery.curve_arms if arm in study.arms],
        "controlled": [arm for arm in recovery.control_arms if arm in study.arms],
        "rates": ["seq", *study.learning_rate_arms],
        "factors": study.factors,
        "axes": ["seq", *study.axes],
        "compared": study.compared_arms,
        "compared_floors": [arm for arm in study.compared_arms if never_had_task0(arm)],
    }
    found: list[str] = []
    for word in words:
        _, colon, methods = word.partition(":")
        found += _compared(study, methods.split(",")) if colon else groups.get(word, [word])
    return list(dict.fromkeys(found))


def _compared(study: StudyConfig, methods: Sequence[str]) -> list[str]:
    return [arm for arm in study.compared_arms if study.methods[arm].method in methods and not never_had_task0(arm)]


def input_files(study: StudyConfig, shown: Shown) -> dict[str, list[str]]:
    """Files by input, one a run."""
    return {name: _files(study, name, arms_of(study, words)) for name, words in shown.inputs.items()}


def _files(study: StudyConfig, name: str, arms: Sequence[str]) -> list[str]:
    pattern = input_of(name).files
    if pattern.startswith("resources/"):
        return [pattern]
    if name == "gates":
        pairs = product(study.seeds, ("task0", "task1"))
        return [f"results/{study.scale}/{pattern.format(seed=seed).replace('*', gate)}" for seed, gate in pairs]
    if name == "architectures":
        return [f"results/{study.scale}/{pattern.format(variant=variant)}" for variant in study.architectures.names]
    scale = study.beside if name == "pretrained" else study.scale
    tasks = study.later_tasks if name == "alone" else study.tasks
    filled = [pattern.format(seed=seed, task=task, arm=arm) for seed, task, arm in product(study.seeds, tasks, arms or [""])]
    return [f"results/{scale}/{file}" for file in dict.fromkeys(filled)]


def option_flags(study: StudyConfig, shown: Shown) -> str:
    """The options of the command."""
    return " ".join(f"--{name.replace('_', '-')} {key_of(study, key)}" for name, key in shown.options.items())


def methods_of(study: StudyConfig, shown: Shown) -> list[str]:
    """The methods of the arms that it shows."""
    arms = arms_of(study, [word for words in shown.inputs.values() for word in words])
    return sorted({study.methods[arm].method for arm in arms if arm in study.methods})
