"""One page with every figure and table, their captions, the verdict, run times, versions and configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.figures.catalogue import read_catalogue
from forgetting.pipeline.command import run_command
from forgetting.report.page import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the study: results/<scale>")
    parser.add_argument("--template", type=Path, required=True, help="folder of the template and of the introduction")
    parser.add_argument("--shown", nargs="+", required=True, help="names of the rules of the figures and tables")
    parser.add_argument("--gates", type=Path, nargs="*", default=[], help="the files of the gates (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    a = parser.parse_args()
    repository = Path(__file__).resolve().parents[2]
    catalogue = read_catalogue()
    shown = [found for name, found in catalogue.items() if name in a.shown]
    write_report(a.results, a.template, shown, a.gates, repository, a.output)


if __name__ == "__main__":
    run_command(main)
