"""Trees that belong to parameters meet them by key: labels, masks, hyperparameters, constraints, gradients, states."""

from collections import OrderedDict, defaultdict, namedtuple

import pytest

import hograd as ho
import optim
from hograd.errors import DtypeError, StructureError
from optim import SGD, Adam, compose, constraints
from optim.constraints import Interval
from optim.hyper import CG, GMRES, Bilevel, Dense, Implicit, Reverse, bilevel, hypergradient
from optim.schedules import PerStep

MAPPINGS = {
    "dict": dict,
    "ordered": OrderedDict,
    "reversed": lambda items: OrderedDict(reversed(list(dict(items).items()))),
    "default": lambda items: defaultdict(int, items),
}
each_kind = pytest.mark.parametrize("kind", MAPPINGS.values(), ids=MAPPINGS)
each_other_kind = pytest.mark.parametrize("other", MAPPINGS.values(), ids=MAPPINGS)


def parameters(kind):
    """The inner mapping has its keys in an order of their own."""
    return kind(
        {"w": ho.tensor(1.0), "inner": kind({"q": ho.tensor(10.0), "p": [ho.tensor(100.0)]}), "b": ho.tensor(0.0)}
    )


def stepped(opt, p, grads=None):
    state = opt.init(p)
    new, _ = opt.step(p, ho.tree.map(ho.ones_like, p) if grads is None else grads, state)
    assert ho.tree.structure(new) == ho.tree.structure(p)
    return numbers(new)


def numbers(p):
    return {path: float(leaf) for path, leaf in zip(ho.tree.paths(p), ho.tree.leaves(p), strict=True)}


def expected(w, q, p, b):
    return {"['w']": w, "['inner']['q']": q, "['inner']['p'][0]": p, "['b']": b}


def labels(kind, w, q, p, b):
    return kind({"b": b, "inner": kind({"q": q, "p": p}), "w": w})


@each_kind
@each_other_kind
class TestEveryMapping:
    def test_labels_of_groups(self, kind, other):
        opt = compose.groups(labels(other, "a", "b", "c", "a"), {"a": SGD(lr=1.0), "b": SGD(lr=2.0), "c": SGD(lr=3.0)})
        assert stepped(opt, parameters(kind)) == expected(0.0, 8.0, 97.0, -1.0)

    def test_a_mask_of_freeze(self, kind, other):
        opt = compose.freeze(SGD(lr=1.0), labels(other, True, False, True, False))
        assert stepped(opt, parameters(kind)) == expected(1.0, 9.0, 100.0, -1.0)

    def test_a_mask_of_decay(self, kind, other):
        opt = compose.decay(SGD(lr=1.0), 0.5, labels(other, True, False, True, False))
        assert stepped(opt, parameters(kind)) == expected(-0.5, 9.0, 49.0, -1.0)

    def test_hyperparameters_and_schedules(self, kind, other):
        rates = labels(other, 1.0, PerStep(ho.tensor([2.0, 5.0])), ho.tensor(3.0), 4.0)
        assert stepped(SGD(lr=rates), parameters(kind)) == expected(0.0, 8.0, 97.0, -4.0)
        betas = labels(other, 0.0, 0.0, 0.0, 0.0), 0.999
        one = stepped(Adam(lr=labels(other, 1.0, 2.0, 3.0, 4.0), betas=betas, eps=0.0), parameters(kind))
        assert one == pytest.approx(expected(0.0, 8.0, 97.0, -4.0))

    def test_gradients(self, kind, other):
        grads = labels(other, ho.tensor(1.0), ho.tensor(2.0), [ho.tensor(3.0)], None)
        assert stepped(SGD(lr=1.0), parameters(kind), grads) == expected(0.0, 8.0, 97.0, 0.0)
        assert stepped(compose.accumulate(SGD(lr=1.0), 1), parameters(kind), grads) == expected(0.0, 8.0, 97.0, 0.0)

    def test_a_state_begun_with_another_mapping(self, kind, other):
        for opt in (
            SGD(lr=1.0, momentum=0.5),
            compose.accumulate(SGD(lr=1.0), 2),
            compose.lookahead(SGD(lr=1.0), every=2),
            compose.average(SGD(lr=1.0), 0.5),
            compose.freeze(SGD(lr=1.0, momentum=0.5), lambda path: "q" in path),
        ):
            rates = labels(kind, ho.tensor(1.0), ho.tensor(2.0), [ho.tensor(3.0)], ho.tensor(4.0))
            p, q = parameters(kind), parameters(other)
            same, state = p, opt.init(p)
            moved, states = q, opt.init(q)
            for _ in range(3):
                same, state = opt.step(same, rates, state)
                # From here on the parameters are of the one kind, the state of the other.
                moved = ho.tree.unflatten(ho.tree.structure(p), ho.tree.match(p, moved))
                moved, new = opt.step(moved, rates, states)
                states = ho.tree.unflatten(ho.tree.structure(states), ho.tree.match(states, new))
            assert numbers(moved) == numbers(same)

    def test_constraints(self, kind, other):
        spec = labels(other, Interval(0, 1), Interval(10, 11), Interval(2, 3), Interval(-1, 0))
        free = ho.tree.map(ho.zeros_like, parameters(kind))
        value = constraints.constrain(spec, free)
        assert numbers(value) == pytest.approx(expected(0.5, 10.5, 2.5, -0.5))
        assert numbers(constraints.unconstrain(spec, value)) == pytest.approx(expected(0.0, 0.0, 0.0, 0.0), abs=1e-9)

    def test_the_state_of_a_bound_optimizer(self, kind, other):
        def bound(kind):
            return optim.stateful.bind(
                SGD(lr=1.0, momentum=0.5), ho.tree.map(lambda x: x.detach().requires_grad_(), parameters(kind))
            )

        one, two = bound(kind), bound(other)
        for opt in (one, two):
            opt.step(2 * opt.params["w"] + 3 * opt.params["b"] + opt.params["inner"]["q"])
        two.load_state_dict(one.state_dict())
        assert numbers(two.state["momentum"]) == expected(2.0, 1.0, 0.0, 3.0)

    def test_outer_variables_after_a_projection(self, kind, other):
        problem = Bilevel(
            lambda w, outer: (w - outer["a"] * outer["b"]) ** 2,
            lambda w, outer: (w - 6.0) ** 2 + (outer["a"] - 2.0) ** 2,
            ho.tensor(0.0),
            optimizer=SGD(lr=0.5),
        )
        outer = kind({"b": 1.0, "a": 0.5})

        def project(outer):
            return other({"a": outer["a"].clamp(0.0, 1.0), "b": outer["b"]})

        found = bilevel(problem, outer, SGD(lr=0.2), Reverse(1), 30, project=project)
        assert type(found.outer) is type(outer)
        assert float(found.outer["a"]) == pytest.approx(1.0)
        assert float(found.outer["b"]) == pytest.approx(6.0, abs=1e-3)


