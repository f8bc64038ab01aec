"""The files of a model that somebody else trained: where they are, what they say of it, and how much memory
it takes. (No torch.)

A model is named by a folder, or by a name on the Hugging Face hub, whose files are then fetched once into the
cache of that library. Only `config.json` and the headers of weights are read here, so that what cannot be
used is refused before any work. Weights are safetensors alone: a pickle can run code when it is opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import psutil

from forgetting.errors import StudyError

CONFIG, ADAPTER_CONFIG, TOKENIZER = "config.json", "adapter_config.json", "tokenizer.json"
WEIGHTS, INDEX, ADAPTER_WEIGHTS = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"
_SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "*.py", ADAPTER_WEIGHTS)
_NOT_OURS = ("original/*", "onnx/*", "*/*.safetensors")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZER_OF_NO_FAMILY = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that are what their files say, and have no special tokens but those that these name."""
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the names of classes end that predict the next token; a classifier, an encoder, or a decoder with an
encoder, has another."""
BYTES_PER_WEIGHT = 4
COPIES_IN_TRAINING = 6
"""Of the weights, in float32: these, their gradients, the two moments of AdamW, a state that is saved, and
room."""


@dataclass(frozen=True)
class GivenFiles:
    """name: as the user wrote it. folder: where its files are. config: its `config.json`. weights: its
    safetensors files, all there."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]

    @property
    def parameters(self) -> int:
        """Numbers in the weights, by the headers of their files."""
        return sum(_numbers_in(path, self.name) for path in self.weights)


@dataclass(frozen=True)
class Shape:
    """What a model's size follows from. blocks: weights of the matrices of all blocks. vocabulary: rows of an
    embedding. positions: the longest sequence."""

    layers: int
    hidden_size: int
    heads: int
    vocabulary: int
    positions: int
    blocks: int
    tied: bool

    @property
    def parameters(self) -> int:
        """About: without biases and norms."""
        return self.blocks + (1 if self.tied else 2) * self.vocabulary * self.hidden_size


def find_given(name: str | Path, *, trust_remote_code: bool = False) -> GivenFiles:
    """The files of a model. Raises StudyError that says why it cannot be used: a folder without config.json,
    weights that are missing, quantised or a pickle, no causal language model, code of its own."""
    files = describe_given(name, trust_remote_code=trust_remote_code)
    folder = _fetch(str(name), weights=True) if not Path(name).is_dir() else files.folder
    return GivenFiles(str(name), folder, files.config, _weights(folder, str(name)))


def describe_given(name: str | Path, *, trust_remote_code: bool = False) -> GivenFiles:
    """The same without any weights, which are not fetched: what is known before the work begins."""
    folder = folder_of(name)
    if is_adapter(folder, str(name)):
        return describe_given(adapter_base(folder, str(name)), trust_remote_code=trust_remote_code)
    config = _read_json(folder / CONFIG, str(name))
    _check_config(config, str(name), trust_remote_code)
    return GivenFiles(str(name), folder, config, ())


def folder_of(name: str | Path) -> Path:
    """The folder of a model, an adapter or a tokenizer; the small files of a hub name are fetched. Raises
    StudyError."""
    path = Path(name)
    if path.is_dir():
        if not any((path / file).is_file() for file in (CONFIG, ADAPTER_CONFIG)):
            raise StudyError(f"{name}: is no folder of a model, it has neither {CONFIG} nor {ADAPTER_CONFIG}")
        return path
    if path.exists() or not _HUB_NAME.fullmatch(str(name)):
        raise StudyError(f"{name}: is neither a folder nor the name of a model on the hub: mend the path")
    return _fetch(str(name), weights=False)


