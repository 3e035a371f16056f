"""Tensors as Python and NumPy values: what is expected is what PyTorch 2.13 does, where it has the like."""

import copy
import math
import pickle

import numpy as np
import pytest

import hograd as ho


def leaf(*values):
    return ho.tensor(list(values), requires_grad=True)


@pytest.mark.parametrize("method", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
class TestCopies:
    @pytest.mark.parametrize("requires_grad", [False, True])
    @pytest.mark.parametrize("dtype", [ho.float64, ho.float32])
    def test_leaf(self, method, requires_grad, dtype):
        x = ho.tensor([[1.0, 2.0]], dtype=dtype, requires_grad=requires_grad)
        y = method(x)
        assert y is not x
        assert (y.tolist(), y.dtype, y.requires_grad, y.is_leaf) == (x.tolist(), dtype, requires_grad, True)

    def test_integers_and_bools(self, method):
        for data in ([1, 2], [True, False], 3):
            y = method(ho.tensor(data))
            assert (y.tolist(), y.dtype) == (data, ho.tensor(data).dtype)

    def test_copy_is_independent(self, method):
        x = leaf(1.0, 2.0)
        y = method(x)
        with ho.no_grad():
            y += 1
        (y * y).sum().backward()
        assert x.tolist() == [1.0, 2.0]
        assert x.grad is None
        assert y.grad.tolist() == [4.0, 6.0]

    def test_non_leaf_refuses(self, method):
        with pytest.raises(RuntimeError, match="leaf|leaves"):
            method(leaf(1.0) * 2)

    def test_inside_a_tree(self, method):
        tree = method({"w": [leaf(1.0), ho.tensor(2)], "n": 3})
        assert tree["w"][0].requires_grad
        assert (tree["w"][1].item(), tree["n"]) == (2, 3)


def test_deepcopy_keeps_the_gradient_and_shared_tensors():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    y, z = copy.deepcopy([x, x])
    assert y is z
    assert y.grad.tolist() == [2.0, 4.0]
    y.grad.zero_()
    assert x.grad.tolist() == [2.0, 4.0]


def test_numpy():
    x = ho.tensor([[1.0, 2.0]])
    assert isinstance(x.numpy(), np.ndarray)
    assert (x.numpy().dtype, x.numpy().tolist()) == (np.float64, [[1.0, 2.0]])
    assert ho.tensor(1.5).numpy().shape == ()
    assert np.asarray(ho.tensor([1, 2])).dtype == np.int64
    assert np.array(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.exp(x.numpy()), x.exp().numpy())


def test_numpy_of_what_requires_grad_refuses():
    x = leaf(1.0, 2.0)
    for tensor in (x, x * 2):
        with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
            tensor.numpy()
        assert tensor.detach().numpy().shape == (2,)


def test_array_functions_do_not_swallow_tensors():
    x, a = leaf(1.0, 2.0), np.array([3.0, 4.0])
    for y in (a * x, x * a, a + x, a - x, a / x, a**x, np.float64(2.0) * x, a @ x):
        assert isinstance(y, ho.Tensor)
        assert y.requires_grad


def test_item_and_tolist():
    assert ho.tensor(2.5).item() == 2.5
    assert isinstance(ho.tensor([[2.5]]).item(), float)
    assert type(ho.tensor(2).item()) is int
    assert ho.tensor(True).item() is True
    assert leaf(3.0).item() == 3.0
    assert ho.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert ho.tensor(1.5).tolist() == 1.5
    for shape in ((2,), (0,)):
        with pytest.raises(RuntimeError, match="elements cannot be converted to Scalar"):
            ho.zeros(shape).item()


def test_numbers():
    x = ho.tensor(2.75, requires_grad=True)
    assert (float(x.detach()), int(x.detach()), round(x.item(), 1)) == (2.75, 2, 2.8)
    assert math.sqrt(ho.tensor([4.0])) == 2.0
    assert [10, 20, 30][ho.tensor(1)] == 20
    assert list(range(ho.tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="only integer tensors of a single element can be converted to an index"):
        [10, 20][ho.tensor(1.0)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [(1.0, True), (0.0, False), ([[2]], True), (False, False), (float("nan"), True)],
    ids=str,
)
def test_truth(data, expected):
    assert bool(ho.tensor(data)) is expected


@pytest.mark.parametrize("shape", [(2,), (0,)])
def test_truth_of_many_or_none_is_ambiguous(shape):
    with pytest.raises(RuntimeError, match=r"Boolean value of Tensor with (more than one|no) values? is ambiguous"):
        bool(ho.zeros(shape))


def test_iteration_and_length():
    x = ho.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert max(ho.tensor([1, 3, 2])).item() == 3
    assert dict(zip("ab", ho.tensor([1, 2]), strict=True))["b"].item() == 2
    assert list(ho.zeros(0, 3)) == []
    for operate in (len, iter):
        with pytest.raises(TypeError, match="0-d|no axes"):
            operate(ho.tensor(1.0))


def test_membership():
    x = ho.tensor([[1, 2], [3, 4]])
    assert 3 in x
    assert 5 not in x


def test_format():
    assert f"{ho.tensor(3.14159):.2f}" == "3.14"
    assert f"{ho.tensor(7):03d}" == "007"
    assert f"{ho.tensor([1.0, 4.0])}" == "tensor([1., 4.])"
    assert f"{leaf(1.0)}" == "tensor([1.], requires_grad=True)"
    assert str(ho.tensor([1.0, 2.5])) == repr(ho.tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])"


def test_print_shows_the_operation():
    x = leaf(1.0, 4.0)
    assert repr(x) == "tensor([1., 4.], requires_grad=True)"
    assert repr(x + 1) == "tensor([2., 5.], grad_fn=<AddBackward0>)"
    assert repr((x - 1).sum()) == "tensor(3., grad_fn=<SumBackward0>)"
    assert repr(x.exp().detach() * 0) == "tensor([0., 0.])"


def test_shape_and_size():
    x = ho.zeros(2, 3)
    assert x.shape == x.size() == (2, 3)
    assert (x.size(1), x.dim(), x.ndim, x.numel(), len(x)) == (3, 2, 2, 6, 2)
    assert ho.tensor(1.0).shape == ()
    assert x.is_floating_point()
    assert not ho.tensor(1).is_floating_point()


def test_identity_and_equality():
    x, y = ho.tensor([1.0, 2.0]), ho.tensor([1.0, 3.0])
    assert (x == y).tolist() == [True, False]
    assert (x != y).tolist() == [False, True]
    assert {x: "a", y: "b"}[x] == "a"
    assert len({x, y, x}) == 2


def test_default_dtypes():
    assert ho.tensor(1.0).dtype == ho.tensor([1.0]).dtype == ho.zeros(1).dtype == ho.get_default_dtype()
    assert ho.tensor(1).dtype == ho.tensor([1, 2]).dtype == ho.int64
    assert ho.tensor(True).dtype == ho.bool
    assert (ho.tensor(1) * 1.5).dtype == ho.get_default_dtype()
    assert (ho.tensor([1.0], dtype=ho.float32) * 1.5).dtype == ho.float32
    assert (ho.tensor([1.0], dtype=ho.float32) * ho.tensor(1.5, dtype=ho.float64)).dtype == ho.float32


def test_tensor_copies_its_data():
    array = np.array([1.0, 2.0])
    x = ho.tensor(array)
    array[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    y = ho.tensor([ho.tensor(1.0), 2.0])
    assert y.tolist() == [1.0, 2.0]
