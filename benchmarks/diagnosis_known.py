"""Diagnose models of which it is known what happened to them: those of a study, and two made for the purpose (docs/diagnose.md)."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_fields
from functools import cache
from pathlib import Path

import pandas as pd
import yaml
from transformers import PreTrainedModel

from common import ROOT, write_jsonl
from forgetting.config.sections import Optimizer, Schedule
from forgetting.data.items import Items
from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.report.provenance import revision
from forgetting.schemas.items import ITEMS
from forgetting.tables import atomic, read_table
from forgetting.training.batches import QuestionBatches
from forgetting.training.loop import Plan, train

OLD = ("task0_val", "task0_test")
"""Persons whose questions Task 0 never trained on: what is known of them is knowledge, and no memory of an answer."""
QUICK = {"rates": [1.0], "seeds": 1, "doses": []}
"""For many cases: one training from each model, and the one with shuffled answers."""

KEY = ["scale", "settings", "units", "train_share", "steps", "case"]
NUMBERS = ("before", "after", "recovered", "spurious_share", "base_probed", "ahead_of_base", "early_ahead_of_base", "modal_answer")
"""Of a diagnosis, kept with their intervals."""


@dataclass(frozen=True)
class Case:
    """One diagnosis. happened: what is known of it; after, before: folders of models."""

    name: str
    happened: str
    after: Path
    before: Path


def examples(study: Path, units: int, file: Path) -> Path:
    """Write the questions about the first `units` persons of OLD as anybody's JSONL."""
    rows = read_table(study / "data/items.parquet", ITEMS, ["split", "unit", "kind", "prompt", "answer"])
    rows = rows[rows["split"].isin(OLD)]
    rows = rows[rows["unit"].isin(sorted(rows["unit"].unique())[:units])]
    return write_jsonl(file, rows[["prompt", "answer", "unit", "kind"]].to_dict("records"))


def as_folder(study: Path, weights: Path, folder: Path) -> Path:
    """A model with its tokenizer in one folder, as anybody would have it."""
    folder.mkdir(parents=True)
    for source in (weights / "config.json", weights / "model.safetensors", *(study / "data/tokenizer").iterdir()):
        shutil.copyfile(source, folder / source.name)
    return folder


def fine_tune(model: PreTrainedModel, questions: Items, steps: int, batch: int, rate: float) -> None:
    """Train it on such questions, at a constant rate."""
    constant, optimizer = Schedule(warmup_steps=0, final_fraction=1.0), Optimizer(learning_rate=rate, weight_decay=0.0)
    train(model.train(), Plan(steps, QuestionBatches(questions, batch, 0), optimizer, constant, frozenset(), lambda step: None))
    model.eval()


def trained(study: Path, questions: Items, steps: int, batch: int, rate: float, folder: Path) -> Path:
    """The model after Task 0, trained on such questions."""
    model = load_checkpoint(study / "task0/model")
    fine_tune(model, questions, steps, batch, rate)
    made = folder.with_name(f"{folder.name}-weights")
    save_checkpoint(model, made)
    return as_folder(study, made, folder)


def all_the_same(questions: Items) -> Items:
    """The questions, each with the answer of the first one."""
    first, ids = int(questions.prompt_length[0]), questions.ids
    answer = ids[0, first : first + int(questions.answer_length[0])].tolist()
    prompts = [ids[row, : int(length)].tolist() for row, length in enumerate(questions.prompt_length)]
    rows = [[*prompt, *answer] for prompt in prompts]
    width = max(map(len, rows))
    padded = ids.new_tensor([row + [0] * (width - len(row)) for row in rows])
    return with_fields(questions, ids=padded, answer_length=questions.answer_length[:1].expand(len(rows)).clone())


def cases(study: Path, folder: Path) -> dict[str, Callable[[], Case]]:
    """By name, what makes it: the folders of a case are written when it is asked for."""
    before = as_folder(study, study / "task0/model", folder / "before")
    items = Items.load(study / "data/items.parquet")

    @cache
    def hidden() -> Case:
        made = trained(study, all_the_same(items.of("task1")), 20, 8, 1e-4, folder / "hidden")
        return Case("hidden", "taught to give any new question one and the same answer", made, before)

    def erased() -> Case:
        made = trained(study, items.of(*OLD).with_shuffled_answers(0), 2000, 16, 3e-4, folder / "erased")
        return Case("erased", "all old answers replaced by others of their kind", made, before)

    def of_study(name: str, happened: str, checkpoint: str) -> Callable[[], Case]:
        return lambda: Case(name, happened, as_folder(study, study / "task1" / checkpoint, folder / name), before)

    found: dict[str, Callable[[], Case]] = {"hidden": hidden, "erased": erased}
    for arm, words in (("seq", "Task 1"), ("seq-no-task0", "Task 1 without Task 0")):
        if steps := sorted(path.name for path in (study / f"task1/{arm}/checkpoints").glob("step-*")):
            for step in dict.fromkeys((next(name for name in steps if name >= "step-000150"), steps[-1])):
                found[f"{arm}-{int(step[5:])}"] = of_study(
                    f"{arm}-{int(step[5:])}", f"{int(step[5:]):,} steps of {words}", f"{arm}/checkpoints/{step}"
                )
    found["same"] = lambda: Case("same", "nothing: it is `before`", before, before)
    swapped = "the same answer to any new question, with `before` and `after` swapped"
    found["swapped"] = lambda: Case("swapped", swapped, before, hidden().after)
    return found


