"""The report of the recipe `bilevel`: made from what was stored, for whatever was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Plot, Report, Table
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.tables import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.recipes.bilevel import bilevel

Group = dict[str, Outcome]


def report(recipe: bilevel, outcomes: Sequence[Outcome]) -> Report:
    """Tables, findings and plots of all seeds and methods."""
    known = [outcome for outcome in outcomes if outcome.result is not None and "validation_loss" in outcome.result]
    groups = grouped(known)
    tables = [_methods(groups), *_regained(groups)]
    if recipe.published is not None:
        tables.append(_published(recipe, known))
    return Report(
        question=f"What are the best {_listed(list(recipe.learn))} for this training, judged by validation examples?",
        findings=_findings(groups),
        tables=tables,
        plots=_plots(recipe, known, groups),
        figures=[
            (
                outcome.labels,
                {
                    key: float(value)
                    for key, value in (outcome.result or {}).items()
                    if isinstance(value, int | float) and key not in ("best_step",)
                },
            )
            for outcome in known
        ],
    )


def grouped(outcomes: Sequence[Outcome]) -> list[tuple[Mapping[str, str | int], Group]]:
    """Outcomes of one seed (and data set, and variant) by method, in the order of the tasks."""
    found: dict[tuple, tuple[Mapping[str, str | int], Group]] = {}
    for outcome in outcomes:
        labels = {key: value for key, value in outcome.labels.items() if key != "method"}
        _, group = found.setdefault(tuple(labels.items()), (labels, {}))
        group[str(outcome.labels["method"])] = outcome
    return list(found.values())


def trainings_to_pass(learned: Outcome, loss: float) -> int | None:
    """Inner trainings until learning was better than a validation loss."""
    losses = [line["validation_loss"] for line in learned.metrics]
    return next((count for count, one in enumerate(losses, start=1) if one is not None and not one >= loss), None)


def _searches(group: Group) -> list[Outcome]:
    """The searches for what is learned."""
    return [one for one in group.values() if one.result and one.result.get("kind") == "search"]


def _methods(groups: list[tuple[Mapping[str, str | int], Group]]) -> Table:
    keys = list(groups[0][0]) if groups else ["seed"]
    results = [outcome.result or {} for _, group in groups for outcome in group.values()]
    accuracy = any("test_accuracy" in result for result in results)
    tested = any("test_loss" in result for result in results)
    found = any("f1" in result for result in results)
    rival = any(_searches(group) for _, group in groups)
    header = [*keys, "method", "valid.\nloss"]
    header += ["test\nloss", "gap"] if tested else []
    header += ["accu-\nracy"] if accuracy else []
    header += ["F1"] if found else []
    header += ["train-\nings"]
    header += ["to\npass"] if rival else []
    header += ["s"]
    rows = []
    for labels, group in groups:
        searches = [(one.result or {})["validation_loss"] for one in _searches(group)]
        best = min((loss for loss in searches if math.isfinite(loss)), default=None)
        for name, outcome in group.items():
            result = outcome.result or {}
            row = [*map(str, labels.values()), name, number(result["validation_loss"])]
            if tested:
                there = "test_loss" in result
                gap = result["test_loss"] - result["validation_loss"] if there else math.nan
                row += [number(result["test_loss"]), f"{gap:+.4f}"] if there else ["-", "-"]
            if accuracy:
                row.append(f"{100 * result['test_accuracy']:.1f} %" if "test_accuracy" in result else "-")
            if found:
                row.append(f"{result['f1']:.3f}" if "f1" in result else "-")
            row.append(str(result["trainings"]))
            if rival:
                passed = trainings_to_pass(outcome, best) if name == "learned" and best is not None else None
                row.append("-" if name != "learned" or best is None else "not yet" if passed is None else str(passed))
            rows.append([*row, f"{outcome.seconds:.1f}"])
    notes = [
        "Losses on validation and test examples, the share of test examples that are right, and how many inner"
        " trainings it took; one of the learned values includes its hypergradient."
    ]
    if rival:
        notes.append("To pass: inner trainings until learning was better than the best search.")
    if tested:
        notes.append(
            "Gap: test loss less validation loss. What was chosen by validation examples looks better on them than it "
            "is."
        )
    return Table("Validation and test", header, rows, notes)


#: The test accuracies between which cleaning stands: without it and with all labels right; the same with the validation
#: examples in every training; and that of the learned weights.
ENDS = (
    ("noisy", "clean", "test_accuracy", ("noisy", "validation alone", "clean"), ""),
    (
        "noisy + validation",
        "right + validation",
        "test_accuracy_with_validation",
        ("noisy + validation", "right + validation"),
        ", with the validation examples in every training, as Franceschi et al. (2017) compare",
    ),
)


def _regained(groups: list[tuple[Mapping[str, str | int], Group]]) -> list[Table]:
    """What cleaning regains of the test accuracy that wrong labels cost."""
    tables = []
    for low, high, key, shown, words in ENDS:
        rows = []
        for labels, group in groups:
            learned = (group["learned"].result or {}) if "learned" in group else {}
            found = {name: (one.result or {}).get("test_accuracy") for name, one in group.items()}
            cleaned, least, most = learned.get(key), found.get(low), found.get(high)
            if cleaned is None or least is None or most is None:
                continue
            part = f"{100 * (cleaned - least) / (most - least):.0f} %" if most > least else "-"
            shares = [*(found.get(name) for name in shown), cleaned]
            cells = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
            rows.append([*map(str, labels.values()), *cells, part])
        if rows:
            heads = [name.removesuffix(" + validation").replace("validation alone", "valid.") for name in shown]
            header = [*groups[0][0], *heads, "cleaned", "regained"]
            note = f"Percent of the test examples right{words}, and the share of the gap that cleaning regains."
            tables.append(Table("What cleaning regains", header, rows, [note]))
    return tables


def _published(recipe: bilevel, outcomes: Sequence[Outcome]) -> Table:
    printed = recipe.published
    assert printed is not None
    rows = []
    for outcome in outcomes:
        if outcome.labels["method"] != "learned":
            continue
        for step, loss in printed.losses.items():
            line = next((line for line in outcome.metrics if line["step"] == int(step)), None)
            ours = "-" if line is None else f"{line['validation_loss']:.10f}"
            rows.append([str(outcome.labels["seed"]), step, ours, f"{loss:.10f}"])
    header = ["seed", "outer\nstep", "validation\nloss", f"printed by\n{printed.source}"]
    return Table(f"Beside {printed.source}", header, rows, [printed.note] if printed.note else [])


def _findings(groups: list[tuple[Mapping[str, str | int], Group]]) -> list[str]:
    """What the numbers say, in sentences."""
    better, gaps, rival_gaps = [], [], []
    for _, group in groups:
        learned = group.get("learned")
        rivals = _searches(group)
        if learned is None or learned.result is None:
            continue
        ours = learned.result
        if rivals:
            best = min(rivals, key=lambda one: _finite((one.result or {})["validation_loss"]))
            theirs = best.result or {}
            ratio = ours["validation_loss"] / theirs["validation_loss"] if theirs["validation_loss"] else math.inf
            better.append(100 * (ratio - 1))
            if "test_loss" in theirs:
                rival_gaps.append(theirs["test_loss"] - theirs["validation_loss"])
        if "test_loss" in ours:
            gaps.append(ours["test_loss"] - ours["validation_loss"])
    found = []
    if better:
        shown = ", ".join(f"{value:+.1f} %" if value < 900 else "far above" for value in better)
        found.append(f"Learned against the best search, validation loss: {shown}.")
    if gaps:
        text = f"Test loss less validation loss: {np.mean(gaps):+.4f} for what was learned"
        found.append(text + (f", {np.mean(rival_gaps):+.4f} for the best search." if rival_gaps else "."))
    return found


def _plots(recipe: bilevel, outcomes: Sequence[Outcome], groups: Any) -> list[Plot]:
    learned = [outcome for outcome in outcomes if outcome.labels["method"] == "learned"]
    if not learned:
        return []
    plots = [
        Plot(
            "validation_loss",
            "Validation loss after each inner training; dashed, the best of the searches.",
            lambda: _losses(groups, recipe.published),
        )
    ]
    names = dict.fromkeys(name for outcome in learned for name in (outcome.result or {})["learned"])
    for name in names:
        values = [
            (one, (one.result or {})["learned"][name]) for one in learned if name in (one.result or {})["learned"]
        ]
        plots += _values(name, values)
    return plots


def _losses(groups: Any, published: Any) -> Figure:
    chart, (axes,) = figure()
    tops: list[float] = []
    for index, (labels, group) in enumerate(groups):
        colour = COLOURS[index % len(COLOURS)]
        rivals = [(one.result or {})["validation_loss"] for one in _searches(group)]
        if "learned" in group:
            losses = [_finite(line["validation_loss"]) for line in group["learned"].metrics]
            axes.plot(losses, color=colour, linewidth=2, label=", ".join(f"{k} {v}" for k, v in labels.items()))
            tops.append(1.25 * max([losses[0], *rivals]))
        if rivals:
            axes.axhline(min(rivals), color=colour, linestyle="--", linewidth=1.2)
    # A leap of the outer loop leaves the chart rather than squeezing everything else into a line.
    axes.set_ylim(top=min(max(tops), axes.get_ylim()[1]))
    if any(_searches(group) for _, group in groups):
        axes.plot([], [], color="0.4", linestyle="--", linewidth=1.2, label="best search")
    if published is not None:
        steps = [int(step) for step in published.losses]
        axes.plot(steps, list(published.losses.values()), "ko", markersize=5, label=published.source)
    axes.set(xlabel="outer step", ylabel="validation loss after training")
    legend_below(chart, axes, columns=4)
    return chart


def _values(name: str, values: list[tuple[Outcome, Any]]) -> list[Plot]:
    """How learned values look: curves of steps, bars of features, a histogram of many, images of inputs."""
    arrays = [(outcome, np.asarray(value)) for outcome, value in values if isinstance(value, np.ndarray)]
    if not arrays or arrays[0][1].ndim == 0:
        return []
    first = arrays[0][1]
    title = name.replace("_", " ")
    file = name.replace(".", "_")
    if name.startswith("optimizer.") and first.ndim == 1:
        return [Plot(file, f"{title} of each inner step, as learned.", lambda: _curves(title, arrays))]
    side = math.isqrt(first.shape[-1]) if first.ndim > 1 else 0
    if name == "inputs" and first.ndim == 2 and side * side == first.shape[-1]:
        return [
            Plot(file, "The training examples as learned, one class after the other.", lambda: _images(first, side))
        ]
    if first.size <= 40:
        return [Plot(file, f"{title}, as learned.", lambda: _bars(title, arrays))]
    return [
        Plot(
            file, f"How many of the {first.size:,} values of {title} are how large.", lambda: _histogram(title, arrays)
        )
    ]


def _label(outcome: Outcome) -> str:
    return ", ".join(f"{key} {value}" for key, value in outcome.labels.items() if key != "method")


def _curves(title: str, arrays: list[tuple[Outcome, np.ndarray]]) -> Figure:
    chart, (axes,) = figure()
    if all((array > 0).all() for _, array in arrays):
        log_scale(axes)
    for index, (outcome, array) in enumerate(arrays):
        axes.plot(
            range(1, len(array) + 1), array, color=COLOURS[index % len(COLOURS)], linewidth=2, label=_label(outcome)
        )
    axes.set(xlabel="inner step", ylabel=title)
    legend_below(chart, axes, columns=4)
    return chart


def _bars(title: str, arrays: list[tuple[Outcome, np.ndarray]]) -> Figure:
    chart, (axes,) = figure()
    width = 0.8 / len(arrays)
    for index, (outcome, array) in enumerate(arrays):
        places = np.arange(array.size) + (index - (len(arrays) - 1) / 2) * width
        axes.bar(places, array.ravel(), width, color=COLOURS[index % len(COLOURS)], label=_label(outcome))
    axes.set(xlabel="number", ylabel=title)
    legend_below(chart, axes, columns=4)
    return chart


def _histogram(title: str, arrays: list[tuple[Outcome, np.ndarray]]) -> Figure:
    chart, (axes,) = figure()
    low, high = min(float(a.min()) for _, a in arrays), max(float(a.max()) for _, a in arrays)
    edges = np.linspace(low, high if high > low else low + 1, 31)
    for index, (outcome, array) in enumerate(arrays):
        colour = COLOURS[index % len(COLOURS)]
        axes.hist(array.ravel(), list(edges), histtype="step", linewidth=2, color=colour, label=_label(outcome))
    axes.set(xlabel=title, ylabel="how many")
    legend_below(chart, axes, columns=4)
    return chart


def _images(array: np.ndarray, side: int) -> Figure:
    columns = min(len(array), 10)
    rows = -(-len(array) // columns)
    chart, panels = figure(rows, columns, width=7.5, height=0.8 * rows + 0.3)
    for axes, image in zip(panels, array, strict=False):
        axes.imshow(image.reshape(side, side), cmap="gray")
    for axes in panels:
        axes.set_axis_off()
    return chart


def _finite(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else value


def _listed(names: list[str]) -> str:
    words = [name.removeprefix("optimizer.").replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
