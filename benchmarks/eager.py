"""Derivatives of small models, computed eagerly, beside PyTorch on two threads.

python -m benchmarks.eager [--rounds 21] [--json FILE]

Each workload first asserts that both compute the same numbers. Times are medians over rounds in which both are
measured in turn; the ratio is the median of each round's. float64, except the MAML of Finn et al. in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import hograd as ho
from benchmarks.timing import arguments, medians, peer, report
from optim import SGD
from optim.meta import adapt

random = np.random.default_rng(0)

Pair = tuple[Callable[[], Any], Callable[[], Any] | None]


def scalar_chain(torch: Any, second: bool) -> Pair:
    """1,000 scalar operations, multiply, add and tanh in turn, and their first or second derivative."""

    def workload(module: Any, grad: Any) -> Callable[[], Any]:
        x = module.tensor(0.5, dtype=module.float64, requires_grad=True)

        def run() -> Any:
            y = x
            for _ in range(333):
                y = module.tanh(y * 1.1 + 0.1)
            y = y * 2.0
            (g,) = grad(y, x, create_graph=second)
            return grad(g, x) if second else (g,)

        return run

    return workload(ho, ho.grad), torch and workload(torch, torch.autograd.grad)


def mlp(torch: Any, hessian: bool) -> Pair:
    """MLP 64-64-64-10 with tanh, batch 32, cross-entropy: forward and backward, or a Hessian-vector product."""
    shapes = [(64, 64), (64,), (64, 64), (64,), (64, 10), (10,)]
    start = [random.normal(size=shape) * 0.2 for shape in shapes]
    direction = [random.normal(size=shape) for shape in shapes]
    features, classes = random.normal(size=(32, 64)), random.integers(0, 10, 32)

    def workload(module: Any, grad: Any, cross_entropy: Any) -> Callable[[], Any]:
        params = [module.tensor(p, requires_grad=True) for p in start]
        vector = [module.tensor(p) for p in direction]
        x, y = module.tensor(features), module.tensor(classes)

        def run() -> Any:
            a, b, c, d, e, f = params
            h = module.tanh(x @ a + b)
            h = module.tanh(h @ c + d)
            loss = cross_entropy(h @ e + f, y)
            if not hessian:
                return grad(loss, params)
            return grad(grad(loss, params, create_graph=True), params, vector)

        return run

    ours = workload(ho, ho.grad, ho.cross_entropy)
    return ours, torch and workload(torch, torch.autograd.grad, torch.nn.functional.cross_entropy)


def maml(torch: Any) -> Pair:
    """The second-order meta-gradient of 25 sinusoid tasks, one inner step, tasks mapped by `vmap`."""
    shapes = {"w1": (1, 40), "b1": (40,), "w2": (40, 40), "b2": (40,), "w3": (40, 1), "b3": (1,)}
    start = {name: (random.normal(size=shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}
    inputs = random.uniform(-5, 5, (25, 20, 1)).astype(np.float32)
    targets = np.sin(inputs)

    def predict(p: Any, x: Any, relu: Any) -> Any:
        h = relu(x @ p["w1"] + p["b1"])
        h = relu(h @ p["w2"] + p["b2"])
        return h @ p["w3"] + p["b3"]

    def ours() -> Callable[[], Any]:
        params, x, y = {k: ho.tensor(v) for k, v in start.items()}, ho.tensor(inputs), ho.tensor(targets)

        def loss(p: Any, task: Any) -> Any:
            return ho.mse(predict(p, task[0], ho.relu), task[1])

        def task_loss(p: Any, x: Any, y: Any) -> Any:
            adapted = adapt(loss, p, (x[:10], y[:10]), inner=SGD(lr=0.01), steps=1)
            return loss(adapted, (x[10:], y[10:]))

        meta = ho.func.grad(lambda p: ho.func.vmap(task_loss, in_dims=(None, 0, 0))(p, x, y).mean())
        return lambda: list(meta(params).values())

    def theirs() -> Callable[[], Any]:
        params = {k: torch.tensor(v) for k, v in start.items()}
        x, y = torch.tensor(inputs), torch.tensor(targets)

        def loss(p: Any, x: Any, y: Any) -> Any:
            return torch.nn.functional.mse_loss(predict(p, x, torch.relu), y)

        def task_loss(p: Any, x: Any, y: Any) -> Any:
            gradient = torch.func.grad(loss)(p, x[:10], y[:10])
            return loss({k: p[k] - 0.01 * gradient[k] for k in p}, x[10:], y[10:])

        meta = torch.func.grad(lambda p: torch.func.vmap(task_loss, in_dims=(None, 0, 0))(p, x, y).mean())
        return lambda: list(meta(params).values())

    return ours(), torch and theirs()


WORKLOADS: list[tuple[str, Callable[[Any], Pair], float, float]] = [
    ("1,000 scalar operations, gradient", lambda torch: scalar_chain(torch, False), 0.6, 1e-12),
    ("1,000 scalar operations, second derivative", lambda torch: scalar_chain(torch, True), 0.7, 1e-12),
    ("MLP 64-64-64-10, forward and backward", lambda torch: mlp(torch, False), 0.8, 1e-12),
    ("MLP 64-64-64-10, Hessian-vector product", lambda torch: mlp(torch, True), 0.7, 1e-10),
    ("MAML, 25 tasks by vmap, second order", maml, 0.7, 1e-4),
]


def rows(torch: Any, rounds: int) -> Iterator[tuple[str, list[float], list[float] | None, float]]:
    """The figures of each workload, after its numbers have been compared."""
    for name, make, aim, tolerance in WORKLOADS:
        ours, theirs = make(torch)
        if theirs is None:
            yield name, medians({"ours": ours}, rounds)["ours"], None, aim
            continue
        for found, expected in zip(ours(), theirs(), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)
        seconds = medians({"ours": ours, "theirs": theirs}, rounds)
        yield name, seconds["ours"], seconds["theirs"], aim


def main() -> None:
    """Measure, print and write."""
    options = arguments(__doc__ or "", rounds=21)
    torch = peer("torch")
    if torch is not None:
        torch.set_num_threads(2)
    report(rows(torch, options.rounds), options.json)


if __name__ == "__main__":
    main()
