"""What the step of a loop has from constants of the loop is computed once, before it."""

import numpy as np

import hograd as ho
from hograd.program.loops import LOOP

RNG = np.random.default_rng(0)
ROWS = 200
X = ho.tensor(RNG.normal(size=(ROWS, 8)))
TARGET = ho.tensor(RNG.normal(size=(ROWS, 6)))


def training(weights, rate, steps=7):
    """Weighted least squares by gradient descent on one flat array."""

    def gradient(flat, weights):
        weight, bias = ho.reshape(flat[:48], (8, 6)), flat[48:]
        error = ho.tanh(X @ weight + bias) - TARGET
        pulled = ho.reshape(weights, (ROWS, 1)) * error
        return ho.concatenate([ho.reshape(X.T @ pulled, (-1,)), pulled.sum(0)]) * 0.01 + 0.1 * flat

    def step(flat, _, weights, rate):
        return flat - 0.3 * gradient(flat, weights) * rate, None

    return ho.scan(step, ho.zeros(54), length=steps, consts=(weights, rate))[0]


WEIGHTS, RATE = ho.tensor(RNG.uniform(size=ROWS)), ho.tensor(0.7)


def steps_of(program):
    return [at.params["code"].step for at in program.instructions if at.primitive is LOOP]


def test_rows_factors_and_constants_wait_before_the_loop():
    run = ho.compile(training, fast_math=True)
    np.testing.assert_allclose(run(WEIGHTS, RATE).numpy(), training(WEIGHTS, RATE).numpy(), rtol=1e-12)
    (step,) = steps_of(run.program(WEIGHTS, RATE))
    large = [at.primitive.name for at in step.instructions if np.prod(step.kinds[at.output].shape) >= ROWS]
    assert sorted(large) == ["add", "mm_nn", "tanh"], "neither the weights nor the targets show in a step"
    names = [at.primitive.name for at in step.instructions]
    assert names.count("mm_nn") + names.count("mm_tn") == 2, "the gradients of weight and bias are one product"
    # 0.3 and 0.01 went to the matrix; 0.1 became 0.03; the rate is a number of its own.
    assert names.count("mul") == 2


def test_derivatives():
    def loss(weights, rate):
        return (training(weights, rate) ** 2).sum()

    gradient = ho.func.grad(loss, (0, 1))
    for y, e in zip(ho.compile(gradient)(WEIGHTS, RATE), gradient(WEIGHTS, RATE), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-11, atol=1e-14)

    def curvature(weights, rate):
        return ho.func.jvp(gradient, (weights, rate), (weights, rate))[1]

    for y, e in zip(ho.compile(curvature)(WEIGHTS, RATE), curvature(WEIGHTS, RATE), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-11, atol=1e-13)


def test_what_else_reads_a_weighted_value_stays():
    def f(weights):
        def step(w, _, weights):
            error = ho.tanh(X @ w) - TARGET
            weighted = ho.reshape(weights, (ROWS, 1)) * error
            return w - 0.01 * (X.T @ weighted), (weighted**2).sum()

        return ho.scan(step, ho.zeros(8, 6), length=3, consts=(weights,))

    for y, e in zip(ho.compile(f)(WEIGHTS), f(WEIGHTS), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


def test_what_is_carried_is_written_over_only_when_nothing_reads_it():
    """In one buffer, in the rows of the stack, exchanged, handed on, and read again after the new value is there."""

    def step(carry, x):
        a, b, c, d, _ = carry
        new = a * 0.5 + x
        late = a.sin() + new
        return (new, c, b + 0.1, late * d, d), (b, new.cos(), ho.reshape(a, (2, 2)))

    def f(xs, start):
        return ho.scan(step, tuple(start + k for k in range(5)), xs)

    xs, start = ho.tensor(RNG.normal(size=(6, 4))), ho.tensor(RNG.normal(size=4))
    for function in (
        f,
        lambda xs, start: ho.func.grad(lambda start: sum(y.sum() for y in ho.tree.leaves(f(xs, start))))(start),
    ):
        found, expected = ho.compile(function)(xs, start), function(xs, start)
        for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


def test_a_view_of_what_is_carried_is_carried_too():
    def step(carry, _):
        a, b = carry
        new = a * 2.0
        return (new, ho.reshape(new, (2, 2)) + 0.0), b.sum()

    def same(carry, _):
        a, b = carry
        new = a * 2.0 + b.sum()
        return (new, ho.reshape(new, (2, 2))), b.sum()

    for body in (step, same):
        run = lambda x, body=body: ho.scan(body, (x, ho.reshape(x, (2, 2))), length=4)  # noqa: E731
        x = ho.tensor(RNG.normal(size=4))
        for y, e in zip(ho.tree.leaves(ho.compile(run)(x)), ho.tree.leaves(run(x)), strict=True):
            np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


def test_many_short_rows_are_written_to_where_they_lie():
    """A stack of 300 rows of 4 is one of the arrays that replays keep column by column elsewhere."""

    def f(start, rate):
        def step(carry, _, rate):
            a, b = carry
            b = 0.9 * b + rate * a
            return (a - 0.01 * b, b), (a, b)

        return ho.scan(step, (start, 0.0 * start), length=300, consts=(rate,))

    start, rate = ho.tensor(RNG.normal(size=4)), ho.tensor(0.3)
    for function in (
        f,
        ho.func.grad(lambda start, rate: sum((y**2).sum() for y in ho.tree.leaves(f(start, rate))), (0, 1)),
    ):
        found, expected = ho.compile(function)(start, rate), function(start, rate)
        for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-11, atol=1e-13)
