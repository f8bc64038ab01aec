"""A complete results tree of made-up numbers, in the shapes of the real one: for drawing figures without training anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from tests.figures.synthetic_sequence import write_sequence
from tests.figures.synthetic_views import CHECKPOINTS, SCALE, write_views

from forgetting.config.biography import ATTRIBUTES
from forgetting.figures.inputs import input_of
from forgetting.intervals import summarise
from forgetting.schemas.architectures import ARCHITECTURES
from forgetting.schemas.choice import CHOICE
from forgetting.schemas.facts import EXACT, FACTS
from forgetting.schemas.halves import HALVES_OF_UNITS
from forgetting.schemas.metrics import METRICS
from forgetting.schemas.recovery import RECOVERY, RECOVERY_FACTS
from forgetting.tables import write_table

REPOSITORY = Path(__file__).parents[2]
ARMS = ("seq", "replay-5", "replay-20", "freeze-0", "freeze-1", "freeze-2", "freeze-3", "freeze-4")
FAMILIES = {
    "seq": ["seq"],
    "seq-warmup": ["seq-warmup-150"],
    "seq-carried-state": ["seq-carried-state"],
    "seq-batch": ["seq-batch-32"],
    "gpm-vectors-only": ["gpm-vectors-only"],
    "gpm-rows-only": ["gpm-rows-only"],
    "replay": [f"replay-{share}" for share in (1, 5, 10, 20, 50, 100)],
    "replay-half": ["replay-half-20"],
    "replay-ratio": [f"replay-ratio-{share}" for share in (1, 5, 10, 20, 50)],
    "ewc": ["ewc-1e-2", "ewc-1e-1", "ewc-1e0", "ewc-1e1", "ewc-1e2"],
    "ewc-batch": ["ewc-batch-1e-1"],
    "lamol": ["lamol-20"],
    "lamol-distinct": ["lamol-20-distinct"],
    "task-vector": [*(f"task-vector-0.{tenth}" for tenth in range(1, 9)), "task-vector-0.2-end-0.75"],
    "projection": ["projection-exact"],
    "projection-gpm": ["projection-gpm-97", "projection-gpm-99"],
    "projection-reference": ["projection-reference"],
    "freeze": [f"freeze-{depth}" for depth in range(5)],
    "freeze-as-released": ["freeze-as-released-2"],
    "joint": ["joint"],
}
CHOSEN = ("seq", "replay-20", "replay-ratio-50", "ewc-1e1", "ewc-batch-1e-1", "lamol-20", "task-vector-0.4", "projection-exact")
CHOSEN += ("projection-gpm-99", "projection-reference", "freeze-3", "freeze-as-released-2", "joint")
CHOSEN += ("seq-warmup-150", "seq-carried-state", "seq-batch-32", "gpm-vectors-only", "gpm-rows-only")
CHOSEN += ("replay-half-20", "lamol-20-distinct")
UNLEARNED = ("freeze-4", "ewc-1e2", "freeze-as-released-2", "task-vector-0.6", "task-vector-0.7", "task-vector-0.8")
KEPT = {
    "joint": 0.96,
    "replay-50": 0.9,
    "replay-20": 0.85,
    "replay-ratio-50": 0.86,
    "replay-ratio-20": 0.8,
    "lamol-20": 0.4,
    "ewc-1e1": 0.3,
}
"""Task 0 accuracy at the end of those arms that keep more than the others."""
RATES = {"seq-lr-3e-5": 3e-5, "seq": 1e-4, "seq-lr-1e-3": 1e-3}
PROBED = ("seq", "replay-20", "freeze-2", *(arm for arm in RATES if arm != "seq"))
STEPS = np.array([*range(0, 50, 5), *range(50, 200, 10), *range(200, 4001, 200)])
EPOCHS = (0, 0.125, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0, 5.0)
STEPS_PER_EPOCH = 56
BEFORE_TASK1 = {"pretrained": (0,), "random": (0,), "pretraining": (1000, 2000, 3000), "task0": (6, 14)}
"""What the controls recover from: start and checkpoints."""
UNITS = {"task0_train": 15, "task0_val": 10, "task0_test": 40, "task1": 40, "control": 20}


def task0_accuracy(arm: str, step: np.ndarray) -> np.ndarray:
    """Early collapse, rebound, slow loss: faster at a high rate, slower the deeper the freeze, milder with replay."""
    speed = RATES.get(arm, 1e-4) / 1e-4
    depth = float(arm.rsplit("-", 1)[1]) if arm.startswith("freeze-") else -1.0
    bottom = {"replay-5": 0.35, "replay-20": 0.55, "joint": 0.8}.get(arm, 0.08 + 0.12 * (depth + 1))
    collapse = 1 - (1 - bottom) * (1 - np.exp(-step * speed / (25 + 12 * (depth + 1))))
    rebound = 0.2 / speed**0.5 * np.exp(-(((step - 700) / 400) ** 2))
    end = KEPT.get(arm, 0.16 + 0.1 * np.random.default_rng(sum(map(ord, arm))).uniform() if arm not in ARMS else 0.16)
    slow = (end - bottom) * (1 - np.exp(-step / 1500))
    return np.clip(0.97 * collapse + rebound + slow, 0.01, 0.99)


def task1_accuracy(arm: str, step: np.ndarray) -> np.ndarray:
    speed = RATES.get(arm, 1e-4) / 1e-4
    half = (9000.0 if arm in UNLEARNED else {"freeze-3": 1300.0}.get(arm, 900.0)) / speed**0.8
    return np.clip(1.02 / (1 + (np.maximum(step, 1) / half) ** -3.5), 0, 1)


def recovered_accuracy(start: str, arm: str, checkpoint: int, epochs: float) -> float:
    begin, best, rate = {
        "pretrained": (0.0, 0.88, 3.0),
        "random": (0.0, 0.03, 1.0),
        "pretraining": (0.0, min(0.88, 0.0003 * checkpoint), 2.0),
        "task0": (min(0.9, 0.02 * checkpoint), 0.95, 3.5),
        "shuffled": (0.12, 0.25, 2.0),
        "task1": (
            float(task0_accuracy(arm, np.array(checkpoint))),
            0.96 - {"seq": 0.3, "freeze-2": 0.2, "lamol-20": 0.4}.get(arm, 0.05) * checkpoint / 4000,
            4.0,
        ),
    }[start]
    if start == "task1" and arm in RATES and RATES[arm] > 2e-4:
        best *= 0.6
    return begin + (best - begin) * (1 - np.exp(-rate * epochs))


class Run(NamedTuple):
    """What a model was asked at one point: exact-match accuracy by group, and the columns that name the point."""

    accuracy: dict[str, float]
    keys: dict[str, Any]


class World:
    """Made-up persons; a fact is answered right when its difficulty lies below the accuracy of the day."""

    def __init__(self, seed: int, units: dict[str, int] | None = None) -> None:
        self.seed = seed
        sizes = units or UNITS
        generator = np.random.default_rng(seed)
        count = sum(sizes.values())
        difficulty = norm.cdf(0.5 * generator.normal(size=(count, 1)) + 0.75**0.5 * generator.normal(size=(count, len(ATTRIBUTES))))
        self.questions = pd.DataFrame(
            {
                "unit": np.repeat(np.arange(count, dtype="int32"), len(ATTRIBUTES)),
                "split": np.repeat([name for name, size in sizes.items() for _ in range(size)], len(ATTRIBUTES)),
                "kind": np.tile(ATTRIBUTES, count),
                "difficulty": difficulty.ravel(),
            }
        )

    def answers(self, runs: Sequence[Run]) -> pd.DataFrame:
        """The facts of the groups that `runs` name (all name the same), at these exact-match accuracies, one run after the other."""
        rows = self.questions[self.questions["split"].isin(list(runs[0].accuracy))]
        split = rows["split"].to_numpy()
        level = np.concatenate([np.array([run.accuracy[name] for name in split]) for run in runs])
        soft = 0.1 + 0.88 * level
        difficulty = np.tile(rows["difficulty"].to_numpy(), len(runs))
        keys = {name: np.repeat([run.keys[name] for run in runs], len(rows)) for name in runs[0].keys}
        return (
            rows.drop(columns="difficulty")
            .iloc[np.tile(np.arange(len(rows)), len(runs))]
            .assign(
                exact_match=difficulty < level,
                first_token_hard=difficulty < soft,
                first_token_soft=soft.astype("float32"),
                answer_nll=(-np.log(soft) * (0.5 + difficulty)).astype("float32"),
                **keys,
            )
        )

    def task1(self, arm: str, steps: np.ndarray = STEPS) -> pd.DataFrame:
        offset = 0.02 * np.random.default_rng([self.seed, len(arm)]).normal()
        runs = []
        for step in steps:
            task0 = float(np.clip(task0_accuracy(arm, np.array(step)) + (offset if step else 0), 0, 1))
            levels = dict.fromkeys(("task0_train", "task0_val", "task0_test"), task0)
            runs.append(Run(levels | {"task1": float(task1_accuracy(arm, step)), "control": 0.0}, {"step": step}))
        return self.answers(runs).assign(scale=SCALE, seed=self.seed, stage="task1", arm=arm)

    def recovery(self, arm: str, starts: dict[str, tuple[int, ...]], short: bool = False) -> pd.DataFrame:
        offset = 0.02 * np.random.default_rng([self.seed, len(arm), 1]).normal()
        runs = []
        for start, checkpoints in starts.items():
            for checkpoint in checkpoints:
                long = start not in ("task1", "pretraining", "task0") or 0 < checkpoint <= 150 or checkpoint >= 2600
                epochs_seen = [value for value in EPOCHS if value <= 1] if short or not long else EPOCHS
                for epochs in (0,) if short and checkpoint == 0 else epochs_seen:
                    level = float(np.clip(recovered_accuracy(start, arm, checkpoint, epochs) + offset * min(1, epochs), 0, 1))
                    of_control = (
                        {"start": "task1", "training": "shuffled"} if start == "shuffled" else {"start": start, "training": "right"}
                    )
                    keys = {"units": 150, "checkpoint": checkpoint, "epochs": epochs, "step": round(epochs * STEPS_PER_EPOCH)} | of_control
                    runs.append(Run({"task0_test": level, "control": 0.01}, keys))
        return self.answers(runs).assign(scale=SCALE, seed=self.seed, stage="recovery", arm=arm)


def task1_metrics(facts: pd.DataFrame, arm: str, threshold: float = 0.99) -> pd.DataFrame:
    keys = ["scale", "seed", "stage", "arm", "step"]
    metrics = summarise(facts, keys, EXACT)
    learned = metrics[(metrics["split"] == "task1") & (metrics["kind"] == "all") & (metrics["metric"] == "exact_match")]
    reached = learned.loc[learned["value"] >= threshold, "step"]
    first = metrics.iloc[0][keys].to_dict()
    end = int(facts["step"].max())
    extra = [first | {"step": end, "split": "train", "kind": "all", "metric": name, "value": value} for name, value in costs(arm, end)]
    extra += [
        first | {"step": 0, "split": "train", "kind": "all", "metric": "learning_rate", "value": RATES.get(arm, 1e-4)},
        first
        | {
            "step": end,
            "split": "task1",
            "kind": "all",
            "metric": "early_stop_step",
            "value": reached.min() if len(reached) else np.nan,
        },
    ]
    return pd.concat([metrics, pd.DataFrame(extra).assign(n=1, low=np.nan, high=np.nan)], ignore_index=True)


def costs(arm: str, steps: int) -> list[tuple[str, float]]:
    """The rows of group "train" at the end: none for a task vector, which is not trained."""
    if arm.startswith("task-vector"):
        return []
    rows = 32 if arm.startswith("replay-") and "ratio" not in arm else 16
    prepared = 900 if arm.startswith(("ewc", "projection", "lamol")) else 0
    found = {"seconds": 0.03 * steps * (1 + rows / 16), "trained_parameters": 3348736, "trained_rows": rows * steps}
    found |= {"prepared_rows": prepared, "preparation_seconds": prepared / 20, "stored_bytes": 4 * 3348736 if prepared else 0}
    if arm.startswith("lamol"):
        passed = {
            "generated": 1.0,
            "parsed": 0.97,
            "distinct": 0.55,
            "real_question": 0.3,
            "right_answer": 0.27,
            "held_out": 0.02,
            "used": 0.53,
        }
        found |= {f"pseudo_{name}": round(480 * share) for name, share in passed.items()}
    return list(found.items())


def floors(seed: int) -> pd.DataFrame:
    values = {"exact_match": 0.024, "first_token_hard": 0.113}
    rows = [{"split": split, "kind": "all", "metric": metric, "value": value} for split in UNITS for metric, value in values.items()]
    return pd.DataFrame(rows).assign(scale=SCALE, seed=seed, stage="data", arm="modal_answer", step=0, n=600, low=np.nan, high=np.nan)


def halves(world: World) -> pd.DataFrame:
    """The units of `World` in turn of half A and B, those that were not pretrained of both."""
    units = world.questions[["unit", "split"]].drop_duplicates(ignore_index=True)
    half = np.where(units["split"].isin(["task1", "control"]), "all", np.where(np.arange(len(units)) % 2 == 0, "A", "B"))
    return units.assign(seed=world.seed, half=half)


def choice(families: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(family, arm, arm in CHOSEN, arm not in UNLEARNED) for family, arms in families.items() for arm in arms]
    frame = pd.DataFrame(rows, columns=["family", "arm", "chosen", "learned"])
    return frame.assign(scale=SCALE, criterion=0.5, reason="Task 0 validation exact match at matched Task 1")


MODELS = {
    "gpt-neox": ("gpt_neox", 192, 2.2e6),
    "gpt2": ("gpt2", 192, 2.3e6),
    "llama": ("llama", 192, 2.2e6),
    "gpt-neox-2x": ("gpt_neox", 384, 8.0e6),
    "gpt-neox-4x": ("gpt_neox", 768, 31e6),
}
"""Architecture, width and weights of each variant."""


def architectures(seeds: tuple[int, ...], models: dict[str, tuple[str, int, float]] = MODELS) -> pd.DataFrame:
    """ARCHITECTURES rows; of the second model nothing was lost, so that it has no shares."""
    metrics = {"before": 0.98, "trough": 0.2, "peak": 0.55, "control": 0.3, "task1_final": 1.0, "spurious_share_trough": 0.95}
    metrics |= {"spurious_share_end": 0.8, "floor_share_trough": 0.85, "floor_share_end": 0.6}
    rows = []
    for number, (variant, (kind, width, parameters)) in enumerate(models.items()):
        for seed in seeds:
            for metric, value in metrics.items():
                unknown = number == 1 and "share" in metric
                middle = np.nan if unknown else min(1.0, value - 0.04 * number + 0.01 * seed)
                ends = (max(0.0, middle - 0.05), min(1.0, middle + 0.05))
                rows.append((seed, variant, kind, 4, width, int(parameters), metric, middle, *ends))
    columns = ["seed", "variant", "architecture", "layers", "width", "parameters", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(scale=SCALE)


def write_tree(
    root: Path,
    seeds: tuple[int, ...] = (0,),
    steps: np.ndarray = STEPS,
    checkpoints: tuple[int, ...] = CHECKPOINTS,
    families: dict[str, list[str]] = FAMILIES,
) -> None:
    """Write `root`/seed<k>/... for every seed, `root`/gates, `root`/comparison and `root`/architectures."""
    write_table(choice(families), root / "comparison/choice.parquet", CHOICE)
    for variant, rows in architectures(seeds).groupby("variant"):
        write_table(rows, root / f"architectures/{variant}.parquet", ARCHITECTURES)
    compared = [arm for arms in families.values() for arm in arms]
    keys = ["scale", "seed", "stage", "arm", "step"]
    for seed in seeds:
        world, folder = World(seed), root / f"seed{seed}"
        write_table(floors(seed), folder / "data/floors.parquet", METRICS)
        write_table(halves(world), folder / "data/cells/halves.parquet", HALVES_OF_UNITS)
        write_views(folder / "views", seed)
        write_sequence(folder, seed)
        for arm in dict.fromkeys([*ARMS, *RATES, *compared]):
            facts = world.task1(arm, checkpoint_grid(steps, checkpoints) if arm.startswith("task-vector") else steps)
            write_table(facts, folder / f"task1/{arm}/facts.parquet", FACTS)
            write_table(task1_metrics(facts, arm), folder / f"task1/{arm}/metrics.parquet", METRICS)
        probes = {arm: world.recovery(arm, {"task1": checkpoints, "shuffled": (150, 4000)}) for arm in PROBED}
        probes |= {arm: world.recovery(arm, {"task1": (0, 150, 4000)}, short=True) for arm in compared if arm not in PROBED}
        for arm, stop in stops(folder).items():
            if arm in probes and stop not in set(probes[arm]["checkpoint"]):
                probes[arm] = pd.concat([probes[arm], world.recovery(arm, {"task1": (stop,)}, short=arm not in PROBED)])
        probes["controls"] = world.recovery("controls", BEFORE_TASK1)
        for arm, facts in probes.items():
            write_table(facts, folder / f"recovery/{arm}/facts.parquet", RECOVERY_FACTS)
            write_table(
                summarise(facts, [*keys, "start", "training", "units", "checkpoint", "epochs"], EXACT),
                folder / f"recovery/{arm}/metrics.parquet",
                RECOVERY,
            )
        gate = {"gate": "task0_before", "value": 0.97, "low": 0.95, "high": 0.98, "comparison": ">=", "threshold": 0.95, "floor": np.nan}
        gate |= {"control": None, "step": 60, "passed": True, "scale": SCALE, "seed": seed}
        (root / "gates").mkdir(exist_ok=True)
        (root / f"gates/seed{seed}-task0.json").write_text(json.dumps([gate]))


def files_of(root: Path, name: str, seeds: str = "*") -> list[str]:
    """The files of an input of figures and tables in a tree that `write_tree` wrote."""
    pattern = input_of(name).files.format(seed=seeds, task="task[1-9]", arm="*", variant="*")
    if pattern.startswith("resources/"):
        return [str(REPOSITORY / pattern)]
    return [str(path) for path in sorted(root.glob(pattern))]


def checkpoint_grid(steps: np.ndarray, checkpoints: tuple[int, ...]) -> np.ndarray:
    """Where a task vector, which needs the weights of `seq`, is scored: the checkpoints, among the evaluations."""
    return np.intersect1d(steps, checkpoints)


def stops(folder: Path) -> dict[str, int]:
    """Where Task 1 was learned, by arm; arms that never learned it are absent."""
    rows = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("task1/*/metrics.parquet"))])
    rows = rows[(rows["metric"] == "early_stop_step") & rows["value"].notna()]
    return {str(arm): int(step) for arm, step in zip(rows["arm"], rows["value"], strict=True)}
