"""Inputs above Snakemake's own limit for checksums, such as the biographies, are compared by content: `profiles/default` says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from snakemake.settings.types import DAGSettings
from tests.study import ROOT, snakemake

SNAKEFILE = """
rule use:
    input: "large"
    output: "made"
    shell: "touch {output}"
"""


def run(folder: Path, *arguments: str) -> str:
    done = snakemake(*arguments, cwd=folder)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.long
def test_a_touch_reruns_nothing_and_a_change_does(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    large, size = tmp_path / "large", 2 * DAGSettings.max_checksum_file_size
    large.write_bytes(bytes(size))
    run(tmp_path, "--cores", "1", "use")
    os.utime(large)
    assert "Nothing to be done" in run(tmp_path, "-n", "use")
    assert "Updated input files: large" in run(tmp_path, "-n", "use", "--workflow-profile", "none"), "without it, by time stamp"
    large.write_bytes(bytes(size - 1) + b"1")
    assert "Updated input files: large" in run(tmp_path, "-n", "use")
