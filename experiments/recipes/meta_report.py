"""The report of the recipe `meta`: made from what was stored, for whatever algorithm and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Plot, Report, Table
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.seeds import by_setting, interval, several

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
        tables=_tables(recipe, known),
        plots=plots if known else [],
        figures=[(one.labels, _figures(one)) for one in known],
    )


def _steps(one: Outcome) -> list[int | None]:
    return (one.result or {})["evaluations"][0]["steps"]


def _label(one: Outcome) -> str:
    """What sets a curve apart, but for the seed."""
    left_out = ("seed", "algorithm") if "variant" in one.labels else ("seed",)
    return ", ".join(str(value) for key, value in one.labels.items() if key not in left_out)


def _measure(evaluation: Mapping[str, Any]) -> tuple[str, list[tuple[float, float]]]:
    """What counts: accuracy where tasks have classes, else the loss; by steps, with half of its interval."""
    name = "accuracy" if "accuracy" in evaluation else "loss"
    return name, [(mean, half) for mean, half in evaluation[name]]


def written(name: str, mean: float, half: float) -> str:
    """A mean and its interval in few characters.

    >>> written("accuracy", 0.8765, 0.0123), written("loss", 0.4704, 0.0418), written("loss", 0.0012, 0.00004)
    ('87.6 ± 1.2 %', '0.470 ± 0.042', '0.0012 ± 4e-05')
    """
    if name == "accuracy":
        return f"{100 * mean:.1f} ± {100 * half:.1f} %"
    return f"{mean:.3f} ± {half:.3f}" if 0.01 < abs(mean) < 1000 else f"{mean:.2g} ± {half:.1g}"


def _figures(one: Outcome) -> dict[str, float]:
    found = {}
    for evaluation in (one.result or {})["evaluations"]:
        name, values = _measure(evaluation)
        setting = "".join(f"_{key}{value}" for key, value in evaluation["setting"].items())
        for step, (mean, _) in zip(evaluation["steps"], values, strict=True):
            found[f"{name}{setting}" + ("" if step is None else f"_after_{step}")] = mean
    return found


def _tables(recipe: MetaLearning, known: Sequence[Outcome]) -> list[Table]:
    """Each seed, and where there are several their means."""
    of_each = [(one.labels, (one.result or {})["evaluations"]) for one in known]
    if not several(known):
        return [_table(recipe, "New tasks", of_each, _over_tasks(recipe))]
    means = [
        (labels, _mean_of([(one.result or {})["evaluations"] for one in ones])) for labels, ones in by_setting(known)
    ]
    over_seeds = f"Means over {len({one.labels['seed'] for one in known})} seeds, with their 95 % intervals."
    return [
        _table(recipe, "New tasks", means, [*_over_tasks(recipe)[:1], over_seeds]),
        _table(recipe, "Each seed", of_each, _over_tasks(recipe), detail=True),
    ]


def _mean_of(seeds: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The evaluations of several seeds as one: means over seeds in place of means over tasks."""
    found = []
    for same in zip(*seeds, strict=True):
        one = dict(same[0])
        name, _ = _measure(one)
        one[name] = [interval([mean for mean, _ in column]) for column in zip(*(e[name] for e in same), strict=True)]
        if "baseline" in one:
            one["baseline"] = interval([evaluation["baseline"][0] for evaluation in same])
        found.append(one)
    return found


def _over_tasks(recipe: MetaLearning) -> list[str]:
    options = recipe.family.options
    counted = ", ".join(f"{options[name]} {name}" for name in ("ways", "shots") if name in options)
    return [
        f"{'Accuracy' if 'ways' in options else 'Loss'} on the query examples of {recipe.evaluation.tasks} tasks that "
        "training never saw" + (f" ({counted})." if counted else "."),
        "Each with the 95 % interval of the mean over tasks.",
    ]


def _table(recipe: MetaLearning, title: str, lines: Sequence[Any], notes: Sequence[str], detail: bool = False) -> Table:
    """A row for each evaluation, a column for each number of steps."""
    keys = list(lines[0][0] if lines else ["algorithm", "seed"])
    if "variant" in keys:
        keys.remove("algorithm")
    every = [evaluation for _, evaluations in lines for evaluation in evaluations]
    steps = list(dict.fromkeys(step for evaluation in every for step in evaluation["steps"]))
    settings, baseline = any(one["setting"] for one in every), any("baseline" in one for one in every)
    rows = []
    for labels, evaluations in lines:
        for evaluation in evaluations:
            name, values = _measure(evaluation)
            cells = dict(zip(evaluation["steps"], (written(name, *value) for value in values), strict=True))
            setting = ", ".join(f"{value} {key}" for key, value in evaluation["setting"].items()) or "as in training"
            beside = written("accuracy", *evaluation["baseline"]) if "baseline" in evaluation else "-"
            rows.append(
                [
                    *(str(labels.get(key, "-")) for key in keys),
                    *([setting] if settings else []),
                    *(cells.get(step, "-") for step in steps),
                    *([beside] if baseline else []),
                ]
            )
    heads = ["adapted" if step is None else f"after\n{step} step{'' if step == 1 else 's'}" for step in steps]
    header = [*keys, *(["tasks with"] if settings else []), *heads, *(["nearest mean\nof inputs"] if baseline else [])]
    return Table(title, header, rows, notes, detail)


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
