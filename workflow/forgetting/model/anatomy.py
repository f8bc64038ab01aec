"""How each family of language models names and stores its parts: the only file that knows names of modules.

A family is a row of FAMILIES, found by the `model_type` of a config. All else asks an `Anatomy`: where the blocks are, which parameters
belong to the embedding or to a layer, and what a matrix is, whatever it is fused with. What the matrices of a block are called here:

- query, key, value: from the residual stream (for OLMo 2, whose norms come behind, itself; else its norm) to the heads. With grouped
  queries, keys and values have fewer heads than queries.
- attention_output: from the heads back to the stream.
- mlp_input, mlp_output: into the MLP and back; a gated MLP has mlp_gate beside mlp_input.

In every family here logits are the product of the last states and the output embedding, without bias, cap or scale. A model of another
family can be trained and asked, through its own head (`logits_at`); what needs a layer or a matrix of it cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from forgetting.config.sections import Model
from forgetting.errors import StudyError

OUTPUT_EMBEDDING = "output_embedding.weight"
_OUTPUT_EMBEDDING_NAMES = ("embed_out.weight", "lm_head.weight")
QUERY_KEY_VALUE = ("query", "key", "value")
WRITING = ("attention_output", "mlp_output")
"""The matrices of a block that write to the residual stream; the others read it."""


@dataclass(frozen=True)
class Family:
    """One row: names of modules, and how weights are stored.

    base: the model without its head; the names of its parameters begin so. embeddings, blocks, norm: modules in it; the embedding of
    tokens comes before that of positions, where positions have one. maps: the linear maps in a block, each with the matrices that its
    weight holds. by_head: the rows of a fused weight are [head, (query, key, value), width], otherwise [(query, key, value), head,
    width]. transposed: weights of linear maps are (in, out). settings: what the config of a model from scratch says beside its sizes.
    """

    base: str
    embeddings: tuple[str, ...]
    blocks: str
    norm: str
    maps: Mapping[str, tuple[str, ...]]
    settings: Callable[[Model], dict[str, Any]]
    by_head: bool = False
    transposed: bool = False


def _gpt_neox(model: Model) -> dict[str, Any]:
    rotary = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": model.rotary_fraction}
    return {"intermediate_size": 4 * model.hidden_size, "rope_parameters": rotary}


def _gpt2(model: Model) -> dict[str, Any]:
    return {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # as the others, which have no dropout


def _llama(model: Model) -> dict[str, Any]:
    return {
        "intermediate_size": 8 * ceil(model.hidden_size / 3),  # three matrices with about the weights of two of width 4 d
        "head_dim": model.hidden_size // model.heads,
        "num_key_value_heads": model.heads,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }


_LLAMA = Family(
    base="model",
    embeddings=("embed_tokens",),
    blocks="layers",
    norm="norm",
    maps={
        "self_attn.q_proj": ("query",),
        "self_attn.k_proj": ("key",),
        "self_attn.v_proj": ("value",),
        "self_attn.o_proj": ("attention_output",),
        "mlp.gate_proj": ("mlp_gate",),
        "mlp.up_proj": ("mlp_input",),
        "mlp.down_proj": ("mlp_output",),
    },
    settings=_llama,
)

FAMILIES: dict[str, Family] = {
    "gpt_neox": Family(
        base="gpt_neox",
        embeddings=("embed_in",),
        blocks="layers",
        norm="final_layer_norm",
        maps={
            "attention.query_key_value": QUERY_KEY_VALUE,
            "attention.dense": ("attention_output",),
            "mlp.dense_h_to_4h": ("mlp_input",),
            "mlp.dense_4h_to_h": ("mlp_output",),
        },
        settings=_gpt_neox,
        by_head=True,
    ),
    "gpt2": Family(
        base="transformer",
        embeddings=("wte", "wpe"),
        blocks="h",
        norm="ln_f",
        maps={
            "attn.c_attn": QUERY_KEY_VALUE,
            "attn.c_proj": ("attention_output",),
            "mlp.c_fc": ("mlp_input",),
            "mlp.c_proj": ("mlp_output",),
        },
        settings=_gpt2,
        transposed=True,
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "olmo2": _LLAMA,
}


class Anatomy:
    """Of the models with a config. Raises StudyError for one of a family that has no row."""

    def __init__(self, config: PretrainedConfig) -> None:
        kind = getattr(config, "model_type", None)
        if kind not in FAMILIES:
            raise StudyError(
                f"models of the family {kind!r} are not known, only {', '.join(FAMILIES)}: "
                "add a row for it to workflow/forgetting/model/anatomy.py"
            )
        self.kind, self.family = kind, FAMILIES[kind]
        self.layers, self.heads = config.num_hidden_layers, config.num_attention_heads
        self.head_size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.tied = bool(config.tie_word_embeddings)

    # Modules of a model.

    def blocks(self, model: PreTrainedModel) -> nn.ModuleList:
        blocks = self._module(model, self.family.blocks)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def final_norm(self, model: PreTrainedModel) -> nn.Module:
        return self._module(model, self.family.norm)

    def maps(self, model: PreTrainedModel) -> Iterator[tuple[int, str, nn.Module]]:
        """Every linear map of every block: its layer from 0, the name of its weight, and the module."""
        for layer in range(self.layers):
            for name in self.family.maps:
                yield layer, f"{self._block(layer)}.{name}.weight", self._module(model, f"{self.family.blocks}.{layer}.{name}")

    def _module(self, model: PreTrainedModel, name: str) -> nn.Module:
        try:
            return model.get_submodule(f"{self.family.base}.{name}")
        except AttributeError:
            raise StudyError(f"a model of the family {self.kind!r} has no {name!r}: its row in anatomy.py does not fit") from None

    # Parameters by name.

    def layer_of(self, parameter: str) -> int | None:
        """The block, from 0, that a parameter belongs to; None for what belongs to none."""
        blocks = f"{self.family.base}.{self.family.blocks}."
        return int(parameter.removeprefix(blocks).split(".")[0]) if parameter.startswith(blocks) else None

    def is_embedding(self, parameter: str) -> bool:
        """Whether it embeds what goes into the first block: tokens, or positions."""
        return parameter in self.embeddings

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Names of the input embeddings: of tokens and, where positions have one, of positions."""
        return tuple(f"{self.family.base}.{name}.weight" for name in self.family.embeddings)

    def by_output(self, parameter: str, values: Tensor) -> Tensor:
        """A view (out, in) of `values` in the shape of the parameter, if that is the weight of a linear map; else `values` itself."""
        in_block = self.layer_of(parameter) is not None
        return values.T if self.family.transposed and in_block and values.ndim == 2 else values

    # Matrices.

    @property
    def components(self) -> tuple[str, ...]:
        """The matrices of one block."""
        return tuple(component for held in self.family.maps.values() for component in held)

    def components_of(self, parameter: str) -> tuple[str, ...]:
        """The matrices that the weight of a linear map holds."""
        return next(held for name, held in self.family.maps.items() if parameter.endswith(f".{name}.weight"))

    def matrix(self, weights: Mapping[str, Tensor], layer: int, component: str) -> Tensor:
        """One matrix (out, in) from weights, or anything in their shapes, by `uniform_name`. `layer` counts the blocks from 0; it plays
        no part for `embedding` and `output_embedding`, (vocabulary, d). Raises StudyError that names a weight that is missing."""
        if component == "output_embedding" and not self.tied:
            return _found(weights, OUTPUT_EMBEDDING)
        if component in ("embedding", "output_embedding"):
            return _found(weights, self.embeddings[0])
        module = next((name for name, held in self.family.maps.items() if component in held), None)
        if module is None:
            raise StudyError(f"a block of the family {self.kind!r} has no matrix {component!r}, only {', '.join(self.components)}")
        name = f"{self._block(layer)}.{module}.weight"
        return self.split(name, _found(weights, name))[component]

    def split(self, parameter: str, values: Tensor) -> dict[str, Tensor]:
        """The matrices (out, in) that `values`, in the shape of the weight of a linear map, hold."""
        held, whole = self.components_of(parameter), self.by_output(parameter, values)
        if len(held) == 1:
            return {held[0]: whole}
        if self.family.by_head:
            by_head = whole.unflatten(0, (self.heads, len(held), -1))
            return {component: by_head[:, part].flatten(0, 1) for part, component in enumerate(held)}
        return dict(zip(held, whole.chunk(len(held)), strict=True))

    def _block(self, layer: int) -> str:
        return f"{self.family.base}.{self.family.blocks}.{layer}"


