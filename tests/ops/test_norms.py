"""Norms of huge and tiny vectors: no square overflows or vanishes, in any order and mode."""

import numpy as np
import pytest

import hograd as ho
from optim import LARS, Muon
from optim.clip import adaptively, by_norm

MODES = {
    "eager": lambda f: f,
    "numpy": ho.compile,
    "native": lambda f: ho.compile(f, backend="native"),
}


@pytest.fixture(params=MODES)
def mode(request):
    if request.param == "native":
        pytest.importorskip("llvmlite", reason="machine code needs the extra `jit`")
    return MODES[request.param]


def same(got, right, rtol=1e-13):
    np.testing.assert_allclose(np.asarray(got.numpy(), float), right, rtol=rtol, atol=0)


SIZES = [1e-300, 1e-200, 1e-150, 1e-140, 1.0, 1e150, 1e155, 1e200, 1e307]
ORDERS = {
    2: 5.0,
    3: 91 ** (1 / 3),
    0.5: (3**0.5 + 2) ** 2,
    7: (3.0**7 + 4.0**7) ** (1 / 7),
    -2: (1 / 9 + 1 / 16) ** -0.5,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", ORDERS)
def test_norms_and_their_slopes_do_not_depend_on_the_size(mode, order, size):
    x = np.array([3.0, 4.0])
    slope = (x / ORDERS[order]) ** (order - 1)

    def f(x):
        return ho.norm(x, order)

    same(mode(f)(ho.tensor(x * size)), ORDERS[order] * size)
    same(mode(ho.func.grad(f))(ho.tensor(x * size)), slope)
    same(mode(ho.func.jacfwd(f))(ho.tensor(x * size)), slope)


@pytest.mark.parametrize("size", [1e-140, 1.0, 1e145])
def test_higher_derivatives_scale_with_the_size(mode, size):
    x, v = np.array([1.0, -2.0, 2.0]), np.array([0.3, 0.5, -0.7])

    def along(t):
        return ho.norm(ho.tensor(x * size) + t * ho.tensor(v))

    def closed(t):
        """The same by the roots of numbers of ordinary size."""
        return ((ho.tensor(x) + t * ho.tensor(v)) ** 2).sum().sqrt()

    f, g = along, closed
    for order in (1, 2, 3):
        f, g = ho.func.grad(f), ho.func.grad(g)
        same(mode(f)(ho.tensor(0.0)) * size ** (order - 1), g(ho.tensor(0.0)).item(), 1e-11)


def test_zeros_have_derivatives_of_0_to_third_order(mode):
    f = ho.norm
    for _ in range(3):
        f = ho.func.jacrev(f)
        derivative = mode(f)(ho.zeros(2)).numpy()
        np.testing.assert_array_equal(derivative, np.zeros_like(derivative))
    np.testing.assert_array_equal(mode(ho.func.jacfwd(ho.norm))(ho.zeros(2)).numpy(), 0)


@pytest.mark.parametrize(
    ("x", "right"),
    [
        ([0.0, -0.0], 0.0),
        ([np.inf, 1.0], np.inf),
        ([-np.inf, np.inf], np.inf),
        ([np.nan, 1.0], np.nan),
        ([np.inf, np.nan], np.nan),
        ([5e-324, 0.0], 5e-324),
        ([1.7e308, 0.0], 1.7e308),
        ([1.7e308, 1.7e308], np.inf),
        ([1e200, 1e-200], 1e200),
        ([1.0, 1e-300], 1.0),
    ],
)
def test_values_at_the_edges(mode, x, right):
    np.testing.assert_array_equal(mode(ho.norm)(ho.tensor(x)).numpy(), right)


@pytest.mark.parametrize(
    ("dtype", "sizes"), [("float32", [1e-38, 1e-22, 1.0, 1e20, 6e37]), ("float16", [0.01, 1, 1e4])]
)
def test_other_dtypes(mode, dtype, sizes):
    accuracy = 8 * np.finfo(dtype).eps
    for size in sizes:
        x = (np.array([3.0, 4.0]) * size).astype(dtype)
        found, slope = mode(ho.norm)(ho.tensor(x)), mode(ho.func.grad(ho.norm))(ho.tensor(x))
        assert found.dtype == slope.dtype == np.dtype(dtype)
        same(found, np.hypot(*x.astype(float)), accuracy)
        same(slope, [0.6, 0.8], accuracy)


def test_each_row_is_scaled_by_itself(mode):
    rows = np.array([[3e200, 4e200], [3, 4], [3e-200, 4e-200], [0, 0], [np.inf, 1], [np.nan, 1]])
    right = np.array([5e200, 5, 5e-200, 0, np.inf, np.nan])
    same(mode(lambda x: ho.norm(x, 2, 1))(ho.tensor(rows)), right)
    same(mode(lambda x: ho.norm(x, 2, 0, True))(ho.tensor(rows.T.copy())), right[None])
    same(mode(ho.func.vmap(ho.norm))(ho.tensor(rows)), right)
    assert mode(lambda x: ho.norm(x, 2, 1))(ho.zeros(3, 0)).tolist() == [0.0] * 3
    assert mode(lambda x: ho.norm(x, 3, 0))(ho.zeros(3, 0)).shape == (0,)


HUGE, TINY = ho.tensor([[3e200, 4e200]]), ho.tensor([[3e-200, 4e-200]])


@pytest.mark.parametrize("x", [HUGE, TINY], ids=["huge", "tiny"])
@pytest.mark.parametrize(
    ("f", "right"),
    [
        (lambda x: ho.linalg.norm(x), lambda s: 5 * s),
        (lambda x: ho.linalg.vector_norm(x), lambda s: 5 * s),
        (lambda x: ho.linalg.matrix_norm(x), lambda s: 5 * s),
        (lambda x: ho.linalg.matrix_norm(x, "nuc"), lambda s: 5 * s),
        (lambda x: ho.dist(x, -x), lambda s: 10 * s),
        (lambda x: ho.cdist(x, -x)[0, 0], lambda s: 10 * s),
        (lambda x: ho.pdist(ho.cat([x, -x]))[0], lambda s: 10 * s),
        (lambda x: ho.hypot(x[0, 0], x[0, 1]), lambda s: 5 * s),
        (lambda x: ho.std(ho.cat([x, -x]), correction=0), lambda s: 12.5**0.5 * s),
    ],
    ids=["linalg", "vector", "matrix", "nuclear", "dist", "cdist", "pdist", "hypot", "std"],
)
def test_what_is_made_of_norms_scales_as_they_do(mode, f, right, x):
    same(mode(f)(x), right(x[0, 0].item() / 3), 1e-12)


def test_unit_vectors_of_huge_ones(mode):
    same(mode(ho.normalize)(HUGE), [[0.6, 0.8]])
    same(mode(lambda x: ho.cosine_similarity(x, -2 * x))(HUGE), [-1.0])
    same(mode(lambda x: ho.renorm(x, 2, 0, 1.0))(HUGE), [[0.6, 0.8]])
    same(mode(lambda x: by_norm(x, 1.0))(HUGE), [[0.6, 0.8]])
    same(mode(lambda x: by_norm(x, 1e-200))(HUGE), [[0.6e-200, 0.8e-200]])
    same(mode(lambda x: by_norm({"a": x[0, 0], "b": x[0, 1]}, 1.0)["b"])(HUGE), 0.8)
    same(mode(lambda x: adaptively(x, ho.ones(1, 2), 0.5**0.5))(HUGE), [[0.6, 0.8]])
    same(mode(lambda x: by_norm(x, 1e-200))(TINY), [[0.6e-200, 0.8e-200]])


@pytest.mark.parametrize("f", [ho.norm, lambda x: ho.hypot(x[0], x[1])], ids=["norm", "hypot"])
def test_cotangents_as_huge_as_their_vectors(mode, f):
    """Products of both would overflow."""
    same(mode(lambda x: ho.func.vjp(f, x)[1](x[0] / 3)[0])(HUGE[0]), [0.6e200, 0.8e200])


@pytest.mark.parametrize("opt", [LARS(lr=1.0, momentum=0.0, trust_coefficient=1.0), Muon(lr=1.0)], ids=["lars", "muon"])
def test_trust_ratios_of_huge_gradients(opt):
    w, g = ho.tensor([[3.0, 4.0], [1.0, 2.0]]), ho.tensor([[3.0, 1.0], [2.0, 4.0]])
    huge, usual = (opt.step(w, scale * g, opt.init(w))[0] for scale in (1e200, 1.0))
    same(huge, usual.numpy(), 1e-9)


def test_half_precision_is_clipped_by_lengths_beyond_its_range(mode):
    g = ho.tensor([6e4, 6e4], dtype=ho.float16)
    for clipped in (lambda g: by_norm(g, 1.0), lambda g: adaptively(g, ho.ones(2, dtype=ho.float16), 0.5**0.5)):
        found = mode(clipped)(g)
        assert found.dtype == ho.float16
        same(found, [0.5**0.5] * 2, 2e-3)
    assert mode(ho.norm)(g).item() == np.inf
