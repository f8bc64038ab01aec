"""What a reader would call a fault of a figure's layout, found by the places of its parts."""

from __future__ import annotations

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

SMALLEST = 7.0
"""Points."""
MOST = 4
"""Panels."""


def misplaced(figure: Figure) -> list[str]:
    """Texts that reach out of the figure, and legends over labels, ticks, titles, panels of others, small print or other legends."""
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.axison and axes.get_visible()]
    boxes = {f"panel {_name(axes)}": axes.get_tightbbox(bbox_extra_artists=[]) for axes in panels}
    boxes |= {f"text {text.get_text()[:20]!r} of {_name(axes)}": text.get_window_extent() for axes in panels for text in axes.texts}
    small_print = {f"text {text.get_text()[:20]!r}": text.get_window_extent() for text in figure.texts if text.get_text()}
    owned = {f"legend of {_name(axes)}": (axes, found) for axes in figure.axes if (found := axes.get_legend())}
    legends = {name: found.get_window_extent() for name, (_, found) in owned.items()}
    legends |= {f"legend {number} of the figure": found.get_window_extent() for number, found in enumerate(figure.legends)}
    faults = [f"{name} leaves the figure" for name, box in (boxes | small_print | legends).items() if _beyond(box, figure.bbox)]
    pairs = [*combinations(legends.items(), 2), *((legend, other) for legend in legends.items() for other in small_print.items())]
    for name, box in legends.items():
        for axes in panels:
            own = name in owned and owned[name][0] is axes
            parts = [axes.xaxis.get_tightbbox(), axes.yaxis.get_tightbbox()] if own else [axes.get_tightbbox(bbox_extra_artists=[])]
            pairs += [((name, box), (f"panel {_name(axes)}", part)) for part in parts if part is not None]
    return faults + [f"{name} covers {other}" for (name, box), (other, covered) in pairs if _cover(box, covered)]


def misprinted(figure: Figure, width: float) -> list[str]:
    """What keeps a figure out of a page: another width (inches), too many panels or letters that do not count them, small type."""
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.axison and axes.get_visible() and axes.get_label() != "<colorbar>"]
    letters = [axes.get_title(loc="left").partition("  ")[0] for axes in panels]
    faults = [] if figure.get_figwidth() == width else [f"{figure.get_figwidth()} in wide"]
    faults += [f"{len(panels)} panels"] if len(panels) > MOST else []
    faults += [f"letters {letters}"] if len(panels) > 1 and letters != list("abcdefgh"[: len(panels)]) else []
    hidden = {id(part) for axes in figure.axes if not (axes.axison and axes.get_visible()) for part in axes.findobj(Text)}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible() and id(text) not in hidden]
    return faults + [f"{text.get_text()!r} of {size:.3g} pt" for text in texts if (size := _smallest(text)) < SMALLEST]


def _smallest(text: Text) -> float:
    """Size in points of the smallest letter, such as the exponent of a power of ten."""
    shown, size = text.get_text(), text.get_fontsize()
    if shown.count("$") < 2:
        return size if shown.strip() else SMALLEST
    parsed = MathTextParser("path").parse(shown, dpi=72, prop=text.get_fontproperties())
    return min(glyph[1] for glyph in parsed.glyphs)


def _name(axes: Axes) -> str:
    return axes.get_title(loc="left") or axes.get_ylabel() or axes.get_xlabel() or "without a name"


def _beyond(box: BboxBase, figure: BboxBase, allowed: float = 1.0) -> bool:
    """By more than a pixel."""
    reach = (figure.x0 - box.x0, figure.y0 - box.y0, box.x1 - figure.x1, box.y1 - figure.y1)
    return max(reach) > allowed


def _cover(one: BboxBase, other: BboxBase, allowed: float = 1.0) -> bool:
    common = Bbox.intersection(one, other)
    return common is not None and min(common.width, common.height) > allowed
