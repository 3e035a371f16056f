"""How good the estimators of a hypergradient are, and what they cost, on the problem at hand."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.replay import repeated
from hograd.errors import ArgumentError, ConvergenceWarning, HogradError, MissingExtraError
from optim.hyper.problem import Bilevel, Method, expect_count, hypergradient
from optim.hyper.reverse import Reverse


@dataclasses.dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: what it was called.
        kind: the name of its class, or of its solver's.
        error: |mean hypergradient - exact| / |exact|; for a method that draws, the mean over its repeats.
        spread: standard deviation of one hypergradient around that mean, relative to |exact|; 0 for most methods.
        cosine: of the angle between the mean hypergradient and the exact one.
        value_error: of the outer loss, absolute.
        inner_gradients, hessian_products: number of them in one call.
        seconds: of the fastest call.
        memory: bytes kept for the way back, or None if the method does not tell.
        residual: of the method's linear system, or None.
        converged: False if the method said that an iteration of its own ended too early; the table marks the
            residual with "!".
        failure: why there is no number, or "".
    """

    name: str
    kind: str = ""
    error: float = np.nan
    spread: float = np.nan
    cosine: float = np.nan
    value_error: float = np.nan
    inner_gradients: int = 0
    hessian_products: int = 0
    seconds: float = np.nan
    memory: int | None = None
    residual: float | None = None
    converged: bool = True
    failure: str = ""

    @property
    def work(self) -> int:
        """Inner gradients and products with the Hessian together: each takes about as long as a training step."""
        return self.inner_gradients + self.hessian_products


