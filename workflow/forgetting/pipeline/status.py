"""How far a study is, read from its files alone: its config, results, logs, saved states and the time that finished jobs took. No torch.

The log of a job is `logs/NAME.log`, its saved state below `seedK/scratch/`, and the time it took `benchmarks/NAME.tsv`, where NAME is
the path of what it makes, such as `seed0/task1/seq`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from time import localtime, strftime
from typing import get_args

from forgetting.config.fields import Target
from forgetting.config.study import StudyConfig, load_study
from forgetting.errors import StudyError
from forgetting.pipeline.jobs import jobs_of

PAGES: dict[Target, str] = {name: "report.html" if name == "all" else f"{name}_report.html" for name in get_args(Target)}
"""The last file of each target."""
SILENT = 600
"""Seconds without a line in its log after which a job is no longer counted as running: some compute for minutes in silence."""
STATES = ("done", "running", "stopped", "left")
_LEFT = re.compile(r"(\d+) s left$")
_BAR = re.compile(r"(\w+): .*?(\d+/\d+) \[[\d:]+<([\d:]+)")
_PROGRESS = re.compile(r"(step|probe) \d+/\d+")
_METRIC = re.compile(r"exact match|first token")


@dataclass(frozen=True)
class Job:
    """One job of the study in the folder `root`, known by a file that it makes (a path below `root`); `now` in seconds since the epoch."""

    root: Path
    made: str
    now: float

    @property
    def name(self) -> str:
        path = Path(self.made).with_suffix("")
        return str(path.parent if path.name in ("metrics", "card", path.parent.name) else path)

    @property
    def stage(self) -> str:
        parts = self.name.split("/")
        return parts[1] if parts[0].startswith("seed") else parts[0]

    @property
    def log(self) -> Path:
        return self.root / "logs" / f"{self.name}.log"

    @property
    def scratch(self) -> Path:
        seed, *rest = self.name.split("/")
        return self.root.joinpath(seed, "scratch", *rest)

    @cached_property
    def lines(self) -> list[str]:
        """Of its log; a progress bar writes over itself, so its states count as lines."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return []
        return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]

    @cached_property
    def silent(self) -> float:
        """Seconds since the last line of its log; 0 without one, which may be removed at any time by a job that starts."""
        try:
            return self.now - self.log.stat().st_mtime
        except FileNotFoundError:
            return 0

    @cached_property
    def state(self) -> str:
        """One of STATES. A job removes its saved state when its results are complete."""
        if (self.root / self.made).exists() and not self.scratch.exists():
            return "done"
        if not self.log.is_file():
            return "stopped" if self.scratch.exists() else "left"
        return "stopped" if self.ended or self.silent > SILENT else "running"

    @property
    def ended(self) -> bool:
        """Whether the log says that the job came to an end before it was done."""
        return any(line.startswith(("error:", "terminated", "Traceback")) for line in self.lines)

    @cached_property
    def seconds_left(self) -> float | None:
        """By the last line of its log that says it."""
        found = [match for line in self.lines if (match := _LEFT.search(line))]
        return float(found[-1][1]) if found else None

    @property
    def seconds_taken(self) -> float | None:
        """By Snakemake's measurement of a finished job."""
        path = self.root / "benchmarks" / f"{self.name}.tsv"
        if not path.is_file():
            return None
        head, *rows = (line.split("\t") for line in path.read_text().splitlines())
        return float(rows[0][head.index("s")]) if rows and "s" in head else None

    @property
    def progress(self) -> str:
        """How far it is, by the last line of its log that says so, as ` (step 640/3000)`; empty without one."""
        found = next((match for line in reversed(self.lines) if (match := _PROGRESS.search(line))), None)
        return f" ({found[0]})" if found else ""

    def describe(self) -> str:
        """Step, rate, time left and last metric; of a stopped job its last line."""
        if self.state == "stopped":
            if not self.log.is_file():
                return "has a saved state and no log"
            last = self.lines[-1] if self.lines else "no line in its log"
            return f"{last[:100]}{'' if self.ended else f'  (nothing for {duration(self.silent)}: killed, or at work in silence)'}"
        progress = next((line for line in reversed(self.lines) if _LEFT.search(line)), "")
        bars = [match for line in self.lines if (match := _BAR.search(line))]
        if not progress and bars:
            progress = f"{bars[-1][1]} {bars[-1][2]}  {bars[-1][3]} left"
        metric = next((line for line in reversed(self.lines) if _METRIC.search(line)), "")
        said = [progress or "started", *([f"[{metric}]"] if metric and metric != progress else [])]
        return "  ".join(said) + f"  ({duration(self.silent)} ago)"


