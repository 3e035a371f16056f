"""50 differentiable steps of Adam: hypergradient of the learning rate, both betas and the weight decay.

MLP 64-128-10 with relu on digits, minibatches of 128; the outer loss is the cross-entropy on the validation half.
Adam is that of `torch.optim`: the weight decay is added to the gradient, eps to the corrected root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.registry import YARDSTICK, Data, Run, Workload
from benchmarks.workloads.digits import CLASSES, halves, one_hot, softmax, with_ones

NAMES = ("w1", "b1", "w2", "b2")
HYPER = ("lr", "beta1", "beta2", "weight_decay")
EPS = 1e-8


def data(settings: dict[str, Any]) -> Data:
    random, width, steps = np.random.default_rng(0), settings["width"], settings["steps"]
    shapes, digits = [(64, width), (width,), (width, CLASSES), (CLASSES,)], halves()
    made = {n: random.normal(size=s) * 0.1 for n, s in zip(NAMES, shapes, strict=True)}
    picked = random.integers(0, len(digits["x"]), (steps, 128))
    made |= {"x": digits["x"][picked], "labels": digits["labels"][picked]}
    made |= {name: digits[name] for name in ("x_validation", "labels_validation")}
    return made | {
        "lr": np.float64(0.005),
        "beta1": np.float64(0.9),
        "beta2": np.float64(0.99),
        "weight_decay": np.float64(0.01),
    }


workload = Workload(
    "adam",
    "50 steps of Adam on an MLP 64-128-10: hypergradient of lr, beta1, beta2 and weight decay",
    {"50": {"steps": 50, "width": 128}},
    data,
)


def arrays(data: Data) -> tuple[list[Any], list[Any], list[Any]]:
    """Parameters, hyperparameters, and minibatches with the validation half."""
    batches = [data[name] for name in ("x", "labels", "x_validation", "labels_validation")]
    return [data[name] for name in NAMES], [data[name] for name in HYPER], batches


def logits(params: Any, x: Any, relu: Callable[[Any], Any]) -> Any:
    """The network, with the `relu` of any library."""
    w1, b1, w2, b2 = params
    return relu(x @ w1 + b1) @ w2 + b2


class Pass:
    """What one pass of the network keeps for its Hessian product, allocated once and used in every call."""

    def __init__(self, count: int, width: int) -> None:
        self.h = np.ones((count, width + 1))  # the last column is what the bias is multiplied by
        self.mask = np.empty((count, width), bool)
        self.p, self.d = np.empty((count, CLASSES)), np.empty((count, CLASSES))


class Network:
    """The network on one flat array of parameters, whose biases are the last row of each weight."""

    def __init__(self, width: int) -> None:
        self.width, self.cut, self.ones = width, 65 * width, np.ones((CLASSES, 1))

    def parts(self, flat: Any) -> tuple[Any, Any]:
        """Views of both weights."""
        return flat[: self.cut].reshape(65, self.width), flat[self.cut :].reshape(-1, CLASSES)

    def gradient(self, flat: Any, x: Any, target: Any, kept: Pass, z: Any, out: Any) -> None:
        """The gradient of the mean cross-entropy into `out`; z is scratch of the shape of the hidden layer."""
        (a, b), (ga, gb), h, d = self.parts(flat), self.parts(out), kept.h, kept.d
        np.matmul(x, a, out=z)
        np.greater(z, 0.0, out=kept.mask)
        np.maximum(z, 0.0, out=h[:, :-1])
        p = softmax(np.matmul(h, b, out=kept.p), self.ones)
        np.subtract(p, target, out=d)
        d *= 1.0 / len(x)
        np.matmul(h.T, d, out=gb)
        np.matmul(d, b[:-1].T, out=z)
        z *= kept.mask
        np.matmul(x.T, z, out=ga)

    def product(self, flat: Any, x: Any, kept: Pass, z: Any, v: Any, out: Any) -> None:
        """The Hessian times v into `out`: Pearlmutter's R-operator."""
        (_, b), (va, vb), (ga, gb), p, d = self.parts(flat), self.parts(v), self.parts(out), kept.p, kept.d
        np.matmul(x, va, out=z)
        z *= kept.mask
        s = z @ b[:-1]
        s += kept.h @ vb
        s -= np.einsum("ij,ij->i", p, s)[:, None]
        s *= p
        s *= 1.0 / len(x)
        np.matmul(kept.h.T, s, out=gb)
        gb[:-1] += z.T @ d
        np.matmul(np.concatenate([s, d], 1), np.concatenate([b[:-1], vb[:-1]], 1).T, out=z)
        z *= kept.mask
        np.matmul(x.T, z, out=ga)


