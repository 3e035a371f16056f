"""Random steps of loops that take arrays apart, turn, join and scale them: compiled as eager, on both backends."""

import random

import numpy as np
import pytest

import hograd as ho
from hograd import func

SIZE = 6
MATRICES = [ho.tensor(np.random.default_rng(i).normal(size=(SIZE, SIZE))) for i in range(2)]

#: Functions of two values so far, a number that is given, weights, and a number that is fixed.
OPERATIONS = [
    lambda u, v, s, w, k: ho.tanh(u + s * v),
    lambda u, v, s, w, k: ho.tanh(u - k * v),
    lambda u, v, s, w, k: ho.tanh(u + v.T * s),
    lambda u, v, s, w, k: u - u[::-1] * s,
    lambda u, v, s, w, k: u * s,
    lambda u, v, s, w, k: u * k * 0.5 + v * k * 0.5,
    lambda u, v, s, w, k: ho.tanh(MATRICES[0] @ u * 0.3),
    lambda u, v, s, w, k: ho.tanh((MATRICES[1].T @ (w[:, :1] * (u - MATRICES[0]))) * 0.2),
    lambda u, v, s, w, k: ho.concatenate([u[:2] * s, u[2:] * s]),
    lambda u, v, s, w, k: ho.reshape(ho.concatenate([x.flatten() - k for x in (v[:3], u[3:])]), (SIZE, SIZE)),
    lambda u, v, s, w, k: ho.tanh(u / (1 + v * v) * s),
    lambda u, v, s, w, k: ho.relu(u) * s,
    lambda u, v, s, w, k: ho.tanh(ho.where(v == 0, 1.0, v) * u * 0.1),
    lambda u, v, s, w, k: ho.tanh(u * ((v * u).sum() * 0.01)),
]


def program(source):
    """A function of what is carried at first, a number, weights and slices, and how many slices it takes."""
    plan = [(source.choice(OPERATIONS), source.random(), source.random(), source.uniform(-1.5, 1.5)) for _ in range(12)]
    carried, given = [[source.random() for _ in range(source.randint(1, 4))] for _ in range(2)]
    length, checkpoint = source.choice([2, 3, 7]), source.choice(["none", "none", "sqrt", 2])
    reverse = source.random() < 0.3

    def step(carry, x, s, w):
        *values, number = carry
        values += [x, w]
        for operation, a, b, k in plan:
            u, v = (values[int(place * len(values))] for place in (a, b))
            values.append(operation(u, v, s, w, k) + 0.01 * number)
        ends, answers = ([values[int(place * len(values))] for place in places] for places in (carried, given))
        return (*ends, number + 1), answers

    def f(x, s, w, xs):
        start = (*[x * (i + 1) for i in range(len(carried))], 0)
        end, answers = ho.scan(step, start, xs, consts=(s, w), checkpoint=checkpoint, reverse=reverse)
        return sum((y**2).sum() for y in end[:-1]) + sum(y.sum() for y in answers)

    return f, length


@pytest.mark.parametrize("seed", range(30))
def test_compiled_is_eager(seed):
    f, length = program(random.Random(f"{seed} loops"))
    rng = np.random.default_rng(seed)
    x, w = ho.tensor(rng.normal(size=(SIZE, SIZE))), ho.tensor(rng.uniform(size=(SIZE, SIZE)))
    args = x, ho.tensor(rng.choice([0.0, 0.3, -0.7])), w, ho.tensor(rng.normal(size=(length, SIZE, SIZE)))
    gradient = func.grad_and_value(f, (0, 1, 2, 3))

    def curvature(*args):
        return func.jvp(lambda x: gradient(x, *args[1:])[0], (args[0],), (w,))[1]

    backends = ["numpy"] if seed % 5 else ["numpy", "native"]
    for function in (gradient, curvature):
        expected = [y.numpy() for y in ho.tree.leaves(function(*args))]
        for backend in backends:
            if backend == "native":
                pytest.importorskip("llvmlite")
            compiled = ho.compile(function, backend=backend)
            for _ in range(2):  # by the second call the buffers hold something
                for y, e in zip(ho.tree.leaves(compiled(*args)), expected, strict=True):
                    np.testing.assert_allclose(y.numpy(), e, rtol=1e-9, atol=1e-10 * max(1, np.abs(e).max()))
