"""The section `data` of a biography study: how many persons, with which facts. What the rest of the library needs to know of it before
there are data (how many questions, in which splits) it asks `Data` for, in the words of ITEMS.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from forgetting.config.fields import Count, Strict

ATTRIBUTES = ("birthday", "birth_city", "university", "major", "company_name", "company_city")
MEASURED_GROUPS = ("task0_train", "task0_val", "task0_test", "task1", "control")
GROUPS = (*MEASURED_GROUPS, "probe")
"""In the order in which persons are drawn; `probe` comes last, so that its size changes no other person."""
PRETRAINED_GROUPS = ("task0_train", "task0_val", "task0_test")
TASK_OF_GROUP = {"task0_train": "task0", "task0_val": "task0", "task0_test": "task0", "task1": "task1", "control": "none", "probe": "none"}
"""Every group is a split of a study. `control` and `probe` belong to no task: none trains on them or asks them as its own."""
TEMPLATES_PER_ATTRIBUTE = 50
HALVES = ("A", "B")
"""Of the values of each attribute, where a study halves them: which half a pretrained person has all values of."""


class Groups(Strict):
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

    @property
    def total(self) -> int:
        return sum(getattr(self, group) for group in GROUPS)


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
        return {split: getattr(self.groups, split) for split in MEASURED_GROUPS}

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
