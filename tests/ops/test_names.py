"""Further names of operations and of methods, as PyTorch has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hograd as ho

from .samples import assert_equal

X, Y = ho.tensor([3.0, -1.0, 2.0]), ho.tensor([2.0, -1.0, 5.0])
ALIASES = {
    "multiply": "mul", "subtract": "sub", "divide": "div", "true_divide": "div", "greater": "gt", "greater_equal": "ge",
    "less": "lt", "less_equal": "le", "not_equal": "ne",
}  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), ALIASES.items())
def test_other_names_mean_the_same(name, meant):
    expected = getattr(X, meant)(Y)
    assert_equal(getattr(X, name)(Y), expected)
    assert_equal(getattr(ho, name)(X, Y), expected)
    changed = X.clone()
    assert getattr(changed, f"{name}_")(Y) is changed
    assert_equal(changed, expected.double())


def test_other_names_take_the_same_options():
    assert_equal(X.subtract(Y, alpha=2), X - 2 * Y)
    assert_equal(X.divide(Y, rounding_mode="floor"), X // Y)
    with pytest.raises(TypeError, match="alpha"):
        X.multiply(Y, alpha=2)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("half", "f2"), ("short", "i2"), ("byte", "u1"), ("char", "i1"), ("cfloat", "c8"), ("cdouble", "c16")],
)
def test_methods_convert(name, dtype):
    converted = getattr(ho.tensor([3.0, 1.0]), name)()
    assert converted.dtype == dtype
    assert converted.tolist() == [3.0, 1.0]


def test_adjoints_of_matrices_and_bytes():
    x = ho.tensor([[1.0, 2j]])
    assert x.mH.tolist() == x.H.tolist() == x.adjoint().tolist() == [[1.0], [-2j]]
    assert (x.nbytes, X.nbytes, ho.zeros(0, 3).nbytes) == (32, 24, 0)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bitwise_methods(name):
    a, b = ho.tensor([12, 10]), ho.tensor([10, 6])
    expected = getattr(np, name)(a.numpy(), b.numpy()).tolist()
    assert getattr(a, name)(b).tolist() == expected
    assert getattr(a.clone(), f"{name}_")(b).tolist() == expected
    assert (~a).tolist() == a.bitwise_not().tolist() == a.clone().bitwise_not_().tolist() == [-13, -11]


def test_shifts_of_bits():
    a = ho.tensor([5, -8])
    assert (a << 2).tolist() == a.bitwise_left_shift(2).tolist() == [20, -32]
    assert a.clone().bitwise_left_shift_(2).tolist() == [20, -32]
    assert ((2 << ho.tensor([1, 3])).tolist(), (9 >> ho.tensor([1, 3])).tolist()) == ([4, 16], [4, 1])
    assert (a >> ho.tensor([1, 2])).tolist() == a.bitwise_right_shift(ho.tensor([1, 2])).tolist() == [2, -2]


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"]
)
def test_functions_of_whole_numbers_refuse_others_in_words(name):
    function = getattr(ho, name)
    for a, b in [(X, 1), (1, X), (X, Y), (X, ho.tensor([1, 2, 3])), (X.to(ho.float32), Y), (ho.tensor(1.5), 2)]:
        with pytest.raises(ho.errors.DtypeError, match=f"{name} is not defined for"):
            function(a, b)


def test_to_takes_the_arguments_of_pytorch():
    assert [
        X.to(*args).dtype.name for args in [("float32",), ("cpu", ho.float32), ("cpu", "float32", True, False)]
    ] == ["float32"] * 3
    assert X.to(ho.tensor([1]), True, memory_format=None).dtype == X.to(dtype=ho.int64, device="cpu").dtype == ho.int64
    assert X.to("cpu") is X.to(X.dtype, non_blocking=True) is X.to() is X
    for copied in (X.to(X.dtype, copy=True), X.to(Y, False, True), X.to("cpu", False, True)):
        assert copied is not X
        assert_equal(copied, X)
    x = X.clone().requires_grad_()
    assert ho.grad(x.to("cpu", ho.float32, copy=True).sum(), x)[0].dtype == ho.float64


@pytest.mark.parametrize(
    ("args", "said"),
    [(("cuda",), "device 'cuda', but the tensor lies on 'cpu'"), ((ho.int64, True, True, True), "4 positional")],
)
def test_to_refuses(args, said):
    with pytest.raises(ho.errors.ArgumentError, match=said):
        X.to(*args)
    with pytest.raises(ho.errors.ArgumentError, match="'cuda:0'"):
        X.to(X.dtype, device="cuda:0")


def test_negative_padding_cuts_before_what_is_circular_and_after_what_is_mirrored():
    x = ho.tensor([1.0, 2.0, 3.0, 4.0])
    assert ho.pad(x, (-2, 2), "circular").tolist() == [3.0, 4.0, 3.0, 4.0]
    assert ho.pad(x, (-3, 2), "reflect").tolist() == [4.0, 3.0, 2.0]
    assert ho.pad(x, (-4, 2), "replicate").tolist() == [4.0, 4.0]
    assert ho.pad(x, (-1, -2), "reflect").tolist() == [2.0]


def test_frexp_of_every_kind_of_number():
    x = ho.tensor([0.0, -0.0, 1.5, -8.0, math.inf, math.nan, 5e-324], requires_grad=True)
    mantissa, exponent = x.frexp()
    np.testing.assert_array_equal(mantissa.detach(), [0.0, -0.0, 0.75, -0.5, math.inf, math.nan, 0.5])
    assert exponent.tolist() == [0, 0, 1, 4, 0, 0, -1073]
    assert exponent.dtype == ho.int32
    np.testing.assert_array_equal(ho.grad(mantissa[:4].sum(), x)[0], [1, 1, 0.5, 0.0625, 0, 0, 0])
    with pytest.raises(ho.errors.DtypeError, match="floating"):
        ho.frexp(ho.tensor([1, 2]))