Point = namedtuple("Point", "x y")


def test_namedtuples_and_optimizers_are_prefixes_by_their_fields():
    p = Point(ho.tensor(1.0), {"a": ho.tensor(2.0), "b": ho.tensor(3.0)})
    assert stepped(compose.freeze(SGD(lr=1.0), Point(True, OrderedDict(b=False, a=True))), p) == {
        ".x": 1.0,
        ".y['a']": 2.0,
        ".y['b']": 2.0,
    }
    learned = SGD(lr=ho.tensor(0.1), momentum=ho.tensor(0.5))
    spec = SGD(lr=True, momentum=False, dampening=True, weight_decay=True)
    new, _ = compose.freeze(SGD(lr=0.25), spec).step(
        learned, ho.tree.map(lambda _: 1.0, learned), compose.freeze(SGD(lr=0.25), spec).init(learned)
    )
    assert (float(new.lr), float(new.momentum)) == (0.1, 0.25)


@pytest.mark.parametrize(
    ("prefix", "phrase"),
    [
        ({"w": True}, r"mask is no prefix of params: nothing in it stands for params\['b'\]\[0\]"),
        ({"w": True, "b": False, "c": True}, r"mask\['c'\] stands for nothing"),
        (
            {"w": {"x": True}, "b": False},
            r"nothing in it stands for params\['w'\], and mask\['w'\]\['x'\] stands for n",
        ),
        ({"w": True, "b": (True, False)}, r"mask is no prefix of params: found .*\(\*, \*\)"),
        ({"w": True, "b": [True]}, r"nothing in it stands for params\['b'\]\[1\]"),
        ({"w": None, "b": True}, r"nothing in it stands for params\['w'\]"),
        (Point(True, False), "mask is no prefix of params"),
    ],
)
def test_a_prefix_that_does_not_fit_names_the_path(prefix, phrase):
    p = {"w": ho.tensor(1.0), "b": [ho.tensor(2.0), ho.tensor(3.0)]}
    with pytest.raises(StructureError, match=phrase):
        compose.freeze(SGD(lr=1.0), prefix).init(p)


def test_hyperparameters_of_the_upper_part_of_the_parameters():
    p = {"body": [ho.tensor(1.0), ho.tensor(2.0)], "head": ho.tensor(3.0)}
    assert stepped(SGD(lr=OrderedDict(head=1.0, body=0.5)), p) == {
        "['body'][0]": 0.5,
        "['body'][1]": 1.5,
        "['head']": 2.0,
    }
    problem = Bilevel(
        lambda w, opt: w["a"] ** 2 + w["b"] ** 2, lambda w, opt: w["a"] + 3 * w["b"], {"b": 2.0, "a": 1.0}
    )
    slope = hypergradient(problem, SGD(lr=OrderedDict(b=0.1, a=0.2)), Reverse(1)).hypergrad.lr
    # w - lr 2 w  moves by  -2 w  with its rate.
    assert list(slope) == ["b", "a"]
    assert (float(slope["a"]), float(slope["b"])) == (-2.0, -12.0)


def test_a_hyperparameter_that_is_no_number_is_refused():
    p = {"w": ho.tensor(1.0)}
    with pytest.raises(DtypeError, match=r"SGD\.lr is str 'fast' for params\['w'\], expected a number"):
        SGD(lr={"w": "fast"}).step(p, p, {"step": 0})


@each_kind
@each_other_kind
@pytest.mark.parametrize("solver", [CG(), GMRES(), Dense()], ids=["cg", "gmres", "dense"])
def test_an_inner_equation_in_another_mapping(kind, other, solver):
    def loss(w, a):
        return (w["b"] - a) ** 2 + 3 * (w["a"] - 2 * a) ** 2 + w["a"] * w["b"]

    def equation(w, a):
        return other(dict(reversed(ho.func.grad(loss)(w, a).items())))

    problem = Bilevel(loss, lambda w, a: w["b"] + 3 * w["a"], kind({"b": 1.0, "a": 2.0}), SGD(lr=0.1))
    slope = hypergradient(problem, 1.0, Implicit(solver, steps=300, equation=equation)).hypergrad
    assert float(slope) == pytest.approx(6.0)
