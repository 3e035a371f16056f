"""Figures of one look, without pyplot: without a display and without global state."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that colour-blind readers can tell apart (Okabe and Ito, 2008), which stand out from black and from white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")


def figure(rows: int = 1, columns: int = 1, *, width: float = 5.2, height: float = 3.5) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row; without pyplot, so without a display and without global state."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False).ravel().tolist()
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25, linewidth=0.6)
    return made, axes


def log_scale(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers: 0.2 rather than 2 x 10^-1."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of `axes` below the whole figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element that fits the width of its page and takes the colour of its text.

    What is black in it becomes `currentColor`, so that it can be read on a dark page; text stays text. The same figure
    gives the same bytes.
    """
    import matplotlib

    stream = io.StringIO()
    # Names inside are hashed with the name of the figure, so that several figures fit into one page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for size in ("width", "height"):
        drawn = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r"#0{3}(?:0{3})?\b", "currentColor", drawn)
    # Text and lines without a colour of their own are black otherwise.
    drawn = drawn.replace("<svg ", '<svg fill="currentColor" role="img" ', 1)
    return re.sub(r"\bid=\"(?!clip|[mp][0-9a-f]{10})([^\"]*)\"", rf'id="{name}-\1"', drawn)
