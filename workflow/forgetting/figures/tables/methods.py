"""Every arm of `all` at its trough, at matched Task 1 accuracy and at the end.

One row an arm, without and with early stop. An early-stopped run is the beginning of the full one. Accuracies
are exact match with a 95 % interval: clustered by person for one seed, over seeds for several (Student's t on
the logit).

*trough*: lowest Task 0 accuracy of the first 150 steps; of an arm that never had Task 0, and so has nothing to
lose, that at step 150. *rebound*: how far it rises again without any training on Task 0. *later peak*: highest
accuracy from step 150 on, when a model that never had Task 0 has learned what Task 1 teaches of its form. *at
matched Task 1*: Task 0 where Task 1 first reaches the accuracy that counts as learned, interpolated between
evaluations. *forgetting*: before minus final. *backward transfer*: final minus right after Task 0. *final average*:
mean of both tasks at the end. *area above*: mean loss of Task 0 accuracy over the first 150 steps. A dash: never
reached, or not defined. *seconds*: training time without evaluation; not comparable between arms that ran side by
side on one machine, as they do by default. *Trained parameters*: how many the optimizer owns.

The trough is the lowest and the rebound starts from the lowest and ends at the highest of many evaluations,
so chance alone makes a rebound: one within the width of an interval is noise.

Compare methods in the column of matched accuracy: a method that does not learn Task 1 does not forget Task 0.
The last rows are the floors; a value near them is no knowledge at all. Two intervals that overlap do not say
that a method is no better than ``seq``: that is for the gain of the same seeds, *minus seq* in the tables of
the comparison (target ``methods``).
"""

from __future__ import annotations

from forgetting.analysis.summary import methods_table

SHOWS = {
    "question": "Which method helps?",
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["all"],
        "floors": [],
    },
    "options": {"matched_accuracy": "task1.early_stop_accuracy"},
}

make = methods_table
