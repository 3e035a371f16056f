"""Data hyper-cleaning: one weight for each training example, half of whose labels are wrong.

Logistic regression on digits with L2 0.01, 100 steps of gradient descent; the outer loss is the cross-entropy on the
validation half, and the hypergradient is that of all the weights: by unrolling, or by the implicit function theorem
with 20 iterations of conjugate gradients, no more and no less in every version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import YARDSTICK, Data, Run, Workload
from benchmarks.workloads.digits import CLASSES, halves, one_hot, softmax, with_ones

RATE = 0.2
L2 = 0.01
ITERATIONS = 20


def data(settings: dict[str, Any]) -> Data:
    random, made = np.random.default_rng(0), halves(settings["examples"])
    count = len(made["labels"])
    wrong = random.permutation(count)[: count // 2]
    made["labels"] = made["labels"].copy()
    made["labels"][wrong] = (made["labels"][wrong] + random.integers(1, CLASSES, len(wrong))) % CLASSES
    return made | {"weights": random.uniform(0.5, 1.0, count)}


workload = Workload(
    "cleaning",
    "hyper-cleaning of digits: hypergradient of one weight an example, through 100 steps",
    {
        "unroll": {"implicit": False, "steps": 100, "examples": 898},
        "implicit": {"implicit": True, "steps": 100, "examples": 898},
    },
    data,
)


def arrays(data: Data) -> list[Any]:
    """What every library makes its own arrays of."""
    return [data[n] for n in ("x", "labels", "x_validation", "labels_validation", "weights")]


def conjugate_gradients(product: Callable[[list[Any]], list[Any]], target: list[Any]) -> list[Any]:
    """The iterations on lists of any library's arrays.

    They are written out for libraries that have none of their own, and for hograd, where `optim.hyper.Implicit` runs
    SciPy-like iterations on arrays, at the same speed, which a captured program calls and does not contain.
    """

    def dot(a: list[Any], b: list[Any]) -> Any:
        return sum((u * v).sum() for u, v in zip(a, b, strict=True))

    def add(a: list[Any], factor: Any, b: list[Any]) -> list[Any]:
        return [u + factor * v for u, v in zip(a, b, strict=True)]

    solution, residual, direction = [0.0 * t for t in target], target, target
    size = dot(residual, residual)
    for _ in range(ITERATIONS):
        image = product(direction)
        length = size / dot(direction, image)
        solution, residual = add(solution, length, direction), add(residual, -length, image)
        size, before = dot(residual, residual), size
        direction = add(residual, size / before, direction)
    return solution


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    x, xv, weights = with_ones(data["x"]), with_ones(data["x_validation"]), data["weights"]
    labels, labels_v, count, steps = data["labels"], data["labels_validation"], len(data["x"]), settings["steps"]
    rows, ones, average_v = np.arange(count), np.ones((CLASSES, 1)), xv.T / len(xv)
    target_v = average_v @ one_hot(labels_v)
    weighted = x.T * (weights / count)  # (65, n), so that a product is the weighted mean over examples
    target = weighted @ one_hot(labels)

    shape = (x.shape[1], CLASSES)
    scratch, r = np.empty(shape), np.empty((count, CLASSES))
    kept = np.empty((1 if settings["implicit"] else steps, count, CLASSES))  # probabilities, of every step to unroll

    def train() -> tuple[Any, Any]:
        """The weights after training, and the outer gradient there."""
        w = np.zeros(shape)
        for t in range(steps):
            p = np.matmul(x, w, out=kept[t % len(kept)])
            np.matmul(weighted, softmax(p, ones), out=scratch)
            np.subtract(scratch, target, out=scratch)
            np.multiply(scratch, RATE, out=scratch)
            w *= 1 - 2 * L2 * RATE
            w -= scratch
        wbar = average_v @ softmax(xv @ w, ones)
        wbar -= target_v
        return w, wbar

    def unroll() -> list[Any]:
        _, wbar = train()
        total = np.zeros(count)
        for p in kept[::-1]:
            np.matmul(x, wbar, out=r)
            total += r[rows, labels]
            share = np.einsum("ij,ij->i", p, r)
            total -= share
            np.subtract(r, share[:, None], out=r)
            np.multiply(r, p, out=r)
            np.matmul(weighted, r, out=scratch)
            np.multiply(scratch, RATE, out=scratch)
            wbar *= 1 - 2 * L2 * RATE
            wbar -= scratch
        total *= RATE / count
        return [total]

    def implicit() -> list[Any]:
        w, residual = train()
        p = softmax(np.matmul(x, w, out=kept[0]), ones)
        solution, direction, image = np.zeros(shape), residual.copy(), np.empty(shape)
        size = np.vdot(residual, residual)
        for _ in range(ITERATIONS):
            np.matmul(x, direction, out=r)
            np.subtract(r, np.einsum("ij,ij->i", p, r)[:, None], out=r)
            np.multiply(r, p, out=r)
            np.matmul(weighted, r, out=image)
            image += np.multiply(direction, 2 * L2, out=scratch)
            length = size / np.vdot(direction, image)
            solution += np.multiply(direction, length, out=scratch)
            image *= length
            residual -= image
            size, before = np.vdot(residual, residual), size
            direction *= size / before
            direction += residual
        np.matmul(x, solution, out=r)
        result = r[rows, labels]
        result -= np.einsum("ij,ij->i", p, r)
        result /= count
        return [result]

    return implicit if settings["implicit"] else unroll


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho
    from optim import SGD
    from optim.hyper import Bilevel, Reverse, hypergradient, train

    x, labels, xv, labels_v, weights = map(ho.tensor, arrays(data))

    def inner_loss(params: Any, weights: Any) -> Any:
        losses = ho.cross_entropy(x @ params[0] + params[1], labels, reduction="none")
        return (weights * losses).mean() + L2 * sum((p * p).sum() for p in params)

    def outer_loss(params: Any, weights: Any) -> Any:
        return ho.cross_entropy(xv @ params[0] + params[1], labels_v)

    start = [ho.zeros(x.shape[1], CLASSES), ho.zeros(CLASSES)]
    problem = Bilevel(inner_loss, outer_loss, init=start, optimizer=SGD(lr=RATE))
    if not settings["implicit"]:
        run = compiled(lambda weights: hypergradient(problem, weights, Reverse(settings["steps"])).hypergrad)
        return lambda: [run(weights)]

    def implicit(weights: Any) -> Any:
        params, _ = train(problem, weights, settings["steps"])
        gradient = ho.func.grad(inner_loss)
        product = ho.func.linearize(lambda params: gradient(params, weights), params)[1]
        solution = conjugate_gradients(product, ho.func.grad(outer_loss)(params, weights))
        (cross,) = ho.func.vjp(lambda weights: gradient(params, weights), weights)[1](solution)
        return -cross

    run = compiled(implicit)
    return lambda: [run(weights)]


@workload.version("PyTorch eager", "torch")
def torch_eager(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    x, labels, xv, labels_v, weights = map(torch.tensor, arrays(data))
    weights.requires_grad_()
    cross_entropy = torch.nn.functional.cross_entropy

    def inner_gradient(params: Any, create_graph: bool) -> Any:
        losses = cross_entropy(x @ params[0] + params[1], labels, reduction="none")
        loss = (weights * losses).mean() + L2 * sum((p * p).sum() for p in params)
        return torch.autograd.grad(loss, params, create_graph=create_graph)

    def train(create_graph: bool) -> list[Any]:
        params = [torch.zeros(s, dtype=x.dtype, requires_grad=True) for s in ((x.shape[1], CLASSES), (CLASSES,))]
        for _ in range(settings["steps"]):
            params = [p - RATE * g for p, g in zip(params, inner_gradient(params, create_graph), strict=True)]
            if not create_graph:
                params = [p.detach().requires_grad_() for p in params]
        return params

    def unroll() -> list[Any]:
        params = train(True)
        return list(torch.autograd.grad(cross_entropy(xv @ params[0] + params[1], labels_v), weights))

    def implicit() -> list[Any]:
        params = train(False)
        target = torch.autograd.grad(cross_entropy(xv @ params[0] + params[1], labels_v), params)
        gradient = inner_gradient(params, True)

        def product(v: list[Any]) -> Any:
            return torch.autograd.grad(gradient, params, v, retain_graph=True)

        solution = conjugate_gradients(product, list(target))
        return [-torch.autograd.grad(gradient, weights, solution)[0]]

    return implicit if settings["implicit"] else unroll


@workload.version("torch.func", "torch")
def torch_func(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    x, labels, xv, labels_v, weights = map(torch.tensor, arrays(data))
    cross_entropy = torch.nn.functional.cross_entropy

    def inner_loss(params: Any, weights: Any) -> Any:
        losses = cross_entropy(x @ params[0] + params[1], labels, reduction="none")
        return (weights * losses).mean() + L2 * sum((p * p).sum() for p in params)

    def outer_loss(params: Any) -> Any:
        return cross_entropy(xv @ params[0] + params[1], labels_v)

    gradient = torch.func.grad(inner_loss)

    def train(weights: Any) -> Any:
        params = [torch.zeros(s, dtype=x.dtype) for s in ((x.shape[1], CLASSES), (CLASSES,))]
        for _ in range(settings["steps"]):
            params = [p - RATE * g for p, g in zip(params, gradient(params, weights), strict=True)]
        return params

    def implicit() -> list[Any]:
        params = train(weights)

        def product(v: list[Any]) -> Any:
            return torch.func.jvp(lambda params: gradient(params, weights), (params,), (v,))[1]

        solution = conjugate_gradients(product, torch.func.grad(outer_loss)(params))
        (cross,) = torch.func.vjp(lambda weights: gradient(params, weights), weights)[1](solution)
        return [-cross]

    unroll = torch.func.grad(lambda weights: outer_loss(train(weights)))
    return implicit if settings["implicit"] else lambda: [unroll(weights)]


@workload.version("higher", "torch", "higher", cases=("unroll",))
def higher_unroll(data: Data, settings: dict[str, Any]) -> Run:
    import higher
    import torch

    x, labels, xv, labels_v, weights = map(torch.tensor, arrays(data))
    weights.requires_grad_()
    cross_entropy = torch.nn.functional.cross_entropy
    model = torch.nn.Linear(x.shape[1], CLASSES, dtype=torch.float64)
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def run() -> list[Any]:
        with higher.innerloop_ctx(model, optimizer) as (trained, inner):
            for _ in range(settings["steps"]):
                losses = cross_entropy(trained(x), labels, reduction="none")
                inner.step((weights * losses).mean() + L2 * sum((p * p).sum() for p in trained.parameters()))
            return list(torch.autograd.grad(cross_entropy(trained(xv), labels_v), weights))

    return run


@workload.version("TorchOpt", "torch", "torchopt")
def torchopt_versions(data: Data, settings: dict[str, Any]) -> Run:
    import torch
    import torchopt

    x, labels, xv, labels_v, weights = map(torch.tensor, arrays(data))
    weights.requires_grad_()
    cross_entropy = torch.nn.functional.cross_entropy
    optimizer = torchopt.sgd(RATE)

    def inner_loss(params: Any, weights: Any) -> Any:
        losses = cross_entropy(x @ params[0] + params[1], labels, reduction="none")
        return (weights * losses).mean() + L2 * sum((p * p).sum() for p in params)

    def train(weights: Any, create_graph: bool) -> Any:
        params = tuple(torch.zeros(s, dtype=x.dtype, requires_grad=True) for s in ((x.shape[1], CLASSES), (CLASSES,)))
        state = optimizer.init(params)
        for _ in range(settings["steps"]):
            gradient = torch.autograd.grad(inner_loss(params, weights), params, create_graph=create_graph)
            updates, state = optimizer.update(gradient, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
            if not create_graph:
                params = tuple(p.detach().requires_grad_() for p in params)
        return params

    solve = torchopt.linear_solve.solve_cg(maxiter=ITERATIONS, rtol=0.0, atol=0.0)
    implicit = torchopt.diff.implicit.custom_root(torch.func.grad(inner_loss), argnums=1, solve=solve)(
        torch.enable_grad()(lambda params, weights: train(weights, False))
    )

    def run() -> list[Any]:
        params = implicit((), weights) if settings["implicit"] else train(weights, True)
        return list(torch.autograd.grad(cross_entropy(xv @ params[0] + params[1], labels_v), weights))

    return run


@workload.version("JAX jitted", "jax", "jaxopt", "optax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import functools

    import jax
    import jaxopt
    import optax

    jax.config.update("jax_enable_x64", True)
    x, labels, xv, labels_v, weights = map(jax.numpy.asarray, arrays(data))
    cross_entropy, optimizer = optax.softmax_cross_entropy_with_integer_labels, optax.sgd(RATE)

    def inner_loss(params: Any, weights: Any) -> Any:
        losses = cross_entropy(x @ params[0] + params[1], labels)
        return (weights * losses).mean() + L2 * sum((p * p).sum() for p in params)

    def train(_: Any, weights: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            params, state = carry
            updates, state = optimizer.update(jax.grad(inner_loss)(params, weights), state)
            return (optax.apply_updates(params, updates), state), None

        params = (jax.numpy.zeros((x.shape[1], CLASSES)), jax.numpy.zeros(CLASSES))
        carry, _ = jax.lax.scan(step, (params, optimizer.init(params)), length=settings["steps"])
        return carry[0]

    if settings["implicit"]:
        solve = functools.partial(jaxopt.linear_solve.solve_cg, maxiter=ITERATIONS, tol=0.0)
        train = jaxopt.implicit_diff.custom_root(jax.grad(inner_loss), solve=solve)(train)

    @jax.jit
    @jax.grad
    def hypergradient(weights: Any) -> Any:
        params = train(None, weights)
        return cross_entropy(xv @ params[0] + params[1], labels_v).mean()

    return lambda: [hypergradient(weights).block_until_ready()]


@workload.version("HIPS autograd", "autograd")
def hips(data: Data, settings: dict[str, Any]) -> Run:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    x, labels, xv, labels_v, weights = arrays(data)
    rows = np.arange(len(labels))

    def cross_entropy(params: Any, x: Any, labels: Any) -> Any:
        scores = anp.dot(x, params[0]) + params[1]
        return logsumexp(scores, axis=1) - scores[rows, labels]

    def inner_loss(params: Any, weights: Any) -> Any:
        return anp.mean(weights * cross_entropy(params, x, labels)) + L2 * sum(anp.sum(p * p) for p in params)

    def outer_loss(params: Any) -> Any:
        return anp.mean(cross_entropy(params, xv, labels_v))

    gradient = autograd.grad(inner_loss)

    def train(weights: Any) -> Any:
        params = [np.zeros((x.shape[1], CLASSES)), np.zeros(CLASSES)]
        for _ in range(settings["steps"]):
            params = [p - RATE * g for p, g in zip(params, gradient(params, weights), strict=True)]
        return params

    def implicit() -> list[Any]:
        params = train(weights)
        product, _ = autograd.make_vjp(lambda params: gradient(params, weights))(params)
        solution = conjugate_gradients(product, autograd.grad(outer_loss)(params))
        cross, _ = autograd.make_vjp(lambda weights: gradient(params, weights))(weights)
        return [-cross(solution)]

    unroll = autograd.grad(lambda weights: outer_loss(train(weights)))
    return implicit if settings["implicit"] else lambda: [unroll(weights)]
