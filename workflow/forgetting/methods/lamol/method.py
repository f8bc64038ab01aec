"""LAMOL: the model learns to write Task 0 questions itself, and replays its own before it forgets how (Sun et al. 2020)."""

from __future__ import annotations

from fractions import Fraction

from forgetting.data.items import Items
from forgetting.methods.base import Method, Setting
from forgetting.methods.lamol import Knobs
from forgetting.methods.lamol.language import LanguageBatches
from forgetting.methods.lamol.pseudo import Example, examples_of, parse, sample_texts, tokenise, without_names
from forgetting.methods.replay.method import MixedBatches
from forgetting.scenarios.biography.tokenizer import end_token
from forgetting.training.batches import Batches

TOKENS_TO_SPARE = 8
"""How many tokens longer than the longest question a sample may be."""


class Lamol(Method):
    """Mixes questions that the model wrote itself into Task 1: `pseudo_share` (gamma) of them for each Task 1 question.

    Before Task 1 it samples gamma times as many texts as Task 1 has questions. The well-formed ones are trained on, right or wrong, and
    with `duplicates` as often as they were sampled, but for those that hold a text of `held_out`, whom no buffer may hold. However
    many are left, a pass over Task 1 meets gamma times as many examples as questions: fewer are drawn more often. Without any, as from a
    model that never learned to write questions, Task 1 is plain. Task 1 has no language-modelling loss, because nothing is sampled after
    it. `stored_bytes` is 0: the model is the store, nothing of Task 0 is kept for the samples.

    In a sequence the samples are of all earlier tasks (one generation token, the paper's LAMOL-GEN), and every task but the last is
    trained with `language_loss` (lambda) times that loss on top, its own questions and the pseudo examples alike.
    """

    arm: Knobs

    def before_task(self, setting: Setting) -> None:
        super().before_task(setting)
        old = setting.old
        longest = int((old.prompt_length + old.answer_length).max()) + TOKENS_TO_SPARE
        count = round(self.arm.pseudo_share * len(setting.task1.questions))
        self.proportion = Fraction(count, len(setting.task1.questions))
        texts = sample_texts(setting.model, setting.tokenizer, count, longest, self.arm.top_k, setting.seed)
        end_text = setting.tokenizer.decode([end_token(setting.tokenizer)], skip_special_tokens=False)
        parsed = [example for text in texts if (example := parse(text, end_text))]
        distinct = list(dict.fromkeys(parsed))
        allowed = without_names(distinct, setting.held_out)
        usable = tokenise(allowed, setting.tokenizer)
        self.pseudo: Items = tokenise(without_names(parsed, setting.held_out), setting.tokenizer) if self.arm.duplicates else usable
        self.prepared_rows = len(texts)
        self.counts = {
            "pseudo_generated": len(texts),
            "pseudo_parsed": len(parsed),
            "pseudo_distinct": len(distinct),
            "pseudo_held_out": len(distinct) - len(allowed),
            "pseudo_used": len(usable),
            "pseudo_buffer": len(self.pseudo),
        } | count_right(distinct, examples_of(old, setting.tokenizer))

    def batches(self) -> Batches:
        task1 = self.setting.task1
        mixed = MixedBatches(task1, self.pseudo, self.proportion, self.setting.seed) if len(self.pseudo) else task1
        if not self.setting.goes_on:
            return mixed
        return LanguageBatches(mixed, self.arm.language_loss, end_token(self.setting.tokenizer))

    def after_task(self) -> dict[str, float]:
        """The yield, in texts: generated; of them parsed; of these distinct; and of the distinct ones, how many hold a text of
        `held_out`, ask a training question of an earlier task, also answer it right, and were used (neither held out nor unwritable).
        `pseudo_buffer` counts the used ones as often as they are in the buffer."""
        return dict(self.counts)


def count_right(examples: list[Example], real: list[Example]) -> dict[str, int]:
    """How many of the examples ask a question of `real`, and how many of them also give its answer."""
    questions, pairs = {example.prompt for example in real}, set(real)
    return {
        "pseudo_real_question": sum(example.prompt in questions for example in examples),
        "pseudo_right_answer": sum(example in pairs for example in examples),
    }


METHOD = Lamol
