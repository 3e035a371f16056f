"""What a solver tells beside its solution: as it is, for each element, in every mode, changing no derivative."""

from collections import OrderedDict

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import ArgumentError, DtypeError, HogradError, StructureError

BACKENDS = [None, "numpy", "native"]
each_backend = pytest.mark.parametrize("backend", BACKENDS, ids=["eager", "numpy", "native"])


def in_mode(f, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    return f if backend is None else ho.compile(f, backend=backend)


@ho.custom_root(lambda x, a: {"x": x["x"] ** 2 - a}, has_aux=True)
def root(guess, a):
    """The square root by Newton's steps, and how it went, in many dtypes."""
    x, steps = guess["x"], 0
    while float(abs(x * x - a).max()) > 1e-12 * max(1.0, float(abs(a).max())):
        x, steps = (x + a / x) / 2, steps + 1
    how = {
        "steps": steps,
        "done": True,
        "left": (x * x - a).astype(ho.float32),
        "phase": ho.tensor([1 + 2j, 3.0]),
        "nothing": None,
        "list": [np.int8(-3), 0.25, ho.zeros(0)],
    }
    return {"x": x}, how


def expected_steps(a):
    return int(root({"x": ho.ones(())}, ho.tensor(a))[1]["steps"])


@each_backend
def test_value_and_what_is_told(backend):
    a = ho.tensor([4.0, 9.0])
    x, how = in_mode(lambda a: root({"x": ho.ones(2)}, a), backend)(a)
    np.testing.assert_allclose(x["x"].numpy(), [2.0, 3.0], rtol=1e-12)
    assert (how["steps"].dtype, how["done"].dtype, how["left"].dtype) == (ho.int64, ho.bool, ho.float32)
    assert (how["phase"].dtype, how["list"][0].dtype, how["list"][1].dtype) == (ho.complex128, ho.int8, ho.float64)
    assert bool(how["done"])
    assert int(how["list"][0]) == -3
    assert float(how["list"][1]) == 0.25
    assert how["list"][2].shape == (0,)
    assert how["phase"].tolist() == [1 + 2j, 3 + 0j]
    assert how["left"].shape == (2,)
    assert int(how["steps"]) > 3
    assert not any(leaf.requires_grad for leaf in ho.tree.leaves(how))


@each_backend
def test_derivatives_of_three_orders_in_both_modes(backend):
    def f(a):
        x, how = root({"x": ho.ones(())}, a)
        return x["x"], how["steps"]

    a = ho.tensor(4.0)
    derivative, exact = f, [2.0, 1 / 4, -1 / 32, 3 / 256]
    for order in range(4):
        value, steps = in_mode(derivative, backend)(a)
        assert float(value) == pytest.approx(exact[order], rel=1e-9)
        assert int(steps) == expected_steps(4.0)
        derivative = func.grad(derivative, has_aux=True)
    tangent = in_mode(lambda a: func.jvp(f, (a,), (ho.ones_like(a),), has_aux=True), backend)(a)
    assert float(tangent[1]) == pytest.approx(0.25)
    assert int(tangent[2]) == expected_steps(4.0)
    mixed = in_mode(lambda a: func.jvp(func.grad(lambda a: f(a)[0]), (a,), (ho.ones_like(a),))[1], backend)(a)
    assert float(mixed) == pytest.approx(-1 / 32)


def test_what_is_told_has_no_derivative():
    a = ho.tensor(4.0, requires_grad=True)
    x, how = root({"x": ho.ones(())}, a)
    assert not how["left"].requires_grad
    (slope,) = ho.grad(x["x"] * how["steps"], a, create_graph=True)
    assert float(slope) == pytest.approx(0.25 * int(how["steps"]))
    (second,) = ho.grad(slope, a)
    assert float(second) == pytest.approx(-1 / 32 * int(how["steps"]))
    _, tangent = func.jvp(lambda a: root({"x": ho.ones(())}, a)[1]["left"], (a.detach(),), (ho.tensor(1.0),))
    assert float(tangent) == 0.0


@each_backend
def test_every_element_under_vmap_tells_its_own(backend):
    values = [1.0, 4.0, 1e6]

    def f(a):
        return root({"x": ho.ones(())}, a)

    x, how = in_mode(ho.vmap(f), backend)(ho.tensor(values))
    np.testing.assert_allclose(x["x"].numpy(), np.sqrt(values), rtol=1e-10)
    assert how["steps"].tolist() == [expected_steps(a) for a in values]
    assert len(set(how["steps"].tolist())) == 3
    assert how["phase"].shape == (3, 2)
    slopes, told = in_mode(ho.vmap(func.grad(lambda a: (f(a)[0]["x"], f(a)[1]["steps"]), has_aux=True)), backend)(
        ho.tensor(values)
    )
    np.testing.assert_allclose(slopes.numpy(), 0.5 / np.sqrt(values), rtol=1e-9)
    assert told.tolist() == how["steps"].tolist()


@each_backend
def test_a_compiled_call_tells_of_its_own_arguments(backend):
    fast = in_mode(lambda a: root({"x": ho.ones(())}, a), backend)
    for a in (4.0, 1e6, 0.5):
        x, how = fast(ho.tensor(a))
        assert float(x["x"]) == pytest.approx(a**0.5)
        assert int(how["steps"]) == expected_steps(a)


@pytest.mark.parametrize("dtype", [ho.float32, ho.float64])
def test_the_solution_keeps_its_dtype(dtype):
    solver = ho.custom_root(lambda x, a: 2 * x - a, lambda _, a: (a / 2, 7), has_aux=True)
    a = ho.tensor([1.0, 3.0], dtype=dtype)
    x, steps = solver(None, a)
    assert (x.dtype, steps.dtype) == (dtype, ho.int64)
    slope, told = func.grad(lambda a: (solver(None, a)[0].sum(), solver(None, a)[1]), has_aux=True)(a)
    assert (slope.dtype, int(told)) == (dtype, 7)
    assert slope.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("linear_solve", [None, "dense", "gmres", "cg"])
def test_every_solver_of_the_linear_system(linear_solve):
    solver = ho.custom_root(lambda x, a: 2 * x - a, lambda _, a: (a / 2, a), linear_solve=linear_solve, has_aux=True)
    slope = func.grad(lambda a: solver(None, a)[0].sum())(ho.tensor([1.0, 3.0]))
    np.testing.assert_allclose(slope.numpy(), [0.5, 0.5])


def half(told):
    return ho.custom_root(lambda x, a: 2 * x - a, lambda _, a: told(a), has_aux=True)


def test_mistakes_are_named():
    a = ho.tensor(1.0)
    for told in (lambda a: a / 2, lambda a: (a / 2, 1, 2), lambda a: [a / 2, 1]):
        with pytest.raises(StructureError, match=r"with has_aux <lambda> must return \(solution, aux\)"):
            half(told)(None, a)
    with pytest.raises(DtypeError, match=r"told aux\['why'\] of type str, expected a number or tensor"):
        half(lambda a: (a / 2, {"why": "small"}))(None, a)
    with pytest.raises(DtypeError, match=r"told aux\['n'\] beyond 2\*\*53"):
        half(lambda a: (a / 2, {"n": 2**60}))(None, a)
    with pytest.raises(StructureError, match=r"told \{n: float64\[2\]\}, but \{n: float64\[1\]\} before"):
        ho.vmap(lambda a: half(lambda a: (a / 2, {"n": ho.ones(int(a))}))(None, a))(ho.tensor([1.0, 2.0]))
    with pytest.raises(ArgumentError, match="not among its arguments"):
        ho.vmap(lambda a, b: half(lambda a: (a / 2, b))(None, a))(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    fast = ho.compile(lambda a: half(lambda a: (a / 2, ho.ones(int(a))))(None, a))
    assert fast(ho.tensor(2.0))[1].shape == (2,)
    with pytest.raises(HogradError, match="before: what it tells has to be alike"):
        fast(ho.tensor(3.0))


def test_equations_in_another_mapping_keep_a_symmetric_system_symmetric():
    """With the equations in the order of the keys of their own mapping, conjugate gradients met a turned matrix."""

    def f(x, s):
        return {"b": 4.0 * x["b"] + x["a"] - s, "a": 3.0 * x["a"] + x["b"] - 2 * s}

    def solve(guess, s):
        return OrderedDict(b=s / 11, a=s * 7 / 11)

    slope = func.grad(lambda s: ho.custom_root(f, solve, linear_solve="cg")(None, s)["a"])(ho.tensor(1.0))
    assert float(slope) == pytest.approx(7 / 11)
