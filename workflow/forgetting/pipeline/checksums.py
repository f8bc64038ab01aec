"""Makes Snakemake compare inputs of every size by content.

Snakemake compares inputs of up to 1 MB with the checksum that it recorded when the job ran, and larger ones by time stamp alone: copying or
touching a checkpoint would train everything behind it again. The limit is an option of its command line (`--max-checksum-file-size`), which
no Snakefile can set, and with a higher one Snakemake reads each input of a job again for every output of that job.
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

from snakemake.io import _IOFile
from snakemake.settings.types import DAGSettings

DEFAULT_LIMIT = DAGSettings.max_checksum_file_size


def compare_by_content() -> None:
    """Lift the limit, unless the command line sets another one, and read each state of a file once per Snakemake process.

    The checksum is still asked for only where Snakemake asks for it: for inputs of a job that ended, and for inputs that are newer than an
    output. Calling this again changes nothing.
    """
    if getattr(_IOFile.checksum, "reads_once", False):
        return
    eligible, checksum = _IOFile.is_checksum_eligible, _IOFile.checksum
    known: dict[tuple[Any, ...], Any] = {}

    @functools.wraps(eligible)
    async def is_checksum_eligible(self: _IOFile, threshold: float) -> Any:
        return await eligible(self, math.inf if threshold == DEFAULT_LIMIT else threshold)

    @functools.wraps(checksum)
    async def checksum_once(self: _IOFile, *arguments: Any, **options: Any) -> Any:
        try:
            state = os.stat(self.file)
        except OSError:
            return await checksum(self, *arguments, **options)
        key = (os.path.abspath(self.file), state.st_size, state.st_mtime_ns, arguments, *sorted(options.items()))
        if key not in known:
            known[key] = await checksum(self, *arguments, **options)
        return known[key]

    checksum_once.reads_once = True  # type: ignore[attr-defined]
    _IOFile.is_checksum_eligible, _IOFile.checksum = is_checksum_eligible, checksum_once
