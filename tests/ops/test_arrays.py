"""Tensors without elements or axes, and forms of arguments, in the operations on shapes."""

from __future__ import annotations

import itertools
import math

import numpy as np
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


def test_places_and_counts():
    x = ho.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert x.nonzero().tolist() == ho.argwhere(x != 0).tolist() == [[0, 1], [1, 0]]
    assert [places.tolist() for places in ho.nonzero(x, as_tuple=True)] == [[0, 1], [1, 0]]
    assert x[x.nonzero(as_tuple=True)].tolist() == [2.0, 3.0]
    assert ho.nonzero(ho.tensor(5.0)).shape == (1, 0)
    assert x.nonzero_static(size=1).tolist() == [[0, 1]]
    assert ho.nonzero_static(x, size=3, fill_value=7).tolist() == [[0, 1], [1, 0], [7, 7]]
    with pytest.raises(ho.errors.ArgumentError, match="size=-1"):
        ho.nonzero_static(x, size=-1)
    assert ho.nonzero(ho.zeros(0, 2)).shape == (0, 2)
    assert ho.bincount(ho.tensor([2, 0, 2]), minlength=4).tolist() == [1, 0, 2, 0]
    assert ho.bincount(ho.tensor([], dtype=ho.int64)).shape == (0,)
    weights = ho.tensor([1.0, 2.0, 3.0], requires_grad=True)
    sums = ho.bincount(ho.tensor([2, 0, 2]), weights)
    assert sums.tolist() == [2.0, 0.0, 4.0]
    assert ho.grad((sums * sums).sum(), weights)[0].tolist() == [8.0, 4.0, 8.0]
    assert ho.one_hot(ho.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert ho.one_hot(ho.zeros(0, dtype=ho.int64), 3).shape == (0, 3)
    assert ho.vmap(lambda n: ho.one_hot(n, 2))(ho.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("offset", [-2, 0, 1, 5])
def test_indices_of_triangles(offset):
    for ours, theirs, numpy in (
        (ho.tril_indices, np.tril, np.tril_indices),
        (ho.triu_indices, np.triu, np.triu_indices),
    ):
        found = ours(3, 4, offset)
        np.testing.assert_array_equal(found.numpy(), numpy(3, offset, 4))
        x = ho.ones(3, 4).at[tuple(found)].add(1.0) - 1.0
        np.testing.assert_array_equal(x.numpy(), theirs(np.ones((3, 4)), offset))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_of_several_axes_in_any_dtype(mode):
    x = np.arange(24).reshape(2, 3, 4)
    names = {"replicate": "edge", "circular": "wrap"}
    for dtype in (ho.float64, ho.int64, ho.float32):
        y = ho.pad(ho.tensor(x, dtype=dtype), (2, 1, 0, 2), mode=mode)
        np.testing.assert_array_equal(y.numpy(), np.pad(x, [(0, 0), (0, 2), (2, 1)], names.get(mode, mode)))
        assert y.dtype == dtype


def test_padding_with_a_constant_keeps_the_dtype():
    assert ho.pad(ho.tensor([True]), (1, 0)).tolist() == [False, True]
    assert ho.pad(ho.tensor([True]), (1, 0), value=1).tolist() == [True, True]
    assert ho.pad(ho.tensor([5]), (0, 1), value=-1).tolist() == [5, -1]
    assert ho.pad(ho.tensor([1.0, 2.0, 3.0]), (-1, 1), value=math.inf).tolist() == [2.0, 3.0, math.inf]
    assert ho.pad(ho.tensor([1.0, math.nan]), (1, 0), value=2.5).tolist()[:2] == [2.5, 1.0]
    assert ho.pad(ho.zeros(0, 2), (1, 1, 1, 0)).shape == (1, 4)


def test_diagonals_outside_a_matrix_are_empty():
    assert ho.diagonal(ho.ones(2, 3), 3).shape == ho.diagonal(ho.ones(2, 3), -2).shape == (0,)
    assert ho.diagonal(ho.ones(0, 3)).shape == (0,)
    assert ho.diag_embed(ho.ones(2, 0), 1).shape == (2, 1, 1)
    assert ho.trace(ho.ones(0, 3)).item() == 0.0
    assert ho.trace(ho.tensor([[1, 2], [3, 4]])).item() == 5


def test_scans_of_integers_and_of_nothing():
    for scan in (ho.cumsum, ho.cumprod):
        assert scan(ho.tensor([True, True, False]), 0).dtype == ho.int64
        assert scan(ho.tensor([1, 2], dtype=ho.int32), 0).dtype == ho.int64
        assert scan(ho.tensor([1, 2]), 0, dtype=ho.float32).dtype == ho.float32
    for scan in (ho.cumsum, ho.cumprod, ho.logcumsumexp, lambda x, axis: ho.cummax(x, axis).values):
        assert scan(ho.zeros(2, 0), 1).shape == scan(ho.zeros(2, 0), 0).shape == (2, 0)
        assert scan(ho.tensor(3.0), 0).item() == 3.0
    assert ho.diff(ho.tensor([True, False, False])).tolist() == [True, False]
    assert ho.diff(ho.ones(2), 3).shape == (0,)


@pytest.mark.parametrize("zeros", [[], [1], [0, 2], [0, 1, 3], [0, 1, 2, 3]], ids=str)
def test_running_products_with_zeros_are_exact_to_third_order(zeros):
    x = np.array([2.0, -3.0, 0.5, 4.0])
    x[zeros] = 0.0
    f = ho.func.jacrev(lambda x: ho.cumprod(x, 0))
    for order, derivative in enumerate([f, ho.func.jacfwd(f), ho.func.jacrev(ho.func.jacfwd(f))], 1):
        found = derivative(ho.tensor(x)).numpy()
        for end, *places in itertools.product(range(4), repeat=order + 1):
            others = [x[i] for i in range(end + 1) if i not in places]
            zero = len(set(places)) < order or max(places) > end
            np.testing.assert_allclose(found[(end, *places)], 0.0 if zero else np.prod(others), atol=1e-13)


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable_in_any_dtype(descending):
    random = np.random.default_rng(5)
    for dtype in (np.int64, np.float32, np.bool_):
        x = random.integers(0, 4, (5, 40)).astype(dtype)
        order = np.argsort(-x.astype(np.float64) if descending else x, -1, kind="stable")
        values, indices = ho.sort(ho.tensor(x), descending=descending)
        np.testing.assert_array_equal(indices.numpy(), order)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order, -1))
        assert values.dtype == dtype


