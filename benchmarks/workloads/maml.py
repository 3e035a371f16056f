"""MAML on sinusoids (Finn et al., 2017), float32: the exact second-order meta-gradient over a batch of tasks.

MLP 1-40-40-1 with relu, mean squared error, inner SGD with learning rate 0.01, 10 points for adaptation and 10 to
judge it by. hograd, JAX and torch.func map the tasks; PyTorch eager, higher and TorchOpt loop over them, as their
users do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import YARDSTICK, Data, Run, Workload

NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")
RATE = 0.01
SUPPORT = 10


def data(settings: dict[str, Any]) -> Data:
    random, width, tasks = np.random.default_rng(0), settings["width"], settings["tasks"]
    shapes = [(1, width), (width,), (width, width), (width,), (width, 1), (1,)]
    scale = [0.5, 0.5, 2.0 / width**0.5 / 2, 0.1, 1.0 / width**0.5, 0.1]
    made = {n: random.normal(size=s) * a for n, s, a in zip(NAMES, shapes, scale, strict=True)}
    x = random.uniform(-5, 5, (tasks, 2 * SUPPORT, 1))
    amplitude, phase = random.uniform(0.1, 5, (tasks, 1, 1)), random.uniform(0, np.pi, (tasks, 1, 1))
    made |= {"x": x, "y": amplitude * np.sin(x - phase)}
    return {name: array.astype(np.float32) for name, array in made.items()}


workload = Workload(
    "maml",
    "MAML on sinusoids, float32: second-order meta-gradient of 25 tasks, 1 or 5 inner steps",
    {"1": {"steps": 1, "tasks": 25, "width": 40}, "5": {"steps": 5, "tasks": 25, "width": 40}},
    data,
    tolerance=1e-4,  # float32: rounding of 1e-7 a step, through sums over tasks, points and units that nearly cancel
)


def predict(params: Any, x: Any, relu: Callable[[Any], Any]) -> Any:
    """The network, with the `relu` of any library."""
    w1, b1, w2, b2, w3, b3 = params
    return relu(relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3


class Pass:
    """What one forward and backward pass keeps for its Hessian product, allocated once and used in every call.

    Each array of a layer has two blocks of rows a task, so that one product gives both terms of a second derivative:
    first the derivative's rows and the pass's own (`h1`, `h2`), or the other way round (`d2`, `r`).
    """

    def __init__(self, tasks: int, width: int) -> None:
        def rows(columns: int, dtype: Any = np.float32, blocks: int = 2) -> Any:
            return np.empty((tasks, blocks * SUPPORT, columns), dtype)

        self.h1, self.h2, self.d2, self.r = rows(width + 1), rows(width + 1), rows(width), rows(1)
        for h in (self.h1, self.h2):  # the column that the bias is multiplied by: ones, whose derivative is zero
            h[:, :SUPPORT, -1], h[:, SUPPORT:, -1] = 0, 1
        self.m1, self.m2 = rows(width, bool, 1), rows(width, bool, 1)
        self.gradient = [
            np.empty((tasks, n, m), np.float32) for n, m in ((2, width), (width + 1, width), (width + 1, 1))
        ]
        self.params: list[Any] = []


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    """All tasks in one array, biases as the last row of each weight, Hessian products by Pearlmutter's R-operator."""
    w1, b1, w2, b2, w3, b3 = (data[name] for name in NAMES)
    tasks, width, steps = len(data["x"]), w2.shape[0], settings["steps"]
    rate, scale = np.float32(RATE), np.float32(2.0 / SUPPORT)
    start = [np.concatenate([w1, b1[None]]), np.concatenate([w2, b2[None]]), np.concatenate([w3, b3[None]])]
    x, y = np.concatenate([data["x"], np.ones_like(data["x"])], 2), data["y"]
    support, query = (x[:, :SUPPORT], y[:, :SUPPORT]), (x[:, SUPPORT:], y[:, SUPPORT:])
    passes, last = [Pass(tasks, width) for _ in range(steps)], Pass(tasks, width)
    z, z2 = (np.empty((tasks, SUPPORT, width), np.float32) for _ in range(2))
    products = [np.empty_like(g) for g in last.gradient]

    def backward(kept: Pass, params: list[Any], x: Any, y: Any) -> list[Any]:
        """The gradient of every task's loss."""
        kept.params = params
        a, b, c = params
        h1, h2, d2, r = kept.h1[:, SUPPORT:], kept.h2[:, SUPPORT:], kept.d2[:, :SUPPORT], kept.r[:, :SUPPORT]
        np.matmul(x, a, out=z)
        np.greater(z, 0, out=kept.m1)
        np.maximum(z, 0, out=h1[..., :-1])
        np.matmul(h1, b, out=z)
        np.greater(z, 0, out=kept.m2)
        np.maximum(z, 0, out=h2[..., :-1])
        np.matmul(h2, c, out=r)
        r -= y
        r *= scale
        np.multiply(r, c[..., :-1, 0][..., None, :], out=d2)
        d2 *= kept.m2
        np.matmul(d2, b[..., :-1, :].swapaxes(-1, -2), out=z)
        np.multiply(z, kept.m1, out=z)
        for h, d, out in zip((x, h1, h2), (z, d2, r), kept.gradient, strict=True):
            np.matmul(h.swapaxes(1, 2), d, out=out)
        return kept.gradient

    def product(kept: Pass, v: list[Any], x: Any) -> list[Any]:
        """Hessian of every task's loss times v."""
        _, b, c = kept.params
        va, vb, vc = v
        r1, r2, d2, r = kept.h1[:, :SUPPORT, :-1], kept.h2[:, :SUPPORT, :-1], kept.d2[:, SUPPORT:], kept.r[:, SUPPORT:]
        np.matmul(x, va, out=z)
        np.multiply(z, kept.m1, out=r1)
        np.matmul(r1, b[..., :-1, :], out=z)
        np.add(z, np.matmul(kept.h1[:, SUPPORT:], vb, out=z2), out=z)
        np.multiply(z, kept.m2, out=r2)
        np.matmul(r2, c[..., :-1, :], out=r)
        r += kept.h2[:, SUPPORT:] @ vc
        r *= scale
        np.multiply(r, c[..., :-1, 0][..., None, :], out=d2)
        d2 += np.multiply(kept.r[:, :SUPPORT], vc[..., :-1, 0][..., None, :], out=z)
        d2 *= kept.m2
        np.matmul(d2, b[..., :-1, :].swapaxes(-1, -2), out=z)
        np.add(z, np.matmul(kept.d2[:, :SUPPORT], vb[..., :-1, :].swapaxes(-1, -2), out=z2), out=z)
        np.multiply(z, kept.m1, out=z)
        for h, d, out in zip((x, kept.h1, kept.h2), (z, kept.d2, kept.r), products, strict=True):
            np.matmul(h.swapaxes(1, 2), d, out=out)
        return products

    def run() -> list[Any]:
        params = start
        for kept in passes:
            gradient = backward(kept, params, *support)
            for g, p in zip(gradient, params, strict=True):
                g *= -rate
                g += p
            params = gradient
        v = backward(last, params, *query)
        for kept in reversed(passes):
            for cotangent, change in zip(v, product(kept, v, support[0]), strict=True):
                change *= rate
                cotangent -= change
        result = []
        for cotangent in v:
            mean = cotangent.mean(0)
            result += [mean[:-1], mean[-1]]
        return result

    return run


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho
    from optim import SGD
    from optim.meta import adapt

    params, x, y = [ho.tensor(data[name]) for name in NAMES], ho.tensor(data["x"]), ho.tensor(data["y"])

    def loss(params: Any, points: Any) -> Any:
        return ho.mse(predict(params, points[0], ho.relu), points[1])

    def after_adaptation(params: Any, x: Any, y: Any) -> Any:
        support, query = (x[:SUPPORT], y[:SUPPORT]), (x[SUPPORT:], y[SUPPORT:])
        return loss(adapt(loss, params, support, inner=SGD(lr=RATE), steps=settings["steps"]), query)

    def meta_loss(params: Any, x: Any, y: Any) -> Any:
        return ho.func.vmap(after_adaptation, in_dims=(None, 0, 0))(params, x, y).mean()

    meta_gradient = compiled(ho.func.grad(meta_loss))
    return lambda: meta_gradient(params, x, y)