def is_adapter(folder: Path, name: str) -> bool:
    """Whether the folder holds a PEFT adapter and no whole model. Raises StudyError where it holds both."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return False
    if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        raise StudyError(
            f"{name}: holds the weights of a model and an adapter, so which is meant cannot be told: move one of them elsewhere"
        )
    return True


def adapter_base(folder: Path, name: str) -> str:
    """The folder or hub name of the model that an adapter belongs to. Raises StudyError where it is not
    said."""
    base = _read_json(folder / ADAPTER_CONFIG, name).get("base_model_name_or_path")
    if not base:
        raise StudyError(f"{name}: {ADAPTER_CONFIG} does not say of which model it is an adapter (base_model_name_or_path)")
    beside = folder / str(base)
    return str(beside if not Path(base).is_dir() and beside.is_dir() else base)


def adapter_weights(folder: Path, name: str) -> Path:
    """The weights of an adapter. Raises StudyError when they are missing, or a pickle."""
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise StudyError(f"{name}: {_no_weights(folder, ADAPTER_WEIGHTS)}")
    return folder / ADAPTER_WEIGHTS


def tokenizer_config(folder: Path, name: str) -> dict[str, Any]:
    """What stands beside the table of tokens: which class opens it, and its special tokens; nothing where nothing does."""
    said: dict[str, Any] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        said |= _read_json(folder / file, name) if (folder / file).is_file() else {}
    return said


def check_tokenizer(name: str | Path, rows: int) -> None:
    """Raises StudyError for the tokenizer of a model that is missing, has no end token, or has more tokens than the
    model has `rows` of its embedding. What only opening it can tell is found when the data are made."""
    folder = folder_of(name)
    if not (folder / TOKENIZER).is_file() and is_adapter(folder, str(name)):
        return check_tokenizer(adapter_base(folder, str(name)), rows)
    if not (folder / TOKENIZER).is_file():
        raise StudyError(f"{name}: has no {TOKENIZER}: save its tokenizer beside it with AutoTokenizer")
    said = tokenizer_config(folder, str(name))
    if not said.get("eos_token") and said.get("tokenizer_class") in (None, *TOKENIZER_OF_NO_FAMILY):
        raise StudyError(f"{name}: its tokenizer has no end token (eos_token in tokenizer_config.json)")
    table = _read_json(folder / TOKENIZER, str(name))
    vocabulary = table.get("model", {}).get("vocab", {})
    numbers = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    tokens = 1 + max([*numbers, *(added["id"] for added in table.get("added_tokens", []))], default=-1)
    if tokens > rows:
        raise StudyError(f"{name}: its tokenizer has {tokens} tokens, but the model embeds only {rows}: they do not belong together")


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json of a family of anatomy.py tells. Raises StudyError for one that does not."""
    config = config.get("text_config", config)

    def one_of(*keys: str) -> int:
        found = next((config[key] for key in keys if key in config), None)
        if not isinstance(found, int):
            raise StudyError(f"{CONFIG} of the model does not say its {keys[0]}")
        return found

    width, layers = one_of("hidden_size", "n_embd"), one_of("num_hidden_layers", "n_layer")
    heads, vocabulary = one_of("num_attention_heads", "n_head"), one_of("vocab_size")
    positions = one_of("max_position_embeddings", "n_positions")
    inner = config.get("intermediate_size") or config.get("n_inner") or 4 * width
    matrices_of_mlp = 2 if config.get("model_type") in ("gpt_neox", "gpt2") else 3
    head = config.get("head_dim") or width // heads
    key_heads = config.get("num_key_value_heads") or heads
    block = 2 * width * head * (heads + key_heads) + matrices_of_mlp * width * inner
    tied = bool(config.get("tie_word_embeddings", config.get("model_type") == "gpt2"))
    return Shape(layers, width, heads, vocabulary, positions, layers * block, tied)


def memory_needed(parameters: int, *, trained: bool) -> int:
    """Bytes that a model takes in float32 as it is loaded, or while it is trained with AdamW, whatever its
    type on the disk."""
    return BYTES_PER_WEIGHT * parameters * (COPIES_IN_TRAINING if trained else 1)


def require_memory(name: str, parameters: int, *, trained: bool) -> None:
    """Raises StudyError that names a model for which this process has too little memory: else the system
    would kill it without a word."""
    needed, there = memory_needed(parameters, trained=trained), memory_there()
    if needed > there:
        raise StudyError(
            f"{name}: {parameters / 1e9:.2f} billion parameters in float32 need {needed / 1e9:.1f} GB "
            f"{'to be trained' if trained else 'of memory'}, and {there / 1e9:.1f} GB are free here: use a machine "
            "with more memory, or a smaller model"
        )


