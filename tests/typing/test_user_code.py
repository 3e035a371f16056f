"""Typed code as users write it after the README; `pyright` checks this file, and pytest runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import numpy as np

import hograd as ho
from hograd import Tensor, nn
from optim import SGD, Adam
from optim.hyper import Bilevel, Reverse, hypergradient
from optim.meta import adapt

Weights = dict[str, Tensor]


def loss(w: Weights, task: tuple[Tensor, Tensor]) -> Tensor:
    x, y = task
    return ho.mse(ho.tanh(x @ w["a"] + w["b"]) @ w["c"], y)


def weights() -> Weights:
    shapes = {"a": (1, 8), "b": (8,), "c": (8, 1)}
    return {name: 0.3 * ho.randn(shape) for name, shape in shapes.items()}


def sinusoids(tasks: int) -> tuple[Tensor, Tensor]:
    x = 10 * ho.rand(tasks, 20, 1) - 5
    return x, ho.sin(x - 3.1416 * ho.rand(tasks, 1, 1))


def test_eager() -> None:
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    (g,) = ho.grad((x**3).sum(), x, create_graph=True)
    y: Tensor = 2 * x - g / 3 + 1
    y.sum().backward()
    assert x.grad is not None
    slope: list[float] = x.grad.tolist()
    array: np.ndarray = x.detach().numpy()
    total: float = y.sum().item()
    assert (slope, array.shape, total) == ([0.0, -2.0], (2,), 3.0)
    with ho.no_grad():
        x -= 0.1 * x.grad
        x[0] = 5.0
    assert x.requires_grad
    assert (x > 0).all()


def test_operations_give_tensors() -> None:
    x = ho.tensor([[4.0, 1.0], [1.0, 3.0]])
    assert_type(ho.exp(x), Tensor)
    assert_type(x.exp(), Tensor)
    assert_type(x + 1, Tensor)
    assert_type(1 - x, Tensor)
    assert_type(x @ x, Tensor)
    assert_type(x[0], Tensor)
    assert_type(-x, Tensor)
    assert_type(x == x, Tensor)
    assert_type(ho.where(x > 1, x, 0.0), Tensor)
    assert_type(ho.linalg.solve(x, ho.ones(2)), Tensor)
    assert_type(ho.linalg.cholesky(x), Tensor)
    assert_type(ho.special.gammaln(x), Tensor)
    assert_type(ho.fft.fft(x), Tensor)
    assert_type(ho.einsum("ij,jk->ik", x, x), Tensor)
    assert_type(ho.cat([x, x], 1), Tensor)
    assert_type(ho.cross_entropy(x, ho.tensor([0, 1])), Tensor)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.requires_grad, bool)
    values, vectors = ho.linalg.eigh(x)
    largest, place = x.max(1)
    parts: list[Tensor] = list(x.unbind(0))
    assert (values.shape, vectors.shape, largest.shape, place.shape, len(parts)) == ((2,), (2, 2), (2,), (2,), 2)


def test_transforms() -> None:
    w, task = weights(), sinusoids(5)

    def one(w: Weights, x: Tensor, y: Tensor) -> Tensor:
        adapted: Weights = adapt(loss, w, (x[:10], y[:10]), inner=SGD(lr=0.02), steps=1, order=2)
        return loss(adapted, (x[10:], y[10:]))

    def meta_loss(w: Weights) -> Tensor:
        return ho.func.vmap(one, in_dims=(None, 0, 0))(w, *task).mean()

    gradient: Weights = ho.func.grad(meta_loss)(w)
    optimizer = Adam(lr=0.01)
    state = optimizer.init(w)
    w, state = optimizer.step(w, gradient, state)
    also, value = ho.func.grad_and_value(meta_loss)(w)
    products: Weights = ho.func.hvp(meta_loss, w, also)
    hessian: Tensor = ho.func.hessian(lambda x: (x**3).sum())(ho.tensor([1.0, 2.0]))
    assert value.item() > 0
    assert set(products) == set(w)
    assert hessian.tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_hypergradients() -> None:
    x, y = sinusoids(1)
    problem = Bilevel(
        inner_loss=lambda w, opt: loss(w, (x[0, :10], y[0, :10])),
        outer_loss=lambda w, opt: loss(w, (x[0, 10:], y[0, 10:])),
        init=weights(),
    )
    value, hypergrad, info = hypergradient(problem, Adam(lr=0.01), method=Reverse(steps=3))
    learning_rate: Tensor = hypergrad.lr
    number: float = value.item()
    assert number > 0
    assert learning_rate.shape == ()
    assert info.inner_steps == 3


class Cube(ho.autograd.Function):
    @staticmethod
    def forward(ctx: ho.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: ho.autograd.function.FunctionCtx, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


@ho.func.custom_jvp
def halved(x: Tensor) -> Tensor:
    return x / 2


@halved.defjvp
def _(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
    (x,), (t,) = primals, tangents
    return halved(x), t / 2


@ho.no_grad()
def constant(x: Tensor) -> Tensor:
    return 2 * x


def test_derivatives_by_hand() -> None:
    x = ho.tensor(2.0, requires_grad=True)
    y: Tensor = Cube.apply(halved(x))
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1.5
    assert not constant(x).requires_grad
    assert ho.check.gradcheck(Cube.apply, (x,))


@dataclass
class Model:
    net: nn.Layer
    scale: float

    def __call__(self, w: object, x: Tensor) -> Tensor:
        return self.scale * self.net.apply(w, x)


def test_networks() -> None:
    net = nn.sequential(nn.linear(1, 4), ho.tanh, head=nn.linear(4, 1))
    model = Model(net, 2.0)
    answer: Tensor = model(net.init(0), ho.ones(3, 1))
    assert answer.shape == (3, 1)
    assert nn.count(net.init(0)) == 13
