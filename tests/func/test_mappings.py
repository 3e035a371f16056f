"""Trees that meet inside transforms, loops and solvers meet by key, in whatever mapping and order each of them is."""

from collections import OrderedDict, defaultdict

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import StructureError

MAPPINGS = {
    "dict": dict,
    "ordered": OrderedDict,
    "reversed": lambda items: OrderedDict(reversed(list(dict(items).items()))),
    "default": lambda items: defaultdict(int, items),
}
pytestmark = [
    pytest.mark.parametrize("kind", MAPPINGS.values(), ids=MAPPINGS),
    pytest.mark.parametrize("other", MAPPINGS.values(), ids=MAPPINGS),
]
MODES = {"eager": lambda f: f, "compiled": ho.compile}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def pair(kind, a, b):
    return kind({"b": ho.tensor(b), "a": ho.tensor(a)})


def lists(mapping):
    return {key: np.asarray(value.detach()).tolist() for key, value in mapping.items()}


def test_map_and_stack(kind, other):
    one, two = pair(kind, 1.0, 10.0), pair(other, 2.0, 20.0)
    added = ho.tree.map(lambda x, y: x + y, one, two)
    assert type(added) is type(one)
    assert lists(added) == {"a": 3.0, "b": 30.0}
    assert lists(ho.tree.stack([one, two])) == {"a": [1.0, 2.0], "b": [10.0, 20.0]}


def test_the_mapped_axes_of_vmap(kind, other):
    x = pair(kind, [[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]])
    axes = other({"a": 0, "b": 1})
    rows = {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[5.0, 7.0], [6.0, 8.0]]}
    assert lists(func.vmap(lambda v: v, in_dims=(axes,))(x)) == rows
    assert lists(func.vmap(lambda v: kind(v), out_dims=axes)(x)) == rows
    assert (
        lists(func.vmap(lambda v: v, in_dims=(other({"a": 0, "b": None}),), chunk_size=1)(x))["b"]
        == [lists(x)["b"]] * 2
    )
    with pytest.raises(StructureError, match=r"in_dims\[0\] is no prefix of args\[0\]: .* args\[0\]\['b'\]"):
        func.vmap(lambda v: v, in_dims=(other({"a": 0}),))(x)
    with pytest.raises(StructureError, match=r"out_dims is no prefix of the output: .*out_dims\['c'\] stands for n"):
        func.vmap(lambda v: v, out_dims=other({"a": 0, "b": 1, "c": 0}))(x)


@each_mode
def test_tangents_and_cotangents(kind, other, mode):
    def f(x):
        return other({"b": x["a"] * x["b"] ** 2, "a": x["a"] ** 3})

    x = pair(kind, 2.0, 3.0)
    y, t = mode(lambda x, t: func.jvp(f, (x,), (t,)))(x, pair(other, 1.0, 10.0))
    assert lists(y) == {"a": 8.0, "b": 18.0}
    assert lists(t) == {"a": 12.0, "b": 9.0 + 120.0}
    g = mode(lambda x, g: func.vjp(f, x)[1](g)[0])(x, pair(kind, 1.0, 10.0))
    assert lists(g) == {"a": 12.0 + 90.0, "b": 120.0}
    assert type(g) is type(x)
    product = mode(lambda x, v: func.hvp(lambda x: x["a"] * x["b"] ** 2, x, v))(x, pair(other, 1.0, 10.0))
    assert lists(product) == {"a": 60.0, "b": 6.0 + 40.0}


@each_mode
def test_rules_of_the_users_own(kind, other, mode):
    @func.custom_vjp
    def f(x):
        return x["a"] * x["b"] ** 2

    f.defvjp(lambda x: (f(x), x), lambda x, g: (other({"b": 2 * x["a"] * x["b"] * g, "a": x["b"] ** 2 * g}),))
    x = pair(kind, 2.0, 3.0)
    assert lists(mode(func.grad(f))(x)) == {"a": 9.0, "b": 12.0}

    @func.custom_jvp
    def h(x):
        return kind({"b": x["a"] * x["b"], "a": x["a"] ** 2})

    @h.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        new = other({"b": x["a"] * x["b"], "a": x["a"] ** 2})
        return new, other({"b": x["a"] * t["b"] + t["a"] * x["b"], "a": 2 * x["a"] * t["a"]})

    slope = mode(func.grad(lambda x: h(x)["a"] + 10 * h(x)["b"]))(x)
    assert lists(slope) == {"a": 4.0 + 30.0, "b": 20.0}
    assert lists(mode(lambda x, t: func.jvp(h, (x,), (t,))[1])(x, pair(other, 1.0, 10.0))) == {"a": 4.0, "b": 23.0}


