"""Tensors without elements or axes, and forms of arguments, in the operations on shapes."""

from __future__ import annotations

import pytest

import hograd as ho

EMPTY = ho.zeros(0, 3)


@pytest.mark.parametrize(
    ("parts", "shapes"),
    [
        (ho.chunk(EMPTY, 2), [(0, 3)] * 2),
        (ho.chunk(EMPTY, 2, 1), [(0, 2), (0, 1)]),
        (ho.tensor_split(EMPTY, 2), [(0, 3)] * 2),
        (ho.split(EMPTY, 2), [(0, 3)]),
        (ho.unbind(EMPTY), []),
        (ho.unbind(EMPTY, 1), [(0,)] * 3),
        (ho.meshgrid(ho.zeros(0), ho.zeros(2)), [(0, 2)] * 2),
        (ho.meshgrid(ho.tensor(1.0), ho.zeros(2)), [(1, 2)] * 2),
        ([ho.hstack([EMPTY, EMPTY])], [(0, 6)]),
        ([ho.roll(EMPTY, 1, 0), ho.roll(EMPTY, 2), ho.roll(ho.tensor(1.0), 1)], [(0, 3), (0, 3), ()]),
        ([ho.tile(EMPTY, (2, 2)), ho.tile(ho.ones(2), 0), ho.tile(ho.tensor(1.0), ())], [(0, 6), (0,), ()]),
        ([ho.tensor(1.0).repeat(2, 3), EMPTY.repeat((2, 1, 1))], [(2, 3), (2, 0, 3)]),
        ([ho.repeat_interleave(EMPTY, 2, 1), ho.repeat_interleave(ho.tensor(1.0), 3)], [(0, 6), (3,)]),
        ([ho.repeat_interleave(ho.ones(2), 0), ho.rot90(EMPTY), ho.flipud(EMPTY)], [(0,), (3, 0), (0, 3)]),
        ([ho.unflatten(EMPTY, 0, (0, 2)), ho.ravel(EMPTY), ho.narrow(EMPTY, 0, 0, 0)], [(0, 2, 3), (0,), (0, 3)]),
        ([ho.combinations(ho.ones(2), 0), ho.combinations(ho.ones(0)), ho.combinations(ho.ones(0), 0)],
         [(1, 0), (0, 2), (1, 0)]),
        ([ho.cartesian_prod(ho.ones(2)), ho.cartesian_prod(ho.ones(2), ho.ones(0))], [(2,), (0, 2)]),
        (ho.atleast_2d(ho.tensor(1.0), ho.ones(2)), [(1, 1), (1, 2)]),
    ],
    ids=str,
)  # fmt: skip
def test_empty_parts_and_tensors_without_axes(parts, shapes):
    assert [tuple(part.shape) for part in parts] == shapes


def test_lengths_are_given_one_by_one_or_as_a_sequence():
    x = ho.tensor([[1.0, 2.0]])
    assert x.repeat(2, 1).tolist() == x.repeat((2, 1)).tolist() == x.tile(2, 1).tolist() == [[1.0, 2.0]] * 2
    assert x.expand_as(ho.zeros(3, 2)).shape == (3, 2)
    assert x.view_as(ho.zeros(2)).shape == x.reshape_as(ho.zeros(2)).shape == (2,)
    assert ho.roll(x, 1, dims=1).tolist() == x.roll(1, -1).tolist() == [[2.0, 1.0]]


def test_a_repeated_element_collects_the_derivatives():
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    for y in (x.repeat(3), x.tile((3,)), x.repeat_interleave(ho.tensor([1, 2])), x.repeat_interleave(ho.tensor([3]))):
        counts = [(y.detach() == value).sum().item() for value in (1.0, 2.0)]
        assert ho.grad(y.sum(), x)[0].tolist() == counts
