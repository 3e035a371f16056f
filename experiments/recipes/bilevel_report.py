"""The report of the recipe `bilevel`: made from what was stored, for whatever was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.experiment import Outcome, Report, Table
from experiments.recipes.bilevel_plots import plots
from experiments.report.seeds import by_setting, difference, several
from experiments.report.tables import number
from hograd.tree import leaves

if TYPE_CHECKING:
    from experiments.recipes.bilevel import bilevel

Group = dict[str, Outcome]
Groups = list[tuple[Mapping[str, str | int], Group]]

#: What outer variables are called in sentences.
WORDS = {
    "optimizer.lr": "learning rates",
    "optimizer.momentum": "momentum",
    "optimizer.weight_decay": "weight decay",
    "penalty": "L2 strengths",
    "example_weights": "weights of the training examples",
    "labels": "labels",
    "inputs": "training images",
    "augmentation": "strengths of the noise on training inputs",
    "init": "first parameters",
    "mixture": "mixtures of activations",
}


def report(recipe: bilevel, outcomes: Sequence[Outcome]) -> Report:
    """Tables, findings and plots of all seeds and methods."""
    known = [outcome for outcome in outcomes if outcome.result is not None and "validation_loss" in outcome.result]
    groups = grouped(known)
    each = _methods(groups, detail=several(known))
    tables = [_means(groups), *_gains(groups)] if each.detail else [each]
    tables += [_published(recipe, known)] if recipe.published is not None else []
    tables += [*_regained(groups), *_learned(known), *([each] if each.detail else [])]
    return Report(
        question=f"Which {listed(list(recipe.learn))} serve this training best, judged by validation examples?",
        findings=[*_findings(groups), *_cleaned(groups), *_agreement(recipe, known)],
        tables=tables,
        plots=plots(recipe, known, groups),
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


def grouped(outcomes: Sequence[Outcome]) -> Groups:
    """Outcomes of one seed (and variant) by method, in the order of the tasks."""
    found: dict[tuple, tuple[Mapping[str, str | int], Group]] = {}
    for outcome in outcomes:
        labels = {key: value for key, value in outcome.labels.items() if key != "method"}
        _, group = found.setdefault(tuple(labels.items()), (labels, {}))
        group[str(outcome.labels["method"])] = outcome
    return list(found.values())


def listed(names: Sequence[str]) -> str:
    """Outer variables in words.

    >>> listed(["optimizer.lr", "optimizer.momentum", "penalty"])
    'learning rates, momentum and L2 strengths'
    """
    words = [WORDS.get(name, name.removeprefix("optimizer.").replace("_", " ")) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def trainings_to_pass(learned: Outcome, loss: float) -> int | None:
    """Inner trainings until learning was better than a validation loss."""
    losses = [line["validation_loss"] for line in learned.metrics]
    return next((count for count, one in enumerate(losses, start=1) if one is not None and not one >= loss), None)


def searches(group: Group) -> list[Outcome]:
    """The searches for what is learned."""
    return [one for one in group.values() if one.result and one.result.get("kind") == "search"]


def _rival(group: Group) -> tuple[str, Outcome] | None:
    """What learning is measured by: the best search, or where it starts."""
    found = [(name, one) for name, one in group.items() if one.result and one.result.get("kind") in ("search", "start")]
    found = [pair for pair in found if pair[1] in searches(group)] or found
    return min(found, key=lambda pair: finite((pair[1].result or {})["validation_loss"]), default=None)


def _pairs(groups: Groups) -> dict[str, list[tuple[str, Outcome, Outcome]]]:
    """For each variant the name of its rival, the rival and what was learned, seed by seed.

    A variant without a rival of its own is measured by that of another one.
    """
    shared: dict[Any, tuple[str, Outcome]] = {}
    found: dict[str, list[tuple[str, Outcome, Outcome]]] = {}
    for labels, group in groups:
        rival = _rival(group)
        if rival is not None:
            shared.setdefault(labels.get("seed"), rival)
    for labels, group in groups:
        rival = _rival(group) or shared.get(labels.get("seed"))
        if rival is not None and "learned" in group:
            found.setdefault(str(labels.get("variant", "")), []).append((*rival, group["learned"]))
    return found


def _columns(results: Sequence[Mapping[str, Any]]) -> tuple[bool, bool, bool]:
    """Whether there are test examples, accuracies, and wrong labels to find."""
    return (
        any("test_loss" in result for result in results),
        any("test_accuracy" in result for result in results),
        any("f1" in result for result in results),
    )


def _header(keys: Sequence[str], tested: bool, accuracy: bool, found: bool, rival: bool) -> list[str]:
    return [
        *keys, "method", "valid.\nloss", *(["test\nloss", "gap"] if tested else []),
        *(["accu-\nracy"] if accuracy else []), *(["F1"] if found else []), "train-\nings",
        *(["to\npass"] if rival else []), "s",
    ]  # fmt: skip


def _methods(groups: Groups, *, detail: bool) -> Table:
    """A line for each seed and method."""
    results = [outcome.result or {} for _, group in groups for outcome in group.values()]
    shown = _columns(results)
    rival = any(searches(group) for _, group in groups)
    rows = []
    for labels, group in groups:
        losses = [(one.result or {})["validation_loss"] for one in searches(group)]
        best = min((loss for loss in losses if math.isfinite(loss)), default=None)
        for name, outcome in group.items():
            passed = "-"
            if name == "learned" and best is not None:
                count = trainings_to_pass(outcome, best)
                passed = "not yet" if count is None else str(count)
            cells = _cells([outcome], shown)
            cells[-1:-1] = [passed] if rival else []
            rows.append([*map(str, labels.values()), name, *cells])
    header = _header(list(groups[0][0]) if groups else ["seed"], *shown, rival)
    notes = [] if detail else _notes(shown)
    notes += ["To pass: inner trainings until learning was better than the best search."] if rival else []
    return Table("Each seed" if detail else "Validation and test", header, rows, notes, detail=detail)


def _means(groups: Groups) -> Table:
    """A line for each method: means over seeds."""
    outcomes = [outcome for _, group in groups for outcome in group.values()]
    shown = _columns([outcome.result or {} for outcome in outcomes])
    settings = by_setting(outcomes)
    rows = [[*map(str, labels.values()), *_cells(seeds, shown)] for labels, seeds in settings]
    keys = [key for key in settings[0][0] if key != "method"]
    count = len({one.labels["seed"] for one in outcomes})
    return Table(f"Validation and test: means over {count} seeds", _header(keys, *shown, False), rows, _notes(shown))


def _notes(shown: tuple[bool, bool, bool]) -> list[str]:
    tested, accuracy, found = shown
    what = "Losses on validation and test examples" if tested else "Losses on validation examples"
    parts = [what, *(["the share of test examples that are right"] if accuracy else [])]
    notes = [f"{', '.join(parts)}, and inner trainings; one of the learned values includes its hypergradient."]
    if tested:
        notes.append(
            "Gap: test loss less validation loss. What was chosen by validation examples looks better on them than it "
            "is."
        )
    if found:
        notes.append("F1: of finding the wrong labels, by a learned weight below a half.")
    return notes


def _cells(outcomes: Sequence[Outcome], shown: tuple[bool, bool, bool]) -> list[str]:
    """The numbers of a line: means, where there are several."""
    tested, accuracy, found = shown
    results = [one.result or {} for one in outcomes]

    def mean(key: str) -> float | None:
        values = [result[key] for result in results if key in result]
        return float(np.mean(values)) if values else None

    def cell(value: float | None, write: Any) -> str:
        return "-" if value is None else write(value)

    validation, test = mean("validation_loss"), mean("test_loss")
    cells = [cell(validation, number)]
    if tested:
        cells += ["-", "-"] if test is None or validation is None else [number(test), f"{test - validation:+.4f}"]
    cells += [cell(mean("test_accuracy"), lambda share: f"{100 * share:.1f} %")] if accuracy else []
    cells += [cell(mean("f1"), lambda share: f"{share:.3f}")] if found else []
    return [*cells, f"{mean('trainings'):.0f}", f"{np.mean([one.seconds for one in outcomes]):.1f}"]


#: What learning changes: the key of a result, its column, its factor, and digits.
CHANGES = (
    ("validation_loss", "valid. loss", 1, 4),
    ("test_loss", "test loss", 1, 4),
    ("test_accuracy", "% right", 100, 1),
)


def _gains(groups: Groups) -> list[Table]:
    """What was learned less its rival, with intervals of the differences between runs of the same seed."""
    pairs = _pairs(groups)
    known = [change for change in CHANGES if all(
        change[0] in (one.result or {}) for seeds in pairs.values() for _, *both in seeds for one in both
    )]  # fmt: skip
    rows = []
    for variant, seeds in pairs.items():
        cells = []
        for key, _, factor, digits in known:
            cells.append(
                difference([factor * ((b.result or {})[key] - (a.result or {})[key]) for _, a, b in seeds], digits)
            )
        rows.append([*([variant] if variant else []), seeds[0][0], *cells])
    if not rows:
        return []
    header = [*(["variant"] if any(pairs) else []), "learned less", *(name for _, name, _, _ in known)]
    note = "Mean of the differences on the same data, ± half of its 95 % interval over seeds."
    return [Table("What learning changes", header, rows, [note])]


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


def _shares(groups: Groups, low: str, high: str, key: str, shown: Sequence[str]) -> dict[str, list[list[float]]]:
    """For each variant and seed the test accuracies in percent, and last the share of their gap that is regained."""
    found: dict[str, list[list[float]]] = {}
    for labels, group in groups:
        accuracies = {name: (one.result or {}).get("test_accuracy") for name, one in group.items()}
        cleaned = (group["learned"].result or {}).get(key) if "learned" in group else None
        least, most = accuracies.get(low), accuracies.get(high)
        if cleaned is None or least is None or most is None:
            continue
        part = (cleaned - least) / (most - least) if most > least else math.nan
        line = [*(accuracies.get(name) for name in shown), cleaned, part]
        shares = [math.nan if share is None else 100 * share for share in line]
        found.setdefault(str(labels.get("variant", "")), []).append(shares)
    return found


def _regained(groups: Groups) -> list[Table]:
    """What cleaning regains of the test accuracy that wrong labels cost."""
    tables = []
    for low, high, key, shown, words in ENDS:
        found = _shares(groups, low, high, key, shown)
        rows = []
        for variant, seeds in found.items():
            *shares, part = np.mean(seeds, axis=0)
            cells = ["-" if math.isnan(share) else f"{share:.1f}" for share in shares]
            rows.append([*([variant] if variant else []), *cells, "-" if math.isnan(part) else f"{part:.0f} %"])
        if rows:
            heads = [name.removesuffix(" + validation").replace("validation alone", "valid.") for name in shown]
            header = [*(["variant"] if any(found) else []), *heads, "cleaned", "regained"]
            seeds = len(next(iter(found.values())))
            means = f"; means over {seeds} seeds" if seeds > 1 else ""
            note = f"Percent of the test examples right{words}, and the share of the gap that cleaning regains{means}."
            title = "What cleaning regains" + (" beside the validation examples" if words else "")
            tables.append(Table(title, header, rows, [note]))
    return tables


def _cleaned(groups: Groups) -> list[str]:
    """The share that cleaning regains, in sentences."""
    (low, high, key, shown, _), beside = ENDS[0], _shares(groups, *ENDS[1][:4])
    found = []
    for variant, seeds in _shares(groups, low, high, key, shown).items():
        scores = [
            (group["learned"].result or {})["f1"]
            for labels, group in groups
            if str(labels.get("variant", "")) == variant and "f1" in (group["learned"].result or {})
        ]
        text = f"{variant}: wrong" if variant else "Wrong"
        text += f" labels are found with F1 {np.mean(scores):.3f}; of the accuracy that they cost, training with the "
        text += f"weights regains {np.mean(seeds, axis=0)[-1]:.0f} %"
        if variant in beside:
            text += (
                f", and {np.mean(beside[variant], axis=0)[-1]:.0f} % where the validation examples are trained on too"
            )
        found.append(f"{text}.")
    return found


def _learned(outcomes: Sequence[Outcome]) -> list[Table]:
    """What was learned, in numbers: means over seeds."""
    rows, keys = [], []
    for labels, seeds in by_setting([one for one in outcomes if one.labels["method"] == "learned"]):
        keys = [key for key in labels if key != "method"]
        for name in (seeds[0].result or {}).get("learned", {}):
            values = [
                np.concatenate([np.ravel(leaf) for leaf in leaves((one.result or {})["learned"][name])])
                for one in seeds
            ]
            told = [np.mean([summed(one) for one in values]) for summed in (np.min, np.median, np.max)]
            cells = [f"{value:.3g}" for value in told]
            cells = ["-", cells[1], "-"] if values[0].size == 1 else cells
            rows.append([*(str(labels[key]) for key in keys), name, f"{values[0].size:,}", *cells])
    header = [*keys, "what", "numbers", "smallest", "median", "largest"]
    return [Table("What was learned", header, rows, ["Means over seeds, where there are several."])] if rows else []


def _published(recipe: bilevel, outcomes: Sequence[Outcome]) -> Table:
    printed = recipe.published
    assert printed is not None
    rows = []
    for outcome in outcomes:
        for step, loss, ours in _beside(recipe, outcome):
            rows.append([str(outcome.labels["seed"]), step, "-" if ours is None else f"{ours:.10f}", f"{loss:.10f}"])
    header = ["seed", "outer\nstep", "validation\nloss", f"printed by\n{printed.source}"]
    return Table(f"Beside {printed.source}", header, rows, [printed.note] if printed.note else [])


def _beside(recipe: bilevel, outcome: Outcome) -> list[tuple[str, float, float | None]]:
    """Outer steps, the losses that are printed for them, and ours."""
    if recipe.published is None or outcome.labels["method"] != "learned":
        return []
    ours = {line["step"]: line["validation_loss"] for line in outcome.metrics}
    return [(step, loss, ours.get(int(step))) for step, loss in recipe.published.losses.items()]


def _agreement(recipe: bilevel, outcomes: Sequence[Outcome]) -> list[str]:
    pairs = [(loss, ours) for one in outcomes for _, loss, ours in _beside(recipe, one) if ours is not None]
    if recipe.published is None or not pairs:
        return []
    worst = max(abs(ours - loss) / abs(loss) for loss, ours in pairs)
    return [f"Of the losses that {recipe.published.source} print, ours differ by at most {worst:.1e} of their size."]


def _findings(groups: Groups) -> list[str]:
    """What the numbers say, in sentences: a variant each."""
    found = []
    for variant, seeds in _pairs(groups).items():
        text = f"{variant}: learned" if variant else "Learned"
        text += f" against {seeds[0][0]}: validation loss {_percent(seeds, 'validation_loss')}"
        both = [one.result or {} for _, *pair in seeds for one in pair]
        if all("test_loss" in result for result in both):
            text += f", test loss {_percent(seeds, 'test_loss')}"
            gaps = [np.mean([r["test_loss"] - r["validation_loss"] for r in part]) for part in (both[1::2], both[::2])]
            text += f"; the gap between them is {gaps[0]:+.4f}, beside {gaps[1]:+.4f}"
        found.append(f"{text}.")
    return found


def _percent(seeds: Sequence[tuple[str, Outcome, Outcome]], key: str) -> str:
    """How much lower or higher than the rival's, on average over seeds."""
    theirs, ours = (
        np.mean([finite((one.result or {})[key]) for one in part])
        for part in zip(*(pair[1:] for pair in seeds), strict=True)
    )
    change = 100 * (ours / theirs - 1) if theirs else math.inf
    return f"{change:+.1f} %" if change < 900 else "far above"


def finite(value: float | None) -> float:
    """The value, or infinity where it is none."""
    return math.inf if value is None or not math.isfinite(value) else value
