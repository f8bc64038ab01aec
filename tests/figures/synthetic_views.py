"""Made-up tables of the views."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tests.analysis.test_propositions import table

from forgetting.analysis.propositions import freeze_depth
from forgetting.config.biography import ATTRIBUTES
from forgetting.schemas.common_shift import COMMON_SHIFT, COMMON_SHIFT_REPAIR
from forgetting.schemas.drift import DRIFT
from forgetting.schemas.features import FEATURE_POINTS, FEATURES
from forgetting.schemas.fisher import FISHER
from forgetting.schemas.gradients import GRADIENTS
from forgetting.schemas.graft import GRAFT
from forgetting.schemas.interpolation import INTERPOLATION
from forgetting.schemas.landscape import LANDSCAPE
from forgetting.schemas.positions import POSITIONS
from forgetting.schemas.recall import RECALL
from forgetting.schemas.theory import THEORY
from forgetting.schemas.weights import WEIGHTS
from forgetting.tables import write_table

SCALE = "synthetic"
VIEWED = ("seq", "replay-20", "freeze-2")
CHECKPOINTS = (0, 10, 30, 60, 100, 150, 200, 800, 1600, 2600, 4000)
LAYERS = 4
POINTS = {"early": 150, "matched": 1800, "end": 2000}
"""Step of the checkpoints that the tables about answers compare."""
CASES = [("logits", "kind_position"), ("logits", "one_shift"), ("residual_stream", "kind_position")]
NAN = float("nan")
KNOWN = (1, 2, 4)
ANSWER_STEPS = (0, 60, 150, 4000)
SHARES = {0: 0.4, 1: 0.8, 2: 0.9, 3: 0.95, 4: 0.5, -1: 1.0}
COUNTS = {0: 180, 1: 160, 2: 90, 3: 40, 4: 3, -1: 180}


def landscape(seed: int, arm: str, points: int = 15) -> pd.DataFrame:
    """A path along alpha, then along beta; the blocks hold a quarter of its squared length and turn more. freeze-2 has no recovery."""
    alpha, beta = (mesh.ravel() for mesh in np.meshgrid(np.linspace(-0.6, 2.6, points), np.linspace(-1, 5, points)))
    task0 = 0.05 + 1.5 * np.log1p(alpha**2 + 0.05 * beta**2)
    task1 = 4.0 - 3.9 * np.exp(-((alpha - 1.5) ** 2) / 8 - (beta - 4) ** 2 / 9)
    grid = pd.DataFrame({"kind": "grid", "step": -1, "alpha": alpha, "beta": beta, "task0_loss": task0, "task1_loss": task1})
    grid = grid.assign(mean_loss=(task0 + task1) / 2, task0_error=0.02 * (1 + alpha**2), task1_error=0.05, weights="all")
    steps = np.array(CHECKPOINTS)
    along, after = 2 * (1 - np.exp(-steps / 60)), 4 * np.maximum(steps - 150, 0) / 3850
    path = pd.DataFrame({"kind": "trajectory", "step": steps, "alpha": along, "beta": after, "epochs": 0.0})
    ends = [steps == 0, np.isin(steps, [150, steps[-1]])]
    path["in_plane"] = np.select(ends, [np.nan, 1.0], 0.6 + 0.3 * steps / 4000)
    path["distance"] = np.hypot(along, after) / path["in_plane"].fillna(1.0)
    inner = (0.3 + 0.1 * np.log1p(steps) / np.log(4000)) + 0.02 * seed + 0.05 * len(arm) / 10
    path["turn"] = np.where(np.isin(steps, [0, steps[-1]]), np.nan, inner)
    back = [("recovery_trough", 60, epochs, 1.2 - 0.5 * epochs, 0.3 * epochs) for epochs in (0.0, 0.25, 0.5, 1.0)]
    back += [("recovery_end", 4000, epochs, 2 - epochs, 4 - 0.4 * epochs) for epochs in (0.0, 0.25, 0.5, 1.0)]
    recovery = pd.DataFrame(back if arm != "freeze-2" else [], columns=["kind", "step", "epochs", "alpha", "beta"])
    later = recovery["epochs"] > 0
    recovery["in_plane"] = np.where(later, 0.2, np.nan)
    recovery["way_back"] = np.where(later, 0.05 + 0.01 * seed, np.nan)
    recovery["recovered_length"] = 2.0 * np.sqrt(recovery["epochs"].astype(float))
    recovery["distance"] = np.where(recovery["kind"] == "recovery_end", 4.5, 1.5) + 0.5 * recovery["epochs"].astype(float)
    every = (
        pd.concat([path, recovery], ignore_index=True)
        if len(recovery)
        else path.reindex(columns=[*path, *recovery.columns.difference(path.columns)])
    )
    blocks = every.assign(weights="blocks", distance=every["distance"] / 2, turn=every["turn"] - 0.25, in_plane=every["in_plane"] * 0.9)
    return pd.concat([grid, every.assign(weights="all"), blocks], ignore_index=True).assign(scale=SCALE, seed=seed, arm=arm)


def interpolation(seed: int, arm: str) -> pd.DataFrame:
    """From the trough and from the end: a rise, a fall, and between theta* and the recovered weights a hill for `replay-20` alone;
    freeze-2 has no recovered weights."""
    rows, positions = [], np.linspace(0, 1, 21)
    hill = 0.5 * np.sin(np.pi * positions) ** 2 * (arm == "replay-20")
    shapes = {"task0_{}": positions, "{}_recovered": 1 - positions, "task0_{}_recovered": hill}
    for start, (segment, shape) in product(("trough", "end"), list(shapes.items())[: 1 if arm == "freeze-2" else 3]):
        for split in ("task0_test", "task1"):
            name, is_hill = segment.format(start), segment == "task0_{}_recovered" and hill.any()
            rows += [(name, split, "loss", at, 0.01 + 2 * value, 0.002 + 0.1 * value) for at, value in zip(positions, shape, strict=True)]
            rows += [(name, split, "exact_match", at, 0.95 - 0.8 * value, 0.05) for at, value in zip(positions, shape, strict=True)]
            peak = (0.5, 1.0, 0.08) if is_hill else (np.nan, 0.0, np.nan)
            rows += [(name, split, metric, *peak) for metric in ("barrier", "barrier_above_line")]
    frame = pd.DataFrame(rows, columns=["segment", "split", "metric", "position", "value", "error"])
    return frame.assign(scale=SCALE, seed=seed, arm=arm)


def weights(seed: int, arm: str) -> pd.DataFrame:
    generator = np.random.default_rng([seed, len(arm), 2])
    pairs = [("pretraining_earlier", "pretraining"), ("pretraining", "task0"), ("pretraining", "task1")]
    pairs += [("task0", "task1_early"), ("task1_early", "task1_late")]
    blocks = ["query", "key", "value", "attention_output", "mlp_input", "mlp_output"]
    matrices = [(0, "embedding"), *((layer + 1, name) for layer in range(LAYERS) for name in blocks), (LAYERS + 1, "output_embedding")]
    rows = []
    for former, latter in pairs:
        for layer, component in matrices:
            frozen = arm == "freeze-2" and latter.startswith("task1") and layer <= 2
            rank = float(generator.integers(30, 120))
            chance = float(np.degrees(np.arccos(np.sqrt(rank / 128))))
            metrics = {"rank": (rank + 5, np.nan), "former_rank": (rank, np.nan), "relative_norm": (generator.uniform(0.02, 0.4), np.nan)}
            for metric in ("mean_angle", "weighted_angle", "principal_angle"):
                metrics[metric] = (chance - generator.uniform(-2, 12), chance)
            for metric, (value, level) in metrics.items():
                rows.append((former, latter, layer, component, metric, np.nan if frozen else value, np.nan if frozen else level))
    frame = pd.DataFrame(rows, columns=["former", "latter", "layer", "component", "metric", "value", "chance"])
    chance = frame["chance"]
    others = (-2 + 0 * chance).where(~frame["component"].str.endswith("embedding"))
    return frame.assign(chance_low=chance - 1.5, chance_high=chance + 1.5, other_layers=others, scale=SCALE, seed=seed, arm=arm)


def fisher(seed: int) -> pd.DataFrame:
    """Mean diagonal Fisher information of the same matrices as `weights`, and a little related to their angles."""
    frame = weights(seed, "seq")
    rows = frame[(frame["former"] == "task1_early") & (frame["latter"] == "task1_late") & (frame["metric"] == "mean_angle")]
    noise = np.random.default_rng([seed, 4]).normal(size=len(rows))
    found = np.exp(-12 + 0.1 * rows["value"] + 0.5 * noise - 3 * rows["component"].str.endswith("embedding"))
    return rows[["layer", "component"]].assign(scale=SCALE, seed=seed, fisher=found, weights=16384)


def features(seed: int, arm: str) -> pd.DataFrame:
    rows = []
    size = {"seq": 1.0, "replay-20": 0.7}.get(arm, 0.4)
    for before, after in (("pretrained", "task0"), ("task0", "task1_early"), ("task0", "task1_end"), ("task1_early", "task1_end")):
        later = 1.5 if after == "task1_end" else 1.0
        for split in ("task0_test", "task1"):
            for layer in range(LAYERS + 1):
                part = layer / LAYERS
                rows += [
                    (before, after, layer, split, "all", "relative_shift", size * later * part + 0.02, np.nan),
                    (before, after, layer, split, "all", "shift_along_leading", 0.1 + 0.3 * part / later, 0.06),
                    (before, after, layer, split, "all", "cka", 1 - 0.1 * size * later * part, 0.05),
                    (before, after, layer, split, "birthday", "cka", 1 - 0.3 * size * later * part, 0.2),
                    (before, after, layer, split, "major", "cka", 1 - 0.5 * size * later * part, 0.3),
                ]
    for checkpoint, loss in (("pretrained", 0.0), ("task0", 0.05), ("task1_early", 0.1 * size), ("task1_end", 0.3 * size)):
        for split in ("task0_test", "control"):
            for layer in range(LAYERS + 1):
                known = layer / LAYERS * (1 - loss) if split == "task0_test" else 0.01
                rows.append((checkpoint, checkpoint, layer, split, "all", "lens_lead", known, 0.03))
                rows.append((checkpoint, checkpoint, layer, split, "all", "lens_rank", 100 - 99 * known, 60.0))
    frame = pd.DataFrame(rows, columns=["before", "after", "layer", "split", "kind", "metric", "value", "chance"])
    return frame.assign(scale=SCALE, seed=seed, arm=arm, low=np.nan, high=np.nan)


def feature_points(seed: int, arm: str) -> pd.DataFrame:
    generator = np.random.default_rng([seed, len(arm), 3])
    clouds = []
    for step in (0, 150, 4000):
        for layer in (LAYERS - 1, LAYERS):
            cloud = generator.normal(size=(40, 2)) * (3, 1) + (0.5, 2 * step**0.2 if step else 0)
            frame = pd.DataFrame({"leading_component": cloud[:, 0], "mean_shift": cloud[:, 1], "unit": np.arange(40)})
            clouds.append(frame.assign(step=step, layer=layer, split="task0_test", kind="university"))
    return pd.concat(clouds, ignore_index=True).assign(scale=SCALE, seed=seed, arm=arm)


def position_rows(arm: str, seed: int) -> pd.DataFrame:
    """The same share at every step after 0, lower by 0.01 a seed; a tenth of the answers break at the first token, by 0.02 more a seed."""
    rows = []
    for step in ANSWER_STEPS:
        for split in ("task0_test", "control"):
            for position, share in SHARES.items():
                level = 1.0 if step == 0 else (share - 0.01 * seed) * (0.5 if split == "control" else 1)
                broken = 0.1 + 0.02 * seed if position == 0 else 0.0
                for metric, value in (("token_hard", level), ("token_hard_after_right", level / 2), ("first_wrong", broken)):
                    rows.append((step, position, split, metric, value, COUNTS[position], value - 0.03, value + 0.03, 0.07 + position / 100))
    columns = ["step", "position", "split", "metric", "value", "n", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns).assign(scale="synthetic", seed=seed, arm=arm, kind="all")


def shift_rows(arm: str, seed: int, share: float, restored: float, points: tuple[str, ...] = tuple(POINTS)) -> pd.DataFrame:
    """The common share is `share` in the logits, 0.1 more in the residual stream, 0.2 less for one shift, 0.3 less among values."""
    rows = []
    for point in points:
        for space, grouping in CASES:
            value = share + 0.1 * (space == "residual_stream") - 0.2 * (grouping == "one_shift")
            rows.append((point, space, grouping, "nothing", "common_share", value, value - 0.02, value + 0.02, 0.0, -0.01, 0.04))
            rows.append((point, space, grouping, "common", "restored_share", restored, restored - 0.05, restored + 0.05, *[NAN] * 3))
            for removed, accuracy in (("nothing", 0.2), ("everything", 0.97), ("common", 0.5), ("rest", 0.9)):
                accuracy += 0.01 * seed
                rows.append((point, space, grouping, removed, "exact_match", accuracy, accuracy - 0.01, accuracy + 0.01, *[NAN] * 3))
        among = (share - 0.3, share - 0.35, share - 0.25, 0.0, -0.01, 0.04)
        rows.append((point, "logits", "kind_position", "nothing", "common_share_among_values", *among))
    columns = ["point", "space", "grouping", "removed", "metric", "value", "low", "high", "chance", "chance_low", "chance_high"]
    made = pd.DataFrame(rows, columns=columns)
    return made.assign(scale="synthetic", seed=seed, arm=arm, step=made["point"].map(POINTS) + seed, kind="all")[COMMON_SHIFT.names]


def repair_rows(arm: str, seed: int) -> pd.DataFrame:
    """Accuracy rises by 0.1 from one number of known facts to the next, from another start in each case."""
    rows = [
        (point, space, grouping, unit, known, start + 0.1 * place, start + 0.1 * place - 0.02, start + 0.1 * place + 0.02)
        for point in POINTS
        for start, space, grouping, unit in (
            (0.3, "logits", "kind_position", "units"),
            (0.1, "logits", "kind_position", "facts"),
            (0.2, "logits", "one_shift", "units"),
            (0.4, "residual_stream", "kind_position", "units"),
            (0.05, "residual_stream", "kind_position", "random"),
        )
        for place, known in enumerate(KNOWN)
    ]
    made = pd.DataFrame(rows, columns=["point", "space", "grouping", "counted", "known", "value", "low", "high"])
    made = made.assign(scale="synthetic", seed=seed, arm=arm, step=made["point"].map(POINTS) + seed)
    made = pd.concat([made.assign(kind=kind) for kind in ("all", *ATTRIBUTES)], ignore_index=True)
    return made.assign(metric="exact_match", draws=10)[COMMON_SHIFT_REPAIR.names]


def recall_rows(arm: str, seed: int, points: tuple[str, ...] = tuple(POINTS)) -> pd.DataFrame:
    """Questions fall and rise again, biographies fall slowly; values of `control` persons are 0.01."""
    levels = {"task0": (0.99, 0.98), "early": (0.1, 0.9), "matched": (0.5, 0.7), "end": (0.4, 0.6)}
    rows = []
    for point in ("task0", *points):
        question, biography = levels[point]
        forms = {"question": question, "biography": biography, "among_values": (question + biography) / 2}
        forms |= {f"in_context_{shots}": 0.22 - 0.05 * shots for shots in (1, 2, 3, 4)} | {"shuffled_1": 0.04, "shuffled_4": 0.02}
        forms |= {"stated": 0.7, "stated_of_another": 0.05}
        for form, value in forms.items():
            rows.append((point, form, "task0_test", value, value - 0.03, value + 0.03))
            rows.append((point, form, "control", 0.01, 0.0, 0.03))
    made = pd.DataFrame(rows, columns=["point", "form", "split", "value", "low", "high"])
    made = made.assign(scale="synthetic", seed=seed, arm=arm, step=made["point"].map({"task0": 0} | POINTS), kind="all")
    return made.assign(metric="exact_match", n=60)[RECALL.names]


def drift_rows(arm: str, seed: int, divergences: dict[str, float]) -> pd.DataFrame:
    """KL from theta* by point; twice that to theta*, and ten times that on Task 0 or on a single attribute."""
    rows = [
        (point, split, kind, metric, value * factor * (1 if (split, kind) == ("task1", "all") else 10))
        for point, value in divergences.items()
        for split in ("task1", "task0_test")
        for kind in ("all", "major")
        for metric, factor in (("kl_from_theta_star", 1), ("kl_to_theta_star", 2))
    ]
    made = pd.DataFrame(rows, columns=["point", "split", "kind", "metric", "value"])
    made = made.assign(scale="synthetic", seed=seed, arm=arm, step=made["point"].map(POINTS), n=900)
    return made.assign(low=made["value"] * 0.9, high=made["value"] * 1.1)[DRIFT.names]


def gradient_rows(arm: str, seed: int) -> pd.DataFrame:
    """Opposed up to step 60, alike at the end; halves of a task have 0.64 and 0.36 in common, shuffled answers next to nothing."""
    at_step = {0: -0.1, 10: -0.2, 60: -0.05, 150: 0.1, 4000: 0.2}
    parts = [
        ("all", -1),
        ("blocks", -1),
        ("embedding", 0),
        *(("block", layer + 1) for layer in range(LAYERS)),
        ("output_embedding", LAYERS + 1),
    ]
    rows = [
        (step, part, layer, comparison, found + 0.01 * seed)
        for step, value in at_step.items()
        for part, layer in parts
        for comparison, found in (("task0_task1", value), ("task0_shuffled", 0.02), ("task0_halves", 0.64), ("task1_halves", 0.36))
    ]
    made = pd.DataFrame(rows, columns=["step", "part", "layer", "comparison", "value"])
    return made.assign(scale=SCALE, seed=seed, arm=arm, n=150)[GRADIENTS.names]


def graft_rows(arm: str, seed: int) -> pd.DataFrame:
    """The first block alone brings Task 0 from 0.1 to 0.8, random weights to 0.15, random directions do nothing. Task 1 is known late."""
    parts = [("embedding", 0), ("norms", -1), ("output_embedding", LAYERS + 1), ("blocks", -1), ("query_key", -1), ("value_output", -1)]
    parts += [("mlps", -1)] + [(part, layer + 1) for part in ("block", "attention", "mlp") for layer in range(LAYERS)]
    parts += [("blocks_up_to", layer) for layer in range(1, LAYERS)] + [("blocks_from", layer) for layer in range(2, LAYERS + 1)]
    rows: list[tuple] = [("none", "all", -1, NAN, 0.0, 0.1, 1.0), ("start", "all", -1, NAN, 1.0, 0.99, 0.02)]
    rows += [("floor", "all", -1, NAN, 0.0, 0.07, 1.0), ("untaught", "all", -1, NAN, 0.0, 0.01, 0.0)]
    for part, layer in parts:
        first = (part, layer) in (("block", 1), ("blocks", -1)) or part == "blocks_up_to"
        rows.append(("back", part, layer, NAN, 0.2, 0.8 if first else 0.12, 0.5))
        rows.append(("back_random", part, layer, NAN, 0.2, 0.15, 0.9))
        rows.append(("into_floor", part, layer, NAN, 0.3, 0.25 if first else 0.08, 0.5))
        if part in ("embedding", "block", "blocks_up_to", "output_embedding"):
            rows += [(name, part, layer, NAN, 0.4, 0.6 if first else 0.09, 0.5) for name in ("pretrained", "pretrained_into_floor")]
            rows += [(name, part, layer, NAN, 0.4, 0.3 if first else 0.05, 0.5) for name in ("of_floor", "into_pretrained")]
        rows.append(("forward", part, layer, NAN, 0.2, 0.3 if first else 0.98, 0.02))
    for part in ("attention", "blocks"):
        rows += [("edit", part, -1, float(rank), 0.1 * np.log2(2 * rank), 0.4 + 0.05 * rank, 0.6) for rank in (1, 2, 4, 8)]
        rows += [("edit_random", part, -1, float(rank), 0.1 * np.log2(2 * rank), 0.1, 0.95) for rank in (1, 2, 4, 8)]
    rows += [("interpolation", "all", -1, share, share**2, 0.1 + 0.89 * share, 1 - share) for share in np.arange(1, 10) / 10]
    columns = ["operation", "part", "layer", "amount", "update_share", "task0_test", "task1"]
    wide = pd.DataFrame(rows, columns=columns).melt(columns[:5], var_name="split").assign(metric="exact_match")
    shifted = wide[wide["operation"].isin(["none", "back", "forward"]) & (wide["split"] == "task0_test")]
    made = pd.concat([wide, shifted.assign(metric="common_share", value=0.7)], ignore_index=True)
    made = made.assign(value=(made["value"] + 0.01 * seed).clip(0, 1))
    made = made.assign(low=(made["value"] - 0.04).clip(0, 1), high=(made["value"] + 0.04).clip(0, 1), n=600)
    line = made[made["operation"].isin(["back", "back_random", "edit", "edit_random"]) & (made["metric"] == "exact_match")]
    line = line[line["split"] == "task0_test"]
    beyond = line["value"] - 0.55 - 0.01 * seed
    beside = [line.assign(metric="straight", value=0.55 + 0.01 * seed, low=0.5, high=0.6)]
    beside.append(line.assign(metric="beyond_straight", value=beyond, low=beyond - 0.03, high=beyond + 0.02))
    points = [
        pd.concat([made, *(beside if point == "end" else [])], ignore_index=True)
        .pipe(lambda rows, point=point: rows.assign(value=rows["value"].where((rows["split"] != "task1") | (point == "end"), 0.03)))
        .assign(point=point, step=step)
        for point, step in {"trough": 100, "matched": 1800, "end": 2000}.items()
    ]
    return pd.concat(points, ignore_index=True).assign(scale=SCALE, seed=seed, arm=arm)[GRAFT.names]


def theory_rows(arm: str, seed: int, last: float) -> pd.DataFrame:
    """Rows of all stages: a mean shift that is nearly orthogonal, single ones that are not."""
    frozen = freeze_depth(arm) or 0
    stages = []
    for after, later in (("task1_early", 1.0), ("task1_matched", 1.2), ("task1_end", 1.5)):
        shares = {"written": 0.09 / later, "mean": 0.004 * len(arm) * later, "single": 0.1 * later}
        rows = table(arm, seed, last, frozen=frozen, update=1 + 0.4 * frozen, **shares)
        stages.append(rows.assign(after=after, chance_low=0.6 * rows["chance"], chance_high=1.6 * rows["chance"]))
    return pd.concat(stages, ignore_index=True)


def write_views(folder: Path, seed: int) -> None:
    """Write `folder`/<arm>/<table>.parquet for every arm that is viewed, and beside `folder` what is of all arms."""
    write_table(fisher(seed), folder.parent / "fisher/fisher.parquet", FISHER)
    makers = {
        "landscape": (landscape, LANDSCAPE),
        "interpolation": (interpolation, INTERPOLATION),
        "weights": (weights, WEIGHTS),
        "features": (features, FEATURES),
        "feature_points": (feature_points, FEATURE_POINTS),
        "positions": (lambda seed, arm: position_rows(arm, seed), POSITIONS),
        "common_shift": (lambda seed, arm: shift_rows(arm, seed, 0.6, 0.2), COMMON_SHIFT),
        "common_shift_repair": (lambda seed, arm: repair_rows(arm, seed), COMMON_SHIFT_REPAIR),
        "recall": (lambda seed, arm: recall_rows(arm, seed), RECALL),
        "gradients": (lambda seed, arm: gradient_rows(arm, seed), GRADIENTS),
        "graft": (lambda seed, arm: graft_rows(arm, seed), GRAFT),
        "theory": (lambda seed, arm: theory_rows(arm, seed, 10.0), THEORY),
    }
    drift = [drift_rows(arm, seed, {"early": 1.0, "end": 1.0 + number}) for number, arm in enumerate(VIEWED)]
    write_table(pd.concat(drift, ignore_index=True), folder.parent / "drift/drift.parquet", DRIFT)
    for arm in VIEWED:
        for name, (make, schema) in makers.items():
            write_table(make(seed, arm), folder / arm / f"{name}.parquet", schema)
