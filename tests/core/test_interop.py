"""NumPy functions on tensors, and the exchange of arrays with other libraries."""

import pickle
import types

import numpy as np
import pytest

import hograd as ho


def pair(seed, *shapes):
    """Random arrays, and leaves that hold them."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 1.5, shape) for shape in shapes]
    return arrays, [ho.tensor(a, requires_grad=True) for a in arrays]


UNARY = [np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh, np.expm1, np.log1p, np.square, np.reciprocal, np.negative]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum]


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_ufuncs_of_one_argument_are_recorded(f):
    (a,), (x,) = pair(0, (2, 3))
    y = f(x)
    assert isinstance(y, ho.Tensor)
    np.testing.assert_allclose(y.detach(), f(a), rtol=1e-14)
    (g,) = ho.grad(y.sum(), x)
    np.testing.assert_allclose(g, (f(a + 1e-6) - f(a - 1e-6)) / 2e-6, rtol=1e-8)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("which", ["both", "left", "right"])
def test_ufuncs_of_two_arguments_are_recorded(f, which):
    (a, b), (x, y) = pair(1, (2, 3), (3,))
    left, right = (x if which != "right" else a), (y if which != "left" else b)
    z = f(left, right)
    np.testing.assert_allclose(z.detach(), f(a, b), rtol=1e-14)
    inputs = [t for t in (left, right) if isinstance(t, ho.Tensor)]
    steps = {"both": (1e-6, 1e-6), "left": (1e-6, 0), "right": (0, 1e-6)}[which]
    slope = (f(a + steps[0], b + steps[1]) - f(a - steps[0], b - steps[1])).sum() / 2e-6
    assert sum(g.sum() for g in ho.grad(z.sum(), inputs)).item() == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_operators_of_arrays_and_numpy_numbers_give_tensors():
    a = np.array([1.0, 2.0], dtype=np.float32)
    x = ho.tensor([3.0, 4.0], dtype=ho.float32, requires_grad=True)
    for y in (a * x, a + x, a - x, a / x, a @ x, np.float64(2) * x, 2 / x, a**x):
        assert isinstance(y, ho.Tensor)
        assert (y.dtype, y.requires_grad) == (ho.float32, True)
    assert (a < x).tolist() == [True, True]
    assert (a == x).tolist() == [False, False]
    assert (np.eye(2, dtype=np.float32) @ x).tolist() == [3.0, 4.0]


def test_an_array_may_be_written_to_by_constants_only():
    a = np.ones(2)
    a += ho.tensor([1.0, 2.0])
    assert a.tolist() == [2.0, 3.0]
    np.multiply(ho.tensor([1.0, 2.0]), 2, out=a)
    assert a.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="requires grad"):
        a += ho.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="never written to"):
        np.add(a, a, out=ho.zeros(2))


REDUCTIONS = [
    lambda x: np.sum(x),
    lambda x: np.sum(x, axis=0),
    lambda x: np.sum(x, 1, keepdims=True),
    lambda x: np.mean(x, axis=(0, 1)),
    lambda x: np.prod(x, axis=-1),
    lambda x: np.max(x),
    lambda x: np.amin(x, axis=1),
    lambda x: np.var(x),
    lambda x: np.std(x, axis=0, ddof=1),
    lambda x: np.add.reduce(x),
    lambda x: np.maximum.reduce(x, axis=1),
    lambda x: np.sum(x, dtype=np.float32),
]

SHAPES = [
    lambda x: np.reshape(x, (3, 2)),
    lambda x: np.ravel(x),
    lambda x: np.transpose(x),
    lambda x: np.transpose(x, (0, 1)),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.expand_dims(x, 1),
    lambda x: np.squeeze(x[:1]),
    lambda x: np.broadcast_to(x, (2, 2, 3)),
    lambda x: np.flip(x, axis=1),
    lambda x: np.concatenate([x, np.ones((1, 3))]),
    lambda x: np.concatenate((np.ones((2, 1)), x), axis=1),
    lambda x: np.stack([x, x], axis=1),
    lambda x: np.split(x, 3, axis=1)[1],
    lambda x: np.split(x, [1, 2], axis=-1)[2],
    lambda x: np.copy(x),
]

PRODUCTS = [
    lambda x: np.dot(x, np.ones(3)),
    lambda x: np.dot(np.arange(4.0).reshape(2, 2), x),
    lambda x: np.dot(x, np.arange(12.0).reshape(2, 3, 2)),
    lambda x: np.dot(x, 2.0),
    lambda x: np.matmul(x, np.ones((3, 2))),
    lambda x: np.outer(x, np.arange(2.0)),
    lambda x: np.multiply.outer(x, np.arange(2.0)),
    lambda x: np.cumsum(x),
    lambda x: np.cumsum(x, axis=1),
    lambda x: np.cumprod(x, 0),
    lambda x: np.add.accumulate(x),
    lambda x: np.tril(x, -1),
    lambda x: np.triu(x),
    lambda x: np.kron(x, np.arange(4.0).reshape(2, 2)),
    lambda x: np.roll(x, 2),
    lambda x: np.roll(x, 1, axis=1),
    lambda x: np.tensordot(x, np.ones((3, 2)), axes=1),
    lambda x: np.einsum("ij,j->i", x, np.arange(3.0)),
    lambda x: np.where(np.asarray([[True], [False]]), x, 0.0),
    lambda x: np.where(x > 1, x, 2 * x),
    lambda x: np.clip(x, 0.8, None),
    lambda x: np.clip(x, 0.8, 1.2),
    lambda x: np.take_along_axis(x, np.array([[1], [0]]), axis=1),
]


SUBMODULES = [
    lambda x: np.linalg.norm(x),
    lambda x: np.linalg.norm(x, axis=1),
    lambda x: np.linalg.det(x @ x.T),
    lambda x: np.linalg.inv(x @ x.T),
    lambda x: np.linalg.solve(x @ x.T, np.arange(2.0)),
    lambda x: np.linalg.cholesky(x @ x.T),
    lambda x: np.linalg.slogdet(x @ x.T)[1],
    lambda x: np.linalg.eigvalsh(x @ x.T),
    lambda x: np.linalg.eigh(x @ x.T).eigenvalues,
    lambda x: np.linalg.matrix_power(x @ x.T, 3),
    lambda x: np.linalg.multi_dot([x, x.T, x]),
    lambda x: np.linalg.cond(x @ x.T),
    lambda x: abs(np.fft.fft(x)) ** 2,
    lambda x: abs(np.fft.rfft(x, 5, axis=0, norm="ortho")) ** 2,
    lambda x: np.fft.irfft(np.fft.rfft(x), 3),
    lambda x: np.fft.fftshift(x),
]


@pytest.mark.parametrize("f", REDUCTIONS + SHAPES + PRODUCTS + SUBMODULES)
def test_functions_agree_with_numpy_and_are_recorded(f):
    (a,), (x,) = pair(2, (2, 3))
    y = f(x)
    expected = f(a)
    assert isinstance(y, ho.Tensor)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.detach(), expected, rtol=1e-6 if y.dtype == ho.float32 else 1e-14)
    weights = np.random.default_rng(3).normal(size=expected.shape)
    direction = np.random.default_rng(4).normal(size=a.shape)
    (g,) = ho.grad(y, x, ho.tensor(weights))
    if y.dtype == ho.float64:
        slope = ((f(a + 1e-6 * direction) - f(a - 1e-6 * direction)) * weights).sum() / 2e-6
        assert (g.numpy() * direction).sum() == pytest.approx(slope, rel=1e-7, abs=1e-8)


def test_functions_without_derivative():
    x = ho.tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True)
    assert np.argmax(x).item() == 1
    assert np.argmin(x, axis=1).tolist() == [0, 1]
    assert np.all(x).item() is False
    assert np.zeros_like(x).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert np.ones_like(x, dtype=np.int64).dtype == ho.int64
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 2), 2, 4)
    assert np.array_equal(x, [[1.0, 3.0], [2.0, 0.0]])
    assert np.allclose(x, x.detach() + 1e-12)
    assert np.isfinite(x).tolist() == [[True, True], [True, True]]


def test_functions_compose_with_the_transforms():
    a = np.random.default_rng(5).normal(size=(4, 3))
    gradients = ho.vmap(ho.func.grad(lambda row: np.sum(np.exp(row) * np.arange(3.0))))(ho.tensor(a))
    np.testing.assert_allclose(gradients, np.exp(a) * np.arange(3.0), rtol=1e-14)
    _, tangent = ho.func.jvp(lambda x: np.mean(np.sin(x)), (ho.tensor(a),), (ho.ones(4, 3),))
    assert tangent.item() == pytest.approx(np.cos(a).mean(), rel=1e-14)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: np.unwrap(x), r"numpy.unwrap is not defined for tensors: write .* x.detach\(\).numpy\(\)"),
        (lambda x: np.add.at(x, 0, 1.0), "numpy.add.at is not defined for tensors"),
        (lambda x: np.frexp(x), "numpy.frexp is not defined for tensors"),
        (lambda x: np.sum(x, where=x > 1), r"numpy.sum of tensors takes the arguments \(a, axis"),
        (lambda x: np.exp(x, dtype=np.float32), "takes no dtype"),
        (lambda x: np.cross(x, x), "numpy.cross is not defined for tensors: use hograd.cross"),
        (lambda x: np.linalg.svd(x), "numpy.linalg.svd is not defined for tensors: use hograd.linalg.svd"),
        (lambda x: np.fft.fftn(x, axes=0), r"numpy.fft.fftn of tensors takes the arguments \(x, s, axis, norm\)"),
    ],
)
def test_what_is_not_defined_says_what_to_use(f, message):
    with pytest.raises(TypeError, match=message):
        f(ho.tensor([1.0, 2.0, 3.0], requires_grad=True))


def test_arrays_of_tensors_are_plain_numbers_or_an_error():
    x = ho.tensor([1.0, 2.0])
    assert np.asarray(x).tolist() == [1.0, 2.0]
    assert np.array(x, dtype=np.float32).dtype == np.float32
    copy = np.array(x)
    copy[0] = 9
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(x.requires_grad_())


class TestDLPack:
    @pytest.mark.parametrize("dtype", [ho.float64, ho.float32, ho.int64, ho.uint8, ho.bool])
    @pytest.mark.parametrize("data", [[[1, 0], [1, 1]], 1], ids=["matrix", "number"])
    def test_there_and_back(self, dtype, data):
        x = ho.tensor(data, dtype=dtype)
        array = np.from_dlpack(x)
        y = ho.from_dlpack(x)
        assert (array.tolist(), array.dtype) == (x.tolist(), dtype)
        assert (y.tolist(), y.dtype, y.shape) == (x.tolist(), dtype, x.shape)

    def test_memory_is_not_shared(self):
        array = np.array([1.0, 2.0])
        x = ho.from_dlpack(array)
        array[0] = 9
        assert x.tolist() == [1.0, 2.0]
        out = np.from_dlpack(x)
        if out.flags.writeable:
            out[0] = 9
        assert x.tolist() == [1.0, 2.0]

    def test_of_a_view(self):
        x = ho.tensor(np.arange(6.0).reshape(2, 3))
        np.testing.assert_array_equal(np.from_dlpack(x.T[1:]), np.arange(6.0).reshape(2, 3).T[1:])

    def test_requires_grad_refuses(self):
        with pytest.raises(RuntimeError, match=r"use tensor.detach\(\)"):
            np.from_dlpack(ho.tensor([1.0], requires_grad=True))

    def test_what_does_not_speak_it(self):
        with pytest.raises(TypeError, match="expected an object with __dlpack__"):
            ho.from_dlpack([1.0])


class Foreign:
    """An array of a library that NumPy can convert, as JAX's arrays and TensorFlow's tensors are."""

    def __init__(self, data, dtype):
        self.data = np.array(data, dtype)
        self.dtype = self.data.dtype

    def __array__(self, dtype=None, copy=None):
        return self.data if dtype is None else self.data.astype(dtype)


class ForeignWithGradient(Foreign):
    """One that refuses the conversion while it is tracked, as PyTorch's tensors do."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return Foreign(self.data, self.dtype)

    def numpy(self, *, force=False):
        if not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.data


