"""What of a study is done, what runs and how far it is, and what is left."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from forgetting.pipeline.status import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the scale, results/SCALE")
    parser.add_argument("--seeds", nargs="+", required=True, help="seeds of the study")
    parser.add_argument("--all", nargs="+", required=True, help="a file of each job behind `all`, below the folder; {seed} for every seed")
    parser.add_argument("--methods", nargs="*", default=[], help="the same for `methods`")
    given = parser.parse_args()
    every, methods = ([name.replace("{seed}", seed) for name in names for seed in given.seeds] for names in (given.all, given.methods))
    print(report(given.results, {"all": every, "methods": methods}, time.time()))


if __name__ == "__main__":
    main()
