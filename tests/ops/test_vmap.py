"""vmap of every operation, and of its derivatives, against loops."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func

from .samples import Bound, assert_equal, cotangents, differentiable, every_case

SIZE = 3


def stacked(bounds, k, axis=0):
    """Tensor `k` of all variants, along a new axis."""
    return ho.tensor(np.stack([bound.arrays[k] for bound in bounds], axis=axis))


def variants(operation, index, count=SIZE):
    return [Bound(operation, index, variant) for variant in range(count)]


def mapped_sets(operation, index):
    """Which tensors may be mapped: each alone, and all."""
    count = len(Bound(operation, index).arrays)
    return [{k} for k in range(count)] + ([set(range(count))] if count > 1 else [])


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_vmap_is_a_loop(operation, index):
    bounds = variants(operation, index)
    for mapped in mapped_sets(operation, index):
        args, in_dims = [], []
        for k, array in enumerate(bounds[0].arrays):
            # Another place for the mapped axis in every call, from the front and from the back.
            axis = (index + k) % (np.ndim(array) + 1)
            args.append(stacked(bounds, k, axis) if k in mapped else ho.tensor(array))
            in_dims.append((axis if k % 2 else axis - np.ndim(array) - 1) if k in mapped else None)
        found = func.vmap(bounds[0], in_dims=tuple(in_dims), out_dims=0)(*args)
        for i in range(SIZE):
            element = [ho.tensor(bounds[i if k in mapped else 0].arrays[k]) for k in range(len(args))]
            for y, e in zip(found, bounds[0](*element), strict=True):
                assert y.dtype == e.dtype
                assert_equal(y[i], e)


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_vmap_of_vmap_is_two_loops(operation, index):
    bounds = variants(operation, index, 6)
    count = len(bounds[0].arrays)
    everything = [ho.reshape(stacked(bounds, k), (2, 3, *np.shape(bounds[0].arrays[k]))) for k in range(count)]
    # The inner axis in front, the outer one at the end.
    inner_first = [ho.moveaxis(x, 0, -1) for x in everything]
    found = func.vmap(func.vmap(bounds[0]), in_dims=-1)(*inner_first)
    for y in found:
        assert y.shape[:2] == (2, 3)
    for i, bound in enumerate(bounds):
        for y, e in zip(found, bounds[0](*bound.tensors()), strict=True):
            assert_equal(y[i // 3, i % 3], e)
    if count > 1:
        # The outer vmap maps the first tensor alone, the inner one the last alone.
        last = count - 1
        inner = func.vmap(bounds[0], in_dims=tuple(0 if k == last else None for k in range(count)))
        outer = func.vmap(inner, in_dims=tuple(0 if k == 0 else None for k in range(count)))
        args = bounds[0].tensors()
        args[0], args[last] = stacked(bounds[:2], 0), stacked(bounds[:3], last)
        for y, flat in [(y, (i, j)) for y in outer(*args) for i in range(2) for j in range(3)]:
            element = bounds[0].tensors()
            element[0], element[last] = bounds[flat[0]].tensors()[0], bounds[flat[1]].tensors()[last]
            (expected, *rest) = bounds[0](*element)
            if not rest:
                assert_equal(y[flat], expected)


def weighted(bound, index):
    """A scalar function of the floating tensors, with derivatives of every order."""

    def total(*floats):
        outputs = bound.of_floating(*floats)
        parts = [(w * y * y + w * y).sum() for y, w in zip(outputs, cotangents(outputs, seed=index), strict=True)]
        return sum(parts[1:], parts[0])

    return total


def gradient(f):
    return lambda *xs: list(func.grad(f, argnums=tuple(range(len(xs))))(*xs))


def gradient_of_gradient(f, directions):
    """The gradient of the gradient's product with fixed directions."""

    def product(*xs):
        terms = [(g * t).sum() for g, t in zip(gradient(f)(*xs), directions, strict=True)]
        return sum(terms[1:], terms[0])

    return gradient(product)


