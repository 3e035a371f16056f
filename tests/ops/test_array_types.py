"""Operations take their array module from the data: on a type that refuses to become NumPy's, and on CuPy."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import hograd as ho

from .device_array import DeviceArray
from .samples import Bound, assert_equal, cotangents, differentiable, every_case


def find_cupy() -> Any:
    """CuPy, if it is installed and finds a CUDA device."""
    try:
        cupy = importlib.import_module("cupy")
        return cupy if cupy.cuda.runtime.getDeviceCount() else None
    except Exception:  # CuPy is imported, but CUDA's libraries are missing or of another version
        return None


CUPY = find_cupy()
ARRAY_TYPES = {"strict": DeviceArray} if CUPY is None else {"strict": DeviceArray, "cupy": CUPY.asarray}


@pytest.fixture(params=ARRAY_TYPES.values(), ids=ARRAY_TYPES.keys())
def put(request):
    """From a NumPy array to a tensor of another array module."""
    return lambda array, **options: ho.tensor(request.param(np.asarray(array)), **options)


def test_cupy_is_among_the_array_types():
    if CUPY is None:
        pytest.skip("there is no CuPy with a CUDA device: the tests of this file ran on the strict array type alone")
    assert lies_outside(ho.tensor(CUPY.zeros(3)))


def lies_outside(tensor):
    return not isinstance(tensor.detach().value, (np.ndarray, np.generic))


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_values_stay_in_their_array_module(put, operation, index):
    bound = Bound(operation, index)
    if not bound.arrays:
        pytest.skip("takes no arrays")
    expected = bound(*bound.tensors())
    found = bound(*(put(array) for array in bound.arrays))
    for y, y0 in zip(found, expected, strict=True):
        assert lies_outside(y)
        assert y.dtype == y0.dtype
        assert_equal(y, y0)


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives_stay_in_their_array_module(put, operation, index):
    bound = Bound(operation, index)
    if not bound.floating:
        pytest.skip("nothing to differentiate")

    def derivatives(tensors):
        tracked = [tensors[k] for k in bound.floating]
        outputs = [y for y in bound(*tensors) if y.requires_grad]
        weights = cotangents(outputs)
        if lies_outside(tracked[0]):
            weights = [put(w.numpy()) for w in weights]
        first = ho.grad(outputs, tracked, weights, create_graph=True, materialize_grads=True)
        rough = [g for g in first if g.requires_grad]
        total = sum((g * g).sum() for g in rough) if rough else None
        second = [] if total is None else ho.grad(total, tracked, materialize_grads=True)
        return [*first, *second]

    expected = derivatives(bound.tensors(requires_grad=True))
    found = derivatives([put(a, requires_grad=k in bound.floating) for k, a in enumerate(bound.arrays)])
    for g, g0 in zip(found, expected, strict=True):
        assert lies_outside(g)
        assert_equal(g, g0, 1e-9)


def test_made_beside_a_tensor_lies_where_it_lies(put):
    x = put(np.arange(3.0))
    for y in (ho.zeros_like(x), ho.ones_like(x), ho.full_like(x, 2.0)):
        assert lies_outside(y)


def test_numpy_copies_and_array_refuses(put):
    x = put(np.arange(3.0))
    assert x.numpy().tolist() == [0.0, 1.0, 2.0]
    assert repr(x) == "tensor([0., 1., 2.])"
    assert float(x.sum()) == 3.0


def test_training_and_its_hypergradient_stay_in_their_array_module(put):
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=(8, 3)), random.normal(size=8), random.normal(size=3)

    def hypergradient(put):
        features, targets, start = put(x), put(y), put(w)

        def after_training(lr):
            weights = start
            for _ in range(3):
                loss = ho.func.grad(lambda v: ((features @ v - targets) ** 2).mean())
                weights = weights - lr * loss(weights)
            return ((features @ weights - targets) ** 2).mean()

        per_lr = ho.func.grad(after_training)(put(np.array(0.1)))
        batch = ho.func.vmap(after_training)(put(np.array([0.1, 0.2])))
        _, tangent = ho.func.jvp(after_training, (put(np.array(0.1)),), (put(np.array(1.0)),))
        return per_lr, batch, tangent

    for found, expected in zip(hypergradient(put), hypergradient(ho.tensor), strict=True):
        assert lies_outside(found)
        assert_equal(found, expected)
