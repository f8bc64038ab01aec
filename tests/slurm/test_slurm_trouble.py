"""What a cluster does to jobs: each ends in the weights of an undisturbed run or in a clear message, never in a hang. Minutes each."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.study import clone_to, snakemake

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

OVERLAYS = ("--configfile", "config/smoke.yaml", "trouble.yaml")
SEED = Path("results/smoke/seed0")
TARGET = str(SEED / "pretrain/metrics.parquet")
LOG = "results/smoke/logs/seed0/pretrain.log"
STEPS, MORE_THAN_A_MINUTE = 2_000, 8_000
"""Of pretraining: long enough to be interrupted on a quiet core; and to meet the shortest time limit that Slurm knows."""
PATIENCE = 1800
"""Seconds after which a run counts as hanging."""


def weights_digest(clone: Path) -> str:
    return hashlib.sha256((clone / SEED / "pretrain/model/model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pretraining, of as many steps as its parameter says, ran to its end without Slurm."""
    clone = clone_to(tmp_path_factory.mktemp("undisturbed") / "clone")
    steps = getattr(request, "param", STEPS)
    (clone / "trouble.yaml").write_text(yaml.safe_dump({"gpus_per_job": 1, "pretrain": {"steps": steps}}))
    done = snakemake("--cores", "1", TARGET, *OVERLAYS, cwd=clone, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-3000:]
    return clone


@pytest.fixture
def clone(undisturbed: Path, tmp_path: Path) -> Path:
    """The same, with the data alone."""
    copy = Path(shutil.copytree(undisturbed, tmp_path / "clone"))
    shutil.rmtree(copy / SEED / "pretrain")
    (copy / LOG).unlink()
    return copy