HEADS = ("method", "error", "spread", "cosine", "gradients", "products", "seconds", "memory", "residual")


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; printed, it is a table.

    Attributes:
        rows: one for each method.
    """

    rows: list[Row]

    def __str__(self) -> str:
        table: list[tuple[str, ...]] = [HEADS]
        for row in self.rows:
            if row.failure:
                table.append((row.name, row.failure, *[""] * (len(HEADS) - 2)))
                continue
            numbers = (f"{row.error:.1e}", f"{row.spread:.1e}" if row.spread else "-", f"{row.cosine:.6f}")
            counts = (str(row.inner_gradients), str(row.hessian_products), f"{row.seconds:.2g}", _bytes(row.memory))
            mark = " " if row.converged else "!"
            table.append((row.name, *numbers, *counts, "- " if row.residual is None else f"{row.residual:.1e}{mark}"))
        widths = [max(len(line[i]) for line in table if line[2] or i == 0) for i in range(len(HEADS))]
        lines = []
        for line in table:
            columns = enumerate(zip(line, widths, strict=True))
            cells = [cell.rjust(w) if i and line[2] else cell.ljust(w) for i, (cell, w) in columns]
            lines.append("  ".join(cells).rstrip())
        if any(not row.converged for row in self.rows):
            lines += ["", "! an iteration of the method ended before it had the accuracy that it was asked for"]
        return "\n".join(lines)

    def plot(self, axes: Any = None, cost: str = "work") -> Any:
        """Error against cost, on logarithmic axes: a colour and a line for each kind of method.

        The line of a method that draws reaches up by its spread.

        Args:
            axes: Matplotlib axes; new ones by default.
            cost: "work", inner gradients and products with the Hessian; "seconds"; or "memory", where it is known.

        Returns:
            The axes.

        Raises:
            MissingExtraError: Matplotlib is not installed.
            ArgumentError: there is no such cost.
        """
        if cost not in COSTS:
            raise ArgumentError(f"Diagnosis.plot: cost is {cost!r}, expected one of {', '.join(map(repr, COSTS))}.")
        if axes is None:
            try:
                from matplotlib.figure import Figure
            except ImportError as error:
                raise MissingExtraError(
                    "Diagnosis.plot needs Matplotlib: pip install 'hograd[experiments]', or pass axes."
                ) from error
            axes = Figure(figsize=(8, 4.5), layout="constrained").subplots()
        kinds: dict[str, list[Row]] = {}
        for row in self.rows:
            if not row.failure and getattr(row, cost):
                kinds.setdefault(row.kind, []).append(row)
        for number, (kind, rows) in enumerate(kinds.items()):
            rows = sorted(rows, key=lambda row: getattr(row, cost))
            # Nothing is exact to more than this, and zero has no place on the axis.
            heights = [max(row.error, float(np.finfo(np.float64).eps)) for row in rows]
            costs, label = [getattr(row, cost) for row in rows], rows[0].name if len(rows) == 1 else kind
            marker, color = MARKERS[number % len(MARKERS)], f"C{number % 10}"
            axes.plot(costs, heights, marker=marker, color=color, linewidth=0.8, label=label)
            for x, height, row in zip(costs, heights, rows, strict=True):
                if row.spread:
                    axes.errorbar(x, height, yerr=[[0.0], [row.spread]], fmt="none", ecolor=color, capsize=3)
        axes.set(xscale="log", yscale="log", xlabel=COSTS[cost])
        axes.set_ylabel("error relative to the exact hypergradient")
        axes.grid(visible=True, which="major", linewidth=0.3)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return axes


COSTS = {
    "work": "inner gradients and products with the Hessian",
    "seconds": "seconds",
    "memory": "bytes kept for the way back",
}
#: Not as many as colours, so that two kinds differ in one of both.
MARKERS = "osD^v<>Pp"


def diagnose(
    problem: Bilevel, outer: Any, methods: Mapping[str, Method], exact: Method | None = None, repeats: int = 1
) -> Diagnosis:
    """Compare estimators with the exact hypergradient, for cost, bias and direction.

    Args:
        problem: the bilevel problem.
        outer: tree of outer variables.
        methods: the methods to compare, by name. One that fails is reported with its reason.
        exact: the method that is taken for the truth: `Reverse` through all of training, or `Implicit(Dense(), ...)` at
            a converged inner solution, whichever derivative is meant. By default `Reverse` through as many steps as
            the longest of `methods` trains.
        repeats: calls of each method, >= 1. A method that draws noise needs several, with a generator as its seed.

    All calls see the same random draws of the losses, so that they are compared at the same training.

    Returns:
        A `Diagnosis`: rows of numbers, a table when printed, and `plot()`.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, CG, Identity, Implicit
    >>> problem = Bilevel(
    ...     inner_loss=lambda w, a: (2 * (w - a) ** 2).sum(),
    ...     outer_loss=lambda w, a: (w**2).sum(),
    ...     init=ho.zeros(2),
    ...     optimizer=SGD(lr=0.1),
    ... )
    >>> methods = {"implicit": Implicit(CG(), steps=100), "identity": Implicit(Identity(), steps=100)}
    >>> found = diagnose(problem, ho.tensor([1.0, 2.0]), methods)
    >>> [f"{row.name}: error {row.error:.2f}, cosine {row.cosine:.2f}" for row in found.rows]
    ['implicit: error 0.00, cosine 1.00', 'identity: error 3.00, cosine 1.00']
    """
    expect_count("diagnose: repeats", repeats, 1)
    if exact is None:
        told = [getattr(method, "steps", None) for method in methods.values()]
        steps = [count for count in told if isinstance(count, int)]
        if not steps:
            raise ArgumentError(
                "diagnose: none of `methods` says how many steps it trains, so there is no method to compare with; "
                "pass exact=, such as Implicit(Dense(), solve=...)."
            )
        exact = Reverse(max(steps))
    draws = repeated()
    with draws():
        truth = hypergradient(problem, outer, exact)
    target = _flat(truth.hypergrad)
    size = np.linalg.norm(target)
    if not np.isfinite(size) or size == 0:
        raise ArgumentError(
            f"diagnose: the exact hypergradient has norm {size:g}, and errors relative to it mean nothing; diagnose at "
            "other outer variables."
        )
    rows = []
    for name, method in methods.items():
        found, seconds = [], np.inf
        try:
            with warnings.catch_warnings():
                # The row tells.
                warnings.simplefilter("ignore", ConvergenceWarning)
                for _ in range(repeats):
                    started = time.perf_counter()
                    with draws():
                        result = hypergradient(problem, outer, method)
                    seconds = min(seconds, time.perf_counter() - started)
                    found.append(_flat(result.hypergrad))
        except HogradError as error:
            rows.append(Row(name, failure=str(error).split(": ", 1)[-1].split(". ")[0]))
            continue
        mean = np.mean(found, axis=0)
        # The same each time is the same: rounding in the mean is no spread.
        drawn = any((g != found[0]).any() for g in found)
        length = np.linalg.norm(mean)
        rows.append(
            Row(
                name,
                type(getattr(method, "solver", method)).__name__,
                error=float(np.linalg.norm(mean - target) / size),
                spread=float(np.sqrt(np.mean([np.sum((g - mean) ** 2) for g in found])) / size) if drawn else 0.0,
                cosine=float(mean @ target / (length * size)) if length else 0.0,
                value_error=abs(float(result.value) - float(truth.value)),
                inner_gradients=result.info.inner_gradients,
                hessian_products=result.info.hessian_products,
                seconds=seconds,
                memory=result.info.memory,
                residual=result.info.residual,
                converged=result.info.converged,
            )
        )
    return Diagnosis(rows)


def _bytes(count: int | None) -> str:
    if count is None:
        return "-"
    power = min(max(len(str(count)) - 1, 0) // 3, 4)
    return f"{count / 1000**power:.3g} {('B', 'KB', 'MB', 'GB', 'TB')[power]}"


def _flat(values: Any) -> Any:
    return np.concatenate([np.ravel(x.detach().numpy()).astype(np.float64) for x in tree.leaves(values)])