def diagnosed(name: str, case: Case, section: dict[str, object], cores: int, folder: Path) -> dict[str, object]:
    """Run one diagnosis as a user does, and read what it says: a row for `add_row`."""
    config = folder / f"{case.name}.yaml"
    asked = {"name": name, "before": str(case.before), "after": str(case.after)} | section
    config.write_text(yaml.safe_dump({"diagnose": asked}), encoding="utf-8")
    started = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--nolock", "--cores", str(cores), "diagnose", "--configfile", str(config)]
    subprocess.run(command, cwd=ROOT, check=True)
    minutes = (time.monotonic() - started) / 60
    said = ROOT / f"results/diagnose/{name}"
    verdict = json.loads((said / "verdict.json").read_text(encoding="utf-8"))
    numbers = pd.read_csv(said / "tables/numbers.csv").set_index("what")
    row: dict[str, object] = {
        "case": case.name,
        "happened": case.happened,
        "architecture": json.loads((case.after / "config.json").read_text(encoding="utf-8"))["model_type"],
        "verdict": verdict["verdict"],
        "sentence": verdict["sentence"],
        "minutes": minutes,
        "revision": revision(ROOT).commit,
    }
    for number in (number for number in NUMBERS if number in numbers.index):
        row |= {
            number: numbers.at[number, "value"],
            f"{number}_low": numbers.at[number, "low"],
            f"{number}_high": numbers.at[number, "high"],
        }
    return row


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("--study", type=Path, required=True, help="one seed of a finished study, results/<scale>/seed<n>")
    command.add_argument("--work", type=Path, required=True, help="an empty folder for models and examples")
    command.add_argument("--cases", nargs="*", help="names of cases (default: all)")
    command.add_argument("--units", type=int, default=50, help="persons in old.jsonl")
    command.add_argument("--train-share", type=float, default=0.5, help="share of them that recovery trains on; the others are measured")
    command.add_argument("--steps", type=int, default=100, help="optimizer steps of a recovery")
    command.add_argument(
        "--default", action="store_true", help="with all that `diagnose` does by default, in place of one training a model"
    )
    command.add_argument("--cores", type=int, default=2, help="for Snakemake")
    command.add_argument("--output", type=Path, help="a CSV file to whose rows these are added; one of the same study and case is replaced")
    arguments = command.parse_args()
    study, work = arguments.study.resolve(), arguments.work.resolve()
    if work.exists() and any(work.iterdir()):
        command.error(f"--work {work}: is not empty")
    work.mkdir(parents=True, exist_ok=True)
    section: dict[str, object] = {
        "old": str(examples(study, arguments.units, work / "old.jsonl")),
        "base": str(as_folder(study, study / "pretrain/model", work / "base")),
    }
    section |= {"train_share": arguments.train_share, "probe": {"steps": arguments.steps} | ({} if arguments.default else QUICK)}
    section |= {} if arguments.default else {"remedies": False}
    makers = cases(study, work)
    if unknown := set(arguments.cases or ()) - set(makers):
        command.error(f"--cases {' '.join(sorted(unknown))}: there are {' '.join(makers)}")
    told = {"scale": study.parent.name, "settings": "default" if arguments.default else "quick"}
    told |= {name: getattr(arguments, name) for name in ("units", "train_share", "steps")}
    for name in arguments.cases or makers:
        asked = f"known-{told['scale']}-{told['settings']}-{arguments.units}-{name}"
        add_row(told | diagnosed(asked, makers[name](), section, arguments.cores, work), arguments.output)


def add_row(row: Mapping[str, object], file: Path | None) -> None:
    """Print what was found, and put it into a CSV file, in place of a row of the same model, settings and case."""
    print(row, flush=True)
    if file is None:
        return
    new = pd.DataFrame([row])
    if file.is_file():
        old = pd.read_csv(file).set_index(KEY)
        new = pd.concat([old[~old.index.isin(new.set_index(KEY).index)].reset_index(), new], ignore_index=True)
    with atomic(file) as part:
        new.sort_values(KEY, ignore_index=True).to_csv(part, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
