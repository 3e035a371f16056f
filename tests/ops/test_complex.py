"""Complex tensors: gradients by PyTorch's convention in every mode, and the Fourier transforms among real tensors."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.check import gradcheck

from .samples import assert_equal

Z = np.array([1.5 - 0.5j, -2.0 + 1.0j, 0.25 + 3.0j])
W = np.array([0.5 + 1.0j, 1.0 - 2.0j, -1.5 + 0.25j])

#: Real functions of complex z, and dL/da + i dL/db for z = a + i b, as PyTorch 2.13 gives it.
GRADIENTS = {
    "real part": (lambda z: ho.real(z).sum(), np.ones(3)),
    "imaginary part": (lambda z: z.imag.sum(), np.full(3, 1j)),
    "squared size": (lambda z: (z * z.conj()).real.sum(), 2 * Z),
    "size": (lambda z: ho.abs(z).sum(), Z / np.abs(Z)),
    "real part of the square": (lambda z: (z**2).real.sum(), 2 * Z.conj()),
    "product with a constant": (lambda z: (z * ho.tensor(W)).real.sum(), W.conj()),
    "quotient": (lambda z: (ho.tensor(W) / z).imag.sum(), 1j * (-W / Z**2).conj()),
    "exponential": (lambda z: ho.exp(z).real.sum(), np.exp(Z).conj()),
    "norm": (ho.norm, Z / np.linalg.norm(Z)),
    "inner product": (lambda z: (z.conj() @ ho.tensor(W)).imag, -1j * W),
    "transform": (lambda z: ho.fft.fft(z)[1].real, np.exp(2j * np.pi * np.arange(3) / 3)),
}


@pytest.mark.parametrize(("f", "expected"), GRADIENTS.values(), ids=GRADIENTS.keys())
def test_gradients_by_complex_tensors_are_those_of_pytorch(f, expected):
    z = ho.tensor(Z, requires_grad=True)
    f(z).backward()
    assert_equal(z.grad, expected + 0j)
    assert_equal(ho.grad(f(z), z)[0], expected + 0j)
    assert_equal(ho.grad(f(z), z, create_graph=True)[0], expected + 0j)
    assert_equal(func.grad(f)(ho.tensor(Z)), expected + 0j)
    assert_equal(func.vjp(f, ho.tensor(Z))[1](ho.tensor(1.0))[0], expected + 0j)
    assert_equal(func.vmap(func.grad(f))(ho.tensor(Z[None]))[0], expected + 0j)
    # The change along t is Re(conj(gradient) t).
    _, pushed = func.jvp(f, (ho.tensor(Z),), (ho.tensor(W),))
    assert_equal(pushed, np.sum(expected.conj() * W).real)
    # What the parts know of it.
    a, b = func.grad(lambda a, b: f(ho.complex(a, b)), argnums=(0, 1))(ho.tensor(Z.real), ho.tensor(Z.imag))
    assert_equal(a, np.real(expected))
    assert_equal(b, np.imag(expected))


@pytest.mark.parametrize("f", [f for f, _ in GRADIENTS.values()], ids=GRADIENTS.keys())
def test_derivatives_by_the_parts_are_numerical_to_order_three(f):
    assert gradcheck(lambda a, b: f(ho.complex(a, b)), (ho.tensor(Z.real), ho.tensor(Z.imag)), order=3, directions=2)


def test_a_second_derivative_by_a_complex_tensor():
    z = ho.tensor(Z, requires_grad=True)
    (g,) = ho.grad((z**3).real.sum(), z, create_graph=True)
    assert_equal(g, 3 * Z.conj() ** 2)
    (h,) = ho.grad((g * ho.tensor(W)).real.sum(), z)
    assert_equal(h, 6 * Z.conj() * W)
    pushed = func.jvp(func.grad(lambda z: (z**3).real.sum()), (ho.tensor(Z),), (ho.tensor(W),))[1]
    assert_equal(pushed, 6 * Z.conj() * W.conj())


def test_complex_cotangents_enter_as_in_pytorch():
    z = ho.tensor(Z, requires_grad=True)
    y = z * ho.tensor(W)
    assert_equal(ho.grad(y, z, ho.tensor(Z))[0], Z * W.conj())
    assert_equal(func.vjp(lambda z: z * ho.tensor(W), ho.tensor(Z))[1](ho.tensor(Z))[0], Z * W.conj())


def test_hooks_and_retained_gradients_see_what_a_user_would():
    seen = []
    z = ho.tensor(Z, requires_grad=True)
    y = z * ho.tensor(W)
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g))
    (y * y).real.sum().backward()
    assert_equal(seen[0], 2 * (Z * W).conj())
    assert_equal(y.grad, 2 * (Z * W).conj())
    assert_equal(z.grad, (2 * Z * W**2).conj())


def test_real_tensors_beside_complex_ones_have_real_gradients():
    x = ho.tensor([1.0, 2.0, 3.0])
    f = lambda x: ((x * ho.tensor(W)) ** 2).imag.sum()  # noqa: E731
    assert_equal(func.grad(f)(x), (2 * x.numpy() * W**2).imag)
    assert_equal(func.hessian(f)(x), np.diag((2 * W**2).imag))
    assert_equal(func.jvp(f, (x,), (x,))[1], (2 * x.numpy() ** 2 * W**2).imag.sum())
    assert x.to(np.complex128).dtype == np.complex128


def test_the_size_of_zero_has_derivative_zero():
    z = ho.tensor([0j, 3 + 4j])
    assert_equal(func.grad(lambda z: ho.abs(z).sum())(z), np.array([0, 0.6 + 0.8j]))
    assert_equal(func.grad(ho.norm)(ho.tensor([0j, 0j])), np.zeros(2, complex))


def test_variances_and_directions_of_complex_numbers():
    z = ho.tensor(Z)
    assert_equal(ho.var(z), np.var(Z, ddof=1))
    assert_equal(ho.std(z, correction=0), np.std(Z))
    assert_equal(func.grad(ho.var)(z), Z - Z.mean())
    assert_equal(ho.polar(ho.abs(z), z.angle()), Z)
    assert_equal(func.grad(lambda z: z.angle().sum())(z), 1j * Z / np.abs(Z) ** 2)
    assert_equal(func.grad(lambda z: (z.sgn() * z.conj()).real.sum())(z), Z / np.abs(Z))
    assert ho.angle(ho.tensor([-1.0, 0.0, 2.0])).tolist() == [np.pi, 0, 0]
    assert_equal(ho.linalg.vecdot(z, ho.tensor(W)), np.vdot(Z, W))
    with pytest.raises(ho.errors.DtypeError, match="sign is not defined for complex128"):
        ho.sign(z)


def test_complex_systems_have_the_derivatives_of_their_parts():
    random = np.random.default_rng(3)
    parts = [ho.tensor(random.normal(size=shape) + 2 * np.eye(*shape)) for shape in [(2, 2), (2, 2), (2, 1), (2, 1)]]

    def f(a, b, c, d):
        return ho.view_as_real(ho.linalg.solve(ho.complex(a, b), ho.complex(c, d)))

    assert gradcheck(f, tuple(parts), order=2, directions=2)


def test_only_real_outputs_have_a_gradient_of_their_own():
    z = ho.tensor(1j, requires_grad=True)
    by_func = func.grad(lambda z: z * 1)
    for call in (lambda: (z * 1).backward(), lambda: ho.grad(z * 1, z), lambda: by_func(ho.tensor(1j))):
        with pytest.raises(ho.errors.GradientError, match="only for real scalar outputs"):
            call()


def test_a_filter_in_the_spectrum_is_a_convolution():
    random = np.random.default_rng(5)
    x, w = ho.tensor(random.normal(size=7)), ho.tensor(random.normal(size=3))

    def by_spectrum(x, w):
        return ho.fft.irfft(ho.fft.rfft(x, 9) * ho.fft.rfft(w, 9), 9)

    assert_equal(by_spectrum(x, w), np.convolve(x.numpy(), w.numpy()))
    c = random.normal(size=9)
    gx, gw = func.grad(lambda x, w: (by_spectrum(x, w) * ho.tensor(c)).sum(), argnums=(0, 1))(x, w)
    assert_equal(gx, np.correlate(c, w.numpy()))
    assert_equal(gw, np.correlate(c, x.numpy()))
    energy = func.hessian(lambda x: (ho.abs(ho.fft.fft(x, norm="ortho")) ** 2).sum())(x)
    assert_equal(energy, 2 * np.eye(7))


def test_frequencies_and_the_order_of_them():
    for n in (1, 4, 5):
        assert_equal(ho.fft.fftfreq(n, 0.5), np.fft.fftfreq(n, 0.5))
        assert_equal(ho.fft.rfftfreq(n, 0.5), np.fft.rfftfreq(n, 0.5))
        assert_equal(ho.fft.ifftshift(ho.fft.fftshift(ho.fft.fftfreq(n))), np.fft.fftfreq(n))
    assert ho.fft.fftfreq(4, dtype=ho.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ho.fft.rfft(ho.tensor([1j])), ho.errors.DtypeError, "real input tensor, found complex128"),
        (lambda: ho.fft.fft(ho.ones(2), 0), ho.errors.ShapeError, r"Invalid number of data points \(0\)"),
        (lambda: ho.fft.irfft(ho.ones(1)), ho.errors.ShapeError, r"Invalid number of data points \(0\)"),
        (lambda: ho.fft.fft(ho.ones(2), norm="unit"), ho.errors.ArgumentError, "norm='unit'"),
        (lambda: ho.fft.fft(ho.ones(2), axis=1), ho.errors.ShapeError, "out of range"),
        (lambda: ho.fft.fftn(ho.ones(2, 2), (2,), (0, 1)), ho.errors.ArgumentError, "1 lengths .* for 2 axes"),
        (lambda: ho.imag(ho.ones(2)), ho.errors.DtypeError, "non-complex"),
        (lambda: ho.complex(ho.tensor([1j]), 1.0), ho.errors.DtypeError, "expected float32 or float64"),
        (lambda: ho.view_as_complex(ho.ones(3)), ho.errors.ShapeError, "a last axis of length 2"),
        (lambda: ho.linalg.eigh(ho.tensor([[1j]])), ho.errors.DtypeError, "eigh is defined for real matrices"),
    ],
)  # fmt: skip
def test_errors_say_what_was_found_and_expected(call, error, text):
    with pytest.raises(error, match=text):
        call()