@workload.version("PyTorch eager", "torch")
def torch_eager(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    params = [torch.tensor(data[name], requires_grad=True) for name in NAMES]
    tasks = list(zip(torch.tensor(data["x"]), torch.tensor(data["y"]), strict=True))

    def loss(params: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.mse_loss(predict(params, x, torch.relu), y)

    def run() -> list[Any]:
        total = torch.zeros(())
        for x, y in tasks:
            adapted = params
            for _ in range(settings["steps"]):
                gradient = torch.autograd.grad(loss(adapted, x[:SUPPORT], y[:SUPPORT]), adapted, create_graph=True)
                adapted = [p - RATE * g for p, g in zip(adapted, gradient, strict=True)]
            total = total + loss(adapted, x[SUPPORT:], y[SUPPORT:])
        return list(torch.autograd.grad(total / len(tasks), params))

    return run


@workload.version("torch.func", "torch")
def torch_func(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    params = tuple(torch.tensor(data[name]) for name in NAMES)
    x, y = torch.tensor(data["x"]), torch.tensor(data["y"])

    def loss(params: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.mse_loss(predict(params, x, torch.relu), y)

    def after_adaptation(params: Any, x: Any, y: Any) -> Any:
        for _ in range(settings["steps"]):
            gradient = torch.func.grad(loss)(params, x[:SUPPORT], y[:SUPPORT])
            params = tuple(p - RATE * g for p, g in zip(params, gradient, strict=True))
        return loss(params, x[SUPPORT:], y[SUPPORT:])

    meta_gradient = torch.func.grad(lambda p: torch.func.vmap(after_adaptation, in_dims=(None, 0, 0))(p, x, y).mean())
    return lambda: list(meta_gradient(params))


def torch_module(data: Data) -> Any:
    """The network as a module, for the libraries that take one."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in NAMES:
                self.register_parameter(name, torch.nn.Parameter(torch.tensor(data[name])))

        def forward(self, x: Any) -> Any:
            return predict([getattr(self, name) for name in NAMES], x, torch.relu)

    return Network()


@workload.version("higher", "torch", "higher")
def higher_loop(data: Data, settings: dict[str, Any]) -> Run:
    import higher
    import torch

    network, loss = torch_module(data), torch.nn.functional.mse_loss
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    tasks = list(zip(torch.tensor(data["x"]), torch.tensor(data["y"]), strict=True))

    def run() -> list[Any]:
        network.zero_grad()
        for x, y in tasks:
            with higher.innerloop_ctx(network, optimizer, copy_initial_weights=False) as (adapted, inner):
                for _ in range(settings["steps"]):
                    inner.step(loss(adapted(x[:SUPPORT]), y[:SUPPORT]))
                (loss(adapted(x[SUPPORT:]), y[SUPPORT:]) / len(tasks)).backward()
        return [p.grad for p in network.parameters()]

    return run


@workload.version("TorchOpt", "torch", "torchopt")
def torchopt_loop(data: Data, settings: dict[str, Any]) -> Run:
    import torch
    import torchopt

    network, loss = torch_module(data), torch.nn.functional.mse_loss
    params = list(network.parameters())
    inner = torchopt.MetaSGD(network, lr=RATE)
    tasks = list(zip(torch.tensor(data["x"]), torch.tensor(data["y"]), strict=True))

    def run() -> list[Any]:
        for p in params:
            p.grad = None
        start, state = torchopt.extract_state_dict(network), torchopt.extract_state_dict(inner)
        for x, y in tasks:
            for _ in range(settings["steps"]):
                inner.step(loss(network(x[:SUPPORT]), y[:SUPPORT]))
            (loss(network(x[SUPPORT:]), y[SUPPORT:]) / len(tasks)).backward()
            torchopt.recover_state_dict(network, start)
            torchopt.recover_state_dict(inner, state)
        return [p.grad for p in params]

    return run


@workload.version("JAX jitted", "jax", "optax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import jax
    import optax

    params = [jax.numpy.asarray(data[name]) for name in NAMES]
    x, y = jax.numpy.asarray(data["x"]), jax.numpy.asarray(data["y"])
    inner = optax.sgd(RATE)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.squared_error(predict(params, x, jax.nn.relu), y).mean()

    def after_adaptation(params: Any, x: Any, y: Any) -> Any:
        state = inner.init(params)
        for _ in range(settings["steps"]):
            gradient = jax.grad(loss)(params, x[:SUPPORT], y[:SUPPORT])
            updates, state = inner.update(gradient, state)
            params = optax.apply_updates(params, updates)
        return loss(params, x[SUPPORT:], y[SUPPORT:])

    def meta_loss(params: Any, x: Any, y: Any) -> Any:
        return jax.vmap(after_adaptation, in_axes=(None, 0, 0))(params, x, y).mean()

    meta_gradient = jax.jit(jax.grad(meta_loss))
    return lambda: jax.block_until_ready(meta_gradient(params, x, y))


@workload.version("HIPS autograd", "autograd")
def hips(data: Data, settings: dict[str, Any]) -> Run:
    """It has no vmap, so its users give every task its own copy of the parameters in one array."""
    import autograd
    import autograd.numpy as anp

    params, x, y = [data[name] for name in NAMES], data["x"], data["y"]
    zeros = [np.zeros((len(x), *((1,) if p.ndim == 1 else ()), *p.shape), np.float32) for p in params]
    rate = np.float32(RATE)

    def losses(params: Any, x: Any, y: Any) -> Any:
        """The sum over tasks, whose gradients do not mix."""
        return anp.sum(anp.mean((predict(params, x, lambda z: anp.maximum(z, 0)) - y) ** 2, axis=(1, 2)))

    def meta_loss(params: Any) -> Any:
        adapted = [p + z for p, z in zip(params, zeros, strict=True)]
        for _ in range(settings["steps"]):
            gradient = autograd.grad(losses)(adapted, x[:, :SUPPORT], y[:, :SUPPORT])
            adapted = [p - rate * g for p, g in zip(adapted, gradient, strict=True)]
        return losses(adapted, x[:, SUPPORT:], y[:, SUPPORT:]) / len(x)

    meta_gradient = autograd.grad(meta_loss)
    return lambda: meta_gradient(params)
