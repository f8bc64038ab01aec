"""What anatomy.py says of each family, against what its model does in a forward pass."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from tests import sections
from tests.families import HEADS, LAYERS, WIDTH, every_family, family_model
from torch.nn.functional import gelu, scaled_dot_product_attention, silu
from transformers import AttentionInterface, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from forgetting.config.sections import Model
from forgetting.errors import StudyError
from forgetting.model.anatomy import FAMILIES, Anatomy, output_weight, uniform_name
from forgetting.model.checkpoints import build_model, load_checkpoint, save_checkpoint
from forgetting.views.inputs import read_weights

VOCABULARY = 50
IDS = torch.randint(0, VOCABULARY, (3, 5), generator=torch.Generator().manual_seed(0))


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {uniform_name(name): parameter.detach() for name, parameter in model.named_parameters()}


def without_biases(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "_norm" in name:
                parameter.fill_(0 if name.endswith("bias") else 1)
    return model


def read_by_maps(model: PreTrainedModel, ids: torch.Tensor = IDS) -> tuple[dict[tuple[int, str], torch.Tensor], torch.Tensor]:
    """What goes into the map of each matrix, by layer and matrix; and the last states."""
    anatomy, found = Anatomy(model.config), {}
    for layer, name, module in anatomy.maps(model):
        for component in anatomy.components_of(name):
            module.register_forward_pre_hook(lambda _, given, key=(layer, component): found.update({key: given[0]}))
    with torch.no_grad():
        last = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return found, last


def test_every_architecture_of_the_config_has_a_row() -> None:
    assert set(get_args(Model.model_fields["architecture"].annotation)) == set(FAMILIES)


def test_an_unknown_family_is_named_beside_those_known() -> None:
    with pytest.raises(StudyError, match=r"'gemma2' are not known, only gpt_neox, gpt2, llama"):
        Anatomy(SimpleNamespace(model_type="gemma2"))  # type: ignore[arg-type]


def test_a_row_that_does_not_fit_is_an_error() -> None:
    llama, anatomy = family_model("llama", VOCABULARY), Anatomy(family_model("gpt2", VOCABULARY).config)
    with pytest.raises(StudyError, match=r"family 'gpt2' has no 'h'"):
        anatomy.blocks(llama)
    with pytest.raises(StudyError, match=r"no 'transformer\.h\.0\.attn\.c_attn\.weight'"):
        anatomy.matrix(weights_of(llama), 0, "query")
    with pytest.raises(StudyError, match=r"no matrix 'mlp_gate', only query, key, value"):
        anatomy.matrix(weights_of(llama), 0, "mlp_gate")


def test_a_gpt_neox_is_the_one_that_its_class_builds(tmp_path: Path) -> None:
    """The same random draws, and the same file of its config."""
    torch.manual_seed(3)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    expected, found = (
        GPTNeoXForCausalLM(config),
        build_model(sections.model(layers=LAYERS, hidden_size=WIDTH, heads=HEADS), VOCABULARY, seed=3),
    )
    weights = found.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in expected.state_dict().items())
    expected.save_pretrained(tmp_path / "expected")
    save_checkpoint(found, tmp_path / "found")

    def said(name: str) -> list[str]:
        """The lines of a config; transformers 5.0 also writes that there is none of something that was given as none."""
        return [line for line in (tmp_path / name / "config.json").read_text().splitlines() if not line.endswith(": null,")]

    assert said("found") == said("expected")


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_model_from_scratch_is_as_large_as_a_gpt_neox_and_has_no_dropout(kind: str) -> None:
    shape = sections.model(architecture=kind, layers=2, hidden_size=96, heads=4)
    with torch.device("meta"):
        model = build_model(shape, VOCABULARY, seed=0)
    anatomy = Anatomy(model.config)
    of_blocks = sum(parameter.numel() for name, parameter in model.named_parameters() if anatomy.layer_of(name) is not None)
    assert of_blocks == pytest.approx(2 * 12 * 96**2, rel=0.02)
    assert not model.config.tie_word_embeddings
    assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))


@every_family
def test_queries_keys_and_values_are_what_attention_is_given(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of single tokens, which stand where rotary positions turn nothing. Norms of heads scale what the maps give, so there the
    directions are compared."""
    model, given = without_biases(family_model(family, VOCABULARY)), []

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: Any = None, **_: Any) -> tuple[torch.Tensor, None]:
        given.append((query, key, value))
        attended = scaled_dot_product_attention(query, key, value, scale=scaling, enable_gqa=True)
        return attended.transpose(1, 2), None

    AttentionInterface.register("watched", attend)
    monkeypatch.setattr(model.config, "_attn_implementation", "watched")
    inputs, _ = read_by_maps(model, IDS[:, :1])
    anatomy, weights = Anatomy(model.config), weights_of(model)
    assert len(given) == anatomy.layers == LAYERS
    for layer, parts in enumerate(given):
        for component, heads in zip(("query", "key", "value"), parts, strict=True):
            matrix = anatomy.matrix(weights, layer, component)
            made = (inputs[layer, component] @ matrix.T).unflatten(-1, (-1, anatomy.head_size)).transpose(1, 2)
            assert made.shape == heads.shape
            if family in ("qwen3", "olmo2") and component != "value":
                made, heads = (torch.nn.functional.normalize(each, dim=-1) for each in (made, heads))
            torch.testing.assert_close(made, heads, atol=1e-5, rtol=1e-4)


