"""What makes two calls the same program: types and bits; numbers of Python's keep their weakness; names are free."""

import enum
import functools

import numpy as np
import pytest

import hograd as ho

BACKENDS = ["numpy", "native"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


class Color(enum.IntEnum):
    RED = 1


STATIC = [
    *(2, 2.0, True, 1, 0, 0.0, -0.0, False, float("nan"), None, "a", b"a", Color.RED, 1j, complex(0.0, -0.0)),
    *((2,), (2.0,), [2], [2.0], {2}, {"a": 2}, {"a": 2.0}, ((0.0,),), ((-0.0,),), slice(0, 2), slice(0.0, 2), ()),
    *(np.float64(2), np.float32(2), np.int64(2), np.float64(-0.0), np.float64(0.0), np.dtype("f8"), np.float64),
]


def test_static_arguments_of_other_types_or_bits_are_other_programs():
    seen = []
    compiled = ho.compile(lambda x, n: (seen.append(n), x * 1)[1], static_argnames="n", cache_size=100)
    x = ho.tensor([1.0])
    for count, value in enumerate(STATIC, 1):
        compiled(x, value)
        compiled(x, value)
        assert len(seen) == count, f"{value!r}"
    for value in (2.0, -0.0, float("nan"), (2.0,), [2], {"a": 2.0}, Color.RED, slice(0, 2)):
        compiled(x, value)
    assert len(seen) == len(STATIC)


def test_other_leaves_by_types_and_bits():
    compiled = ho.compile(lambda x, how: x * (1 if how == "a" else 2))
    x = ho.tensor([1.0])
    assert compiled(x, "a").tolist() == [1.0]
    assert compiled(x, b"a").tolist() == [2.0]
    assert compiled(x, 10**30).tolist() == [2.0]
    with pytest.raises(ho.errors.CaptureError, match="has to be hashable"):
        compiled(x, bytearray(b"a"))


NAMES = [*("tanh", "np", "f64", "class", "None", "lambda", "program", "buffers", "float", "sqrt", "x0", "b0", "loop")]
NAMES += ["größe", "変数", "two words", "a-b", "", "empty\n", "1", "<lambda>", "'", "a\0b"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_functions_of_any_name(name, backend):
    def f(x):
        return ho.tanh(ho.sqrt(x) * 2) + ho.scan(lambda c, _: (c * x, None), x.exp(), length=2)[0]

    f.__name__ = name
    for x in (ho.tensor(0.5), ho.tensor([0.5, 2.0])):
        np.testing.assert_allclose(ho.compile(f, backend=backend)(x).numpy(), f(x).numpy(), rtol=1e-14)
        slope = ho.func.grad(lambda x: ho.compile(f, backend=backend)(x).sum())
        np.testing.assert_allclose(slope(x).numpy(), ho.func.grad(lambda x: f(x).sum())(x).numpy(), rtol=1e-14)


def test_callables_of_all_kinds(backend):
    class Model:
        program, cache, lock, _entry, settings = "mine", 1, 2, 3, 4

        def __init__(self):
            self.program, self.source, self.__name__ = "own", 5, None

        def __call__(self, x):
            return x * 2

        def method(self, x):
            return x * 2

    x = ho.tensor([1.0])
    for f in (functools.partial(ho.mul, b=2), Model(), Model().method, functools.partial(Model())):
        compiled = ho.compile(f, backend=backend)
        assert compiled(x).tolist() == [2.0]
        assert "mul" in str(compiled.program(x))


NUMBERS = {
    "times": lambda x, c: x * c,
    "number first": lambda x, c: c - x,
    "expression": lambda x, c: x * (c * 2 + 1) / c,
    "power": lambda x, c: x**c + 0.9**c,
    "comparison": lambda x, c: ho.where(x < c, x, c),
    "changed": lambda x, c: (c := c + 1) * x,
    "negative": lambda x, c: x - (-c),
    "maximum": lambda x, c: ho.maximum(x, c),
    "derivative": lambda x, c: ho.func.grad(lambda x: (x * x * c).sum())(ho.astype(x, ho.float32)),
    "tangent": lambda x, c: ho.func.jvp(lambda u: u * c, (x * 1.0,), (x * 1.0,))[1],
    "loop": lambda x, c: ho.scan(lambda u, _: (u * c, u), x * 1.0, length=3)[0],
    "constant of a loop": lambda x, c: ho.scan(lambda u, _, c: (u * c, u), x * 1.0, length=3, consts=(c,))[0],
    "mapped": lambda x, c: ho.func.vmap(lambda u: u * c)(ho.stack([x, x])),
    "tensor of it": lambda x, c: x * ho.tensor(c),
    "function of it": lambda x, c: x * ho.sin(c),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("default", ["float64", "float32"])
def test_numbers_of_python_are_weak(name, default, backend):
    f = NUMBERS[name]
    compiled = ho.compile(f, backend=backend)
    before = ho.tensor(1.0).dtype
    ho.set_default_dtype(default)
    try:
        for x in (np.float32(3), np.ones(3, np.float32), np.ones(3, np.float16), np.array([1, 2], np.int8)):
            for c in (0.1, 2, 1e300) if name not in ("power", "loop", "constant of a loop") else (0.1, 2):
                with np.errstate(all="ignore"):
                    expected = f(ho.tensor(x), c)
                found = compiled(ho.tensor(x), c)
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=np.finfo(np.float32).eps)
    finally:
        ho.set_default_dtype(before)


def test_bools_and_complex_numbers(backend):
    x = ho.tensor(np.float32(3))
    for c in (True, 0.5 + 1j):
        for f in (lambda x, c: x * c, lambda x, c: x - (-c), lambda x, c: x * (c + c)):
            found, expected = ho.compile(f, backend=backend)(x, c), f(x, c)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)
