"""Axes of length 0, tensors without axes, and broadcasting."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.core.declare import operations
from hograd.core.primitive import primitives

from .references import reference
from .samples import Bound, assert_equal, cotangents, differentiable, every_case

#: Elementwise operations that are made of others; the other ones are primitives.
COMPOSED = {
    "elu", "selu", "celu", "leaky_relu", "hardtanh", "relu6", "hardsigmoid", "hardswish", "hardshrink", "softshrink",
    "threshold", "clip", "lerp", "addcmul", "addcdiv", "masked_fill",
}  # fmt: skip
#: Elementwise operations by how many tensors their first samples have.
ELEMENTWISE: dict[int, list[Any]] = {1: [], 2: [], 3: []}
for operation in operations.values():
    if operation.name in COMPOSED or getattr(primitives.get(operation.name), "kind", "") == "elementwise":
        ELEMENTWISE[len(Bound(operation, 0).arrays)].append(pytest.param(operation, id=operation.name))


def checked(function, reference, *arrays):
    """Value like the reference's, derivatives of both orders and modes in the shapes of the tensors."""
    floats = [ho.tensor(a, requires_grad=True) for a in arrays]
    y = function(*floats)
    with np.errstate(all="ignore"):
        assert_equal(y, reference(*arrays))
    (w,) = cotangents([y])
    first = ho.grad(y, floats, w, create_graph=True, materialize_grads=True)
    plain = [x.detach() for x in floats]
    pushed = func.jvp(function, plain, cotangents(plain))[1]
    pulled = func.vjp(function, *plain)[1](w)

    def squares(*xs):
        return (function(*xs) ** 2).sum()

    second = func.jvp(func.grad(squares, argnums=tuple(range(len(plain)))), plain, cotangents(plain))[1]
    batches = [ho.stack([x, x], -1) for x in plain]
    mapped = func.vmap(function, in_dims=-1)(*batches)
    for x, g, p, h in zip(plain, first, pulled, second, strict=True):
        assert x.shape == g.shape == p.shape == h.shape
    assert pushed.shape == y.shape
    assert mapped.shape == (2, *y.shape)


SHAPES = [
    ((0,), (0,)),
    ((2, 0), (2, 0)),
    ((0, 3), (3,)),
    ((0, 1), (1, 3)),
    ((1,), (0,)),
    ((), (0, 2)),
    ((), ()),
    ((1, 1), ()),
    ((), (1,)),
    ((2, 1, 3), (4, 1)),
    ((1, 2, 1), (3, 1, 4)),
    ((1, 3), (3,)),
]


def in_shapes(operation, shapes):
    """The elements of the first sample, in other shapes, against the reference."""
    bound = Bound(operation, 0)
    arrays = [np.resize(array, shape)[()] for array, shape in zip(bound.arrays, shapes, strict=True)]
    kwargs = bound.case.kwargs

    def filled(floats):
        values = [ho.tensor(array) if isinstance(floats[0], ho.Tensor) else array for array in arrays]
        for k, x in zip(bound.floating, floats, strict=True):
            values[k] = x
        return bound.arguments(values)

    if not (operation.differentiable and bound.floating):
        y = operation.function(*bound.arguments(map(ho.tensor, arrays)), **kwargs)
        assert_equal(y, reference(operation.name)(*bound.arguments(arrays), **kwargs))
        return
    checked(
        lambda *floats: operation.function(*filled(floats), **kwargs),
        lambda *floats: reference(operation.name)(*filled(floats), **kwargs),
        *[arrays[k] for k in bound.floating],
    )


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("operation", ELEMENTWISE[2])
def test_two_tensors_are_broadcast(operation, shapes):
    in_shapes(operation, shapes)
    in_shapes(operation, shapes[::-1])


