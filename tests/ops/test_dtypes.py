"""float32 stays float32: values, derivatives of two orders in both modes, and vmap; also beside wider scalars."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func

from .samples import Bound, assert_equal, cotangents, every_case, recorded_ones

#: They answer in a dtype that their argument, or the case's name, says.
CHOOSES_ITS_DTYPE = {"astype", "float_power"}


NARROW = {np.dtype(np.float64): np.float32, np.dtype(np.complex128): np.complex64}


def numeric(operation):
    return operation.name not in CHOOSES_ITS_DTYPE


def narrows(operation):
    return operation.differentiable and numeric(operation)


@pytest.mark.parametrize(("operation", "index"), every_case(numeric))
def test_values_of_float32_are_float32(operation, index):
    bound = Bound(operation, index)
    for y, wide in zip(bound(*bound.tensors(np.float32)), bound(*bound.tensors()), strict=True):
        assert y.dtype == NARROW.get(wide.dtype, wide.dtype)
        if y.dtype == np.float32:
            assert_equal(y.double(), wide, 1e-4)


@pytest.mark.parametrize(("operation", "index"), every_case(narrows))
def test_derivatives_of_float32_are_float32_in_every_mode(operation, index):
    bound = Bound(operation, index)
    floats = bound.floats(np.float32, requires_grad=True)
    outputs = bound.of_floating(*floats)
    weights = cotangents(outputs, seed=index)
    total = sum((x * x).sum() for x in floats) + sum((y * y * w).sum() for y, w in zip(outputs, weights, strict=True))
    first = ho.grad(total, floats, create_graph=True)
    second = ho.grad(sum((g * g).sum() for g in first), floats)
    tracked, its_weights = recorded_ones(bound.of_floating(*floats), weights)
    raw = ho.grad(tracked, floats, its_weights, materialize_grads=True)

    plain = bound.floats(np.float32)
    tangents = cotangents(plain, seed=index)
    values, pushed = func.jvp(bound.of_floating, plain, tangents)
    pushed_twice = func.jvp(lambda *xs: func.jvp(bound.of_floating, xs, tangents)[1], plain, tangents)[1]
    pulled = func.vjp(bound.of_floating, *plain)[1](weights)
    batches = [ho.stack([x, x]) for x in plain]
    mapped = func.vmap(bound.of_floating)(*batches)
    mapped_gradients = func.vmap(lambda *xs: func.vjp(bound.of_floating, *xs)[1](weights))(*batches)
    for group in (first, second, raw, values, pushed, pushed_twice, pulled, mapped, mapped_gradients):
        assert [t.dtype for t in group] == [np.float32] * len(group)


SCALARS_WELCOME = {
    "add", "sub", "mul", "div", "maximum", "minimum", "pow", "where", "clip", "at_set", "at_add", "floor_divide",
    "remainder",
}  # fmt: skip


def of_both_widths(operation, index):
    """A sample whose tensors with axes are float32 beside float64 ones without; None if there is none."""
    bound = Bound(operation, index)
    wide = [k for k in bound.floating if np.ndim(bound.arrays[k]) == 0]
    if operation.name not in SCALARS_WELCOME or len(bound.floating) < 2 or len(wide) == len(bound.floating):
        return None
    if not wide:
        # Make one of the last tensor, which all of these operations broadcast.
        wide = bound.floating[-1:]
        bound.arrays[wide[0]] = np.float64(1.5)
    return bound, [np.float64 if k in wide else np.float32 for k in bound.floating]


OF_BOTH_WIDTHS = [sample for sample in every_case(narrows) if of_both_widths(*sample.values)]


@pytest.mark.parametrize(("operation", "index"), OF_BOTH_WIDTHS)
def test_a_wide_scalar_beside_float32_does_not_widen(operation, index):
    bound, dtypes = of_both_widths(operation, index)
    floats = [
        ho.tensor(bound.arrays[k], dtype=d, requires_grad=True) for k, d in zip(bound.floating, dtypes, strict=True)
    ]
    outputs = bound.of_floating(*floats)
    assert [y.dtype for y in outputs] == [np.float32] * len(outputs)
    weights = cotangents(outputs, seed=index)
    for create_graph in (True, False):
        gradients = ho.grad(outputs, floats, weights, create_graph=create_graph, retain_graph=True)
        assert [g.dtype for g in gradients] == dtypes
    plain = [x.detach() for x in floats]
    pushed = func.jvp(bound.of_floating, plain, cotangents(plain))[1]
    assert [t.dtype for t in pushed] == [np.float32] * len(pushed)
    mapped = func.vmap(bound.of_floating, in_dims=-1)(*[ho.stack([x, x], -1) for x in plain])
    assert [t.dtype for t in mapped] == [np.float32] * len(mapped)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "floor_divide"])
@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(1.5), np.int64(3)], ids=lambda v: type(v).__name__)
def test_numbers_are_weak(name, number):
    function = getattr(ho, name)
    for dtype in (np.float16, np.float32, np.float64):
        for x in (ho.tensor([1.5, 2.5], dtype=dtype), ho.tensor(1.5, dtype=dtype)):
            assert function(x, number).dtype == dtype
            assert function(number, x).dtype == dtype
            pushed = func.jvp(lambda x: function(number, x), (x,), (x,))[1]
            assert pushed.dtype == dtype
            assert func.vmap(lambda x: function(x, number))(ho.stack([x, x])).dtype == dtype


INT, FLOAT = ho.tensor([1, 2]), ho.tensor([1.5, 2.5], dtype=np.float32)


@pytest.mark.parametrize(
    ("made", "dtype"),
    [
        (lambda: INT + 1, np.int64),
        (lambda: INT + 1.5, np.float64),
        (lambda: INT + FLOAT, np.float32),
        (lambda: INT / 2, np.float64),
        (lambda: INT**2, np.int64),
        (lambda: INT * True, np.int64),
        (lambda: INT > 1, np.bool_),
        (lambda: -INT, np.int64),
        (lambda: abs(INT), np.int64),
        (lambda: INT // 2, np.int64),
        (lambda: INT % 2, np.int64),
        (lambda: ho.relu(INT), np.int64),
        (lambda: ho.sign(INT), np.int64),
        (lambda: ho.square(INT), np.int64),
        (lambda: ho.clone(INT), np.int64),
        (lambda: ho.maximum(INT, INT), np.int64),
        (lambda: ho.clip(INT, 0, 1), np.int64),
        (lambda: ho.where(INT > 1, INT, 0), np.int64),
        (lambda: ho.sum(INT), np.int64),
        (lambda: ho.sum(INT > 1), np.int64),
        (lambda: ho.prod(INT), np.int64),
        (lambda: ho.amax(INT), np.int64),
        (lambda: ho.exp(INT), np.float64),
        (lambda: ho.sqrt(INT), np.float64),
        (lambda: ho.concatenate([INT, FLOAT]), np.float32),
        (lambda: ho.stack([INT, INT]), np.int64),
        (lambda: INT @ INT, np.int64),
        (lambda: ho.matmul(FLOAT, FLOAT), np.float32),
        (lambda: ho.where(INT > 1, FLOAT, 0.0), np.float32),
        (lambda: ho.tensor(INT), np.int64),
        (lambda: INT.at[0].add(1), np.int64),
        (lambda: INT[[0, 1]], np.int64),
    ],
)  # fmt: skip
def test_dtypes_are_promoted_as_in_pytorch(made, dtype):
    assert made().dtype == dtype


def test_the_default_dtype_is_that_of_python_numbers():
    ho.set_default_dtype(ho.float32)
    try:
        assert ho.tensor(1.5).dtype == np.float32
        assert (INT + 1.5).dtype == np.float32
        assert (INT / 2).dtype == np.float32
        assert ho.exp(INT).dtype == np.float32
        assert ho.exp(ho.tensor([1.0], dtype=np.float64)).dtype == np.float64
        assert ho.where(INT > 1, 1.0, 0.0).dtype == np.float32
        assert ho.where(ho.tensor(True), 1.0, 0.0).dtype == np.float32
        assert ho.exp(1.0).dtype == np.float32
        assert ho.add(1.0, 2.0).dtype == np.float32
    finally:
        ho.set_default_dtype(ho.float64)
