"""Linear algebra where samples do not reach: singular and degenerate matrices, further vectors, errors, shapes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import hograd as ho
from hograd import func, linalg
from hograd.check import gradcheck

from .samples import assert_equal


@pytest.fixture
def random():
    return np.random.default_rng(7)


def leibniz(x):
    """The determinant as a polynomial: the sum over all permutations."""
    n = x.shape[-1]
    total = 0.0
    for columns in itertools.permutations(range(n)):
        sign = np.linalg.det(np.eye(n)[list(columns)]).round()
        term = float(sign)
        for i, j in enumerate(columns):
            term = term * x[i, j]
        total = total + term
    return total


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_two_derivatives_of_a_determinant_are_exact_at_every_rank(random, rank):
    x = random.normal(size=(4, rank)) @ random.normal(size=(rank, 4))
    x, t = ho.tensor(x), ho.tensor(random.normal(size=(4, 4)))
    assert_equal(linalg.det(x), leibniz(x), 1e-11)
    assert_equal(func.grad(linalg.det)(x), func.grad(leibniz)(x), 1e-11)
    assert_equal(func.hessian(linalg.det)(x), func.hessian(leibniz)(x), 1e-11)
    assert_equal(func.jvp(func.grad(linalg.det), (x,), (t,))[1], func.jvp(func.grad(leibniz), (x,), (t,))[1], 1e-11)
    batch = ho.stack([x, t])
    assert_equal(func.vmap(func.hessian(linalg.det))(batch)[0], func.hessian(leibniz)(x), 1e-11)


def test_a_third_derivative_of_a_singular_determinant_raises():
    x = ho.tensor([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ho.errors.LinearAlgebraError, match=r"linalg\.inv"):
        func.jacrev(func.hessian(linalg.det))(x)


def test_the_determinant_without_rows_is_one():
    assert linalg.det(ho.zeros(0, 0)).item() == 1
    assert linalg.det(ho.zeros(2, 0, 0)).tolist() == [1, 1]


@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 1), (5, 4)])
def test_complete_factors_are_orthogonal_and_give_the_matrix(random, shape):
    a = ho.tensor(random.normal(size=shape))
    q, r = linalg.qr(a, "complete")
    assert q.shape == (*shape[:-1], shape[-2])
    assert r.shape == shape
    assert_equal(q @ r, a)
    assert_equal(q.mT @ q, np.broadcast_to(np.eye(shape[-2]), q.shape))
    for x in (a, a.mT):
        u, s, vh = linalg.svd(x)
        k = s.shape[-1]
        assert u.shape[-1] == u.shape[-2] == x.shape[-2]
        assert vh.shape[-1] == vh.shape[-2] == x.shape[-1]
        assert_equal(u[..., :k] * s[..., None, :] @ vh[..., :k, :], x)
        assert_equal(u.mT @ u, np.broadcast_to(np.eye(u.shape[-1]), u.shape))
        assert_equal(vh.mT @ vh, np.broadcast_to(np.eye(vh.shape[-1]), vh.shape))


@pytest.mark.parametrize(
    "further",
    [
        lambda a: linalg.qr(a, "complete").Q[:, 2:],
        lambda a: linalg.svd(a).U[:, 2:],
        lambda a: linalg.svd(a.mT).Vh[2:].mT,
    ],
    ids=["qr", "svd U", "svd V"],
)
def test_the_space_of_the_further_vectors_has_right_derivatives(random, further):
    a = ho.tensor(random.normal(size=(4, 2)))
    c = ho.tensor(random.normal(size=(4, 4)))

    def share(a):
        w = further(a)
        return ((w @ w.mT) * c).sum()

    assert gradcheck(share, (a,), order=1)
    assert gradcheck(share, (a,), order=3, directions=2)
    projector = func.grad(lambda a: -((a @ linalg.solve(a.mT @ a, a.mT)) * c).sum())(a)
    assert_equal(func.grad(share)(a), projector, 1e-11)


def test_an_empty_q_where_only_r_is_wanted(random):
    a = ho.tensor(random.normal(size=(4, 2)))
    q, r = linalg.qr(a, "r")
    assert q.shape == (0,)
    assert_equal(r, linalg.qr(a).R)


def test_equal_eigenvalues_have_the_derivative_of_their_symmetric_functions():
    x = 2 * ho.eye(3)
    assert_equal(func.grad(lambda x: (linalg.eigvalsh(x) ** 3).sum())(x), 12 * np.eye(3))
    assert_equal(func.grad(lambda x: linalg.eigh(x).eigenvalues.prod())(x), 4 * np.eye(3))
    assert_equal(func.grad(lambda x: linalg.svdvals(x).log().sum())(x), np.eye(3) / 2)
    assert_equal(func.grad(lambda x: linalg.matrix_norm(x, "nuc"))(x), np.eye(3))


def test_vectors_of_equal_eigenvalues_have_no_finite_derivative():
    x = ho.tensor(np.diag([1.0, 2.0, 2.0]))
    c = ho.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    assert not np.isfinite(func.grad(lambda x: (linalg.eigh(x).eigenvectors * c).sum())(x).numpy()).all()
    moved = func.jvp(lambda x: linalg.eigh(x).eigenvectors, (x,), (c,))[1].numpy()
    # The first eigenvector is alone: it turns by c_i1 / (w_1 - w_i) towards the others.
    np.testing.assert_allclose(moved[:, 0], np.array([0, -1, -2]) * np.sign(linalg.eigh(x).eigenvectors[0, 0].item()))
    assert not np.isfinite(moved[:, 1:]).all()


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (1, 1), (0, 0), (2, 0, 0), (0, 3, 3)], ids=str)
@pytest.mark.parametrize("imaginary", [0.0, 1j])
def test_eigenvectors_of_any_matrix(random, shape, imaginary):
    a = ho.tensor(random.normal(size=shape) + imaginary * random.normal(size=shape))
    values, vectors = linalg.eig(a)
    assert values.dtype == vectors.dtype == np.complex128
    assert (values.shape, vectors.shape) == (shape[:-1], shape)
    assert_equal(ho.matmul(a.to(ho.complex128), vectors), vectors * values[..., None, :], 1e-10)
    assert_equal(linalg.eigvals(a), values)
    sizes = np.abs(vectors.numpy())
    np.testing.assert_allclose((sizes**2).sum(-2), np.ones(shape[:-1]), rtol=1e-12)
    if vectors.numel():
        largest = np.take_along_axis(vectors.numpy(), sizes.argmax(-2)[..., None, :], -2)
        np.testing.assert_allclose(largest, np.abs(largest), atol=1e-12)


def test_a_rotation_has_complex_eigenvalues_and_a_real_gradient():
    def angle(x):
        return ho.angle(linalg.eigvals(x)[0]).abs()

    turn = ho.tensor([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    assert angle(turn).item() == pytest.approx(0.3)
    assert gradcheck(angle, (turn,), order=2)
    assert func.grad(angle)(turn).dtype == np.float64


def test_only_the_symmetric_part_is_decomposed(random):
    a = ho.tensor(random.normal(size=(3, 3)))
    symmetric = (a + a.mT) / 2
    for name in ("eigvalsh", "eigh"):
        assert_equal(ho.tree.leaves(getattr(linalg, name)(a))[0], np.linalg.eigvalsh(symmetric.numpy()))
    gradient = func.grad(lambda a: linalg.eigvalsh(a)[0])(a)
    assert_equal(gradient, gradient.mT)


def test_a_matrix_of_lower_rank_has_a_pseudo_inverse(random):
    a = random.normal(size=(5, 2)) @ random.normal(size=(2, 4))
    x = linalg.pinv(ho.tensor(a))
    assert_equal(x, np.linalg.pinv(a, rcond=1e-14), 1e-10)
    assert linalg.matrix_rank(ho.tensor(a)).item() == 2
    # Along directions that keep the rank the derivative is the limit of quotients.
    left, right, t = random.normal(size=(5, 2)), random.normal(size=(2, 4)), random.normal(size=(5, 2))
    pushed = func.jvp(lambda left: linalg.pinv(left @ ho.tensor(right)), (ho.tensor(left),), (ho.tensor(t),))[1]
    h = 1e-6
    quotient = (np.linalg.pinv((left + h * t) @ right, 1e-12) - np.linalg.pinv((left - h * t) @ right, 1e-12)) / (2 * h)
    np.testing.assert_allclose(pushed.numpy(), quotient, atol=1e-6)


def test_small_singular_values_count_as_zero_when_told_so():
    a = ho.tensor(np.diag([4.0, 1.0, 0.01]))
    for tolerance in ({"atol": 0.1}, {"rtol": 0.1}, {"rcond": 0.1}, {"atol": 0.1, "rtol": 1e-9, "hermitian": True}):
        assert_equal(linalg.pinv(a, **tolerance), np.diag([0.25, 1.0, 0.0]))
    assert_equal(ho.pinverse(a), np.diag([0.25, 1.0, 100.0]))
    assert linalg.matrix_rank(a).item() == 3
    assert linalg.matrix_rank(a, atol=0.1).item() == linalg.matrix_rank(a, rtol=0.1).item() == 2
    each = ho.tensor([0.1, 2.0])
    assert linalg.matrix_rank(ho.stack([a, a]), atol=each).tolist() == [2, 1]
    assert_equal(linalg.pinv(ho.stack([a, a]), rtol=each / 4)[1], np.diag([0.25, 0.0, 0.0]))
    assert linalg.matrix_rank(ho.zeros(2, 3, 0)).tolist() == [0, 0]


def test_least_squares_of_lower_rank_is_the_shortest(random):
    a = ho.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    answer = linalg.lstsq(a, ho.tensor([[1.0], [2.0], [3.0]]))
    assert_equal(answer.solution, [[1.0], [1.0]])
    assert_equal(answer.residuals, [2.0])
    assert answer.rank.item() == 1


def test_vectors_and_matrices_on_the_right_side(random):
    a, b = random.normal(size=(2, 3, 3)), random.normal(size=(2, 3))
    assert linalg.solve(ho.tensor(a), ho.tensor(b)).shape == (2, 3)
    assert_equal(linalg.solve(ho.tensor(a), ho.tensor(b)), np.linalg.solve(a, b[..., None])[..., 0])
    assert_equal(linalg.solve(ho.tensor(a[0]), ho.tensor(b), left=False), b @ np.linalg.inv(a[0]))
    assert_equal(linalg.solve(ho.tensor(a[0]), ho.tensor(b[0]), left=False), b[0] @ np.linalg.inv(a[0]))


def test_powers_of_exponent_zero_and_single_powers():
    a = ho.tensor([[[2.0, 1.0], [0.0, 3.0]]])
    assert linalg.matrix_power(a, 0).tolist() == [[[1.0, 0.0], [0.0, 1.0]]]
    assert a.matrix_power(-1).tolist() == linalg.inv(a).tolist()
    assert linalg.vander(ho.tensor([2.0, 3.0]), N=1).tolist() == [[1.0], [1.0]]


def test_singular_values_of_zero_have_a_subgradient():
    assert_equal(func.grad(lambda x: linalg.svdvals(x).sum())(ho.zeros(2, 3)).numpy().any(), True)
    assert np.isfinite(func.grad(lambda x: linalg.matrix_norm(x, 2))(ho.zeros(2, 2)).numpy()).all()


def test_signs_and_logarithms_of_singular_and_negative_determinants():
    sign, logarithm = linalg.slogdet(ho.tensor([[[1.0, 2.0], [2.0, 4.0]], [[0.0, 2.0], [1.0, 0.0]]]))
    assert sign.tolist() == [0.0, -1.0]
    assert logarithm.tolist() == [-np.inf, np.log(2.0)]
    assert np.isnan(ho.logdet(ho.tensor([[-1.0]])).item())


def test_the_other_names_are_the_same_operations(random):
    a, b = ho.tensor(random.normal(size=(3, 3))), ho.tensor(random.normal(size=(3, 2)))
    spd = a @ a.mT + ho.eye(3)
    factor = ho.cholesky(spd)
    assert_equal(ho.det(a), a.det())
    assert_equal(ho.inverse(a), a.inverse())
    assert_equal(a.slogdet()[1], ho.slogdet(a).logabsdet)
    assert_equal(spd.logdet(), ho.logdet(input=spd))
    assert_equal(b.cholesky_solve(factor), linalg.solve(spd, b))
    assert_equal(factor.cholesky_inverse(), linalg.inv(spd))
    assert_equal(spd.cholesky(upper=True), factor.mT)
    assert_equal(a.matrix_exp(), ho.matrix_exp(a))
    assert_equal(a.pinverse(), ho.pinverse(a))


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: linalg.solve(SINGULAR, [1.0, 1.0]), ho.errors.LinearAlgebraError, "linalg.solve: expected invertible"),
        (lambda: linalg.inv(SINGULAR), ho.errors.LinearAlgebraError, r"linalg.inv: .* found shape \(2, 2\)"),
        (lambda: linalg.cholesky([[-1.0]]), ho.errors.LinearAlgebraError, "positive definite"),
        (lambda: linalg.cholesky(SINGULAR), np.linalg.LinAlgError, "positive definite"),
        (lambda: linalg.solve_triangular([[0.0]], [[1.0]], upper=True), RuntimeError, "a diagonal without zeros"),
        (lambda: linalg.inv(ho.ones(2, 3)), ho.errors.ShapeError, "square matrices, found shape .2, 3."),
        (lambda: linalg.det(ho.ones(3)), ho.errors.ShapeError, "at least 2 dimensions"),
        (lambda: linalg.solve(ho.eye(3), ho.ones(2)), ho.errors.ShapeError, "as many rows in B as in A"),
        (lambda: linalg.lstsq(ho.ones(3, 2), ho.ones(2, 1)), ho.errors.ShapeError, "as many rows in B as in A"),
        (lambda: linalg.solve_triangular(ho.eye(3), ho.ones(2, 1), upper=True), ho.errors.ShapeError, "do not fit"),
        (lambda: linalg.qr(ho.ones(3, 2), "full"), ho.errors.ArgumentError, "mode='full'"),
        (lambda: linalg.eigh(ho.eye(2), "X"), ho.errors.ArgumentError, "UPLO='X'"),
        (lambda: linalg.multi_dot([ho.ones(2, 2)]), ho.errors.ArgumentError, "at least two"),
        (lambda: linalg.multi_dot([ho.ones(2, 2), ho.ones(3, 2)]), ho.errors.ShapeError, "tensors.1. has shape"),
        (lambda: linalg.matrix_norm(ho.ones(2, 2), 3), ho.errors.ArgumentError, "ord=3"),
        (lambda: linalg.matrix_norm(ho.ones(2, 2), axis=(0, -2)), ho.errors.ShapeError, "two different axes"),
        (lambda: linalg.norm(ho.ones(2, 2, 2), 2), ho.errors.ShapeError, "over 3 axes"),
        (lambda: linalg.vector_norm(ho.ones(2), "fro"), ho.errors.ArgumentError, "expected a number"),
        (lambda: linalg.tensorsolve(ho.ones(2, 3), ho.ones(2)), ho.errors.ShapeError, "its first 1 lengths, 2"),
        (lambda: linalg.tensorsolve(ho.ones(2, 2), ho.ones(3)), ho.errors.ShapeError, "to be those of B"),
        (lambda: linalg.tensorinv(ho.ones(2, 2), 0), ho.errors.ArgumentError, "ind=0"),
        (lambda: linalg.vander(ho.ones(2), N=0), ho.errors.ArgumentError, "N=0"),
        (lambda: linalg.lstsq(ho.ones(2, 2), ho.ones(2, 1), driver="x"), ho.errors.ArgumentError, "driver='x'"),
    ],
)  # fmt: skip
def test_errors_say_what_was_found_and_expected(call, error, text):
    with pytest.raises(error, match=text):
        call()


EMPTY = [
    (linalg.inv, (2, 0, 0), (2, 0, 0)),
    (linalg.cholesky, (0, 0), (0, 0)),
    (linalg.pinv, (3, 0), (0, 3)),
    (linalg.svdvals, (3, 0), (0,)),
    (linalg.eigvalsh, (2, 0, 0), (2, 0)),
    (linalg.matrix_exp, (2, 0, 0), (2, 0, 0)),
    (linalg.det, (0, 2, 2), (0,)),
    (linalg.inv, (0, 2, 2), (0, 2, 2)),
    (linalg.eigvalsh, (0, 2, 2), (0, 2)),
    (linalg.svdvals, (0, 2, 3), (0, 2)),
    (linalg.matrix_exp, (0, 2, 2), (0, 2, 2)),
    (linalg.cholesky, (0, 2, 2), (0, 2, 2)),
    (lambda a: linalg.solve(a, ho.ones(0, 2)), (0, 0), (0, 2)),
    (lambda a: linalg.solve_triangular(a, ho.ones(2, 1), upper=True), (0, 2, 2), (0, 2, 1)),
    (lambda a: linalg.qr(a).R, (0, 3, 2), (0, 2, 2)),
    (lambda a: linalg.qr(a, "complete").Q, (3, 0), (3, 3)),
]


@pytest.mark.parametrize(("f", "shape", "expected"), EMPTY)
def test_matrices_without_elements(f, shape, expected):
    x = ho.zeros(shape, requires_grad=True)
    y = f(x)
    assert y.shape == expected
    (g,) = ho.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    assert g.shape == shape
    assert func.jvp(f, (x.detach(),), (ho.zeros(shape),))[1].shape == expected