class Cluster:
    """What the tests ask of Slurm, and do to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def call(self, *command: str, check: bool = True) -> str:
        return subprocess.run(command, env=self.environment, text=True, capture_output=True, check=check, timeout=60).stdout

    def jobs(self) -> dict[str, str]:
        """State of every job on the GPU partition, ended ones too, by number."""
        rows = self.call("squeue", "--states=all", "--noheader", "--partition=gpu", "--format=%i %T").splitlines()
        return dict(sorted((row.split() for row in rows), key=lambda row: int(row[0])))

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"waited {PATIENCE} s for {what}; jobs: {self.jobs()}"
            time.sleep(1)

    def wait_for_training(self, clone: Path) -> str:
        """Number of the job that has begun to train."""
        log = clone / LOG
        self.wait("training to begin", lambda: log.exists() and "tokens/s" in log.read_text())
        return next(number for number, state in reversed(self.jobs().items()) if state == "RUNNING")


@pytest.fixture
def slurm(cluster: dict[str, str]) -> Iterator[Cluster]:
    """The cluster, without jobs of earlier tests in its list (their numbers go on counting)."""
    slurm = Cluster(cluster)
    before = set(slurm.jobs())
    listed = slurm.jobs
    slurm.jobs = lambda: {number: state for number, state in listed().items() if number not in before}  # type: ignore[method-assign]
    yield slurm
    slurm.call("scontrol", "update", "NodeName=gpu0", "State=RESUME", check=False)  # an error where the node is well


@contextmanager
def study(clone: Path, slurm: Cluster, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The literal command for the cluster, running beside the test; its output goes to `driver.log`."""
    sooner = ("--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "10")
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", TARGET, *OVERLAYS, *sooner, *options]
    with (clone / "driver.log").open("w") as log:
        process = subprocess.Popen(command, cwd=clone, env=slurm.environment, text=True, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def resumed_at(clone: Path) -> int:
    """The step at which the last attempt went on."""
    found = re.search(r"resuming at step (\d+)", (clone / LOG).read_text())
    assert found, (clone / LOG).read_text()
    return int(found[1])


def expect_same_weights(clone: Path, undisturbed: Path, process: subprocess.Popen[str]) -> None:
    assert process.wait(PATIENCE) == 0, (clone / "driver.log").read_text()[-4000:]
    assert weights_digest(clone) == weights_digest(undisturbed)


@pytest.mark.parametrize("undisturbed", [MORE_THAN_A_MINUTE], indirect=True)
def test_time_limit(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    """One minute is too little; each attempt goes on where the last one was stopped."""
    with study(clone, slurm, "--set-resources", "pretrain:runtime=1") as process:
        expect_same_weights(clone, undisturbed, process)
    *stopped, last = slurm.jobs().values()
    assert set(stopped) == {"TIMEOUT"} and last == "COMPLETED"
    assert resumed_at(clone) > 0
    assert "SLURM status is: 'TIMEOUT'" in (clone / "driver.log").read_text()


def test_cancelled(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    with study(clone, slurm) as process:
        slurm.call("scancel", slurm.wait_for_training(clone))
        expect_same_weights(clone, undisturbed, process)
    assert list(slurm.jobs().values()) == ["CANCELLED", "COMPLETED"]
    assert resumed_at(clone) > 0


def test_requeued(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    """As by a preemption; Slurm starts the same job again, two minutes later."""
    with study(clone, slurm) as process:
        slurm.call("scontrol", "requeue", slurm.wait_for_training(clone))
        expect_same_weights(clone, undisturbed, process)
    assert list(slurm.jobs().values()) == ["COMPLETED"]
    assert resumed_at(clone) > 0


def test_node_drained(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    """A job waits for the node to come back, and nothing is lost."""
    slurm.call("scontrol", "update", "NodeName=gpu0", "State=DRAIN", "Reason=test")
    with study(clone, slurm) as process:
        slurm.wait("a job in the queue", lambda: "PENDING" in slurm.jobs().values())
        time.sleep(20)
        assert list(slurm.jobs().values()) == ["PENDING"] and process.poll() is None
        slurm.call("scontrol", "update", "NodeName=gpu0", "State=RESUME")
        expect_same_weights(clone, undisturbed, process)
    assert list(slurm.jobs().values()) == ["COMPLETED"]


def test_node_lost(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    """Slurm puts the job of a node that went down back into the queue; it goes on when there is a node again."""
    with study(clone, slurm) as process:
        slurm.wait_for_training(clone)
        slurm.call("scontrol", "update", "NodeName=gpu0", "State=DOWN", "Reason=test")
        slurm.wait("the job to leave the node", lambda: "RUNNING" not in slurm.jobs().values())
        slurm.call("scontrol", "update", "NodeName=gpu0", "State=RESUME", check=False)  # an error where it came back by itself
        expect_same_weights(clone, undisturbed, process)
    assert slurm.jobs().popitem()[1] == "COMPLETED"


def test_more_memory_at_each_attempt(slurm: Cluster, clone: Path, undisturbed: Path) -> None:
    """As the rules ask: an attempt that is ended for its memory is followed by one with more."""
    with study(clone, slurm, "--set-resources", "pretrain:mem_mb=attempt*400") as process:
        expect_same_weights(clone, undisturbed, process)
    first, *_, last = slurm.jobs().values()
    assert first != "COMPLETED" and last == "COMPLETED"


def test_too_little_memory_at_every_attempt(slurm: Cluster, clone: Path) -> None:
    """The study stops after the attempts of the profile and says which job and where its log is."""
    with study(clone, slurm, "--set-resources", "pretrain:mem_mb=400") as process:
        assert process.wait(PATIENCE) != 0
    assert len(slurm.jobs()) == 3
    said = (clone / "driver.log").read_text()
    assert "Error in rule pretrain" in said and LOG in said
    assert re.search(r"SLURM status is: '(OUT_OF_MEMORY|CANCELLED|FAILED)'", said)
    assert not (clone / SEED / "pretrain/model/model.safetensors").exists()
