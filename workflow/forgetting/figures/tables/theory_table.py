"""Which propositions of the paper the data support.

Do the data support the paper's three propositions? One row a proposition, statistic, arm and checkpoint, on
held-out Task 0 questions at the last prompt token. (1) Updates avoid the leading directions of a layer's
inputs, so outputs shift nearly orthogonally to their leading components; (2) shifts add up with depth; (3)
freezing the bottom layers makes the shift of the last one smaller. *value* has a 95 % interval in brackets:
Student's t over seeds, or with one seed over what the last column names. *No independent sample* stands
beside layers and maps: those of one model are trained together, so with one seed such an interval shows how
much they differ, and not how sure the number is.

*supported* is *yes* if that interval lies on the side of *chance* that the proposition says, *no* if on the
other, else *undecided*; *not tested* is a number that is no test of the proposition; the last column says
why. Chance of a ratio is 1: a random update of the same singular values, or for proposition 3 the arm that
freezes nothing. Chance of a correlation or slope is 0. The rows of arm *freeze* are fitted to all arms that
freeze bottom layers.

**What to look for.** Whether the premise of (1), *update on leading inputs*, fails: then near orthogonality,
where it is seen, comes from the number of dimensions alone. For (2) only the correlation of *shift / spread*
is a test, since the residual stream itself grows with depth.

**What would contradict the theory.** Ratios surely above 1 in (1), or a slope not below 0 in (3).
"""

from __future__ import annotations

from forgetting.analysis.verdict import theory_table

SHOWS = {
    "question": "What do the features show?",
    "in": "methods",
    "order": 1,
    "inputs": {
        "theory": ["main", "compared:freeze"],
    },
}

make = theory_table
