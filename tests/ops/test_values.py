"""Values of every operation: against NumPy and SciPy, in any layout, by PyTorch's names of arguments, as methods."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import hograd as ho
from hograd.core.declare import operations

from .references import reference
from .references_networks import NETWORKS
from .samples import Bound, assert_equal, cotangents, differentiable, every_case


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_the_value_is_that_of_the_reference(operation, index):
    bound = Bound(operation, index)
    found = bound(*bound.tensors())
    expected = reference(operation.name)(*bound.arguments(bound.arrays), **bound.case.kwargs)
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert y.dtype == np.asarray(e).dtype
        assert_equal(y, e)


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_arrays_are_taken_for_tensors_and_left_as_they_are(operation, index):
    bound = Bound(operation, index)
    before = [array.copy() for array in bound.arrays]
    given = [ho.tensor(array) if k == 0 else array for k, array in enumerate(bound.arrays)]
    for y, expected in zip(bound(*given), bound(*bound.tensors()), strict=True):
        assert isinstance(y, ho.Tensor)
        assert_equal(y, expected)
    for array, saved in zip(bound.arrays, before, strict=True):
        np.testing.assert_array_equal(array, saved)


def transposed(x):
    """`x` from memory in which its axes stand in reverse."""
    return ho.transpose(ho.tensor(np.transpose(x).copy(order="C")))


def strided(x):
    """`x` as every second element of a larger tensor, along every axis."""
    large = np.full([2 * n for n in np.shape(x)], np.nan)
    large[tuple(slice(None, None, 2) for _ in large.shape)] = x
    return ho.tensor(large)[tuple(slice(None, None, 2) for _ in large.shape)]


def backwards(x):
    """`x` read from back to front, along every axis."""
    return ho.flip(ho.tensor(np.flip(x).copy()))


def repeated(x):
    """The first row of `x` for every row, without a copy."""
    return ho.broadcast_to(ho.tensor(x[:1]), x.shape) if np.ndim(x) else ho.tensor(x)


#: Operations on matrices that must not have equal rows.
NEEDS_RANK = {"cholesky_solve", "logdet", "qr", "svd"} | {name for name in operations if name.startswith("linalg_")}


@pytest.mark.parametrize("layout", [transposed, strided, backwards, repeated], ids=lambda layout: layout.__name__)
@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_layout_in_memory_does_not_matter(operation, index, layout):
    bound = Bound(operation, index)
    if layout is repeated and operation.name in NEEDS_RANK:
        return
    laid = [layout(bound.arrays[k]) for k in bound.floating]
    plain = [ho.tensor(x.numpy().copy(order="C")) for x in laid]
    weights = cotangents(bound.of_floating(*plain), seed=index)
    found, pull = ho.func.vjp(bound.of_floating, *laid)
    expected, plain_pull = ho.func.vjp(bound.of_floating, *plain)
    for y, e in zip(found, expected, strict=True):
        assert_equal(y, e)
    for g, e in zip(
        pull(weights), plain_pull([layout(w.numpy()) if layout is not repeated else w for w in weights]), strict=True
    ):
        assert_equal(g, e)


def without_axes(tensors):
    return [t for t in ho.tree.leaves(tensors) if t.shape == ()]


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_what_has_no_axes_is_held_as_a_scalar(operation, index):
    bound = Bound(operation, index)
    floats = bound.floats(requires_grad=True)
    outputs = bound.of_floating(*floats)
    weights = cotangents(outputs, seed=index)
    total = sum((x * x).sum() for x in floats)
    total = total + sum((y * y * w).sum() for y, w in zip(outputs, weights, strict=True))
    first = ho.grad(total, floats, create_graph=True, materialize_grads=True)
    second = ho.grad(sum(g.sum() for g in first), floats, materialize_grads=True)
    plain = bound.floats()
    pushed = ho.func.jvp(bound.of_floating, plain, cotangents(plain))
    pulled = ho.func.vjp(bound.of_floating, *plain)[1](weights)
    mapped = ho.func.vmap(lambda *xs: [y.sum() for y in bound.of_floating(*xs)])(*[ho.stack([x, x]) for x in plain])
    for t in without_axes([total, outputs, first, second, pushed, pulled, [y[0] for y in mapped]]):
        assert type(t.value) is not np.ndarray
        assert isinstance(t.detach().numpy(), np.ndarray)


_TORCH_NAMES = {"axis": "dim", "keepdims": "keepdim", "b": "other", "x": "input", "axes": "dims"}


def takes_names(operation):
    """Functions of tensors alone take these by position."""
    kinds = [p.kind for p in inspect.signature(operation.function).parameters.values()]
    return hasattr(operation.function, "__signature__") and inspect.Parameter.VAR_POSITIONAL not in kinds


@pytest.mark.parametrize(("operation", "index"), every_case(takes_names))
def test_arguments_have_the_names_of_pytorch_too(operation, index):
    bound = Bound(operation, index)
    signature = inspect.signature(operation.function)
    args = bound.arguments(bound.tensors())
    ours = {{"dim": "axis", "keepdim": "keepdims"}.get(k, k): v for k, v in bound.case.kwargs.items()}
    expected = ho.tree.leaves(operation.function(*args, **ours))
    given = signature.bind(*args, **ours)
    named = {_TORCH_NAMES.get(name, name): value for name, value in given.arguments.items()}
    for y, e in zip(ho.tree.leaves(operation.function(**named)), expected, strict=True):
        assert_equal(y, e)


def is_method(operation):
    return callable(getattr(ho.Tensor, operation.name, None))


@pytest.mark.parametrize(("operation", "index"), every_case(is_method))
def test_operations_are_methods(operation, index):
    bound = Bound(operation, index)
    args = bound.arguments(bound.tensors())
    if operation.name in ("where", "polygamma"):
        args[:2] = args[1::-1]
    if not isinstance(args[0], ho.Tensor):
        args[0] = ho.tensor(args[0])
    by_method = getattr(args[0], operation.name)(*args[1:], **bound.case.kwargs)
    by_function = bound(*bound.tensors())
    for y, e in zip(ho.tree.leaves(by_method), by_function, strict=True):
        assert_equal(y, e)


#: Functions of several tensors, losses, and what tensors have as operators, as `x[...]`, as `x.at` or as `detach`.
ONLY_FUNCTIONS = {"concatenate", "stack", "einsum", "tensordot", "place", "safe_sqrt"} | {*NETWORKS} | {
    "trapezoid", "cumulative_trapezoid", "gradient", "block_diag", "isin", "softmin",
    "getitem", "at_add", "at_set", "stop_gradient", "lu_unpack", "rsub", "unravel_index",
    "hstack", "vstack", "dstack", "column_stack", "broadcast_tensors", "meshgrid", "cartesian_prod", "combinations",
    "pad", "constant_pad_nd", "one_hot", "searchsorted", "bucketize", "var_mean", "std_mean", "cdist", "pdist",
    "histogramdd", "svd_lowrank", "pca_lowrank", "complex", "view_as_complex", "view_as_real", "real", "imag", "polar",
}  # fmt: skip
#: What PyTorch has in `nn.functional` or `special` alone, or calls otherwise there.
ONLY_FUNCTIONS |= {
    "gelu", "silu", "mish", "logsigmoid", "softsign", "tanhshrink", "elu", "selu", "celu", "leaky_relu", "hardtanh",
    "relu6", "hardsigmoid", "hardswish", "softshrink", "threshold", "glu", "xlog1py", "erfcx", "ndtr",
    "log_ndtr", "ndtri", "entr", "iv", "ive", "jv", "yv", "kv", "kve", "i1", "i0e", "i1e", "gammaln", "betaln", "zeta",
    "gammainc", "gammaincc", "betainc", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0",
    "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "airy_ai", "spherical_bessel_j0",
    *(f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"),
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
}  # fmt: skip


def test_all_other_operations_are_methods():
    functions = {operation.name for operation in operations.values() if not is_method(operation)}
    assert {name for name in functions if not name.startswith(("fft_", "linalg_"))} == ONLY_FUNCTIONS


def test_operators_and_indexed_updates_are_the_operations():
    a, b = ho.tensor([True, True, False]), ho.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    x = ho.tensor([1.0, 2.0, 3.0])
    assert x[[2, 0]].tolist() == [3.0, 1.0]
    assert x.at[1:].set(0.5).tolist() == [1.0, 0.5, 0.5]
    assert x.at[[0, 0]].add(1.0).tolist() == [3.0, 2.0, 3.0]
    assert x.tolist() == [1.0, 2.0, 3.0]
