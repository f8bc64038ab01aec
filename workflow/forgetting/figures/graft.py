"""Which part of the network holds the loss of Task 0?

**What it shows.** What the weights of single parts do, without any training (``seq``). *a*, *b*: one part of a
Task 1 checkpoint is put back to its weights before Task 1, and the model is asked. *c*: blocks are put back
one after the other, from below and from above. *d*: the other way round, only one part gets its Task 1
update.

**How to read it.** A part that brings Task 0 back when it alone is put back held what had been lost. Filled
marks: the whole block (attention, MLP, norms), or the embeddings and norms; open marks: the attention or the
MLP of it alone. The controls stand to the left of their mark. Grey crosses: as much of the squared update put
back, of weights drawn at random (of a block from all blocks, else from the whole model). Plus signs: the same
part set into a model that learned the same Task 1 without Task 0. Stars: that part of the pretrained model,
which never learned Task 0, in its place. Norms have no star; attention and MLP are drawn without controls. Full
grey line: Task 0 of the checkpoint as it is; dashed: before Task 1; dotted: the model without Task 0 as it is,
from which the plus signs start. What a part does in the pretrained model is in the table alone. Layer 1 is the
block next to the input embedding. Step of the early point: the lowest within the first 150 steps.

**What to look for.** The paper holds that the alignment which Task 1 undoes lies in the bottom layers: the
lowest block far above the cross beside it, and above all others; from below, few blocks are enough. A plus
sign as high as the mark: the rest need not have kept any of Task 0. A star as high: nor does the part bring any;
putting it back undoes damage.

**What would contradict the claim.** Blocks all alike, or no better than the crosses: then the loss is spread
over the network, or is a matter of how far the weights went. A block whose update alone destroys nothing
(*d*) though putting it back restores much needs the others to do its harm.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.data.points import END, TROUGH, WORDS
from forgetting.figures import style
from forgetting.statistics import PROPORTION, over_seeds

SHOWS = {
    "question": "Where do weights move?",
    "in": "all",
    "order": 0,
    "inputs": {"graft": ["seq"]},
}

_SINGLE = {"embedding": "o", "block": "o", "norms": "o", "output_embedding": "o", "attention": "^", "mlp": "s"}
_OPEN = ("attention", "mlp")
_OFFSET = {"back": {"attention": 0.13, "mlp": 0.26}, "forward": {"attention": -0.28, "mlp": 0.28}}
_BACK, _FORWARD, _GREY = "#0072B2", "#D55E00", "#6E6E6E"
_CONTROLS = {
    "back_random": (style.Look("#8C8C8C", "x", "control: random weights"), -0.39),
    "into_floor": (style.Look("#A03070", "P", "control: into a model without Task 0"), -0.26),
    "pretrained": (style.Look("#1A1A1A", "*", "control: of the pretrained model"), -0.13),
}
"""Of what is put back: look, and place beside the mark."""
_LEVELS: dict[str, tuple[str, Any]] = {
    "none": ("the checkpoint as it is", "-"),
    "start": ("before Task 1", (0, (4, 2))),
    "floor": ("the model without Task 0 as it is", ":"),
}
"""Text and line of what nothing is done to."""
_BEHIND: dict[str, Any] = {"markersize": 4, "elinewidth": 0.7, "capsize": 0, "zorder": 2}
_CUMULATED = {"blocks_up_to": style.Look("#0072B2", "^", "from below"), "blocks_from": style.Look("#009E73", "v", "from above")}


def draw(graft: pd.DataFrame) -> Figure:
    """Frame: GRAFT; of `seq` it is."""
    graft = graft[graft["arm"] == "seq"]
    rows = graft[(graft["metric"] == "exact_match") & (graft["split"] == "task0_test")]
    seeds, blocks = graft["seed"].nunique(), int(rows.loc[rows["part"] == "block", "layer"].max())
    figure, axes = style.new_figure(3, 2, height=6.8)
    for row, panel in enumerate(axes[:2, 0]):  # as wide as the page: of each part there are up to seven marks
        axes[row, 1].remove()
        panel.set_subplotspec(panel.get_gridspec()[row, :])
    early, end = (rows[rows["point"] == point] for point in (TROUGH, END))
    for panel, letter, of_point, when in ((axes[0, 0], "a", early, "early"), (axes[1, 0], "b", end, WORDS[END])):
        _parts(panel, of_point, "back", _BACK, seeds, blocks)
        style.title(panel, letter, f"one part put back, {when}")
    _cumulated(axes[2, 0], early, seeds, blocks)
    style.title(axes[2, 0], "c", "several blocks put back, early")
    _parts(axes[2, 1], early, "forward", _FORWARD, seeds, blocks)
    style.title(axes[2, 1], "d", "one part moved alone, early")
    for panel in axes[:, 0]:
        panel.set_ylabel("Task 0 exact match")
    style.legend(figure, _handles(set(rows["operation"])), columns=3)
    style.note(figure, graft)
    return figure


def _parts(panel: Axes, rows: pd.DataFrame, operation: str, color: str, seeds: int, blocks: int) -> None:
    """Task 0 by part; the controls beside what is put back."""
    _references(panel, rows, seeds)
    controls = _CONTROLS if operation == "back" else {}
    for part, marker in _SINGLE.items():
        look = style.Look(color, marker, part)
        fill: dict[str, Any] = {"markerfacecolor": "white"} if part in _OPEN else {}
        chosen = _merged(rows, operation, part, seeds, _OFFSET[operation].get(part, 0.0), blocks)
        style.error_bars(panel, chosen, "place", look, markersize=4.5, zorder=3, **fill)
        for name, (control, beside) in controls.items() if part not in _OPEN else ():
            style.error_bars(panel, _merged(rows, name, part, seeds, beside, blocks), "place", control, **_BEHIND)
    labels = ["input\nemb.", *map(str, range(1, blocks + 1)), "out.\nemb.", "norms"]
    panel.set_xticks(range(blocks + 3), labels)
    for place in range(0, blocks + 3, 2):
        panel.axvspan(place - 0.5, place + 0.5, color=style.BAND, linewidth=0, zorder=-1)
    panel.set_xlim(-0.6, blocks + 2.6)
    panel.set_ylim(-0.03, 1.05)
    panel.set_xlabel("part (numbers: blocks)")


def _merged(rows: pd.DataFrame, operation: str, part: str, seeds: int, offset: float, blocks: int) -> pd.DataFrame:
    chosen = rows[(rows["operation"] == operation) & (rows["part"] == part)]
    found = over_seeds(chosen, ["layer"], seeds, kind=PROPORTION)
    place = found["layer"].where(found["layer"] >= 0, blocks + 2)  # the norms, of no single layer, stand last
    return found.assign(place=place + offset)


def _cumulated(panel: Axes, rows: pd.DataFrame, seeds: int, blocks: int) -> None:
    _references(panel, rows, seeds)
    whole = rows[(rows["operation"] == "back") & (rows["part"] == "blocks")]
    for part, look in _CUMULATED.items():
        some = rows[(rows["operation"] == "back") & (rows["part"] == part)]
        count = some["layer"] if part == "blocks_up_to" else blocks + 1 - some["layer"]
        both = pd.concat([some.assign(restored=count), whole.assign(restored=blocks)])
        found = over_seeds(both, ["restored"], seeds, kind=PROPORTION)
        style.error_bars(panel, found, "restored", look, linestyle="-", linewidth=1.0)
        for first in found.head(1).itertuples():
            up, edge = (-5, "top") if part == "blocks_up_to" else (5, "bottom")  # where no line is
            panel.annotate(look.label, (first.restored, first.value), (6, up), textcoords="offset points", va=edge, color=look.color)
    panel.set_xticks(range(1, blocks + 1))
    panel.set_ylim(-0.03, 1.05)
    panel.set_xlabel("blocks put back")


def _references(panel: Axes, rows: pd.DataFrame, seeds: int) -> None:
    """Lines of the models that nothing is done to."""
    for operation, (_, line) in _LEVELS.items():
        found = over_seeds(rows[rows["operation"] == operation], ["operation"], seeds, kind=PROPORTION)
        if len(found):
            panel.axhline(float(found["value"].iloc[0]), color=_GREY, linewidth=0.9, linestyle=line, zorder=1)


def _handles(operations: set[str]) -> list[Any]:
    controls = [look for name, (look, _) in _CONTROLS.items() if name in operations]
    return [
        style.line_handle("block, embedding or norms", marker="o", linestyle="none"),
        style.line_handle("attention of a block", marker="^", markerfacecolor="white", linestyle="none"),
        style.line_handle("MLP of a block", marker="s", markerfacecolor="white", linestyle="none"),
        *(style.line_handle(look.label, look.color, marker=look.marker, linestyle="none") for look in controls),
        *(style.line_handle(text, _GREY, linestyle=line) for name, (text, line) in _LEVELS.items() if name in operations),
    ]
