"""Every operation, compiled, agrees with itself, and so do its derivatives to third order."""

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import CaptureError

from ..ops.samples import Bound, cotangents, differentiable, every_case

#: Their answers' shapes, or their rules, depend on numbers.
BY_NUMBERS = {
    "nonzero",
    "argwhere",
    "masked_select",
    "unique",
    "bincount",
    "allclose",
    "one_hot",
    "repeat_interleave",
}


def agree(found, expected, tolerance=1e-12):
    found, expected = ho.tree.leaves(found), ho.tree.leaves(expected)
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert y.dtype == e.dtype
        assert y.shape == e.shape
        scale = max([1.0, *np.abs(e.numpy()[np.isfinite(e.numpy())]).ravel().tolist()])
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=tolerance, atol=tolerance * scale)


def reads_numbers(bound):
    """Whether this sample of an operation in `BY_NUMBERS` is one that does."""
    try:
        ho.compile(bound)(*bound.tensors())
    except CaptureError:
        return True
    return False


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_values(operation, index):
    bound = Bound(operation, index)
    if operation.name in BY_NUMBERS and reads_numbers(bound):
        with pytest.raises(CaptureError, match=r"\.py:\d+"):
            ho.compile(bound)(*bound.tensors())
        return
    compiled = ho.compile(bound)
    agree(compiled(*bound.tensors()), bound(*bound.tensors()))
    # The second call runs on other numbers.
    other = Bound(operation, index, 1)
    agree(compiled(*other.tensors()), bound(*other.tensors()))


def derivative(function, directions):
    """The gradient of the product with fixed directions, over floating answers."""

    def product(*xs):
        total = 0.0
        for y, w in zip(function(*xs), directions, strict=True):
            total = total + (w * y).sum()
        return total

    return lambda *xs: list(func.grad(product, argnums=tuple(range(len(xs))))(*xs))


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives_to_third_order(operation, index):
    bound = Bound(operation, index)
    if operation.name in BY_NUMBERS:
        pytest.skip("takes shapes from numbers")
    floats = bound.floats()
    f = bound.of_floating
    for order in range(1, 4):
        f = derivative(f, cotangents(f(*floats), seed=order))
        agree(ho.compile(f)(*floats), f(*floats), 1e-11 if order == 3 else 1e-12)
