"""Poles, ties, zeros, infinities and empty data: values and two derivatives, as PyTorch 2.13 gave them.

What differs from PyTorch is marked.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.check import gradcheck

from .edges import Edge, check_transforms, check_values_and_derivatives, check_warnings, over

inf, nan = math.inf, math.nan
LN2 = math.log(2)


# fmt: off
EDGES = [
    # PyTorch's second derivative is nan where a norm is 0; here all derivatives are 0 there.
    Edge("norm of zeros", lambda x: ho.norm(x), [[0.0, 0.0]], 0.0, [[0.0, 0.0]], [[0.0, 0.0]]),
    Edge("norm of a row of zeros", lambda x: ho.norm(x, dim=1),
         [[[3.0, 4.0], [0.0, 0.0]]], [5.0, 0.0], [[[0.6, 0.8], [0.0, 0.0]]], [[[-0.064, 0.048], [0.0, 0.0]]]),
    Edge("norm of one zero", lambda x: ho.norm(x), [[0.0, 2.0]], 2.0, [[0.0, 1.0]], [[0.5, 0.0]]),
    Edge("1-norm at zero", lambda x: ho.norm(x, 1), [[0.0, -2.0]], 2.0, [[0.0, -1.0]], [[0.0, 0.0]]),
    Edge("3-norm at zeros", lambda x: ho.norm(x, 3), [[0.0, 0.0]], 0.0, [[0.0, 0.0]], [[0.0, 0.0]]),
    Edge("3-norm with a zero", lambda x: ho.norm(x, 3), [[0.0, -2.0]], 2.0, [[0.0, -1.0]], [[0.0, 0.0]]),
    Edge("inf-norm of ties", lambda x: ho.norm(x, math.inf),
         [[2.0, -2.0, 1.0]], 2.0, [[0.5, -0.5, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("inf-norm of zeros", lambda x: ho.norm(x, math.inf), [[0.0, 0.0]], 0.0, [[0.0, 0.0]], [[0.0, 0.0]]),
    Edge("sqrt of zero", lambda x: ho.sqrt(x), [[0.0, 4.0]], [0.0, 2.0], [[inf, 0.5]], [[-inf, -0.125]]),
    Edge("sqrt of a negative number", lambda x: ho.sqrt(x), [[-1.0, 4.0]], [nan, 2.0], [[nan, 0.5]], [[nan, -0.125]]),
    Edge("abs of zero", lambda x: ho.abs(x),
         [[0.0, 0.0, -3.0]], [0.0, 0.0, 3.0], [[0.0, 0.0, -3.0]], [[0.0, 0.0, 0.0]]),
    # The slope is a constant, so that there is no second derivative to ask for; PyTorch gives zeros.
    Edge("relu of zero", lambda x: ho.relu(x), [[0.0, -1.0, 2.0]], [0.0, 0.0, 2.0], [[0.0, 0.0, 3.0]], None),
    Edge("sign of zero", lambda x: ho.sign(x), [[0.0, -2.0]], [0.0, -1.0], [[0.0, 0.0]], None),
    Edge("reciprocal of zero", lambda x: ho.reciprocal(x), [[0.0, 2.0]], [inf, 0.5], [[-inf, -0.5]], [[inf, 1.0]]),
    Edge("maximum of ties", lambda x, y: ho.maximum(x, y),
         [[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]], [1.0, 3.0, 3.0], [[0.5, 2.0, 0.0], [0.5, 0.0, 3.0]], None),
    Edge("minimum of ties", lambda x, y: ho.minimum(x, y),
         [[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]], [1.0, 2.0, 2.0], [[0.5, 0.0, 3.0], [0.5, 2.0, 0.0]], None),
    Edge("maximum with nan", lambda x, y: ho.maximum(x, y),
         [[nan, 3.0], [1.0, nan]], [nan, nan], [[1.0, 2.0], [1.0, 2.0]], None),
    Edge("max of ties", lambda x: ho.max(x), [[1.0, 5.0, 5.0]], 5.0, [[0.0, 0.5, 0.5]], None),
    Edge("min of ties", lambda x: ho.min(x),
         [[[1.0, 5.0], [1.0, 1.0]]], 1.0, [[[1 / 3, 0.0], [1 / 3, 1 / 3]]], None),
    Edge("amax of ties", lambda x: ho.amax(x, 1),
         [[[2.0, 2.0], [1.0, 3.0]]], [2.0, 3.0], [[[0.5, 0.5], [0.0, 2.0]]], None),
    Edge("amin of ties", lambda x: ho.amin(x, 0),
         [[[2.0, 2.0], [2.0, 3.0]]], [2.0, 2.0], [[[0.5, 2.0], [0.5, 0.0]]], None),
    Edge("max along an axis of ties", lambda x: ho.max(x, 1).values,
         [[[2.0, 2.0], [1.0, 3.0]]], [2.0, 3.0], [[[1.0, 0.0], [0.0, 2.0]]], None),
    Edge("amax of infinities", lambda x: ho.amax(x, 0), [[inf, inf, 1.0]], inf, [[0.5, 0.5, 0.0]], None),
    Edge("prod with one zero", lambda x: ho.prod(x), [[2.0, 0.0, 5.0]], 0.0, [[0.0, 10.0, 0.0]], [[10.0, 11.0, 4.0]]),
    Edge("prod with two zeros", lambda x: ho.prod(x), [[2.0, 0.0, 0.0]], 0.0, [[0.0, 0.0, 0.0]], [[0.0, 6.0, 4.0]]),
    Edge("prod with three zeros", lambda x: ho.prod(x),
         [[0.0, 0.0, 0.0, 4.0]], 0.0, [[0.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]),
    Edge("prod along an axis with zeros", lambda x: ho.prod(x, 1),
         [[[0.0, 3.0], [0.0, 0.0]]], [0.0, 0.0], [[[3.0, 0.0], [0.0, 0.0]]], [[[2.0, 1.0], [8.0, 6.0]]]),
    Edge("x**2 at zero", lambda x: x**2, [[0.0, -1.0]], [0.0, 1.0], [[0.0, -4.0]], [[2.0, 8.0]]),
    Edge("x**3 at zero", lambda x: x**3, [[0.0, -1.0]], [0.0, -1.0], [[0.0, 6.0]], [[0.0, -24.0]]),
    Edge("x**0 at zero", lambda x: x**0, [[0.0, -1.0]], [1.0, 1.0], [[0.0, 0.0]], None),
    Edge("x**1 at zero", lambda x: x**1, [[0.0, -1.0]], [0.0, -1.0], [[1.0, 2.0]], [[0.0, 0.0]]),
    Edge("x**0.5 at zero", lambda x: x**0.5, [[0.0, 4.0]], [0.0, 2.0], [[inf, 0.5]], [[-inf, -0.125]]),
    Edge("x**1.5 at zero", lambda x: x**1.5, [[0.0, 4.0]], [0.0, 8.0], [[0.0, 6.0]], [[inf, 1.5]]),
    Edge("x**-1 at zero", lambda x: x**-1, [[0.0, 2.0]], [inf, 0.5], [[-inf, -0.5]], [[inf, 1.0]]),
    Edge("x**-0.5 at zero", lambda x: x**-0.5, [[0.0, 4.0]], [inf, 0.5], [[-inf, -0.125]], [[inf, 0.09375]]),
    Edge("a power of negative numbers", lambda x: x**2.5, [[-2.0]], [nan], [[nan]], [[nan]]),
    # PyTorch's second derivatives are nan; here those that exist are right.
    Edge("zero to tensor exponents", lambda x, y: ho.pow(x, y),
         [[0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 1.0, 2.0]], [1.0, 0.0, 0.0, 0.0],
         [[0.0, inf, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]], [[0.0, nan, 0.0, 32.0], [0.0, nan, 9.0, 0.0]]),
    Edge("zero to a negative tensor exponent", lambda x, y: ho.pow(x, y),
         [[0.0], [-1.0]], [inf], [[-inf], [-inf]], [[inf], [inf]]),
    # PyTorch leaves the mixed derivative 1 / x out on one side of the Hessian.
    Edge("numbers to a tensor exponent of zero", lambda x, y: ho.pow(x, y),
         [[2.0, 3.0], [0.0, 0.0]], [1.0, 1.0],
         [[0.0, 0.0], [LN2, 2.19722457733622]], [[0.5, 4 / 3], [0.980453013918201, 6.161129176583661]]),
    Edge("a negative base under a tensor exponent", lambda x, y: ho.pow(x, y),
         [[-2.0], [3.0]], [-8.0], [[12.0], [nan]], [[nan], [nan]]),
    # PyTorch's second derivative is nan.
    Edge("zero to the power of x", lambda x: 0.0**x,
         [[0.0, 1.0, 2.0]], [1.0, 0.0, 0.0], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("2 to the power of x", lambda x: 2**x,
         [[0.0, 1.0]], [1.0, 2.0], [[LN2, 2.772588722239781]], [[0.480453013918201, 3.843624111345611]]),
    Edge("where beside log of zero", lambda x: ho.where(x > 0, ho.log(x), 0.0),
         [[0.0, 2.0]], [0.0, LN2], [[nan, 1.0]], [[nan, -1.0]]),
    Edge("where inside log of zero", lambda x: ho.where(x > 0, ho.log(ho.where(x > 0, x, 1.0)), 0.0),
         [[0.0, 2.0]], [0.0, LN2], [[0.0, 1.0]], [[0.0, -1.0]]),
    Edge("where of nan", lambda x, y: ho.where(x > 1, x, y),
         [[nan, 2.0], [3.0, nan]], [3.0, 2.0], [[0.0, 2.0], [1.0, 0.0]], None),
    Edge("clip at its limits", lambda x: ho.clip(x, 0, 1),
         [[0.0, 1.0, 0.5, -1.0, 2.0]], [0.0, 1.0, 0.5, 0.0, 1.0], [[1.0, 2.0, 3.0, 0.0, 0.0]], None),
    Edge("clip to tensors at equality", lambda x, y, z: ho.clip(x, y, z),
         [[0.0, 1.0, 2.0, -1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]], [0.0, 1.0, 1.0, 0.0],
         [[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0], [0.0, 0.0, 3.0, 0.0]], None),
    Edge("std of constant data", lambda x: ho.std(x), [[2.0, 2.0, 2.0]], 0.0, [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("std of a constant row", lambda x: ho.std(x, dim=1),
         [[[2.0, 2.0], [1.0, 3.0]]], [0.0, 1.414213562373095],
         [[[0.0, 0.0], [-1.414213562373095, 1.414213562373095]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("var of constant data", lambda x: ho.var(x), [[2.0, 2.0]], 0.0, [[0.0, 0.0]], [[-1.0, 1.0]]),
    Edge("var without correction of one element", lambda x: ho.var(x, correction=0), [[2.0]], 0.0, [[0.0]], [[0.0]]),
    Edge("log of zero", lambda x: ho.log(x), [[0.0, 2.0]], [-inf, LN2], [[inf, 1.0]], [[-inf, -1.0]]),
    Edge("log1p of -1", lambda x: ho.log1p(x), [[-1.0, 0.0]], [-inf, 0.0], [[inf, 2.0]], [[-inf, -4.0]]),
    Edge("exp of large numbers", lambda x: ho.exp(x), [[-1000.0, 1000.0]], [0.0, inf], [[0.0, inf]], [[0.0, inf]]),
    Edge("expm1 of large numbers", lambda x: ho.expm1(x),
         [[-1000.0, 1e-20]], [-1.0, 1e-20], [[0.0, 2.0]], [[0.0, 4.0]]),
    Edge("sigmoid of large numbers", lambda x: ho.sigmoid(x),
         [[-1000.0, 1000.0, -inf, inf]], [0.0, 1.0, 0.0, 1.0], [[0.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]),
    Edge("tanh of large numbers", lambda x: ho.tanh(x), [[-1000.0, inf]], [-1.0, 1.0], [[0.0, 0.0]], [[0.0, 0.0]]),
    Edge("softplus of large numbers", lambda x: ho.softplus(x),
         [[-1000.0, 1000.0, 0.0]], [0.0, 1000.0, LN2], [[0.0, 2.0, 1.5]], [[0.0, 0.0, 2.25]]),
    Edge("logsumexp with -inf", lambda x: ho.logsumexp(x, 0),
         [[-inf, 0.0, 1.0]], 1.313261687518223,
         [[0.0, 0.268941421369995, 0.731058578630005]], [[0.0, -0.196611933241482, 0.196611933241482]]),
    Edge("logsumexp of -inf alone", lambda x: ho.logsumexp(x, 1),
         [[[-inf, -inf], [0.0, 0.0]]], [-inf, LN2],
         [[[nan, nan], [1.0, 1.0]]], [[[nan, nan], [-0.5, 0.5]]]),
    Edge("logsumexp with inf", lambda x: ho.logsumexp(x, 0), [[inf, 0.0]], inf, [[nan, 0.0]], [[nan, nan]]),
    Edge("logsumexp of large numbers", lambda x: ho.logsumexp(x, 0),
         [[1000.0, 1000.0]], 1000.6931471805599,
         [[0.5, 0.5]], [[-0.25, 0.25]]),
    Edge("softmax with -inf", lambda x: ho.softmax(x, 0),
         [[-inf, 0.0, 0.0]], [0.0, 0.5, 0.5], [[0.0, -0.25, 0.25]], [[0.0, 0.0, 0.0]]),
    Edge("softmax of a row of -inf", lambda x: ho.softmax(x, 1),
         [[[-inf, -inf], [0.0, 0.0]]], [[nan, nan], [0.5, 0.5]],
         [[[nan, nan], [-0.25, 0.25]]], [[[nan, nan], [0.0, 0.0]]]),
    Edge("softmax with inf", lambda x: ho.softmax(x, 0), [[inf, 0.0]], [nan, nan], [[nan, nan]], [[nan, nan]]),
    Edge("log_softmax with -inf", lambda x: ho.log_softmax(x, 0),
         [[-inf, 0.0, 0.0]], [-inf, -LN2, -LN2], [[1.0, -1.0, 0.0]], [[0.0, 1.5, -1.5]]),
    Edge("log_softmax of large numbers", lambda x: ho.log_softmax(x, 0),
         [[-1000.0, 1000.0]], [-2000.0, 0.0], [[1.0, -1.0]], [[0.0, 0.0]]),
    Edge("cross_entropy of a certain answer", lambda x: ho.cross_entropy(x, ho.tensor([0, 1])),
         [[[0.0, 1000.0], [0.0, 1000.0]]], 500.0, [[[-0.5, 0.5], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    Edge("cross_entropy with a class ruled out", lambda x: ho.cross_entropy(x, ho.tensor([1])),
         [[[-inf, 0.0, 1.0]]], 1.313261687518223,
         [[[0.0, -0.731058578630005, 0.731058578630005]]], [[[0.0, -0.196611933241482, 0.196611933241482]]]),
    Edge("division by zero", lambda x, y: x / y,
         [[1.0, 0.0], [0.0, 0.0]], [inf, nan], [[inf, inf], [-inf, nan]], [[-inf, -inf], [nan, nan]]),
    Edge("a number divided by zero", lambda x: 1 / x, [[0.0, 2.0]], [inf, 0.5], [[-inf, -0.5]], [[inf, 1.0]]),
    Edge("division by the number zero", lambda x: x / 0.0, [[1.0, -1.0]], [inf, -inf], [[inf, inf]], None),
    Edge("mean of nothing", lambda x: ho.mean(x), [[]], nan, [[]], None),
    Edge("sum of nothing", lambda x: ho.sum(x), [[]], 0.0, [[]], None),
    # PyTorch gives an empty second derivative.
    Edge("prod of nothing", lambda x: ho.prod(x), [[]], 1.0, [[]], None),
    Edge("norm of nothing", lambda x: ho.norm(x), [[]], 0.0, [[]], [[]]),
    Edge("logsumexp of nothing", lambda x: ho.logsumexp(x, 0), [[]], -inf, [[]], [[]]),
    Edge("mse of nothing", lambda x, y: ho.mse_loss(x, y), [[], []], nan, [[], []], [[], []]),
]
# fmt: on


@over(EDGES)
def test_values_and_derivatives_at_the_edge(edge):
    check_values_and_derivatives(edge)


@over(EDGES)
def test_transforms_agree_at_the_edge(edge):
    check_transforms(edge)


@over(EDGES)
def test_derivatives_do_not_warn_where_values_do_not(edge):
    check_warnings(edge)


def test_prod_with_zeros_is_exact_to_third_order():
    for zeros in ([], [1], [0, 2], [0, 1, 3], [0, 1, 2, 3]):
        x = np.array([2.0, -3.0, 0.5, 4.0])
        x[zeros] = 0.0

        def derivative(*places, x=x):
            """d prod / d x_i d x_j ...: the product of the others, 0 where a place repeats."""
            return 0.0 if len(set(places)) < len(places) else np.prod(np.delete(x, places))

        point = ho.tensor(x)
        first = func.grad(ho.prod)
        second = func.jacrev(first)
        third = func.jacfwd(second)
        for n, tensor in ((1, first(point)), (2, second(point)), (3, third(point)), (3, func.jacrev(second)(point))):
            expected = [derivative(*places) for places in itertools.product(range(4), repeat=n)]
            np.testing.assert_allclose(tensor.numpy().ravel(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["number", "tensor"])
def test_whole_powers_at_zero_are_exact_to_fourth_order(exponent, as_tensor):
    b = ho.tensor(float(exponent)) if as_tensor else exponent

    def derivative(order):
        """The derivative of each element."""
        if order == 0:
            return lambda x: x**b
        return lambda x: func.vjp(derivative(order - 1), x)[1](ho.ones_like(x))[0]

    x = ho.tensor([0.0, 2.0])
    for order in range(5):
        factor = math.perm(exponent, order)
        expected = [factor * (0.0 if exponent > order else 1.0), factor * 2.0 ** max(exponent - order, 0)]
        np.testing.assert_allclose(derivative(order)(x).numpy(), expected, rtol=1e-14)


def test_the_gradient_of_x_to_a_power_can_be_taken_until_it_is_a_constant():
    x = ho.tensor(3.0, requires_grad=True)
    y = x**3
    for expected in (27.0, 18.0, 6.0, 0.0):
        (y,) = ho.grad(y, x, create_graph=True)
        assert y.item() == expected
    assert not y.requires_grad


def test_norms_and_deviations_are_smooth_away_from_their_kinks():
    x = ho.tensor([[0.0, 0.0, 3.0], [1.0, -2.0, 0.5]])
    assert gradcheck(lambda x: (ho.norm(x, axis=1), ho.std(x, axis=1)), x, order=3)
    # A norm of 0 beside others leaves their derivatives alone, and multiplied by 0 its own are 0.
    y = ho.tensor([0.0, 0.0])
    assert func.hessian(lambda y: ho.norm(y) * y.sum())(y).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_reductions_that_need_more_elements_are_nan():
    x = ho.tensor([2.0], requires_grad=True)
    for f in (ho.var, ho.std):
        assert math.isnan(f(x).item())
        assert math.isnan(ho.grad(f(x), x)[0].item())
        assert math.isnan(f(x, correction=2).item())
        assert math.isnan(f(ho.tensor([])).item())


@pytest.mark.parametrize("f", [ho.amax, ho.amin, ho.max, ho.min], ids=lambda f: f.__name__)
def test_the_extremum_with_nan_is_nan(f):
    assert math.isnan(f(ho.tensor([1.0, nan, 3.0])).item())
