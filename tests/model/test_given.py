"""Models and tokenizers that somebody else saved: what is opened, and what is refused with which words."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import sections
from tests.families import every_family, family_model
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, T5Config

from forgetting.errors import StudyError
from forgetting.model import given_files
from forgetting.model.checkpoints import random_model
from forgetting.model.given import load_given, load_given_tokenizer, require_fit
from forgetting.model.given_files import describe_given, find_given, memory_needed, shape_of
from forgetting.scenarios.biography.tokenizer import save_tokenizer, train_tokenizer

VOCABULARY = 300
IDS = torch.arange(12).reshape(2, 6)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(sections.tokenizer(kind="bpe", vocabulary_size=VOCABULARY), ["Some text of some words."]), folder)
    return folder


@pytest.fixture
def llama(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """The folder of a tiny Llama with its tokenizer."""
    folder = Path(shutil.copytree(tokenizer_folder, tmp_path / "llama"))
    family_model("llama", VOCABULARY).save_pretrained(folder)
    return folder


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def change(folder: Path, **keys: object) -> None:
    """Keys of its config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def refusal(folder: Path | str) -> str:
    with pytest.raises(StudyError) as error:
        load_given(folder)
    message = str(error.value)
    assert str(folder) in message and "\n" not in message
    return message


@every_family
def test_a_model_of_every_family_comes_back(family: str, tmp_path: Path) -> None:
    model = family_model(family, VOCABULARY)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 1
    for name in ("whole", "sharded"):
        found = load_given(tmp_path / name)
        assert not found.training and {values.dtype for values in found.parameters()} == {torch.float32}
        assert torch.equal(logits(found), logits(model))
    files, shape = find_given(tmp_path / "sharded"), shape_of(model.config.to_dict())
    assert files.parameters == sum(values.numel() for values in model.parameters())
    matrices = sum(values.numel() for name, values in model.named_parameters() if values.ndim == 2 and "wpe" not in name)
    assert (shape.parameters, shape.vocabulary, shape.layers, shape.positions) == (matrices, VOCABULARY, 2, 512)


def test_bf16_on_the_disk_becomes_float32(llama: Path) -> None:
    model = load_given(llama).to(torch.bfloat16)
    model.save_pretrained(llama)
    found = load_given(llama)
    assert {values.dtype for values in found.parameters()} == {torch.float32}
    assert all(torch.equal(mine, theirs.float()) for mine, theirs in zip(found.parameters(), model.parameters(), strict=True))


