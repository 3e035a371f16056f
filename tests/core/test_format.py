"""The printed form of tensors, against the text that PyTorch 2.13 prints for the same numbers."""

import json
import math
import re
import warnings

import numpy as np
import pytest

from hograd.core.format import format_tensor, set_printoptions

#: What `repr` of the tensor gave in PyTorch, with `torch.` taken off the names of dtypes.
RECORDED = """
# numbers of every kind
>>> text(np.array([1.0, 4.0]))
tensor([1., 4.])
>>> text(np.array(3.2))
tensor(3.2000)
>>> text(np.float64(-0.0))
tensor(-0.)
>>> text(np.int64(-7))
tensor(-7)
>>> text(np.bool_(True))
tensor(True)
>>> text(np.array([[1, 2], [3, 4]]))
tensor([[1, 2],
        [3, 4]])
>>> text(np.array([[1.5], [-20.0]]))
tensor([[  1.5000],
        [-20.0000]])
>>> text(np.array([True, False]))
tensor([ True, False])
>>> text(np.array([0, -1, 100, 7]))
tensor([  0,  -1, 100,   7])
>>> text(np.array([2**63 - 1, -(2**63)]))
tensor([ 9223372036854775807, -9223372036854775808])
>>> text(np.array([-128, 127], dtype=np.int8))
tensor([-128,  127], dtype=int8)
>>> text(np.array([2**64 - 1, 0], dtype=np.uint64))
tensor([18446744073709551615,                    0], dtype=uint64)
# zeros, nan and inf
>>> text(np.array([-0.0, 0.0, 1.0]))
tensor([-0., 0., 1.])
>>> text(np.array([-0.0, 0.5]))
tensor([-0.0000, 0.5000])
>>> text(np.array([9.99996, 1.0]))
tensor([10.0000,  1.0000])
>>> text(np.array([1.0, np.nan, np.inf, -np.inf]))
tensor([1., nan, inf, -inf])
>>> text(np.array([0.5, np.nan, -np.inf]))
tensor([0.5000,    nan,   -inf])
>>> text(np.array([0.0, -np.inf]))
tensor([0., -inf])
# scientific notation, in doubt decided by float64
>>> text(np.array([1e8, 1e6]))
tensor([100000000.,   1000000.])
>>> text(np.array([1e8 + 1, 1e8]))
tensor([1.0000e+08, 1.0000e+08])
>>> text(np.array([1.0, 1000.0]))
tensor([   1., 1000.])
>>> text(np.array([1.0, 1001.0]))
tensor([1.0000e+00, 1.0010e+03])
>>> text(np.array([0.5, 500.5]))
tensor([5.0000e-01, 5.0050e+02])
>>> text(np.array([1e-4, 2e-4]))
tensor([0.0001, 0.0002])
>>> text(np.array([9.9e-5, 0.0, np.nan]))
tensor([9.9000e-05, 0.0000e+00,        nan])
>>> text(np.array([1e-4], dtype=np.float32))
tensor([1.0000e-04], dtype=float32)
>>> text(np.array([5e-324, 0.0]))
tensor([4.9407e-324,  0.0000e+00])
>>> text(np.array([5e-324, -1.7e308]))
tensor([ 4.9407e-324, -1.7000e+308])
>>> text(np.array([1e-45, 1.0], dtype=np.float32))
tensor([1.4013e-45, 1.0000e+00], dtype=float32)
>>> text(np.array([1e-100, 1.0, -2e100]))
tensor([ 1.0000e-100,   1.0000e+00, -2.0000e+100])
# dtypes
>>> text(np.array([0.1, 16777216.0], dtype=np.float32))
tensor([1.0000e-01, 1.6777e+07], dtype=float32)
>>> text(np.array([65504.0, 0.1], dtype=np.float16))
tensor([6.5504e+04, 9.9976e-02], dtype=float16)
>>> text(np.float32(1.6))
tensor(1.6000, dtype=float32)
>>> text(np.array([1.6, -8.0], dtype=np.float32), default_dtype=np.float32)
tensor([ 1.6000, -8.0000])
>>> text(np.array([1.6, -8.0]), default_dtype=np.float32)
tensor([ 1.6000, -8.0000], dtype=float64)
>>> text(np.array([0.5], dtype=np.float16), default_dtype=np.float16)
tensor([0.5000])
# complex numbers
>>> text(np.array([1 + 10j, 1 + 1j, -0.5 - 3j]))
tensor([ 1.0000+10.j,  1.0000+1.j, -0.5000-3.j])
>>> text(np.array([0.5 - 0.25j], dtype=np.complex64))
tensor([0.5000-0.2500j], dtype=complex64)
>>> text(np.array([0.5 - 0.25j], dtype=np.complex64), default_dtype=np.float32)
tensor([0.5000-0.2500j])
>>> text(np.array([0.5 - 0.25j], dtype=np.complex64), default_dtype=np.float16)
tensor([0.5000-0.2500j])
>>> text(np.array([0.5 - 0.25j]), default_dtype=np.float32)
tensor([0.5000-0.2500j], dtype=complex128)
>>> text(np.array([complex(np.nan, -np.inf), complex(-0.0, -0.0), complex(1, np.nan)]))
tensor([nan-infj, -0.-0.j, 1.+nanj])
>>> text(np.array([1e-5 + 1j, 3 - 2e9j]))
tensor([1.0000e-05+1.0000e+00j, 3.0000e+00-2.0000e+09j])
>>> text(np.arange(12) * (1 - 2.5j))
tensor([ 0.+0.0000j,  1.-2.5000j,  2.-5.0000j,  3.-7.5000j,  4.-10.0000j,
         5.-12.5000j,  6.-15.0000j,  7.-17.5000j,  8.-20.0000j,  9.-22.5000j,
        10.-25.0000j, 11.-27.5000j])
>>> text(np.full(5, 0.5 + 0.25j))
tensor([0.5000+0.2500j, 0.5000+0.2500j, 0.5000+0.2500j, 0.5000+0.2500j,
        0.5000+0.2500j])
# no elements
>>> text(np.zeros(0))
tensor([])
>>> text(np.zeros(0, dtype=np.int64))
tensor([], dtype=int64)
>>> text(np.zeros((2, 0), dtype=bool))
tensor([], size=(2, 0), dtype=bool)
>>> text(np.zeros((0, 3), dtype=np.float32))
tensor([], size=(0, 3), dtype=float32)
>>> text(np.zeros(0, dtype=np.complex128))
tensor([], dtype=complex128)
# lines and brackets
>>> text(np.arange(30))
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])
>>> text(np.arange(10, 28))
tensor([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27])
>>> text(np.arange(44).reshape(2, 22) * 101)
tensor([[   0,  101,  202,  303,  404,  505,  606,  707,  808,  909, 1010, 1111,
         1212, 1313, 1414, 1515, 1616, 1717, 1818, 1919, 2020, 2121],
        [2222, 2323, 2424, 2525, 2626, 2727, 2828, 2929, 3030, 3131, 3232, 3333,
         3434, 3535, 3636, 3737, 3838, 3939, 4040, 4141, 4242, 4343]])
>>> text(np.arange(8).reshape(2, 2, 2))
tensor([[[0, 1],
         [2, 3]],

        [[4, 5],
         [6, 7]]])
>>> text(np.arange(4.0).reshape(2, 1, 2, 1))
tensor([[[[0.],
          [1.]]],


        [[[2.],
          [3.]]]])
>>> text(np.arange(6).reshape(2, 3).T)
tensor([[0, 3],
        [1, 4],
        [2, 5]])
>>> text(np.arange(24).reshape(1, 1, 24) % 10)
tensor([[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2,
          3]]])
# summaries
>>> text(np.arange(1001))
tensor([   0,    1,    2,  ...,  998,  999, 1000])
>>> text(np.r_[1.0, 2.0, 3.0, np.full(1000, 1e-9), 4.0, 5.0, 6.0])
tensor([1., 2., 3.,  ..., 4., 5., 6.])
>>> text(np.arange(1600.0).reshape(40, 40) - 800)
tensor([[-800., -799., -798.,  ..., -763., -762., -761.],
        [-760., -759., -758.,  ..., -723., -722., -721.],
        [-720., -719., -718.,  ..., -683., -682., -681.],
        ...,
        [ 680.,  681.,  682.,  ...,  717.,  718.,  719.],
        [ 720.,  721.,  722.,  ...,  757.,  758.,  759.],
        [ 760.,  761.,  762.,  ...,  797.,  798.,  799.]])
>>> text(np.arange(1200).reshape(2, 600))
tensor([[   0,    1,    2,  ...,  597,  598,  599],
        [ 600,  601,  602,  ..., 1197, 1198, 1199]])
>>> text(np.arange(1050).reshape(7, 150) % 7)
tensor([[0, 1, 2,  ..., 0, 1, 2],
        [3, 4, 5,  ..., 3, 4, 5],
        [6, 0, 1,  ..., 6, 0, 1],
        ...,
        [5, 6, 0,  ..., 5, 6, 0],
        [1, 2, 3,  ..., 1, 2, 3],
        [4, 5, 6,  ..., 4, 5, 6]])
>>> text(np.arange(1200).reshape(6, 200) % 7)
tensor([[0, 1, 2,  ..., 1, 2, 3],
        [4, 5, 6,  ..., 5, 6, 0],
        [1, 2, 3,  ..., 2, 3, 4],
        [5, 6, 0,  ..., 6, 0, 1],
        [2, 3, 4,  ..., 3, 4, 5],
        [6, 0, 1,  ..., 0, 1, 2]])
# suffixes
>>> text(np.float64(3.2), suffixes=["grad_fn=<MulBackward0>"])
tensor(3.2000, grad_fn=<MulBackward0>)
>>> text(np.array([0.1, 0.2], dtype=np.float32), suffixes=["grad_fn=<MulBackward0>"])
tensor([0.1000, 0.2000], dtype=float32, grad_fn=<MulBackward0>)
>>> text(np.zeros((0, 3), dtype=np.float32), suffixes=["requires_grad=True"])
tensor([], size=(0, 3), dtype=float32, requires_grad=True)
>>> text(np.arange(4.0).reshape(2, 2), suffixes=["requires_grad=True"])
tensor([[0., 1.],
        [2., 3.]], requires_grad=True)
>>> text(np.full(3, -0.5 - 0.25j), suffixes=["requires_grad=True"])
tensor([-0.5000-0.2500j, -0.5000-0.2500j, -0.5000-0.2500j], requires_grad=True)
>>> text(np.full(4, 10.5 - 3j) - np.array([0.5, 0, 0, 0]), suffixes=["requires_grad=True"])
tensor([10.0000-3.j, 10.5000-3.j, 10.5000-3.j, 10.5000-3.j],
       requires_grad=True)
>>> text(np.full((2, 7), 1234.0), suffixes=["requires_grad=True"])
tensor([[1234., 1234., 1234., 1234., 1234., 1234., 1234.],
        [1234., 1234., 1234., 1234., 1234., 1234., 1234.]], requires_grad=True)
>>> text(np.full((2, 10), 12.0), suffixes=["requires_grad=True"])
tensor([[12., 12., 12., 12., 12., 12., 12., 12., 12., 12.],
        [12., 12., 12., 12., 12., 12., 12., 12., 12., 12.]],
       requires_grad=True)
>>> text(np.arange(9) / 8, suffixes=["grad_fn=<MulBackward0>"])
tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500, 0.8750, 1.0000],
       grad_fn=<MulBackward0>)
>>> text(np.arange(9, dtype=np.float32) / 8, suffixes=["grad_fn=<MulBackward0>"])
tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500, 0.8750, 1.0000],
       dtype=float32, grad_fn=<MulBackward0>)
# options
>>> text(np.array([0.125, 10.0]), precision=2)
tensor([ 0.12, 10.00])
>>> text(np.array([1.5, 2.5]), precision=0)
tensor([2, 2])
>>> text(np.arange(10), threshold=4)
tensor([0, 1, 2,  ..., 7, 8, 9])
>>> text(np.arange(10), threshold=10)
tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
>>> text(np.arange(24.0).reshape(2, 3, 4) * 100, threshold=5, edgeitems=1)
tensor([[[   0.,  ...,  300.],
         ...,
         [ 800.,  ..., 1100.]],

        [[1200.,  ..., 1500.],
         ...,
         [2000.,  ..., 2300.]]])
>>> text(np.arange(20).reshape(4, 5), threshold=5, edgeitems=2)
tensor([[ 0,  1,  ...,  3,  4],
        [ 5,  6,  ...,  8,  9],
        [10, 11,  ..., 13, 14],
        [15, 16,  ..., 18, 19]])
>>> text(np.float64(1.5), threshold=0)
tensor(1.5000)
>>> text(np.float64(1.5), threshold=0, edgeitems=0)
tensor(1.5000, size=())
>>> text(np.arange(20) * 1j, threshold=5, edgeitems=2)
tensor([0.+0.j, 0.+1.j,  ..., 0.+18.j, 0.+19.j])
>>> text(np.zeros((2, 10), dtype=np.float32), threshold=5, edgeitems=0)
tensor([...], size=(2, 10), dtype=float32)
>>> text(np.arange(3), edgeitems=0)
tensor([0, 1, 2], size=(3,))
>>> text(np.zeros((0, 2), dtype=np.int32), linewidth=20)
tensor([],
       size=(0, 2),
       dtype=int32)
>>> text(np.zeros((0, 2)), suffixes=["requires_grad=True"], linewidth=40)
tensor([], size=(0, 2),
       requires_grad=True)
>>> text(np.arange(3), linewidth=0)
tensor([0,
        1,
        2])
>>> text(np.arange(30), linewidth=100)
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
        23, 24, 25, 26, 27, 28, 29])
>>> text(np.array([0.0, np.nan, 1.0]), sci_mode=True)
tensor([0.0000e+00,        nan, 1.0000e+00])
>>> text(np.array([1 - 20j]), sci_mode=True, precision=1)
tensor([1.0e+00-2.0e+01j])
>>> text(np.array([0.0, np.nan]), sci_mode=True)
tensor([0., nan])
>>> text(np.array([-1e-9, 1.5]), sci_mode=False)
tensor([-0.0000,  1.5000])
>>> text(np.array([1e-9, 1e12]), sci_mode=False)
tensor([            0.0000, 1000000000000.0000])
>>> text(np.array([1.0, -1e12]), sci_mode=False)
tensor([             1., -1000000000000.])
>>> text(np.arange(1600.0).reshape(40, 40) / 8, profile="short")
tensor([[0.00e+00, 1.25e-01,  ..., 4.75e+00, 4.88e+00],
        [5.00e+00, 5.12e+00,  ..., 9.75e+00, 9.88e+00],
        ...,
        [1.90e+02, 1.90e+02,  ..., 1.95e+02, 1.95e+02],
        [1.95e+02, 1.95e+02,  ..., 2.00e+02, 2.00e+02]])
"""


