"""Pack what a study has so far, without weights, into few archives of limited size: what tells most goes into the first."""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ORDER = (
    "config.json",
    "gates/*",
    "tables/*",
    "figures/*.png",
    "*.html",
    "benchmarks/**/*",
    "seed*/**/metrics.parquet",
    "logs/**/*",
    "seed*/**/*.parquet",
    "figures/*",
)
WEIGHTS = (".safetensors", ".arrow", ".pt")


def chosen(study: Path, order: Sequence[str] = ORDER) -> Iterator[Path]:
    """Files of the study, each once, in the order of what they tell."""
    seen: set[Path] = set()
    for pattern in order:
        for path in sorted(study.glob(pattern)):
            if path.is_file() and not path.is_symlink() and path.suffix not in WEIGHTS and path not in seen:
                seen.add(path)
                yield path


def pack(study: Path, output: Path, archives: int, limit: int) -> list[Path]:
    """Write study-1.tar.gz ... into `output`, at most so many, none of more than `limit` bytes; the files that found no room.

    A file goes into an archive when it would fit uncompressed, so none is ever too large.
    """
    left = list(chosen(study))
    for number in range(1, archives + 1):
        if not left:
            break
        target, out = output / f"study-{number}.tar.gz", []
        with target.open("wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for path in left:
                # Header, padding, and what the compressor still holds.
                if raw.tell() + path.stat().st_size + 64_000 > limit:
                    out.append(path)
                else:
                    archive.add(path, path.relative_to(study.parent))
        left = out
    return left


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("study", type=Path, help="results/<scale>")
    command.add_argument("output", type=Path, help="an existing folder")
    command.add_argument("--archives", type=int, default=4)
    command.add_argument("--limit", type=float, default=16, help="MiB of each")
    arguments = command.parse_args()
    left = pack(arguments.study, arguments.output, arguments.archives, int(arguments.limit * 2**20))
    print(f"packed {arguments.study}" + (f", without {len(left)} files that found no room, such as {left[0]}" if left else ""))


if __name__ == "__main__":
    main()
