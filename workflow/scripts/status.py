"""What of a study is done, what runs and how far it is, and what is left. It only reads files, so it may run beside the study."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from forgetting.errors import StudyError
from forgetting.pipeline.status import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of the scale, results/SCALE")
    try:
        print(report(parser.parse_args().results, time.time()))
    except StudyError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
