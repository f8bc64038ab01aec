"""How much time, memory and disk each job takes, computed from the config: what a cluster is asked for and `snakemake cost` forecasts.

No result depends on it. Sizes are of the right order, not measurements: every number marked `assumption` below may be off by two.
docs/cost.md explains them in words and holds them against a finished study.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from forgetting.config.plan import ALONE
from forgetting.config.steps import arm_steps, arm_training, checkpoint_steps, evaluation_steps
from forgetting.config.study import StudyConfig
from forgetting.data.points import EARLY_STEP, never_had_task0
from forgetting.model.given_files import BYTES_PER_WEIGHT, COPIES_IN_TRAINING, describe_given, shape_of

TOKENS_PER_QUESTION, TOKENS_PER_ANSWER = 20, 4
"""Prompt, answer and EOS with the padding of a batch (18 with a tokenizer trained on the data); and of these answer and EOS, which alone
need logits."""
TOKENS_PER_TEXT = 100
"""Six sentences; 91 with a tokenizer trained on the data."""
GIVEN = ("path", "given")
"""Kinds of tokenizers that are not trained."""
VOCABULARY = {"word": 3600, "bpe": 7200, "path": 50304, "given": 50304}
"""Entries at which a tokenizer of each kind ends, however many are allowed: all words of the data; those of Pythia."""
FORWARD, TRAIN = 2, 6
"""Operations a matrix weight and token."""
KEPT_BYTES = {"float32": 4, "bfloat16": 2}
"""Of a weight in a checkpoint of Task 1 or recovery."""
START_SECONDS = 10
"""Until Python, torch and the data are there."""
STEP_SECONDS = {0: 0.02, 1: 0.01}
"""Of an optimizer step beside its operations (the update of all weights, launches), by GPUs of the job; from runs at laptop scale, and an
assumption for one."""
INTERPRETER_MB = {0: 2000, 1: 6000}
"""Of a torch process, by GPUs of the job; assumption for one."""
UNIT_BYTES, UNIT_SECONDS = 5000, 2e-4
"""On disk, and to make, for one unit with five biographies and six questions."""
FACT_BYTES_ON_DISK, FACT_BYTES_IN_MEMORY = 12, 100
"""Of one question measured at one step."""
TABLE_BYTES = 50_000
"""Of the small tables of any job."""
MARGIN = 2
"""A job is given this many times the expected minutes, and as many more at each attempt; one that is stopped goes on from its state."""
MAIN_POINTS = 3
"""Trough, early stop and end: the checkpoints of every arm that are looked at most closely."""


@dataclass(frozen=True)
class Size:
    """seconds: wall time on the assumed machine. memory: MB at its peak. disk: bytes that stay. threads, gpus: what the job occupies."""

    seconds: float
    memory: int
    disk: float
    threads: int = 1
    gpus: int = 0

    def minutes(self, attempt: int) -> int:
        """What to ask for: never too little for the start of a job on a slow file system."""
        return attempt * ceil(20 + MARGIN * self.seconds / 60)


class Sizes:
    """The sizes of all jobs of a study."""

    def __init__(self, study: StudyConfig) -> None:
        self.study = study
        model = study.model
        if model.name is not None:
            shape = shape_of(describe_given(model.name, trust_remote_code=model.trust_remote_code).config)
            self.vocabulary, self.blocks, self.parameters = shape.vocabulary, shape.blocks, shape.parameters
            self.embedding = self.vocabulary * model.hidden_size
        else:
            kind = study.tokenizer.kind
            self.vocabulary = VOCABULARY[kind] if kind in GIVEN else min(VOCABULARY[kind], study.tokenizer.vocabulary_size)
            self.blocks, self.embedding = 12 * model.layers * model.hidden_size**2, self.vocabulary * model.hidden_size
            self.parameters = self.blocks + 2 * self.embedding
        self.model_bytes = BYTES_PER_WEIGHT * self.parameters
        self.kept_bytes = KEPT_BYTES[study.storage.checkpoint_precision] * self.parameters
        limit = study.evaluation.units_per_split or study.data.units
        self.asked = {split: study.data.items_per_unit * min(units, limit) for split, units in study.data.measured_units.items()}
        self.asked_everywhere = sum(self.asked.values())
        self.task0_questions = study.data.items("task0_train")

    def of(self, rule: str, arm: str | None = None, task: str | None = None) -> Size:
        """Of one job of the rule; of a task, where it belongs to one. Raises KeyError."""
        if rule == "finetune":
            return self._finetune(task or "task1", arm or "seq")
        if rule in ("task_vector", "recovery") or rule.startswith("view_"):
            return self._of_arm(rule, arm or "seq")
        return {
            "make_data": self._data,
            "pretrain": self._pretrain,
            "task0": lambda: self._task0(1),
            "task0_lamol": lambda: self._task0(2),  # the same tokens are trained as text, too
            "recovery_controls": self._recovery_controls,
            "sequence_recovery": lambda: self._sequence_recovery(task),
            "sequence_controls": lambda: self._sequence_recovery(None),
        }[rule]()

    def gpus(self, rule: str) -> int:
        """GPUs of each job of the rule: making the data needs none, and only pretraining can use several."""
        return {"make_data": 0, "pretrain": self.study.pretraining_gpus}.get(rule, self.study.gpus_per_job)

    def _of_arm(self, rule: str, arm: str) -> Size:
        if rule == "task_vector":
            return self._task_vector()
        if rule == "recovery":
            return self._recovery(self._probes(arm), self._recovered_models(arm))
        return self._view(rule, arm)

    # What jobs consist of.

    def _job(
        self,
        stage: str,
        operations: float,
        facts: float = 0,
        models: float = 0,
        tokens_per_batch: int = 0,
        more: float = 0,
        steps: float = 0,
    ) -> Size:
        """A torch job. facts: questions measured, over all steps. models: bytes of weights kept. more: bytes of memory beyond the usual.
        steps: of the optimizer.

        There is a process for each GPU. The usual: the weights six times (gradients, two moments, a state that is saved, room), the logits
        of a batch four times (on a GPU those are not in the memory of the host), the questions and the measurements.
        """
        study = self.study
        gpus, threads = self.gpus(stage), getattr(study.threads, stage)
        processes, units = max(1, gpus), gpus or threads
        logits = 0 if gpus else 4 * tokens_per_batch * self.vocabulary * BYTES_PER_WEIGHT
        working = steps * STEP_SECONDS[min(gpus, 1)] + operations / (units * study.operations_per_second)
        held = COPIES_IN_TRAINING * self.model_bytes + logits + study.data.units * UNIT_BYTES + facts * FACT_BYTES_IN_MEMORY + more
        return Size(
            seconds=START_SECONDS + working,
            memory=processes * (INTERPRETER_MB[min(gpus, 1)] + ceil(held / 1e6)),
            disk=models + facts * FACT_BYTES_ON_DISK + TABLE_BYTES,
            threads=processes * threads,
            gpus=gpus,
        )

    def _texts(self, tokens: float, operations: int = FORWARD) -> float:
        """Operations on tokens that are all predicted."""
        return operations * (self.blocks + self.embedding) * tokens

    def _questions(self, questions: float, operations: int = FORWARD) -> float:
        """Operations on questions, of which the answers are predicted."""
        return operations * (self.blocks * TOKENS_PER_QUESTION + self.embedding * TOKENS_PER_ANSWER) * questions

    @property
    def _evaluation_batch(self) -> int:
        return self.study.evaluation.batch_size * TOKENS_PER_ANSWER

    def _kept(self, arm: str) -> list[int]:
        study = self.study
        return checkpoint_steps(study.task1, arm_steps(study.task1, study.methods[arm]), study.keeps_every_checkpoint(arm))

    # The stages.

    def _data(self) -> Size:
        units = self.study.data.units
        return Size(START_SECONDS + units * UNIT_SECONDS, 1000 + units // 50, units * UNIT_BYTES + TABLE_BYTES)

    def _pretrain(self) -> Size:
        study, config = self.study, self.study.pretrain
        batch = config.batch_size * config.sequence_length
        read = 9 * study.data.pretraining_texts * TOKENS_PER_TEXT  # evaluations of every text
        steps = config.steps if study.model.reads_biographies else 0
        operations = self._texts(steps * batch, TRAIN) + self._texts(read)
        models = (1 + (len(config.kept_fractions) if steps else 0)) * self.model_bytes
        return self._job("pretrain", operations, 0, models, batch, steps=steps)

    def _task0(self, work: float) -> Size:
        epochs = self.study.task0.epochs
        facts = (max(2, round(epochs)) + 1) * self.asked_everywhere
        operations = work * self._questions(epochs * self.task0_questions, TRAIN) + self._questions(facts)
        steps = epochs * self.task0_questions / self.study.task0.batch_size
        models = (3 + len(self.study.task0.kept_fractions)) * self.model_bytes  # with both moments
        return self._job("task0", operations, facts, models, self._evaluation_batch, steps=steps)

    def _finetune(self, task: str, arm: str) -> Size:
        """ALONE: as `seq`, and nothing between Task 0 and the task."""
        study, method = self.study, self.study.methods["seq" if arm == ALONE else arm]
        steps, tasks = arm_steps(study.task1, method), (task,) if arm == ALONE else study.tasks_of(arm)
        earlier = tasks[: tasks.index(task)]
        unasked = sum(self.asked[split] for split in study.data.task_splits if split not in (*earlier, task))
        facts = len(evaluation_steps(study.task1, steps)) * (self.asked_everywhere - unasked) + self._asked_late(task, steps)
        if len(tasks) > 1:  # all of them at both ends
            facts += 2 * sum(study.data.items(split) for split in tasks)
        units = study.data.measured_units
        work = method.work * steps + method.steps_before
        added = method.added_questions(sum(units[split] for split in ("task0_train", *earlier)), units[task])
        trained = work * arm_training(study.task1, method).batch_size * (1 + added)
        operations = self._questions(trained, TRAIN) + self._questions(facts)
        every = task == study.tasks[0] and arm != ALONE and study.keeps_every_checkpoint(arm)
        models = len(checkpoint_steps(study.task1, steps, every)) + 1  # and the match
        return self._job("task1", operations, facts, models * self.kept_bytes, self._evaluation_batch, steps=work)

    def _asked_late(self, task: str, steps: int) -> int:
        """Questions about the units of a task beyond the limit, asked once most of it is learned: taken to be so after the strides."""
        task1 = self.study.task1
        start = max((until for until, _ in task1.evaluate), default=0)
        late = sum(step > start for step in evaluation_steps(task1, steps))
        return late * (self.study.data.items(task) - self.asked[task])

    def _task_vector(self) -> Size:
        """Every checkpoint of `seq` is scored, and as many weights are kept as of an arm without a curve."""
        facts = (len(self._kept("seq")) + 1) * self.asked_everywhere + self._asked_late("task1", self.study.task1.steps)
        return self._job("task1", self._questions(facts), facts, MAIN_POINTS * self.kept_bytes, self._evaluation_batch)

    def _probes(self, arm: str) -> list[float]:
        """Epochs of each recovery of an arm."""
        kind, longest = self.study.probe(arm), max(self.study.recovery.epochs)
        if kind == "short":
            return [1.0] * MAIN_POINTS
        others = 1 + len(self._kept(arm)) if kind == "curve" else 0
        shuffled = 2
        controls = 2 * (4 + len(self.study.recovery.doses)) if arm in self.study.recovery.control_arms else 0
        if controls and never_had_task0(arm):
            controls += sum(step <= EARLY_STEP for step in self._kept(arm)) - 1  # on fresh persons, wherever a trough may be
        return [longest] * MAIN_POINTS + [1.0] * (others + shuffled + controls)

    def _recovered_models(self, arm: str) -> int:
        """Models kept of the recovery from trough and end."""
        return 2 * sum(epochs <= 1 for epochs in self.study.recovery.epochs) if self.study.probe(arm) == "curve" else 0

    def _recovery_controls(self) -> Size:
        kept = len(self.study.pretrain.kept_fractions) + len(self.study.task0.kept_fractions)
        return self._recovery([max(self.study.recovery.epochs)] * 2 + [1.0] * kept, 0)

    def _sequence_recovery(self, task: str | None) -> Size:
        """One epoch on Task 0, and on half of each earlier task; without a task, of all tasks from three models that learned none."""
        study = self.study
        earlier = study.tasks[: -1 if task is None else study.tasks.index(task)]
        trained = self.task0_questions + sum(study.data.items(split) for split in earlier) / 2
        measured = self.asked["task0_test"] + sum(self.asked[split] for split in earlier) / 2 + (1 + len(earlier)) * self.asked["control"]
        starts = 1 if task else 3
        facts = starts * (2 + len(study.recovery.evaluate_steps)) * measured
        operations = starts * self._questions(trained, TRAIN) + self._questions(facts)
        return self._job("recovery", operations, facts, 0, self._evaluation_batch, steps=starts * trained / study.recovery.batch_size)

    def _recovery(self, probes: list[float], models: int) -> Size:
        config = self.study.recovery
        early = 1 + len(config.evaluate_steps)
        evaluations = sum(early + config.evaluations_per_epoch * (epochs if epochs > 1 else 0) for epochs in probes)
        reported = sum(1 + sum(at <= epochs for at in config.epochs) for epochs in probes)
        facts = evaluations * self.asked["task0_test"] + reported * self.asked["control"]
        trained = sum(probes) * self.task0_questions
        operations = self._questions(trained, TRAIN) + self._questions(facts)
        return self._job("recovery", operations, facts, models * self.kept_bytes, self._evaluation_batch, steps=trained / config.batch_size)

    def _view(self, view: str, arm: str) -> Size:
        """Decompositions of all matrices take about 15 operations a weight and column; assumption, from runs at laptop scale."""
        study, everywhere, checkpoints, stages = self.study, self.asked_everywhere, len(self._kept(arm)) + 1, 6
        questions = {
            "view_landscape": 2 * study.views.landscape.grid**2 * study.views.landscape.questions,
            "view_weights": 0,
            "view_features": stages * everywhere,
            "view_positions": checkpoints * everywhere,
            "view_theory": stages * everywhere,
            "view_common_shift": 45 * everywhere,  # several points, several forms of each question; fitted to laptop scale
            "view_gradients": TRAIN // FORWARD * 540 * checkpoints,  # most of them are early ones, and of the others only the end is
            "view_graft": 180 * min(everywhere, 1800),  # some 100 operations on three points; fitted to laptop scale
            "view_fisher": TRAIN // FORWARD * 1000,
            "view_drift": stages * len(study.compared_arms) * everywhere,
        }[view]
        decompositions = {"view_weights": checkpoints, "view_theory": stages, "view_graft": 24}.get(view, 0)
        operations = self._questions(questions) + decompositions * 15 * self.parameters * study.model.hidden_size
        held = {"view_weights": 200 * study.model.hidden_size**2 * 8, "view_gradients": 6 * self.model_bytes}.get(view, 0)
        return self._job("views", operations, tokens_per_batch=self._evaluation_batch, more=held)
