"""Creating tensors: the same as NumPy's functions, copies of what they are made of, in the default dtype."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho

from .samples import assert_equal


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: ho.zeros(2, 3), np.zeros((2, 3))),
        (lambda: ho.zeros((2, 3)), np.zeros((2, 3))),
        (lambda: ho.zeros(()), np.zeros(())),
        (lambda: ho.zeros(), np.zeros(())),
        (lambda: ho.ones([2]), np.ones(2)),
        (lambda: ho.full((2, 1), 3), np.full((2, 1), 3)),
        (lambda: ho.full(2, 1.5), np.full(2, 1.5)),
        (lambda: ho.full((2,), ho.tensor(1.5)), np.full(2, 1.5)),
        (lambda: ho.full((), 2.0), np.full((), 2.0)),
        (lambda: ho.arange(4), np.arange(4)),
        (lambda: ho.arange(2, 9, 3), np.arange(2, 9, 3)),
        (lambda: ho.arange(5, 0, -2), np.arange(5, 0, -2)),
        (lambda: ho.arange(0, 1, 0.25), np.arange(0, 1, 0.25)),
        (lambda: ho.arange(3, 1), np.arange(3, 1)),
        (lambda: ho.arange(3.0), np.arange(3.0)),
        (lambda: ho.linspace(-1, 2, 7), np.linspace(-1, 2, 7)),
        (lambda: ho.linspace(0, 1, 1), np.linspace(0, 1, 1)),
        (lambda: ho.linspace(0, 1, 0), np.linspace(0, 1, 0)),
        (lambda: ho.eye(3), np.eye(3)),
        (lambda: ho.eye(2, 4), np.eye(2, 4)),
        (lambda: ho.zeros_like(ho.tensor([1, 2])), np.zeros(2, int)),
        (lambda: ho.ones_like(ho.tensor([[1.5]])), np.ones((1, 1))),
        (lambda: ho.ones_like([1.5, 2.5]), np.ones(2)),
        (lambda: ho.full_like(ho.tensor([1.0, 2.0]), 7), np.full(2, 7.0)),
        (lambda: ho.tensor(2), np.array(2)),
        (lambda: ho.tensor(True), np.array(True)),
        (lambda: ho.tensor([]), np.array([])),
        (lambda: ho.tensor([[], []]), np.zeros((2, 0))),
        (lambda: ho.tensor([1, 2.5]), np.array([1, 2.5])),
        (lambda: ho.tensor((1, (2 > 1))), np.array([1, 1])),
        (lambda: ho.tensor([ho.tensor(1.0), 2.0]), np.array([1.0, 2.0])),
        (lambda: ho.tensor([[ho.tensor([1, 2])], [[3, 4]]]), np.array([[[1, 2]], [[3, 4]]])),
        (lambda: ho.tensor(range(3)), np.arange(3)),
        (lambda: ho.tensor(np.arange(6.0).reshape(2, 3).T), np.arange(6.0).reshape(2, 3).T),
        (lambda: ho.tensor(np.float32(1.5)), np.float32(1.5)),
    ],
)
def test_values_and_dtypes_are_those_of_numpy(made, expected):
    tensor = made()
    assert tensor.dtype == np.asarray(expected).dtype
    assert_equal(tensor, expected)


@pytest.mark.parametrize("dtype", [ho.float32, ho.float16, ho.int32, ho.bool, "float32", np.float64, float], ids=str)
def test_a_dtype_can_be_asked_for(dtype):
    for tensor in (
        ho.tensor([0, 1], dtype=dtype),
        ho.tensor(ho.tensor([0.0, 1.0]), dtype=dtype),
        ho.as_tensor([0, 1], dtype=dtype),
        ho.zeros(2, dtype=dtype),
        ho.ones(2, dtype=dtype),
        ho.full((2,), 1, dtype=dtype),
        ho.arange(2, dtype=dtype),
        ho.linspace(0, 1, 2, dtype=dtype),
        ho.eye(2, dtype=dtype),
        ho.zeros_like(ho.tensor(1.0), dtype=dtype),
        ho.full_like(ho.tensor(1.0), 1, dtype=dtype),
    ):
        assert tensor.dtype == np.dtype(dtype)
        assert not tensor.requires_grad


@pytest.mark.parametrize("make", [ho.zeros, ho.randn, ho.tensor])
def test_the_only_device_of_new_tensors_is_the_cpu(make):
    assert make((2,), device="cpu").device == make((2,), device=None).device == "cpu"
    with pytest.raises(ho.errors.ArgumentError, match="device is 'cuda', expected None or \"cpu\""):
        make((2,), device="cuda")


def test_new_tensors_can_require_grad():
    for tensor in (
        ho.tensor([1.0], requires_grad=True),
        ho.zeros(1, requires_grad=True),
        ho.ones(1, requires_grad=True),
        ho.full((1,), 1.5, requires_grad=True),
        ho.arange(1.0, requires_grad=True),
        ho.linspace(0, 1, 1, requires_grad=True),
        ho.eye(1, requires_grad=True),
        ho.zeros_like(ho.tensor([1.0]), requires_grad=True),
        ho.rand(1, requires_grad=True),
        ho.randn(1, requires_grad=True),
    ):
        assert tensor.requires_grad
        assert tensor.is_leaf
        (tensor * 3.0).sum().backward()
        assert tensor.grad.tolist() == (np.ones(tensor.shape) * 3).tolist()


def test_a_tensor_is_a_copy():
    array = np.array([1.0, 2.0])
    tensor = ho.tensor(array)
    array[0] = 9.0
    assert tensor.tolist() == [1.0, 2.0]
    x = ho.tensor([1.0], requires_grad=True)
    copy = ho.tensor(x)
    assert not copy.requires_grad
    assert copy is not x
    assert ho.as_tensor(x) is x


def test_like_functions_forget_the_graph():
    x = ho.tensor([1.0], requires_grad=True)
    for tensor in (
        ho.zeros_like(x * 2),
        ho.ones_like(x * 2),
        ho.full_like(x * 2, 3.0),
        ho.randn_like(x),
        ho.rand_like(x),
    ):
        assert not tensor.requires_grad


def test_logarithms_evenly_spaced():
    assert_equal(ho.logspace(0, 3, 4), [1.0, 10.0, 100.0, 1000.0])
    assert_equal(ho.logspace(1, 2, 3, base=4.0), [4.0, 8.0, 16.0])
    assert ho.logspace(0, 1, 2, dtype=np.float32).dtype == np.float32
    assert ho.logspace(0, 1, 2, requires_grad=True).requires_grad
    assert ho.func.grad(lambda end: ho.logspace(0.0, end, 3).sum())(ho.tensor(2.0)).item() == pytest.approx(
        np.log(10) * (5 + 100), rel=1e-12
    )


def test_questions_about_tensors():
    x, whole, complex_ = ho.ones(2, 3), ho.arange(3), ho.tensor([1j])
    assert [ho.is_tensor(v) for v in (x, whole, 1.0, np.ones(2), [x])] == [True, True, False, False, False]
    assert [ho.is_floating_point(v) for v in (x, whole, complex_)] == [True, False, False]
    assert [ho.is_complex(v) for v in (x, whole, complex_)] == [False, False, True]
    assert [ho.numel(v) for v in (x, ho.tensor(1.0), ho.zeros(0, 3))] == [6, 1, 0]
    assert ho.equal(x, ho.ones(2, 3))
    assert not ho.equal(x, ho.ones(3))
    assert not ho.equal(whole, whole + 1)
    assert ho.broadcast_shapes((2, 1), 3, (1, 1, 1)) == (1, 2, 3)
    with pytest.raises(ho.errors.ShapeError, match="do not fit together"):
        ho.broadcast_shapes((2,), (3,))
    like = ho.empty_like(x, dtype=np.float32)
    assert (like.shape, like.dtype) == (x.shape, np.float32)
    assert ho.empty(2, 0, dtype=np.int64).tolist() == [[], []]


def test_arrays_of_operands_are_not_changed_by_the_caller_afterwards():
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    factor = np.array([3.0, 4.0])
    y = (x * factor).sum()
    factor[:] = 0.0
    assert ho.grad(y, x)[0].tolist() == [3.0, 4.0]


def test_scalar_tensor_takes_the_default_dtype():
    assert (ho.scalar_tensor(3).dtype, ho.scalar_tensor(3).shape) == (ho.float64, ())
    assert ho.scalar_tensor(3.0, dtype=ho.int64).item() == 3
    assert ho.scalar_tensor(2.0, requires_grad=True).requires_grad