@workload.version(YARDSTICK)
def numpy_by_hand(data: Data, settings: dict[str, Any]) -> Run:
    (w1, b1, w2, b2), (lr, beta1, beta2, decay), (x, labels, xv, labels_v) = arrays(data)
    network, steps, width = Network(settings["width"]), settings["steps"], settings["width"]
    start = np.concatenate([array.ravel() for array in (w1, b1, w2, b2)])
    inputs, targets = [with_ones(batch) for batch in x], [one_hot(batch) for batch in labels]
    xv, target_v = with_ones(xv), one_hot(labels_v)
    passes, last = [Pass(x.shape[1], width) for _ in range(steps)], Pass(len(xv), width)
    z, z_last = np.empty((x.shape[1], width)), np.empty((len(xv), width))
    # One row a step of: parameters, gradients with decay, both moments, the root of the second, the denominator, and
    # the direction of the step.
    every = np.zeros((7, steps + 1, len(start)))
    ps, gs, ms, vs, roots, denominators, us = every
    ps[0] = start
    scratch, pbar, gbar = (np.empty_like(start) for _ in range(3))

    def run() -> list[Any]:
        for t in range(steps):
            p, g, m, v, root, denominator, u = ps[t], gs[t], ms[t + 1], vs[t + 1], roots[t], denominators[t], us[t]
            network.gradient(p, inputs[t], targets[t], passes[t], z, g)
            g += np.multiply(p, decay, out=scratch)
            np.multiply(ms[t], beta1, out=m)
            m += np.multiply(g, 1 - beta1, out=scratch)
            np.multiply(vs[t], beta2, out=v)
            np.multiply(g, g, out=scratch)
            np.multiply(scratch, 1 - beta2, out=scratch)
            v += scratch
            np.sqrt(v, out=root)
            np.multiply(root, (1 - beta2 ** (t + 1)) ** -0.5, out=denominator)
            denominator += EPS
            np.divide(m, denominator, out=u)
            np.multiply(u, lr / (1 - beta1 ** (t + 1)), out=scratch)
            np.subtract(p, scratch, out=ps[t + 1])
        network.gradient(ps[steps], xv, target_v, last, z_last, pbar)
        mbar, vbar = np.zeros_like(start), np.zeros_like(start)
        lr_bar, beta1_bar, beta2_bar, decay_bar = 0.0, 0.0, 0.0, 0.0
        for t in range(steps - 1, -1, -1):
            p, g, root, denominator, u = ps[t], gs[t], roots[t], denominators[t], us[t]
            one, two = 1 - beta1 ** (t + 1), (1 - beta2 ** (t + 1)) ** 0.5
            # p' = p - lr / one * u ,  u = m / denominator ,  denominator = root / two + eps
            rate_bar = -np.vdot(pbar, u)
            lr_bar += rate_bar / one
            beta1_bar += rate_bar * lr * (t + 1) * beta1**t / one**2
            share = np.divide(pbar, denominator, out=scratch)
            share *= -lr / one
            mbar += share
            share *= u
            beta2_bar -= np.vdot(share, root) / two**2 * (t + 1) * beta2**t / (2 * two)
            share /= root
            share *= 0.5 / two
            vbar -= share
            # v' = beta2 * v + (1 - beta2) * g**2 ,  m' = beta1 * m + (1 - beta1) * g
            np.multiply(vbar, g, out=gbar)
            beta2_bar += np.vdot(vbar, vs[t]) - np.vdot(gbar, g)
            np.multiply(gbar, 2 * (1 - beta2), out=gbar)
            beta1_bar += np.vdot(mbar, ms[t]) - np.vdot(mbar, g)
            np.add(gbar, np.multiply(mbar, 1 - beta1, out=scratch), out=gbar)
            mbar *= beta1
            vbar *= beta2
            # g = gradient + decay * p
            decay_bar += np.vdot(gbar, p)
            np.add(pbar, np.multiply(gbar, decay, out=scratch), out=pbar)
            network.product(p, inputs[t], passes[t], z, gbar, scratch)
            np.add(pbar, scratch, out=pbar)
        return [lr_bar, beta1_bar, beta2_bar, decay_bar]

    return run


@workload.hograd
def hograd(data: Data, settings: dict[str, Any], compiled: Callable[[Any], Any]) -> Run:
    import hograd as ho
    from optim import Adam
    from optim.hyper import Bilevel, Reverse, hypergradient

    params, (lr, beta1, beta2, decay), (x, labels, xv, labels_v) = ho.tree.map(ho.tensor, arrays(data))
    problem = Bilevel(
        inner_loss=lambda params, outer, batch: ho.cross_entropy(logits(params, batch[0], ho.relu), batch[1]),
        outer_loss=lambda params, outer: ho.cross_entropy(logits(params, xv, ho.relu), labels_v),
        init=params,
        batches=lambda number: (x[number], labels[number]),
    )

    def outer_gradient(outer: Any) -> Any:
        found = hypergradient(problem, outer, Reverse(settings["steps"])).hypergrad
        return [found.lr, *found.betas, found.weight_decay]

    run = compiled(outer_gradient)
    return lambda: run(Adam(lr=lr, betas=(beta1, beta2), eps=EPS, weight_decay=decay))


def adam_step(params: Any, gradient: Any, state: Any, hyper: Any, t: int) -> tuple[list[Any], list[Any]]:
    """Adam as one writes it for a library without a differentiable one."""
    lr, beta1, beta2, decay = hyper
    new_params, new_state = [], []
    for p, g, (m, v) in zip(params, gradient, state, strict=True):
        g = g + decay * p
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        below = (v / (1 - beta2**t)) ** 0.5 + EPS
        new_params.append(p - lr / (1 - beta1**t) * m / below)
        new_state.append((m, v))
    return new_params, new_state


