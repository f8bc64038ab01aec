"""The reference of the configuration, made from its models: the tables of `config/README.md`, and a JSON schema for editors."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from forgetting.config.arms import knob_table
from forgetting.config.knobs import Arm
from forgetting.config.sections import Optimizer, Schedule
from forgetting.config.study import StudyConfig

TABLES: dict[str, tuple[str, ...]] = {
    "study": (),
    "data": ("data", "tokenizer"),
    "training": ("model", "pretrain", "task0", "task1", "recovery"),
    "storage": ("storage",),
    "measuring": ("evaluation", "views", "gate_thresholds"),
    "diagnose": ("diagnose",),
    "advise": ("advise",),
}
"""Sections of the study by the name of the table that has their keys; `study` has the keys of no other table."""
_SHARED: dict[type[BaseModel], str] = {Optimizer: "*.optimizer.", Schedule: "*.schedule."}
"""Sections that several others have, and the name under which their keys are listed once."""
_HEAD = ("| key | values | meaning |", "| --- | --- | --- |")
_MARK = re.compile(r"(<!-- made by workflow/scripts/config_reference\.py: (\w+) -->\n).*?(<!-- end -->)", re.S)


def with_tables(text: str) -> str:
    """`text` of config/README.md with every marked table made anew."""

    def made(match: re.Match[str]) -> str:
        lines = list(_TABLE_OF[match[2]]() if match[2] in _TABLE_OF else _key_table(match[2]))
        return match[1] + "\n".join(lines) + "\n" + match[3]

    return _MARK.sub(made, text)


def _key_table(name: str) -> list[str]:
    rows: list[str] = []
    for section in TABLES[name]:
        model = _model_of(StudyConfig.model_fields[section])
        assert model is not None
        rows += _rows(model, f"{section}.")
    if name == "study":
        rows = _rows(StudyConfig, "", {section for others in TABLES.values() for section in others})
    return [*_HEAD, *dict.fromkeys(rows)]


def _rows(model: type[BaseModel], prefix: str, without: Collection[str] = ()) -> list[str]:
    """A row a key of a section, those of sections within it too."""
    properties = model.model_json_schema()["properties"]
    rows = []
    for name, field in model.model_fields.items():
        section = _model_of(field)
        if name in without:
            continue
        if section is None:
            rows.append(f"| `{prefix}{name}` | {_values(properties[name], field)} | {field.description} |")
        else:
            rows += _rows(section, _SHARED.get(section, f"{prefix}{name}."))
    return rows


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a key is, which may be one that need not be there; None for any other key."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return kinds[0] if kinds else None


def _values(schema: dict[str, Any], field: FieldInfo) -> str:
    """What a key may be, in words, and its default where it has one."""
    words = _words(schema)
    return words if field.is_required() or field.default is None else f"{words} ({json.dumps(field.default)})"


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "null":
        return "`null`"
    names = {"integer": "whole number", "boolean": "`true`, `false`", "string": "text", "array": "list", "object": "keys"}
    limits = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
    bounds = [f"{word} {schema[key]:g}" for key, word in limits.items() if key in schema]
    return " ".join([names.get(schema.get("type", ""), "number"), *bounds])


def _arm_table() -> Iterator[str]:
    yield from (*_HEAD, *_rows(Arm, ""))


_TABLE_OF = {"arms": _arm_table, "methods": knob_table}


def editor_schema() -> dict[str, Any]:
    """What editors check YAML files against: the study, but no key is required, since an overlay has only those that differ."""
    schema = _relaxed(StudyConfig.model_json_schema())
    families = schema["$defs"]["Comparison"]["properties"]["families"]
    families["additionalProperties"] = {"anyOf": [families["additionalProperties"], {"type": "null"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _relaxed(part: Any) -> Any:
    """Without required keys, and with any of several forms in place of exactly one, as a part of an entry may fit several."""
    if isinstance(part, list):
        return [_relaxed(each) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {key: value for key, value in part.items() if not (key == "required" and isinstance(value, list)) and key != "discriminator"}
    return {"anyOf" if key == "oneOf" else key: _relaxed(value) for key, value in kept.items()}
