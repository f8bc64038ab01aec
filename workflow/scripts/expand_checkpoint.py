"""Make a normal model folder, which transformers opens, of a checkpoint that is stored as a difference (or of any other)."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.model.checkpoints import load_checkpoint, save_checkpoint
from forgetting.pipeline.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="such as results/paper/seed0/task1/seq/checkpoints/step-000005")
    parser.add_argument("target", type=Path, help="folder to write; nothing in results/ is changed")
    given = parser.parse_args()
    save_checkpoint(load_checkpoint(given.folder), given.target)


if __name__ == "__main__":
    run_command(main)
