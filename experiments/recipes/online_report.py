"""The report of the recipe `online`: what it gains to learn hyperparameters while training goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Plot, Report, Table
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.seeds import by_setting, interval, several
from experiments.report.tables import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.recipes.online import online


def report(recipe: online, outcomes: Sequence[Outcome]) -> Report:
    """First epoch, end, and the learned rates."""
    known = [one for one in outcomes if one.metrics]
    tables = [_means(known, recipe.learn)] if several(known) else []
    tables.append(_each(known, recipe.learn, detail=bool(tables)))
    plots = [
        Plot(
            "training", "Mean training loss in each epoch; dashed, without learning.", lambda: _losses(known, "running")
        ),
        Plot("validation", "Validation loss after each epoch.", lambda: _losses(known, "validation")),
    ]
    if any(_numbers(one, recipe.learn) for one in known):
        plots.append(Plot("learned", "What is learned, epoch by epoch.", lambda: _learned(known, recipe.learn)))
    return Report(
        question="What does it gain to step an optimizer's hyperparameters while it trains?",
        findings=_findings(known),
        tables=tables,
        plots=plots if known else [],
        figures=[
            (one.labels, {key: float(v) for key, v in (one.result or {}).items() if isinstance(v, int | float)})
            for one in known
        ],
    )


def _numbers(outcome: Outcome, names: Sequence[str]) -> list[str]:
    """The keys of its metrics that hold what is learned: lr, or betas[0]."""
    return [key for key in outcome.metrics[-1] if key.partition("[")[0] in names]


def _shown(labels: Mapping[str, str | int]) -> dict[str, str]:
    """The labels of a line: a variant says which optimizer it has."""
    return {key: str(value) for key, value in labels.items() if key != "optimizer" or "variant" not in labels}


def _cells(outcomes: Sequence[Outcome], learned: Sequence[str], *, intervals: bool) -> list[str]:
    """The numbers of a line: means, where there are several."""
    first = [one.metrics[0]["running_loss"] for one in outcomes]
    training = [one.metrics[-1]["training_loss"] for one in outcomes]
    mean, half = interval([one.metrics[-1]["validation_loss"] for one in outcomes])
    rates = [[one.metrics[-1][key] for one in outcomes if key in one.metrics[-1]] for key in learned]
    return [
        number(float(np.mean(first))),
        number(float(np.mean(training))),
        number(mean) + (f" ± {number(half)}" if intervals and not math.isnan(half) else ""),
        f"{mean - np.mean(training):+.4f}",
        *(f"{np.mean(values):.2g}" if values else "-" for values in rates),
    ]


def _header(outcomes: Sequence[Outcome], learned: Sequence[str], without: str) -> list[str]:
    keys = [key for key in _shown(outcomes[0].labels) if key != without] if outcomes else ["method"]
    heads = ["first\nepoch", "final\ntraining", "final\nvalidation", "gap"]
    return [*keys, *heads, *(f"last\n{key}" for key in learned)]


NOTES = (
    "First epoch: the mean loss over its batches as they came. Final: on all training and validation examples after"
    " the last epoch, with the penalty. Gap: validation less training.",
)


def _means(outcomes: Sequence[Outcome], names: Sequence[str]) -> Table:
    """A line for each setting: means over seeds."""
    learned = list(dict.fromkeys(key for one in outcomes for key in _numbers(one, names)))
    rows = [
        [*_shown(labels).values(), *_cells(seeds, learned, intervals=True)] for labels, seeds in by_setting(outcomes)
    ]
    count = len({one.labels["seed"] for one in outcomes})
    notes = [*NOTES, "± is half of the 95 % interval over seeds."]
    title = f"Without and with learning: means over {count} seeds"
    return Table(title, _header(outcomes, learned, "seed"), rows, notes)


def _each(outcomes: Sequence[Outcome], names: Sequence[str], *, detail: bool) -> Table:
    """A line for each training."""
    learned = list(dict.fromkeys(key for one in outcomes for key in _numbers(one, names)))
    rows = [[*_shown(one.labels).values(), *_cells([one], learned, intervals=False)] for one in outcomes]
    title = "Each seed" if detail else "Without and with learning"
    return Table(title, _header(outcomes, learned, ""), rows, [] if detail else NOTES, detail=detail)


def _findings(outcomes: Sequence[Outcome]) -> list[str]:
    """Learned against plain, a sentence for each setting that has both."""
    found: dict[str, dict[str, Sequence[Outcome]]] = {}
    for labels, seeds in by_setting(outcomes):
        found.setdefault(_kind(seeds[0]), {})[str(labels["method"])] = seeds
    sentences = []
    for kind, pair in found.items():
        if len(pair) < 2:
            continue
        first = [_mean_loss(pair[method], 0, "running_loss") for method in ("learned", "plain")]
        last = [_mean_loss(pair[method], -1, "validation_loss") for method in ("learned", "plain")]
        sentences.append(
            f"{kind}: with learning, the mean loss of the first epoch is {first[0] / first[1]:.2f} of what it is "
            f"without, and the validation loss at the end {last[0] / last[1]:.2f}."
        )
    return sentences


def _mean_loss(seeds: Sequence[Outcome], epoch: int, key: str) -> float:
    return float(np.mean([one.metrics[epoch][key] for one in seeds]))


def _kind(outcome: Outcome) -> str:
    return str(outcome.labels.get("variant", outcome.labels["optimizer"]))


def _lines(outcomes: Sequence[Outcome], key: str) -> Any:
    """Of each setting its name, how it is drawn, and its means over seeds, epoch by epoch."""
    kinds = list(dict.fromkeys(map(_kind, outcomes)))
    for labels, seeds in by_setting(outcomes):
        index, learned = kinds.index(_kind(seeds[0])), labels["method"] == "learned"
        shortest = min(len(one.metrics) for one in seeds)
        if key not in seeds[0].metrics[0]:
            continue
        mean = np.mean([[line[key] for line in one.metrics[:shortest]] for one in seeds], axis=0)
        style: dict[str, Any] = {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": "--" if not learned else "-" if index < len(COLOURS) else "-.",
            "linewidth": 1.8 if learned else 1.3,
        }
        yield f"{_kind(seeds[0])}{'' if learned else ', plain'}", style, range(1, shortest + 1), mean


def _losses(outcomes: Sequence[Outcome], which: str) -> Figure:
    chart, (axes,) = figure(height=4.2)
    for name, style, epochs, mean in _lines(outcomes, f"{which}_loss"):
        axes.plot(epochs, mean, label=name, **style)
    log_scale(axes)
    what = "mean training loss of the epoch" if which == "running" else "validation loss"
    axes.set(xlabel="epoch", ylabel=what)
    legend_below(chart, axes, columns=3)
    return chart


def _learned(outcomes: Sequence[Outcome], names: Sequence[str]) -> Figure:
    chart, (axes,) = figure(height=4.2)
    key = next(key for one in outcomes for key in _numbers(one, names))
    for name, style, epochs, mean in _lines(outcomes, key):
        axes.plot(epochs, mean, label=name, **style)
    # Nothing keeps what is learned above 0.
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set(xlabel="epoch", ylabel=key)
    legend_below(chart, axes, columns=3)
    return chart
