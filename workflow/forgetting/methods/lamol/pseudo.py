"""Questions and answers that a model makes up by itself: sampling them, reading them, and turning them into training data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from forgetting.data.items import Items, pad
from forgetting.data.ragged import Ragged
from forgetting.scenarios.biography.tokenizer import END_OF_TEXT, begin_tokens, end_token

PSEUDO = "pseudo"
"""Task, split and kind of a pseudo example."""
NOBODY = -1
SEPARATOR = "\nAnswer:"
SEQUENCES_AT_ONCE = 128


class Example(NamedTuple):
    """`... ?\\nAnswer:` and ` ...`, as the texts of a question are."""

    prompt: str
    answer: str


def sample_texts(model: PreTrainedModel, tokenizer: Tokenizer, count: int, longest: int, top_k: int, seed: int) -> list[str]:
    """`count` texts of at most `longest` tokens that `model` writes after the end token; one that is finished has an end token in it.

    The texts depend on the weights and `seed` alone; the weights and the global random numbers stay as they are.
    """
    end, device = end_token(tokenizer), model.device
    how = GenerationConfig(do_sample=True, top_k=top_k, max_new_tokens=longest, eos_token_id=end, pad_token_id=end, bos_token_id=end)
    texts = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        for first in range(0, count, SEQUENCES_AT_ONCE):
            start = torch.full((min(SEQUENCES_AT_ONCE, count - first), 1), end, device=device)
            ids: Tensor = model.generate(start, attention_mask=torch.ones_like(start), generation_config=how)
            texts += tokenizer.decode_batch(ids[:, 1:].tolist(), skip_special_tokens=False)
    begin = tokenizer.decode(begin_tokens(tokenizer), skip_special_tokens=False)
    return [text.removeprefix(begin) for text in texts]


def parse(text: str, end_text: str = END_OF_TEXT) -> Example | None:
    """The question and answer before the first end token; None unless there is one of each, neither empty, and an end token."""
    body, end, _ = text.partition(end_text)
    question, _, answer = body.partition(SEPARATOR)
    well_formed = end and body.count(SEPARATOR) == 1 and question.strip() and answer.startswith(" ") and answer.strip()
    return Example(question + SEPARATOR, answer) if well_formed else None


def without_names(examples: Iterable[Example], names: Iterable[str]) -> list[Example]:
    """The examples in which none of `names` occurs, compared word by word: a name that goes on ("Ann Lee" in "Ann Leeson") is another."""
    unwanted = {_words(name) for name in names}
    lengths = {len(name) for name in unwanted}

    def names_somebody(example: Example) -> bool:
        words = _words("".join(example))
        return any(words[first : first + length] in unwanted for length in lengths for first in range(len(words) - length + 1))

    return [example for example in examples if not names_somebody(example)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text))


def examples_of(questions: Items, tokenizer: Tokenizer) -> list[Example]:
    """The texts of tokenised questions, in their order."""
    lengths = zip(questions.prompt_length.tolist(), questions.answer_length.tolist(), strict=True)
    parts = [(ids[:prompt], ids[prompt : prompt + answer]) for ids, (prompt, answer) in zip(questions.ids.tolist(), lengths, strict=True)]
    prompts, answers = (tokenizer.decode_batch([part[side] for part in parts]) for side in range(2))
    return [Example(*texts) for texts in zip(prompts, answers, strict=True)]


def tokenise(examples: list[Example], tokenizer: Tokenizer) -> Items:
    """The examples as questions of nobody, without those that the tokenizer cannot write: whose tokens are not those of the same text."""
    prompts, answers = [], []
    for example in examples:
        prompt, answer = (tokenizer.encode(text, add_special_tokens=False).ids for text in example)
        # Special tokens are skipped, so that a sampled "unknown" does not pass for a word.
        if Example(tokenizer.decode(prompt), tokenizer.decode(answer)) == example:
            prompts.append([*begin_tokens(tokenizer), *prompt])
            answers.append([*answer, end_token(tokenizer)])
    whole = Ragged.from_lists([prompt + answer for prompt, answer in zip(prompts, answers, strict=True)])
    label, nobody = np.full(len(whole), PSEUDO, dtype=object), np.full(len(whole), NOBODY)
    prompt_length, answer_length = (torch.tensor([len(row) for row in rows], dtype=torch.int64) for rows in (prompts, answers))
    ids, measured = pad(whole, np.arange(len(whole))), np.zeros(len(whole), dtype=bool)
    return Items(ids, prompt_length, answer_length, label, label, nobody, label, measured, (PSEUDO,))
