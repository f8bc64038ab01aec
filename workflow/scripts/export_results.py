"""Take the tables and figures of a finished study into docs/results and docs/images, from which the documents are rendered."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.pipeline.command import run_command
from forgetting.report.export import export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the study, results/<scale>")
    parser.add_argument("--repository", type=Path, default=Path.cwd(), help="root of the repository (default: here)")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="tables and figures to take (default: all that there are)")
    arguments = parser.parse_args()
    for path in export(arguments.repository, arguments.results, arguments.only):
        print(path)


if __name__ == "__main__":
    run_command(main)