def test_a_rule_that_leaves_a_key_out_is_refused(kind, other):
    f = func.custom_vjp(lambda x: x["a"] * x["b"])
    f.defvjp(lambda x: (x["a"] * x["b"], x), lambda x, g: (other({"b": x["a"] * g, "c": x["b"] * g}),))
    with pytest.raises(StructureError, match=r"\['c'\] stands where argument 0\['a'\] does"):
        func.grad(f)(pair(kind, 2.0, 3.0))


@each_mode
def test_what_loops_carry(kind, other, mode):
    def step(carry, x):
        return other({"b": carry["b"] + 10 * x, "a": carry["a"] * x}), carry["a"]

    start = pair(kind, 1.0, 0.0)
    end, seen = mode(lambda start: ho.scan(step, start, ho.tensor([2.0, 3.0, 4.0])))(start)
    assert type(end) is type(start)
    assert lists(end) == {"a": 24.0, "b": 90.0}
    assert seen.tolist() == [1.0, 2.0, 6.0]
    end = mode(lambda start: ho.fori_loop(0, 3, lambda i, c: step(c, c["a"] * 0 + 2.0)[0], start))(start)
    assert lists(end) == {"a": 8.0, "b": 60.0}
    slope = mode(func.grad(lambda start: ho.scan(step, start, ho.tensor([2.0, 3.0]), checkpoint=1)[0]["a"]))(start)
    assert lists(slope) == {"a": 6.0, "b": 0.0}


def test_branches_and_loops_on_values(kind, other):
    x = pair(kind, [1.0, -1.0], [2.0, 20.0])

    def chosen(x):
        return ho.cond(x["a"] > 0, lambda: kind(x), lambda: other({"b": 10 * x["b"], "a": x["a"] - 1}))

    assert lists(ho.vmap(chosen)(x)) == {"a": [1.0, -2.0], "b": [2.0, 200.0]}

    def doubled(x):
        return ho.while_loop(lambda c: c["b"] < 30, lambda c: other({"b": 2 * c["b"], "a": c["a"] + 1}), x)

    assert lists(ho.vmap(doubled)(x)) == {"a": [5.0, 0.0], "b": [32.0, 40.0]}


@pytest.mark.parametrize("linear_solve", [None, "cg", "gmres"])
def test_solutions(kind, other, linear_solve):
    def f(x, s):
        return other({"b": 0.5 * x["b"] + s * x["a"], "a": 0.2 * x["a"] + s * x["b"] + 1.0})

    def solved(s):
        return ho.fixed_point(f, pair(kind, 0.0, 0.0), s, linear_solve=linear_solve)

    x = solved(ho.tensor(0.1))
    # 0.8 a - s b = 1  and  0.5 b = s a .
    assert lists(x)["a"] == pytest.approx(1 / (0.8 - 0.1**2 / 0.5))
    slope = func.grad(lambda s: solved(s)["b"])(ho.tensor(0.1))
    assert float(slope) == pytest.approx((1 * (0.4 - 0.01) + 0.1 * 0.2) / (0.4 - 0.01) ** 2, rel=1e-8)
    if linear_solve is not None:
        y = ho.linalg.solve_matvec(
            lambda x: other({"b": 4.0 * x["b"], "a": 2.0 * x["a"]}),
            pair(kind, 2.0, 8.0),
            x0=pair(other, 0.5, 1.0),
            method=linear_solve,
        )
        assert lists(y) == pytest.approx({"a": 1.0, "b": 2.0})


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_calls_of_a_compiled_function(kind, other, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    fast = ho.compile(lambda x, y: (x["a"] - y["a"], x["b"] * 2 + y["b"]), backend=backend)
    for first, second in ((kind, other), (other, kind), (kind, kind)):
        a, b = fast(pair(first, 5.0, 7.0), pair(second, 1.0, 100.0))
        assert (float(a), float(b)) == (4.0, 114.0)


def test_outputs_and_their_weights(kind, other):
    x = ho.tensor(2.0, requires_grad=True)
    outputs = kind({"b": x**2, "a": 3 * x})
    (g,) = ho.grad(outputs, x, pair(other, 1.0, 10.0))
    assert float(g) == 3.0 + 40.0
