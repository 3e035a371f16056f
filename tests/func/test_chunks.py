"""Transforms in chunks, auxiliary outputs, axes and draws, and stacked trees."""

import numpy as np
import pytest

import hograd as ho
from hograd import func


def sizes_seen(f):
    """`f`, and the list of the sizes of the chunks that it has been called with."""
    seen = []

    def counted(x, *rest):
        seen.append(x.value.shape[0])
        return f(x, *rest)

    return counted, seen


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 5, 7, 100, None])
@pytest.mark.parametrize(
    ("in_dims", "out_dims"), [((0, None), 0), ((1, 0), 1), ((-1, None), (-1, None)), ((0, 0), (0, 1))]
)
def test_vmap_in_chunks_is_vmap(chunk_size, in_dims, out_dims):
    rng = np.random.default_rng(0)
    shapes = [[3, 2], [2]]
    for shape, axis in zip(shapes, in_dims, strict=True):
        if axis is not None:
            shape.insert(axis % (len(shape) + 1), 5)
    x, y = (ho.tensor(rng.normal(size=s)) for s in shapes)

    def f(x, y):
        z = x @ y
        if isinstance(out_dims, tuple):
            return ho.outer(z, z), y.exp().sum() if in_dims[1] is None else ho.outer(y, y)
        return ho.outer(z, z)

    found = ho.vmap(f, in_dims, out_dims, chunk_size=chunk_size)(x, y)
    expected = ho.vmap(f, in_dims, out_dims)(x, y)
    ho.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), found, expected)
    assert ho.tree.map(lambda a: a.shape, found) == ho.tree.map(lambda a: a.shape, expected)


def test_the_chunks_are_as_large_as_asked_for():
    f, seen = sizes_seen(lambda x: x.sum())
    ho.vmap(f, chunk_size=3)(ho.ones(8, 2))
    assert seen == [3, 3, 2]


def test_vmap_in_chunks_differentiates():
    x = ho.tensor(np.random.default_rng(1).normal(size=(5, 2)), requires_grad=True)
    y = ho.vmap(func.grad(lambda row: (row**3).sum()), chunk_size=2)(x)
    (g,) = ho.grad(y.sum(), x)
    np.testing.assert_allclose(g, 6 * x.detach(), rtol=1e-13)


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_chunk_size_is_checked(chunk_size):
    with pytest.raises(ValueError, match="chunk_size is"):
        ho.vmap(lambda x: x, chunk_size=chunk_size)


def several(x, y):
    return {"a": ho.outer(x, y).sin(), "b": (x * y.sum()).sum()}


@pytest.mark.parametrize("jacobian", [func.jacrev, func.jacfwd])
@pytest.mark.parametrize("chunk_size", [1, 3, 4, 50])
def test_jacobians_in_chunks(jacobian, chunk_size):
    rng = np.random.default_rng(2)
    x, y = ho.tensor(rng.normal(size=3)), ho.tensor(rng.normal(size=2))
    found = jacobian(several, (0, 1), chunk_size=chunk_size)(x, y)
    expected = jacobian(several, (0, 1))(x, y)
    ho.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, expected)


@pytest.mark.parametrize("jacobian", [func.jacrev, func.jacfwd])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_auxiliary_outputs_of_jacobians(jacobian, chunk_size):
    x = ho.tensor([1.0, 2.0, 3.0])
    found, aux = jacobian(lambda x: (x**2, {"sum": x.sum()}), has_aux=True, chunk_size=chunk_size)(x)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    assert type(aux["sum"]) is ho.Tensor
    assert (aux["sum"] + 1).item() == 7.0


class TestDraws:
    def test_error_names_the_choices(self):
        with pytest.raises(RuntimeError, match='randomness="different" or "same"'):
            ho.vmap(lambda x: x + ho.randn())(ho.zeros(3))

    @pytest.mark.parametrize("chunk_size", [None, 2])
    def test_same(self, chunk_size):
        ho.manual_seed(0)
        draws = ho.vmap(lambda x: x + ho.randn(2), randomness="same", chunk_size=chunk_size)(ho.zeros(5))
        assert draws.shape == (5, 2)
        assert all(row == draws[0].tolist() for row in draws.tolist())
        after = ho.randn(2)
        ho.manual_seed(0)
        assert ho.randn(2).tolist() == draws[0].tolist()
        assert ho.randn(2).tolist() == after.tolist()

    @pytest.mark.parametrize("chunk_size", [None, 2])
    def test_different(self, chunk_size):
        ho.manual_seed(0)
        draws = ho.vmap(lambda x: x + ho.randn(), randomness="different", chunk_size=chunk_size)(ho.zeros(5))
        assert len(set(draws.tolist())) == 5

    def test_nested_choices_are_independent(self):
        ho.manual_seed(0)
        inner = ho.vmap(lambda x: x + ho.randn(), randomness="same")
        draws = ho.vmap(inner, randomness="different")(ho.zeros(4, 3)).numpy()
        assert len(set(draws[:, 0])) == 4
        assert (draws == draws[:, :1]).all()

    def test_jacfwd_takes_the_choice(self):
        ho.manual_seed(0)
        found = func.jacfwd(lambda x: x * ho.randn(), randomness="same")(ho.ones(3)).numpy()
        assert found[0, 0] == found[1, 1] == found[2, 2] != 0
        with pytest.raises(RuntimeError, match="randomness"):
            func.jacfwd(lambda x: x * ho.randn())(ho.ones(3))


class TestStack:
    def trees(self):
        rng = np.random.default_rng(3)
        return [{"w": ho.tensor(rng.normal(size=(2, 3))), "n": (ho.tensor(k), 1.0 * k)} for k in range(4)]

    @pytest.mark.parametrize("axis", [0, -1])
    def test_there_and_back(self, axis):
        stacked = ho.tree.stack(self.trees(), axis)
        assert stacked["w"].shape == ((4, 2, 3) if axis == 0 else (2, 3, 4))
        assert stacked["n"][1].tolist() == [0.0, 1.0, 2.0, 3.0]
        for found, expected in zip(ho.tree.unstack(stacked, axis), self.trees(), strict=True):
            ho.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), found, expected)

    def test_an_ensemble_runs_in_one_pass(self):
        params = [{"w": ho.tensor(float(k))} for k in range(3)]
        out = ho.vmap(lambda p, x: p["w"] * x, in_dims=(0, None))(ho.tree.stack(params), ho.tensor([1.0, 2.0]))
        assert out.tolist() == [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]

    def test_stack_is_differentiable(self):
        a, b = ho.tensor(2.0, requires_grad=True), ho.tensor(3.0, requires_grad=True)
        stacked = ho.tree.stack([{"x": a}, {"x": b}])
        assert [g.item() for g in ho.grad((stacked["x"] ** 2).sum(), [a, b])] == [4.0, 6.0]

    def test_errors(self):
        with pytest.raises(ValueError, match="tree 1 differs in structure from tree 0"):
            ho.tree.stack([{"a": 1.0}, {"b": 1.0}])
        with pytest.raises(ValueError, match="got no trees"):
            ho.tree.stack([])
        with pytest.raises(ValueError, match=r"one length along axis 0, found \['a'\]: \(2,\), \['b'\]: \(3,\)"):
            ho.tree.unstack({"a": ho.ones(2), "b": ho.ones(3)})
        with pytest.raises(ValueError, match="one length along axis 0"):
            ho.tree.unstack({"a": ho.ones(2), "b": ho.tensor(1.0)})