def test_a_given_model_has_no_dropout(tmp_path: Path) -> None:
    model = family_model("gpt2", VOCABULARY)
    model.save_pretrained(tmp_path)
    change(tmp_path, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
    found = load_given(tmp_path).train()
    assert torch.equal(logits(found), logits(found))


def test_a_tokenizer_keeps_its_own_tokens_and_pads_with_the_end_where_it_has_no_padding(llama: Path) -> None:
    require_fit(load_given(llama), load_given_tokenizer(llama), llama)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.pad_token = None
    tokenizer.save_pretrained(llama)
    found = load_given_tokenizer(llama)
    assert (found.bos_token, found.eos_token, found.pad_token) == ("<s>", "</s>", "</s>")
    small = family_model("llama", len(found) - 1)
    with pytest.raises(StudyError, match=rf"has {len(found)} tokens, but the model embeds only {len(found) - 1}"):
        require_fit(small, found, llama)


@every_family
def test_text_is_split_as_the_file_says_and_not_as_others_of_the_family_do(tmp_path: Path, family: str) -> None:
    """AutoTokenizer splits it as Qwen 2 does, for such a model, and finds none of the words."""
    trained = train_tokenizer(sections.tokenizer(kind="word", vocabulary_size=VOCABULARY), ["She went to Yale University."])
    save_tokenizer(trained, tmp_path)
    family_model(family, VOCABULARY).save_pretrained(tmp_path)
    expected = trained.encode(" Yale University", add_special_tokens=False).ids
    assert len(expected) == 2
    assert load_given_tokenizer(tmp_path)(" Yale University", add_special_tokens=False).input_ids == expected


def test_a_tokenizer_without_an_end_token_is_refused(llama: Path) -> None:
    path = llama / "tokenizer_config.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if not key.endswith("_token")}))
    with pytest.raises(StudyError, match=r"no end token \(eos_token\)"):
        load_given_tokenizer(llama)


def test_a_model_without_a_tokenizer_is_refused_when_that_is_asked_for(llama: Path) -> None:
    for path in llama.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(StudyError, match="has no tokenizer"):
        load_given_tokenizer(llama)


def test_what_is_no_folder_of_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert "neither config.json" in refusal(tmp_path / "empty")
    assert "neither a folder nor" in refusal(tmp_path / "file")
    assert "neither a folder nor" in refusal(tmp_path / "nowhere")


def test_a_config_that_is_no_json_is_refused(llama: Path) -> None:
    (llama / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal(llama)


def test_a_pickle_is_never_opened(llama: Path) -> None:
    torch.save(load_file(llama / "model.safetensors"), llama / "pytorch_model.bin")
    assert load_given(llama)  # whose weights lie beside it
    (llama / "model.safetensors").unlink()
    assert "its weights are a pickle (pytorch_model.bin)" in refusal(llama)
    (llama / "pytorch_model.bin").unlink()
    assert "model.safetensors is missing" in refusal(llama)


def test_a_missing_part_of_sharded_weights_is_named(tmp_path: Path) -> None:
    family_model("llama", VOCABULARY).save_pretrained(tmp_path, max_shard_size="50KB")
    part = max(tmp_path.glob("model-*.safetensors"))
    part.unlink()
    assert f"{part.name} is missing" in refusal(tmp_path)


def test_truncated_weights_are_refused(llama: Path) -> None:
    path = llama / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    assert "model.safetensors cannot be read" in refusal(llama)


def test_quantised_weights_are_refused_by_name(llama: Path) -> None:
    change(llama, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert "quantised (bitsandbytes)" in refusal(llama)


def test_code_of_its_own_is_run_only_where_that_is_said(llama: Path) -> None:
    (llama / "mine.py").write_text("open('ran', 'w')")
    change(llama, model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"})
    assert "trust_remote_code: true" in refusal(llama)
    change(llama, auto_map={})
    assert "transformers cannot open it" in refusal(llama)


def test_what_does_not_predict_the_next_token_is_refused(tmp_path: Path) -> None:
    config = AutoConfig.for_model(**family_model("llama", VOCABULARY).config.to_dict())
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "classifier")
    assert "is a LlamaForSequenceClassification, and no causal" in refusal(tmp_path / "classifier")
    T5Config().save_pretrained(tmp_path / "t5")
    assert "an encoder and a decoder (t5)" in refusal(tmp_path / "t5")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(llama: Path, value: float) -> None:
    weights = load_file(llama / "model.safetensors")
    weights["model.norm.weight"][3] = value
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    assert "not all finite numbers (first in model.norm.weight)" in refusal(llama)


def test_weights_of_another_architecture_are_refused(llama: Path) -> None:
    change(llama, hidden_size=64)
    assert "not of the architecture in its config.json" in refusal(llama)
    change(llama, hidden_size=32, num_hidden_layers=3)
    assert "not of the architecture in its config.json" in refusal(llama)


def test_a_hub_name_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    for error, words in (
        (LocalEntryNotFoundError("cannot reach\nthe hub"), r"the hub did not answer \(cannot reach\)"),
        (GatedRepoError.__new__(GatedRepoError), "is gated: accept its licence"),
        (RepositoryNotFoundError.__new__(RepositoryNotFoundError), "is no model on the hub"),
    ):

        def fail(name: str, error: Exception = error, **options: object) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(StudyError, match=rf"^someone/model: .*{words}.*copy its files into a folder"):
            describe_given("someone/model")


def test_a_hub_name_is_fetched_once_without_weights_and_then_with_them(
    monkeypatch: pytest.MonkeyPatch, llama: Path, tmp_path: Path
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    load_given(llama).save_pretrained(llama, max_shard_size="50KB")
    (llama / "model.safetensors").unlink(missing_ok=True)
    cache, asked = tmp_path / "cache", list[list[str]]()

    def download(name: str, allow_patterns: list[str], ignore_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            if not cache.exists():
                raise LocalEntryNotFoundError("nothing")
            return str(cache)
        asked.append(allow_patterns)
        ignored = None if "model*.safetensors" in allow_patterns else shutil.ignore_patterns("model*.safetensors")
        return str(shutil.copytree(llama, cache, ignore=ignored, dirs_exist_ok=True))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert describe_given("someone/model").config["model_type"] == "llama"
    assert (cache / "model.safetensors.index.json").exists() and not list(cache.glob("*.safetensors"))
    for _ in range(2):
        assert torch.equal(logits(load_given("someone/model")), logits(load_given(llama)))
    assert len(asked) == 2, "what is there is not asked for again"
    assert load_given_tokenizer("someone/model").eos_token == "<|endoftext|>"


def test_a_model_that_does_not_fit_into_memory_is_named(monkeypatch: pytest.MonkeyPatch, llama: Path) -> None:
    monkeypatch.setattr(given_files, "memory_there", lambda: 10_000)
    assert "in float32 need 0.0 GB of memory" in refusal(llama)
    assert memory_needed(10**9, trained=True) == 24 * 10**9


def test_the_smallest_limit_of_the_control_groups_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/x\n0::/slurm/job_1/step_0\n")
    for group, limit, used in (("slurm", "max", 7), ("slurm/job_1", "1000", 100), ("slurm/job_1/step_0", "max", 50)):
        (tmp_path / "root" / group).mkdir(parents=True)
        (tmp_path / "root" / group / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "root" / group / "memory.current").write_text(f"{used}\n")
    assert list(given_files._left_by_control_groups(tmp_path / "root", own)) == [900]
    assert 0 < given_files.memory_there() < 2**50


def adapter_of(folder: Path, base: Path, **options: object) -> tuple[Path, torch.Tensor]:
    """A LoRA adapter with random weights, and the logits of the adapted model."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    config = peft.LoraConfig(**{"r": 2, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False, **options})
    adapted = peft.get_peft_model(load_given(base), config)
    adapted.save_pretrained(folder)
    return folder, logits(adapted)


def test_an_adapter_is_merged_into_its_model(llama: Path, tmp_path: Path) -> None:
    folder, expected = adapter_of(tmp_path / "adapter", llama)
    found = load_given(folder)
    assert type(found) is type(load_given(llama)) and not found.training
    assert not any("lora" in name for name, _ in found.named_parameters())
    assert torch.allclose(logits(found), expected, atol=1e-4) and not torch.allclose(logits(load_given(llama)), expected, atol=1e-2)
    assert load_given_tokenizer(folder).eos_token == "<|endoftext|>"


def test_an_adapter_of_another_model_is_refused(llama: Path, tmp_path: Path) -> None:
    folder, _ = adapter_of(tmp_path / "adapter", llama)
    path = folder / "adapter_config.json"
    told = json.loads(path.read_text())
    for other, words in (({"num_hidden_layers": 1}, "has other layers"), ({"intermediate_size": 48}, "does not fit the model")):
        random_model(AutoConfig.for_model(**load_given(llama).config.to_dict() | other), 0).save_pretrained(tmp_path / "other")
        path.write_text(json.dumps(told | {"base_model_name_or_path": str(tmp_path / "other")}))
        assert words in refusal(folder)
    path.write_text(json.dumps(told | {"base_model_name_or_path": str(tmp_path / "gone")}))
    assert "the model that it is an adapter of cannot be used" in refusal(folder)
    path.write_text(json.dumps(told | {"base_model_name_or_path": None}))
    assert "does not say of which model" in refusal(folder)


def test_an_adapter_that_changes_no_weights_is_refused(llama: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    peft.get_peft_model(load_given(llama), config).save_pretrained(tmp_path / "prompt")
    assert "cannot be merged" in refusal(tmp_path / "prompt")


def made_up_adapter(folder: Path, base: Path) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": os.fspath(base)}))
    return folder


def test_what_an_adapter_needs_is_said(monkeypatch: pytest.MonkeyPatch, llama: Path, tmp_path: Path) -> None:
    folder = made_up_adapter(tmp_path / "adapter", llama)
    (folder / "adapter_model.bin").touch()
    assert "its weights are a pickle (adapter_model.bin)" in refusal(folder)
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "pip install peft" in refusal(folder)
    shutil.copy(folder / "adapter_config.json", llama)
    assert "which is meant cannot be told" in refusal(llama)
