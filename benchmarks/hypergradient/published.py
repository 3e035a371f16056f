"""Numbers that a paper prints or proves, with ours beside them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

import hograd as ho
from benchmarks.hypergradient.errors import at_solution
from benchmarks.hypergradient.problems import Problem
from benchmarks.table import WIDTH
from optim import SGD
from optim.hyper import CG, FixedPoint, Implicit, Reverse, Truncated, hypergradient, train

#: The validation loss that the notebook of Grazzi et al. (2020) prints at some outer steps.
PRINTED = {0: 0.5743989944, 10: 0.5337678790, 20: 0.3615218699, 30: 0.3225042522, 40: 0.2987646163}

#: The inner loss that the notebook prints after some inner steps.
INNER = {0: 0.6931472421, 10: 0.6285591125, 20: 0.6243906021, 99: 0.6240898371}


@dataclass(frozen=True)
class Figure:
    """One number: of which source, what it is, theirs, ours, and what differs between the two."""

    source: str
    what: str
    theirs: float
    ours: float
    differs: str


PRECISION = "computed there in single precision, here in double"


def notebook(problem: Problem) -> list[Figure]:
    """The numbers that the notebook of Grazzi et al. (2020) prints, of the problem `logistic`."""
    source, bilevel = "Grazzi et al. 2020, notebook", problem.bilevel
    found = []
    for steps, printed in INNER.items():
        params, _ = train(bilevel, problem.outer, steps)
        ours = float(bilevel.inner_loss(params, problem.outer))
        found.append(Figure(source, f"inner loss at step {steps}", printed, ours, PRECISION))
    outer, optimizer = problem.outer, SGD(lr=1.0, momentum=0.9)
    state = optimizer.init(outer)
    for number in range(max(PRINTED) + 1):
        value, slope, _ = hypergradient(bilevel, outer, Truncated(steps=100, last=10))
        if number in PRINTED:
            what = f"validation loss at outer step {number}"
            found.append(Figure(source, what, PRINTED[number], float(value), PRECISION))
        outer, state = optimizer.step(outer, slope, state)
        outer = ho.clamp(outer, min=1e-8)
    return found


def relative_error(problem: Problem, method: Any) -> float:
    """Of a method's hypergradient."""
    found = hypergradient(problem.bilevel, problem.outer, method).hypergrad.numpy()
    return float(np.linalg.norm(found - problem.exact) / np.linalg.norm(problem.exact))


def rates(problem: Problem, name: str, theirs: dict[str, float], differs: str, source: str) -> list[Figure]:
    """The factor that the error falls by in a step, between 75 and 100 steps."""
    methods = {"Reverse": Reverse, "FixedPoint": lambda k: Implicit(FixedPoint(k), steps=k)}
    found = []
    for estimator, make in methods.items():
        rate = (relative_error(problem, make(100)) / relative_error(problem, make(75))) ** (1 / 25)
        found.append(Figure(source, f"{name}: error of {estimator}, factor a step", theirs[estimator], rate, differs))
    return found


def figures(quadratic: Problem, logistic: Problem) -> list[Figure]:
    """All of them."""
    found = notebook(logistic)
    read = dict.fromkeys(("Reverse", "FixedPoint"), 0.885)
    differs = "theirs is the slope of the curves in a plot, of the same problem"
    found += rates(logistic, "logistic", read, differs, "Grazzi et al. 2020, plot")
    floor = relative_error(logistic, Implicit(CG(tolerance=1e-13), steps=100))
    after = relative_error(logistic, Implicit(CG(steps=5), steps=100))
    what = "logistic: error of CG(5) over that of an exact solve"
    differs = "both at 100 inner steps, which leave the rest; their curve is flat from 5 products on"
    found.append(Figure("Grazzi et al. 2020, plot", what, 1.0, after / floor, differs))
    condition = quadratic.lr / quadratic.curvature
    q = (condition - 1) / (condition + 1)
    differs = "theirs is the bound, of the slowest direction; the faster ones still count at these steps"
    bound = dict.fromkeys(("Reverse", "FixedPoint"), q)
    found += rates(quadratic, "quadratic", bound, differs, "Grazzi et al. 2020, theorem")
    k = 30
    root = np.sqrt(condition)
    there = at_solution(quadratic)
    ours = relative_error(there, Implicit(CG(steps=k), steps=0))
    theirs = 2 * root * ((root - 1) / (root + 1)) ** k
    differs = "theirs is a bound, for the solution of the system; ours is the error of the hypergradient"
    found.append(Figure("Grazzi et al. 2020, theorem", f"quadratic: error of CG({k})", theirs, ours, differs))
    return found


def table(found: list[Figure]) -> str:
    """Theirs beside ours, and below each group what differs."""
    lines = [f"{'':<52}{'theirs':>14}{'ours':>14}"]
    for source in dict.fromkeys(figure.source for figure in found):
        own = [figure for figure in found if figure.source == source]
        lines += ["-" * WIDTH, source]
        for difference in dict.fromkeys(figure.differs for figure in own):
            for figure in own:
                if figure.differs == difference:
                    lines.append(f"  {figure.what:<50}{figure.theirs:>14.7g}{figure.ours:>14.7g}")
            lines += textwrap.wrap(f"({difference})", WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)
