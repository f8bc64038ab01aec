"""Draw one figure or make one table from the files of a study: `show.py NAME --<input> FILE ... --output PATH ...`."""

from __future__ import annotations

import sys

from forgetting.figures.present import present

if __name__ == "__main__":
    present(sys.argv[1:])
