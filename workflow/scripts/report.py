"""One page with every figure and table, their captions, the verdict, run times, versions and configuration."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from forgetting.pipeline.command import run_command
from forgetting.report.page import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the study: results/<scale>")
    parser.add_argument("--captions", type=Path, required=True, help="folder of the captions and of the template")
    parser.add_argument("--contents", type=json.loads, required=True, help="questions, and what answers each (JSON)")
    parser.add_argument("--gates", type=Path, nargs="+", required=True, help="the files of the gates (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    a = parser.parse_args()
    repository = Path(__file__).resolve().parents[2]
    write_report(a.results, a.captions, a.contents, a.gates, repository, a.output)


if __name__ == "__main__":
    run_command(main)
