"""Histograms against NumPy's, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ShapeError

DRAW = np.random.default_rng(0)
X, W = DRAW.normal(size=(4, 6)), DRAW.uniform(size=(4, 6))
POINTS, V = DRAW.normal(size=(5, 6, 2)), DRAW.uniform(size=(5, 6))
EDGES = np.array([-1.0, 0.0, 0.25, 2.0])


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize(("bins", "limits"), [(5, None), (3, (-0.5, 1.0)), (EDGES, None)])
def test_histogram(bins, limits, weight, density):
    expected = np.histogram(X, bins, limits, density, weight)
    given = {"range": limits, "weight": None if weight is None else ho.tensor(weight), "density": density}
    found = ho.tensor(X).histogram(bins if isinstance(bins, int) else ho.tensor(bins), **given)
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("weight", [None, V])
@pytest.mark.parametrize(("bins", "limits"), [([3, 4], None), (2, [-1, 1, -2, 2]), ([EDGES, 3], None)])
def test_histogramdd(bins, limits, weight, density):
    pairs = limits and [limits[:2], limits[2:]]
    flat = None if weight is None else weight.reshape(-1)
    hist, edges = np.histogramdd(POINTS.reshape(-1, 2), bins, pairs, density, flat)
    found = ho.histogramdd(
        ho.tensor(POINTS), bins, range=limits, weight=None if weight is None else ho.tensor(weight), density=density
    )
    np.testing.assert_allclose(found.hist, hist, rtol=1e-12, atol=1e-15)
    for y, e in zip(found.bin_edges, edges, strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-12)


def test_equal_numbers_no_numbers_and_other_dtypes():
    assert ho.histogram(ho.full((3,), 2.0), 2).bin_edges.tolist() == [1.5, 2.0, 2.5]
    assert ho.histogram(ho.zeros(0), 2).hist.tolist() == [0.0, 0.0]
    assert ho.histogram(ho.zeros(0), 2).bin_edges.tolist() == [0.0, 0.5, 1.0]
    assert ho.histogram(ho.ones(2, dtype=ho.float32), 2).hist.dtype == ho.float32
    assert ho.histogram(ho.tensor([1, 3]), 2).hist.dtype == ho.float64
    assert not ho.histogram(ho.ones(2).requires_grad_(), 2).hist.requires_grad


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: ho.histogram(ho.ones(2), 0), ArgumentError, "got 0 bins"),
        (lambda: ho.histogram(ho.ones(2), [1.0, 0.0]), ArgumentError, "do not fall"),
        (lambda: ho.histogram(ho.ones(2), 2, range=(1.0, 0.0)), ArgumentError, "range from 1.0 to 0.0"),
        (lambda: ho.histogram(ho.ones(2), [0.0, 1.0], range=(0.0, 1.0)), ArgumentError, "expected one of them"),
        (lambda: ho.histogram(ho.ones(2), 2, weight=ho.ones(3)), ShapeError, r"\(3,\), expected \(2,\)"),
        (lambda: ho.histogramdd(ho.ones(2), [2]), ShapeError, "at least two axes"),
        (lambda: ho.histogramdd(ho.ones(2, 2), [2]), ArgumentError, "1 bins and 2 ranges"),
    ],
)
def test_mistakes(call, error, said):
    with pytest.raises(error, match=said):
        call()
