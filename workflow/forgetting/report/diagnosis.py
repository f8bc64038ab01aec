"""The page of a diagnosis: one HTML file that holds all it shows. First the verdict in a sentence, its number, and one picture."""

from __future__ import annotations

import json
from math import isfinite, nan
from pathlib import Path
from typing import Any

import pandas as pd

from forgetting.analysis.diagnosis import Scores, Verdict, effects, gates, verdict
from forgetting.analysis.given import Effect, accuracy, counted
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.data.probed import DOSE, NEW, RIGHT, ROUNDING, TEST, deciding_rate
from forgetting.figures.diagnosis import draw_frontier, draw_recovery
from forgetting.intervals import Interval
from forgetting.report.html import embedded, write_page, write_tables
from forgetting.schemas.diagnosis import EFFECTS, PROBED, REMEDIES, ROWS, SCORED
from forgetting.schemas.items import ITEMS
from forgetting.tables import atomic, read_table, read_tables

PAGE = "diagnosis.html"
REPAIRS = {
    "interpolation": "interpolation, {amount:.0%} of the way back",
    "edit": "edit, {amount:.0f} leading directions taken away",
    "common_shift": "common shift of {amount:.0f} questions taken away (no change of weights)",
}
"""Repairs without training, for a reader."""


def write_diagnosis(job: DiagnosisJob, data: Path, probes: Path, remedies: Path, template: Path, output: Path) -> None:
    """Write diagnosis.html, verdict.json and tables/ into `output`. Folders: of the examples, of the probes of all models, the file of the
    remedies, the template."""
    known = json.loads((data / "data.json").read_text(encoding="utf-8"))
    starts = job.diagnosis.starts
    facts = read_tables([probes / f"{start}.parquet" for start in starts], PROBED)
    scored = read_tables([probes / f"{start}-scores.parquet" for start in starts], SCORED)
    repaired = read_table(remedies, REMEDIES)
    found = effects(facts, known, job.seed)
    rate, learned = deciding_rate(facts)
    said = verdict(found, gates(found, known, scored), learned)
    frontier, questions = frontier_table(facts, repaired), questions_table(facts, rate, data)
    tables = {
        "numbers": effects_table(found),
        "curves": curves_table(facts),
        "scores": scored,
        "remedies": frontier,
        "repairs": repaired,
        "questions": questions,
        "kinds": questions.groupby("kind", sort=False)[["before", "after", "recovered"]].mean().reset_index(),
    }
    write_tables(tables, output / "tables", {"numbers": EFFECTS, "scores": SCORED, "repairs": REMEDIES})
    with atomic(output / "verdict.json") as part:
        part.write_text(json.dumps(as_json(said, found), indent=1), encoding="utf-8")
    curves = tables["curves"]
    shown = curves[(curves["training"] == RIGHT) & (curves["rate"] == rate)]
    write_page(
        template / PAGE,
        output / PAGE,
        job=job,
        asked=job.diagnosis,
        said=said,
        share=found.get("spurious_share"),
        effects=found,
        data=known,
        rate=rate,
        picture=embedded(draw_recovery(shown, found["modal_answer"].interval)),
        frontier=frontier.to_dict("records"),
        kinds=tables["kinds"].to_dict("records"),
        frontier_picture=embedded(draw_frontier(frontier)) if len(frontier) > 2 and frontier["new"].notna().all() else "",
        scored=scored.to_dict("records"),
        controls={
            remedy: rows["value"].tolist()
            for remedy, rows in repaired[repaired["control"].astype(bool) & (repaired["split"] == TEST)].groupby("remedy")
        },
        files=[f"tables/{name}.csv" for name in tables],
    )
    print(said.sentence, flush=True)


def effects_table(found: dict[str, Effect]) -> pd.DataFrame:
    """EFFECTS rows."""
    rows = [(name, *effect.interval, effect.units, effect.n, effect.words) for name, effect in found.items()]
    return pd.DataFrame(rows, columns=EFFECTS.names)