def duration(seconds: float) -> str:
    """For readers: 45 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def report(root: Path, now: float) -> str:
    """The table: per stage how many jobs are in each state, then what runs, what stopped, and how long the rest may take.

    Raises StudyError when the config of the study is not there.
    """
    asked, jobs = _jobs(root, now)
    lines = [f"{root}: {asked}", "", *_table(jobs)]
    for state in ("running", "stopped"):
        if chosen := [job for job in jobs if job.state == state]:
            width = max(len(job.name) for job in chosen)
            lines += ["", state, *(f"  {job.name:{width}}  {job.describe()}" for job in chosen)]
    return "\n".join([*lines, "", _forecast(jobs)])


def minute_line(root: Path, targets: Collection[Target], now: float, cores: int, bar: bool) -> str:
    """One line on a running study: how many jobs of its targets are done (with a bar, if asked), what runs and how far it is, and when all
    may end.

    The end is that of as many jobs side by side as there are cores; it is a lower bound while
    no job of some stage has finished. Empty before the config of the study is there.
    """
    if not (root / "config.json").is_file():
        return ""
    study = _study(root)
    files = dict.fromkeys(made for target in targets for made in _files(study, target))
    jobs = [Job(root, made, now) for made in files]
    done, running = ([job for job in jobs if job.state == state] for state in ("done", "running"))
    share = len(done) / len(jobs)
    drawn = f"[{'#' * round(20 * share):20}] " if bar else ""
    said = [f"{drawn}{len(done)} of {len(jobs)} jobs done"]
    if running:
        said.append("running: " + ", ".join(f"{job.name}{job.progress}" for job in running))
    seconds, unknown = _seconds_left(jobs)
    if seconds:
        left = seconds / max(1, min(cores, len(jobs) - len(done)))
        said.append(f"{'at least' if unknown else 'about'} {duration(left)} left, until {strftime('%H:%M', localtime(now + left))}")
    return "; ".join(said)


def running_line(running: Iterable[tuple[str, Path]]) -> str:
    """One line on jobs that run, each by its name and its log: the last line of each log; empty where none runs."""
    said = []
    for name, log in running:
        text = log.read_text(errors="replace") if log.is_file() else ""
        last = next((line.strip() for line in reversed(re.split(r"[\r\n]+", text)) if line.strip()), "")
        said.append(f"{name} ({last[:100]})" if last else name)
    return f"running: {'; '.join(said)}" if said else ""


def _study(root: Path) -> StudyConfig:
    path = root / "config.json"
    if not path.is_file():
        raise StudyError(f"{path} is missing, which a study writes first; `snakemake -c1 --nolock {path}` writes it alone")
    content = json.loads(path.read_text())
    if kind := {"diagnosis", "advice"} & set(content):
        raise StudyError(
            f"{root} is no study but of a given model ({kind.pop()}): Snakemake says itself what runs; logs are in {root}/logs"
        )
    try:
        return load_study(content)
    except StudyError as error:
        raise StudyError(f"{path} was not written by this version of the code: {error}") from None


def _jobs(root: Path, now: float) -> tuple[str, list[Job]]:
    """What is asked for, and its jobs: those of `all` (of `sequence` where there is one), and those of each other target, too, of which a
    job has begun that these do not have."""
    study = _study(root)
    main, *others = sorted(study.targets, key=lambda target: target != "sequence")
    asked, files = [main], _files(study, main)
    for target in others:
        every = list(dict.fromkeys([*files, *_files(study, target)]))
        if any(Job(root, made, now).state != "left" for made in every[len(files) :]):
            asked, files = [*asked, target], every
    return " and ".join(asked), [Job(root, made, now) for made in files]


def _files(study: StudyConfig, target: Target) -> list[str]:
    """A file of each job of the target. The last one, its report, stands for the figures and tables."""
    return [*(job.made for job in jobs_of(study, (target,))), PAGES[target]]


def _table(jobs: list[Job]) -> list[str]:
    """A row for each stage; the arms that are left are named."""
    rows = [["stage", *STATES, ""]]
    for stage in dict.fromkeys(job.stage for job in jobs):
        of_stage = [job for job in jobs if job.stage == stage]
        left = ", ".join(dict.fromkeys(job.name.split("/", 2)[-1] for job in of_stage if job.state == "left" and job.name.count("/") > 1))
        counts = [str(sum(job.state == state for job in of_stage)) for state in STATES]
        rows.append([stage, *counts, left if len(left) <= 80 else left[:80] + " ..."])
    width = max(len(row[0]) for row in rows)
    return [(f"{stage:{width}}" + "".join(f"{count:>9}" for count in counts) + f"  {left}").rstrip() for stage, *counts, left in rows]


def _forecast(jobs: list[Job]) -> str:
    """How long the jobs that are not done take if each takes as long as the finished ones of its stage. Reports take seconds."""
    if all(job.state == "done" for job in jobs):
        return "Nothing is left. `snakemake -n` says whether something has to run again."
    total, unknown = _seconds_left(jobs)
    text = "Left, one job after the other: "
    if unknown and not total:
        known = any(job.seconds_taken is not None for job in jobs)
        return f"{text}unknown: no job {'of these stages ' if known else ''}has finished yet ({', '.join(unknown)})."
    return f"{text}about {duration(total)}" + (f", and those of which none has finished yet ({', '.join(unknown)})." if unknown else ".")


def _seconds_left(jobs: list[Job]) -> tuple[float, list[str]]:
    """Of the jobs that are not done, one after the other, by what the running ones say and what finished ones of their stage took; and
    the stages of which none has finished. Reports count nothing."""
    taken: dict[str, list[float]] = {}
    for job in jobs:
        if (seconds := job.seconds_taken) is not None:
            taken.setdefault(job.stage, []).append(seconds)
    total = 0.0
    unknown: dict[str, None] = {}
    for job in jobs:
        if job.state == "done":
            continue
        if job.state == "running" and job.seconds_left is not None:
            total += job.seconds_left
        elif job.stage in taken:
            total += mean(taken[job.stage])
        elif not job.made.endswith(".html"):
            unknown[job.stage] = None
    return total, list(unknown)
