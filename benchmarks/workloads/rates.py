"""Hypergradient of every step's learning rate, and of the momentum, through T steps of training.

Multinomial logistic regression on digits, full-batch SGD with momentum 0.9; the outer loss is the cross-entropy on the
validation half. With `checkpoint`, about the square root of T states are kept and the rest is computed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import YARDSTICK, Data, Run, Workload
from benchmarks.workloads.digits import CLASSES, halves, one_hot, softmax, with_ones


def data(settings: dict[str, Any]) -> Data:
    rates = np.random.default_rng(0).uniform(0.05, 0.1, settings["steps"])
    return halves() | {"rates": rates, "momentum": np.float64(0.9)}


workload = Workload(
    "rates",
    "logistic regression on digits, SGD with momentum: hypergradient of T learning rates and the momentum",
    {
        "100": {"steps": 100, "checkpoint": False},
        "1000": {"steps": 1000, "checkpoint": False},
        "1000-checkpoint": {"steps": 1000, "checkpoint": True},
    },
    data,
)


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    x, xv = with_ones(data["x"]), with_ones(data["x_validation"])
    rates, momentum = data["rates"], data["momentum"]
    average, average_v = x.T / len(x), xv.T / len(xv)  # (65, n), so that a product is the mean over examples
    target, target_v = average @ one_hot(data["labels"]), average_v @ one_hot(data["labels_validation"])
    steps, count, keep = len(rates), len(x), not settings["checkpoint"]
    # What the way back needs: probabilities and velocities; or, with less memory, weights and velocities.
    shape, ones = (x.shape[1], CLASSES), np.ones((CLASSES, 1))
    velocities, probabilities = np.zeros((steps + 1, *shape)), np.empty((steps if keep else 1, count, CLASSES))
    weights = np.zeros((1 if keep else steps + 1, *shape))
    step, scratch, r = np.empty(shape), np.empty(shape), np.empty((count, CLASSES))

    def run() -> list[Any]:
        w = weights[0]
        w[...] = 0.0
        for t, rate in enumerate(rates):
            p = np.matmul(x, w, out=probabilities[t if keep else 0])
            np.matmul(average, softmax(p, ones), out=step)
            np.subtract(step, target, out=step)
            v = np.multiply(velocities[t], momentum, out=velocities[t + 1])
            v += step
            np.multiply(v, rate, out=scratch)
            w = np.subtract(w, scratch, out=weights[0 if keep else t + 1])
        wbar = average_v @ softmax(xv @ w, ones)
        wbar -= target_v
        vbar, rates_bar, momentum_bar = np.zeros(shape), np.empty_like(rates), 0.0
        for t in range(steps - 1, -1, -1):
            rates_bar[t] = -np.vdot(wbar, velocities[t + 1])
            vbar -= np.multiply(wbar, rates[t], out=scratch)
            momentum_bar += np.vdot(vbar, velocities[t])
            # wbar += Hessian times vbar
            p = probabilities[t] if keep else softmax(np.matmul(x, weights[t], out=probabilities[0]), ones)
            np.matmul(x, vbar, out=r)
            np.subtract(r, np.einsum("ij,ij->i", p, r)[:, None], out=r)
            np.multiply(r, p, out=r)
            wbar += np.matmul(average, r, out=scratch)
            vbar *= momentum
        return [rates_bar, momentum_bar]

    return run


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho
    from optim import SGD
    from optim.hyper import Bilevel, Reverse, hypergradient
    from optim.schedules import PerStep

    x, labels, xv, labels_v, rates, momentum = map(ho.tensor, arrays(data))
    start = [ho.zeros(x.shape[1], CLASSES), ho.zeros(CLASSES)]
    problem = Bilevel(
        inner_loss=lambda params, outer: ho.cross_entropy(x @ params[0] + params[1], labels),
        outer_loss=lambda params, outer: ho.cross_entropy(xv @ params[0] + params[1], labels_v),
        init=start,
        optimizer=lambda outer: SGD(lr=PerStep(outer["rates"]), momentum=outer["momentum"]),
    )
    method = Reverse(settings["steps"], checkpoint="sqrt" if settings["checkpoint"] else "none")
    run = compiled(lambda outer: hypergradient(problem, outer, method).hypergrad)

    def result() -> list[Any]:
        found = run({"rates": rates, "momentum": momentum})
        return [found["rates"], found["momentum"]]

    return result


def arrays(data: Data) -> list[Any]:
    """What every library makes its own arrays of."""
    return [data[n] for n in ("x", "labels", "x_validation", "labels_validation", "rates", "momentum")]


@workload.version("PyTorch eager", "torch")
def torch_eager(data: Data, settings: dict[str, Any]) -> Run:
    import torch
    from torch.utils.checkpoint import checkpoint

    x, labels, xv, labels_v, rates, momentum = map(torch.tensor, arrays(data))
    rates.requires_grad_()
    momentum.requires_grad_()
    loss = torch.nn.functional.cross_entropy

    def train(w: Any, b: Any, vw: Any, vb: Any, rates: Any, momentum: Any) -> Any:
        with torch.enable_grad():
            for rate in rates:
                gw, gb = torch.autograd.grad(loss(x @ w + b, labels), (w, b), create_graph=True)
                vw, vb = momentum * vw + gw, momentum * vb + gb
                w, b = w - rate * vw, b - rate * vb
        return w, b, vw, vb

    def run() -> list[Any]:
        rates.grad = momentum.grad = None
        w, b = torch.zeros(x.shape[1], CLASSES, dtype=x.dtype), torch.zeros(CLASSES, dtype=x.dtype)
        state = (w.requires_grad_(), b.requires_grad_(), torch.zeros_like(w), torch.zeros_like(b))
        if settings["checkpoint"]:
            for part in rates.split(math.isqrt(len(rates))):
                state = checkpoint(train, *state, part, momentum, use_reentrant=True)
        else:
            state = train(*state, rates, momentum)
        loss(xv @ state[0] + state[1], labels_v).backward(inputs=None if settings["checkpoint"] else [rates, momentum])
        return [rates.grad, momentum.grad]

    return run


@workload.version("torch.func", "torch", cases=("100", "1000"))
def torch_func(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    x, labels, xv, labels_v, rates, momentum = map(torch.tensor, arrays(data))
    loss = torch.nn.functional.cross_entropy
    gradient = torch.func.grad(lambda params: loss(x @ params[0] + params[1], labels))

    def outer_loss(rates: Any, momentum: Any) -> Any:
        params = (torch.zeros(x.shape[1], CLASSES, dtype=x.dtype), torch.zeros(CLASSES, dtype=x.dtype))
        velocity = tuple(map(torch.zeros_like, params))
        for rate in rates:
            velocity = tuple(momentum * v + g for v, g in zip(velocity, gradient(params), strict=True))
            params = tuple(p - rate * v for p, v in zip(params, velocity, strict=True))
        return loss(xv @ params[0] + params[1], labels_v)

    hypergradient = torch.func.grad(outer_loss, argnums=(0, 1))
    return lambda: list(hypergradient(rates, momentum))


def torch_model(data: Data) -> Any:
    """The model as a module, for the libraries that take one."""
    import torch

    model = torch.nn.Linear(data["x"].shape[1], CLASSES, dtype=torch.float64)
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    return model


@workload.version("higher", "torch", "higher", cases=("100", "1000"))
def higher_override(data: Data, settings: dict[str, Any]) -> Run:
    import higher
    import torch

    x, labels, xv, labels_v, rates, momentum = map(torch.tensor, arrays(data))
    rates.requires_grad_()
    momentum.requires_grad_()
    model, loss = torch_model(data), torch.nn.functional.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def run() -> list[Any]:
        with higher.innerloop_ctx(model, optimizer) as (trained, inner):
            for rate in rates:
                inner.step(loss(trained(x), labels), override={"lr": [rate], "momentum": [momentum]})
            return list(torch.autograd.grad(loss(trained(xv), labels_v), (rates, momentum)))

    return run


@workload.version("TorchOpt", "torch", "torchopt", cases=("100", "1000"))
def torchopt_functional(data: Data, settings: dict[str, Any]) -> Run:
    """The momentum is kept by hand: TorchOpt's own passes it as `alpha`, which cuts the gradient of a tensor."""
    import torch
    import torchopt

    x, labels, xv, labels_v, rates, momentum = map(torch.tensor, arrays(data))
    rates.requires_grad_()
    momentum.requires_grad_()
    loss = torch.nn.functional.cross_entropy

    def run() -> list[Any]:
        w, b = torch.zeros(x.shape[1], CLASSES, dtype=x.dtype), torch.zeros(CLASSES, dtype=x.dtype)
        params, velocity = (w.requires_grad_(), b.requires_grad_()), (torch.zeros_like(w), torch.zeros_like(b))
        state = torchopt.sgd(0.1).init(params)
        for rate in rates:
            gradient = torch.autograd.grad(loss(x @ params[0] + params[1], labels), params, create_graph=True)
            velocity = tuple(momentum * v + g for v, g in zip(velocity, gradient, strict=True))
            updates, state = torchopt.sgd(rate).update(velocity, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        return list(torch.autograd.grad(loss(xv @ params[0] + params[1], labels_v), (rates, momentum)))

    return run


@workload.version("JAX jitted", "jax", "optax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    x, labels, xv, labels_v, rates, momentum = map(jax.numpy.asarray, arrays(data))

    def loss(params: Any, x: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(x @ params[0] + params[1], labels).mean()

    def outer_loss(rates: Any, momentum: Any) -> Any:
        def step(carry: Any, rate: Any) -> Any:
            params, state = carry
            optimizer = optax.sgd(rate, momentum=momentum)
            updates, state = optimizer.update(jax.grad(loss)(params, x, labels), state)
            return (optax.apply_updates(params, updates), state), None

        params = (jax.numpy.zeros((x.shape[1], CLASSES)), jax.numpy.zeros(CLASSES))
        carry = (params, optax.sgd(0.1, momentum=momentum).init(params))
        if settings["checkpoint"]:
            size = next(k for k in range(math.isqrt(len(rates)), 0, -1) if len(rates) % k == 0)
            segment = jax.checkpoint(lambda carry, part: jax.lax.scan(step, carry, part))
            (params, _), _ = jax.lax.scan(segment, carry, rates.reshape(-1, size))
        else:
            (params, _), _ = jax.lax.scan(step, carry, rates)
        return loss(params, xv, labels_v)

    hypergradient = jax.jit(jax.grad(outer_loss, argnums=(0, 1)))
    return lambda: jax.block_until_ready(hypergradient(rates, momentum))


@workload.version("HIPS autograd", "autograd", cases=("100", "1000"))
def hips(data: Data, settings: dict[str, Any]) -> Run:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    x, labels, xv, labels_v, rates, momentum = arrays(data)

    def loss(params: Any, x: Any, labels: Any) -> Any:
        scores = anp.dot(x, params[0]) + params[1]
        return anp.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels])

    def outer_loss(outer: Any) -> Any:
        rates, momentum = outer
        params = [np.zeros((x.shape[1], CLASSES)), np.zeros(CLASSES)]
        velocity = [np.zeros_like(p) for p in params]
        for t in range(settings["steps"]):
            gradient = autograd.grad(loss)(params, x, labels)
            velocity = [momentum * v + g for v, g in zip(velocity, gradient, strict=True)]
            params = [p - rates[t] * v for p, v in zip(params, velocity, strict=True)]
        return loss(params, xv, labels_v)

    hypergradient = autograd.grad(outer_loss)
    return lambda: list(hypergradient((rates, momentum)))