def test_ranks_with_ties_and_without_axes():
    assert ho.mode(ho.tensor([2, 3, 1, 3, 2, 3])) == (ho.tensor(3), ho.tensor(5))
    values, indices = ho.mode(ho.tensor([[2, 1, 2, 1], [3, 3, 1, 3]]), 1)
    assert (values.tolist(), indices.tolist()) == ([1, 3], [3, 3])
    scalar = ho.tensor(2.0)
    for values, indices in (
        ho.sort(scalar), ho.topk(scalar, 1), ho.kthvalue(scalar, 1), ho.mode(scalar), ho.median(scalar, 0),
    ):  # fmt: skip
        assert (values.item(), indices.item(), values.shape, indices.shape) == (2.0, 0, (), ())
    assert ho.topk(ho.ones(3), 0).values.shape == (0,)
    assert ho.sort(ho.zeros(2, 0)).values.shape == (2, 0)
    assert ho.median(ho.tensor([4, 1, 3])).item() == 3
    assert ho.median(ho.zeros(0, 2), 1).values.shape == (0,)


def test_distinct_elements_and_slices():
    x = ho.tensor([[3, 1, 3], [1, 1, 3]])
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([1, 3], [[1, 0, 1], [0, 0, 1]], [3, 3])
    assert ho.unique(x, dim=1).tolist() == [[1, 3, 3], [1, 1, 3]]
    assert ho.unique(ho.tensor([math.nan, 1.0, math.nan])).shape == (3,)


def test_what_stands_in_a_row_counts_once():
    x = ho.tensor([[1, 1, 2], [2, 2, 1]])
    values, inverse, counts = ho.unique_consecutive(x, return_inverse=True, return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 2, 1], [2, 3, 1])
    assert values[inverse].tolist() == x.tolist()
    rows, counts = x[[0, 0, 1, 0]].unique_consecutive(return_counts=True, dim=0)
    assert (rows.tolist(), counts.tolist()) == ([[1, 1, 2], [2, 2, 1], [1, 1, 2]], [2, 1, 1])
    columns, inverse = ho.unique_consecutive(x, return_inverse=True, dim=1)
    assert (columns.tolist(), inverse.tolist()) == ([[1, 2], [2, 1]], [0, 0, 1])
    assert ho.unique_consecutive(ho.zeros(0)).shape == (0,)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_slopes_between_places_of_any_distance(edge_order):
    random = np.random.default_rng(0)
    values, places = random.normal(size=(3, 5)), np.cumsum(random.uniform(0.5, 1.5, 5))
    (found,) = ho.gradient(ho.tensor(values), spacing=(ho.tensor(places),), dim=1, edge_order=edge_order)
    np.testing.assert_allclose(found.numpy(), np.gradient(values, places, axis=1, edge_order=edge_order), rtol=1e-12)

    def by_places(x, at):
        return ho.gradient(x, spacing=(at,), dim=1, edge_order=edge_order)[0]

    assert ho.check.gradcheck(by_places, (ho.tensor(values), ho.tensor(places)), order=2)


