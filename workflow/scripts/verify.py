"""Read every checkpoint of a study and hold it against its manifest, which finds what is missing, cut off or altered by one bit."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetting.errors import CheckpointError
from forgetting.model.manifest import MANIFEST, damages
from forgetting.pipeline.command import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of the study, such as results/laptop")
    found = []
    for manifest in sorted(parser.parse_args().results.rglob(MANIFEST)):
        wrong = list(damages(manifest))
        print(f"{manifest}: {len(wrong) or 'nothing'} wrong", flush=True)
        found += [f"{line}. To make it again, delete {manifest}" for line in wrong]
    if found:
        raise CheckpointError("\n".join(["some checkpoints are not as they were written", *found]))


if __name__ == "__main__":
    run_command(main)
