"""The recipe `estimators`: how good the estimators of a hypergradient are, and what they cost, on one problem."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.components import Count, DataChoice, LearnChoice, MethodChoice, ModelChoice, choose, register
from experiments.errors import Refused
from experiments.experiment import Outcome, Plot, Report, Table, Task
from experiments.recipes.bilevel import Inner, Outer, bilevel
from experiments.recipes.bilevel_problem import made
from experiments.recipes.names import told_apart
from experiments.report.plots import COLOURS, figure, legend_below
from experiments.report.seeds import by_setting, several
from experiments.report.tables import number
from hograd.errors import ConvergenceWarning, HogradError
from optim.hyper import hypergradient

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("experiment")
@dataclasses.dataclass(frozen=True)
class estimators:
    """Estimators of one hypergradient, compared for error, direction, cost and memory.

    Args:
        data: what is trained and validated on.
        learn: the outer variables, at their first values.
        methods: the estimators.
        exact: the estimator that is taken for the truth.
        model: the network.
        inner: the training that is differentiated through.
        repeats: calls of an estimator that draws, for its spread; the others are called once.
    """

    data: DataChoice
    learn: dict[str, LearnChoice]
    methods: tuple[MethodChoice, ...]
    exact: MethodChoice = choose("Reverse")
    model: ModelChoice = choose("linear")
    inner: Inner = dataclasses.field(default_factory=Inner)
    repeats: Count = 1

    def bilevel(self, method: Any) -> bilevel:
        """The problem as the recipe `bilevel` has it, with one of the estimators."""
        return bilevel(self.data, self.learn, self.model, self.inner, Outer(method=method))

    def check(self) -> None:
        """Refuse an empty list, and parts that cannot work together."""
        if not self.methods:
            raise Refused(
                "methods", "it is empty, so there is nothing to compare; write [Reverse, Forward] for example"
            )
        if not self.learn:
            raise Refused("learn", "it is empty, so there is nothing to differentiate by")
        for index, method in enumerate((self.exact, *self.methods)):
            try:
                made(self.bilevel(method), 0).method()
            except (HogradError, TypeError) as error:
                raise Refused(f"methods[{index - 1}]" if index else "exact", str(error)) from None

    def memory(self) -> int:
        """Of the exact one."""
        return made(self.bilevel(self.exact), 0).memory()

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """For each seed every estimator."""
        return [EstimatorTask(self, seed, index) for seed in seeds for index in range(len(self.methods))]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """Error against cost."""
        known = [one for one in outcomes if one.result and "error" in one.result]
        return Report(
            question="Which estimator of the hypergradient is good enough here, and what does it cost?",
            findings=_findings(known),
            tables=[_table([one for one in outcomes if one.result])],
            plots=[Plot("error", "Error against gradients and Hessian products of one call.", lambda: _plot(known))]
            if known
            else [],
            figures=[
                (one.labels, {key: float(v) for key, v in (one.result or {}).items() if isinstance(v, int | float)})
                for one in known
            ],
        )


class EstimatorTask:
    """One estimator on one seed; a step is one call of it."""

    def __init__(self, recipe: estimators, seed: int, index: int):
        self.recipe, self.seed = recipe, seed
        self.choice = recipe.methods[index]
        self.name = f"seed{seed}-{index + 1:02d}-{self.choice.name}"
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": told_apart(recipe.methods)[index]}
        self.steps = recipe.repeats if "seed" in self.choice.options else 1

    def prepare(self) -> None:
        """Make the problem, and the exact hypergradient."""
        recipe = self.recipe
        self.parts = made(recipe.bilevel(self.choice), self.seed)
        self.free = self.parts.begin()
        self.method = self.parts.method()
        truth = made(recipe.bilevel(recipe.exact), self.seed)
        self.problem = self.parts.problem(self.parts.training.params, self.parts.batches())
        self.truth = _flat(hypergradient(self.problem, self.free, truth.method()).hypergrad)

    def start(self) -> Any:
        """Nothing was called."""
        return {"calls": 0, "found": [], "gradients": 0, "products": 0, "memory": None, "failure": ""}

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """One call; one that draws draws anew, by a seed that the number of the call fixes."""
        number, method = state["calls"], self.method
        if "seed" in self.choice.options:
            method = dataclasses.replace(method, seed=self.choice.options["seed"] + number)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                result = hypergradient(self.problem, self.free, method)
        except HogradError as error:
            return {**state, "calls": self.steps, "failure": str(error)}, {"call": number, "failure": str(error)}
        found = _flat(result.hypergrad)
        error = float(np.linalg.norm(found - self.truth) / np.linalg.norm(self.truth))
        return {
            "calls": number + 1,
            "found": [*state["found"], found],
            "gradients": result.info.inner_gradients,
            "products": result.info.hessian_products,
            "memory": result.info.memory,
            "failure": "",
        }, {"call": number, "error": error}

    def done(self, state: Any) -> bool:
        """Whether all calls were made."""
        return state["calls"] >= self.steps

    def score(self, state: Any) -> float | None:
        """No call is better than another."""
        return None

    def result(self, state: Any) -> Mapping[str, Any]:
        """Error, spread and direction of the mean of the calls, and the cost of one."""
        if state["failure"]:
            return {"failure": state["failure"]}
        if not state["found"]:
            return {}
        size = np.linalg.norm(self.truth)
        mean = np.mean(state["found"], axis=0)
        spread = np.sqrt(np.mean([np.sum((one - mean) ** 2) for one in state["found"]]))
        length = np.linalg.norm(mean)
        return {
            "error": float(np.linalg.norm(mean - self.truth) / size),
            "spread": float(spread / size) if len(state["found"]) > 1 else 0.0,
            "cosine": float(mean @ self.truth / (length * size)) if length else 0.0,
            "gradients": state["gradients"],
            "products": state["products"],
            "memory": state["memory"],
        }


def _flat(values: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf.numpy()).astype(np.float64) for leaf in ho.tree.leaves(values)])


def _table(outcomes: Sequence[Outcome]) -> Table:
    """A line for each estimator: the largest error of the seeds, and means of the rest."""
    rows, failures = [], []
    drawn = any((one.result or {}).get("spread") for one in outcomes)
    settings = by_setting(outcomes)
    for labels, seeds in settings:
        name = [str(value) for value in labels.values()]
        results = [one.result or {} for one in seeds]
        failed = [result["failure"] for result in results if "failure" in result]
        if failed or not all(results):
            failures += [f"{labels['method']} failed: {reason}" for reason in failed]
            rows.append([*name, "failed", *(["-"] if drawn else []), *["-"] * 5])
            continue
        memory = max((result["memory"] for result in results if result["memory"] is not None), default=None)
        spread = max(result["spread"] or 0.0 for result in results)
        calls = sum(len(one.metrics) for one in seeds)
        rows.append(
            [
                *name,
                f"{max(result['error'] for result in results):.1e}",
                *([f"{spread:.1e}" if spread else "-"] if drawn else []),
                f"{np.mean([result['cosine'] for result in results]):.4f}",
                f"{np.mean([result['gradients'] for result in results]):.0f}",
                f"{np.mean([result['products'] for result in results]):.0f}",
                "-" if memory is None else number(memory / 1e3),
                f"{sum(one.seconds for one in seeds) / max(calls, 1):.2f}",
            ]
        )
    keys = list(settings[0][0]) if settings else ["method"]
    header = [
        *keys,
        "error",
        *(["spread"] if drawn else []),
        "cosine",
        "grad-\nients",
        "prod-\nucts",
        "kB",
        "s a\ncall",
    ]
    notes = [
        "Error and cosine are against the exact hypergradient"
        + (": the largest error of the seeds, and the mean cosine." if several(outcomes) else "."),
        "Gradients of the inner loss, products with its Hessian, kilobytes that are kept for the way back, and seconds "
        "are of one call.",
        *(["Spread: the standard deviation of one call, for estimators that draw."] if drawn else []),
        *dict.fromkeys(failures),
    ]
    return Table("Estimators", header, rows, notes)


def _good(outcomes: Sequence[Outcome]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The estimators that did not fail, and their results of all seeds."""
    found = [(str(labels["method"]), [one.result or {} for one in seeds]) for labels, seeds in by_setting(outcomes)]
    return [(name, results) for name, results in found if all("error" in result for result in results)]


