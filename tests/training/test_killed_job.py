"""One training job as the workflow starts it, killed half-way and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from tests import jobs, sections
from tests.compare_studies import WALL_TIME
from tests.study import ROOT

from forgetting.model.checkpoints import load_weights, save_checkpoint
from forgetting.schemas.facts import FACTS
from forgetting.schemas.metrics import METRICS
from forgetting.stages.finetune import finetune
from forgetting.tables import read_table

STEPS = 200
CONFIG = sections.task1(
    steps=STEPS,
    batch_size=8,
    optimizer=sections.optimizer(learning_rate=1e-2),
    evaluate=[(100, 50)],
    evaluate_later=100,
    checkpoints=[(100, 100)],
    later_checkpoints=1,
)
RUN = jobs.task1(CONFIG)


def killed(run: Path, data: Path, start: Path, scratch: Path, output: Path, number: signal.Signals) -> tuple[int, float]:
    """Run the script until it has saved a state, send the signal; the exit code, and the CPU seconds from there."""
    paths = {"config": run, "data": data, "starts": start, "scratch": scratch, "output": output}
    command = [sys.executable, "workflow/scripts/finetune.py", *(text for name, path in paths.items() for text in (f"--{name}", str(path)))]
    often = {"FORGETTING_SECONDS_BETWEEN_STATES": "0", "PYTHONPATH": "workflow"}
    with (output.parent / "log").open("w") as log:
        job = subprocess.Popen(command, cwd=ROOT, env=os.environ | often, stdout=log, stderr=subprocess.STDOUT)
        while not (scratch / "checkpoints" / "step-000100").exists() and job.poll() is None:
            time.sleep(0.01)
        before = sum(psutil.Process(job.pid).cpu_times()[:2])
        job.send_signal(number)
        _, status, usage = os.wait4(job.pid, 0)  # what a busy machine makes of 10 s is no concern of this test
        return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime - before


@pytest.mark.long
def test_a_killed_job_ends_like_one_that_was_left_alone(tiny_model, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    start, config = tmp_path / "start", tmp_path / "config.json"
    save_checkpoint(tiny_model, start)
    config.write_text(RUN.text())
    for name, number in {"undisturbed": None, "killed": signal.SIGKILL, "terminated": signal.SIGTERM}.items():
        folder = tmp_path / name
        folder.mkdir()
        if number:
            code, seconds = killed(config, tiny_data, start, folder / "scratch", folder / "out", number)
            assert code == (-number if number == signal.SIGKILL else 128 + number), (folder / "log").read_text()
            assert seconds < 10
        finetune(RUN, tiny_data, [start], folder / "scratch", folder / "out")
        assert not (folder / "scratch").exists()
        assert not list(folder.rglob("*.part"))
        assert ("resuming at step" in capsys.readouterr().out) == (number is not None)
        for step in ("step-000100", f"step-{STEPS:06d}", "matched"):
            expected, found = (load_weights(tmp_path / of / "out" / "checkpoints" / step) for of in ("undisturbed", name))
            assert all(torch.equal(value, found[key]) for key, value in expected.items())
        for table, schema in {"facts": FACTS, "metrics": METRICS}.items():
            frames = [read_table(tmp_path / of / "out" / f"{table}.parquet", schema) for of in ("undisturbed", name)]
            one, other = (frame[~frame["metric"].isin(WALL_TIME)] if "metric" in frame else frame for frame in frames)
            pd.testing.assert_frame_equal(one, other, check_exact=True)