def test_counts_in_bins_from_the_least_to_the_largest():
    x = ho.tensor([1.0, 2.0, 2.5, 5.0])
    assert x.histc(4).tolist() == np.histogram(x.numpy(), 4)[0].tolist()
    assert ho.histc(ho.full((3,), 2.0), 2).tolist() == [0.0, 3.0]


def test_intervals_of_rows_that_are_not_sorted():
    rows = ho.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
    found = ho.searchsorted(rows, ho.tensor([[1.5], [5.0]]), sorter=rows.argsort(), side="right", out_int32=True)
    assert (found.tolist(), found.dtype) == ([[1], [2]], ho.int32)
    assert ho.searchsorted(ho.tensor([1.0, 2.0]), 1.5).item() == 1


def test_named_answers():
    x = ho.tensor([[1.0, 5.0], [3.0, 4.0]])
    low, high = ho.aminmax(x, dim=1)
    assert (low.tolist(), high.tolist()) == ([1.0, 3.0], [5.0, 4.0])
    assert ho.aminmax(x).min.item() == 1.0
    assert x.max(1).values.tolist() == [5.0, 4.0]
    variance, mean = ho.var_mean(x, unbiased=False)
    assert (variance.item(), mean.item()) == (2.1875, 3.25)
    assert ho.std_mean(x, False)[0].item() == pytest.approx(2.1875**0.5)


def test_quantiles_under_vmap_and_with_integer_weights():
    x = ho.tensor([[1.0, 2.0, 4.0], [0.0, 8.0, 2.0]])
    mapped = ho.vmap(lambda row, q: ho.quantile(row, q))(x, ho.tensor([0.25, 0.75]))
    assert mapped.tolist() == [1.5, 5.0]
    assert ho.quantile(x, 1, 1).tolist() == [4.0, 8.0]
    assert ho.quantile(x.float(), 0.5).dtype == ho.float32


def test_what_is_added_with_factor_zero_does_not_count():
    x, a, b = ho.tensor([[math.nan]]), ho.tensor([[1.0, 2.0]]), ho.tensor([[3.0], [4.0]])
    assert ho.addmm(x, a, b, beta=0).tolist() == [[11.0]]
    assert ho.addmm(ho.tensor(1.0), a, b, beta=ho.tensor(2.0), alpha=ho.tensor(0.5)).tolist() == [[7.5]]
    assert ho.inner(ho.tensor(2.0), a).tolist() == [[2.0, 4.0]]
    assert ho.pdist(a).shape == (0,)
    assert ho.cdist(ho.zeros(0, 2), a).shape == (0, 1)
    assert ho.cross(ho.ones(3, 2), ho.ones(3, 2)).tolist() == ho.zeros(3, 2).tolist()


INDEX, MASK = ho.tensor([2, 0]), ho.tensor([[True, False, True]] * 2)
IN_PLACE = {
    "masked_fill": (MASK, 5.0),
    "masked_scatter": (MASK, ho.arange(4.0) + 10.0),
    "scatter": (1, ho.tensor([[2, 0], [1, 1]]), 7.0),
    "scatter_add": (1, ho.tensor([[2, 0], [1, 1]]), ho.ones(2, 2)),
    "index_add": (1, INDEX, ho.ones(2, 2)),
    "index_copy": (1, INDEX, ho.ones(2, 2)),
    "index_fill": (1, INDEX, 4.0),
    "tril": (),
    "triu": (1,),
    "cumsum": (1,),
    "cumprod": (0,),
    "addmm": (ho.ones(2, 2), ho.ones(2, 3)),
    "addr": (ho.ones(2), ho.ones(3)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_forms_write_and_are_recorded(name):
    def changed(x, in_place):
        y = x * 2.0
        if not in_place:
            return getattr(y, name)(*IN_PLACE[name])
        alias = y
        assert getattr(y, f"{name}_")(*IN_PLACE[name]) is alias
        return alias

    x = ho.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], requires_grad=True)
    found, expected = changed(x, True), changed(x, False)
    assert found.tolist() == expected.tolist() != (x * 2.0).tolist()
    assert ho.grad((found**2).sum(), x)[0].tolist() == ho.grad((expected**2).sum(), x)[0].tolist()


def test_in_place_forms_keep_the_shape():
    with pytest.raises(ho.errors.ShapeError, match="in-place"):
        ho.ones(1, 3).addmm_(ho.ones(2, 2), ho.ones(2, 3))
