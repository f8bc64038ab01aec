"""Models: building, loading and saving."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from forgetting.config.sections import CheckpointPrecision, Model
from forgetting.errors import CheckpointError
from forgetting.model.anatomy import scratch_config
from forgetting.model.devices import lease_device
from forgetting.model.manifest import check_sizes, own_files, withdraw_manifest, write_manifest
from forgetting.tables import atomic, writing

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints of a job that keeps several."""
transformers_logging.disable_progress_bar()  # a bar for every checkpoint would bury the lines of a job's log


def pick_device() -> torch.device:
    """CUDA when the job was given a device, else the CPU. Of several devices, one that no other job holds."""
    lease_device(torch.cuda.device_count())
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_model(config: Model, vocabulary_size: int, seed: int) -> PreTrainedModel:
    """A model with random float32 weights that depend on `seed` alone.

    Its embeddings have a row for every token, rounded up to a multiple of `config.vocabulary_multiple`; the rows that are added stand for
    no token and are never right.
    """
    vocabulary = ceil(vocabulary_size / config.vocabulary_multiple) * config.vocabulary_multiple
    return random_model(AutoConfig.for_model(**scratch_config(config, vocabulary)), seed)


def random_model(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """A model of this architecture with random float32 weights that depend on `seed` alone."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def save_checkpoint(model: PreTrainedModel, folder: Path, precision: CheckpointPrecision = "float32") -> None:
    """Write `config.json` and `model.safetensors`, which `AutoModelForCausalLM.from_pretrained` opens; all or nothing.

    precision: of the weights in the file.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with writing(folder, SafetensorError):
            part.mkdir(parents=True)
            model.save_pretrained(part)
            (part / "generation_config.json").unlink(missing_ok=True)  # sampling settings are given where texts are sampled
            if precision == "bfloat16":
                _round_to_bfloat16(part)
        publish(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _round_to_bfloat16(folder: Path) -> None:
    """Round the weights of a saved model, and say so in its config, from which transformers takes the type to open it with."""
    weights = {name: weight.to(torch.bfloat16) for name, weight in safetensors.torch.load_file(folder / WEIGHTS).items()}
    safetensors.torch.save_file(weights, folder / WEIGHTS, {"format": "pt"})
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(config | {"dtype": "bfloat16"}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def publish(source: Path, target: Path) -> None:
    """Give every file of `source` a second name in `target`, weights last, so that a folder with weights is complete.

    The source stays, so a job that dies while it finishes can finish again. Where the file system has no hard links, files are copied.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(own_files(source), key=lambda path: path.name == WEIGHTS):
        with atomic(target / file.name) as part:
            try:
                os.link(file, part)
            except OSError:
                shutil.copyfile(file, part)


def publish_all(checkpoints: Mapping[str, Path], output: Path) -> None:
    """Publish finished checkpoints, given by name, as `output/checkpoints/<name>` in place of those there, and last their manifest."""
    withdraw_manifest(output)
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)  # another config may have left other steps there
    for name, folder in checkpoints.items():
        publish(folder, output / CHECKPOINTS / name)
    write_manifest(output, [f"{CHECKPOINTS}/{name}" for name in checkpoints])


def load_checkpoint(folder: str | Path) -> PreTrainedModel:
    """A saved model in float32 and evaluation mode, on the CPU. Raises CheckpointError that names a file that is missing, of another size
    than its manifest says, or not of the architecture that `config.json` beside it tells."""
    check_sizes(Path(folder))
    path, config = Path(folder) / WEIGHTS, load_architecture(folder)
    try:
        with safetensors.safe_open(path, framework="pt"):  # checks the header against the size of the file
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); delete it and run again") from None
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,  # never a pickle
        ignore_mismatched_sizes=True,  # they are an error below, with the name of the file
        output_loading_info=True,
    )
    if wrong := [*loading["mismatched_keys"], *loading["missing_keys"], *loading["unexpected_keys"]]:
        raise CheckpointError(f"{path}: is not of the architecture in {CONFIG} beside it (first {wrong[0]}); delete both and run again")
    return model.eval()


def load_architecture(folder: str | Path) -> PretrainedConfig:
    """The `config.json` of a saved model. Raises CheckpointError that names it when it is missing or damaged."""
    path = Path(folder) / CONFIG
    try:
        return AutoConfig.for_model(**json.loads(path.read_text(encoding="utf-8")), attn_implementation="sdpa")
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the architecture of a model ({str(error)[:100]}); delete the folder and run again"
        ) from None


def load_weights(folder: str | Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, in float32. Raises CheckpointError naming a missing or damaged file."""
    check_sizes(Path(folder))
    path = Path(folder) / WEIGHTS
    try:
        return {name: weight.float() for name, weight in safetensors.torch.load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); delete it and run again") from None
