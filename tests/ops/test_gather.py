"""Reading and writing along an axis, and joining, where samples do not reach: without axes, without elements."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func

X, V, M = ho.tensor(5.0), ho.tensor([0.0, 1.0, 2.0]), ho.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
ZERO, ONE, TWICE = ho.tensor(0), ho.tensor([0]), ho.tensor([0, 0])
NONE, ROWS = ho.zeros(0, dtype=ho.int64), ho.zeros(2, 0, dtype=ho.int64)

#: The answers are PyTorch's.
ANSWERS = {
    "gather x ()": (lambda: ho.gather(X, 0, ZERO), 5.0),
    "gather x (1,)": (lambda: ho.gather(X, 0, ONE), [5.0]),
    "gather x (2,)": (lambda: ho.gather(X, -1, TWICE), [5.0, 5.0]),
    "gather v ()": (lambda: ho.gather(V, 0, ZERO), 0.0),
    "gather v without elements": (lambda: ho.gather(V, 0, ROWS), [[], []]),
    "gather m without elements": (lambda: M.gather(0, NONE), []),
    "index_select x ()": (lambda: ho.index_select(X, 0, ZERO), 5.0),
    "index_select x (1,)": (lambda: ho.index_select(X, 0, ONE), 5.0),
    "index_select m without elements": (lambda: ho.index_select(M, 1, NONE), [[], []]),
    "index_add x ()": (lambda: ho.index_add(X, 0, ZERO, X), 10.0),
    "index_add x (1,)": (lambda: ho.index_add(X, 0, ONE, X, alpha=2), 15.0),
    "index_copy x (1,)": (lambda: ho.index_copy(X, 0, ONE, V[2]), 2.0),
    "index_copy x (2,)": (lambda: ho.index_copy(X, 0, TWICE, V[1:]), 2.0),
    "index_copy x without elements": (lambda: ho.index_copy(X, 0, NONE, V[:0]), 5.0),
    "index_copy v from ()": (lambda: ho.index_copy(V, 0, ZERO, V[2]), [2.0, 1.0, 2.0]),
    "index_fill x (1,)": (lambda: ho.index_fill(X, 0, ONE, 7.0), 7.0),
    "index_fill x without elements": (lambda: ho.index_fill(X, 0, NONE, 7.0), 5.0),
    "scatter x ()": (lambda: ho.scatter(X, 0, ZERO, 7.0), 7.0),
    "scatter x (1,)": (lambda: ho.scatter(X, 0, ONE, V[1:2]), 1.0),
    "scatter v ()": (lambda: ho.scatter(V, 0, ZERO, V[1]), [1.0, 1.0, 2.0]),
    "scatter m without elements": (lambda: ho.scatter(M, 0, NONE, 7.0), M.tolist()),
    "scatter by keyword": (lambda: ho.scatter(V, 0, ONE, value=3.0, reduce="add"), [3.0, 1.0, 2.0]),
    "scatter_add x (2,)": (lambda: ho.scatter_add(X, 0, TWICE, V[1:]), 8.0),
    "scatter_add v ()": (lambda: ho.scatter_add(V, 0, ZERO, X), [5.0, 1.0, 2.0]),
    "scatter_add m without elements": (lambda: ho.scatter_add(M, 0, NONE, V), M.tolist()),
    "scatter_reduce x (1,)": (lambda: ho.scatter_reduce(X, 0, ONE, V[1:2], "amax"), 5.0),
    "scatter_reduce v ()": (lambda: ho.scatter_reduce(V, 0, ZERO, X, "sum"), [5.0, 1.0, 2.0]),
    "scatter_reduce m without elements": (lambda: ho.scatter_reduce(M, 0, NONE, V, "sum"), M.tolist()),
    "take x": (lambda: ho.take(X, TWICE), [5.0, 5.0]),
    "put x": (lambda: ho.put(X, ZERO, V[2]), 2.0),
    "put without elements": (lambda: M.put(NONE, V[:0]), M.tolist()),
    "put and add": (lambda: M.put(ho.tensor([0, 0, -1]), V, accumulate=True), [[1.0, 1.0, 2.0], [3.0, 4.0, 7.0]]),
    "put into place": (lambda: M.clone().put_(ho.tensor([1]), V[:1]), [[0.0, 0.0, 2.0], [3.0, 4.0, 5.0]]),
    "index_reduce x (1,)": (lambda: ho.index_reduce(X, 0, ONE, V[2], "prod"), 10.0),
    "index_reduce without elements": (lambda: M.index_reduce(1, NONE, ROWS.double(), "amax"), M.tolist()),
    "index_reduce in place": (lambda: V.clone().index_reduce_(0, TWICE, V[1:], "mean"), [1.0, 1.0, 2.0]),
    "unravel_index wraps": (lambda: ho.stack(ho.unravel_index(ho.tensor([-1, 6]), (2, 3))), [[1, 0], [2, 0]]),
    "unravel_index without axes": (lambda: ho.tensor(len(ho.unravel_index(ZERO, ()))), 0),
    "sum_to_size": (lambda: M.sum_to_size(1, 3), [[3.0, 5.0, 7.0]]),
    "sum_to_size to a number": (lambda: M.sum_to_size(()), 15.0),
    "sum_to_size of itself": (lambda: M.sum_to_size((2, 3)), M.tolist()),
    "rsub": (lambda: ho.rsub(V, 1, alpha=2), [1.0, -1.0, -3.0]),
    "cat": (lambda: ho.cat([V[:0], M]), M.tolist()),
    "cat along 1": (lambda: ho.cat([M, V[:0], M], 1), np.tile(M.numpy(), (1, 2)).tolist()),
    "cat of nothing": (lambda: ho.cat([V[:0], V[:0]]), []),
    "hstack": (lambda: ho.hstack([V[:0], M]), M.tolist()),
    "split_with_sizes": (lambda: ho.split_with_sizes(M, split_sizes=[1, 2], dim=-1)[1], [[1.0, 2.0], [4.0, 5.0]]),
    "einsum of a list": (lambda: ho.einsum("ij,jk", [M, M.T]), [[5.0, 14.0], [14.0, 50.0]]),
    "einsum of numbers": (lambda: ho.einsum(M, [0, 1], M.T, [1, 2], [2, 0]), [[5.0, 14.0], [14.0, 50.0]]),
    "einsum without an answer": (lambda: ho.einsum(M, [1, 0]), M.T.tolist()),
    "einsum of capitals": (lambda: ho.einsum(M, [26, 0]), M.T.tolist()),
    "einsum of dots": (lambda: ho.einsum(M, [..., 1], [...]), [3.0, 12.0]),
    "einsum to a number": (lambda: ho.einsum(M, [0, 1], []), 15.0),
}


@pytest.mark.parametrize(("f", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_without_axes_and_without_elements(f, expected):
    answer = f()
    assert answer.tolist() == expected
    assert answer.shape == np.shape(expected)


#: Reading and writing where there is one element, or none, and the derivative of the sum by x.
SLOPES = [
    (lambda x: ho.gather(x, 0, TWICE), 2.0),
    (lambda x: ho.gather(x.reshape(1), 0, ZERO), 1.0),
    (lambda x: ho.gather(x, 0, ROWS), 0.0),
    (lambda x: ho.index_select(x, 0, ZERO), 1.0),
    (lambda x: ho.index_add(x, 0, ONE, x, alpha=2), 3.0),
    (lambda x: ho.index_copy(V, 0, ZERO, x), 1.0),
    (lambda x: ho.index_fill(x, 0, ONE, 7.0), 0.0),
    (lambda x: ho.scatter(x, 0, NONE, 7.0), 1.0),
    (lambda x: ho.scatter_add(x, 0, ONE, x.reshape(1)), 2.0),
    (lambda x: ho.scatter_reduce(x, 0, ONE, x.reshape(1), "prod"), 10.0),
    (lambda x: ho.put(V, TWICE, ho.stack([x, 2 * x])), 2.0),
    (lambda x: ho.cat([V[:0], x.reshape(1, 1)], 1), 1.0),
]


@pytest.mark.parametrize(("f", "slope"), SLOPES)
def test_derivatives_without_axes_in_every_mode(f, slope):
    def total(x):
        return f(x).sum()

    assert func.grad(total)(X).item() == slope
    assert func.jvp(total, (X,), (ho.tensor(1.0),))[1].item() == slope
    assert func.vmap(func.grad(total))(ho.stack([X, X])).tolist() == [slope, slope]
    assert ho.compile(func.grad(total))(X).item() == slope


@pytest.mark.parametrize(
    ("f", "error", "found"),
    [
        (lambda: ho.index_select(X, 0, TWICE), ho.errors.ShapeError, "Index to scalar can have only 1 value, got 2"),
        (lambda: ho.index_copy(X, 0, TWICE, V), ho.errors.ShapeError, r"source has shape \(3,\), expected \(2,\)"),
        (lambda: ho.index_add(V, 0, ONE, M), ho.errors.ShapeError, "source has shape"),
        (lambda: ho.gather(M, 0, ONE), ho.errors.ShapeError, "same number of dimensions"),
        (lambda: ho.gather(X, 0, ho.tensor([1])), ho.errors.IndexingError, "out of bounds"),
        (lambda: ho.gather(M, 2, NONE), ho.errors.ShapeError, "Dimension out of range"),
        (lambda: ho.scatter(V, 0, ONE, 1.0, reduce="mean"), ho.errors.ArgumentError, "must be either add or multiply"),
        (lambda: ho.put(M, ONE, V), ho.errors.IndexingError, "3 elements and index 1"),
        (lambda: ho.put(M, ONE, ho.tensor([1])), ho.errors.DtypeError, "source has dtype int64, expected"),
        (lambda: ho.put(M, ho.tensor([6]), V[:1]), ho.errors.IndexingError, "out of bounds"),
        (lambda: ho.index_reduce(V, 0, ONE, V[:1], "sum"), ho.errors.ArgumentError, "one of prod, mean, amax or amin"),
        (lambda: ho.unravel_index(V, (3,)), ho.errors.DtypeError, "integer dtype"),
        (lambda: ho.unravel_index(ZERO, (2, -3)), ho.errors.ShapeError, "negative values"),
        (lambda: M.sum_to_size(2, 2), ho.errors.ShapeError, "not expandable"),
        (lambda: M.sum_to_size(1, 2, 3), ho.errors.ShapeError, "not expandable"),
        (lambda: ho.cat([V[:0], M], 2), ho.errors.ShapeError, "Dimension out of range"),
        (lambda: ho.cat([ho.zeros(0, 2), M]), ho.errors.ShapeError, "except along axis 0"),
        (lambda: ho.vstack([V[:0], M]), ho.errors.ShapeError, "except along axis 0"),
        (lambda: ho.split_with_sizes(V, 2), ho.errors.DtypeError, "expected a list"),
        (lambda: ho.split_with_sizes(V, [1, 1]), ho.errors.ShapeError, "add up to 3"),
        (lambda: ho.einsum(M, [0, 52]), ho.errors.ArgumentError, "from 0 to 51"),
        (lambda: ho.einsum(M, [0]), ho.errors.ArgumentError, "does not fit operand 0"),
        (lambda: ho.einsum(M), ho.errors.ArgumentError, "a list of numbers behind it"),
    ],
)
def test_what_is_refused(f, error, found):
    with pytest.raises(error, match=found):
        f()
