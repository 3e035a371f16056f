"""What holds for every method of `hypergradient`: the same kind of result, and sense at the edges."""

import dataclasses

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ConvergenceWarning, DtypeError, ShapeError
from optim import SGD
from optim.hyper import (
    CG,
    DARTS,
    GMRES,
    MINRES,
    PES,
    Bilevel,
    Dense,
    FixedPoint,
    Forward,
    Hypergradient,
    Identity,
    Implicit,
    Info,
    Neumann,
    NormalCG,
    Nystrom,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    bilevel,
    hypergradient,
)

STEPS = 200
SOLVERS = [
    Dense(),
    CG(tolerance=1e-12),
    NormalCG(tolerance=1e-12),
    MINRES(tolerance=1e-12),
    GMRES(tolerance=1e-12),
    Neumann(200, lr=0.25),
    FixedPoint(200),
    Nystrom(5, damping=1e-12),
]
EXACT = {
    "reverse": Reverse(STEPS),
    "reverse with checkpoints": Reverse(STEPS, checkpoint="sqrt"),
    "truncated": Truncated(STEPS, last=180),
    "forward": Forward(STEPS),
    "reversible": Reversible(STEPS),
    **{f"implicit {type(solver).__name__}": Implicit(solver, steps=STEPS) for solver in SOLVERS},
}
ROUGH = {
    "implicit Identity": Implicit(Identity(lr=0.5), steps=STEPS),
    "darts": DARTS(lr=0.1, steps=STEPS),
    "gaussian plain": ZeroOrder(STEPS, sigma=0.5, samples=2, form="plain"),
    "gaussian forward": ZeroOrder(STEPS, sigma=0.5, samples=2, form="forward"),
    "gaussian antithetic": ZeroOrder(STEPS, sigma=0.5, samples=2),
    "persistent strategies": PES(STEPS, window=STEPS // 2, sigma=0.5, samples=2),
}
METHODS = {**EXACT, **ROUGH}
MOMENTUM = SGD(lr=0.25, momentum=0.3)


def tree_problem():
    """A tree of parameters and of outer variables; converged well before the steps end."""
    return Bilevel(
        lambda p, o: ((p["a"] - o["x"]) ** 2).sum() + (p["b"] - p["a"].sum() * o["y"]) ** 2 / 2,
        lambda p, o: (p["a"] ** 2).sum() + (p["b"] - o["x"].sum()) ** 2,
        init={"a": ho.zeros(2), "b": ho.tensor(0.5)},
        optimizer=MOMENTUM,
    )


@pytest.mark.parametrize("name", METHODS)
def test_the_result_is_of_the_same_kind(name):
    outer = {"x": ho.tensor([1.0, -0.5]), "y": 0.3}
    result = hypergradient(tree_problem(), outer, METHODS[name])
    assert isinstance(result, Hypergradient)
    value, hypergrad, info = result
    assert isinstance(value, ho.Tensor)
    assert value.shape == ()
    assert {key: g.shape for key, g in hypergrad.items()} == {"x": (2,), "y": ()}
    assert all(g.dtype == np.float64 and bool(g.isfinite().all()) for g in hypergrad.values())
    assert isinstance(info, Info)
    assert {key: p.shape for key, p in info.params.items()} == {"a": (2,), "b": ()}
    assert not any(p.requires_grad for p in info.params.values())
    assert info.inner_steps == STEPS
    assert info.inner_gradients >= STEPS
    assert info.hessian_products >= 0
    assert (info.residual is not None) == (name in [f"implicit {type(s).__name__}" for s in SOLVERS])
    assert (info.inner_residual is not None) == name.startswith("implicit")
    assert info.converged
    assert isinstance(info.memory, int)
    assert info.memory >= 0
    if name in EXACT:
        direct = tree_problem().outer_loss(info.params, ho.tree.map(ho.as_tensor, outer))
        assert float(value) == pytest.approx(float(direct), rel=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_all_exact_methods_agree_where_training_converges(name):
    outer = {"x": ho.tensor([1.0, -0.5]), "y": 0.3}
    found = hypergradient(tree_problem(), outer, EXACT[name]).hypergrad
    # a = x and b = y sum(a) , so E = |x|^2 + (y - 1)^2 sum(x)^2 .
    total = 0.5
    np.testing.assert_allclose(found["x"].numpy(), 2 * np.array([1.0, -0.5]) + 2 * 0.49 * total, rtol=1e-8)
    assert float(found["y"]) == pytest.approx(2 * -0.7 * total**2, rel=1e-8)


@pytest.mark.parametrize("name", EXACT)
def test_numbers_of_shape_zero(name):
    problem = Bilevel(lambda w, a: (w - ho.exp(a)) ** 2, lambda w, a: w**2, init=ho.tensor(0.0), optimizer=MOMENTUM)
    method = EXACT[name]
    if "Nystrom" in name:
        method = dataclasses.replace(method, solver=Nystrom(1, 1e-12))
    value, hypergrad, info = hypergradient(problem, 0.4, method)
    assert hypergrad.shape == info.params.shape == ()
    assert float(value) == pytest.approx(np.exp(0.8), rel=1e-10)
    assert float(hypergrad) == pytest.approx(2 * np.exp(0.8), rel=1e-10)


@pytest.mark.parametrize("name", [*EXACT, "implicit Identity", "darts"])
def test_an_outer_loss_that_does_not_heed_the_parameters(name):
    problem = Bilevel(
        lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (a**3).sum() + 0 * w.sum(), ho.zeros(2), optimizer=MOMENTUM
    )
    found = hypergradient(problem, ho.tensor([1.0, -2.0]), METHODS[name])
    assert found.hypergrad.numpy().tolist() == [3.0, 12.0]


@pytest.mark.parametrize("name", [*EXACT, "implicit Identity", "darts"])
def test_an_outer_loss_of_the_parameters_alone_and_outer_variables_that_steer_nothing(name):
    problem = Bilevel(lambda w, a: (w**2).sum(), lambda w, a: w.sum(), ho.ones(2), optimizer=MOMENTUM)
    found = hypergradient(problem, {"unused": ho.ones(3)}, METHODS[name])
    assert found.hypergrad["unused"].numpy().tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", METHODS)
def test_outer_variables_and_parameters_are_not_changed(name):
    outer, start = ho.tensor([1.0, -2.0]), ho.zeros(2)
    problem = Bilevel(lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (w**2).sum(), start, optimizer=MOMENTUM)
    first = hypergradient(problem, outer, METHODS[name]).hypergrad.numpy()
    assert outer.numpy().tolist() == [1.0, -2.0]
    assert start.numpy().tolist() == [0.0, 0.0]
    assert not outer.requires_grad
    assert hypergradient(problem, outer, METHODS[name]).hypergrad.numpy().tolist() == first.tolist()


SMOOTH = [name for name in EXACT if name != "reversible" and "Nystrom" not in name]


@pytest.mark.parametrize("name", SMOOTH)
def test_every_smooth_method_is_differentiable_again_in_both_modes(name):
    problem = Bilevel(
        lambda w, a: ((w - a) ** 2).sum() + (w**4).sum() / 40,
        lambda w, a: (w**3).sum(),
        ho.ones(2),
        optimizer=SGD(lr=0.25, momentum=0.2),
    )
    a, direction = ho.tensor([0.7, -0.4]), ho.tensor([0.3, 1.1])
    method = EXACT[name]
    if hasattr(method, "steps"):
        method = dataclasses.replace(method, steps=60, **({"last": 50} if "truncated" in name else {}))

    def slope(a):
        return (hypergradient(problem, a, method).hypergrad * direction).sum()

    # w + w^3 / 20 = a , so  dw/da = 1 / (1 + 3 w^2 / 20) = s  and  d2w/da2 = -s^3 (6 w / 20) .
    w = hypergradient(problem, a, method).info.params.numpy()
    s = 1 / (1 + 3 * w**2 / 20)
    exact = direction.numpy() * (6 * w * s**2 + 3 * w**2 * -(s**3) * 6 * w / 20)
    np.testing.assert_allclose(ho.func.grad(slope)(a).numpy(), exact, rtol=1e-7)
    value, forward = ho.func.jvp(slope, (a,), (direction,))
    assert float(forward) == pytest.approx(float(exact @ direction.numpy()), rel=1e-7)
    # The value, too, has a derivative in forward mode: the hypergradient along the direction.
    _, moved = ho.func.jvp(lambda a: hypergradient(problem, a, method).value, (a,), (direction,))
    assert float(moved) == pytest.approx(float(value), rel=1e-7)


LATE = [name for name in METHODS if name != "reversible"]


def curved():
    return Bilevel(
        lambda w, a: ((w - a["x"]) ** 2).sum() + a["l2"] * (w**4).sum() / 40,
        lambda w, a: (w**3).sum() + a["l2"],
        ho.ones(2),
        optimizer=SGD(lr=0.25, momentum=0.2),
    )


def shorter(method):
    return dataclasses.replace(method, **{field: v for field, v in SHORT.items() if hasattr(method, field)})


SHORT = {"steps": 20, "last": 7, "window": 10}
OUTER = {"x": ho.tensor([0.7, -0.4]), "l2": ho.tensor(0.5)}


@pytest.mark.parametrize("name", LATE)
def test_compiled_and_mapped_it_is_the_same(name):
    problem, method = curved(), shorter(METHODS[name])

    def both(outer):
        return hypergradient(problem, outer, method)[:2]

    other = ho.tree.map(lambda x: x * 1.5, OUTER)
    expected = [both(outer) for outer in (OUTER, other)]
    compiled = ho.compile(both)
    mapped = ho.func.vmap(both)(ho.tree.map(lambda x, y: ho.stack([x, y]), OUTER, other))
    for i, (outer, exact) in enumerate(zip((OUTER, other), expected, strict=True)):
        row = ho.tree.map(lambda x, i=i: x[i], mapped)
        for found in (compiled(outer), row):
            for ours, theirs in zip(ho.tree.leaves(found), ho.tree.leaves(exact), strict=True):
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-13)


def test_what_works_on_whole_numbers_says_that_it_cannot_be_mapped():
    with pytest.raises(ArgumentError, match="use Reverse, or `detach` them"):
        ho.func.vmap(lambda x: hypergradient(curved(), {**OUTER, "x": x}, Reversible(5)).value)(ho.ones(3, 2))


MISTAKES = {
    "an outer loss of shape (2,)": (
        {"outer_loss": lambda w, a: w**2},
        ShapeError,
        r"outer_loss returned shape \(2,\), expected \(\): reduce it with sum",
    ),
    "an inner loss of shape (2,)": (
        {"inner_loss": lambda w, a: (w - a) ** 2},
        ShapeError,
        r"inner_loss returned shape \(2,\), expected \(\): reduce it with sum",
    ),
    "a loss that is no tensor": (
        {"inner_loss": lambda w, a: 1.0},
        DtypeError,
        r"inner_loss returned float, expected a tensor of shape \(\)",
    ),
    "whole numbers as parameters": (
        {"init": {"w": ho.ones(2), "b": ho.tensor(1)}},
        DtypeError,
        r"init\['b'\] has dtype int64, expected a floating tensor or number",
    ),
    "no optimizer": ({"optimizer": None}, DtypeError, "the inner optimizer is .*, expected an Optimizer; pass"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["reverse", "truncated", "forward", "reversible", "implicit CG", *ROUGH])
def test_mistakes_in_a_problem_are_named(name, mistake):
    changes, error, text = MISTAKES[mistake]
    right = Bilevel(lambda w, a: ((w - a) ** 2).sum(), lambda w, a: (w**2).sum(), ho.zeros(2), optimizer=MOMENTUM)
    with pytest.raises(error, match=text):
        hypergradient(dataclasses.replace(right, **changes), ho.ones(2), METHODS[name])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: hypergradient(curved(), OUTER, Reverse), "method is <class .*Reverse.*>, expected an object such as"),
        (lambda: hypergradient(curved(), OUTER, "reverse"), "method is 'reverse', expected an object such as"),
        (lambda: hypergradient(curved(), {**OUTER, "l2": 1}, Reverse(3)), r"outer\['l2'\] is int 1, expected a float"),
        (lambda: hypergradient(curved(), {"x": ho.arange(2)}, Reverse(3)), r"outer\['x'\] has dtype int64, expect"),
        (lambda: Implicit(CG, steps=3), "solver is <class .*CG.*>, expected one of `solvers`"),
        (lambda: Implicit("cg", steps=3), "solver is 'cg', expected one of `solvers`, such as"),
        (lambda: bilevel(curved(), OUTER, Reverse(3), SGD(lr=0.1)), "optimizer is Reverse, expected an Optimizer"),
    ],
)
def test_mistakes_in_a_call_are_named(call, text):
    with pytest.raises(DtypeError, match=text):
        call()


def test_a_solver_at_a_fixed_price_whose_answer_is_far_off_warns():
    with pytest.warns(ConvergenceWarning, match=r"Nystrom\(rank=1.* left a residual of .*more columns"):
        info = hypergradient(
            tree_problem(), {"x": ho.tensor([1.0, -0.5]), "y": 0.3}, Implicit(Nystrom(1, damping=1e-6), steps=STEPS)
        ).info
    assert not info.converged
    assert info.residual > 1.1


def test_what_the_memory_grows_with():
    def memory(method):
        return hypergradient(curved(), OUTER, method).info.memory

    assert memory(Implicit(CG(), steps=10)) == memory(Implicit(CG(), steps=100)) > 2 * 8
    assert memory(Forward(10)) == memory(Forward(100)) > 0
    growth = [memory(Truncated(100, last)) for last in (10, 20, 30)]
    assert growth[1] - growth[0] == growth[2] - growth[1] > 10 * 2 * 8
    assert memory(Truncated(30, last=10)) == growth[0]
    assert memory(Reverse(90)) > 2 * memory(Reverse(90, checkpoint="sqrt"))
    assert memory(Reversible(100)) < memory(Truncated(100, last=100)) / 10
