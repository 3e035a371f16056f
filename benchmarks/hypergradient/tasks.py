"""Bilevel problems on batches, with the exact value of where an algorithm has come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

import hograd as ho
from benchmarks.workloads import cleaning
from optim import SGD
from optim.hyper import Bilevel, Dense, Implicit, hypergradient

#: What the outer variables are multiplied by before they become penalties or weights, so that rates of about 1 fit:
#: BOME has one rate for both levels.
SCALES = {"penalties": 5.0, "cleaning": 30.0}


@dataclasses.dataclass
class Counter:
    """How many examples the losses have been evaluated on. Every derivative evaluates its loss once."""

    examples: int = 0


@dataclasses.dataclass(frozen=True)
class Task:
    """A bilevel problem for algorithms on batches.

    Attributes:
        name, title: for the command line and the table.
        bilevel: its inner loss takes a batch, which is an array of rows.
        outer_loss: the outer loss on such a batch.
        outer: where the outer variables begin.
        sizes: numbers of inner and outer examples.
        batch: examples in one.
        judge: function of the outer variables, an array: the outer loss at the exact inner solution.
        first, goal: its value at `outer`, and the value to reach.
        what: how the goal was found.
        inner_lr: a rate at which inner steps on batches are stable.
        outer_lrs: the rates that are tried for the outer variables.
        counter: of the examples.
    """

    name: str
    title: str
    bilevel: Bilevel
    outer_loss: Callable[..., Any]
    outer: ho.Tensor
    sizes: tuple[int, int]
    batch: int
    judge: Callable[[np.ndarray], float]
    first: float
    goal: float
    what: str
    inner_lr: float
    outer_lrs: tuple[float, ...]
    counter: Counter

    def left(self, value: float) -> float:
        """The share of the way to the goal that is left: 1 at first, 0 at the goal."""
        return (value - self.goal) / (self.first - self.goal)


def rows(count: int, size: int, seed: int) -> Callable[[int], Any]:
    """Batches by number: the rows in a new order in every epoch."""
    size = min(size, count)
    each = count // size
    known: dict[int, np.ndarray] = {}

    def batch(number: int) -> Any:
        epoch, place = divmod(number, each)
        if epoch not in known:
            known.clear()
            known[epoch] = np.random.default_rng([seed, epoch]).permutation(count)
        return ho.tensor(known[epoch][place * size : (place + 1) * size])

    return batch


def batched(
    inner: Callable[..., Any], outer: Callable[..., Any], sizes: tuple[int, int], batch: int, **others: Any
) -> tuple[Bilevel, Callable[..., Any], Counter]:
    """The bilevel problem whose losses take rows, or None for all, and count them."""
    counter = Counter()
    inner_size, outer_size = sizes

    def inner_loss(params: Any, outer: Any, part: Any = None) -> Any:
        counter.examples += inner_size if part is None else part.shape[0]
        return inner(params, outer, part)

    def outer_loss(params: Any, at: Any, part: Any = None) -> Any:
        counter.examples += outer_size if part is None else part.shape[0]
        return outer(params, at, part)

    return Bilevel(inner_loss, outer_loss, batches=rows(inner_size, batch, 0), **others), outer_loss, counter


def penalties(examples: int = 500, features: int = 20) -> Task:
    """A penalty for each feature of a logistic regression; the goal is the least value that L-BFGS finds."""
    random, scale = np.random.default_rng(0), SCALES["penalties"]
    truth = random.normal(size=features)
    x, xv = random.normal(size=(2, examples, features))
    # Labels drawn from the model, not its sign, so that penalties matter.
    y, yv = ((random.uniform(size=examples) < expit(z @ truth)).astype(float) for z in (x, xv))
    tx, ty, txv, tyv = map(ho.tensor, (x, y, xv, yv))

    def part_of(values: Any, part: Any) -> Any:
        return values if part is None else values[part]

    def inner(w: Any, outer: Any, part: Any) -> Any:
        loss = ho.binary_cross_entropy_with_logits(part_of(tx, part) @ w, part_of(ty, part))
        return loss + 0.5 * ((scale * outer).exp() * w**2).sum()

    def judged(w: Any, outer: Any, part: Any) -> Any:
        return ho.binary_cross_entropy_with_logits(part_of(txv, part) @ w, part_of(tyv, part))

    def solution(outer: np.ndarray) -> np.ndarray:
        w, penalty = np.zeros(features), np.exp(scale * outer)
        for _ in range(50):  # Newton's method
            p = expit(x @ w)
            slope = x.T @ (p - y) / examples + penalty * w
            if np.abs(slope).max() < 1e-13:
                break
            w = w - np.linalg.solve((x.T * (p * (1 - p))) @ x / examples + np.diag(penalty), slope)
        return w

    def judge(outer: np.ndarray) -> float:
        z = xv @ solution(outer)
        return float(np.mean(np.logaddexp(0, z) - yv * z))

    start = ho.zeros(features)
    sizes = (examples, examples)
    bilevel, outer_loss, counter = batched(inner, judged, sizes, 32, init=start, optimizer=SGD(lr=0.5))
    exact = Implicit(Dense(), solve=lambda w, outer: ho.tensor(solution(outer.numpy())))
    plain = Bilevel(lambda w, a: inner(w, a, None), lambda w, a: judged(w, a, None), start)

    def value_and_slope(outer: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope, _ = hypergradient(plain, ho.tensor(outer), exact)
        return float(value), slope.numpy()

    # Beyond these bounds nothing changes any more, but the exponential could overflow.
    found = minimize(
        value_and_slope, np.zeros(features), jac=True, method="L-BFGS-B", bounds=[(-12 / scale, 12 / scale)] * features
    )
    return Task(
        "penalties",
        f"{features} penalties of a logistic regression, {examples} examples in batches of 32",
        bilevel,
        outer_loss,
        ho.zeros(features),
        sizes,
        32,
        judge,
        judge(np.zeros(features)),
        float(found.fun),
        "the optimum",
        inner_lr=0.1,
        outer_lrs=(0.05, 0.3, 1.0, 4.0),
        counter=counter,
    )


def hypercleaning(examples: int = 898) -> Task:
    """A weight for each training example, half of whose labels are wrong, which are to be left out."""
    made, scale = cleaning.data({"examples": examples}), SCALES["cleaning"]
    x, labels, xv, labels_v, _ = cleaning.arrays(made)
    clean = cleaning.halves(examples)["labels"] == labels
    tx, ty, txv, tyv = map(ho.tensor, (x, labels, xv, labels_v))

    def inner(params: Any, outer: Any, part: Any) -> Any:
        at = (tx, ty, outer) if part is None else (tx[part], ty[part], outer[part])
        losses = ho.cross_entropy(at[0] @ params, at[1], reduction="none")
        return ((scale * at[2]).sigmoid() * losses).mean() + cleaning.L2 * (params**2).sum()

    def judged(params: Any, outer: Any, part: Any) -> Any:
        at = (txv, tyv) if part is None else (txv[part], tyv[part])
        return ho.cross_entropy(at[0] @ params, at[1])

    shape = (x.shape[1], cleaning.CLASSES)
    found = np.zeros(shape)

    def loss_and_slope(flat: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(shape)
        logits = x @ w
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(1, keepdims=True)
        loss = -np.mean(weights * np.log(p[np.arange(examples), labels]))
        p[np.arange(examples), labels] -= 1
        slope = x.T @ (weights[:, None] * p) / examples + 2 * cleaning.L2 * w
        return loss + cleaning.L2 * np.sum(w * w), slope.ravel()

    def judge_weights(weights: np.ndarray) -> float:
        options = {"maxiter": 1000, "gtol": 1e-8, "ftol": 1e-15}
        # From the last solution, which is near: the answer does not depend on it.
        best = minimize(loss_and_slope, found.ravel(), (weights,), jac=True, method="L-BFGS-B", options=options)
        found[...] = best.x.reshape(shape)
        logits = xv @ found
        logits -= logits.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(xv)), labels_v]))

    def judge(outer: np.ndarray) -> float:
        return judge_weights(expit(scale * outer))

    sizes = (examples, len(xv))
    optimizer = SGD(lr=0.3, momentum=0.9)
    bilevel, outer_loss, counter = batched(inner, judged, sizes, 64, init=ho.zeros(shape), optimizer=optimizer)
    return Task(
        "cleaning",
        f"hyper-cleaning of {examples} digits, in batches of 64",
        bilevel,
        outer_loss,
        ho.zeros(examples),
        sizes,
        64,
        judge,
        judge(np.zeros(examples)),
        judge_weights(clean.astype(float)),
        "the value when exactly the wrong labels are left out",
        inner_lr=0.3,
        outer_lrs=(0.01, 0.1, 1.0, 5.0),
        counter=counter,
    )


def tasks(quick: bool) -> list[Task]:
    """The two, or small ones for a test."""
    return [penalties(64, 5), hypercleaning(64)] if quick else [penalties(), hypercleaning()]
