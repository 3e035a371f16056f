"""Derivatives of every operation: against numerical ones to order 3, and rules on arrays against recorded ones."""

from __future__ import annotations

import pytest

import hograd as ho
from hograd.check import gradcheck

from .samples import Bound, assert_equal, cotangents, differentiable, every_case, recorded_ones


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives_to_order_three_are_the_numerical_ones(operation, index):
    bound = Bound(operation, index)
    assert gradcheck(bound.of_floating, tuple(bound.floats()), order=1, seed=index)
    assert gradcheck(bound.of_floating, tuple(bound.floats()), order=3, directions=2, seed=index + 1)


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_the_recorded_gradient_is_the_one_on_arrays(operation, index):
    bound = Bound(operation, index)
    floats = bound.floats(requires_grad=True)
    outputs = bound.of_floating(*floats)
    weights = cotangents(outputs, seed=index)
    tracked, its_weights = recorded_ones(outputs, weights)
    recorded = ho.grad(tracked, floats, its_weights, create_graph=True, materialize_grads=True)
    plain = ho.grad(tracked, floats, its_weights, retain_graph=True, materialize_grads=True)
    for g, r in zip(plain, recorded, strict=True):
        assert not g.requires_grad
        assert_equal(g, r)
    ho.autograd.backward(tracked, its_weights)
    for x, g in zip(floats, plain, strict=True):
        if x.grad is not None:
            assert_equal(x.grad, g)
    pull = ho.func.vjp(bound.of_floating, *bound.floats())[1]
    for g, p in zip(plain, pull(weights), strict=True):
        assert_equal(p, g)
