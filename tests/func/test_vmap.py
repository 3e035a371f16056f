"""`func.vmap` against loops: mapped axes in and out, shared arguments, nesting, random draws, mistakes."""

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, vmap

rng = np.random.default_rng(0)


def normal(*shape):
    return ho.tensor(rng.normal(size=shape))


def close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("out_dims", [0, 1, 2, -1])
@pytest.mark.parametrize("in_dims", [0, 1, 2, -1, -3])
def test_mapped_axes(in_dims, out_dims):
    x = normal(3, 3, 3)
    found = vmap(lambda row: row.sin() @ row, in_dims, out_dims)(x)
    rows = x.moveaxis(in_dims, 0)
    close(found, ho.stack([row.sin() @ row for row in rows]).moveaxis(0, out_dims))


@pytest.mark.parametrize(
    ("in_dims", "a", "b"),
    [
        ((0, None), normal(4, 3), normal(3)),
        ((None, 0), normal(3), normal(4, 3)),
        ((0, 1), normal(4, 3), normal(3, 4)),
        ((-1, 0), normal(3, 4), normal(4, 3)),
        ((1, None), normal(3, 4), normal(2, 3)),
        ((0, None), normal(4), normal(3)),
        ((0, 0), normal(4), normal(4, 3)),
    ],
    ids=str,
)
def test_shared_and_mapped_arguments(in_dims, a, b):
    def f(a, b):
        return a * b.cos() - (a + b).sum()

    found = vmap(f, in_dims)(a, b)
    pick = [lambda i, x=x, d=d: x if d is None else x.moveaxis(d, 0)[i] for x, d in zip((a, b), in_dims, strict=True)]
    close(found, ho.stack([f(pick[0](i), pick[1](i)) for i in range(4)]))


def test_trees_and_prefixes():
    params = {"w": normal(3, 2), "b": [normal(2), normal(4)]}
    x = normal(4, 3)

    def f(p, x):
        return {"y": x @ p["w"] + p["b"][0], "z": (p["b"][1], p["b"][1] * x.sum())}

    dims = ({"w": None, "b": [None, 0]}, 0)
    found = vmap(f, dims, {"y": 1, "z": (0, -1)})(params, x)
    close(found["y"], (x @ params["w"] + params["b"][0]).T)
    close(found["z"][0], params["b"][1])
    close(found["z"][1], params["b"][1] * x.sum(1))
    same = vmap(f, dims, {"y": 1, "z": 0})(params, x)
    close(same["z"][1], found["z"][1])


def test_names_of_the_axes_as_in_jax():
    x = normal(3, 4)
    close(vmap(lambda r: r.sum(), in_axes=1)(x), x.sum(0))
    close(vmap(lambda r: r * 2, in_axes=1, out_axes=1)(x), x * 2)


def test_output_that_is_the_same_for_all():
    x = normal(4, 3)
    constant = normal(2)
    close(vmap(lambda row: constant)(x), ho.stack([constant] * 4))
    close(vmap(lambda row: constant, out_dims=None)(x), constant)
    found = vmap(lambda row, s: (row * s, s), in_dims=(0, None), out_dims=(0, None))(x, ho.tensor(2.0))
    close(found[0], 2 * x)
    assert found[1].item() == 2.0


def test_arrays_numbers_and_keywords():
    def f(x, power, *, scale):
        return (x**power * scale).sum()

    x = rng.normal(size=(4, 3))
    close(vmap(f, in_dims=(0, None))(x, 2, scale=3.0), ho.tensor((x**2 * 3).sum(1)))
    assert vmap(f).__name__ == "f"


def test_integers_and_bools():
    x = ho.tensor([[1, 2], [3, 4]])
    assert vmap(lambda r: r * 2)(x).tolist() == [[2, 4], [6, 8]]
    assert vmap(lambda r: r > 2)(x).tolist() == [[False, False], [True, True]]
    assert vmap(lambda r, i: r[i])(x, ho.tensor([1, 0])).tolist() == [2, 3]


def test_no_elements():
    assert vmap(lambda r: r.sum())(ho.zeros(0, 3)).shape == (0,)
    assert vmap(lambda r: r * 2, out_dims=1)(ho.zeros(0, 3)).shape == (3, 0)


def test_choice_by_where():
    x = normal(5)
    close(vmap(lambda v: ho.where(v > 0, v, v * v))(x), ho.where(x > 0, x, x * x))


@pytest.mark.parametrize(("outer", "inner"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (-1, -1)])
def test_nested(outer, inner):
    x, y = normal(3, 3, 3), normal(3)

    def f(v, w):
        return v.sin() * w + (v @ w)

    found = vmap(vmap(f, (inner, None)), (outer, None))(x, y)
    expected = ho.stack([ho.stack([f(v, y) for v in m.moveaxis(inner, 0)]) for m in x.moveaxis(outer, 0)])
    close(found, expected)


def test_every_pair():
    a, b = normal(3, 2), normal(4, 2)
    found = vmap(lambda u: vmap(lambda v: (u - v).square().sum())(b))(a)
    close(found, (a[:, None] - b[None]).square().sum(-1))
    found = vmap(lambda v: vmap(lambda u: u @ v + v.sum())(a), out_dims=1)(b)
    close(found, a @ b.T + b.sum(1))