@every_family
def test_the_other_matrices_do_what_the_block_does(family: str) -> None:
    """The inputs of the last matrix of the MLP are made by the other ones."""
    model = without_biases(family_model(family, VOCABULARY))
    inputs, last = read_by_maps(model)
    anatomy, weights = Anatomy(model.config), weights_of(model)
    for layer in range(LAYERS):
        made = inputs[layer, "mlp_input"] @ anatomy.matrix(weights, layer, "mlp_input").T
        if "mlp_gate" in anatomy.components:
            made = made * silu(inputs[layer, "mlp_gate"] @ anatomy.matrix(weights, layer, "mlp_gate").T)
        else:
            made = gelu(made, approximate="tanh" if family.startswith("gpt2") else "none")
        torch.testing.assert_close(made, inputs[layer, "mlp_output"], atol=1e-5, rtol=1e-4)
    for component in ("attention_output", "mlp_output"):
        *_, (_, _, found) = [each for each in anatomy.maps(model) if component in anatomy.components_of(each[1])]
        given = inputs[LAYERS - 1, component]
        torch.testing.assert_close(found(given), given @ anatomy.matrix(weights, LAYERS - 1, component).T, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(IDS).logits, last @ output_weight(model).T, atol=1e-5, rtol=1e-4)


@every_family
def test_the_stream_begins_with_the_embeddings_and_ends_before_the_final_norm(family: str) -> None:
    model = family_model(family, VOCABULARY)
    anatomy, weights, stream = Anatomy(model.config), weights_of(model), []
    for block in anatomy.blocks(model):
        block.register_forward_pre_hook(lambda _, given: stream.append(given[0]))
    anatomy.final_norm(model).register_forward_pre_hook(lambda _, given: stream.append(given[0]))
    _, last = read_by_maps(model)
    assert len(stream) == LAYERS + 1
    embedded = anatomy.matrix(weights, 0, "embedding")[IDS]
    for positions in anatomy.embeddings[1:]:
        embedded = embedded + weights[positions][: IDS.shape[1]]
    torch.testing.assert_close(stream[0], embedded)
    torch.testing.assert_close(anatomy.final_norm(model)(stream[-1]), last)


@every_family
def test_every_parameter_is_of_an_embedding_a_block_the_final_norm_or_the_output(family: str) -> None:
    model = family_model(family, VOCABULARY)
    anatomy = Anatomy(model.config)
    blocks = [{id(parameter) for parameter in block.parameters()} for block in anatomy.blocks(model)]
    norm = {id(parameter) for parameter in anatomy.final_norm(model).parameters()}
    maps = {name for _, name, _ in anatomy.maps(model)}
    for name, parameter in model.named_parameters():
        layer = anatomy.layer_of(name)
        assert [id(parameter) in block for block in blocks] == [layer == number for number in range(LAYERS)]
        assert (name in maps) == (layer is not None and parameter.ndim == 2), name
        if layer is None and not anatomy.is_embedding(name):
            assert id(parameter) in norm or parameter is output_weight(model)
    assert model.get_parameter(anatomy.embeddings[0]) is model.get_input_embeddings().weight


@every_family
def test_a_saved_model_comes_back_and_its_file_has_the_same_matrices(family: str, tmp_path: Path) -> None:
    model = family_model(family, VOCABULARY)
    save_checkpoint(model, tmp_path / "model")
    again, anatomy = load_checkpoint(tmp_path / "model"), Anatomy(model.config)
    assert type(again) is type(model) and again.config._attn_implementation == "sdpa"
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    assert (again.get_input_embeddings().weight is again.get_output_embeddings().weight) == anatomy.tied
    read, held = read_weights(tmp_path / "model"), weights_of(model)
    assert read.keys() == held.keys()
    for component in (*anatomy.components, "embedding", "output_embedding"):
        assert torch.equal(anatomy.matrix(read, 1, component), anatomy.matrix(held, 1, component))
    assert torch.equal(anatomy.matrix(read, 0, "output_embedding"), model.get_output_embeddings().weight)
