"""Where the largest elements of windows lie."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho


@pytest.mark.parametrize(
    ("pool", "shape", "options"),
    [
        (ho.max_pool1d, (3, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        (ho.max_pool2d, (2, 2, 5, 6), {"kernel_size": 2}),
        (ho.max_pool2d, (2, 7, 6), {"kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 0), "dilation": (2, 1)}),
    ],
)
def test_max_pool_says_where_the_largest_elements_lie(pool, shape, options):
    x = ho.tensor(np.random.default_rng(0).normal(size=shape))
    y, places = pool(x, **options, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), pool(x, **options).numpy())
    rank = 1 if pool is ho.max_pool1d else 2
    lead = shape[:-rank]
    flat = x.numpy().reshape(*lead, -1)
    found = np.take_along_axis(flat, places.numpy().reshape(*lead, -1), -1)
    np.testing.assert_array_equal(found, y.numpy().reshape(*lead, -1))
    assert places.dtype == np.int64


def test_the_place_of_the_first_of_ties():
    assert ho.max_pool2d(ho.ones(1, 2, 4), 2, return_indices=True)[1].tolist() == [[[0, 2]]]
