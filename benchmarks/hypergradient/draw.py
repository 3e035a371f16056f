"""Plots of the comparison, with matplotlib (extra `experiments`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hypergradient.convergence import Curve
from benchmarks.hypergradient.errors import ROUNDING, Point, by_estimator
from benchmarks.hypergradient.memory import Peak
from benchmarks.hypergradient.problems import Problem
from benchmarks.hypergradient.tasks import Task

#: Okabe and Ito's palette, which is safe for colour blindness.
BLUE, SKY, GREEN, ORANGE, RED, PINK, GREY, BLACK = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#999999", "#000000",
)  # fmt: skip

#: Colour, mark and line of an estimator, by how its name ends or begins: families share a colour.
STYLES = {
    "Reverse": (BLUE, "o", "-"),
    "Reversible": (BLUE, "s", ":"),
    "Truncated": (SKY, "v", "-"),
    "Forward": (SKY, "^", "--"),
    "NormalCG": (ORANGE, "<", "--"),
    "CG": (RED, "o", "-"),
    "MINRES": (RED, "s", "--"),
    "GMRES": (RED, "^", ":"),
    "Neumann": (GREEN, "o", "-"),
    "FixedPoint": (GREEN, "s", "--"),
    "Nystrom": (PINK, "D", "-"),
    "Dense": (BLACK, "*", "-"),
    "Identity": (GREY, "x", "-"),
    "DARTS": (GREY, "+", "--"),
    "ZeroOrder": (ORANGE, "P", ":"),
    "PES": (ORANGE, "X", ":"),
}

#: The same for algorithms on batches.
ALGORITHMS = {
    "BSA": (SKY, "o", "-"),
    "TTSA": (SKY, "s", "--"),
    "StocBiO": (ORANGE, "o", "-"),
    "AmIGO": (ORANGE, "s", "--"),
    "SOBA": (BLUE, "o", "-"),
    "SABA": (BLUE, "s", "--"),
    "FSLA": (BLUE, "^", ":"),
    "MRBO": (PINK, "o", "-"),
    "SUSTAIN": (PINK, "s", "--"),
    "F2SA": (GREEN, "o", "-"),
    "BOME": (GREEN, "s", "--"),
    "all data, CG(5)": (BLACK, "o", "-"),
    "all data, reverse": (BLACK, "s", "--"),
}


def style(name: str, styles: Mapping[str, tuple[str, str, str]] = STYLES) -> dict[str, Any]:
    """How a line looks: by its whole name, or by the first of the table that is in it."""
    plain = name.removeprefix("Implicit, ")
    known = styles.get(name) or next((v for k, v in styles.items() if plain.startswith(k)), (GREY, ".", "-"))
    return {"color": known[0], "marker": known[1], "linestyle": known[2], "markersize": 4, "linewidth": 1.2}


def errors(found: Mapping[str, tuple[Problem, Sequence[Point], Sequence[Point]]], path: Path, caption: str) -> None:
    """A line of panels for each problem: error against evaluations, against time, and against products alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.7 * len(found) + 1.3), layout="constrained")
    grid = figure.subplots(len(found), 3, squeeze=False)
    costs: list[tuple[str, Callable[[Point], float]]] = [
        ("gradients + products with the Hessian", lambda p: p.evaluations),
        ("seconds", lambda p: p.row.seconds),
        ("products with the Hessian, at the inner solution", lambda p: p.row.hessian_products),
    ]
    handles: dict[str, Any] = {}
    for axes, (problem, whole, system) in zip(grid, found.values(), strict=True):
        for axis, (label, cost), points in zip(axes, costs, (whole, whole, system), strict=True):
            for name, own in by_estimator(points).items():
                plain = name.removeprefix("Implicit, ")
                heights = [max(p.row.error, ROUNDING) for p in own]
                (line,) = axis.plot([cost(p) for p in own], heights, label=plain, **style(plain))
                handles.setdefault(plain.split(",")[0], line)
            axis.set(xscale="log", yscale="log", xlabel=label, ylim=(ROUNDING / 3, 30))
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"{problem.name}\nrelative error of the hypergradient")
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=8, fontsize=9, frameon=False)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=120)


def memory(peaks: Sequence[Peak], path: Path, caption: str) -> None:
    """Peak against T, one line an estimator, named at its end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 6), layout="constrained")
    axis = figure.subplots()
    ends = []
    for name in dict.fromkeys(peak.estimator for peak in peaks):
        own = [peak for peak in peaks if peak.estimator == name]
        look = style(name) | ({"marker": "d", "linestyle": "--"} if '"' in name else {})
        axis.plot([p.steps for p in own], [p.peak / 1e6 for p in own], **look)
        ends.append((own[-1].peak / 1e6, name, look["color"]))
    axis.set(xscale="log", yscale="log", xlabel="inner steps T", ylabel="peak of allocated memory (MB)")
    last = max(peak.steps for peak in peaks)
    low, high = axis.get_ylim()
    apart = (high / low) ** (1 / 28)
    height = 0.0
    for value, name, colour in sorted(ends):  # names that would overlap are moved up
        height = max(value, height * apart)
        axis.text(last * 1.12, height, name.removeprefix("Implicit, "), color=colour, va="center", fontsize=8)
    axis.set_xlim(right=last * 6)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=120)


def convergence(found: Mapping[str, tuple[Task, Sequence[Curve]]], path: Path, caption: str) -> None:
    """A line of panels for each task: what is left of the way, against epochs and against time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4 * len(found) + 1), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, (task, curves) in zip(figure.subplots(len(found), 2, squeeze=False), found.values(), strict=True):
        for axis, label in zip(axes, ("epochs of evaluations", "seconds"), strict=True):
            for curve in curves:
                costs = curve.epochs if axis is axes[0] else curve.seconds
                heights = [min(max(left, 1e-3), 3) for left in curve.left]
                look = style(curve.algorithm, ALGORITHMS) | {"markersize": 3}
                (line,) = axis.plot(costs, heights, **look)
                handles.setdefault(curve.algorithm, line)
            axis.set(xscale="log", yscale="log", xlabel=label, ylim=(0.8e-3, 3))
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"{task.name}\nshare of the way that is left")
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=7, fontsize=9, frameon=False)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=120)
