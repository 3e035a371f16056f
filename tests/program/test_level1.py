"""Sums with multiples, multiples and inner products of flat arrays as calls of BLAS: the same as NumPy's."""

import subprocess
import sys

import numpy as np
import pytest

import hograd as ho
from hograd.program.blas import extension
from hograd.program.capture import capture
from hograd.program.code_numpy import Generator
from hograd.program.level1 import FlatGenerator
from hograd.program.passes import optimize
from hograd.program.replay_numpy import Replay

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(3, 40))


def replayed(generator, *values, times=1):
    """The source, and the answers of the last of some calls with the same buffers."""
    source = generator.generate("f")
    exec(source, generator.objects)
    buffers = list(generator.memory.arrays.values())
    with np.errstate(all="ignore"):
        for _ in range(times):
            answers = generator.objects["f"](buffers, *[v.copy() for v in values])
    return source, answers


def both(function, *values):
    """The source with BLAS, of a program that gives the same with and without."""
    program = optimize(capture(lambda *tensors: list(function(*tensors)), values, "f", fast_math=True))
    exact = FlatGenerator(program.with_(fast_math=False)).generate("f")
    assert not any(name in exact for name in ("daxpy", "ddot", "vdot"))
    plain, expected = replayed(Generator(program), *values)
    source, found = replayed(FlatGenerator(program), *values, times=2)
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-13, atol=1e-13)
    assert not any(name in plain for name in ("daxpy", "dscal", "ddot"))
    return source


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, s: (x.sin() + s * y).cos(),
        lambda x, y, s: (s * y + x.sin()).cos(),
        lambda x, y, s: (x.sin() - s * y).cos(),
        lambda x, y, s: (x.sin() - 0.5 * y).cos(),
        lambda x, y, s: (y + s * x.sin()).cos(),
    ],
)
def test_a_sum_with_a_multiple_is_one_call(function):
    assert both(lambda x, y, s: [function(x, y, s)], X, Y, np.float64(0.3)).count("daxpy") == 1


def test_what_is_no_sum_with_a_multiple():
    def f(x, y, s):
        multiple = s * y
        return [(multiple - x.sin()).cos(), (multiple + x.exp()).cos(), (x + y * x.cos()).cos()]

    assert "daxpy" not in both(f, X, Y, np.float64(0.3))
    # A row that is added to every row of a matrix.
    assert "daxpy" not in both(lambda x, y: [(y.sin() + 0.5 * x).cos()], RNG.normal(size=3), RNG.normal(size=(4, 3)))


def test_answers_lie_in_memory_of_their_own():
    """Though the array that is added to dies."""
    program = optimize(capture(lambda x, s: [x.sin() + s * x, x.cos() * s], [X, np.float64(0.3)], "f"))
    generator = FlatGenerator(program)
    exec(generator.generate("f"), generator.objects)
    buffers = list(generator.memory.arrays.values())
    first = generator.objects["f"](buffers, X, np.float64(0.3))
    kept = [y.copy() for y in first]
    generator.objects["f"](buffers, Y, np.float64(0.7))
    for y, e in zip(first, kept, strict=True):
        np.testing.assert_array_equal(y, e)


def test_multiples_in_place_and_inner_products():
    def f(x, y, s):
        z = x.sin()
        return [(x.exp() * s).cos(), (z * y).sum(), (z * z).sum()]

    source = both(f, X, Y, np.float64(0.3))
    assert source.count("dscal") == 1
    assert source.count("ddot") == 2


@pytest.mark.parametrize("special", [np.inf, np.nan])
def test_zero_times_what_is_not_finite(special):
    x = X.copy()
    x[3] = special
    for number in (0.0, 0.3):
        both(lambda x, y, s: [(y.sin() + s * x).cos(), (x.abs() * s).cos(), y - s * x], x, Y, np.float64(number))


