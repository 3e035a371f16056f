"""Randomly composed transforms of randomly composed functions, against loops in forward mode.

A program is a nested tuple. It is run twice: with the transforms that it names, and with a loop for every `vmap` and
one forward pass for each direction instead of every reverse pass, so that no tape and no batch axis is involved.
"""

import random

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap

SIZE = 3
MATRIX = ho.tensor(np.random.default_rng(0).normal(size=(SIZE, SIZE)) / 2)

UNARY = {
    "sin": lambda x: x.sin(),
    "tanh": lambda x: x.tanh(),
    "matmul": lambda x: MATRIX @ x,
    "softmax": lambda x: x.softmax(-1),
    "prod": lambda x: (x.sin() + 1.5).prod() * x / 4,
    "norm": lambda x: x / (x.norm() + 1),
    "logsumexp": lambda x: x.logsumexp(0) * x,
    "max": lambda x: x.amax() + x,
    "where": lambda x: ho.where(x > 0.1, x * x, x.exp()),
    "gather": lambda x: x[[2, 0, 0]] * x[0],
    "assign": lambda x: x.at[1].set(x[0] * x[2]),
    "stack": lambda x: ho.stack([x[2], x[0] * x[1], x.sum()]),
    "outer": lambda x: ho.einsum("i,j,j->i", x, x, x.cos()),
    "detach": lambda x: x * x.detach(),
    "std": lambda x: x.std() + x,
}

BINARY = {
    "mul": lambda x, y: x * y,
    "add": lambda x, y: x + y / 2,
    "dot": lambda x, y: (x @ y).tanh() * x,
    "div": lambda x, y: x / (1 + y * y),
}


class Direct:
    """The transforms themselves."""

    grad = staticmethod(lambda f, x: grad(lambda x: f(x).sum())(x))
    value = staticmethod(lambda f, x: sum(grad_and_value(lambda x: f(x).sum())(x)))
    vjp = staticmethod(lambda f, x, g: sum(vjp(f, x)[1](g)) + vjp(f, x)[0])
    pulls = staticmethod(lambda f, x, g: vmap(vjp(f, x)[1])(ho.stack([g, x]))[0].sum(0))
    jvp = staticmethod(lambda f, x, t: sum(jvp(f, (x,), (t,))))
    rows = staticmethod(lambda f, x, t: jacrev(f)(x) @ t)
    columns = staticmethod(lambda f, x, t: jacfwd(f)(x) @ t)
    hessian = staticmethod(lambda f, x, t: hessian(lambda x: f(x).sum())(x) @ t)
    vmap = staticmethod(lambda f, x, y: vmap(f)(ho.stack([x, y])).sum(0))
    vmap_last = staticmethod(lambda f, x, y: vmap(f, 1, 1)(ho.stack([x, y], 1)).sum(1))


def columns(f, x):
    """The Jacobian, one forward pass a column."""
    return ho.stack([jvp(f, (x,), (unit,))[1] for unit in ho.eye(SIZE)], -1)


class Looped:
    """The same by loops and forward mode."""

    grad = staticmethod(lambda f, x: columns(lambda x: f(x).sum(), x))
    value = staticmethod(lambda f, x: Looped.grad(f, x) + f(x).sum())
    vjp = staticmethod(lambda f, x, g: g @ columns(f, x) + f(x))
    pulls = staticmethod(lambda f, x, g: (g + x) @ columns(f, x))
    jvp = staticmethod(lambda f, x, t: f(x) + columns(f, x) @ t)
    rows = columns = staticmethod(lambda f, x, t: columns(f, x) @ t)
    hessian = staticmethod(lambda f, x, t: columns(lambda x: Looped.grad(f, x), x) @ t)
    vmap = vmap_last = staticmethod(lambda f, x, y: f(x) + f(y))


TRANSFORMS = [name for name in vars(Direct) if not name.startswith("_")]


