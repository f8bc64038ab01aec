"""A study of a given model is planned with the shape and the tokenizer of that model, or refused before any job."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.given import given_model, given_tokenizer
from tests.study import clone_to, merged, snakemake

from forgetting.config.fields import ConfigError
from forgetting.config.plan import gates_job, pretrain_job
from forgetting.config.study import load_study
from forgetting.pipeline import given
from forgetting.pipeline.architectures import variant_configs
from forgetting.pipeline.given import fill_in
from forgetting.pipeline.sizes import Sizes


def config_of(name: Path | str, **said: Any) -> dict[str, Any]:
    whole = merged("smoke.yaml")
    whole["model"] |= {"source": "given", "name": str(name)} | said
    return whole


def refusal(name: Path) -> str:
    with pytest.raises(ConfigError) as error:
        fill_in(config_of(name))
    assert str(name) in str(error.value)
    return str(error.value)


def change(path: Path, **keys: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def test_shape_and_tokenizer_are_those_of_the_model(tmp_path: Path) -> None:
    whole = config_of(given_model(tmp_path / "mine", "qwen3"))
    fill_in(whole)
    study = load_study(whole)
    assert (study.model.architecture, study.model.layers, study.model.hidden_size, study.model.heads) == ("qwen3", 2, 32, 4)
    assert (study.tokenizer.kind, study.tokenizer.path) == ("given", str(tmp_path / "mine"))
    sizes = Sizes(study)
    assert sizes.model_bytes == 4 * sizes.parameters and sizes.vocabulary > 1400
    config = json.loads((tmp_path / "mine/config.json").read_text())
    matrices = 2 * 32 * 12 * (4 + 2) + 3 * 32 * config["intermediate_size"]  # by hand: 4 heads and 2 key heads of width 12
    assert sizes.parameters == 2 * matrices + 2 * sizes.vocabulary * 32
    assert gates_job(study, 0).biographies_read and pretrain_job(study, 0).model.name == str(tmp_path / "mine")


def test_variants_of_a_given_model_are_those_that_name_another(tmp_path: Path) -> None:
    """Of the others every one would be the given model, under the name of another family or width."""
    whole = config_of(given_model(tmp_path / "mine", "qwen3"), max_positions=64)
    other = given_model(tmp_path / "other", "llama")
    whole["architectures"]["variants"] |= {
        "other": {"model": {"name": str(other)}},
        "scratch": {"model": {"source": "pretrain", "name": None}},
    }
    fill_in(whole)
    assert {name for name, own in whole["architectures"]["variants"].items() if own} == {"other", "scratch"}
    found = {name: load_study(config).model for name, config in variant_configs(whole).items()}
    assert (found["other"].architecture, found["other"].name) == ("llama", str(other))
    assert found["scratch"].source == "pretrain"


def test_a_study_from_scratch_is_left_as_it_is() -> None:
    whole = merged()
    fill_in(whole)
    assert whole == merged()
    said = json.loads(pretrain_job(load_study(whole), 0).text())["model"]
    assert not {"source", "name", "continue_pretraining"} & set(said), "so that no model is pretrained again"


def test_a_model_that_reads_no_biographies_has_no_such_gate(tmp_path: Path) -> None:
    whole = config_of(given_model(tmp_path), continue_pretraining=False)
    fill_in(whole)
    study = load_study(whole)
    assert not gates_job(study, 0).biographies_read
    read = load_study(whole | {"model": whole["model"] | {"continue_pretraining": True}})
    assert Sizes(study).of("pretrain").disk < Sizes(read).of("pretrain").disk / 3


@pytest.mark.parametrize("said", [{"source": "given"}, {"name": "mine"}])
def test_a_name_belongs_to_a_given_model(said: dict[str, str]) -> None:
    whole = merged()
    whole["model"] |= said
    fill_in(whole)
    with pytest.raises(ConfigError, match=r"model\.name must be given exactly when"):
        load_study(whole)


def test_what_cannot_be_used_is_refused_before_any_job(tmp_path: Path) -> None:
    mine = given_model(tmp_path / "mine")
    config, tokenizer = mine / "config.json", mine / "tokenizer_config.json"
    change(config, model_type="falcon")
    assert "family 'falcon', and known are only gpt_neox, gpt2, llama" in refusal(mine)
    change(config, model_type="llama", quantization_config={"quant_method": "awq"})
    assert "quantised (awq)" in refusal(mine)
    change(config, quantization_config=None, vocab_size=1200)
    assert "tokens, but the model embeds only 1200" in refusal(mine)
    change(config, vocab_size=2000)
    change(tokenizer, eos_token=None)
    assert "no end token" in refusal(mine)
    (mine / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in refusal(mine)


def test_weights_that_are_missing_or_a_pickle_are_refused_before_any_job(tmp_path: Path) -> None:
    mine = given_model(tmp_path / "mine")
    weights = mine / "model.safetensors"
    (mine / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": weights.name, "b": "second.safetensors"}}))
    assert "second.safetensors is missing" in refusal(mine)
    (mine / "model.safetensors.index.json").unlink()
    weights.rename(mine / "pytorch_model.bin")
    assert "its weights are a pickle (pytorch_model.bin)" in refusal(mine)
    (mine / "pytorch_model.bin").unlink()
    assert "model.safetensors is missing" in refusal(mine)


def test_an_adapter_without_weights_is_refused_before_any_job(tmp_path: Path) -> None:
    base, adapter = given_model(tmp_path / "base"), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert "adapter_model.safetensors is missing" in refusal(adapter)
    (adapter / "adapter_model.safetensors").touch()
    fill_in(config_of(adapter))
    (base / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"base: model\.safetensors is missing"):
        fill_in(config_of(adapter))


def test_a_hub_name_without_a_network_stops_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"nobody/no-such-model: .*Without a network, copy its files"):
        fill_in(config_of("nobody/no-such-model"))


BILLION = {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
"""With 32 heads of 64 and 8 key heads, and one embedding for input and output: the shape of Llama-3.2-1B."""


def test_a_billion_parameters_are_planned_with_the_memory_that_they_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_tokenizer(tmp_path)
    shape = BILLION | {"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 8192} | shape))
    (tmp_path / "model.safetensors").touch()
    whole = config_of(tmp_path)
    fill_in(whole)
    sizes = Sizes(load_study(whole))
    assert sizes.parameters == pytest.approx(1.236e9, rel=1e-3), "as its card says"
    assert sizes.of("finetune", "seq").memory > 6 * 4 * 1236


@pytest.mark.parametrize("overlay", sorted(path.name for path in (Path(given.__file__).parents[3] / "config/given").glob("*.yaml")))
def test_overlays_of_known_models_are_planned_with_a_folder_in_place_of_the_name(overlay: str, tmp_path: Path) -> None:
    whole = merged(f"given/{overlay}")
    assert whole["model"]["source"] == "given" and "/" in whole["model"]["name"]
    whole["model"]["name"] = str(given_model(tmp_path, whole["model"]["architecture"]))
    stated = {key: whole["model"][key] for key in ("layers", "hidden_size", "heads")}
    study = load_study(whole)
    assert study.model.continue_pretraining and {key: getattr(study.model, key) for key in stated} == stated
    fill_in(whole)
    assert whole["model"]["layers"] == 2


def test_jobs_of_a_given_model_share_the_memory_that_is_there(tmp_path: Path) -> None:
    """Snakemake starts no more of them than fit, as with cores; a limit that the user sets stays."""
    clone = clone_to(tmp_path / "clone")
    given_model(clone / "mine")
    (clone / "mine.yaml").write_text("scale: mine\nmodel: {source: given, name: mine}\npretrain: {sequence_length: 320}\n")
    command = ("--cores", "2", "results/mine/seed0/data/config.json", "--configfile", "config/smoke.yaml")
    limits = {
        name: re.search(r"mem_mb=\D*(\d+)", snakemake(*command, *more, "-F", cwd=clone).stdout)
        for name, more in {"given": ["mine.yaml"], "own": ["mine.yaml", "--resources", "mem_mb=777"], "scratch": []}.items()
    }
    assert limits["scratch"] is None
    assert limits["given"] and 0 < int(limits["given"][1]) <= psutil.virtual_memory().total / 1e6
    assert limits["own"] and limits["own"][1] == "777"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_given_model_goes_through_the_whole_study(family: str, tmp_path: Path) -> None:
    """At smoke scale, from a folder, with a tokenizer that has its own begin and end tokens."""
    clone = clone_to(tmp_path / "clone")
    given_model(clone / "mine", family, begins=family == "llama")
    (clone / "mine.yaml").write_text(
        "scale: mine\nmodel: {source: given, name: mine}\npretrain: {steps: 20, sequence_length: 320, schedule: {warmup_steps: 5}}\n"
    )
    done = snakemake("--cores", "2", "all", "--configfile", "config/smoke.yaml", "mine.yaml", "--show-failed-logs", cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    assert (clone / "results/mine/report.html").is_file()