@workload.version("PyTorch eager", "torch")
def torch_eager(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    raw_params, raw_hyper, raw_batches = arrays(data)
    start = [torch.tensor(p, requires_grad=True) for p in raw_params]
    hyper = [torch.tensor(h, requires_grad=True) for h in raw_hyper]
    x, labels, xv, labels_v = map(torch.tensor, raw_batches)
    cross_entropy = torch.nn.functional.cross_entropy

    def run() -> list[Any]:
        params, state = start, [(torch.zeros_like(p), torch.zeros_like(p)) for p in start]
        for t in range(settings["steps"]):
            loss = cross_entropy(logits(params, x[t], torch.relu), labels[t])
            gradient = torch.autograd.grad(loss, params, create_graph=True)
            params, state = adam_step(params, gradient, state, hyper, t + 1)
        return list(torch.autograd.grad(cross_entropy(logits(params, xv, torch.relu), labels_v), hyper))

    return run


@workload.version("torch.func", "torch")
def torch_func(data: Data, settings: dict[str, Any]) -> Run:
    import torch

    start, hyper, (x, labels, xv, labels_v) = ([torch.tensor(a) for a in part] for part in arrays(data))
    cross_entropy = torch.nn.functional.cross_entropy
    gradient = torch.func.grad(lambda params, x, labels: cross_entropy(logits(params, x, torch.relu), labels))

    def outer_loss(hyper: Any) -> Any:
        params, state = start, [(torch.zeros_like(p), torch.zeros_like(p)) for p in start]
        for t in range(settings["steps"]):
            params, state = adam_step(params, gradient(params, x[t], labels[t]), state, hyper, t + 1)
        return cross_entropy(logits(params, xv, torch.relu), labels_v)

    hypergradient = torch.func.grad(outer_loss)
    return lambda: hypergradient(hyper)


@workload.version(
    "higher",
    "torch",
    "higher",
    note="it takes math.sqrt of the bias correction, which cuts the gradient of beta2, and adds eps to another root",
)
def higher_override(data: Data, settings: dict[str, Any]) -> Run:
    import higher
    import torch

    raw_params, raw_hyper, raw_batches = arrays(data)
    lr, beta1, beta2, decay = hyper = [torch.tensor(h, requires_grad=True) for h in raw_hyper]
    x, labels, xv, labels_v = map(torch.tensor, raw_batches)
    cross_entropy = torch.nn.functional.cross_entropy

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, p in zip(NAMES, raw_params, strict=True):
                self.register_parameter(name, torch.nn.Parameter(torch.tensor(p)))

        def forward(self, x: Any) -> Any:
            return logits([getattr(self, name) for name in NAMES], x, torch.relu)

    model = Model()
    optimizer = torch.optim.Adam(model.parameters())
    override = {"lr": [lr], "betas": [(beta1, beta2)], "weight_decay": [decay]}

    def run() -> list[Any]:
        with higher.innerloop_ctx(model, optimizer, override=override) as (trained, inner):
            for t in range(settings["steps"]):
                inner.step(cross_entropy(trained(x[t]), labels[t]))
            return list(torch.autograd.grad(cross_entropy(trained(xv), labels_v), hyper))

    return run


workload.cannot("TorchOpt", "torch", "torchopt", why="its Adam takes no tensors as betas")


@workload.version("JAX jitted", "jax", "optax")
def jax_jitted(data: Data, settings: dict[str, Any]) -> Run:
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    start, hyper, (x, labels, xv, labels_v) = jax.tree.map(jax.numpy.asarray, arrays(data))

    def loss(params: Any, x: Any, labels: Any) -> Any:
        scores = logits(params, x, jax.nn.relu)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    @jax.jit
    @jax.grad
    def hypergradient(hyper: Any) -> Any:
        lr, beta1, beta2, decay = hyper
        optimizer = optax.chain(optax.add_decayed_weights(decay), optax.adam(lr, b1=beta1, b2=beta2, eps=EPS))

        def step(carry: Any, batch: Any) -> Any:
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, *batch), state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), (x, labels))
        return loss(params, xv, labels_v)

    return lambda: jax.block_until_ready(hypergradient(hyper))


@workload.version("HIPS autograd", "autograd")
def hips(data: Data, settings: dict[str, Any]) -> Run:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    start, hyper, (x, labels, xv, labels_v) = arrays(data)

    def loss(params: Any, x: Any, labels: Any) -> Any:
        scores = logits(params, x, lambda z: anp.maximum(z, 0.0))
        return anp.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels])

    gradient = autograd.grad(loss)

    def outer_loss(hyper: Any) -> Any:
        params, state = start, [(np.zeros_like(p), np.zeros_like(p)) for p in start]
        for t in range(settings["steps"]):
            params, state = adam_step(params, gradient(params, x[t], labels[t]), state, hyper, t + 1)
        return loss(params, xv, labels_v)

    hypergradient = autograd.grad(outer_loss)
    return lambda: hypergradient(hyper)
