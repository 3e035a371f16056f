"""iMAML: MAML whose gradient does not go through the inner steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import hograd as ho
from hograd import Tensor, func, no_grad, tree
from hograd.errors import ArgumentError
from optim.meta.adaptation import expect_steps, last
from optim.meta.base import STATISTICS, Examples, Task, outputs, tensors
from optim.meta.maml import MAML


@dataclasses.dataclass(frozen=True, eq=False)
class IMAML(MAML):
    """Implicit MAML (Rajeswaran et al., 2019): the inner problem keeps near the first parameters, and is solved.

    w* = argmin_v  criterion on the support examples at v + penalty / 2 |v - w|^2 , by `steps` of `inner`. The gradient
    of the loss is that of the solution,  penalty (H + penalty + damping)^-1 g , with g that of the criterion on the
    query examples and H the Hessian of that on the support examples, both at w*: by conjugate gradients, in the memory
    of one inner step, whatever their number.

    It is right where the inner steps converge, and no better than they. What `loss` tells holds the "residual", the
    length of the gradient of the inner problem at w* over that at w; `train` warns above 0.1.

    Args:
        net, criterion, inner, adapted: see `MAML`; nothing of `inner` is learned, since the derivative would be 0.
        steps: of the inner optimizer.
        penalty: > 0.
        products: steps of conjugate gradients, each a product with H.
        damping: >= 0.

    Batch norm: inner steps and loss normalise by the batch that they see; running statistics take in the query alone.

    >>> from hograd import nn
    >>> from optim import SGD
    >>> from optim.meta.tasks import Quadratics
    >>> tasks = Quadratics()
    >>> algorithm = IMAML(nn.linear(4, 1, bias=False), criterion=ho.mse, inner=SGD(lr=0.5), steps=100, penalty=0.5)
    >>> learned = {"params": {"weight": ho.zeros(1, 4)}}
    >>> *_, (solution, _) = algorithm.path(learned, tasks[0].support, 100)
    >>> float(abs(solution["weight"].numpy()[0] - tasks.solution(0, damping=0.5)).max()) < 1e-12
    True
    """

    steps: int = 10
    order: Any = dataclasses.field(default=1, init=False)
    learn: Any = dataclasses.field(default=(), init=False)
    penalty: float = 1.0
    products: int = 5
    damping: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_steps("IMAML: products", self.products, 1)
        if not self.penalty > 0:
            raise ArgumentError(f"IMAML: penalty is {self.penalty}, expected a number > 0.")
        if not self.damping >= 0:
            raise ArgumentError(f"IMAML: damping is {self.damping}, expected a number >= 0.")

    def inner_value(self, value: Tensor, part: Any, begin: Any) -> Tensor:
        """The criterion and the penalty of the way from the first parameters."""
        ways = tree.map(lambda v, w: ((v - w) ** 2).sum(), part, begin)
        return value + self.penalty / 2 * sum(tree.leaves(ways))

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The criterion on the query examples at the solution of the inner problem."""
        params, (x, y) = learned["params"], tensors(task.support)
        statistics = learned.get(STATISTICS)
        unravel = tree.ravel(self._part.take(params))[1]

        def slope(flat: Tensor, params: Any, x: Tensor, y: Tensor) -> Tensor:
            """The gradient of the inner problem, 0 at its solution."""

            def value(flat: Tensor) -> Tensor:
                part = unravel(flat)
                predicted, _ = outputs(self.net, self._part.put(part, params), x, statistics, train=True)
                return self.inner_value(self.criterion(predicted, y), part, self._part.take(params))

            return func.grad(value)(flat)

        @func.custom_vjp
        def solved(params: Any, x: Tensor, y: Tensor) -> Tensor:
            with no_grad():
                end, _ = last(self.path({**learned, "params": params}, Examples(x, y), self.steps))
                return tree.ravel(self._part.take(end))[0]

        def backward(kept: Any, g: Tensor) -> Any:
            flat, params, x, y = kept

            def product(v: Tensor) -> Tensor:
                return func.jvp(lambda flat: slope(flat, params, x, y), (flat,), (v,))[1] + self.damping * v

            u = conjugate_gradients(product, g, self.products)
            return (*func.vjp(lambda params, x: slope(flat, params, x, y), params, x)[1](-u), None)

        solved.defvjp(lambda params, x, y: ((end := solved.f(params, x, y)), (end, params, x, y)), backward)
        flat = solved(params, x, y)
        value, told = self.query_loss(self._part.put(unravel(flat), params), statistics, task.query, self.steps)
        with no_grad():
            begin = tree.ravel(self._part.take(params))[0]
            left, whole = ((slope(v, params, x, y) ** 2).sum().sqrt() for v in (flat.detach(), begin.detach()))
            told["residual"] = left / ho.maximum(whole, 1e-30)
        return value, told


def conjugate_gradients(product: Any, b: Tensor, steps: int) -> Tensor:
    """The solution of  product(x) = b  after so many steps; what is solved before stays."""
    x, r = ho.zeros_like(b), b
    p, left = r, (r * r).sum()
    for _ in range(steps):
        moved = product(p)
        curvature = (p * moved).sum()
        going = curvature > 0
        step = ho.where(going, left / ho.where(going, curvature, 1.0), 0.0)
        x, r = x + step * p, r - step * moved
        before, left = left, (r * r).sum()
        p = r + ho.where(before > 0, left / ho.where(before > 0, before, 1.0), 0.0) * p
    return x
