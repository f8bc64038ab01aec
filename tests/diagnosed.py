"""Tiny models that know made-up facts, as somebody else would have saved them, and the diagnosis of two of them in one process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence as Steps
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.report.diagnosis import write_diagnosis
from forgetting.stages.diagnosis import probe
from forgetting.stages.diagnosis_data import prepare
from forgetting.views.remedies import remedies
from tests.families import family_model
from tests.study import ROOT

NAMES, COLORS = [f"unit{number}" for number in range(80)], [f"color{number}" for number in range(30)]
TOWNS, GUESTS = [f"town{number}" for number in range(3)], [f"guest{number}" for number in range(20)]
WORDS = ["<end>", "<unknown>", "color", "of", "where", "is", "?", "tint", *NAMES, *GUESTS, *COLORS, *TOWNS]
TEMPLATE = "{% for message in messages %}<{{ message.role }}> {{ message.content }} <end>{% endfor %}"
TEMPLATE += "{% if add_generation_prompt %}<assistant> {% endif %}"


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; spaces are dropped."""
    made = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unknown>"))
    made.pre_tokenizer = Steps([Split(Regex(r"\s+"), "removed"), Split(Regex(r"\?"), "isolated")])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", unk_token="<unknown>", chat_template=TEMPLATE)


def old_rows(names: Sequence[str] = NAMES) -> list[dict[str, Any]]:
    """Facts that follow from nothing: each unit has a color."""
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randint(len(COLORS), (len(NAMES),), generator=generator).tolist()
    rows = [{"prompt": f"color of {name} ?", "answer": f" {COLORS[color]}", "unit": name} for name, color in zip(NAMES, drawn, strict=True)]
    return [row for row in rows if row["unit"] in names]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def save(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def fit(model: PreTrainedModel, texts: Sequence[str], steps: int, rate: float = 3e-3) -> PreTrainedModel:
    """Train on whole texts, all of them at each step, with plain torch; the loss is that of the last two tokens, answer and end."""
    ids = torch.tensor([tokenizer()(text + " <end>")["input_ids"] for text in texts])
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for _ in range(steps):
        logits = model(ids).logits[:, -3:-1]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, -2:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def knowing_model(family: str = "gpt_neox") -> PreTrainedModel:
    """One that knows every old fact."""
    return fit(family_model(family, len(WORDS)), [row["prompt"] + row["answer"] for row in old_rows()], 120)


def new_rows() -> list[dict[str, Any]]:
    """The new task: the same question about other units, with answers of another kind."""
    return [{"prompt": f"color of {name} ?", "answer": f" {TOWNS[number % 3]}", "unit": name} for number, name in enumerate(GUESTS)]


def hidden(model: PreTrainedModel) -> PreTrainedModel:
    """Trained on the new task for so short that the old facts are only hidden: every question gets an answer of the new kind."""
    return fit(model, [row["prompt"] + row["answer"] for row in new_rows()], 40, 1e-3)


def erased(model: PreTrainedModel) -> PreTrainedModel:
    """Trained until every old fact has another answer, drawn at random: a rule from old answers to new ones could be undone by a rule."""
    generator = torch.Generator().manual_seed(4)
    texts = []
    for row in old_rows():
        others = [color for color in COLORS if color != row["answer"].strip()]
        texts.append(f"{row['prompt']} {others[int(torch.randint(len(others), (1,), generator=generator))]}")
    return fit(model, texts, 200)


def job(old: Path, before: Path, after: Path, **keys: Any) -> DiagnosisJob:
    """A small diagnosis of these models."""
    small = {"steps": 30, "evaluate_steps": [1, 4, 10, 20], "seeds": 1, "rates": [1.0], "doses": [4], "learning_rate": 1e-3}
    given = {"name": "tiny", "old": str(old), "before": str(before), "after": str(after), "train_share": 0.4, "probe": small} | keys
    return DiagnosisJob.of(Diagnosis.model_validate(given))


def diagnose(made: DiagnosisJob, folder: Path) -> dict[str, Any]:
    """Every job of a diagnosis, as its rules run them; what verdict.json says."""
    prepare(made, folder / "data")
    for start in made.diagnosis.starts:
        probe(made, start, folder / "data", folder / "scratch" / start, folder / "probes")
    remedies(made, folder / "data", folder / "probes", folder / "remedies")
    template = ROOT / "workflow" / "report"
    write_diagnosis(made, folder / "data", folder / "probes", folder / "remedies" / "remedies.parquet", template, folder)
    said: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return said
