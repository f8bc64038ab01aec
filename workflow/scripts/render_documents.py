"""Write docs/findings.md, and the results in README.md, docs/diagnose.md and docs/cost.md, from the tables in docs/results."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.errors import StudyError
from forgetting.pipeline.command import run_command
from forgetting.report.documents import differences, render
from forgetting.tables import atomic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path.cwd(), help="root of the repository (default: here)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is not what its tables give")
    arguments = parser.parse_args()
    if arguments.check:
        if wrong := differences(arguments.repository):
            raise StudyError(f"not what the tables in docs/results give: {', '.join(map(str, wrong))}; render them again")
        return
    documents = render(arguments.repository)
    for path, text in documents.items():
        with atomic(arguments.repository / path) as part:
            part.write_text(text, encoding="utf-8")
        print(path)
    if not documents:
        print("docs/results has no exported tables yet, so nothing was rendered")


if __name__ == "__main__":
    run_command(main)