def derivatives(f, directions):
    """Functions of the tensors that give derivatives of `f` in every composition of two modes."""
    return {
        "forward": lambda *xs: [func.jvp(f, xs, tuple(directions))[1]],
        "reverse": gradient(f),
        "forward over reverse": lambda *xs: func.jvp(gradient(f), xs, tuple(directions))[1],
        "reverse over forward": gradient(lambda *xs: func.jvp(f, xs, tuple(directions))[1]),
        "reverse over reverse": gradient_of_gradient(f, directions),
    }


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_vmap_of_derivatives_is_a_loop(operation, index):
    bounds = variants(operation, index, 2)
    f = weighted(bounds[0], index)
    directions = cotangents(bounds[0].floats(), seed=index)
    floating = bounds[0].floating
    for mapped in [set(floating)] + ([{floating[-1]}] if len(floating) > 1 else []):
        in_dims = tuple(0 if k in mapped else None for k in floating)
        args = [stacked(bounds, k) if k in mapped else ho.tensor(bounds[0].arrays[k]) for k in floating]
        for name, derivative in derivatives(f, directions).items():
            found = func.vmap(derivative, in_dims=in_dims)(*args)
            for i in range(2):
                element = [ho.tensor(bounds[i if k in mapped else 0].arrays[k]) for k in floating]
                for y, e in zip(found, derivative(*element), strict=True):
                    assert_equal(y[i], e), name


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives_of_vmap_are_sums_of_loops(operation, index):
    bounds = variants(operation, index, 2)
    f = weighted(bounds[0], index)
    floating = bounds[0].floating
    args = [stacked(bounds, k, axis=-1) for k in floating]
    directions = cotangents(args, seed=index)
    mapped = derivatives(lambda *xs: func.vmap(f, in_dims=-1)(*xs).sum(), directions)
    for name, derivative in mapped.items():
        found = derivative(*args)
        loop = [derivatives(f, [t[..., i] for t in directions])[name](*[x[..., i] for x in args]) for i in range(2)]
        if name == "forward":
            assert_equal(found[0], loop[0][0] + loop[1][0])
            continue
        for i in range(2):
            for y, e in zip(found, loop[i], strict=True):
                assert_equal(y[..., i], e)


TABLE = np.random.default_rng(5).normal(size=(4, 5, 3))
PLACES = np.array([[0, 3, 3], [2, 1, 0], [1, 1, 1]])

READS = {
    "in front": lambda x, i: x[i],
    "in the middle": lambda x, i: x[:, i],
    "at the end": lambda x, i: x[..., i % 3],
    "beside a number": lambda x, i: x[1, i],
    "before a number": lambda x, i: x[i, :, 2],
    "two of them": lambda x, i: x[i, i],
    "apart": lambda x, i: x[i, :, i % 3],
    "with a new axis": lambda x, i: x[None, i],
    "with a row of numbers": lambda x, i: x[i[:, None], [0, 2]],
    "with a slice": lambda x, i: x[i, 1:],
    "a single number": lambda x, i: x[i[0]],
    "along an axis": lambda x, i: ho.take_along_axis(x, i[:, None, None], 0),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
@pytest.mark.parametrize("in_dims", [(None, 0), (-1, 0), (1, 1)], ids=str)
def test_mapped_indices_are_a_loop(read, in_dims):
    x = ho.tensor(TABLE if in_dims[0] is None else np.stack([TABLE, TABLE + 7, TABLE * 2], in_dims[0]))
    i = ho.tensor(np.moveaxis(PLACES, 0, in_dims[1]))
    found = func.vmap(read, in_dims=in_dims)(x, i)
    slopes = func.vmap(lambda x, i: func.grad(lambda x: (read(x, i) ** 2).sum())(x), in_dims=in_dims)(x, i)
    for k in range(3):
        one = x if in_dims[0] is None else ho.moveaxis(x, in_dims[0], 0)[k]
        assert_equal(found[k], read(one, ho.tensor(PLACES[k])))
        weights = 2 * read(one, ho.tensor(PLACES[k]))
        (expected,) = func.vjp(lambda x, k=k: read(x, ho.tensor(PLACES[k])), one)[1](weights)
        assert_equal(slopes[k], expected)


WRITES = {
    "set in front": lambda x, i, v: x.at[i].set(v[:, None, None]),
    "set in the middle": lambda x, i, v: x.at[:, i].set(v[:, None]),
    "add in front": lambda x, i, v: x.at[i].add(v[:, None, None]),
    "add in the middle": lambda x, i, v: x.at[:, i].add(v[:, None]),
    "add at the end": lambda x, i, v: x.at[..., 0, i % 3].add(v),
    "set a slice": lambda x, i, v: x.at[1:, 0].set(v),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize(
    "in_dims", [(None, 0, None), (0, None, None), (None, None, -1), (1, 1, 0), (None, 0, 0)], ids=str
)
def test_mapped_updates_are_a_loop(write, in_dims):
    values = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0], [-7.0, 8.0, 9.0]])
    whole = [np.stack([TABLE, TABLE + 7, TABLE * 2]), PLACES, values]
    args = [ho.tensor(a[0] if d is None else np.moveaxis(a, 0, d)) for a, d in zip(whole, in_dims, strict=True)]
    found = func.vmap(write, in_dims=in_dims)(*args)

    def slope(x, i, v):
        return func.grad(lambda x, v: (write(x, i, v) ** 3).sum(), argnums=(0, 1))(x, v)

    slopes = func.vmap(slope, in_dims=in_dims)(*args)
    for k in range(3):
        element = [ho.tensor(a[0 if d is None else k]) for a, d in zip(whole, in_dims, strict=True)]
        assert_equal(found[k], write(*element))
        for g, e in zip(slopes, slope(*element), strict=True):
            assert_equal(g[k], e)
