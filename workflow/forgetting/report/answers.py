"""What the tables of a study answer to each question of the report, in one computed line: a value, its interval, and its floor.

No line judges more than intervals say; what was not run, or is not on this page, has no line.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from forgetting.analysis.words import TIMES, explained, kept, loss, nature, standing
from forgetting.data.points import EARLY_STEP, own_floor
from forgetting.intervals import Interval
from forgetting.report.readings import Found, Tables, found_in, rows_of

_WORDS = ("early loss", "late loss", "kept of Task 0", "recovery", "common shift")
"""Columns of `arm_words`."""


def number(found: Found, places: int = 2) -> str:
    """`0.06 [0.04, 0.09]`, without ends that are not known; a dash for what is not defined."""
    if np.isnan(found.value):
        return "-"
    ends = "" if np.isnan(found.low) else f" [{found.low:.{places}f}, {found.high:.{places}f}]"
    return f"{found.value:.{places}f}{ends}"


def headline(tables: Tables) -> str:
    """The answer in one sentence, of plain fine-tuning; empty without its verdict, or where nothing was lost early."""
    row = _row(tables, "verdict", arm="seq")
    if row is None or loss(_interval(row, "early_drop")) != "lost":
        return ""
    before, dropped, back = (found_in(row, name) for name in ("before", "early_drop", "early_recovered"))
    said = f"Task 0 falls from {before.value:.2f} to {before.value - dropped.value:.2f} in {row['early_checkpoint']:,.0f} steps of Task 1"
    said += f"; one epoch on other persons' questions brings it to {number(back)}"
    floors = {"a model that never had Task 0": "early_floor", "one that never saw a question": "pretrained"}
    known = {name: found_in(row, column) for name, column in floors.items() if not np.isnan(row.get(column, np.nan))}
    if known:
        said += f" ({', '.join(f'{name}: {found.value:.2f}' for name, found in known.items())})"
    late = found_in(row, "late_recovered")
    if not np.isnan(late.value):
        floor = row.get("late_floor", np.nan)
        said += f"; from the end of Task 1 to {number(late)}" + ("" if np.isnan(floor) else f" (never had Task 0: {floor:.2f})")
    return f"{said}. {'One run.' if found_in(row, 'before').seeds == 1 else f'Mean of {before.seeds} seeds.'}"


def arm_words(tables: Tables) -> dict[str, dict[str, str]]:
    """A few words on each arm of the verdict, by arm and by column (_WORDS): what was lost early and late, and of what kind; whether the
    checkpoint, and recovery, are ahead of a model that never had Task 0 (with an asterisk: of plain fine-tuning without it, where the arm
    has no such floor of its own); what a shift common to all answers explains."""
    verdict = tables.get("verdict")
    if verdict is None or "early_drop" not in verdict:
        return {}
    found = {}
    for _, row in verdict.iterrows():
        of_time = {time: _Numbers(row, time) for time in TIMES}
        lost = {time: loss(numbers["drop"]) for time, numbers in of_time.items()}
        said = {f"{time} loss": nature(of_time[time]["spurious_share"]) if lost[time] == "lost" else lost[time] for time in TIMES}
        which = [time for time in TIMES if lost[time] == "lost"]
        rules: dict[str, Callable[[_Numbers], str]] = {
            "kept of Task 0": kept,
            "recovery": lambda numbers: standing(numbers, "floor") or standing(numbers, "pretrained"),
            "common shift": explained,
        }
        for name, rule in rules.items():
            words = {time: rule(of_time[time]) for time in which}
            same = len(set(words.values())) == 1
            said[name] = next(iter(words.values())) if same else ", ".join(f"{word} {time}" for time, word in words.items() if word)
            if rule is not explained and said[name] and not own_floor(row["arm"], row["floor_arm"]):
                said[name] += "*"
        found[str(row["arm"])] = {name: said[name] or "-" for name in _WORDS}
    return found


class _Numbers(dict[str, Interval]):
    """The numbers of one time of a row of the verdict, as the rules of `analysis/words.py` ask for them; NaN for what is not there."""

    def __init__(self, row: pd.Series, time: str) -> None:
        self.row, self.time = row, time

    def __missing__(self, name: str) -> Interval:
        column = f"{self.time}_{name}"
        return _interval(self.row, column if column in self.row else name)


def answers(tables: Tables) -> dict[str, str]:
    """A line for each question (a section of the report) that these tables answer."""
    found = {question: answer(tables) for question, answer in _ANSWERS.items()}
    return {question: said for question, said in found.items() if said}


def _collapse(tables: Tables) -> str:
    row, floor = _row(tables, "methods", arm="seq", early_stop="no"), _row(tables, "methods", arm="floor: modal answer")
    without = {point: _row(tables, "recovery_table", arm=_NO_TASK0, point=point) for point in ("trough", "end")}
    if row is None:
        return ""
    before, trough, final = (number(found_in(row, name)) for name in ("before", "trough", "final"))
    said = f"Task 0: {before} before Task 1, {trough} at its lowest in the first {EARLY_STEP} steps, {final} at the end."
    known = [] if floor is None else [f"always the most frequent answer {found_in(floor, 'final').value:.2f}"]
    dropped = [
        f"{found_in(there, 'dropped').value:.2f} {'at the end' if point == 'end' else 'after {:,.0f} steps'.format(there['checkpoint'])}"
        for point, there in without.items()
        if there is not None
    ]
    known += [f"the same Task 1 without Task 0 {', '.join(dropped)}"] if dropped else []
    return said + (f" Floors: {'; '.join(known)}." if known else "")


_NO_TASK0 = "seq-no-task0"
"""The same Task 1 from the model that never had Task 0. Its own lowest accuracy is that of before it has learned the form, so at the lowest
point of `seq` its floor is what it has at the step that recovery takes for early."""


def _spurious(tables: Tables) -> str:
    said = []
    for point, words in (("trough", "From the lowest point"), ("end", "from the end")):
        row = _row(tables, "recovery_table", arm="seq", point=point)
        if row is not None:
            beside = [
                f"{name} {found_in(row, column).value:.2f}" for name, column in _BESIDE.items() if not np.isnan(row.get(column, np.nan))
            ]
            said.append(f"{words}, one epoch brings back {number(found_in(row, 'recovered'))} of Task 0 ({', '.join(beside)})")
    return f"{'; '.join(said)}." if said else ""


_BESIDE = {"never had Task 0:": "floor", "pretrained only:": "pretrained", "shuffled answers:": "shuffled"}
"""Controls of recovery in words, and their columns in the recovery table."""


def _helps(tables: Tables) -> str:
    methods = tables.get("methods")
    if methods is None:
        return ""
    rows = rows_of(methods, {"early_stop": "yes"}).sort_values("final", ascending=False, na_position="last")
    kept_there = {row["arm"]: number(found_in(row, "final")) for _, row in rows.iterrows()}
    kept_there = {arm: "not learned in every seed" if kept == "-" else kept for arm, kept in kept_there.items()}
    floors = [f"{arm} {kept_there.pop(arm)}" for arm in list(kept_there) if arm.endswith("-no-task0")]
    modal = _row(tables, "methods", arm="floor: modal answer")
    floors += [] if modal is None else [f"always the most frequent answer {found_in(modal, 'final').value:.2f}"]
    if not kept_there:
        return ""
    said = f"Task 0 where Task 1 is learned: {'; '.join(f'{arm} {kept}' for arm, kept in kept_there.items())}."
    return said + (f" Floors: {'; '.join(floors)}." if floors else "")


def _many_tasks(tables: Tables) -> str:
    table = tables.get("sequence_recovery_table")
    if table is None or (rows := rows_of(table, {"arm": "seq", "task": "Task 0"})).empty:
        return ""
    row = rows.iloc[-1]
    floors = {"pretrained only": "pretrained", "random weights": "random"}
    beside = [f"{name}: {found_in(row, column).value:.2f}" for name, column in floors.items() if not np.isnan(row.get(column, np.nan))]
    back = f"After {row['after']} plain fine-tuning has {number(found_in(row, 'dropped'))} of Task 0, and one epoch brings back"
    return f"{back} {number(found_in(row, 'recovered'))}{' ({})'.format(', '.join(beside)) if beside else ''}."


def _trust(tables: Tables) -> str:
    gates = tables.get("gates")
    if gates is None or gates.empty:
        return ""
    applied = gates[gates["passed"].isin(["yes", "NO"])]
    said = f"{(applied['passed'] == 'yes').sum()} of {len(applied)} gates are reached"
    missed = [
        f"{row['gate']} in seed {row['seed']} ({number(found_in(row, 'value'))}, threshold {row['threshold']})"
        for _, row in applied[applied["passed"] == "NO"].iterrows()
    ]
    said += f"; not reached: {', '.join(missed)}." if missed else "."
    unknown = gates[gates["gate"].str.startswith("control ")].dropna(subset="value")
    if len(unknown):
        row = unknown.loc[unknown["value"].idxmax()]
        said += f" Persons whom no stage has seen are answered right in at most {number(found_in(row, 'value'))}"
        said += f"; always the most frequent answer: {row['floor']:.2f}."
    return said


def _weights(tables: Tables) -> str:
    table = tables.get("graft_table")
    if table is None:
        return ""
    early = rows_of(table, {"arm": "seq", "point": "trough"})
    blocks = early[(early["operation"] == "back") & (early["part"] == "block")]
    none = early[early["operation"] == "none"]
    if blocks.empty or none.empty:
        return ""
    best = blocks.loc[blocks["task0"].idxmax()]
    others = blocks["task0"].drop(best.name).max()
    beside = "" if np.isnan(others) else f"any other block alone at most to {others:.2f}, "
    return (
        f"Putting block {best['layer']:.0f} alone back to its weights before Task 1 brings Task 0 at its lowest from "
        f"{none['task0'].iloc[0]:.2f} to {number(found_in(best, 'task0'))}; {beside}as much of the update taken back at random to "
        f"{best['task0_random']:.2f}.{_into_floor(best)}{_of_pretrained(best, found_in(none.iloc[0], 'task0'))}"
    )


def _into_floor(block: pd.Series) -> str:
    """What the same block does for a model that never had Task 0; nothing where that was not asked."""
    floor, back = found_in(block, "task0_floor"), found_in(block, "task0")
    if np.isnan(floor.value):
        return ""
    kept = (
        "the rest of the model kept some of it"
        if back.interval.low > floor.interval.high
        else "nothing shows that the rest of the model kept any"
    )
    return f" Set into the model that learned Task 1 without Task 0, the same block brings {number(floor)} of Task 0, so {kept}."


def _of_pretrained(block: pd.Series, nothing: Found) -> str:
    """What the same block of the pretrained model does; nothing where that was not asked. `nothing`: Task 0 with no block put back."""
    untaught = found_in(block, "task0_pretrained")
    if np.isnan(untaught.value):
        return ""
    means = (
        "so most of what comes back with it is what Task 0 had taught it"
        if untaught.interval.high < (nothing.value + found_in(block, "task0").value) / 2
        else "so what putting it back undoes is damage of Task 1, for the most part"
        if untaught.interval.low > (nothing.value + found_in(block, "task0").value) / 2
        else "which leaves open whether it brings Task 0 or undoes damage"
    )
    alone = found_in(block, "task0_into_pretrained")
    in_it = (
        ""
        if np.isnan(alone.value)
        else f" In that model, where nothing else has learned to answer, the block from before Task 1 brings {number(alone)}."
    )
    return f" The same block of the pretrained model, which never learned Task 0, brings {number(untaught)}, {means}.{in_it}"


def _features(tables: Tables) -> str:
    said = []
    early, whole = (_row(tables, "claims", arm="seq", statistic=name) for name in ("shift_early", "shift_whole"))
    if early is not None and whole is not None:
        first, last = (number(found_in(row, "value")) for row in (early, whole))
        moved = f"The mean state of the last layer moves by {first} standard deviations in {EARLY_STEP} steps"
        kept_of_it = _row(tables, "claims", arm="seq", statistic="shift_kept")
        held = (
            ""
            if kept_of_it is None
            else f" ({number(found_in(kept_of_it, 'value'))} of it; at least {kept_of_it['reference']:.0f} if nothing is taken back)"
        )
        said.append(f"{moved}, by {last} over all of Task 1{held}.")
    verdict = _row(tables, "verdict", arm="seq")
    if verdict is not None and not np.isnan(verdict.get("early_restored_share", np.nan)):
        share = number(found_in(verdict, "early_restored_share"))
        said.append(f"Taking the change common to all answers out of the logits brings back {share} of the early loss (0: none of it).")
    return " ".join(said)


_ANSWERS: dict[str, Callable[[Tables], str]] = {
    "Does accuracy collapse?": _collapse,
    "Is it spurious?": _spurious,
    "Which method helps?": _helps,
    "What happens over many tasks?": _many_tasks,
    "Where do weights move?": _weights,
    "What do the features show?": _features,
    "Can I trust it?": _trust,
}


def _row(tables: Tables, table: str, **row: str) -> pd.Series | None:
    rows = rows_of(tables[table], row) if table in tables else pd.DataFrame()
    return None if rows.empty else rows.iloc[0]


def _interval(row: pd.Series, column: str) -> Interval:
    ends = (row.get(f"{column}{end}", np.nan) for end in ("", "_low", "_high"))
    return Interval(*(float(end) for end in ends))
