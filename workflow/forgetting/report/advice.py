"""The page of an advice: one HTML file that holds all it shows. First what to take, in a sentence, and one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forgetting.analysis.advice import Trials, advise, attempt_words, curves_table, gates, judged_words, methods_table, standings
from forgetting.config.jobs.advice import AdviceJob
from forgetting.data.tried import OLD_TEST, OLD_VAL
from forgetting.figures.advice import draw_advice
from forgetting.report.html import embedded, write_page, write_tables
from forgetting.schemas.advice import CURVES, METHODS, TRIALS, TRIED
from forgetting.tables import atomic, read_tables

PAGE = "advice.html"


def write_advice(job: AdviceJob, data: Path, tried: Path, template: Path, output: Path) -> None:
    """Write advice.html, advice.json and tables/ into `output`. Folders: of the examples, of the trials of all methods, of the template."""
    known = json.loads((data / "data.json").read_text(encoding="utf-8"))
    names = job.advice.tried
    trials = Trials(read_tables([tried / f"{name}.parquet" for name in names], TRIED), names)
    costs = read_tables([tried / f"{name}-trials.parquet" for name in names], TRIALS)
    found = standings(trials)
    said = advise(trials, found, gates(trials, known, float(costs["same_alone"].max())), attempt_words(costs))
    table, curves = methods_table(trials, found, said, costs), curves_table(trials)
    judged = table[table["judged"]]
    tables = {"methods": table, "curves": curves, "trials": costs}
    write_tables(tables, output / "tables", {"methods": METHODS, "curves": CURVES, "trials": TRIALS})
    told = {
        "advice": said.decision,
        "method": said.method,
        "learning_rate": next(iter(table.loc[table["taken"], "learning_rate"]), None),
        "sentence": said.sentence,
        "sure": said.sure,
        "what_would_change_it": said.change,
    }
    with atomic(output / "advice.json") as part:
        part.write_text(
            json.dumps(told | {"level": trials.level, "gates": [vars(gate) for gate in said.gates]}, indent=1), encoding="utf-8"
        )
    write_page(
        template / PAGE,
        output / PAGE,
        job=job,
        asked=job.advice,
        said=said,
        data=known,
        level=trials.level,
        judged=judged_words(trials),
        rows=[_shown(row) for row in judged.to_dict("records")],
        picture=embedded(draw_advice(curves.merge(judged[["method", "rate"]]), judged, trials.level)),
        units={"chosen on": known["units"][OLD_VAL], "reported": known["units"][OLD_TEST]},
        files=[f"tables/{name}.csv" for name in tables],
    )
    print(said.sentence, flush=True)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """With the words for how it stands against the method that is taken."""
    if row["taken"]:
        return row | {"against": "taken"}
    if not row["behind_low"] <= row["behind_high"]:
        return row | {"against": ""}
    surely = "surely less" if row["behind_low"] > 0 else "surely more"
    return row | {"against": "not told apart" if row["behind_low"] <= 0 <= row["behind_high"] else surely}
