"""Of every viewed arm: what is lost, what comes back, what explains it, and the conclusion.

The study in one row an arm: what Task 1 took from Task 0, what came back, what the controls allow to say, and
a conclusion that is computed from the numbers beside it, by the rules below. *early*: the trough (lowest Task
0 accuracy of the first 150 steps among the saved ones; for common shift, step 150); *late*: the end
of the run. Accuracies are exact match on persons that no question was trained on; the trough is chosen on
others (validation).

*drop*: accuracy before Task 1 minus that of the checkpoint. *recovered*: after one epoch of Task 0 from
there; with exchanged answers (*shuffled*) and of persons that no stage has seen (*control persons*).
*pretrained*, *random*: the same epoch from the pretrained model that never saw a question, and from random
weights. *beyond pretrained*: recovered minus pretrained, same persons. *floor* and what is *beyond* it,
*early area*, *spurious share*, *floor share*, *savings*: as in the recovery table. *common share*: part of
the squared change of the logits that is the same for all persons (attribute by attribute, place by place in
the answer); chance is 0. *restored share*: part of the loss that comes back with only that common change
removed; *stream restored share*: the same with the change taken in the residual stream before the final norm,
which sees another part of it. A change can be mostly common and yet explain little. A dash is what is not
defined or was not measured.

Intervals are 95 %: over seeds; with one seed over persons, which know nothing of how another run would end,
so a conclusion then begins with *In this run*. *surely* means by the whole interval:

- Where Task 0 is not surely above 0.02 before Task 1, it *was (perhaps) not learned*, and unless a loss is
  sure nothing else is said: nothing can drop by more than it was.
- A loss counts if the drop is surely above 0.02; *nothing lost* if surely below; else *unclear*.
- *spurious*: surely over 90 % came back in one epoch; *mostly spurious*: over half; *mostly not back*: less
  than half; *partly not back*: less than 90 %; else *undecided*. The number in brackets is the spurious
  share. What one epoch does not bring back need not be gone: longer recovery is in the recovery figure.
- Recovery against pretraining is *ahead* if its early area (mean accuracy over the first steps) or its
  accuracy after one epoch is surely above that of the pretrained model and neither surely below; *behind* the
  other way round; *undecided* if they disagree. Else *not ahead*: the epoch may have taught nothing but the
  question format again; but *cannot tell* where the pretrained model is at the ceiling (its interval reaches
  0.98) in all that was measured, and *not resolved* without an interval. *perhaps at the floor*: not surely
  further than pretraining, nor than random weights or unknown persons.
- The same against a model that had the same Task 1 and never had Task 0, before recovery (*kept beyond
  floor*) and after. What is ahead of it is left of Task 0; *not ahead* is not told apart from what Task 1
  itself teaches.
- The common-shift part of the loss is *most* or *little* if the restored shares of both spaces are surely
  above or below half; *space-dependent* if one is above and the other below; else *unclear*.

**What would contradict the claim** that early forgetting is spurious: *mostly not back* early, or
recovery *behind* pretraining early. *Not ahead* of the model that never had Task 0, before and after
recovery, leaves the claim without evidence, since a model in which nothing of Task 0 can be left comes as
far; *behind* it speaks against a rest of Task 0. What is lost late may well be partly real.
"""

from __future__ import annotations

from forgetting.analysis.verdict import verdict_table

SHOWS = {
    "question": "Is it spurious?",
    "in": "all",
    "order": 1,
    "inputs": {
        "metrics": ["viewed", "without_task0"],
        "recovery": ["viewed", "without_task0", "controls"],
        "recovery_facts": ["viewed", "without_task0", "controls"],
        "common_shift": ["viewed"],
    },
    "options": {"early_steps": "recovery.evaluate_steps.-1"},
}

make = verdict_table