@pytest.fixture(autouse=True)
def initial_printoptions():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


def text(array, default_dtype=np.float64, prefix="tensor", suffixes=(), **options):
    if options:
        set_printoptions(**options)
    return format_tensor(array, prefix=prefix, default_dtype=default_dtype, suffixes=suffixes)


@pytest.mark.parametrize(("call", "expected"), re.findall(r">>> (.*)\n((?:(?!>>> |# ).*\n)+)", RECORDED))
def test_text_is_that_of_pytorch(call, expected):
    assert eval(call) + "\n" == expected


def test_later_lines_are_indented_by_the_prefix():
    array = np.arange(4.0, dtype=np.float32).reshape(2, 2)
    suffix = "name=" + "n" * 60
    assert text(array, prefix="Dual", suffixes=[suffix]) == (
        f"Dual([[0., 1.],\n      [2., 3.]], dtype=float32,\n     {suffix})"
    )


def test_every_suffix_is_kept_in_order():
    numbers = np.zeros((0, 3), np.int8)
    assert text(numbers, suffixes=["first=1", "second=2", "third=3"]) == (
        "tensor([], size=(0, 3), dtype=int8, first=1, second=2, third=3)"
    )


def test_summarised_above_a_thousand_elements():
    assert "..." not in text(np.zeros((10, 100)))
    assert "..." in text(np.zeros((7, 143)))


