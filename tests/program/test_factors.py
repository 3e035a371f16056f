"""What is linear in the step of a loop is done where there are fewer numbers, and gives the same."""

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.program.borders import with_border
from hograd.program.capture import capture
from hograd.program.factors import linear
from hograd.program.passes import optimize
from hograd.program.replay_numpy import Replay

RNG = np.random.default_rng(0)
ROWS = 80
MATRIX = ho.tensor(RNG.normal(size=(ROWS, 5)))
SHIFT = ho.tensor(RNG.normal(size=(ROWS, 3)))
WEIGHT, BIAS = RNG.normal(size=(5, 3)), RNG.normal(size=3)


def steps(function, *values):
    """The program of a function, before and after."""
    program = optimize(capture(lambda *tensors: list(function(*tensors)), values, "f"))
    return program, with_border(linear(program))


def same(function, *values):
    before, after = steps(function, *values)
    for y, e in zip(Replay(after, "f")(*values), Replay(before, "f")(*values), strict=True):
        assert (y.shape, y.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(y, e, rtol=1e-12, atol=1e-12)
    return before, after


def made(program, name):
    """The shapes that the operations of a name make."""
    return [program.kinds[at.output].shape for at in program.instructions if at.primitive.name == name]


def test_factors_are_multiplied_by_last():
    before, after = same(lambda x: [(x.exp() * 0.5 * x).sum(0), MATRIX.T @ (x.exp() * 0.5)], SHIFT.numpy())
    assert (ROWS, 3) in made(before, "mul")
    assert sorted(made(after, "mul")) == [(3,), (5, 3), (ROWS, 3)]


def test_factors_stay_where_moving_them_is_more_work():
    before, after = same(lambda x: [(x * 0.5).sin(), (x * 0.5 + x.cos()).sum()], SHIFT.numpy())
    assert len(made(after, "mul")) <= len(made(before, "mul"))


def test_numbers_that_are_computed_wait_too():
    def f(x, y, s, r):
        return [((x * s) / y * x.sin() * r).cos(), ((y * s).exp() + x * r).sum()]

    values = SHIFT.numpy(), SHIFT.numpy() + 3, np.float64(0.3), np.float64(0.7)
    before, after = same(f, *values)
    assert [made(program, "mul").count((ROWS, 3)) for program in (before, after)] == [5, 4]
    # Two that differ meet in a sum, and one that is read elsewhere stays.
    before, after = same(lambda x, y, s, r: [((x * s) / y + x * r).cos(), y * s, (y * s).sin()], *values)
    assert len(made(after, "mul")) == len(made(before, "mul"))


def test_signs_turn_sums_into_differences():
    def f(x, y):
        negative = -x.sin()
        return [y + negative * x, negative * y + x, y - negative, negative.sum()]

    before, after = same(f, SHIFT.numpy(), SHIFT.numpy() + 1)
    assert made(before, "neg") == [(ROWS, 3)]
    assert made(after, "neg") == [()]
    same(lambda x, y: [-x - y, -x - 2.0, 2.0 - (-x)], SHIFT.numpy(), SHIFT.numpy() + 1)


def test_a_factor_that_is_an_answer_too():
    same(lambda x: [x * 0.5, (x * 0.5).sum(0)], SHIFT.numpy())


@pytest.mark.parametrize("shifted", [lambda x: x - SHIFT, lambda x: SHIFT - x, lambda x: x + SHIFT])
def test_constants_are_taken_out_of_sums_and_products(shifted):
    before, after = same(lambda x: [shifted(x.exp()).sum(0), MATRIX.T @ shifted(x.exp())], RNG.normal(size=(ROWS, 3)))
    assert (ROWS, 3) in made(before, "sub") + made(before, "add")
    assert (ROWS, 3) not in made(after, "sub") + made(after, "add")


def test_constants_stay_where_others_read_the_difference():
    _, after = same(lambda x: [(x - SHIFT).sum(0), (x - SHIFT).exp()], RNG.normal(size=(ROWS, 3)))
    assert made(after, "sub") == [(ROWS, 3)]


def test_a_bias_is_one_more_row_of_the_weight():
    def f(weight, bias):
        z, pull = func.vjp(lambda weight, bias: (MATRIX @ weight + bias).tanh(), weight, bias)
        return [z, *pull(z)]

    _, after = same(f, WEIGHT, BIAS)
    assert made(after, "add") == []
    assert made(after, "sum") == []
    assert made(after, "mm_nn") == [(ROWS, 3)]
    assert made(after, "mm_tn") == [(6, 3)]
    # Elsewhere it is no bias.
    for bias in (RNG.normal(size=(ROWS, 1)), RNG.normal(size=(ROWS, 3)), np.float64(2.0), np.float32([1, 2, 3])):
        same(f, WEIGHT, bias)


def test_in_a_loop_with_its_derivatives():
    labels = ho.tensor(RNG.integers(0, 3, ROWS))

    def f(weight, bias, rates):
        def loss(params):
            return ho.cross_entropy(MATRIX @ params[0] + params[1], labels)

        def total(rates):
            def step(params, rate):
                gradient = func.grad(loss)(params)
                return [p - rate * g for p, g in zip(params, gradient, strict=True)], None

            return loss(ho.scan(step, [weight, bias], rates)[0])

        return total(rates), func.grad(total)(rates), func.jvp(func.grad(total), (rates,), (rates,))[1]

    args = ho.tensor(WEIGHT), ho.tensor(BIAS), ho.linspace(0.1, 0.5, 6)
    for y, e in zip(ho.compile(f)(*args), f(*args), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12, atol=1e-14)
