"""Facts asked in other forms."""

from __future__ import annotations

import pyarrow as pa

from forgetting.schemas.metrics import METRIC
from forgetting.schemas.points import POINT

RECALL = pa.schema(POINT + [("form", pa.string())] + METRIC)
"""Facts asked in other forms. point: task0 (step 0), early, matched, end. form: question; biography (the value in a sentence about the
unit; its tokens without an end token); in_context_1 to in_context_4 (the question after so many solved ones of other units), and their
controls shuffled_1 and shuffled_4 (the same with the answers of others); stated (the question after a sentence that states its fact)
and its control stated_of_another (a sentence that states the same kind of fact about another unit); among_values (the question, of fewer
units, answered by the likeliest value of its kind), which has two metrics of its own: own_pool_rank, the rank of the right value (1 is
the top), and own_pool_percentile, the share of the other values that are likelier.
Facts of `control` units were never in a biography: the floor."""