def test_full_profile_prints_every_element():
    set_printoptions(profile="full")
    assert json.loads(text(np.arange(3000))[len("tensor(") : -1]) == list(range(3000))


def test_width_of_lines_follows_the_finite_numbers():
    assert text(np.full(25, np.nan)) == "tensor([" + "nan, " * 23 + "nan,\n        nan])"


@pytest.mark.parametrize("shape", [(), (1,), (37,), (3, 50), (2, 1, 4), (2, 3, 2, 2, 2)], ids=str)
def test_printed_numbers_read_back_exactly(shape):
    seed = int(np.random.default_rng().integers(2**32))
    generator = np.random.default_rng(seed)
    array = generator.standard_normal(shape) * 10.0 ** generator.integers(-300, 300, shape)
    set_printoptions(precision=16, threshold=math.inf, sci_mode=True)
    read = np.array(json.loads(text(array)[len("tensor(") : -1]))
    np.testing.assert_array_equal(read, array, err_msg=f"seed {seed}", strict=True)


def test_views_print_as_their_copies():
    array = np.random.default_rng().standard_normal((6, 8))
    view = array[::-2, 1::3].T
    assert text(view) == text(view.copy())


def test_byte_order_is_not_shown():
    assert text(np.array([1.5, 2.0], dtype=">f8")) == text(np.array([1.5, 2.0]))


