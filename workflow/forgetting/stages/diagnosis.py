"""The probe of a diagnosis: the same small training from a model before and after, from its base and from random weights
(docs/diagnose.md)."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from forgetting.config.diagnosis import Diagnosis
from forgetting.config.jobs.diagnosis import DiagnosisJob
from forgetting.config.sections import Optimizer, Schedule
from forgetting.data.items import Items
from forgetting.data.probed import COPYABLE, DOSE, NEW, RIGHT, SHUFFLED, TEST, TRAIN, WORDINGS, deciding_rate
from forgetting.evaluation.choice import sequences
from forgetting.evaluation.exact import answer_loss, score
from forgetting.evaluation.given import SAME_ALONE, GivenQuestions
from forgetting.intervals import clustered_mean, clustered_wilson
from forgetting.model.checkpoints import random_model
from forgetting.model.given_files import memory_needed, memory_there
from forgetting.schemas.diagnosis import PROBED, SCORED
from forgetting.stages.given_training import training_rate, with_lora
from forgetting.tables import read_table, write_table
from forgetting.training.batches import RECOVERY_ORDER, QuestionBatches
from forgetting.training.loop import Plan, train
from forgetting.training.resume import Scratch
from forgetting.training.step import Hooks

CODE = (Path(__file__),)
"""What the finished runs of an interrupted job are bound to, with all that it imports."""
RANDOM_WEIGHTS, DOSE_STREAM = 1_000_003, 33
KNOWN_WORDINGS = 2 / 3


@dataclass(frozen=True)
class Run:
    """One training of the probe. training: RIGHT, SHUFFLED, WORDINGS or DOSE, the right answers about `units` units alone."""

    training: str
    rate: float
    seed: int
    units: int

    @property
    def name(self) -> str:
        return f"{self.training}-{self.units}-{self.rate:g}-{self.seed}"


class Case(GivenQuestions):
    """The questions of a diagnosis, as `prepare` wrote them, and how a model is measured on them."""

    config: Diagnosis

    def __init__(self, job: DiagnosisJob, data: Path) -> None:
        super().__init__(job.diagnosis, data)
        self.job = job
        self.text: list[list[int]] = json.loads((data / "text.json").read_text(encoding="utf-8"))

    @property
    def train_units(self) -> np.ndarray:
        return np.unique(self.items.unit[self.where(TRAIN)])

    def load(self, start: str) -> PreTrainedModel:
        """The model before, after, base, or random: of the architecture of `after`."""
        model = self.load_named(self.config.after if start == "random" else getattr(self.config, start))
        if start == "random":
            model = random_model(model.config, RANDOM_WEIGHTS + self.job.seed).to(model.device).eval()
        return model

    def known_wordings(self, model: PreTrainedModel) -> pd.DataFrame:
        """SCORED rows, if questions of TEST have two other wordings or more: the share that is right in two thirds of all wordings."""
        places = [place for place in self.where(TEST) if len(self.rows["wording_ids"].iloc[place]) >= 2]
        if not places:
            return pd.DataFrame()
        prompts, source = [], []
        for place in places:
            wordings = [self.prompt(place), *map(list, self.rows["wording_ids"].iloc[place])]
            prompts += wordings
            source += [place] * len(wordings)
        ids, starts, lengths = self.items.ids, self.items.prompt_length, self.items.answer_length
        answers = [ids[place, starts[place] : starts[place] + lengths[place]].tolist() for place in source]
        right = score(model, sequences(prompts, answers), self.config.batch_size)["exact_match"].groupby(source).mean()
        known = (right >= KNOWN_WORDINGS - 1e-9).to_numpy()
        return self._scored("known_wordings", known, np.array(places))

    def further(self, model: PreTrainedModel) -> pd.DataFrame:
        """SCORED rows of the further measures, of old and new values, and of the text: columns split to n."""
        frames = [
            self._scored(measure, np.array(self.scores(model, places, measure)), places)
            for measure in self.config.also
            for split in (TEST, NEW)
            if len(places := self.where(split))
        ]
        frames += self.values(model)
        if self.text:
            pieces = sequences([piece[:1] for piece in self.text], [piece[1:] for piece in self.text])
            perplexity = float(np.exp(answer_loss(model, pieces, max(1, self.config.batch_size // 4))))
            nan = float("nan")
            frames.append(pd.DataFrame([("text", "perplexity", perplexity, nan, nan, len(self.text))], columns=SCORED.names[3:]))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=SCORED.names[3:])

    def values(self, model: PreTrainedModel) -> list[pd.DataFrame]:
        """SCORED rows of the measured questions that the new examples ask, too, with another answer: the log-probability (nats) of the
        old answer and of the new one, with their ends, and whether the old one is the likelier."""
        new = {tuple(self.prompt(place)): place for place in self.where(NEW)}
        asked = [(place, new.get(tuple(self.prompt(place)))) for place in self.where(TEST)]
        pairs = [(place, other) for place, other in asked if other is not None and self.answers[place] != self.answers[other]]
        if not pairs:
            return []
        places = np.array(pairs)
        tokens = self.items.answer_length.numpy()
        old, new_value = (
            -score(model, self.items.select(column), self.config.batch_size)["answer_nll"].to_numpy(dtype=float) * tokens[column]
            for column in places.T
        )
        measured = {"old_value_log_probability": old, "new_value_log_probability": new_value, "old_value_likelier": old > new_value}
        return [self._scored(measure, values, places[:, 0]) for measure, values in measured.items()]

    def _scored(self, measure: str, values: np.ndarray, places: np.ndarray) -> pd.DataFrame:
        binary = np.isin(values, (0, 1)).all()
        interval = (clustered_wilson if binary else clustered_mean)(values, self.items.unit[places])
        return pd.DataFrame([(self.items.split[places[0]], measure, *interval, len(places))], columns=SCORED.names[3:])

    def training(self, run: Run) -> Items:
        """The questions that a run trains on."""
        questions = self.items.select(self.where(TRAIN))
        if run.training == SHUFFLED:
            return questions.with_shuffled_answers(self.job.seed)
        if run.training == DOSE:
            order = np.random.default_rng([self.job.seed, DOSE_STREAM]).permutation(self.train_units)
            return questions.of_units(order[: run.units])
        if run.training == WORDINGS:
            places = [place for place in self.where(TRAIN) for _ in self.rows["wording_ids"].iloc[place]]
            prompts = [list(ids) for place in self.where(TRAIN) for ids in self.rows["wording_ids"].iloc[place]]
            return self.items.with_prompts(np.array(places), prompts)
        return questions


class Prober:
    """Trains from one model and measures on the way. Finished runs are kept in the scratch folder."""

    def __init__(self, case: Case, start: str, scratch: Path, inputs: list[Path]) -> None:
        self.case, self.config, self.start = case, case.config, start
        self.scratch = Scratch(scratch, case.job, inputs, CODE)
        self.given: pd.DataFrame | None = None
        """What the model answers before any training, the same in all runs."""

    def facts(self, run: Run) -> pd.DataFrame:
        """PROBED rows of a run, trained now or before."""
        path = self.scratch.folder / f"{run.name}.parquet"
        if not path.exists():
            started = time.perf_counter()
            frame, scored = self._train(run)
            if len(scored):
                write_table(scored, path.with_suffix(".scored.parquet"), SCORED)
            write_table(frame, path, PROBED)
            end = frame[(frame["split"] == TEST) & (frame["step"] == frame["step"].max())]["score"].mean()
            seconds = time.perf_counter() - started
            print(f"{self.start}, {run.name}: {TEST} {self.config.measure} {end:.3f}  {seconds:.0f} s", flush=True)
        return read_table(path, PROBED)

    def scored(self) -> pd.DataFrame:
        """SCORED rows of all runs."""
        frames = [read_table(path, SCORED) for path in sorted(self.scratch.folder.glob("[!.]*.scored.parquet"))]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=SCORED.names)

    def _train(self, run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
        scored: list[pd.DataFrame] = []

        def evaluate(model: PreTrainedModel, step: int) -> pd.DataFrame:
            if step == 0 and self.given is not None:
                return self.given
            whole = step in (0, self.config.probe.steps)
            splits = (TRAIN, TEST, COPYABLE, NEW) if whole else (TEST,)
            if run.training == RIGHT and run.seed == 0 and step == self.config.probe.steps:
                scored.append(self.case.further(model).assign(state="recovered", rate=run.rate, start=self.start))
            found = self.case.measured(model, self.case.where(*splits)).assign(step=step)
            if step == 0:
                self.given = found
            return found

        frames = trained(self.case, self.start, run, evaluate)
        frame = pd.concat(frames, ignore_index=True).assign(
            start=self.start, training=run.training, units=run.units, rate=run.rate, seed=run.seed
        )
        return frame, pd.concat(scored, ignore_index=True) if scored else pd.DataFrame()


def trained(
    case: Case, start: str, run: Run, evaluate: Callable[[PreTrainedModel, int], pd.DataFrame], model: PreTrainedModel | None = None
) -> list[pd.DataFrame]:
    """Do one run, on `model` or one that is loaded, and return what `evaluate` gave at each step at which it is called."""
    config, questions = case.config.probe, case.training(run)
    model = case.load(start) if model is None else model
    weights = sum(parameter.numel() for parameter in model.parameters())
    low_rank = start != "random" and uses_lora(case.config, weights)
    hooks = with_lora(model, case.job.seed * 1000 + run.seed, "diagnose.probe.adapter lora") if low_rank else Hooks()
    rate = run.rate * training_rate(config.learning_rate, weights, low_rank)
    optimizer = Optimizer(learning_rate=rate, weight_decay=config.weight_decay)
    steps = frozenset({0, config.steps, *(step for step in config.evaluate_steps if step < config.steps)})
    plan = Plan(
        config.steps,
        QuestionBatches(questions, config.batch_size, case.job.seed * 1000 + run.seed, RECOVERY_ORDER),
        optimizer,
        Schedule(warmup_steps=0, final_fraction=1.0),
        steps,
        lambda step: evaluate(model, step),
        case.config.precision,
        hooks,
    )
    return list(train(model, plan).evaluations.values())


def uses_lora(config: Diagnosis, weights: int) -> bool:
    """Whether a low-rank adapter is trained in place of all weights."""
    if config.probe.adapter == "auto":
        return memory_needed(weights, trained=True) > memory_there()
    return config.probe.adapter == "lora"


def runs_of(case: Case, start: str, prober: Prober) -> Iterator[pd.DataFrame]:
    """PROBED rows of every run from one model. The controls of `after` run at the rate by which the diagnosis is decided."""
    config, everything = case.config.probe, len(case.train_units)
    main = []
    for rate in config.rates:
        for seed in range(config.seeds):
            main.append(prober.facts(Run(RIGHT, rate, seed, everything)))
            yield main[-1]
    if start != "after":
        return
    rate, _ = deciding_rate(pd.concat(main, ignore_index=True))
    yield prober.facts(Run(SHUFFLED, rate, 0, everything))
    if any(len(case.rows["wording_ids"].iloc[place]) for place in case.where(TRAIN)):
        yield prober.facts(Run(WORDINGS, rate, 0, everything))
    for units in config.doses:
        if units < everything:
            yield prober.facts(Run(DOSE, rate, 0, units))


def probe(job: DiagnosisJob, start: str, data: Path, scratch: Path, output: Path) -> None:
    """Write `<start>.parquet` (PROBED) and `<start>-scores.parquet` (SCORED) of one model into `output`."""
    case = Case(job, data)
    prober = Prober(case, start, scratch, [data / "items.parquet", data / "rows.parquet"])
    model = case.load(start)
    given = [case.further(model), case.known_wordings(model)]
    if start == "before":
        alone = case.same_alone(model, TEST)
        given.append(pd.DataFrame([(TEST, "same_alone", alone, float("nan"), float("nan"), SAME_ALONE)], columns=SCORED.names[3:]))
    scored = pd.concat([frame for frame in given if len(frame)] or [pd.DataFrame(columns=SCORED.names[3:])], ignore_index=True)
    scored = scored.assign(state="given", rate=float("nan"), start=start)
    del model
    facts = pd.concat(list(runs_of(case, start, prober)), ignore_index=True)
    write_table(pd.concat([scored, prober.scored()], ignore_index=True), output / f"{start}-scores.parquet", SCORED)
    write_table(facts, output / f"{start}.parquet", PROBED)
    shutil.rmtree(prober.scratch.folder, ignore_errors=True)
