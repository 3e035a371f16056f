"""Parameters are floating: all that takes them refuses other leaves by their path, and takes plain numbers."""

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.errors import DtypeError, ShapeError
from optim import SGD, clip, compose
from optim.base import Hyperparameter
from optim.hyper import Bilevel, Online, Reverse, bilevel, hypergradient
from optim.meta import adapt
from tests.optim.test_optimizers import OPTIMIZERS

WRAPPED = {
    "muon": optim.Muon(lr=0.1),
    "chain": compose.chain(clip.ClipByNorm(1.0), SGD(lr=0.1)),
    "chain by value": compose.chain(clip.ClipByValue(1.0), SGD(lr=0.1)),
    "chain adaptively": compose.chain(clip.ClipAdaptively(1.0), SGD(lr=0.1)),
    "decay": compose.decay(SGD(lr=0.1), 0.1),
    "groups": compose.groups(lambda path: "a", {"a": SGD(lr=0.1, momentum=0.9)}),
    "freeze": compose.freeze(SGD(lr=0.1), lambda path: "frozen" in path),
    "accumulate": compose.accumulate(SGD(lr=0.1), 2),
    "lookahead": compose.lookahead(SGD(lr=0.1), every=1),
    "average": compose.average(SGD(lr=0.1)),
    "online": Online(SGD(lr=0.1), by=SGD(lr=0.01)),
}
every_optimizer = pytest.mark.parametrize("opt", [*OPTIMIZERS.values(), *WRAPPED.values()], ids=[*OPTIMIZERS, *WRAPPED])

NOT_FLOATING = {
    "int": (3, "is int 3"),
    "bool": (True, "is bool True"),
    "integers": (ho.tensor([1, 2]), "has dtype int64"),
    "bools": (ho.tensor([True]), "has dtype bool"),
    "int8": (np.array([1], np.int8), "has dtype int8"),
    "text": ("w", "is str 'w'"),
}
each_leaf = pytest.mark.parametrize(("leaf", "phrase"), NOT_FLOATING.values(), ids=NOT_FLOATING)


def tree_with(leaf):
    return {"a": ho.tensor([[1.0, 2.0]]), "b": [ho.tensor([[1.0]]), leaf]}


@every_optimizer
@each_leaf
def test_leaves_that_are_not_floating_are_refused_by_their_path(opt, leaf, phrase):
    fine = tree_with(ho.tensor([[2.0]]))
    state = opt.init(fine)
    with pytest.raises(DtypeError, match=rf"params\['b'\]\[1\] {phrase}, expected a floating tensor"):
        opt.init(tree_with(leaf))
    with pytest.raises(DtypeError, match=rf"params\['b'\]\[1\] {phrase}, expected a floating tensor"):
        opt.step(tree_with(leaf), fine, state, value=ho.tensor(1.0))
    with pytest.raises(DtypeError, match=rf"grads\['b'\]\[1\] {phrase}, expected a floating tensor"):
        opt.step(params=fine, grads=tree_with(leaf), state=state, value=ho.tensor(1.0))


@pytest.mark.parametrize("opt", [v for k, v in OPTIMIZERS.items()] + [v for k, v in WRAPPED.items() if k != "muon"])
def test_plain_numbers_and_arrays_are_tensors(opt):
    plain = {"a": 2.0, "b": [np.array([3.0]), np.float32(4.0)]}
    slope = {"a": 1.0, "b": [np.array([-2.0]), np.float32(0.5)]}
    tensors, slopes = (ho.tree.map(ho.as_tensor, x) for x in (plain, slope))
    value = ho.tensor(1.0)
    found, _ = opt.step(plain, slope, opt.init(plain), value)
    expected, _ = opt.step(tensors, slopes, opt.init(tensors), value)
    for ours, theirs in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()


