"""The section `data` of a biography study: how many persons, with which facts. What the rest of the library needs to know of it before
there are data (how many questions, in which splits) it asks `Data` for, in the words of ITEMS.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from forgetting.config.fields import Count, Strict

ATTRIBUTES = ("birthday", "birth_city", "university", "major", "company_name", "company_city")
MEASURED_GROUPS = ("task0_train", "task0_val", "task0_test", "task1", "control")
GROUPS = (*MEASURED_GROUPS, "probe")
"""Those of every study, in the order in which persons are drawn; `probe` comes last, so that its size changes no other person. Groups of
later tasks (`Groups.later`) are drawn after them, for the same reason."""
LATER_TASK = re.compile(r"task([2-9]|[1-9]\d+)")
"""The name of a group that is learned after Task 1."""
PRETRAINED_GROUPS = ("task0_train", "task0_val", "task0_test")
_TASKS = dict.fromkeys(PRETRAINED_GROUPS, "task0") | {"control": "none", "probe": "none"}
TEMPLATES_PER_ATTRIBUTE = 50
HALVES = ("A", "B")
"""Of the values of each attribute, where a study halves them: which half a pretrained person has all values of."""


def task_of(group: str) -> str:
    """The task of a group, which is a split of the study. `control` and `probe` belong to none: none trains on them or asks them as its
    own."""
    return _TASKS.get(group, group)


class Groups(Strict):
    """Beside the groups of every study, a key `task2`, `task3`, ... makes persons for a later task, who are like those of `task1`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Count] = Field(init=False)

    task0_train: Count = Field(description="persons with biographies, whose questions Task 0, replay and recovery train on")
    task0_val: Count = Field(description="persons with biographies for choosing hyper-parameters; their questions are never trained on")
    task0_test: Count = Field(
        description="persons with biographies on whom Task 0 accuracy is measured; their questions are never trained on"
    )
    task1: Count = Field(description="persons without biographies, learned in Task 1")
    control: Count = Field(description="persons in no training at all, who must stay at chance")
    probe: Count = Field(
        description="persons that no stage sees, either: recovery's controls train on questions about them and on their biographies. "
        "Drawn last, so their number changes no other person"
    )

    @model_validator(mode="after")
    def _others_are_later_tasks(self) -> Groups:
        if unknown := [name for name in self.__pydantic_extra__ if not LATER_TASK.fullmatch(name)]:
            raise ValueError(f"{unknown[0]!r} is no group of persons: there are {', '.join(GROUPS)}, and task2, task3, ... for later tasks")
        return self

    @property
    def later(self) -> tuple[str, ...]:
        """The groups of the tasks after Task 1, by their number."""
        return tuple(sorted(self.__pydantic_extra__, key=lambda name: int(name.removeprefix("task"))))

    @property
    def sizes(self) -> dict[str, int]:
        """Persons of each group, in the order in which they are drawn."""
        return {group: getattr(self, group) for group in (*GROUPS, *self.later)}

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


class Pools(Strict):
    first_names: Annotated[int, Field(ge=1, le=400)] = Field(
        description="how many first names of the pool are in use. The product of all names must be at least twice the number of persons"
    )
    middle_names: Annotated[int, Field(ge=1, le=400)] = Field(description="how many middle names")
    last_names: Annotated[int, Field(ge=1, le=1000)] = Field(description="how many last names")
    birth_years: Annotated[int, Field(ge=1, le=200)] = Field(description="years of birth; times 12 months times 28 days")
    cities: Annotated[int, Field(ge=2, le=200)] = Field(description="how many cities of birth")
    universities: Annotated[int, Field(ge=2, le=300)] = Field(description="how many universities")
    majors: Annotated[int, Field(ge=2, le=100)] = Field(description="how many majors")
    companies: Annotated[int, Field(ge=2, le=263)] = Field(description="how many companies, each with its city")

    @property
    def full_names(self) -> int:
        return self.first_names * self.middle_names * self.last_names


class Data(Strict):
    groups: Groups
    pools: Pools
    biographies_per_person: Annotated[int, Field(ge=1, le=TEMPLATES_PER_ATTRIBUTE)] = Field(
        description="biographies of a person, with disjoint templates"
    )
    permute: bool = Field(description="shuffle the order of the six sentences")
    full_name: bool = Field(description="the full name in every sentence; otherwise in the first")
    halves: bool = Field(
        False,
        description="`true`: the values of each attribute are split into two halves, A and B, and each pretrained person has values of one "
        "half alone, A and B in turn. Arms may then learn Task 1 with values of B alone (`task1_values: half`)",
    )

    @property
    def units(self) -> int:
        """Of all splits."""
        return self.groups.total

    @property
    def measured_units(self) -> dict[str, int]:
        """Units of each split that evaluations ask, by its name."""
        return {split: getattr(self.groups, split) for split in (*MEASURED_GROUPS, *self.groups.later)}

    @property
    def task_splits(self) -> tuple[str, ...]:
        """The splits that are tasks after Task 0, each learned from all of its units."""
        return ("task1", *self.groups.later)

    @property
    def items_per_unit(self) -> int:
        """Questions about one unit, one of each kind."""
        return len(ATTRIBUTES)

    def items(self, split: str) -> int:
        """Questions about the units of a measured split."""
        return self.items_per_unit * self.measured_units[split]

    @property
    def pretraining_texts(self) -> int:
        """Texts that are stored for pretraining."""
        return self.biographies_per_person * sum(getattr(self.groups, group) for group in PRETRAINED_GROUPS)

    @model_validator(mode="after")
    def _names_suffice(self) -> Data:
        if self.groups.total * 2 > self.pools.full_names:
            raise ValueError(
                f"groups ask for {self.groups.total} persons, but pools.first_names x middle_names x last_names give only "
                f"{self.pools.full_names} full names (at least twice as many are needed to draw unique ones)"
            )
        return self