def curves_table(facts: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the old task at each step of every run, mean over seeds, with its interval over units."""
    rows = []
    for key, group in facts[facts["split"] == TEST].groupby(["start", "training", "units", "rate", "step"], sort=False):
        rows.append((*key, *accuracy(group.groupby("unit")["score"].mean()), group["seed"].nunique()))
    return pd.DataFrame(rows, columns=["start", "training", "units", "rate", "step", "value", "low", "high", "seeds"])


def questions_table(facts: pd.DataFrame, rate: float, data: Path) -> pd.DataFrame:
    """Each measured question, as the user's file has it: row (from 1), unit, kind, prompt and answer; its score before, after, and
    recovered. `data`: folder of the examples."""
    scores, last = facts[(facts["split"] == TEST) & (facts["rate"] == rate) & (facts["training"] == RIGHT)], int(facts["step"].max())
    columns = {}
    for name, start, step in (("before", "before", 0), ("after", "after", 0), ("recovered", "after", last)):
        rows = scores[(scores["start"] == start) & (scores["step"] == step)]
        columns[name] = rows.groupby("question")["score"].mean()
    found = pd.DataFrame(columns)
    asked = read_table(data / "rows.parquet", ROWS, ["row", "unit_name"]).rename(columns={"unit_name": "unit"})
    texts = read_table(data / "items.parquet", ITEMS, ["kind", "prompt", "answer"])
    return asked.join(texts).join(found, how="inner").reset_index(drop=True)


def frontier_table(facts: pd.DataFrame, repaired: pd.DataFrame) -> pd.DataFrame:
    """Each remedy with the old and the new accuracy, and what is regained and lost; first before and after as they are.

    `best` is the first with the highest sum of both, of those that give a model, where that is higher than the sum of `after`; without new
    examples, of which `new` is NaN, no sum is known and none is best.
    """
    rate, _ = deciding_rate(facts)
    scores = Scores(facts, rate)

    def ends(start: str, step: int, training: str = RIGHT, units: int | None = None) -> tuple[float, float]:
        old, new = (scores.of(start, step, training, split, units) for split in (TEST, NEW))
        return float(old.mean()), float(new.mean()) if len(new) else nan

    rows: list[tuple[Any, ...]] = [(name, name, 0.0, *ends(name, 0)) for name in ("before", "after")]
    rows.append(("recovery on all training units", "recovery", 0.0, *ends("after", scores.last)))
    for units in sorted(facts.loc[facts["training"] == DOSE, "units"].unique()):
        rows.append((f"recovery on {counted(units, 'unit')}", "dose", float(units), *ends("after", scores.last, DOSE, int(units))))
    chosen = repaired[~repaired["control"].astype(bool) & (repaired["remedy"] != "none")]
    for (remedy, amount), group in chosen.groupby(["remedy", "amount"], sort=False):
        by_split = group.set_index("split")["value"]
        words = REPAIRS[remedy].format(amount=amount)
        rows.append((words, remedy, amount, by_split.get(TEST, nan), by_split.get(NEW, nan)))
    frame = pd.DataFrame(rows, columns=["remedy", "kind", "amount", "old", "new"])
    after = frame.iloc[1]
    frame["regained"], frame["new_lost"] = frame["old"] - after["old"], after["new"] - frame["new"]
    total = frame["old"] + frame["new"]
    better = total.where((frame.index > 1) & (frame["kind"] != "common_shift") & (total > total.iloc[1] + ROUNDING))
    frame["best"] = frame.index == (better.idxmax() if better.notna().any() else -1)
    return frame


def as_json(said: Verdict, found: dict[str, Effect]) -> dict[str, Any]:
    """For programs; numbers that are not known are null."""
    share = found["spurious_share"].interval if "spurious_share" in found else Interval(nan, nan, nan)
    return {
        "verdict": said.kind,
        "sentence": said.sentence,
        "spurious_share": [value if isfinite(value) else None for value in share],
        "decided_by": said.decided_by,
        "what_would_change_it": said.change,
        "standing": said.standing,
        "gates": [vars(gate) for gate in said.gates],
    }
