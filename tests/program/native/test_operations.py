"""Every operation, compiled to machine code, agrees with itself, and so do its derivatives."""

import pytest

import hograd as ho

from ...ops.samples import Bound, cotangents, differentiable, every_case
from ..test_operations import BY_NUMBERS, agree, derivative, reads_numbers

pytest.importorskip("llvmlite")


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_values(operation, index):
    bound = Bound(operation, index)
    if operation.name in BY_NUMBERS and reads_numbers(bound):
        pytest.skip("takes shapes from numbers")
    compiled = ho.compile(bound, backend="native")
    agree(compiled(*bound.tensors()), bound(*bound.tensors()))
    # The second call runs on other numbers.
    other = Bound(operation, index, 1)
    agree(compiled(*other.tensors()), bound(*other.tensors()))


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives(operation, index):
    bound = Bound(operation, index)
    if operation.name in BY_NUMBERS:
        pytest.skip("takes shapes from numbers")
    floats = bound.floats()
    f = bound.of_floating
    for order in range(1, 4):
        f = derivative(f, cotangents(f(*floats), seed=order))
        agree(ho.compile(f, backend="native")(*floats), f(*floats), 1e-11 if order == 3 else 1e-12)
