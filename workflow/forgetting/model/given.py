"""Models and tokenizers that somebody else made, opened as any causal language model of transformers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from forgetting.errors import StudyError
from forgetting.model.given_files import (
    ADAPTER_CONFIG,
    CONFIG,
    TOKENIZER,
    TOKENIZER_OF_NO_FAMILY,
    GivenFiles,
    adapter_base,
    adapter_weights,
    find_given,
    folder_of,
    is_adapter,
    require_memory,
    tokenizer_config,
)
from forgetting.model.manifest import check_sizes

transformers_logging.disable_progress_bar()
_DROPOUT = ("dropout", "pdrop", "dropout_prob", "dropout_p")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_given(name: str | Path, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """Any causal language model that transformers opens, in float32 and evaluation mode, on the CPU, without
    dropout.

    name: a folder, or a name on the hub. Weights may be in one file or in several, in any floating type. A
    PEFT adapter is merged into the model that it belongs to. Raises StudyError that names the model and says
    why it cannot be used.
    """
    folder = folder_of(name)
    if is_adapter(folder, str(name)):
        return _with_adapter(folder, str(name), trust_remote_code)
    files = find_given(name, trust_remote_code=trust_remote_code)
    check_sizes(files.folder)
    require_memory(str(name), files.parameters, trained=False)
    model = _open(files, trust_remote_code)
    _require_finite(model, str(name))
    return model.eval()


def load_given_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with its own tokens of begin, end and padding.

    Where it has no token for padding, the end token pads: which of them is padding says the attention mask,
    not the token. An adapter without a tokenizer has that of its model. Raises StudyError for one that is
    missing, cannot be read or has no end token.

    One of no family is opened as its tokenizer.json says. AutoTokenizer gives it the class of the model's family where that
    is Qwen 2's (and some others), which splits text in its own way, whatever the model was trained with.
    """
    folder = folder_of(name)
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        if is_adapter(folder, str(name)):
            return load_given_tokenizer(adapter_base(folder, str(name)), trust_remote_code=trust_remote_code)
        raise StudyError(f"{name}: has no tokenizer ({', '.join(_TOKENIZER_FILES[:3])}): copy it beside the model")
    plain = (folder / TOKENIZER).is_file() and tokenizer_config(folder, str(name)).get("tokenizer_class") in TOKENIZER_OF_NO_FAMILY
    opener = PreTrainedTokenizerFast if plain else AutoTokenizer
    try:
        tokenizer = opener.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise StudyError(f"{name}: its tokenizer cannot be opened ({_first_line(error)})") from None
    if tokenizer.eos_token_id is None:
        raise StudyError(
            f"{name}: its tokenizer has no end token (eos_token), which every answer ends with: name one in tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def require_fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str | Path) -> None:
    """Raises StudyError where the tokenizer has tokens that the model has no embedding for. More rows than
    tokens are usual."""
    tokens, rows = max(tokenizer.get_vocab().values()) + 1, model.get_input_embeddings().weight.shape[0]
    if tokens > rows:
        raise StudyError(f"{name}: its tokenizer has {tokens} tokens, but the model embeds only {rows}: they do not belong together")


def _open(files: GivenFiles, trust_remote_code: bool) -> PreTrainedModel:
    with _only_the_model(files) as folder:
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
            _without_dropout(config)
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                ignore_mismatched_sizes=True,  # they are an error below, with the name of the model
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError, TypeError, SafetensorError) as error:
            raise StudyError(f"{files.name}: transformers cannot open it ({_first_line(error)})") from None
    if wrong := [*loading["mismatched_keys"], *loading["missing_keys"]]:
        raise StudyError(f"{files.name}: its weights are not of the architecture in its {CONFIG} (first {wrong[0]}, {len(wrong)} in all)")
    if more := loading["unexpected_keys"]:
        print(f"{files.name}: {len(more)} weights belong to no part of the model and are left out (first {sorted(more)[0]})", flush=True)
    model.name_or_path = model.config._name_or_path = files.name  # not the folder of links; an adapter trained on it says so
    return model


@contextmanager
def _only_the_model(files: GivenFiles) -> Iterator[Path]:
    """A folder with the config, the weights and the code of a model alone: what else lies beside them, such
    as an adapter or a pickle, would be opened too."""
    with tempfile.TemporaryDirectory(prefix="forgetting-given-") as folder:
        wanted = [*files.weights, *files.folder.glob("*.py"), *files.folder.glob("model.safetensors.index.json"), files.folder / CONFIG]
        for path in wanted:
            os.symlink(path.resolve(), Path(folder) / path.name)
        yield Path(folder)


def _without_dropout(config: PretrainedConfig) -> None:
    """No model of this library has dropout: an arm would differ from another by its draws."""
    text = config.get_text_config()
    for key, value in text.to_dict().items():
        if key.endswith(_DROPOUT) and isinstance(value, float):
            setattr(text, key, 0.0)


def _require_finite(model: PreTrainedModel, name: str) -> None:
    for parameter, values in model.named_parameters():
        if not bool(torch.isfinite(values).all()):
            raise StudyError(
                f"{name}: its weights are not all finite numbers (first in {parameter}): the file is damaged, or training diverged"
            )


def _with_adapter(folder: Path, name: str, trust_remote_code: bool) -> PreTrainedModel:
    path = adapter_weights(folder, name)
    base = adapter_base(folder, name)
    peft = _peft(name)
    try:
        model = load_given(base, trust_remote_code=trust_remote_code)
    except StudyError as error:
        raise StudyError(f"{name}: the model that it is an adapter of cannot be used: {error}") from None
    of_base = set(model.state_dict())  # an adapter may bring embeddings of its own, under their names
    try:
        adapted = peft.PeftModel.from_pretrained(model, folder, low_cpu_mem_usage=False, local_files_only=True, use_safetensors=True)
        expected = set(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
        with safe_open(path, framework="pt") as file:
            found = {key for key in file.keys() if key.removeprefix("base_model.model.") not in of_base}  # noqa: SIM118, it is no dictionary
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise StudyError(f"{name}: does not fit the model {base} that it says it is an adapter of ({_first_line(error)})") from None
    if expected != found:
        raise StudyError(
            f"{name}: does not fit the model {base} that it says it is an adapter of (first {sorted(expected ^ found)[0]}): "
            "that has other layers"
        )
    if not hasattr(adapted, "merge_and_unload"):
        kind = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("peft_type")
        raise StudyError(f"{name}: an adapter of the kind {kind} is no change of weights, so it cannot be merged into its model")
    merged: PreTrainedModel = adapted.merge_and_unload()
    _require_finite(merged, name)
    return merged.eval()


def _peft(name: str) -> Any:
    try:
        import peft
    except ImportError:
        raise StudyError(f"{name}: is a PEFT adapter, for which the package peft is needed: pip install peft") from None
    return peft


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:200]