def test_arrays_of_more_axes_and_views():
    def f(x, y, s):
        turned = y.T
        return [(x.sin() + s * turned).cos(), (x[1:] - s * turned[:-1]).cos(), (x.sin() * turned).sum()]

    source = both(f, RNG.normal(size=(5, 8)), RNG.normal(size=(8, 5)), np.float64(0.3))
    assert "daxpy" in source
    assert "ddot" in source


def test_long_arrays_of_few_columns_and_other_dtypes_are_left_to_numpy():
    tall = RNG.normal(size=(400, 4))
    assert "daxpy" not in both(lambda x, s: [(x.sin() + s * x.cos()).cos()], tall, np.float64(0.3))
    single = X.astype(np.float32)
    assert "daxpy" not in both(lambda x, s: [(x.sin() + s * x.cos()).cos()], single, np.float32(0.3))


def test_numbers_of_python_in_expressions():
    def f(x, a, b, s):
        chosen = ho.where(s > 0, a**b, 1.0)
        return [(a**b) * x, (a**-0.5) * x, chosen * x, ((1 - a) ** 0.5 * x).sum()]

    for a in (0.3, 0.0, -0.5, 2.0):
        for b in (2.0, 0.5, 0.0, -1.0):
            values = X, np.float64(a), np.float64(b), np.float64(0.3)
            program = optimize(capture(lambda *t: list(f(*t)), values, "f"))
            with np.errstate(all="ignore"):
                for y, e in zip(
                    Replay(program, "f")(*values), Replay(program, "f", scalars=False)(*values), strict=True
                ):
                    np.testing.assert_allclose(y, e, rtol=1e-14)


def test_masks_that_hardly_ever_hold():
    def f(x):
        def step(carry, row):
            root = ho.sqrt(carry * carry)
            mask = row == 0
            return carry + row, (root / ho.where(mask, 1.0, row) + ho.where(mask, 0.0, row * 2)).cos()

        return ho.scan(step, ho.zeros(2000), x)

    rows = RNG.normal(size=(4, 2000))
    rows[2, ::7] = 0
    rows = ho.tensor(rows)
    for y, e in zip(ho.compile(f)(rows), f(rows), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


@pytest.mark.parametrize("before", ["", "import scipy.linalg"])
def test_blas_without_its_package(before):
    code = f"""
import sys
import subprocess
import sys

import numpy as np
{before}
from hograd.program.blas import extension
x, y = np.arange(3.0), np.ones(3)
extension("_fblas").daxpy(x, y, 3, 2.0)
assert y.tolist() == [1, 3, 5]
assert "dgemm" in extension("cython_blas").__pyx_capi__
assert ("scipy.linalg" in sys.modules) == bool({before!r})
import scipy.linalg.blas
import scipy.optimize
assert scipy.linalg.blas.ddot(x, y) == extension("_fblas").ddot(x, y) == 13
assert scipy.linalg.solve(2 * np.eye(3), y).tolist() == [0.5, 1.5, 2.5]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_blas_from_its_package_where_the_file_is_not_found(monkeypatch):
    monkeypatch.setattr("hograd.program.blas.EXTENSION_SUFFIXES", [".nowhere"])
    assert extension.__wrapped__("_fblas").ddot(X, X) == pytest.approx(X @ X)


def test_an_array_with_a_multiple_of_a_view_of_itself():
    square = RNG.normal(size=(6, 6))
    both(lambda x, s: [((r := x.exp()) + s * r.T).cos(), ((q := x.sin()) - s * q[::-1]).cos()], square, np.float64(0.3))
    both(lambda x: [((r := x.exp()) + 0.5 * r[::-1]).cos(), ((q := x.sin()) - 0.5 * q[::-1]).cos()], X)

    def f(x, s):
        return ho.scan(lambda c, _, s: (c - s * c.T, (c + s * c[::-1]).sum()), x, length=4, consts=(s,))

    for y, e in zip(*[ho.tree.leaves(g(ho.tensor(square), ho.tensor(0.3))) for g in (ho.compile(f), f)], strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)