@each_leaf
def test_whatever_trains_refuses_them(leaf, phrase):
    def loss(p, *rest):
        return (p["a"] ** 2).sum() + p["b"][0].sum()

    p = tree_with(leaf)
    expected = rf"\['b'\]\[1\] {phrase}, expected a floating tensor"
    problem = Bilevel(loss, loss, init=tree_with(1.0), optimizer=SGD(lr=0.1))
    for call in (
        lambda: adapt(loss, p, None, inner=SGD(lr=0.1)),
        lambda: adapt(loss, p, None, inner=SGD(lr=0.1), steps=0),
        lambda: optim.LBFGS().minimize(loss, p),
        lambda: optim.NonlinearCG().search(loss, p),
        lambda: Bilevel(loss, loss, init=p, optimizer=SGD(lr=0.1)),
        lambda: hypergradient(Bilevel(loss, loss, lambda outer: p, SGD(lr=0.1)), ho.tensor(1.0), Reverse(1)),
        lambda: hypergradient(problem, p, Reverse(1)),
        lambda: clip.by_norm(p, 1.0),
        lambda: clip.by_value(p, 1.0),
        lambda: clip.adaptively(tree_with(1.0), p, 1.0),
    ):
        with pytest.raises(DtypeError, match=expected):
            call()


def test_a_projection_to_whole_numbers_is_refused():
    problem = Bilevel(lambda w, a: (w - a["x"]) ** 2, lambda w, a: (w - 3) ** 2, ho.tensor(0.0), SGD(lr=0.25))
    with pytest.raises(DtypeError, match=r"project\(outer\)\['x'\] has dtype int64"):
        bilevel(problem, {"x": 1.0}, SGD(lr=0.1), Reverse(2), 3, project=lambda a: {"x": a["x"].long()})


def test_an_optimizer_of_the_users_own_refuses_them_too():
    class Own(optim.Optimizer):
        lr: Hyperparameter = 0.1

        def init(self, params):
            return {"step": 0}

        def step(self, params, grads, state, value=None):
            return ho.tree.map(lambda p, g: p - self.lr * g, params, grads), {"step": state["step"] + 1}

    with pytest.raises(DtypeError, match=r"params\['b'\]\[1\] is int 1"):
        Own().init(tree_with(1))
    with pytest.raises(DtypeError, match=r"params\['b'\]\[1\] is int 1"):
        Own().step(tree_with(1), tree_with(1.0), {"step": 0})
    new, _ = Own().step({"a": 1.0}, {"a": 2.0}, {"step": 0})
    assert float(new["a"]) == pytest.approx(0.8)


def test_compiled_and_mapped_steps_take_plain_numbers():
    def step(p):
        return SGD(lr=0.1).step({"a": p["a"], "b": 2.0}, {"a": p["a"], "b": 1.0}, {"step": 0})[0]

    for f in (step, ho.compile(step)):
        assert {k: float(v) for k, v in f({"a": ho.tensor(1.0)}).items()} == pytest.approx({"a": 0.9, "b": 1.9})
    mapped = ho.vmap(step)({"a": ho.tensor([1.0, 2.0])})
    assert mapped["a"].tolist() == pytest.approx([0.9, 1.8])
    assert mapped["b"].tolist() == pytest.approx([1.9, 1.9])


def test_complex_numbers_and_containers_of_the_users_own():
    new, _ = SGD(lr=0.1).step({"a": 1 + 2j}, {"a": 1j}, {"step": 0})
    assert new["a"].item() == pytest.approx(1 + 1.9j)
    with pytest.raises(DtypeError, match="LBFGS: params is complex"):
        optim.LBFGS().minimize(lambda z: (z * z).real, 1 + 2j)

    class Bag(dict):
        pass

    with pytest.raises(DtypeError, match=r"params is Bag .*: containers are dict, .* and what hograd.tree.register"):
        SGD(lr=0.1).init(Bag(a=1.0))


@every_optimizer
def test_gradients_of_another_shape_are_refused(opt):
    p = {"a": ho.ones(2, 2), "b": [ho.ones(2, 1)]}
    for shape in ((2, 2), (1,), (), (1, 2)):
        with pytest.raises(ShapeError, match=r"grads\['b'\]\[0\] has shape .*, but params\['b'\]\[0\] has \(2, 1\)"):
            opt.step(p, {"a": ho.ones(2, 2), "b": [ho.ones(*shape)]}, opt.init(p), value=ho.tensor(1.0))