def memory_there() -> int:
    """Bytes that this process may still take: what the machine has free, and what its control groups leave
    it."""
    return min([psutil.virtual_memory().available, *_left_by_control_groups()])


def _left_by_control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What each group of version 2 that this process is in leaves it."""
    lines = own.read_text().splitlines() if own.is_file() else []
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = root / path
    for group in (folder, *folder.parents):
        if not group.is_relative_to(root):
            return
        limit, used = group / "memory.max", group / "memory.current"
        if limit.is_file() and (most := limit.read_text().strip()) != "max":
            yield int(most) - int(used.read_text())


def _fetch(name: str, *, weights: bool) -> Path:
    """The folder in the hub's cache that has the files of a name: those that are there already, else fetched.
    Raises StudyError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    wanted, others = [*_SMALL, *(["model*.safetensors"] if weights else [])], list(_NOT_OURS)
    try:
        folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=wanted, ignore_patterns=others))
        described = (folder / CONFIG).is_file() or (folder / ADAPTER_CONFIG).is_file()
        if described and (not weights or all((folder / file).is_file() for file in _weight_files(folder, name))):
            return folder
    except OSError:
        pass  # nothing of it was fetched before
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=others))
    except GatedRepoError:
        reason = "is gated: accept its licence on its page, and log in with `hf auth login`"
    except RepositoryNotFoundError:
        reason = "is no model on the hub, or a private one for which `hf auth login` is needed"
    except (OSError, ValueError) as error:
        reason = f"is no folder here, and the hub did not answer ({str(error).splitlines()[0][:100]})"
    raise StudyError(f"{name}: {reason}. Without a network, copy its files into a folder and name that")


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{name}: has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise StudyError(f"{name}: {path.name} cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise StudyError(f"{name}: {path.name} is no table of keys")
    return found


def _check_config(config: Mapping[str, Any], name: str, trust_remote_code: bool) -> None:
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method", "unknown") if isinstance(quantised, dict) else quantised
        raise StudyError(
            f"{name}: its weights are quantised ({method}), and such weights cannot be trained: give the model in bf16 or float32"
        )
    if config.get("is_encoder_decoder"):
        raise StudyError(f"{name}: has an encoder and a decoder ({config.get('model_type')}), which no causal language model has")
    classes = config.get("architectures") or []
    if classes and not any(str(each).endswith(_CAUSAL) for each in classes):
        raise StudyError(f"{name}: is a {', '.join(classes)}, and no causal language model (...ForCausalLM)")
    if "AutoModelForCausalLM" in (config.get("auto_map") or {}) and not trust_remote_code and _unknown(config.get("model_type")):
        raise StudyError(
            f"{name}: needs Python code of its own, which is not run unless you say trust_remote_code: true. Read that code first"
        )


def _unknown(model_type: object) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type not in CONFIG_MAPPING_NAMES


def _weight_files(folder: Path, name: str) -> list[str]:
    """The files that hold the weights, there or not."""
    if (folder / INDEX).is_file():
        return sorted(set(map(str, _read_json(folder / INDEX, name).get("weight_map", {}).values())))
    return [WEIGHTS]


def _weights(folder: Path, name: str) -> tuple[Path, ...]:
    files = _weight_files(folder, name)
    for file in files:
        if not (folder / file).is_file():
            raise StudyError(f"{name}: {_no_weights(folder, file)}")
    return tuple(folder / file for file in files)


def _no_weights(folder: Path, file: str) -> str:
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        return (
            f"its weights are a pickle ({pickles[0]}), which is never opened, as it can run code: save the model with "
            "`save_pretrained`, which writes safetensors"
        )
    return f"{file} is missing"


def _numbers_in(path: Path, name: str) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118, it is no dictionary
    except (SafetensorError, OSError) as error:
        raise StudyError(f"{name}: {path.name} cannot be read ({error})") from None
    return sum(prod(shape) for shape in shapes)