@pytest.mark.parametrize(
    "shapes", [((0,), (2, 0), ()), ((3, 1), (4,), (2, 1, 1)), ((), (), (2,)), ((2,), (), ()), ((), (), ())], ids=str
)
@pytest.mark.parametrize("operation", ELEMENTWISE[3])
def test_three_tensors_are_broadcast(operation, shapes):
    in_shapes(operation, shapes)
    in_shapes(operation, shapes[1:] + shapes[:1])


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 2, 1)], ids=str)
@pytest.mark.parametrize("operation", ELEMENTWISE[1])
def test_functions_of_one_tensor_take_any_shape(operation, shape):
    in_shapes(operation, [shape])


@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((0,), 0), ((2, 0), 1), ((0, 3), (0,)), ((0, 3), (0, 1))])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_nothing(shape, axis, keepdims):
    x = np.zeros(shape)
    for name, empty in {"sum": 0.0, "prod": 1.0, "norm": 0.0, "mean": np.nan, "var": np.nan, "std": np.nan}.items():
        like = np.full_like(np.sum(x, axis=axis, keepdims=keepdims), empty)
        checked(functools.partial(getattr(ho, name), axis=axis, keepdims=keepdims), lambda x, like=like: like, x)
    with np.errstate(divide="ignore"):
        assert np.all(ho.logsumexp(ho.tensor(x), axis=axis).numpy() == -np.inf)
    assert not ho.any(ho.tensor(x > 0), axis=axis, keepdims=keepdims).numpy().any()
    assert ho.all(ho.tensor(x > 0), axis=axis, keepdims=keepdims).numpy().all()


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "amin", "var", "std", "norm", "logsumexp"])
def test_reductions_of_an_axis_beside_an_empty_one(name):
    for keepdims in (False, True):
        kept = functools.partial(getattr(ho, name), axis=1, keepdims=keepdims)
        checked(kept, functools.partial(np.sum, axis=1, keepdims=keepdims), np.zeros((0, 3)))


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "amin", "max", "min", "norm", "logsumexp"])
@pytest.mark.parametrize("axis", [None, 0, -1, ()], ids=str)
def test_reductions_of_a_tensor_without_axes(name, axis):
    if name in ("max", "min") and axis == ():
        axis = None
    checked(
        lambda x: ho.tree.leaves(getattr(ho, name)(x, axis=axis))[0],
        np.abs if name == "norm" else np.positive,
        np.float64(1.7),
    )


E0 = np.zeros((0, 3))


