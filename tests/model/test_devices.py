"""Jobs beside each other on a machine with several GPUs. No GPU is needed: a lease is a lock and an environment variable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.study import ROOT, snakemake

from forgetting.model import checkpoints as model
from forgetting.model import devices

JOB = """
import sys
from pathlib import Path
from forgetting.model.devices import lease_device
lease_device(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
import os
print("visible", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


class Machine:
    """Starts jobs that hold what they were given until they are ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[subprocess.Popen[str]] = []

    def start(self, count: int, visible: str | None, wanted: int = 1, jobs_per_device: int = 1) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        environment |= {"PYTHONPATH": str(ROOT / "workflow"), devices.JOBS_PER_DEVICE: str(jobs_per_device)}
        environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        command = [sys.executable, "-c", JOB, str(count), str(self.folder), str(wanted)]
        job = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.jobs.append(job)
        return job

    def end(self) -> None:
        for job in self.jobs:
            job.kill()
            job.communicate()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "leases")
    yield machine
    machine.end()


def visible(job: subprocess.Popen[str]) -> str:
    """What the job sees once it has its device."""
    assert job.stdout
    for line in job.stdout:
        if line.startswith("visible "):
            return line.split()[1]
    raise AssertionError("the job ended without a device")


def test_eight_jobs_use_eight_devices_and_the_ninth_waits_for_one(machine: Machine) -> None:
    every = ",".join(map(str, range(8)))
    jobs = {visible(job): job for job in [machine.start(8, every) for _ in range(8)]}
    assert set(jobs) == set(every.split(","))
    ninth = machine.start(8, every)
    assert ninth.stdout and ninth.stdout.readline().startswith("waiting for a device: other jobs hold too many of 8")
    jobs["5"].kill()  # SIGKILL: the job itself can release nothing
    assert visible(ninth) == "5"


def test_jobs_share_devices_evenly_up_to_the_configured_number(machine: Machine) -> None:
    jobs = [(visible(job), job) for job in [machine.start(2, "0,1", jobs_per_device=3) for _ in range(6)]]
    assert sorted(name for name, _ in jobs) == ["0"] * 3 + ["1"] * 3
    waiting = machine.start(2, "0,1", jobs_per_device=3)
    assert waiting.stdout and waiting.stdout.readline().endswith("add --resources gpu=6\n")
    for job in [job for name, job in jobs if name == "1"][:2]:
        job.kill()
    assert visible(waiting) == "1"


def test_a_job_takes_the_device_with_the_fewest_holders(machine: Machine) -> None:
    jobs = [(visible(job), job) for job in [machine.start(2, "0,1", jobs_per_device=4) for _ in range(6)]]
    for job in [job for name, job in jobs if name == "1"][:2]:
        job.kill()
        job.wait()
    assert [visible(machine.start(2, "0,1", jobs_per_device=4)) for _ in range(3)] == ["1", "1", "0"]


def test_a_job_of_several_devices_shares_none_of_them(machine: Machine) -> None:
    assert visible(machine.start(3, "0,1,2", jobs_per_device=2)) == "0"
    assert visible(machine.start(3, "0,1,2", wanted=2, jobs_per_device=2)) == "1,2"
    assert visible(machine.start(3, "0,1,2", jobs_per_device=2)) == "0"
    third = machine.start(3, "0,1,2", jobs_per_device=2)
    assert third.stdout and third.stdout.readline().startswith("waiting for a device")


def test_the_config_decides_how_many_jobs_share_a_device(tmp_path: Path) -> None:
    asks = tmp_path / "Snakefile"
    asks.write_text(f'include: "{ROOT}/Snakefile"\n\nprint("places", os.environ["{devices.JOBS_PER_DEVICE}"])\n')
    told = snakemake("--list-target-rules", "--snakefile", str(asks), "--config", "jobs_per_gpu=3").stdout
    assert "places 3" in told, told[-2000:]


def test_names_of_an_allocation_are_kept(machine: Machine) -> None:
    assert {visible(machine.start(3, "4,GPU-a1,7")) for _ in range(3)} == {"4", "GPU-a1", "7"}


def test_devices_are_counted_where_nothing_names_them(machine: Machine) -> None:
    assert {visible(machine.start(2, None)) for _ in range(2)} == {"0", "1"}


@pytest.mark.parametrize(("count", "given"), [(1, "3"), (1, None), (0, None), (0, "0,1"), (0, "")])
def test_one_device_or_none_is_left_alone(machine: Machine, count: int, given: str | None) -> None:
    job = machine.start(count, given)
    assert job.stdout and job.stdout.readline() == f"visible {given if given is not None else 'None'}\n"
    assert not machine.folder.exists()


def test_a_job_of_several_devices_takes_all_of_them_at_once(machine: Machine) -> None:
    """One that finds too few holds none of them: two such jobs would else wait for each other."""
    single = machine.start(3, "0,1,2")
    assert visible(single) == "0"
    first, second = machine.start(3, "0,1,2", wanted=2), machine.start(3, "0,1,2", wanted=3)
    assert visible(first) == "1,2"
    assert second.stdout and second.stdout.readline().startswith("waiting for 3 devices: other jobs hold")
    first.kill()
    assert visible(machine.start(3, "0,1,2", wanted=2)) == "1,2", "the one that waits for three holds none of these"
    for job in machine.jobs:
        if job is not second:
            job.kill()
    assert visible(second) == "0,1,2"


def test_a_job_that_asks_again_keeps_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(devices, "_held", [])
    devices.lease_device(2, tmp_path)
    devices.lease_device(2, tmp_path)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    (held,) = devices._held
    held.close()


def test_the_device_of_a_model_is_leased_before_cuda_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen.append("cuda") or False)
    monkeypatch.setattr(model, "lease_device", seen.append)
    assert model.pick_device().type == "cpu"
    assert seen == [8, "cuda"]


def test_allocations_and_users_do_not_share_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    first = devices._default_folder()
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert devices._default_folder() != first and str(os.getuid()) in first.name
