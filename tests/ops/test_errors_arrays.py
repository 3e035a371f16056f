"""Mistakes in shapes, axes and indices of the operations on arrays: named exceptions that tell what was found."""

from __future__ import annotations

import re
import traceback

import pytest

import hograd as ho
from hograd.errors import ArgumentError, DtypeError, IndexingError, LevelError, ShapeError

X = ho.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
V = ho.tensor([1.0, 2.0])
N = ho.tensor([0, 2])
Z = ho.tensor(1.5)

# fmt: off
MISTAKES = [
    (lambda: ho.unflatten(X, 1, (2, 2)), ShapeError, r"sizes \[2, 2\] do not multiply to 3, the length of axis 1"),
    (lambda: ho.unflatten(X, 1, (-1, 2)), ShapeError, r"do not multiply to 3"),
    (lambda: ho.chunk(X, 0), ArgumentError, "greater than 0, got 0"),
    (lambda: ho.chunk(Z, 1), ShapeError, "at least a 1-dimensional tensor"),
    (lambda: ho.tensor_split(X, 0), ArgumentError, "got 0 sections, expected at least 1"),
    (lambda: ho.tensor_split(Z, 2), ShapeError, "at least a 1-dimensional tensor"),
    (lambda: ho.hsplit(X, 2), ShapeError, "got 2 sections, expected a divisor of 3"),
    (lambda: ho.vsplit(V, 2), ShapeError, "at least 2 dimension, but x has 1"),
    (lambda: ho.unbind(Z), ShapeError, "no dimensions"),
    (lambda: ho.narrow(X, 1, 2, 2), ShapeError, r"start \(2\) \+ length \(2\) exceeds dimension size \(3\)"),
    (lambda: ho.narrow(X, 1, -4, 1), ShapeError, r"start \(-4\)"),
    (lambda: ho.narrow(Z, 0, 0, 1), ShapeError, "0-dim"),
    (lambda: ho.select(X, 1, 3), IndexError, "index 3 is out of bounds for dimension 1 with size 3"),
    (lambda: ho.select(Z, 0, 0), ShapeError, "0-dim"),
    (lambda: ho.hstack([X, V]), ShapeError, r"x\[1\] has shape \(2,\)"),
    (lambda: ho.vstack([X, V]), ShapeError, r"x\[1\] has shape \(1, 2\), expected that of x\[0\], \(2, 3\)"),
    (lambda: ho.roll(X, (1, 2)), ArgumentError, "2 shifts and no axis"),
    (lambda: ho.roll(X, 1, (0, 1)), ArgumentError, "1 shifts and 2 axes"),
    (lambda: ho.tile(X, (-1,)), ShapeError, r"reps \(-1,\)"),
    (lambda: X.repeat(2), ShapeError, "can not be smaller than number of dimensions of tensor"),
    (lambda: ho.repeat_interleave(V, [1, 2, 3]), ArgumentError, r"repeats \[1, 2, 3\].*or 2 of them"),
    (lambda: ho.repeat_interleave(V, 2, output_size=3), ArgumentError, "output_size=3, but the repeats make 4"),
    (lambda: ho.repeat_interleave(V, -1), ArgumentError, "repeats -1"),
    (lambda: ho.func.vmap(lambda n: ho.repeat_interleave(V, n))(ho.tensor([1, 2])), LevelError, "repeat_interleave"),
    (lambda: ho.rot90(X, 1, (0, 0)), ShapeError, "two different ones"),
    (lambda: ho.rot90(X, 1, (0,)), ArgumentError, "total rotation dims == 2"),
    (lambda: ho.fliplr(V), ShapeError, ">= 2-d"),
    (lambda: ho.flipud(Z), ShapeError, ">= 1-d"),
    (lambda: ho.broadcast_tensors(X, V), ShapeError, r"\(2, 3\) and \(2,\) cannot be broadcast"),
    (lambda: ho.meshgrid(X), ShapeError, r"meshgrid expects vectors, found shapes \[\(2, 3\)\]"),
    (lambda: ho.meshgrid(V, V, indexing="ab"), ArgumentError, "'ab'"),
    (lambda: ho.combinations(X), ShapeError, r"expects a vector, found shape \(2, 3\)"),
    (lambda: ho.combinations(V, -1), ArgumentError, "r=-1"),
    (lambda: ho.gather(X, 1, ho.tensor([0])), ShapeError, r"same number of dimensions as x: gather got shape \(1,\)"),
    (lambda: ho.gather(X, 1, ho.tensor([[0]] * 3)), ShapeError, r"Size does not match at dimension 0: gather"),
    (lambda: ho.gather(X, 1, ho.tensor([[0.5]])), DtypeError, "integer tensor for index, found dtype float64"),
    (lambda: ho.gather(X, 1, ho.tensor([[3]])), IndexingError, "index 3 is out of bounds"),
    (lambda: ho.scatter(X, 1, ho.tensor([[0, 1]]), ho.zeros(1, 1)), ShapeError, r"index \[1, 2\].*src \[1, 1\]"),
    (lambda: ho.scatter_reduce(X, 1, ho.tensor([[0]]), X, "median"), ArgumentError, "got 'median'"),
    (lambda: ho.scatter_reduce(X, 1, ho.tensor([0]), X, "sum"), ShapeError, "scatter_reduce got shape"),
    (lambda: ho.scatter_reduce(X, 1, ho.tensor([[3]]), X, "prod"), IndexingError, "index 3 is out of bounds"),
    (lambda: ho.index_select(X, 1, ho.tensor([[0]])), ShapeError, r"supposed to be a vector, found shape \(1, 1\)"),
    (lambda: ho.index_select(Z, 0, ho.tensor([0, 0])), ShapeError, "no axes"),
    (lambda: ho.index_add(X, 1, ho.tensor([0]), ho.zeros(2, 2)), ShapeError, r"shape \(2, 2\), expected \(2, 1\)"),
    (lambda: ho.index_fill(X, 1, ho.tensor([0]), V), ShapeError, r"value has shape \(2,\), expected a number"),
    (lambda: ho.take(X, ho.tensor([6])), IndexingError, "index 6 is out of bounds"),
    (lambda: ho.unfold(X, 1, 4, 1), ArgumentError, "size 4 and step 1 along an axis of length 3"),
    (lambda: ho.unfold(X, 1, 2, 0), ArgumentError, "size 2 and step 0"),
    (lambda: ho.one_hot(V), DtypeError, "integer tensor"),
    (lambda: ho.one_hot(ho.zeros(0, dtype=ho.int64)), ArgumentError, "no elements"),
    (lambda: ho.one_hot(N, 2), ArgumentError, "smaller than num_classes.*found 0 to 2 for 2 classes"),
    (lambda: ho.one_hot(N - 1), ArgumentError, "found -1 to 1"),
    (lambda: ho.func.vmap(ho.one_hot)(N), LevelError, "one_hot.. without num_classes"),
    (lambda: ho.bincount(N - 1), ArgumentError, "1-d non-negative integral"),
    (lambda: ho.bincount(N, V[:1]), ShapeError, r"weights have shape \(1,\)"),
    (lambda: ho.masked_fill(X, X > 2, V), ShapeError, r"0-dimensional value, found shape \(2,\)"),
    (lambda: ho.masked_fill(X, X, 0.0), DtypeError, "boolean masks, but got mask with dtype float64"),
    (lambda: ho.masked_select(X, V > 2), ShapeError, r"\(2, 3\) and \(2,\)"),
    (lambda: ho.func.vmap(lambda m: ho.masked_select(V, m))(ho.eye(2) > 0), LevelError, "indexing with a mask"),
    (lambda: ho.masked_scatter(X, X > 0, V), IndexingError, "out of bounds"),
    (lambda: ho.masked_scatter(X, X > 0, X.float()), DtypeError, "one dtype, found float64 and float32"),
    (lambda: ho.func.vmap(ho.nonzero)(X), LevelError, "nonzero"),
    (lambda: ho.pad(V, (-3, 2)), ShapeError, "leave a negative length"),
    (lambda: ho.pad(V, (1, -4), "reflect"), ShapeError, "leave a negative length"),
    (lambda: ho.pad(X, (1,)), ArgumentError, r"divisible by 2.*found \(1,\) for 2 axes"),
    (lambda: ho.pad(V, (1, 1, 1, 1)), ArgumentError, "at most twice the number of dimensions"),
    (lambda: ho.pad(V, (-1, -2)), ShapeError, "leave a negative length"),
    (lambda: ho.pad(V, (1, 1), "mirror"), ArgumentError, "mode='mirror'"),
    (lambda: ho.pad(V, (2, 0), "reflect"), ShapeError, r"less than the corresponding .*: reflect got \(2, 0\)"),
    (lambda: ho.pad(V, (3, 0), "circular"), ShapeError, "wrapping around more than once"),
    (lambda: ho.pad(ho.zeros(0), (1, 0), "replicate"), ShapeError, "no elements to replicate"),
    (lambda: ho.pad(V, (1, 0), value=V), ArgumentError, "expected a number"),
    (lambda: ho.tril(V), ShapeError, r"tril: input tensor must have at least 2 dimensions, found \(2,\)"),
    (lambda: ho.diagonal(V), ShapeError, r"two axes, found shape \(2,\)"),
    (lambda: ho.diagonal(X, 0, 1, -1), ShapeError, "cannot be identical: found 1, -1"),
    (lambda: ho.diag(ho.zeros(1, 1, 1)), ShapeError, "1D or 2D"),
    (lambda: ho.trace(V), ShapeError, r"expected a matrix, but got tensor with shape \(2,\)"),
    (lambda: ho.cumsum(X, 2), ShapeError, "2"),
    (lambda: ho.diff(Z), ShapeError, "at least one-dimensional"),
    (lambda: ho.diff(V, -1), ArgumentError, "n=-1"),
    (lambda: ho.sort(X, 2), ShapeError, "2"),
    (lambda: ho.topk(X, 4), ShapeError, r"k=4 for axis 1 of shape \(2, 3\)"),
    (lambda: ho.kthvalue(X, 0), ShapeError, r"k=0, axis 1 of shape \(2, 3\)"),
    (lambda: ho.mode(ho.zeros(2, 0)), ShapeError, "mode over no elements"),
    (lambda: ho.median(ho.zeros(2, 0), 1), ShapeError, "median over no elements"),
    (lambda: ho.searchsorted(X, V), ShapeError, r"sorted_sequence has shape \(2, 3\), values \(2,\)"),
    (lambda: ho.searchsorted(V, V, side="up"), ArgumentError, "side='up'"),
    (lambda: ho.searchsorted(V, V, side="left", right=True), ArgumentError, "one of 'left' and 'right'"),
    (lambda: ho.bucketize(V, X), ShapeError, r"boundaries have shape \(2, 3\)"),
    (lambda: ho.func.vmap(ho.unique)(X), LevelError, "unique"),
    (lambda: ho.quantile(V, 1.5), ArgumentError, r"range \[0, 1\], found 1.5"),
    (lambda: ho.quantile(V, ho.tensor([0.5, -1.0])), ArgumentError, r"range \[0, 1\]"),
    (lambda: ho.quantile(V, X / 10), ShapeError, r"scalar or 1D tensor, found shape \(2, 3\)"),
    (lambda: ho.quantile(N, 0.5), DtypeError, "floating tensor, found dtype int64"),
    (lambda: ho.nanquantile(V, 0.5, interpolation="cubic"), ArgumentError, "'cubic'"),
    (lambda: ho.quantile(ho.zeros(0), 0.5), ShapeError, "non-empty"),
    (lambda: ho.mm(X, V), ShapeError, r"mm: argument 1 has shape \(2,\), expected a 2D tensor"),
    (lambda: ho.mv(X, V), ShapeError, r"\(2, 3\).*\(2,\)"),
    (lambda: ho.bmm(ho.ones(1, 2, 2), ho.ones(3, 2, 2)), ShapeError, "a has 1 matrices, but b has 3"),
    (lambda: ho.addmm(V, X, X.T, beta="2"), DtypeError, "str"),
    (lambda: ho.addmv(ho.ones(3), X, ho.ones(3)), ShapeError, r"\(3,\).*\(2,\)"),
    (lambda: ho.vdot(X, X), ShapeError, "1D tensors expected"),
    (lambda: ho.inner(X, V), ShapeError, "inner|tensordot"),
    (lambda: ho.cross(V, V), ShapeError, r"length 3 along axis 0, found shape \(2,\)"),
    (lambda: ho.cdist(X, V), ShapeError, r"a has shape \(2, 3\), b has shape \(2,\)"),
    (lambda: ho.pdist(V), ShapeError, r"argument 0 has shape \(2,\), expected a 2D tensor"),
]
# fmt: on


@pytest.mark.parametrize(("call", "error", "text"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))])
def test_a_mistake_is_named(call, error, text):
    with pytest.raises(error, match=re.compile(text, re.DOTALL)) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert len(traceback.extract_tb(caught.value.__traceback__)) <= 12