def _found(weights: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise StudyError(f"the weights have no {name!r}; they have {', '.join(sorted(weights)[:3])} and so on")
    return weights[name]


def uniform_name(parameter: str) -> str:
    """The name of a parameter, the same in a model and in its file: transformers saves GPT-NeoX's output embedding under another one."""
    return OUTPUT_EMBEDDING if parameter in _OUTPUT_EMBEDDING_NAMES else parameter


def output_weight(model: PreTrainedModel) -> Tensor:
    """The output embedding (vocabulary, d): logits are the last states times it, and nothing else. Raises StudyError for a model of a
    family that is not known, whose logits might have a bias, a cap or a scale."""
    Anatomy(model.config)
    return model.get_output_embeddings().weight


def is_known(config: PretrainedConfig) -> bool:
    """Whether there is an anatomy of the models with this config."""
    return getattr(config, "model_type", None) in FAMILIES


def logits_at(model: PreTrainedModel, ids: Tensor, row: Tensor, position: Tensor) -> Tensor:
    """(m, vocabulary) what the model says after the tokens at `row`, `position` (m,) of `ids` (B, T), padded on the right. Of a family that
    is known, logits are made at these places alone; of another by its own head, at all places."""
    if not is_known(model.config):
        return model(input_ids=ids, use_cache=False).logits[row, position]
    return model.base_model(input_ids=ids, use_cache=False).last_hidden_state[row, position] @ output_weight(model).T


def scratch_config(model: Model, vocabulary: int) -> dict[str, Any]:
    """What the config of a model from scratch says, for `AutoConfig.for_model`: embeddings are not tied, whatever the family, as a frozen
    input embedding would freeze the output otherwise."""
    return {
        "model_type": model.architecture,
        "vocab_size": vocabulary,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "max_position_embeddings": model.max_positions,
        "initializer_range": model.initializer_range,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,  # a row of the embedding that never trains, in families that have one
        "tie_word_embeddings": False,
        "attn_implementation": "sdpa",
    } | FAMILIES[model.architecture].settings(model)
