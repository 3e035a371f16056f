"""A function at a point where a derivative has to be agreed upon, and what is checked there in every mode.

Derivatives are those of sums weighted by 1, 2, 3, ... in order of the elements, the second ones of the gradients'
elements weighted likewise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import hograd as ho
from hograd import func


class Edge(NamedTuple):
    """A function at a point, and what is expected there; `second` None: the gradient is a constant."""

    name: str
    function: Callable[..., Any]
    point: list[Any]
    value: Any
    first: list[Any]
    second: list[Any] | None


def over(table):
    """Run a test on every edge of a table."""
    return pytest.mark.parametrize("edge", table, ids=[edge.name.replace(" ", "-") for edge in table])


def at(edge, requires_grad=False):
    return [ho.tensor(np.array(x, dtype=np.float64), requires_grad=requires_grad) for x in edge.point]


def value_of(edge, xs):
    """The value; only computing it may warn."""
    with np.errstate(all="ignore"):
        return edge.function(*xs)


def weights(y):
    return ho.tensor((np.arange(y.numel()) + 1.0).reshape(y.shape))


def weighted(tensors):
    return sum((y * weights(y)).sum() for y in tensors)


def assert_close(found, expected):
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), np.array(e, dtype=np.float64), rtol=1e-12, atol=1e-14)


def check_values_and_derivatives(edge):
    """The value, the first derivative as recorded and on arrays, and the second."""
    xs = at(edge, requires_grad=True)
    y = value_of(edge, xs)
    assert_close([y], [edge.value])
    first = ho.grad(y, xs, weights(y), create_graph=True)
    assert_close(first, edge.first)
    with np.errstate(all="ignore"):
        total = weighted(first)
    if edge.second is None:
        assert not total.requires_grad
    else:
        assert_close(ho.grad(total, xs), edge.second)
    y = value_of(edge, xs)
    assert_close(ho.grad(y, xs, weights(y)), edge.first)


def check_transforms(edge):
    """`vjp`, `vmap` and `jvp` give the same first derivative."""
    xs = at(edge)
    with np.errstate(all="ignore"):
        y, pull = func.vjp(edge.function, *xs)
        assert_close(pull(weights(y)), edge.first)
        batches = [ho.stack([x, x]) for x in xs]
        gradients = func.vmap(lambda *xs: func.vjp(edge.function, *xs)[1](weights(y)))(*batches)
        assert_close([g[1] for g in gradients], edge.first)

        tangents = [ho.tensor(np.where(np.isfinite(x.numpy()), 0.5, 0.0)) for x in xs]
        pushed = func.jvp(edge.function, tuple(xs), tuple(tangents))[1]
        terms = [np.array(g, dtype=np.float64) * t.numpy() for g, t in zip(edge.first, tangents, strict=True)]
        expected = sum(term.sum() for term in terms)
    if np.isfinite(expected) and np.isfinite(edge.value).all():
        np.testing.assert_allclose((pushed * weights(pushed)).sum().item(), expected, rtol=1e-12, atol=1e-14)


def check_warnings(edge):
    """Derivatives do not warn where values do not."""
    xs = at(edge)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = edge.function(*xs)
    if caught:
        return
    func.jvp(edge.function, tuple(xs), tuple(ho.ones_like(x) for x in xs))
    func.jvp(lambda *xs: func.vjp(edge.function, *xs)[1](weights(y)), tuple(xs), tuple(ho.ones_like(x) for x in xs))
