"""Made-up tables of the views: landscape, weights, Fisher information, features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from forgetting.sections import ATTRIBUTES
from forgetting.tables import FEATURE_POINTS, FEATURES, FISHER, LANDSCAPE, WEIGHTS, write_table

SCALE = "synthetic"
VIEWED = ("seq", "replay-20", "freeze-2")
CHECKPOINTS = (0, 10, 30, 60, 100, 150, 200, 800, 1600, 2600, 4000)
LAYERS = 4


def landscape(seed: int, arm: str, points: int = 15) -> pd.DataFrame:
    alpha, beta = (mesh.ravel() for mesh in np.meshgrid(np.linspace(-0.6, 2.6, points), np.linspace(-1, 5, points)))
    task0 = 0.05 + 1.5 * np.log1p(alpha**2 + 0.05 * beta**2)
    task1 = 4.0 - 3.9 * np.exp(-((alpha - 1.5) ** 2) / 8 - (beta - 4) ** 2 / 9)
    grid = pd.DataFrame({"kind": "grid", "step": -1, "alpha": alpha, "beta": beta, "task0_loss": task0, "task1_loss": task1})
    grid["mean_loss"], grid["in_plane"] = (task0 + task1) / 2, np.nan
    steps = np.array(CHECKPOINTS)
    path = pd.DataFrame(
        {"kind": "trajectory", "step": steps, "alpha": 2 * (1 - np.exp(-steps / 60)), "beta": 4 * np.maximum(steps - 150, 0) / 3850}
    )
    path["in_plane"] = np.select([steps == 0, np.isin(steps, [150, steps[-1]])], [np.nan, 1.0], 0.6 + 0.3 * steps / 4000)
    return pd.concat([grid, path], ignore_index=True).assign(scale=SCALE, seed=seed, arm=arm)


def weights(seed: int, arm: str) -> pd.DataFrame:
    generator = np.random.default_rng([seed, len(arm), 2])
    pairs = [("pretraining", "task0"), ("pretraining", "task1"), ("task0", "task1_early"), ("task1_early", "task1_late")]
    blocks = ["query", "key", "value", "attention_output", "mlp_input", "mlp_output"]
    matrices = [(-1, "embedding"), *((layer, name) for layer in range(LAYERS) for name in blocks), (LAYERS, "output_embedding")]
    rows = []
    for former, latter in pairs:
        for layer, component in matrices:
            frozen = arm == "freeze-2" and latter.startswith("task1") and layer < 2
            rank = float(generator.integers(30, 120))
            chance = float(np.degrees(np.arccos(np.sqrt(rank / 128))))
            angle = chance - generator.uniform(0, 12)
            for metric, value, level in (("mean_angle", angle, chance), ("rank", rank + 5, np.nan), ("former_rank", rank, np.nan)):
                rows.append((former, latter, layer, component, metric, np.nan if frozen else value, np.nan if frozen else level))
    frame = pd.DataFrame(rows, columns=["former", "latter", "layer", "component", "metric", "value", "chance"])
    return frame.assign(scale=SCALE, seed=seed, arm=arm)


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
        for group in ("task0_test", "task1"):
            for layer in range(LAYERS + 1):
                part = layer / LAYERS
                rows += [
                    (before, after, layer, group, "all", "relative_shift", size * later * part + 0.02, np.nan),
                    (before, after, layer, group, "all", "shift_along_leading", 0.1 + 0.3 * part / later, 0.06),
                    (before, after, layer, group, "all", "cka", 1 - 0.4 * size * later * part, 0.05),
                ]
    for checkpoint, loss in (("pretrained", 0.0), ("task0", 0.05), ("task1_early", 0.1 * size), ("task1_end", 0.3 * size)):
        for group in ("task0_test", "task1"):
            for attribute in ATTRIBUTES:
                for layer in range(LAYERS + 1):
                    accuracy = 0.1 + 0.8 * layer / LAYERS * (1 - loss)
                    rows.append((checkpoint, checkpoint, layer, group, attribute, "probe_accuracy", accuracy, 0.03))
                    rows.append((checkpoint, checkpoint, layer, group, attribute, "probe_ceiling", 0.9, np.nan))
    frame = pd.DataFrame(rows, columns=["before", "after", "layer", "group", "attribute", "metric", "value", "chance"])
    return frame.assign(scale=SCALE, seed=seed, arm=arm)


def feature_points(seed: int, arm: str) -> pd.DataFrame:
    generator = np.random.default_rng([seed, len(arm), 3])
    clouds = []
    for step in (0, 150, 4000):
        for layer in (LAYERS - 1, LAYERS):
            cloud = generator.normal(size=(40, 2)) * (3, 1) + (0.5, 2 * step**0.2 if step else 0)
            frame = pd.DataFrame({"leading_component": cloud[:, 0], "mean_shift": cloud[:, 1], "person": np.arange(40)})
            clouds.append(frame.assign(step=step, layer=layer, group="task0_test", attribute="university"))
    return pd.concat(clouds, ignore_index=True).assign(scale=SCALE, seed=seed, arm=arm)


def write_views(folder: Path, seed: int) -> None:
    """Write `folder`/fisher.parquet, and `folder`/<arm>/<table>.parquet for every arm that is viewed."""
    write_table(fisher(seed), folder / "fisher.parquet", FISHER)
    makers = {
        "landscape": (landscape, LANDSCAPE),
        "weights": (weights, WEIGHTS),
        "features": (features, FEATURES),
        "feature_points": (feature_points, FEATURE_POINTS),
    }
    for arm in VIEWED:
        for name, (make, schema) in makers.items():
            write_table(make(seed, arm), folder / arm / f"{name}.parquet", schema)
