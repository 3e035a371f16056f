"""LU factors, systems solved by them and reflections, where samples do not reach: singular, empty and complex ones."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func, linalg
from hograd.check import gradcheck

from .samples import assert_equal

SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 3), (3, 0), (2, 0, 3), (0, 3, 2), (1, 1), (3, 3), (4, 2), (2, 4), (2, 3, 4)], ids=str
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_factors_of_any_shape_give_the_matrix(random, shape, dtype):
    x = random.normal(size=shape) + (1j * random.normal(size=shape) if dtype[0] == "c" else 0)
    a = ho.tensor(x.astype(dtype))
    k, precision = min(shape[-2:]), 1e-5 if dtype in ("f4", "c8") else 1e-12
    permutation, lower, upper = linalg.lu(a)
    assert permutation.dtype == lower.dtype == upper.dtype == a.dtype
    assert (lower.shape, upper.shape) == ((*shape[:-1], k), (*shape[:-2], k, shape[-1]))
    assert_equal(permutation @ (lower @ upper), a, precision)
    packed, pivots, info = linalg.lu_factor_ex(a)
    assert (pivots.dtype, info.dtype) == (np.int32, np.int32)
    assert (pivots.shape, info.shape) == ((*shape[:-2], k), shape[:-2])
    assert not info.numpy().any()
    for y, expected in zip(ho.lu_unpack(packed, pivots), (permutation, lower, upper), strict=True):
        assert_equal(y, expected, precision)
    if shape[-1] == shape[-2]:
        b = ho.tensor(random.normal(size=shape).astype(dtype))
        assert_equal(linalg.lu_solve(packed, pivots, b), linalg.solve(a, b), precision)
        adjoint = linalg.lu_solve(packed, pivots, b, left=False, adjoint=True)
        assert_equal(adjoint @ a.adjoint(), b, precision)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_derivatives_of_complex_factors(random, shape):
    parts = ho.tensor(random.normal(size=(*shape, 2)))

    def f(parts):
        _, lower, upper = linalg.lu(ho.view_as_complex(parts))
        return ho.view_as_real(lower), ho.view_as_real(upper)

    assert gradcheck(f, (parts,), order=2, directions=2)


def test_a_singular_matrix_has_factors_and_says_so():
    a = ho.tensor(SINGULAR)
    permutation, lower, upper = linalg.lu(a)
    assert_equal(permutation @ lower @ upper, SINGULAR)
    packed, pivots, info = linalg.lu_factor_ex(a)
    assert (packed.tolist(), pivots.tolist(), info.item()) == ([[2, 4], [0.5, 0]], [2, 2], 2)
    assert [y.tolist() for y in ho.lu(a)] == [packed.tolist(), [2, 2]]
    with pytest.raises(ho.errors.LinearAlgebraError, match=r"linalg\.lu_factor: U\[2,2\] is zero"):
        linalg.lu_factor(a)
    with pytest.raises(ho.errors.LinearAlgebraError, match=r"linalg\.lu_factor_ex: .* at \(1,\)"):
        linalg.lu_factor_ex(ho.tensor([[[1.0, 0.0], [0.0, 1.0]], SINGULAR]), check_errors=True)


def test_only_the_singular_matrix_of_a_batch_has_no_derivative():
    batch = ho.tensor([SINGULAR, [[2.0, 1.0], [1.0, 3.0]]])
    alone = func.grad(lambda a: linalg.lu(a).U.sum())(batch[1])
    for through in (lambda a: linalg.lu(a).U.sum(), lambda a: linalg.lu_factor_ex(a).LU.triu().sum()):
        slope = func.grad(through)(batch)
        assert ho.isnan(slope[0]).all()
        assert_equal(slope[1], alone)


@pytest.mark.parametrize(
    ("f", "of_one"),
    [
        (linalg.inv_ex, linalg.inv),
        (lambda a: linalg.solve_ex(a, ho.ones(2, 1)), lambda a: linalg.solve(a, ho.ones(2, 1))),
        (lambda a: linalg.solve_ex(a, ho.ones(a.shape[:-1])), lambda a: linalg.solve(a, ho.ones(2))),
        (linalg.cholesky_ex, linalg.cholesky),
    ],
    ids=["inv_ex", "solve_ex", "solve_ex of vectors", "cholesky_ex"],
)
def test_where_a_matrix_of_a_batch_has_no_answer(f, of_one):
    sound = ho.tensor([[4.0, 1.0], [1.0, 3.0]])
    batch = ho.stack([ho.tensor(SINGULAR), sound, ho.zeros(2, 2)])
    answer, info = f(batch)
    assert (info.tolist(), info.dtype) == ([2, 0, 1], np.int32)
    assert ho.isnan(answer[0]).all()
    assert ho.isnan(answer[2]).all()
    assert_equal(answer[1], of_one(sound))
    slope = func.grad(lambda a: ho.nansum(f(a)[0]))(batch)
    assert_equal(slope[1], func.grad(lambda a: of_one(a).sum())(sound))
    assert slope[0].tolist() == slope[2].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("f", [linalg.inv_ex, linalg.cholesky_ex, lambda a, **_: linalg.solve_ex(a, ho.ones(2), **_)])
def test_they_raise_when_they_are_asked_to(f):
    assert f(ho.eye(2), check_errors=True)[1].item() == 0
    with pytest.raises(ho.errors.LinearAlgebraError):
        f(ho.zeros(2, 2), check_errors=True)


@pytest.mark.parametrize("minor", [1, 2, 3])
def test_the_first_minor_that_is_not_positive(minor):
    a = ho.diag(ho.tensor([-1.0 if i + 1 >= minor else 4.0 for i in range(3)]))
    assert linalg.cholesky_ex(a).info.item() == minor
    assert linalg.cholesky_ex(ho.zeros(0, 0)).info.item() == 0


def test_compiled_factors_raise_where_eager_ones_do():
    sound = ho.tensor([[2.0, 1.0], [1.0, 3.0]])
    fast = ho.compile(linalg.lu_factor)
    assert_equal(fast(sound).LU, linalg.lu_factor(sound).LU)
    with pytest.raises(ho.errors.LinearAlgebraError, match="singular"):
        fast(ho.tensor(SINGULAR))
    assert ho.compile(linalg.inv_ex)(ho.tensor(SINGULAR)).info.item() == 2


def test_pivots_are_checked():
    a = ho.eye(2)
    for pivots, error, found in [
        (ho.tensor([1.0, 2.0]), ho.errors.DtypeError, "integers that lu_factor gave"),
        (ho.tensor([1]), ho.errors.ShapeError, r"shape \(1,\), expected \(2,\)"),
        (ho.tensor([0, 2]), ho.errors.IndexingError, "from 1 to 2"),
        (ho.tensor([1, 3]), ho.errors.IndexingError, "from 1 to 2"),
    ]:
        for f in (ho.lu_unpack, lambda a, p: linalg.lu_solve(a, p, ho.eye(2))):
            with pytest.raises(error, match=found):
                f(a, pivots)
    with pytest.raises(ho.errors.ShapeError, match="do not fit together"):
        linalg.lu_solve(a, ho.tensor([1, 2], dtype=ho.int32), ho.ones(3, 1))
    for f in (linalg.lu, linalg.lu_factor, linalg.lu_factor_ex):
        with pytest.raises(ho.errors.ArgumentError, match="pivot"):
            f(a, pivot=False)
        with pytest.raises(ho.errors.ShapeError, match="at least 2 dim"):
            f(ho.ones(2))
        with pytest.raises(ho.errors.DtypeError, match="float16"):
            f(a.half())


def test_systems_of_broadcast_factors(random):
    a, b = random.normal(size=(3, 2, 2)), random.normal(size=(4, 1, 2, 1))
    packed, pivots = linalg.lu_factor(ho.tensor(a))
    assert_equal(linalg.lu_solve(packed, pivots, ho.tensor(b)), np.linalg.solve(a, b))
    assert_equal(ho.lu_solve(ho.tensor(b), packed, pivots), np.linalg.solve(a, b))
    assert_equal(ho.tensor(b).lu_solve(packed, pivots), np.linalg.solve(a, b))


@pytest.mark.parametrize("imaginary", [0, 1j])
def test_reflections_give_the_factor_of_qr(random, imaginary):
    a = random.normal(size=(2, 4, 3)) + imaginary * random.normal(size=(2, 4, 3))
    packed, tau = ho.geqrf(ho.tensor(a))
    q = linalg.householder_product(packed, tau)
    assert_equal(q @ ho.triu(packed)[..., :3, :], a)
    assert_equal(q.adjoint() @ q, np.broadcast_to(np.eye(3), (2, 3, 3)))
    c = ho.tensor(random.normal(size=(2, 4, 4)) + imaginary)
    whole = ho.ormqr(packed, tau, ho.eye(4).expand(2, 4, 4).to(packed.dtype))
    assert_equal(ho.ormqr(packed, tau, c), whole @ c)
    assert_equal(ho.ormqr(packed, tau, c, transpose=True), whole.adjoint() @ c)
    assert_equal(packed.ormqr(tau, c, left=False), c @ whole)
    assert_equal(packed.ormqr(tau, c, False, True), c @ whole.adjoint())


def test_reflections_that_do_not_fit():
    for a, tau in [((3, 2), (3,)), ((2, 3, 2), (2,)), ((2, 3), (2,))]:
        with pytest.raises(ho.errors.ShapeError, match="householder_product"):
            linalg.householder_product(ho.ones(a), ho.ones(tau))
    with pytest.raises(ho.errors.ShapeError, match="expected 3 columns"):
        ho.ormqr(ho.ones(3, 2), ho.ones(2), ho.ones(3, 2), left=False)


def test_factors_by_the_names_of_the_top_level(random):
    a = ho.tensor(random.normal(size=(4, 2)))
    for y, expected in zip(a.qr(some=False), linalg.qr(a, "complete"), strict=True):
        assert_equal(y, expected)
    u, s, v = a.svd()
    assert_equal(u * s @ v.mT, a)
    assert [y.shape for y in ho.svd(a, some=False)] == [(4, 4), (2,), (2, 2)]
    zeros = ho.svd(a, compute_uv=False)
    assert_equal(zeros.S, s)
    assert (zeros.U.tolist(), zeros.V.tolist()) == (np.zeros((4, 4)).tolist(), np.zeros((2, 2)).tolist())
    t, b = ho.tensor([[2.0, 1.0], [5.0, 4.0]]), ho.ones(3, 2, 1)
    x, coefficients = b.triangular_solve(t, upper=False, transpose=True)
    assert_equal(x, np.linalg.solve([[2.0, 5.0], [0.0, 4.0]], b.numpy()))
    assert_equal(coefficients, np.broadcast_to(t.numpy(), (3, 2, 2)))
    with pytest.raises(ho.errors.ShapeError, match="as many rows"):
        ho.triangular_solve(ho.ones(3, 1), t)
