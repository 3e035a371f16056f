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
from experiments.report.plots import COLOURS, figure
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
        repeats: calls of each; one that draws needs several for its spread.
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
        called = self.choice.name
        solver = self.choice.options.get("solver")
        if solver is not None:
            called += f"({solver.name})"
        same = sum(one.name == self.choice.name for one in recipe.methods) > 1
        self.name = f"seed{seed}-{index + 1:02d}-{self.choice.name}"
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": f"{index + 1} {called}" if same else called}
        self.steps = recipe.repeats

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
    keys = list(outcomes[0].labels) if outcomes else ["seed", "method"]
    rows = []
    for one in outcomes:
        result = one.result or {}
        if "failure" in result:
            rows.append([*map(str, one.labels.values()), "failed", "-", "-", "-", "-", "-", "-"])
            continue
        calls = max(len(one.metrics), 1)
        memory = "-" if result["memory"] is None else f"{result['memory'] / 1e6:.3g} MB"
        rows.append(
            [
                *map(str, one.labels.values()),
                f"{result['error']:.1e}",
                f"{result['spread']:.1e}",
                f"{result['cosine']:.4f}",
                str(result["gradients"]),
                str(result["products"]),
                memory,
                f"{one.seconds / calls:.2f}",
            ]
        )
    failed = [
        (one.labels["method"], one.result["failure"]) for one in outcomes if one.result and "failure" in one.result
    ]
    failures = [f"{method} failed: {reason}" for method, reason in failed]
    header = [*keys, "error", "spread", "cosine", "gradients", "products", "memory", "seconds\na call"]
    notes = ["Error, spread and cosine are relative to the exact hypergradient.", *dict.fromkeys(failures)]
    return Table("Estimators", header, rows, notes)


def _findings(outcomes: Sequence[Outcome]) -> list[str]:
    good = [one for one in outcomes if one.result and one.result["error"] < 1e-3]
    if not good:
        return ["No estimator comes within 0.1 % of the exact hypergradient."]
    cheapest = min(good, key=lambda one: (one.result or {})["gradients"] + (one.result or {})["products"])
    result = cheapest.result or {}
    return [
        f"The cheapest within 0.1 % is {cheapest.labels['method']}: {result['gradients']} gradients and "
        f"{result['products']} products with the Hessian."
    ]


def _plot(outcomes: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure()
    axes.set(xscale="log", yscale="log", xlabel="gradients and Hessian products of one call", ylabel="relative error")
    names = list(dict.fromkeys(str(one.labels["method"]) for one in outcomes))
    for one in outcomes:
        result, index = one.result or {}, names.index(str(one.labels["method"]))
        cost, error = max(result["gradients"] + result["products"], 1), max(result["error"], 1e-17)
        axes.plot(cost, error, "osD^v<>P"[index % 8], color=COLOURS[index % len(COLOURS)], markersize=8)
        axes.annotate(f" {names[index]}", (cost, error), fontsize=8, va="center")
    return chart
