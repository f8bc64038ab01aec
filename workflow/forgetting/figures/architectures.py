"""Do other architectures and sizes collapse and come back alike?

**What it shows.** The same study for models of other families and widths, on the same persons and questions.
*a*: Task 0 accuracy of plain fine-tuning before Task 1, at its lowest in the first 150 steps, and at its highest
after that. *b*: which share of what was lost one epoch of recovery brings back, from the lowest point and from the
end of Task 1.

**How to read it.** In *a* the bar is the collapse; the way from the triangle to the circle is what came back by
itself. Grey: the same model that never had Task 0, at its highest, which is what Task 1 alone teaches. In *b* the
grey mark is the share that recovery reaches from that model: what lies to its right is more than the form of
the questions. A model that lost nothing has no marks there.

**What would contradict the claim.** That forgetting is spurious whatever the model is wrong where the collapse in *a*
is missing, or where the marks in *b* lie at their grey ones.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgetting.figures import style
from forgetting.statistics import PROPORTION, UNBOUNDED, Kind, over_seeds

SHOWS = {
    "question": "Is it spurious?",
    "in": "architectures",
    "only_if": "architectures.names",
    "inputs": {"architectures": []},
}

FAMILIES = {"gpt_neox": "GPT-NeoX", "gpt2": "GPT-2", "llama": "Llama", "mistral": "Mistral"} | {
    "qwen2": "Qwen 2",
    "qwen3": "Qwen 3",
    "olmo2": "OLMo 2",
}
_BEFORE = style.Look("#444444", "D", "before Task 1")
_TROUGH = style.Look(style.SEQUENTIAL, "v", "lowest, first 150 steps")
_PEAK = style.Look("#0072B2", "o", "highest after that")
_CONTROL = style.Look("#767676", "x", "never had Task 0")
_END = style.Look("#0072B2", "s", "from the end")
_AT = {"trough": _TROUGH._replace(label="from the lowest point"), "end": _END}
_APART = 0.17
"""Between marks of one row, as a share of the way to the next."""


def draw(architectures: pd.DataFrame) -> Figure:
    """Frame: ARCHITECTURES."""
    models = architectures.groupby("variant").first().sort_values(["parameters", "architecture"])
    place = {variant: number for number, variant in enumerate(models.index)}
    rows = architectures.assign(place=architectures["variant"].map(place))
    figure, axes = style.new_figure(1, 2, height=1.5 + 0.36 * len(place), sharey=True)
    accuracy, share = axes[0]
    for metric, look in (("before", _BEFORE), ("control", _CONTROL), ("trough", _TROUGH), ("peak", _PEAK)):
        _marks(accuracy, rows, metric, look, _APART if metric in ("control", "peak") else 0.0, PROPORTION)
    _bars(accuracy, rows)
    for point, look, shift in zip(_AT, _AT.values(), (-_APART, _APART), strict=True):
        _marks(share, rows, f"floor_share_{point}", _CONTROL, shift, UNBOUNDED)
        _marks(share, rows, f"spurious_share_{point}", look, shift, UNBOUNDED)
    accuracy.set_yticks(list(place.values()), [_name(model) for model in models.itertuples()])
    accuracy.set_ylim(len(place) - 0.5, -0.5)
    accuracy.set_xlim(-0.04, 1.04)
    accuracy.set_xlabel("Task 0 exact match\n(share of answers, held-out persons)")
    share.set_xlabel("share of the loss that one epoch\nof recovery brings back")
    share.axvline(1, color="#BBBBBB", linewidth=0.7, zorder=0)
    style.title(accuracy, "a", "collapse and return")
    style.title(share, "b", "spurious share")
    handles = [
        style.line_handle(look.label, look.color, marker=look.marker, linestyle="none")
        for look in (_BEFORE, _TROUGH, _PEAK, _AT["trough"], _AT["end"], _CONTROL)
    ]
    style.legend(figure, handles, columns=3)
    style.note(figure, architectures)
    return figure


def _name(model: Any) -> str:
    family = FAMILIES.get(model.architecture, model.architecture)
    return f"{family}, {model.layers} x {model.width}\n{model.parameters / 1e6:.1f} M weights"


def _marks(panel: Axes, rows: pd.DataFrame, metric: str, look: style.Look, shift: float, kind: Kind) -> None:
    """One mark a model with its bar, `shift` below the middle of its row; of few seeds each as a dot."""
    found = rows[(rows["metric"] == metric) & rows["value"].notna()]
    if found.empty:
        return
    for _, of_seed in style.single_seeds(found):
        style.seed_dots(panel, of_seed["value"], of_seed["place"] + shift, look)
    mean = over_seeds(found, ["place"], kind=kind)
    options: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "elinewidth": 1.0}
    panel.errorbar(mean["value"], mean["place"] + shift, xerr=style.beyond(mean), **options)


def _bars(panel: Axes, rows: pd.DataFrame) -> None:
    """A pale bar from the accuracy before to the lowest."""
    mean = rows[rows["metric"].isin(["before", "trough"])].groupby(["place", "metric"])["value"].mean().unstack()
    panel.hlines(mean.index, mean["trough"], mean["before"], color=style.SEQUENTIAL, alpha=0.25, linewidth=4, zorder=0)
