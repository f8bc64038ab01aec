"""Does other form, other content, or a few persons bring Task 0 back as well?

**Form or content?** From the trough and the end of Task 1, as many optimizer steps as one epoch of recovery
has, on something else than the right answers: the same facts in other words (`reworded`), the same questions
about persons that no stage saw (`unseen`), biographies of those (`text`), the right answers of other persons
(`shuffled`), and the right answers about a few persons (`dose`; `units` is how many). One dose is of as many
persons as `unseen`. `fresh`: the right answers about persons whose questions no stage trained on, so that an
arm that had Task 0 is not trained again on what it has learned before. If form alone brings Task 0 back, what
was lost was form. `none`: the checkpoint itself.

task0: exact match of held-out persons; early area: its mean over the first steps; area beyond floor: that
less the one of the same Task 1 without Task 0, trained on the same; task0 nll: of the old
answers, nats a token; control probability: how likely the model finds the answers of persons that no stage
saw (geometric mean over tokens).
"""

from __future__ import annotations

from forgetting.analysis.summary import recovery_controls_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 3,
    "only_if": "recovery.control_arms",
    "inputs": {
        "metrics": ["controlled"],
        "recovery": ["controlled"],
        "recovery_facts": ["controlled"],
    },
    "options": {"early_steps": "recovery.evaluate_steps.-1"},
}

make = recovery_controls_table