def _cost(results: Sequence[Mapping[str, Any]]) -> float:
    return float(np.mean([result["gradients"] + result["products"] for result in results]))


def _findings(outcomes: Sequence[Outcome]) -> list[str]:
    good = [(name, r) for name, r in _good(outcomes) if max(result["error"] for result in r) < 1e-3]
    if not good:
        return ["No estimator comes within 0.1 % of the exact hypergradient."]
    name, results = min(good, key=lambda pair: _cost(pair[1]))
    rough = [name for name, r in _good(outcomes) if max(one["error"] for one in r) > 0.2
             and min(one["cosine"] for one in r) > 0.99]  # fmt: skip
    found = [
        f"The cheapest within 0.1 % is {name}: {results[0]['gradients']} gradients and {results[0]['products']} "
        "products with the Hessian."
    ]
    if rough:
        found.append(f"Too short or too long by more than 20 %, and yet of the right direction: {', '.join(rough)}.")
    return found


def _plot(outcomes: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure(height=4.8)
    axes.set(xscale="log", yscale="log", xlabel="gradients and Hessian products of one call", ylabel="relative error")
    for index, (name, results) in enumerate(_good(outcomes)):
        error = max(max(result["error"] for result in results), 1e-17)
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": "osD^v<>P"[index % 8]}
        axes.plot(_cost(results), error, markersize=8, linestyle="none", label=name, **style)
    legend_below(chart, axes, columns=2)
    return chart