def test_numbers_beyond_float64_print_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        beyond = text(np.array([np.finfo(np.longdouble).max, 0.5], dtype=np.longdouble))
        apart = text(np.array([5e-324, 1e308]))
    assert beyond.startswith(("tensor([   inf, 0.5000]", "tensor([1.7977e+308, "))
    assert apart == "tensor([4.9407e-324, 1.0000e+308])"


def test_printing_leaves_the_array_alone():
    array = np.array([[0.1, -2.0], [np.nan, -0.0]])
    before = array.copy()
    array.flags.writeable = False
    text(array)
    np.testing.assert_array_equal(array, before)


def test_options_that_are_not_given_stay():
    set_printoptions(precision=2)
    set_printoptions(linewidth=20)
    assert text(np.array([0.125, 1.0, 2.0])) == "tensor([0.12, 1.00,\n        2.00])"


def test_sci_mode_is_set_by_every_call():
    set_printoptions(sci_mode=True)
    set_printoptions(precision=2)
    assert text(np.array([0.5])) == "tensor([0.50])"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": -1}, ValueError, "precision is -1, expected an integer of at least 0"),
        ({"precision": 2.5}, TypeError, "precision is 2.5, expected an integer"),
        ({"edgeitems": -3}, ValueError, "edgeitems is -3"),
        ({"linewidth": "80"}, TypeError, "linewidth is '80'"),
        ({"threshold": math.nan}, ValueError, "threshold is nan, expected a number of at least 0"),
        ({"profile": "long"}, ValueError, "profile is 'long', expected one of 'default', 'short', 'full'"),
        ({"sci_mode": "always"}, TypeError, "sci_mode is 'always', expected True, False, or None"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused_and_change_nothing(options, error, message):
    with pytest.raises(error, match=message):
        set_printoptions(**{"precision": 1, "edgeitems": 1, "threshold": 2, **options})
    assert text(np.array([0.5, 1.0, 2.0])) == "tensor([0.5000, 1.0000, 2.0000])"
