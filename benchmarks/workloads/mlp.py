"""A small network: 64-64-64-10 with tanh, batch 32, cross-entropy; its gradient, and a Hessian-vector product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import TAPE, YARDSTICK, Data, Run, Workload

NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")


def data(settings: dict[str, Any]) -> Data:
    random, width = np.random.default_rng(0), settings["width"]
    shapes = [(64, width), (width,), (width, width), (width,), (width, 10), (10,)]
    made = {name: random.normal(size=shape) * 0.2 for name, shape in zip(NAMES, shapes, strict=True)}
    made |= {"v" + name: random.normal(size=shape) for name, shape in zip(NAMES, shapes, strict=True)}
    return made | {"x": random.normal(size=(32, 64)), "labels": random.integers(0, 10, 32)}


workload = Workload(
    "mlp",
    "MLP 64-64-64-10 with tanh, batch 32, cross-entropy",
    {"gradient": {"product": False, "width": 64}, "hvp": {"product": True, "width": 64}},
    data,
)


def split(data: Data) -> tuple[list[Any], list[Any], Any, Any]:
    """Parameters, direction, inputs, labels."""
    return [data[n] for n in NAMES], [data["v" + n] for n in NAMES], data["x"], data["labels"]


def logits(params: Any, x: Any, tanh: Callable[[Any], Any]) -> Any:
    """The network, with the `tanh` of any library."""
    w1, b1, w2, b2, w3, b3 = params
    return tanh(tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    (w1, b1, w2, b2, w3, b3), (v1, c1, v2, c2, v3, c3), x, labels = split(data)
    count = len(x)
    rows, ones = np.arange(count), np.ones((w3.shape[1], 1))

    def layer(x: Any, w: Any, b: Any) -> Any:
        h = x @ w
        h += b
        return np.tanh(h, out=h)

    def forward() -> tuple[Any, Any, Any]:
        h1 = layer(x, w1, b1)
        h2 = layer(h1, w2, b2)
        p = h2 @ w3
        p += b3
        p -= p.max()  # one maximum for all rows is stable enough here, and far cheaper than one a row
        np.exp(p, out=p)
        p /= p @ ones
        return h1, h2, p

    def slope(h: Any) -> Any:
        s = h * h
        return np.subtract(1.0, s, out=s)

    def gradient() -> list[Any]:
        h1, h2, d3 = forward()
        d3[rows, labels] -= 1.0
        d3 *= 1.0 / count
        d2 = d3 @ w3.T
        d2 *= slope(h2)
        d1 = d2 @ w2.T
        d1 *= slope(h1)
        return [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]

    def product() -> list[Any]:
        # Pearlmutter's R-operator: the derivative of the gradient's program along the direction.
        h1, h2, p = forward()
        s1, s2 = slope(h1), slope(h2)
        r1 = x @ v1
        r1 += c1
        r1 *= s1
        r2 = r1 @ w2
        r2 += h1 @ v2
        r2 += c2
        r2 *= s2
        rz = r2 @ w3
        rz += h2 @ v3
        rz += c3
        rz -= (p * rz) @ ones
        rz *= p
        rz *= 1.0 / count
        d3 = p
        d3[rows, labels] -= 1.0
        d3 *= 1.0 / count
        e2 = d3 @ w3.T
        d2 = e2 * s2
        e1 = d2 @ w2.T
        q2 = rz @ w3.T
        q2 += d3 @ v3.T
        q2 *= s2
        e2 *= h2
        e2 *= r2
        e2 *= 2.0
        q2 -= e2
        q1 = q2 @ w2.T
        q1 += d2 @ v2.T
        q1 *= s1
        e1 *= h1
        e1 *= r1
        e1 *= 2.0
        q1 -= e1
        g2 = r1.T @ d2
        g2 += h1.T @ q2
        g3 = r2.T @ d3
        g3 += h2.T @ rz
        return [x.T @ q1, q1.sum(0), g2, q2.sum(0), g3, rz.sum(0)]

    return product if settings["product"] else gradient


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho

    params, vector, x, labels = ho.tree.map(ho.tensor, split(data))

    def loss(params: Any) -> Any:
        return ho.cross_entropy(logits(params, x, ho.tanh), labels)

    if settings["product"]:
        product = compiled(lambda params, vector: ho.func.hvp(loss, params, vector))
        return lambda: product(params, vector)
    gradient = compiled(ho.func.grad(loss))
    return lambda: gradient(params)


def on_tape(torch: Any, data: Data, settings: dict[str, Any]) -> Run:
    """PyTorch's program, which is hograd's too."""
    raw = split(data)
    params = [torch.tensor(p, requires_grad=True) for p in raw[0]]
    vector = [torch.tensor(v) for v in raw[1]]
    x, labels = torch.tensor(raw[2]), torch.tensor(raw[3])

    def run() -> list[Any]:
        loss = torch.nn.functional.cross_entropy(logits(params, x, torch.tanh), labels)
        if not settings["product"]:
            return list(torch.autograd.grad(loss, params))
        gradient = torch.autograd.grad(loss, params, create_graph=True)
        return list(torch.autograd.grad(gradient, params, vector))

    return run


@workload.version(TAPE, "hograd")
def hograd_tape(data: Data, settings: dict[str, Any]) -> Run:
    import hograd

    return on_tape(hograd, data, settings)


@workload.version("PyTorch eager", "torch")
def torch_eager(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    return on_tape(torch, data, settings)


@workload.version("torch.func", "torch")
def torch_func(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    raw = split(data)
    params, vector = tuple(map(torch.tensor, raw[0])), tuple(map(torch.tensor, raw[1]))
    x, labels = torch.tensor(raw[2]), torch.tensor(raw[3])
    gradient = torch.func.grad(lambda p: torch.nn.functional.cross_entropy(logits(p, x, torch.tanh), labels))
    if settings["product"]:
        return lambda: list(torch.func.jvp(gradient, (params,), (vector,))[1])
    return lambda: list(gradient(params))


@workload.version("JAX jitted", "jax", "optax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    params, vector, x, labels = jax.tree.map(jax.numpy.asarray, split(data))

    def loss(params: Any) -> Any:
        scores = logits(params, x, jax.numpy.tanh)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    gradient = jax.grad(loss)
    product = jax.jit(lambda p, v: jax.jvp(gradient, (p,), (v,))[1])
    gradient = jax.jit(gradient)
    if settings["product"]:
        return lambda: jax.block_until_ready(product(params, vector))
    return lambda: jax.block_until_ready(gradient(params))


@workload.version("HIPS autograd", "autograd")
def hips(data: Data, settings: dict[str, Any]) -> Run:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    params, vector, x, labels = split(data)
    rows = np.arange(len(x))

    def loss(params: Any) -> Any:
        scores = logits(params, x, anp.tanh)
        return anp.mean(logsumexp(scores, axis=1) - scores[rows, labels])

    gradient = autograd.grad(loss)
    if settings["product"]:
        product = autograd.grad(
            lambda params, vector: sum(anp.sum(g * v) for g, v in zip(gradient(params), vector, strict=True))
        )
        return lambda: product(params, vector)
    return lambda: gradient(params)
