"""Heads that minimise a loss of the features: logistic regression, and a support vector machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import hograd as ho
from hograd import Tensor, no_grad
from optim.constraints import Simplex
from optim.meta.heads import FeatureLearner, Head


@dataclasses.dataclass(frozen=True, eq=False)
class LogisticHead(FeatureLearner):
    """Multinomial logistic regression on features, by Newton's method, as LR-D2 (Bertinetto et al., 2019) has for two.

    logits = scale * f(x) W ,  W = argmin  sum of cross-entropies of F W + l2 / 2 |W|^2 . Learned with the features: l2
    by its logarithm, and the scale.

    Args:
        net, criterion, ways: see `FeatureLearner`.
        l2: where the strength begins.
        newton: steps of Newton's method, each of which solves one system of examples * ways unknowns. Derivatives are
            those of the steps, to any order, and as exact as the minimum.

    >>> from hograd import nn
    >>> from optim.meta import Examples
    >>> algorithm = LogisticHead(nn.sequential(), ways=2)
    >>> predict = algorithm.adapt(algorithm.init(), Examples(ho.tensor([[-1.0], [1.0]]), ho.tensor([0, 1])))
    >>> predict(ho.tensor([[2.0]]))
    tensor([[-1.4815,  1.4815]])
    """

    l2: float = 0.5
    newton: int = 6

    def start(self, dtype: Any) -> dict[str, Any]:
        made = {"log_l2": ho.tensor(self.l2).log(), "scale": ho.tensor(1.0)}
        return made if dtype is None else {name: value.astype(dtype) for name, value in made.items()}

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        targets, l2 = self.targets(y, features), ho.exp(learned["log_l2"])
        n, ways = targets.shape
        kernel, identity = features @ features.T, ho.eye(n * ways, dtype=features.dtype)
        spread = _blocks(kernel, ways)
        # W = F^T A, and A solves  softmax(K A) - Y + l2 A = 0 .
        A = ho.zeros_like(targets)
        for _ in range(self.newton):
            p = ho.softmax(kernel @ A, -1)
            curvature = _block_diagonal(p[:, :, None] * (ho.eye(ways, dtype=p.dtype) - p[:, None]))
            left = (p - targets + l2 * A).reshape(-1, 1)
            A = A - ho.linalg.solve(curvature @ spread + l2 * identity, left).reshape(n, ways)
        return lambda asked: learned["scale"] * (asked @ features.T @ A)


@dataclasses.dataclass(frozen=True, eq=False)
class MetaOptNet(FeatureLearner):
    """Support vector machine on features (Lee et al., 2019), of several classes as Crammer and Singer (2001) have it.

    logits = scale * f(x) W ,  W = F^T C (Y - P) , where the rows of P are points of the simplex that minimise

        1/2 |W|^2 + C sum of P over the right classes ,

    its dual. Projected gradients with acceleration come near; then steps of Newton's method on  P = projection of
    (P - gradient step) , which is linear between kinks, end at the solution, and the derivatives of the last are those
    of the solution, to any order. The scale is learned with the features.

    Args:
        net, criterion, ways: see `FeatureLearner`.
        C: the bound of the dual variables; 0.1 in the paper.
        steps_of_solver: projected gradients.

    >>> from hograd import nn
    >>> from optim.meta import Examples
    >>> algorithm = MetaOptNet(nn.sequential(), ways=2, C=10.0)
    >>> predict = algorithm.adapt(algorithm.init(), Examples(ho.tensor([[-1.0], [2.0]]), ho.tensor([0, 1])))
    >>> predict(ho.tensor([[-1.0], [2.0]])).diff(dim=-1)
    tensor([[-1.0000],
            [ 2.0000]])
    """

    C: float = 0.1
    steps_of_solver: int = 100

    def start(self, dtype: Any) -> dict[str, Any]:
        return {"scale": ho.tensor(1.0) if dtype is None else ho.tensor(1.0, dtype=dtype)}

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        targets = self.targets(y, features)
        kernel = features @ features.T
        A = self.C * (targets - self._solution(kernel, targets))
        return lambda asked: learned["scale"] * (asked @ features.T @ A)

    def _solution(self, kernel: Tensor, targets: Tensor) -> Tensor:
        # Its inverse is a bound of the curvature: the largest sum of a row is at least the largest eigenvalue.
        rate = 1 / (self.C * ho.maximum(ho.abs(kernel).sum(-1).max(), 1e-12))

        def moved(P: Tensor, kernel: Tensor, rate: Tensor) -> Tensor:
            return P - rate * (targets - self.C * (kernel @ (targets - P)))

        def newton(P: Tensor, kernel: Tensor, rate: Tensor) -> Tensor:
            """From a point that is near the solution, and a constant, to the solution as a function of the kernel."""
            n, ways = targets.shape
            landed = Simplex().project(moved(P, kernel, rate))
            active = (landed.detach() > 0).astype(targets.dtype)
            # The derivative of the projection: on the numbers above 0 the identity less its mean.
            inside = ho.eye(ways, dtype=targets.dtype) * active[:, :, None]
            inside = inside - active[:, :, None] * active[:, None] / active.sum(-1)[:, None, None]
            identity = ho.eye(n * ways, dtype=targets.dtype)
            matrix = identity - _block_diagonal(inside) @ (identity - rate * self.C * _blocks(kernel, ways))
            return P + ho.linalg.solve(matrix, (landed - P).reshape(-1, 1)).reshape(n, ways)

        with no_grad():
            fixed, slow = kernel.detach(), rate.detach()

            def step(number: Any, carry: Any) -> Any:
                P, ahead, age = carry
                new = Simplex().project(moved(ahead, fixed, slow))
                # What was gathered is forgotten where it leads uphill.
                age = ho.where(((ahead - new) * (new - P)).sum() > 0, 0.0, age + 1).astype(new.dtype)
                return new, new + age / (age + 3) * (new - P), age

            begin = ho.full_like(targets, 1 / targets.shape[1])
            start = (begin, begin, ho.zeros((), dtype=targets.dtype))
            P = ho.fori_loop(0, self.steps_of_solver, step, start)[0]
            P = newton(Simplex().project(newton(P, fixed, slow)), fixed, slow)
        return newton(P.detach(), kernel, rate)


def _blocks(kernel: Tensor, ways: int) -> Tensor:
    """The matrix of A -> K A for A of shape (n, ways) in a row, shape (n * ways, n * ways)."""
    return ho.kron(kernel, ho.eye(ways, dtype=kernel.dtype))


def _block_diagonal(blocks: Tensor) -> Tensor:
    """One matrix with these, shape (n, ways, ways), on its diagonal."""
    n, ways, _ = blocks.shape
    grid = ho.eye(n, dtype=blocks.dtype)[:, None, :, None] * blocks[:, :, None]
    return grid.reshape(n * ways, n * ways)
