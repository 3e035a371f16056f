"""The problems on which estimators are compared, each with its exact hypergradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import hograd as ho
from benchmarks.workloads import cleaning
from experiments.components.data import random_logistic
from optim import SGD
from optim.hyper import CG, Bilevel, Hypergradient, Implicit, Info, hypergradient, train

#: Inner steps after which the solution is as good as double precision has it.
CONVERGED = 3000


@dataclass(frozen=True)
class Problem:
    """A bilevel problem, where it is asked for its hypergradient, and the answer.

    Attributes:
        name: for the command line, tables and files.
        title: one line.
        bilevel: the problem.
        outer: the outer variables, a tensor of one axis.
        exact: the hypergradient, an array of its shape.
        solution: the inner solution.
        lr: of plain gradient descent on the inner loss, below 1 / its largest curvature.
        curvature: the smallest of the inner loss, or a lower bound.
        noise: standard deviation for methods that look at values around `outer`.
    """

    name: str
    title: str
    bilevel: Bilevel
    outer: ho.Tensor
    exact: np.ndarray
    solution: Any
    lr: float
    curvature: float
    noise: float

    @property
    def has_momentum(self) -> bool:
        """Whether the inner optimizer has it."""
        return bool(self.bilevel.optimizer_of(self.outer).momentum != 0)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Known:
    """A method that has the answer already: what `diagnose` takes for the truth."""

    value: ho.Tensor
    exact: np.ndarray

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The known hypergradient."""
        return Hypergradient(self.value, ho.tensor(self.exact), Info(None, None, 0, 0))


def quadratic(size: int = 100, condition: float = 100.0) -> Problem:
    """Both losses quadratic, with the closed form  grad = B^T A^-1 C^T (C w - d) ,  w = A^-1 (B outer + b) ."""
    random = np.random.default_rng(0)
    axes, _ = np.linalg.qr(random.normal(size=(size, size)))
    a = axes @ (np.geomspace(1 / condition, 1, size)[:, None] * axes.T)
    b, c = (random.normal(size=(size, size)) / np.sqrt(size) for _ in range(2))
    shift, target, outer = random.normal(size=(3, size))
    solution = np.linalg.solve(a, b @ outer + shift)
    exact = b.T @ np.linalg.solve(a, c.T @ (c @ solution - target))
    matrix, mixed, seen, offset, wanted = map(ho.tensor, (a, b, c, shift, target))
    bilevel = Bilevel(
        inner_loss=lambda w, outer: 0.5 * w @ (matrix @ w) - w @ (mixed @ outer + offset),
        outer_loss=lambda w, outer: 0.5 * ((seen @ w - wanted) ** 2).sum(),
        init=ho.zeros(size),
        optimizer=SGD(lr=2 / (1 + 1 / condition)),
    )
    title = f"{size} inner and {size} outer variables, condition number {condition:g}, gradient descent"
    return Problem(
        "quadratic", title, bilevel, ho.tensor(outer), exact, ho.tensor(solution), 1.0, 1 / condition, noise=0.1
    )


def logistic(examples: int = 1000) -> Problem:
    """One penalty for each feature of a logistic regression: the problem of Grazzi et al. (2020)."""
    features, lr = 20, 0.1
    split = random_logistic(1, examples=examples, features=features)
    (x, y), (held_x, held_y) = (map(ho.tensor, part) for part in (split.train, split.validation))
    bilevel = Bilevel(
        inner_loss=lambda w, h: ho.binary_cross_entropy_with_logits(x @ w, y) + 0.5 * (h * w**2).sum(),
        outer_loss=lambda w, h: ho.binary_cross_entropy_with_logits(held_x @ w, held_y),
        init=ho.zeros(features),
        optimizer=SGD(lr=lr),
    )
    outer = ho.ones(features)
    solution, exact = converged(bilevel, outer)
    title = f"{features} penalties of a logistic regression, {examples // 2} examples, gradient descent"
    return Problem("logistic", title, bilevel, outer, exact, solution, lr, 1.0, noise=0.1)


def hypercleaning(examples: int = 449) -> Problem:
    """One weight for each training example, half of whose labels are wrong: the benchmark `cleaning`, with momentum."""
    x, labels, xv, labels_v, weights = map(ho.tensor, cleaning.arrays(cleaning.data({"examples": examples})))

    def inner_loss(params: Any, weights: Any) -> Any:
        losses = ho.cross_entropy(x @ params[0] + params[1], labels, reduction="none")
        return (weights * losses).mean() + cleaning.L2 * sum((p * p).sum() for p in params)

    bilevel = Bilevel(
        inner_loss,
        outer_loss=lambda params, weights: ho.cross_entropy(xv @ params[0] + params[1], labels_v),
        init=[ho.zeros(x.shape[1], cleaning.CLASSES), ho.zeros(cleaning.CLASSES)],
        optimizer=SGD(lr=0.3, momentum=0.9),
    )
    solution, exact = converged(bilevel, weights)
    title = f"hyper-cleaning of {examples} digits, 650 parameters, SGD with momentum 0.9"
    return Problem("cleaning", title, bilevel, weights, exact, solution, 0.3, 2 * cleaning.L2, noise=0.1)


def converged(bilevel: Bilevel, outer: ho.Tensor) -> tuple[Any, np.ndarray]:
    """The inner solution and the exact hypergradient, by long training and a linear system solved to rounding."""
    params, _ = train(bilevel, outer, CONVERGED)
    there = Bilevel(bilevel.inner_loss, bilevel.outer_loss, params, bilevel.optimizer)
    found = hypergradient(there, outer, Implicit(CG(tolerance=1e-13), steps=0))
    assert found.info.inner_residual is not None
    if not found.info.inner_residual < 1e-11:
        raise RuntimeError(f"The inner training has not converged: its gradient is {found.info.inner_residual:.1e}.")
    return params, found.hypergrad.numpy()


def problems(quick: bool) -> list[Problem]:
    """The three, or small ones for a test."""
    if quick:
        return [quadratic(12, 10.0), logistic(60), hypercleaning(40)]
    return [quadratic(), logistic(), hypercleaning()]