@pytest.mark.parametrize(
    ("f", "g", "arrays"),
    [
        (ho.softmax, lambda x: x, [E0]),
        (lambda x: ho.softmax(x, 0), lambda x: x, [E0]),
        (lambda x: ho.log_softmax(x, 0), lambda x: x, [E0]),
        (ho.matmul, np.matmul, [np.ones((2, 0)), np.ones((0, 3))]),
        (ho.matmul, np.matmul, [np.ones((0, 2)), np.ones((2, 3))]),
        (ho.matmul, np.matmul, [np.ones((0, 2, 3)), np.ones((3, 4))]),
        (ho.matmul, np.matmul, [np.ones((4, 2, 0)), np.ones((0,))]),
        (ho.matmul, np.matmul, [np.ones((0,)), np.ones((0,))]),
        (ho.outer, np.outer, [np.ones(0), np.ones(3)]),
        (ho.dot, np.dot, [np.ones(0), np.ones(0)]),
        (lambda a, b: ho.einsum("ij,jk->ik", a, b), np.matmul, [np.ones((2, 0)), np.ones((0, 3))]),
        (lambda a: ho.einsum("ij->", a), np.sum, [E0]),
        (lambda a, b: ho.tensordot(a, b, 1), np.matmul, [np.ones((2, 0)), np.ones((0, 3))]),
        (lambda x: ho.reshape(x, (3, 0)), lambda x: x.reshape(3, 0), [E0]),
        (lambda x: ho.reshape(x, -1), lambda x: x.reshape(-1), [E0]),
        (ho.flatten, lambda x: x.reshape(-1), [E0]),
        (ho.transpose, np.transpose, [E0]),
        (lambda x: ho.expand_dims(x, 0), lambda x: x[None], [E0]),
        (ho.squeeze, np.squeeze, [np.zeros((0, 1))]),
        (ho.flip, np.flip, [E0]),
        (lambda x: ho.broadcast_to(x, (2, 0, 3)), lambda x: np.broadcast_to(x, (2, 0, 3)), [E0]),
        (lambda x: ho.broadcast_to(x, (0, 3)), lambda x: np.broadcast_to(x, (0, 3)), [np.ones((1, 3))]),
        (lambda a, b: ho.concatenate([a, b]), lambda a, b: np.concatenate([a, b]), [E0, np.ones((2, 3))]),
        (lambda a, b: ho.stack([a, b]), lambda a, b: np.stack([a, b]), [E0, E0]),
        (lambda x: ho.split(x, 2)[0], lambda x: x, [E0]),
        (lambda x: ho.split(x, [0, 3], 1)[1], lambda x: x, [E0]),
        (lambda x: x[1:1], lambda x: x[1:1], [np.ones((2, 3))]),
        (lambda x: x[[]], lambda x: x[[]], [np.ones((2, 3))]),
        (lambda x: x[None], lambda x: x[None], [E0]),
        (lambda x, v: x.at[1:1].set(v), lambda x, v: x, [np.ones((2, 3)), np.ones((0, 3))]),
        (lambda x, v: x.at[[]].add(v), lambda x, v: x, [np.ones((2, 3)), np.ones((0, 3))]),
        (lambda x, v: x.at[[]].set(v), lambda x, v: x, [np.ones((2, 3)), np.ones((0, 3))]),
        (ho.mse, lambda a, b: np.float64(np.nan), [E0, E0]),
        (lambda a, b: ho.mse(a, b, reduction="sum"), lambda a, b: np.float64(0), [E0, E0]),
        (lambda x: ho.cross_entropy(x, ho.tensor(np.zeros(0, int)), reduction="sum"), lambda x: np.float64(0), [E0]),
        (lambda x: ho.take_along_axis(x, ho.tensor(np.zeros((0, 2), int)), 1), lambda x: np.ones((0, 2)), [E0]),
        (lambda x: ho.place(x, (slice(2, 2),), (4, 3)), lambda x: np.zeros((4, 3)), [E0]),
    ],
)  # fmt: skip
def test_empty_tensors(f, g, arrays):
    checked(f, g, *arrays)


def test_indexing_by_a_mask_that_holds_nowhere():
    x = ho.ones(2, 3, requires_grad=True)
    y = x[x > 5]
    assert y.shape == (0,)
    assert ho.grad(y.sum(), x)[0].tolist() == [[0.0] * 3] * 2


def test_a_length_cannot_be_inferred_from_no_elements():
    with pytest.raises(ho.errors.ShapeError):
        ho.reshape(ho.zeros(0, 3), (3, -1, 0))


@pytest.mark.parametrize(("operation", "index"), every_case())
def test_vmap_over_no_elements_gives_none(operation, index):
    bound = Bound(operation, index)
    empty = [ho.tensor(np.empty((0, *np.shape(a)), a.dtype)) for a in bound.arrays]
    for y, one in zip(func.vmap(bound)(*empty), bound(*bound.tensors()), strict=True):
        assert y.shape == (0, *one.shape)


@pytest.mark.parametrize(("operation", "index"), every_case(differentiable))
def test_derivatives_of_vmap_over_no_elements_are_zero(operation, index):
    bound = Bound(operation, index)
    empty = [ho.tensor(np.empty((0, *np.shape(bound.arrays[k])))) for k in bound.floating]
    gradients = func.vmap(lambda *xs: func.vjp(bound.of_floating, *xs)[1](cotangents(bound.of_floating(*xs))))(*empty)
    for g, x in zip(gradients, empty, strict=True):
        assert g.shape == x.shape