def test_closures_over_mapped_and_plain_values_in_three_levels():
    a, b, c = normal(2), normal(3), normal(4)
    found = vmap(lambda x: vmap(lambda y: vmap(lambda z: x * y.sin() + z * x - y * a.sum())(c) * x)(b) + b.sum())(a)
    x, y, z = a[:, None, None], b[None, :, None], c[None, None]
    close(found, (x * y.sin() + z * x - y * a.sum()) * x + b.sum())


def test_in_place_operations_inside():
    def f(x):
        y = ho.zeros(3)
        for i in range(3):
            y[i] = x[i] * (y[i - 1] + 1)
        y += 1
        return y

    x = normal(4, 3)
    close(vmap(f)(x), ho.stack([f(row) for row in x]))


def test_differentiable_by_backward():
    x, w = normal(4, 3).requires_grad_(), normal(3).requires_grad_()
    vmap(lambda row: (row * w).sin().prod())(x).sum().backward()
    found = x.grad, w.grad
    x.grad = w.grad = None
    sum((row * w).sin().prod() for row in x).backward()
    close(found[0], x.grad)
    close(found[1], w.grad)


def test_imperative_grad_of_a_mapped_value():
    x = normal(4, 3)

    def f(row):
        row = row.clone().requires_grad_()
        (g,) = ho.grad((row**3).sum(), row, create_graph=True)
        (h,) = ho.grad(g.sum(), row)
        return h.detach()

    close(vmap(f)(x), 6 * x)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_random_draws(randomness):
    x = ho.zeros(1000, 2)
    ho.manual_seed(0)
    drawn = vmap(lambda row: row + ho.randn(2), randomness=randomness)(x).numpy()
    assert (drawn == drawn[0]).all() == (randomness == "same")
    if randomness == "different":
        assert abs(drawn.mean()) < 0.1
        assert abs(drawn.std() - 1) < 0.1
        ho.manual_seed(0)
        nested = vmap(vmap(lambda v: v + ho.rand(()), randomness="different"), randomness="same")(x).numpy()
        assert (nested == nested[0]).all()
        assert nested[0, 0] != nested[0, 1]


LEAKED = []
X = ho.tensor([[1.0, 2.0], [3.0, 4.0]])
C = ho.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: vmap(lambda x: x, in_dims=None)(X), ValueError, "no argument is mapped"),
        (lambda: vmap(lambda: X)(), ValueError, "no argument is mapped"),
        (lambda: vmap(lambda x, y: x)(X, X[:1]), ValueError, r"argument\[1\] has length 1 along its mapped axis 0.* 2"),
        (lambda: vmap(lambda p: p["a"])({"a": X, "b": X[:1]}), ValueError, r"argument\[0\]\['b'\] has length 1"),
        (lambda: vmap(lambda x: x)(X[0, 0]), ValueError, r"argument\[0\] has shape \(\), which has no axis 0"),
        (lambda: vmap(lambda x: x, 2)(X), ValueError, r"argument\[0\] has shape \(2, 2\), which has no axis 2"),
        (lambda: vmap(lambda x, y: x, (0,))(X, X), ValueError, "one entry for each of 2 arguments"),
        (
            lambda: vmap(lambda x: x["a"], ({"b": 0},))({"a": X}),
            TypeError,
            r"in_dims\[0\] is no prefix of args\[0\]: .*\['a'\]",
        ),
        (lambda: vmap(lambda x: x, out_dims={"a": 0})(X), TypeError, "out_dims is no prefix of the output"),
        (lambda: vmap(lambda x: x, out_dims=2)(X), ValueError, "axis 2"),
        (lambda: vmap(lambda x: x, out_dims=None)(X), ValueError, "out_dims is None for an output that differs"),
        (lambda: vmap(lambda x: 1.0)(X), TypeError, "returned float at output 0, expected tensors only"),
        (lambda: vmap(lambda x: x + ho.randn(2))(X), RuntimeError, 'randomness="different" or "same"'),
        (lambda: vmap(lambda x: x, randomness="no")(X), ValueError, "randomness is 'no', expected 'error', 'diff"),
        (lambda: vmap(lambda x: x if x.sum() > 0 else -x)(X), RuntimeError, r"inside vmap.* use where\(\)"),
        (lambda: vmap(lambda x: x[0].item())(X), RuntimeError, r"item\(\) was called inside vmap"),
        (lambda: vmap(lambda x: x.numpy())(X), RuntimeError, r"numpy\(\) was called inside vmap"),
        (lambda: vmap(lambda x: ho.grad((x * C).sum(), C)[0])(X), RuntimeError, "Pass it as an argument"),
        (lambda: vmap(lambda x: (x * C).sum().backward())(X), RuntimeError, "backward.* inside vmap.*use grad"),
        (lambda: vmap(grad(lambda x: x))(X), RuntimeError, "only for scalar outputs"),
        (lambda: vmap(lambda x: LEAKED.append(x * 2) or x)(X) + LEAKED.pop(), RuntimeError, "vmap` that has returned"),
    ],
)
def test_mistakes(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
    assert vmap(lambda x: x * 2)(X).tolist() == [[2.0, 4.0], [6.0, 8.0]]
