"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from forgetting.tables import MADE_BY
from tests import jobs, sections
from tests.study import SMOKE, clone_to, snakemake

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores: more threads than cores would only wait for each other

RESOURCES = Path(__file__).parent.parent / "resources"
TINY_GROUPS = sections.groups(task0_train=12, task0_val=4, task0_test=8, task1=16, control=4, probe=3)


@pytest.fixture(autouse=True)
def _made_by_no_job() -> Iterator[None]:
    """What a script that ran within a test said of itself (`pipeline/command.py`) is not written into the tables of later ones."""
    yield
    MADE_BY.clear()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker a core that may be used; at most four, as each holds a gigabyte and its own copy of the smoke study. None for the tests
    on a GPU: one process, which compiles code once and has the device for itself."""
    if config.option.markexpr == "gpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)


@pytest.fixture(scope="session")
def smoke_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the whole study was run at smoke scale, by the first worker of pytest-xdist that asks for it."""
    several_workers = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if several_workers else tmp_path_factory.mktemp("study")
    clone, finished = folder / "smoke", folder / "smoke-finished"
    with FileLock(folder / "smoke.lock"):
        if not finished.exists():
            shutil.rmtree(clone, ignore_errors=True)
            done = snakemake("--cores", "2", "all", *SMOKE, "--show-failed-logs", cwd=clone_to(clone))
            assert done.returncode == 0, done.stdout[-6000:]
            finished.touch()
    return clone


@pytest.fixture(scope="session")
def smoke_clone(smoke_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This worker's own copy of the smoke study. Tests leave it as they found it."""
    return Path(shutil.copytree(smoke_study, tmp_path_factory.mktemp("smoke") / "clone", symlinks=True))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete data stage with 47 persons."""
    from forgetting.scenarios.biography.dataset import build_data

    folder = tmp_path_factory.mktemp("data")
    build_data(jobs.data(data=sections.data(groups=TINY_GROUPS)), RESOURCES, folder)
    return folder


@pytest.fixture
def tiny_model(tiny_data: Path):
    """A GPT-NeoX of two layers with random weights over the vocabulary of `tiny_data`."""
    from forgetting.model.checkpoints import build_model
    from forgetting.scenarios.biography.tokenizer import load_tokenizer

    vocabulary = load_tokenizer(tiny_data / "tokenizer").get_vocab_size()
    return build_model(sections.model(initializer_range=0.2), vocabulary, seed=0)


@pytest.fixture(scope="session")
def tiny_questions(tiny_data: Path):
    from forgetting.data.items import Items

    return Items.load(tiny_data / "items.parquet")


@pytest.fixture
def tiny_setting(tiny_model, tiny_data: Path, tiny_questions):
    """What a method is given before Task 1: `tiny_model` as theta*, batches of 8 questions."""
    from forgetting.methods.base import Setting
    from forgetting.scenarios.biography.people import held_out_names
    from forgetting.scenarios.biography.tokenizer import load_tokenizer
    from forgetting.training.batches import QuestionBatches

    training = sections.task1(
        steps=80,
        batch_size=8,
        optimizer=sections.optimizer(learning_rate=1e-2, weight_decay=0.1),
        evaluate=[(10, 5)],
        evaluate_later=20,
        checkpoints=[(10, 5)],
        later_checkpoints=1,
    )
    return Setting(
        model=tiny_model,
        task0_train=tiny_questions.of("task0_train"),
        task1=QuestionBatches(tiny_questions.of("task1"), 8, 0),
        training=training,
        precision="float32",
        seed=0,
        tokenizer=load_tokenizer(tiny_data / "tokenizer"),
        held_out=held_out_names(tiny_data),
    )
