"""What one job reads from its `config.json`: the part of the study's configuration that its result depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from forgetting.config.fields import Count, Positive, Strict
from forgetting.config.sections import Data, Evaluation, GateThresholds, Model, Pretrain, Recovery, Storage, Task0, Task1, Tokenizer, Views
from forgetting.errors import StudyError


class ConfigError(StudyError):
    """A configuration that no study can be run with; the message names every offending key."""


class Run(Strict):
    """The config of one job; sections that its stage does not depend on are absent.

    method: the entry of `config/methods.yaml`, as `knobs.parse_arm` takes it. It is not checked here, so that the knobs of methods are no
    concern of jobs without one: a new method makes no other job run again.
    """

    scale: str
    seed: int
    stage: str
    arm: str = "none"
    precision: Literal["float32", "bf16"] = "float32"
    data: Data | None = None
    tokenizer: Tokenizer | None = None
    model: Model | None = None
    pretrain: Pretrain | None = None
    task0: Task0 | None = None
    task1: Task1 | None = None
    recovery: RecoveryRun | None = None
    storage: Storage = Storage()
    evaluation: Evaluation = Evaluation()
    views: ViewsRun | None = None
    method: dict[str, Any] | None = None
    every_checkpoint: bool = True
    language_loss: Positive | None = None
    gates: Literal["stop", "warn"] = "stop"
    gate_thresholds: GateThresholds | None = None
    task1_epoch_steps: Count | None = None

    def need(self, section: str) -> Any:
        """The named section. Raises ConfigError that names it when this run's config has none."""
        value = getattr(self, section)
        if value is None:
            raise ConfigError(f"the config of stage {self.stage!r} has no section {section!r}: give the config.json of another stage")
        return value


class RecoveryRun(Recovery):
    arms: list[str] = Field([])
    curve_arms: list[str] = Field([])
    probe: Literal["curve", "long", "short"] = "long"
    controls: bool = False


class ViewsRun(Views):
    arms: list[str] = Field([])


Run.model_rebuild()


def load_run(path: str | Path) -> Run:
    """Read a job's `config.json`. Raises ConfigError that names the file."""
    try:
        return Run.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: delete it and run again\n" + one_line_each(error)) from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def one_line_each(error: ValidationError) -> str:
    """Every error of a model as a line that names the key."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "study"
        message = _WORDS.get(item["type"], item["msg"]).removeprefix("Value error, ")
        given = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
        lines.append(f"  {where}: {message}{given}")
    return "\n".join(lines)


_WORDS = {
    "extra_forbidden": "Extra inputs are not permitted: a key of this name is not known here",
    "union_tag_not_found": "needs the key 'method'",
}
"""Our words for errors whose own say too little, by type."""
