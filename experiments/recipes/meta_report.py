"""The report of the recipe `meta`: made from what was stored, for whatever algorithm and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Plot, Report, Table
from experiments.report.plots import COLOURS, figure, legend_below, log_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.recipes.meta import MetaLearning


def report(recipe: MetaLearning, outcomes: Sequence[Outcome]) -> Report:
    """Error or accuracy by adaptation step, over iterations, and predictions."""
    known = [one for one in outcomes if one.result and one.result["evaluations"]]
    plots = [Plot("training", "The loss on query examples after adaptation, over iterations.", lambda: _losses(known))]
    if any(len(_steps(one)) > 1 for one in known):
        plots.append(Plot("adaptation", "New tasks by adaptation step, with 95 % intervals.", lambda: _by_step(known)))
    drawn = next((one for one in known if "curves" in (one.result or {})), None)
    if drawn is not None:
        caption = f"New tasks, before and after adaptation ({_label(drawn)}, seed {drawn.labels['seed']})."
        plots.append(Plot("curves", caption, lambda: _curves(drawn)))
    sheet = next((one for one in known if "sheet" in (one.result or {})), None)
    if sheet is not None:
        caption = (
            "New tasks: an image of each class that was seen, and others with the class that was predicted; where it "
            f"is wrong, the right one stands behind ({_label(sheet)}, seed {sheet.labels['seed']})."
        )
        plots.append(Plot("sheet", caption, lambda: _sheet(sheet)))
    return Report(
        question=f"How well does a learner do on new tasks after {recipe.outer.iterations:,} iterations of "
        "meta-training?",
        findings=[],
        tables=[_table(recipe, known)],
        plots=plots if known else [],
        figures=[(one.labels, _figures(one)) for one in known],
    )


def _steps(one: Outcome) -> list[int | None]:
    return (one.result or {})["evaluations"][0]["steps"]


def _label(one: Outcome) -> str:
    """What sets a curve apart, but for the seed."""
    return ", ".join(str(value) for key, value in one.labels.items() if key != "seed")


def _measure(evaluation: Mapping[str, Any]) -> tuple[str, list[tuple[float, float]]]:
    """What counts: accuracy where tasks have classes, else the loss; by steps, with half of its interval."""
    name = "accuracy" if "accuracy" in evaluation else "loss"
    return name, [(mean, half) for mean, half in evaluation[name]]


def written(name: str, mean: float, half: float) -> str:
    """A mean and its interval in few characters.

    >>> written("accuracy", 0.8765, 0.0123), written("loss", 0.4704, 0.0418)
    ('87.6 ± 1.2 %', '0.470 ± 0.042')
    """
    if name == "accuracy":
        return f"{100 * mean:.1f} ± {100 * half:.1f} %"
    return f"{mean:.3f} ± {half:.3f}" if abs(mean) < 1000 else f"{mean:.2g} ± {half:.1g}"


def _figures(one: Outcome) -> dict[str, float]:
    found = {}
    for evaluation in (one.result or {})["evaluations"]:
        name, values = _measure(evaluation)
        setting = "".join(f"_{key}{value}" for key, value in evaluation["setting"].items())
        for step, (mean, _) in zip(evaluation["steps"], values, strict=True):
            found[f"{name}{setting}" + ("" if step is None else f"_after_{step}")] = mean
    return found


def _table(recipe: MetaLearning, known: Sequence[Outcome]) -> Table:
    keys = list(known[0].labels) if known else ["algorithm", "seed"]
    steps = list(dict.fromkeys(step for one in known for step in _steps(one)))
    several = bool(known) and len((known[0].result or {})["evaluations"]) > 1
    heads = ["adapted" if step is None else f"after\n{step} step{'' if step == 1 else 's'}" for step in steps]
    rows = []
    for one in known:
        for evaluation in (one.result or {})["evaluations"]:
            name, values = _measure(evaluation)
            cells = dict(zip(evaluation["steps"], (written(name, *value) for value in values), strict=True))
            setting = ", ".join(f"{value} {key}" for key, value in evaluation["setting"].items()) or "as in training"
            rows.append(
                [
                    *(str(one.labels.get(key, "-")) for key in keys),
                    *([setting] if several else []),
                    *(cells.get(step, "-") for step in steps),
                ]
            )
    if any("baseline" in evaluation for one in known for evaluation in (one.result or {})["evaluations"]):
        heads.append("nearest mean\nof inputs")
        evaluations = [evaluation for one in known for evaluation in (one.result or {})["evaluations"]]
        for row, evaluation in zip(rows, evaluations, strict=True):
            row.append(written("accuracy", *evaluation["baseline"]) if "baseline" in evaluation else "-")
    names = {_measure((one.result or {})["evaluations"][0])[0] for one in known}
    measured = "Accuracy" if names == {"accuracy"} else "Loss"
    options = recipe.family.options
    counted = ", ".join(f"{options[name]} {name}" for name in ("ways", "shots") if name in options)
    notes = [
        f"{measured} on the query examples of {recipe.evaluation.tasks} tasks that training never saw"
        + (f" ({counted})" if counted else "")
        + ", with the 95 % interval of the mean over tasks.",
    ]
    return Table("New tasks", [*keys, *(["tasks with"] if several else []), *heads], rows, notes)


def _losses(known: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure()
    for one, style in _styles(known):
        iterations = [line["iteration"] for line in one.metrics]
        axes.plot(iterations, [line["accuracy" if _classes(one) else "loss"] for line in one.metrics], **style)
    if not any(map(_classes, known)):
        log_scale(axes)
    what = "accuracy" if all(map(_classes, known)) else "loss"
    axes.set(xlabel="iteration", ylabel=f"{what} on query examples of training tasks")
    legend_below(chart, axes, columns=4)
    return chart


def _by_step(known: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure()
    for one, style in _styles(known):
        evaluation = (one.result or {})["evaluations"][0]
        if len(evaluation["steps"]) < 2:
            continue
        _, values = _measure(evaluation)
        order = np.argsort(evaluation["steps"])
        steps, (means, halves) = np.array(evaluation["steps"])[order], np.transpose(values)[:, order]
        axes.plot(steps, means, marker="o", markersize=4, **style)
        axes.fill_between(steps, means - halves, means + halves, color=style["color"], alpha=0.2, linewidth=0)
    if not any(map(_classes, known)):
        log_scale(axes)
    axes.set(xlabel="steps of adaptation", ylabel="accuracy" if all(map(_classes, known)) else "loss")
    legend_below(chart, axes, columns=4)
    return chart


def _classes(one: Outcome) -> bool:
    return "accuracy" in (one.result or {})["evaluations"][0]


def _styles(known: Sequence[Outcome]) -> list[tuple[Outcome, dict[str, Any]]]:
    """A colour for each algorithm, and its name once, whatever the number of seeds."""
    labels = list(dict.fromkeys(map(_label, known)))
    seen: set[str] = set()
    found = []
    for one in known:
        label = _label(one)
        style: dict[str, Any] = {"color": COLOURS[labels.index(label) % len(COLOURS)]}
        if label not in seen:
            style["label"] = label
        seen.add(label)
        found.append((one, style))
    return found


def _curves(one: Outcome) -> Figure:
    """True functions, the examples that were seen, and the predictions."""
    curves, steps = (one.result or {})["curves"], _steps(one)
    shown = len(curves["truth"])
    chart, panels = figure(2 if shown > 1 else 1, -(-shown // 2), width=10, height=5.5)
    for task, axes in enumerate(panels[:shown]):
        axes.plot(curves["x"], curves["truth"][task], color="0.6", linewidth=5, alpha=0.6, label="truth")
        for index, step in enumerate(steps):
            label = "adapted" if step is None else f"after {step} step{'' if step == 1 else 's'}"
            style: dict[str, Any] = {
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": (":", "--", "-.", "-")[index % 4],
            }
            axes.plot(curves["x"], curves["predicted"][task][index], linewidth=1.6, label=label, **style)
        x, y = curves["support"][task]
        axes.plot(x, y, "k.", markersize=7, label="examples seen")
    for axes in panels[shown:]:
        axes.set_visible(False)
    legend_below(chart, panels[0], columns=6)
    return chart


def _sheet(one: Outcome) -> Figure:
    """A row for each task: what was seen on the left, what was asked on the right."""
    sheet = (one.result or {})["sheet"]
    tasks, ways = sheet["support"].shape[:2]
    asked = sheet["query"].shape[1]
    chart, panels = figure(tasks, ways + asked, width=0.62 * (ways + asked), height=1.0 * tasks)
    for task in range(tasks):
        row = panels[task * (ways + asked) : (task + 1) * (ways + asked)]
        for place, axes in enumerate(row):
            image = sheet["support"][task][place] if place < ways else sheet["query"][task][place - ways]
            shown = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            title, colour = str(place), "black"
            if place >= ways:
                found, right = sheet["predicted"][task][place - ways], sheet["classes"][task][place - ways]
                title = str(found) if found == right else f"{found} ({right})"
                colour = COLOURS[0] if found == right else COLOURS[1]
            axes.set_title(title, fontsize=8, color=colour)
    return chart
