"""What every job has in its `config.json`, and how that file is read and written.

Each kind of job has a class and a file of its own here, so that what is new for one kind makes no job of another run again; which
job of a study gets what is in `config/plan.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from forgetting.config.fields import ConfigError, Strict, one_line_each


class Job(Strict):
    """The part of the study's configuration that the result of one job depends on. Subclasses add their sections.

    stage: the kind of job, as a column of its tables. arm: "none" for jobs that belong to no arm of Task 1.
    Where a job scores answers, `scorer` names how (`evaluation/scorers.py`).
    """

    stage: str
    scale: str
    seed: int
    arm: str = "none"

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a job's `config.json`. Raises ConfigError that names the file, and the key that is wrong or missing."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file") from None
        except ValueError as error:
            raise ConfigError(f"{path}: not valid JSON ({error}); delete it and run again") from None
        expected = cls.model_fields["stage"].default
        if isinstance(found, dict) and not cls.is_stage(found.get("stage", expected)):
            raise ConfigError(f"{path}: stage is {found['stage']!r}, but this job is of {expected!r}: give the config.json of that stage")
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise ConfigError(f"{path}: delete it and run again\n" + one_line_each(error)) from None

    @classmethod
    def is_stage(cls, stage: object) -> bool:
        """Whether jobs of this class are of that stage."""
        return stage == cls.model_fields["stage"].default

    def text(self) -> str:
        """What its `config.json` says: its stage, and all else that is not at its default.

        So a key with a default that is added later leaves the files of jobs that do not use it as they are, and these do not run again.
        """
        said = {"stage": self.stage} | self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(said, indent=1)
