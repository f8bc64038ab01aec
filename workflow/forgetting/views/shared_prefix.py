"""Answers of a GPT-NeoX scored under many weights, at two thirds of the cost of plain forward passes (`benchmarks/landscape.py`).

An accelerator of the loss landscape and the interpolations for one family, whose names it knows; `PlainScorer` gives the same for all.
Attention is causal, so what a model does at a token depends on the tokens before it alone. Questions that begin alike ("In which city
was ...") therefore share those tokens, and each distinct prefix is computed once. What the first layer does before attention depends on
the token alone, so there each distinct token is computed once. The last layer and the logits are computed only where an answer token is
predicted. Weights are asked for matrix by matrix, so that those of a point never exist all at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention
from transformers import PreTrainedModel

from forgetting.data.items import Items, answer_positions
from forgetting.intervals import Floats
from forgetting.model.anatomy import OUTPUT_EMBEDDING
from forgetting.views.scores import AnswerScorer, PlainScorer, Weights, score_states

QUESTIONS_AT_ONCE = 1024


@dataclass(frozen=True)
class PrefixTree:
    """Q questions as the N distinct prefixes of their tokens, from the shortest to the longest; the last answer token is never an input.

    vocabulary: the token ids that occur. token, depth (N,): the last token of a prefix, as a place in `vocabulary`, and its position.
    prefix (Q, T): the prefix that ends at each token of each question (in padding: the whole question). place (N,): a flat index into
    `prefix` at which each prefix is found. answer, target, question (A,): for each answer token the prefix that predicts it, its id, and
    its question.
    """

    vocabulary: Tensor
    token: Tensor
    depth: Tensor
    prefix: Tensor
    place: Tensor
    answer: Tensor
    target: Tensor
    question: Tensor

    @classmethod
    def of(cls, questions: Items, device: torch.device) -> Self:
        length = (questions.prompt_length + questions.answer_length - 1).numpy()
        ids, width = questions.ids.numpy(), int(length.max())
        prefix, place, count = np.zeros((len(questions), width), dtype=np.int64), [], 0
        parent = np.zeros(len(questions), dtype=np.int64)
        for position in range(width):
            rows = np.flatnonzero(length > position)
            _, first, which = np.unique(parent[rows] * (ids.max() + 1) + ids[rows, position], return_index=True, return_inverse=True)
            parent[rows] = count + which
            prefix[:, position] = parent
            place.append(rows[first] * width + position)
            count += len(first)
        places = np.concatenate(place)
        row, column = np.divmod(places, width)
        vocabulary, token = np.unique(ids[row, column], return_inverse=True)
        question, at = answer_positions(questions.prompt_length, questions.answer_length)
        answer, target = torch.from_numpy(prefix)[question, at], questions.ids[question, at + 1]
        arrays = (torch.from_numpy(array) for array in (vocabulary, token, column, prefix, places))
        return cls(*(tensor.to(device) for tensor in (*arrays, answer, target, question)))


def answer_scorer(model: PreTrainedModel, questions: Items, device: torch.device) -> AnswerScorer:
    """The faster of the two scorers for this model."""
    return (PrefixScorer if PrefixScorer.fits(model) else PlainScorer)(model, questions, device)


class PrefixScorer:
    """Scores fixed questions with the architecture of `model`, one that `fits`, and any weights; its own weights are not used."""

    def __init__(self, model: PreTrainedModel, questions: Items, device: torch.device) -> None:
        self.config, self.questions = model.config, questions
        self.activation = model.gpt_neox.layers[0].mlp.act
        rows = np.arange(len(questions))
        parts = [rows[start : start + QUESTIONS_AT_ONCE] for start in range(0, len(rows), QUESTIONS_AT_ONCE)]
        self.trees = [PrefixTree.of(questions.select(part), device) for part in parts]
        weight = model.get_output_embeddings().weight
        positions = torch.arange(questions.ids.shape[1], device=weight.device)[None]
        cosine, sine = (table[0, :, None, None].to(device) for table in model.gpt_neox.rotary_emb(weight, positions))
        self.half = sine.shape[-1] // 2
        sine[..., : self.half] *= -1  # so that a rotation is x * cosine + (x with its halves swapped) * sine
        self.rotations = [(cosine[tree.depth], sine[tree.depth]) for tree in self.trees]

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Attention and MLP must read the same states, on which the first layer relies, and linear maps must have biases."""
        config = model.config
        return config.model_type == "gpt_neox" and config.use_parallel_residual and config.attention_bias

    @torch.inference_mode()
    def __call__(self, weights: Weights) -> tuple[Floats, Floats]:
        """Of each question (Q,): summed nats of its answer tokens, and 1 where every answer token is the most likely one."""
        parts = [self._score(weights, tree, rotation) for tree, rotation in zip(self.trees, self.rotations, strict=True)]
        nats, exact = (torch.cat(part).double().cpu().numpy() for part in zip(*parts, strict=True))
        return nats, exact

    def _score(self, weights: Weights, tree: PrefixTree, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, output = self._answer_states(weights, tree, rotation), weights(OUTPUT_EMBEDDING)
        return score_states(hidden, output, tree.target, tree.question, len(tree.prefix))

    def _answer_states(self, weights: Weights, tree: PrefixTree, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Final states (A, d) at the prefixes that predict answer tokens."""
        hidden = weights("gpt_neox.embed_in.weight", tree.vocabulary)
        for index in range(self.config.num_hidden_layers):
            layer, first, last = f"gpt_neox.layers.{index}", index == 0, index == self.config.num_hidden_layers - 1
            joint = _linear(weights, f"{layer}.attention.query_key_value", self._norm(weights, f"{layer}.input_layernorm", hidden))
            attended = self._attended(joint.index_select(0, tree.token) if first else joint, tree, rotation)
            attended = attended.index_select(0, tree.place[tree.answer] if last else tree.place)
            rows = tree.answer if last else None  # whose output is needed, and
            if first:  # where its state is among those of the vocabulary
                expanded = tree.token if rows is None else tree.token[rows]
                added = self._mlp(weights, layer, hidden).index_select(0, expanded)
                hidden = hidden.index_select(0, expanded)
            else:
                hidden = hidden if rows is None else hidden.index_select(0, rows)
                added = self._mlp(weights, layer, hidden)
            hidden = hidden + _linear(weights, f"{layer}.attention.dense", attended) + added
        return self._norm(weights, "gpt_neox.final_layer_norm", hidden)

    def _attended(self, joint: Tensor, tree: PrefixTree, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """What attention gathers at each token of each question, (Q * T, d), from queries, keys and values (N, 3 d), which are changed."""
        cosine, sine = rotation
        parts = joint.view(len(joint), self.config.num_attention_heads, 3, -1)  # GPT-NeoX stores [head, (query, key, value), width]
        turned = parts[:, :, :2, : 2 * self.half]
        swapped = turned.roll(self.half, -1)
        turned.mul_(cosine).addcmul_(swapped, sine)
        query, key, value = joint.index_select(0, tree.prefix.flatten()).view(*tree.prefix.shape, *parts.shape[1:]).permute(3, 0, 2, 1, 4)
        return scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).reshape(tree.prefix.numel(), -1)

    def _mlp(self, weights: Weights, layer: str, hidden: Tensor) -> Tensor:
        inner = _linear(weights, f"{layer}.mlp.dense_h_to_4h", self._norm(weights, f"{layer}.post_attention_layernorm", hidden))
        return _linear(weights, f"{layer}.mlp.dense_4h_to_h", self.activation(inner))

    def _norm(self, weights: Weights, name: str, states: Tensor) -> Tensor:
        return layer_norm(states, states.shape[-1:], weights(f"{name}.weight"), weights(f"{name}.bias"), self.config.layer_norm_eps)


def _linear(weights: Weights, name: str, states: Tensor) -> Tensor:
    return linear(states, weights(f"{name}.weight"), weights(f"{name}.bias"))
