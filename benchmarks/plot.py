"""Plots of the figures, with matplotlib (extra `experiments`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.registry import YARDSTICK
from benchmarks.runner import Row

if TYPE_CHECKING:
    from benchmarks.start import Cost

#: Okabe and Ito's palette, which is safe for colour blindness, keyed by how a version's name begins.
COLOURS = {"hograd": "#0072B2", "NumPy": "#000000", "Python": "#777777", "JAX": "#D55E00", "": "#B0B0B0"}


def colour(version: str) -> str:
    """The colour of a version: hograd, NumPy and JAX stand out."""
    return next(c for start, c in COLOURS.items() if version.startswith(start))


def ratios(results: Mapping[str, Sequence[Row]], path: Path, caption: str) -> None:
    """One panel a case: each version's time over that of NumPy by hand, the fastest on top."""
    from matplotlib.figure import Figure

    panels = {case: [row for row in rows if row.ratio is not None] for case, rows in results.items()}
    panels = {case: sorted(rows, key=lambda row: row.ratio or 0.0) for case, rows in panels.items() if rows}
    if not panels:
        return
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.4 * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, (case, rows) in zip(axes, panels.items(), strict=False):
        values = [row.ratio or 0.0 for row in rows]
        # On a logarithmic axis a bar has no natural start; here it is the yardstick, so that faster ones reach left.
        axis.barh(range(len(rows)), [value - 1 for value in values], left=1, color=[colour(r.version) for r in rows])
        for height, value in enumerate(values):
            axis.text(max(value, 1.0), height, f" {value:.2f}", va="center", fontsize=8)
        axis.set_yticks(range(len(rows)), [row.version for row in rows], fontsize=8)
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_xlim(min(*values, 1.0) / 1.3, max(*values, 1.0) * 2.5)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_title(case, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.supxlabel(f"time / {YARDSTICK} (log scale; less is faster)\n{caption}", fontsize=8)
    figure.savefig(path, dpi=120)


def beginning(costs: Sequence[Cost], path: Path, caption: str) -> None:
    """Import, first meta-gradient and installed size of each version, the quickest on top."""
    from matplotlib.figure import Figure

    known = sorted((cost for cost in costs if cost.first is not None), key=lambda cost: cost.first or 0.0)
    panels = [
        ("import (s)", [cost.imported or 0.0 for cost in known], "{:.2f}"),
        ("process start to first meta-gradient (s)", [cost.first or 0.0 for cost in known], "{:.2f}"),
        ("installed (MB)", [(cost.size or 0) / 1e6 for cost in known], "{:.0f}"),
    ]
    figure = Figure(figsize=(12, 0.32 * len(known) + 1.4), layout="constrained")
    for axis, (title, values, form) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        axis.barh(range(len(known)), values, color=[colour(cost.version) for cost in known])
        for height, value in enumerate(values):
            axis.text(value, height, f" {form.format(value)}", va="center", fontsize=8)
        axis.set_xlim(0, 1.2 * max(values, default=1.0))
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_yticks(range(len(known)), [cost.version for cost in known], fontsize=8)
    axis.invert_yaxis()
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=120)


def growth(
    panels: Sequence[tuple[str, str, Mapping[str, Sequence[tuple[float, float]]]]], path: Path, title: str, caption: str
) -> None:
    """One panel for each (label of x, label of y, version -> points): log-log lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 4.0), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False).ravel()
    marks = "osv^D<>ph*"
    for axis, (x_label, y_label, lines) in zip(axes, panels, strict=True):
        for mark, (version, points) in zip(marks, lines.items(), strict=False):
            xs, ys = zip(*points, strict=True)
            axis.plot(xs, ys, marker=mark, markersize=4, label=version, color=LINES.get(version))
        axis.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(caption, fontsize=7)
    figure.savefig(path, dpi=120)


#: The colours of lines, one a version.
LINES = {
    YARDSTICK: "#000000",
    "hograd eager": "#56B4E9",
    "hograd compiled (numpy)": "#0072B2",
    "hograd native": "#009E73",
    "JAX jitted": "#D55E00",
    "PyTorch eager": "#CC79A7",
    "torch.func": "#E69F00",
    "HIPS autograd": "#999999",
}