def program(source, variables, depth, size):
    """A random program on `variables` vectors with up to `depth` transforms inside one another."""
    if size <= 0:
        return "variable", variables - 1 if source.random() < 0.6 else source.randrange(variables)
    if depth and source.random() < 0.5:
        name = source.choice(TRANSFORMS)
        inner = program(source, variables + 1, depth - 1, source.randint(2, 3))
        # What is differentiated depends on the new variable, and on an old one.
        inner = "mul", inner, ("sin", ("add", ("variable", variables), ("variable", source.randrange(variables))))
        return name, inner, program(source, variables, 0, size - 1), program(source, variables, 0, 1)
    if source.random() < 0.35:
        name = source.choice(list(BINARY))
        return name, program(source, variables, depth, size - 1), program(source, variables, depth, size - 2)
    return source.choice(list(UNARY)), program(source, variables, depth, size - 1)


def run(tree, seen, transforms):
    name, *parts = tree
    if name == "variable":
        return seen[parts[0]]
    if name in UNARY:
        return UNARY[name](run(parts[0], seen, transforms))
    if name in BINARY:
        return BINARY[name](*(run(part, seen, transforms) for part in parts))
    x, y = (run(part, seen, transforms) for part in parts[1:])
    arguments = (x,) if name in ("grad", "value") else (x, y)
    # Bounded, so that compositions do not overflow.
    return getattr(transforms, name)(lambda x: run(parts[0], [*seen, x], transforms), *arguments).tanh()


OUTERMOST = {
    "value": lambda f, t, x, y: f(x, y),
    "grad": lambda f, t, x, y: t.grad(lambda x: f(x, y * x), x),
    "vmap of grad": lambda f, t, x, y: t.vmap(lambda y: t.grad(lambda x: f(x, y), x), x, y),
    "grad of vmap": lambda f, t, x, y: t.grad(lambda x: t.vmap(lambda v: f(x, v), x, y), x),
}


@pytest.mark.parametrize("outermost", OUTERMOST)
@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_loops_in_forward_mode(seed, outermost):
    source = random.Random(f"{seed} {outermost}")
    tree = program(source, 2, 2, 4)
    rng = np.random.default_rng(seed)
    x, y = ho.tensor(rng.normal(size=SIZE)), ho.tensor(rng.normal(size=SIZE))
    found, expected = (
        OUTERMOST[outermost](lambda x, y, t=t: run(tree, [x, y], t), t, x, y).numpy() for t in (Direct, Looped)
    )
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("seed", range(30))
def test_eager_tape_agrees_with_loops_in_forward_mode(seed):
    """First derivatives by `backward`, and second ones, of programs on tensors that require grad."""
    source = random.Random(f"{seed} eager")
    tree = program(source, 2, 1, 4)
    rng = np.random.default_rng(seed)
    x, y = (ho.tensor(rng.normal(size=SIZE), requires_grad=True) for _ in range(2))
    out = run(tree, [x, y], Direct).sum() + (x * y).sum()
    slopes = ho.grad(out, (x, y), create_graph=True)
    ho.autograd.backward([(slope * slope).sum() / 2 for slope in slopes])

    def f(x, y):
        return run(tree, [x, y], Looped) + x * y

    x, y, found = x.detach(), y.detach(), (x.grad, y.grad)
    for slope, g in zip(slopes, (Looped.grad(lambda x: f(x, y), x), Looped.grad(lambda y: f(x, y), y)), strict=True):
        np.testing.assert_allclose(slope.detach().numpy(), g.numpy(), rtol=1e-12, atol=1e-12)

    def half_square(x, y):
        slopes = Looped.grad(lambda x: f(x, y), x), Looped.grad(lambda y: f(x, y), y)
        return sum((slope * slope).sum() / 2 for slope in slopes)

    expected = columns(lambda x: half_square(x, y), x), columns(lambda y: half_square(x, y), y)
    for a, b in zip(found, expected, strict=True):
        scale = max(1, np.abs(b.numpy()).max())
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-11, atol=1e-11 * scale)
