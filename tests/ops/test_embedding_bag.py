"""Bags of rows of a table: without elements, with equal ones, mapped and compiled, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.nn.functional import embedding_bag

from .samples import assert_equal

TABLE = ho.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
X = ho.tensor([0, 1, 1, 3])

#: The answers are PyTorch's.
ANSWERS = {
    "an empty bag, max": ([0, 2, 2], {"mode": "max"}, [[2.0, 3.0], [0.0, 0.0], [6.0, 7.0]]),
    "an empty bag, mean": ([0, 2, 2], {}, [[1.0, 2.0], [0.0, 0.0], [4.0, 5.0]]),
    "up to the last offset": ([0, 2, 3], {"include_last_offset": True, "mode": "sum"}, [[2.0, 4.0], [2.0, 3.0]]),
    "max up to the last offset": ([0, 2, 3], {"include_last_offset": True, "mode": "max"}, [[2.0, 3.0], [2.0, 3.0]]),
    "padding": ([0, 2], {"padding_idx": 1}, [[0.0, 1.0], [6.0, 7.0]]),
    "padding from the end": ([0, 2], {"padding_idx": -1, "mode": "max"}, [[2.0, 3.0], [2.0, 3.0]]),
    "nothing but padding": ([0, 1, 3], {"padding_idx": 1, "mode": "max"}, [[0.0, 1.0], [0.0, 0.0], [6.0, 7.0]]),
}


@pytest.mark.parametrize(("offsets", "options", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answers_eager_mapped_and_compiled(offsets, options, expected):
    offsets = ho.tensor(offsets)
    assert embedding_bag(X, TABLE, offsets, **options).tolist() == expected
    mapped = func.vmap(lambda x, w, at: embedding_bag(x, w, at, **options), in_dims=(0, None, 0))
    assert mapped(ho.stack([X, X]), TABLE, ho.stack([offsets, offsets])).tolist() == [expected, expected]
    fast = ho.compile(lambda x, w, at: embedding_bag(x, w, at, **options))
    assert fast(X, TABLE, offsets).tolist() == expected


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_without_elements_or_bags(mode):
    none = ho.zeros(0, dtype=ho.int64)
    assert embedding_bag(none, TABLE, ho.tensor([0, 0]), mode=mode).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert embedding_bag(none, TABLE, none, mode=mode).shape == (0, 2)
    assert embedding_bag(ho.zeros(2, 0, dtype=ho.int64), TABLE, mode=mode).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    for dtype in (ho.float16, ho.float32):
        assert embedding_bag(X, TABLE.to(dtype), ho.tensor([0, 2]), mode=mode).dtype == dtype


def test_the_first_of_equal_elements_has_the_derivative():
    slope = func.grad(lambda w: embedding_bag(ho.tensor([2, 0, 1]), w, ho.tensor([0]), mode="max").sum())
    assert slope(ho.ones(4, 2)).tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


def test_derivatives_by_frequency_and_of_padding():
    def slope(**options):
        return func.grad(lambda w: embedding_bag(ho.tensor([2, 0, 2]), w, ho.tensor([0]), **options).sum())(TABLE)

    assert slope(mode="sum", scale_grad_by_freq=True)[:, 0].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert slope(mode="mean", padding_idx=2)[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_factors_have_derivatives_of_their_own():
    factors = ho.tensor([1.0, 2.0, 3.0, 4.0])

    def f(w, c):
        return embedding_bag(X, w, ho.tensor([0, 2]), mode="sum", per_sample_weights=c)

    rows = TABLE[X] * factors[:, None]
    assert_equal(f(TABLE, factors), np.stack([rows[:2].sum(0).numpy(), rows[2:].sum(0).numpy()]))
    by_table, by_factors = func.grad(lambda w, c: f(w, c).sum(), argnums=(0, 1))(TABLE, factors)
    assert by_table[:, 0].tolist() == [1.0, 5.0, 0.0, 4.0]
    assert by_factors.tolist() == TABLE[X].sum(1).tolist()


@pytest.mark.parametrize(
    ("f", "error", "found"),
    [
        (lambda: embedding_bag(X, TABLE), ho.errors.ShapeError, "offsets have to be integers"),
        (lambda: embedding_bag(X, TABLE, ho.tensor([[0]])), ho.errors.ShapeError, "offsets have to be integers"),
        (lambda: embedding_bag(X[None], TABLE, ho.tensor([0])), ho.errors.ArgumentError, "offsets have to be None"),
        (lambda: embedding_bag(X[None, None], TABLE), ho.errors.ShapeError, r"expected \(bags, length\)"),
        (lambda: embedding_bag(X, TABLE, ho.tensor([1, 2])), ho.errors.ArgumentError, "ascend from 0 to at most 4"),
        (lambda: embedding_bag(X, TABLE, ho.tensor([0, 5])), ho.errors.ArgumentError, "ascend from 0 to at most 4"),
        (lambda: embedding_bag(X, TABLE, ho.tensor([0, 3, 2])), ho.errors.ArgumentError, "ascend from 0 to at most 4"),
        (lambda: embedding_bag(X, TABLE[0], ho.tensor([0])), ho.errors.ShapeError, "2D"),
        (lambda: embedding_bag(X.double(), TABLE, ho.tensor([0])), ho.errors.DtypeError, "expected integers"),
        (lambda: embedding_bag(X + 1, TABLE, ho.tensor([0])), ho.errors.IndexingError, "0 to 3"),
        (lambda: embedding_bag(X - 1, TABLE, ho.tensor([0])), ho.errors.IndexingError, "0 to 3"),
        (lambda: embedding_bag(X[None], TABLE, mode="min"), ho.errors.ArgumentError, "one of sum, mean or max"),
        (lambda: embedding_bag(X[None], TABLE, max_norm=1.0), ho.errors.ArgumentError, "renorm"),
        (lambda: embedding_bag(X[None], TABLE, padding_idx=4), ho.errors.IndexingError, "padding_idx is 4"),
        (lambda: embedding_bag(X[None], TABLE, per_sample_weights=X[None]), ho.errors.ArgumentError, "mode 'sum'"),
        (
            lambda: embedding_bag(X[None], TABLE, mode="sum", per_sample_weights=TABLE),
            ho.errors.ShapeError,
            "expected that of x",
        ),
    ],
)
def test_what_is_refused(f, error, found):
    with pytest.raises(error, match=found):
        f()
