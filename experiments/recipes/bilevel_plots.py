"""The plots of the recipe `bilevel`: losses of the outer loop, and what was learned as curves, bars or pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Plot
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.seeds import by_setting
from hograd.tree import leaves, paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.recipes.bilevel import bilevel


#: What one value of an outer variable is called on an axis.
NAMES = {
    "optimizer.lr": "learning rate",
    "penalty": "L2 strength",
    "augmentation": "strength of the noise",
    "example_weights": "weight",
}


def plots(recipe: bilevel, outcomes: Sequence[Outcome], groups: Any) -> list[Plot]:
    """Losses, and a figure of each outer variable that is more than a number."""
    learned = [outcome for outcome in outcomes if outcome.labels["method"] == "learned"]
    if not learned:
        return []
    searched = any(one.result and one.result.get("kind") == "search" for one in outcomes)
    variants = "variant" in learned[0].labels
    caption = "Validation loss after each inner training"
    caption += ", a thin line a seed and a thick one for their mean" if variants else ""
    made = [
        Plot(
            "validation_loss",
            f"{caption}{'; dashed, the best of the searches' if searched else ''}.",
            lambda: _losses(groups, recipe.published),
        )
    ]
    for labels, seeds in by_setting(learned):
        for name in (seeds[0].result or {}).get("learned", {}):
            made += _values(recipe, str(labels.get("variant", "")), name, seeds)
    return made


def _losses(groups: Any, published: Any) -> Figure:
    chart, (axes,) = figure()
    variants = list(dict.fromkeys(labels.get("variant") for labels, _ in groups))
    tops: list[float] = []
    lows: list[float] = []
    means: dict[Any, list[list[float]]] = {}
    rivals: dict[Any, list[float]] = {}
    for index, (labels, group) in enumerate(groups):
        variant = labels.get("variant", index)
        colour = COLOURS[(variants.index(variant) if "variant" in labels else index) % len(COLOURS)]
        found = [one.result["validation_loss"] for one in group.values() if one.result.get("kind") == "search"]
        if found:
            rivals.setdefault((variant, colour), []).append(min(found))
        if "learned" in group:
            losses = [_finite(line["validation_loss"]) for line in group["learned"].metrics]
            means.setdefault((variant, colour), []).append(losses)
            tops.append(1.25 * max([losses[0], *found]))
            lows.append(min(losses))
            style: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.6}
            if "variant" not in labels:
                style = {"linewidth": 2, "label": f"seed {labels['seed']}"}
            axes.plot(losses, color=colour, **style)
    for (variant, colour), lines in means.items():
        if isinstance(variant, str):
            shortest = min(map(len, lines))
            mean = np.mean([line[:shortest] for line in lines], axis=0)
            axes.plot(mean, color=colour, linewidth=2.2, label=variant)
    for (_, colour), losses in rivals.items():
        axes.axhline(float(np.mean(losses)), color=colour, linestyle="--", linewidth=1.2)
    # A leap of the outer loop leaves the chart rather than squeezing everything else into a line.
    top = min(max(tops), axes.get_ylim()[1])
    lowest = min([*lows, *(min(losses) for losses in rivals.values())])
    axes.set_ylim(lowest - 0.05 * (top - lowest), top)
    if rivals:
        axes.plot([], [], color="0.5", linestyle="--", linewidth=1.2, label="best search")
    if published is not None:
        steps = [int(step) for step in published.losses]
        axes.plot(steps, list(published.losses.values()), "ko", markersize=5, label=published.source)
    axes.set(xlabel="outer step", ylabel="validation loss after training")
    legend_below(chart, axes, columns=3)
    return chart


def _values(recipe: bilevel, variant: str, name: str, seeds: list[Outcome]) -> list[Plot]:
    """How learned values look: curves of steps, bars of a few, pictures of pixels, a histogram of many."""
    trees = [(one.result or {})["learned"][name] for one in seeds]
    names, _ = _flat(trees[0])
    arrays = [np.concatenate([np.ravel(leaf) for leaf in _flat(tree)[1]]) for tree in trees]
    first = np.asarray(_flat(trees[0])[1][0])
    if arrays[0].size == 1:
        return []
    labels = [f"seed {one.labels['seed']}" for one in seeds]
    title = NAMES.get(name, name.removeprefix("optimizer.").replace("_", " "))
    side = math.isqrt(first.shape[-1]) if first.ndim else 0
    square = len(names) == 1 and side > 4 and side * side == first.shape[-1]
    mean = "" if len(seeds) == 1 else ", means over seeds"

    def plot(what: str, draw: Any) -> Plot:
        file = "_".join(part for part in (variant, name.replace(".", "_")) if part)
        return Plot(file, f"{variant}: {what}." if variant else f"{what[0].upper()}{what[1:]}.", draw)

    if name == "mixture":
        candidates = list(recipe.model.options.get("candidates", ()))
        what = f"the share of each activation after each hidden layer{mean}; dashed, where learning starts"
        return [plot(what, partial(_shares, [np.asarray(tree) for tree in trees], candidates))]
    if name == "inputs" and square and first.ndim == 2:
        what = "the training examples as learned, one class after the other" + (" (first seed)" if mean else "")
        return [plot(what, partial(_images, first, side))]
    if square and first.ndim == 1 and name in ("augmentation", "penalty"):
        return [plot(f"{title} of each pixel{mean}", partial(_picture, np.mean(arrays, axis=0), side, title))]
    if name.startswith("optimizer.") and len(names) == 1 and first.ndim == 1:
        return [plot(f"{title} of each inner step", partial(_curves, title, labels, arrays))]
    if arrays[0].size <= 40:
        names = names if len(names) == arrays[0].size else [str(index + 1) for index in range(arrays[0].size)]
        return [plot(f"{title}, as learned", partial(_bars, title, labels, arrays, names))]
    wrong = [one.result["wrong"] for one in seeds if one.result and "wrong" in one.result]
    if name == "example_weights" and len(wrong) == len(arrays):
        marks = np.concatenate(wrong)
        values = np.concatenate(arrays)
        what = "weights of the training examples with right and with wrong labels, of all seeds"
        return [
            plot(what, partial(_histogram, "weight", ["right label", "wrong label"], [values[~marks], values[marks]]))
        ]
    what = f"how the {arrays[0].size:,} values of the {title} are distributed"
    return [plot(what, partial(_histogram, title, labels, arrays))]


def _flat(tree: Any) -> tuple[list[str], list[Any]]:
    """The names of the leaves of a tree, and the leaves."""
    return [".".join(re.findall(r"[\w-]+", name)) for name in paths(tree)], leaves(tree)


def _curves(title: str, labels: Sequence[str], arrays: Sequence[np.ndarray]) -> Figure:
    chart, (axes,) = figure()
    if all((array > 0).all() for array in arrays):
        log_scale(axes)
    for index, (label, array) in enumerate(zip(labels, arrays, strict=True)):
        axes.plot(range(1, len(array) + 1), array, color=COLOURS[index % len(COLOURS)], linewidth=1.8, label=label)
    axes.set(xlabel="inner step", ylabel=title)
    legend_below(chart, axes, columns=4)
    return chart


def _bars(title: str, labels: Sequence[str], arrays: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    chart, (axes,) = figure()
    width = 0.8 / len(arrays)
    for index, (label, array) in enumerate(zip(labels, arrays, strict=True)):
        places = np.arange(array.size) + (index - (len(arrays) - 1) / 2) * width
        axes.bar(places, array, width, color=COLOURS[index % len(COLOURS)], label=label)
    every = -(-len(names) // 20)
    axes.set_xticks(range(0, len(names), every), names[::every])
    axes.grid(visible=False, axis="x")
    axes.set(ylabel=title)
    legend_below(chart, axes, columns=4)
    return chart


def _shares(logits: Sequence[np.ndarray], candidates: Sequence[str]) -> Figure:
    """Softmax of logits of shape (layers, candidates), a group of bars for each layer."""
    shares = np.mean([np.exp(one) / np.exp(one).sum(-1, keepdims=True) for one in logits], axis=0)
    chart, (axes,) = figure()
    width = 0.8 / shares.shape[1]
    for index, candidate in enumerate(candidates):
        places = np.arange(len(shares)) + (index - (len(candidates) - 1) / 2) * width
        axes.bar(places, shares[:, index], width, color=COLOURS[index % len(COLOURS)], label=candidate)
    axes.axhline(1 / len(candidates), color="0.5", linestyle="--", linewidth=1.2)
    axes.set_xticks(range(len(shares)), [f"after hidden layer {layer + 1}" for layer in range(len(shares))])
    axes.grid(visible=False, axis="x")
    axes.set(ylabel="share")
    legend_below(chart, axes, columns=4)
    return chart


def _histogram(title: str, labels: Sequence[str], arrays: Sequence[np.ndarray]) -> Figure:
    chart, (axes,) = figure()
    low, high = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
    if low > 0 and high > 30 * low:
        edges = np.geomspace(low, high, 31)
        axes.set_xscale("log")
    else:
        edges = np.linspace(low, high if high > low else low + 1, 31)
    for index, (label, array) in enumerate(zip(labels, arrays, strict=True)):
        axes.hist(array, list(edges), histtype="step", linewidth=2, color=COLOURS[index % len(COLOURS)], label=label)
    axes.set(xlabel=title, ylabel="how many")
    legend_below(chart, axes, columns=4)
    return chart


def _picture(values: np.ndarray, side: int, title: str) -> Figure:
    chart, (axes,) = figure(height=3.8)
    shown = axes.imshow(values.reshape(side, side), cmap="viridis")
    axes.set_axis_off()
    chart.colorbar(shown, ax=axes, label=title)
    return chart


def _images(array: np.ndarray, side: int) -> Figure:
    columns = min(len(array), 5)
    rows = -(-len(array) // columns)
    chart, panels = figure(rows, columns, width=5.2, height=1.05 * rows)
    for axes, image in zip(panels, array, strict=False):
        axes.imshow(image.reshape(side, side), cmap="gray")
    for axes in panels:
        axes.set_axis_off()
    return chart


def _finite(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else value