@pytest.mark.parametrize("kind", [Foreign, ForeignWithGradient])
def test_arrays_of_other_libraries_become_tensors(kind):
    array = kind([[1.0, 2.0]], np.float32)
    x = ho.tensor(array, requires_grad=True)
    assert (x.tolist(), x.dtype, x.is_leaf) == ([[1.0, 2.0]], ho.float32, True)
    array.data[0, 0] = 9
    assert x.tolist() == [[1.0, 2.0]]
    assert ho.as_tensor(array).dtype == ho.float32
    assert ho.tensor([kind(1.0, np.float64), kind(2.0, np.float64)]).tolist() == [1.0, 2.0]
    assert ho.tensor(kind(3.0, np.float64)).shape == ()


def test_arrays_of_other_libraries_keep_their_dtype_beside_the_default():
    ho.set_default_dtype(ho.float32)
    try:
        assert ho.tensor(Foreign([1.0], np.float64)).dtype == ho.float64
    finally:
        ho.set_default_dtype(ho.float64)


def test_operations_say_how_to_bring_foreign_arrays_in():
    with pytest.raises(TypeError, match="Foreign, which hograd.tensor makes a tensor of"):
        ho.tensor([1.0]) + Foreign([1.0], np.float64)


def test_dtypes_that_numpy_lacks_are_named():
    def refuse(force):
        raise TypeError("Got unsupported ScalarType BFloat16")

    broken = types.SimpleNamespace(detach=None, dtype="bfloat16", __array__=None, numpy=refuse)
    with pytest.raises(TypeError, match="dtype bfloat16, which NumPy cannot hold"):
        ho.tensor(broken)


def test_from_numpy_copies():
    array = np.arange(3)
    x = ho.from_numpy(array)
    array[0] = 9
    assert (x.tolist(), x.dtype) == ([0, 1, 2], ho.int64)
    with pytest.raises(TypeError, match="expected np.ndarray"):
        ho.from_numpy([1])


def test_pickle_of_a_tree_keeps_what_is_shared():
    w = ho.tensor([1.0, 2.0], requires_grad=True)
    a, b = pickle.loads(pickle.dumps([w, w]))
    assert a is b
    assert a.requires_grad
