"""A chain of 1,000 scalar operations: what one operation costs, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import TAPE, YARDSTICK, Data, Run, Workload

LINKS = 333

workload = Workload(
    "chain",
    "1,000 operations on one number (multiply, add, tanh in turn), and their derivative",
    {"gradient": {"order": 1}, "second": {"order": 2}},
    lambda settings: {"x": np.float64(0.5)},
)


def chain(x: Any, tanh: Callable[[Any], Any]) -> Any:
    """The chain, with the `tanh` of any library."""
    y = x
    for _ in range(LINKS):
        y = tanh(y * 1.1 + 0.1)
    return y * 2.0


def by_hand(x: Any, order: int, tanh: Callable[[Any], Any]) -> Run:
    """Value and derivatives pushed forward together: one pass, and nothing is stored."""

    def first() -> list[Any]:
        y, slope = x, 2.0
        for _ in range(LINKS):
            y = tanh(y * 1.1 + 0.1)
            slope *= 1.1 - 1.1 * y * y
        return [slope]

    def second() -> list[Any]:
        y, slope, curvature = x, 1.0, 0.0
        for _ in range(LINKS):
            y = tanh(y * 1.1 + 0.1)
            inner = 1.1 - 1.1 * y * y
            curvature = inner * (curvature - 2.2 * y * slope * slope)
            slope *= inner
        return [2.0 * curvature]

    return first if order == 1 else second


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    return by_hand(data["x"][()], settings["order"], np.tanh)


@workload.version("Python's floats")
def floats(data: Data, settings: dict[str, Any]) -> Run:
    return by_hand(float(data["x"]), settings["order"], math.tanh)


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho

    x = ho.tensor(data["x"])
    derivative = ho.func.grad(lambda x: chain(x, ho.tanh))
    if settings["order"] == 2:
        derivative = ho.func.grad(derivative)
    derivative = compiled(derivative)
    return lambda: [derivative(x)]


def on_tape(torch: Any, data: Data, settings: dict[str, Any]) -> Run:
    """PyTorch's program, which is hograd's too."""
    x = torch.tensor(data["x"], requires_grad=True)

    def run() -> list[Any]:
        second = settings["order"] == 2
        (g,) = torch.autograd.grad(chain(x, torch.tanh), x, create_graph=second)
        return list(torch.autograd.grad(g, x)) if second else [g]

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

    x = torch.tensor(data["x"])
    derivative = torch.func.grad(lambda x: chain(x, torch.tanh))
    if settings["order"] == 2:
        derivative = torch.func.grad(derivative)
    return lambda: [derivative(x)]


@workload.version("JAX jitted", "jax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import jax

    jax.config.update("jax_enable_x64", True)
    derivative = jax.grad(lambda x: chain(x, jax.numpy.tanh))
    if settings["order"] == 2:
        derivative = jax.grad(derivative)
    derivative = jax.jit(derivative)
    x = jax.numpy.asarray(data["x"])
    return lambda: [derivative(x).block_until_ready()]


@workload.version("HIPS autograd", "autograd")
def hips(data: Data, settings: dict[str, Any]) -> Run:
    import autograd
    import autograd.numpy as anp

    derivative = autograd.grad(lambda x: chain(x, anp.tanh))
    if settings["order"] == 2:
        derivative = autograd.grad(derivative)
    x = float(data["x"])
    return lambda: [derivative(x)]
