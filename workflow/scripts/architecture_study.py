"""Run the study of one architecture or width, and gather what it found."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from forgetting.pipeline.architectures import run_variant
from forgetting.pipeline.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the merged config of the variant's study, as JSON")
    parser.add_argument("--name", required=True, help="of the variant")
    parser.add_argument("--cores", type=int, required=True, help="cores that its jobs may use together")
    parser.add_argument("--output", type=Path, required=True, help="the numbers of the variant (Parquet)")
    a = parser.parse_args()
    run_variant(json.loads(a.config.read_text(encoding="utf-8")), a.name, a.cores, a.output)


if __name__ == "__main__":
    run_command(main)
