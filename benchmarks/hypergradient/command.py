"""The command `python -m benchmarks hypergradient`."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import facts
from benchmarks.hypergradient import convergence, draw, errors, memory, problems, published, tasks
from benchmarks.table import WIDTH


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much is measured."""

    quick: bool

    @property
    def budgets(self) -> tuple[int, ...]:
        """Of the estimators."""
        return (2, 20) if self.quick else errors.BUDGETS

    @property
    def patience(self) -> float:
        """Seconds after which an estimator is not asked for more."""
        return 0.1 if self.quick else errors.PATIENCE

    @property
    def limit(self) -> float:
        """Seconds for each rate of an algorithm."""
        return 0.01 if self.quick else 2.0

    @property
    def steps(self) -> tuple[int, ...]:
        """Inner steps at which memory is measured."""
        return (10, 40) if self.quick else memory.STEPS


def measure_errors(extent: Extent, chosen: Callable[[str], bool], show: Callable[[str], None]) -> tuple[Any, Any]:
    """The sweeps: figures for JSON, and what is drawn."""
    results, drawn = {}, {}
    for problem in problems.problems(extent.quick):
        there = errors.at_solution(problem)
        whole, system = (
            errors.sweep(at, {k: v for k, v in made.items() if chosen(k)}, extent.budgets, extent.patience)
            for at, made in ((problem, errors.from_start(problem)), (there, errors.from_solution(problem)))
        )
        show(errors.table(f"{problem.name}: {problem.title}", whole, lambda p: p.evaluations, "evaluations"))
        title = f"{problem.name}, with the inner solution given"
        show(errors.table(title, system, lambda p: p.row.hessian_products, "products"))
        drawn[problem.name] = (problem, whole, system)
        results[problem.name] = {
            name: [{"estimator": p.estimator, "budget": p.budget} | dataclasses.asdict(p.row) for p in points]
            for name, points in (("from the start", whole), ("inner solution given", system))
        }
    return results, lambda path, caption: draw.errors(drawn, path, caption)


def measure_memory(extent: Extent, chosen: Callable[[str], bool], show: Callable[[str], None]) -> tuple[Any, Any]:
    """The peaks: figures for JSON, and what is drawn."""
    bilevel, outer = memory.penalties(60 if extent.quick else 898)
    peaks = memory.measure(bilevel, outer, extent.steps, [name for name in memory.ESTIMATORS if chosen(name)])
    title = "memory: logistic regression on digits, ten penalties, SGD with momentum"
    note = '("told": info.memory over the peak; of Reverse it is to be 1, of others what the way back keeps)'
    show("\n".join([title, *textwrap.wrap(note, WIDTH), memory.table(peaks)]))
    return [dataclasses.asdict(peak) for peak in peaks], lambda path, caption: draw.memory(peaks, path, caption)


def measure_convergence(extent: Extent, chosen: Callable[[str], bool], show: Callable[[str], None]) -> tuple[Any, Any]:
    """The curves: figures for JSON, and what is drawn."""
    results, drawn = {}, {}
    for task in tasks.tasks(extent.quick):
        curves = convergence.curves(task, extent.limit, chosen)
        show(convergence.table(task, curves))
        drawn[task.name] = (task, curves)
        results[task.name] = {"first": task.first, "goal": task.goal, "curves": [dataclasses.asdict(c) for c in curves]}
    return results, lambda path, caption: draw.convergence(drawn, path, caption)


def compare_with_papers(extent: Extent, chosen: Callable[[str], bool], show: Callable[[str], None]) -> tuple[Any, Any]:
    """The numbers of papers: figures for JSON, and nothing to draw."""
    found = published.figures(problems.quadratic(), problems.logistic())
    show(published.table(found))
    return [dataclasses.asdict(figure) for figure in found], None


#: What can be asked for: the name of a part -> what measures it.
PARTS = {
    "error": measure_errors,
    "memory": measure_memory,
    "convergence": measure_convergence,
    "published": compare_with_papers,
}


def run(arguments: Sequence[str]) -> int:
    """Measure the parts that are asked for; print tables, and write figures and plots."""
    from threadpoolctl import threadpool_limits

    import benchmarks.hypergradient
    from benchmarks.__main__ import parser, write

    cli = parser(benchmarks.hypergradient.__doc__ or "", command="hypergradient")
    cli.add_argument("part", nargs="*", help="which; all by default")
    cli.add_argument("--quick", action="store_true", help="small problems, for a test")
    options = cli.parse_args(arguments)
    for name in options.part:
        if name not in PARTS:
            raise SystemExit(f"There is no part '{name}': choose from {', '.join(PARTS)}.")

    def chosen(name: str) -> bool:
        return not options.only or any(text.lower() in name.lower() for text in options.only)

    print(facts.summary())
    threads = f"{options.threads} thread{'s' * (options.threads > 1)}"
    results: dict[str, Any] = {}
    with threadpool_limits(options.threads):
        for name in options.part or PARTS:
            found, drawn = PARTS[name](Extent(options.quick), chosen, lambda text: print(f"\n{text}", flush=True))
            results[name] = found
            if options.output is not None:
                write(options.output, "hypergradient", {"threads": options.threads, "parts": results})
                if drawn is not None:
                    drawn(options.output / f"hypergradient-{name}.png", f"{threads}; {facts.summary()}")
    return 0
