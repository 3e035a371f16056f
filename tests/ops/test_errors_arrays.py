"""Mistakes in shapes, axes and indices of the operations on arrays: named exceptions that tell what was found."""

from __future__ import annotations

import re
import traceback

import pytest

import hograd as ho
from hograd.errors import ArgumentError, LevelError, ShapeError

X = ho.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
V = ho.tensor([1.0, 2.0])
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
]
# fmt: on


@pytest.mark.parametrize(("call", "error", "text"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))])
def test_a_mistake_is_named(call, error, text):
    with pytest.raises(error, match=re.compile(text, re.DOTALL)) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert len(traceback.extract_tb(caught.value.__traceback__)) <= 12
