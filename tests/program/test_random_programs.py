"""Randomly composed transforms of randomly composed functions: compiled as a whole, and with compiled parts."""

import random

import numpy as np
import pytest

import hograd as ho
from hograd import func

from ..func.test_random_programs import OUTERMOST, SIZE, Direct, program, run


@pytest.mark.parametrize("outermost", OUTERMOST)
@pytest.mark.parametrize("seed", range(25))
def test_compiled_is_eager(seed, outermost):
    source = random.Random(f"{seed} {outermost} compiled")
    tree = program(source, 2, 2, 4)
    rng = np.random.default_rng(seed)

    def f(x, y):
        return OUTERMOST[outermost](lambda x, y: run(tree, [x, y], Direct), Direct, x, y)

    compiled = ho.compile(f)
    for _ in range(2):
        x, y = ho.tensor(rng.normal(size=SIZE)), ho.tensor(rng.normal(size=SIZE))
        expected = f(x, y).numpy()
        np.testing.assert_allclose(
            compiled(x, y).numpy(), expected, rtol=1e-12, atol=1e-12 * max(1, np.abs(expected).max())
        )


TRANSFORMS = {
    "grad": lambda f, x, y: func.grad(lambda x: f(x, y).sum())(x),
    "gradient of gradient": lambda f, x, y: func.grad(
        lambda y: (func.grad(lambda x: (f(x, y) * y).sum())(x) * x).sum()
    )(y),
    "hessian": lambda f, x, y: func.hessian(lambda x: f(x, y).sum())(x),
    "hvp": lambda f, x, y: func.hvp(lambda x: f(x, y).sum(), x, y),
    "jacfwd": lambda f, x, y: func.jacfwd(f, argnums=1)(x, y),
    "jacrev": lambda f, x, y: func.jacrev(f)(x, y),
    "vmap": lambda f, x, y: func.vmap(f, in_dims=(0, None))(ho.stack([x, y]), y),
    "vmap of grad": lambda f, x, y: func.vmap(func.grad(lambda x, y: f(x, y).sum()), in_dims=(0, None))(
        ho.stack([x, y]), y
    ),
    "grad of vmap": lambda f, x, y: func.grad(lambda x: func.vmap(f)(ho.stack([x, y]), ho.stack([y, x])).sum())(x),
    "third": lambda f, x, y: func.jacfwd(func.hessian(lambda x: f(x, y).sum()))(x),
    "compiled": lambda f, x, y: ho.compile(func.grad(lambda x: f(f(x, y), y).sum()))(x),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("seed", range(8))
def test_transforms_of_compiled(seed, transform):
    source = random.Random(f"{seed} {transform} part")
    tree = program(source, 2, 1, 3)
    rng = np.random.default_rng(seed)
    x, y = ho.tensor(rng.normal(size=SIZE)), ho.tensor(rng.normal(size=SIZE))

    def f(x, y):
        return run(tree, [x, y], Direct) + (x * y).sin()

    expected = TRANSFORMS[transform](f, x, y).numpy()
    found = TRANSFORMS[transform](ho.compile(f), x, y).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("seed", range(8))
def test_eager_tape_through_compiled(seed):
    source = random.Random(f"{seed} tape")
    tree = program(source, 2, 1, 3)
    rng = np.random.default_rng(seed)
    start = rng.normal(size=SIZE), rng.normal(size=SIZE)

    def slopes(f):
        x, y = (ho.tensor(v, requires_grad=True) for v in start)
        out = f(x * y, y)
        first = ho.grad((out * out).sum(), (x, y), create_graph=True)
        second = ho.grad(sum((s * s).sum() for s in first), (x, y), create_graph=True)
        sum((s * s).sum() for s in second).backward()
        return [*first, *second, x.grad, y.grad]

    def f(x, y):
        return run(tree, [x, y], Direct) + (x * y).sin()

    for found, expected in zip(slopes(ho.compile(f)), slopes(f), strict=True):
        e = expected.detach().numpy()
        np.testing.assert_allclose(found.detach().numpy(), e, rtol=1e-10, atol=1e-10 * max(1, np.abs(e).max()))
