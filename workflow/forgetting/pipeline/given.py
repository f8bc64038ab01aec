"""A study of a given model: its shape and its tokenizer are taken from its files before the study is planned. (No torch.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from forgetting.config.fields import ConfigError
from forgetting.config.sections import Model
from forgetting.errors import StudyError
from forgetting.model.given_files import (
    adapter_base,
    adapter_weights,
    check_tokenizer,
    describe_given,
    find_given,
    folder_of,
    is_adapter,
    shape_of,
)

FAMILIES = get_args(Model.model_fields["architecture"].annotation)


def fill_in(config: dict[str, Any]) -> None:
    """With `model.source: given`, put what the files of the model say in place of the keys of a model from scratch, and
    its tokenizer in place of another; variants that differ from the study in such keys alone are left out, for they would all be the given
    model. What is no such config stays as it is. Raises ConfigError that names the model."""
    model = config.get("model")
    if not isinstance(model, dict) or model.get("source") != "given" or not isinstance(model.get("name"), str):
        return
    name, trust_remote_code = model["name"], model.get("trust_remote_code") is True
    try:
        files = describe_given(name, trust_remote_code=trust_remote_code)
        kind = files.config.get("model_type")
        if kind not in FAMILIES:
            raise StudyError(
                f"{name}: is of the family {kind!r}, and known are only {', '.join(FAMILIES)}: add a row for it to "
                "workflow/forgetting/model/anatomy.py"
            )
        shape = shape_of(files.config)
        check_tokenizer(name, shape.vocabulary)
        _check_weights(name, trust_remote_code=trust_remote_code)
    except StudyError as error:
        raise ConfigError(f"bad config: model.name {error}") from None
    model |= {
        "architecture": kind,
        "layers": shape.layers,
        "hidden_size": shape.hidden_size,
        "heads": shape.heads,
        "max_positions": shape.positions,
    }
    config["tokenizer"] = {**config.get("tokenizer", {}), "kind": "given", "path": name}
    variants = (config.get("architectures") or {}).get("variants") or {}
    for variant, own in variants.items():
        if isinstance(own, dict) and not {"source", "name"} & set(own.get("model") or {}):
            variants[variant] = None


def _check_weights(name: str, *, trust_remote_code: bool) -> None:
    """Raises StudyError where weights in a folder are missing or a pickle. Those of a hub name are fetched by the first job."""
    folder = folder_of(name)
    if is_adapter(folder, name):
        adapter_weights(folder, name)
        name = adapter_base(folder, name)
    if Path(name).is_dir():
        find_given(name, trust_remote_code=trust_remote_code)
