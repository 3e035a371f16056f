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
        (ho.max_pool3d, (2, 3, 4, 4), {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": (1, 2, 1)}),
    ],
)
def test_max_pool_says_where_the_largest_elements_lie(pool, shape, options):
    x = ho.tensor(np.random.default_rng(0).normal(size=shape))
    y, places = pool(x, **options, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), pool(x, **options).numpy())
    rank = int(pool.__name__[-2])
    lead = shape[:-rank]
    flat = x.numpy().reshape(*lead, -1)
    found = np.take_along_axis(flat, places.numpy().reshape(*lead, -1), -1)
    np.testing.assert_array_equal(found, y.numpy().reshape(*lead, -1))
    assert places.dtype == np.int64


@pytest.mark.parametrize(
    ("pool", "shape", "size"),
    [
        (ho.adaptive_max_pool1d, (3, 7), 3),
        (ho.adaptive_max_pool2d, (2, 2, 5, 6), (3, None)),
        (ho.adaptive_max_pool2d, (2, 5, 6), (None, 4)),
        (ho.adaptive_max_pool3d, (1, 2, 4, 3, 5), (2, 3, 2)),
    ],
)
def test_adaptive_max_pool_takes_the_first_of_ties_and_says_where_it_lies(pool, shape, size):
    x = np.random.default_rng(0).integers(0, 2, shape).astype(float)
    rank = len(size) if isinstance(size, tuple) else 1
    y, places = pool(ho.tensor(x), size, return_indices=True)
    assert places.dtype == np.int64
    lead, inner = shape[: len(shape) - rank], shape[len(shape) - rank :]
    wanted = np.broadcast_to(size, rank)
    for place in np.ndindex(*y.shape):
        spans = [
            range(i * n // (c or n), -(-(i + 1) * n // (c or n)))
            for i, n, c in zip(place[len(lead) :], inner, wanted, strict=True)
        ]
        window = x[place[: len(lead)]][np.ix_(*spans)]
        first = np.unravel_index(window.argmax(), window.shape)
        expected = np.ravel_multi_index([span[i] for span, i in zip(spans, first, strict=True)], inner)
        assert (y[place].item(), places[place].item()) == (window.max(), expected)
    read = ho.func.grad(lambda x: pool(x, size).sum())(ho.tensor(x)).numpy()
    counts = np.apply_along_axis(np.bincount, -1, places.numpy().reshape(*lead, -1), minlength=int(np.prod(inner)))
    np.testing.assert_array_equal(read, counts.reshape(shape))


def test_the_place_of_the_first_of_ties():
    assert ho.max_pool2d(ho.ones(1, 2, 4), 2, return_indices=True)[1].tolist() == [[[0, 2]]]


@pytest.mark.parametrize(
    ("pool", "back", "shape", "options"),
    [
        (ho.max_pool1d, ho.max_unpool1d, (2, 3, 9), {"kernel_size": 2}),
        (ho.max_pool2d, ho.max_unpool2d, (2, 6, 7), {"kernel_size": (2, 3), "stride": (2, 3), "padding": (1, 0)}),
        (ho.max_pool3d, ho.max_unpool3d, (1, 2, 4, 4, 2), {"kernel_size": 2}),
    ],
)
def test_unpooling_puts_the_largest_elements_back(pool, back, shape, options):
    x = ho.tensor(np.random.default_rng(1).normal(size=shape))
    y, places = pool(x, **options, return_indices=True)
    z = back(y, places, **options, output_size=shape)
    kept = z.numpy() != 0
    assert kept.sum() == y.numel()
    np.testing.assert_array_equal(z.numpy()[kept], x.numpy()[kept])
    np.testing.assert_array_equal(pool(ho.where(ho.tensor(kept), x, -9.0), **options).numpy(), y.numpy())


def test_places_outside_of_the_answer_are_refused():
    with pytest.raises(ho.errors.IndexingError, match="invalid max index"):
        ho.max_unpool1d(ho.ones(1, 2), ho.tensor([[0, 4]]), 2)
    with pytest.raises(ho.errors.ShapeError, match="less than a stride"):
        ho.max_unpool1d(ho.ones(1, 2), ho.tensor([[0, 3]]), 2, output_size=9)
