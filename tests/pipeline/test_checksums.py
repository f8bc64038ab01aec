"""Inputs above Snakemake's limit for checksums are compared by content all the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.study import ROOT, snakemake

from forgetting.pipeline.checksums import DEFAULT_LIMIT

SNAKEFILE = """
from forgetting.pipeline.checksums import compare_by_content
compare_by_content()

rule use:
    input: "large"
    output: "first", "second"
    shell: "touch {output}"
"""


def run(folder: Path, *arguments: str) -> str:
    done: subprocess.CompletedProcess[str] = snakemake(*arguments, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")})
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_large_inputs_are_compared_by_content(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * DEFAULT_LIMIT))
    run(tmp_path, "--cores", "1", "use")
    os.utime(large)
    assert "Nothing to be done" in run(tmp_path, "-n", "use")
    assert "Updated input files: large" in run(tmp_path, "-n", "use", "--max-checksum-file-size", "1000"), "a limit that is given holds"
    large.write_bytes(bytes(2 * DEFAULT_LIMIT - 1) + b"1")
    assert "Updated input files: large" in run(tmp_path, "-n", "use")
