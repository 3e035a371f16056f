"""Inner training on one flat array in compiled functions: the same numbers, for optimizers that may do so."""

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.program.loops import LOOP
from optim.base import Optimizer
from optim.hyper import Bilevel, Reverse, hypergradient, train
from optim.hyper.flat import Flat, flat_for
from optim.schedules import Cosine, PerStep

RNG = np.random.default_rng(0)
X, Y = ho.tensor(RNG.normal(size=(20, 3))), ho.tensor(RNG.normal(size=(20, 2)))
PARAMS = {"weight": ho.tensor(RNG.normal(size=(3, 2))), "bias": ho.tensor(RNG.normal(size=2)), "scale": ho.tensor(1.3)}

ELEMENTWISE = [
    optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1),
    optim.SGD(lr=PerStep([0.1, 0.2, 0.05]), momentum=0.5, nesterov=True),
    *[cls(lr=0.05) for cls in (optim.Adam, optim.AdamW, optim.AMSGrad, optim.NAdam, optim.RAdam, optim.Adamax)],
    *[cls(lr=0.05) for cls in (optim.AdaBelief, optim.Adan, optim.Lion, optim.Yogi, optim.Adagrad, optim.Adadelta)],
    optim.RMSprop(lr=0.05, momentum=0.9, centered=True),
    optim.Rprop(lr=0.05),
    optim.ASGD(lr=Cosine(0.05, period=7)),
]


def loss(params, outer=None):
    return ((ho.tanh(X @ params["weight"] + params["bias"]) * params["scale"] - Y) ** 2).mean()


def problem(init=PARAMS):
    return Bilevel(loss, loss, init=init)


def agree(found, expected, **tolerances):
    assert ho.tree.structure(found) == ho.tree.structure(expected)
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ho.as_tensor(y).numpy(), ho.as_tensor(e).numpy(), **tolerances)


@pytest.mark.parametrize("optimizer", ELEMENTWISE, ids=lambda o: type(o).__name__)
def test_parameters_state_and_hypergradient_are_those_of_the_tree(optimizer):
    assert flat_for(optimizer, PARAMS) is not None

    def run(optimizer):
        result = hypergradient(problem(), optimizer, Reverse(steps=3))
        return result.value, result.hypergrad, result.info.params, result.info.state

    agree(ho.compile(run)(optimizer), run(optimizer), rtol=1e-9, atol=1e-12)


def test_all_of_the_optimizer_s_arithmetic_is_on_one_array():
    program = ho.compile(lambda opt: train(problem(), opt, 3)[0]).program(optim.Adam(lr=ho.tensor(0.1)))
    (loop,) = [at.params["code"] for at in program.instructions if at.primitive is LOOP]
    roots = [at for at in loop.step.instructions if at.primitive.name == "safe_sqrt" or at.primitive.name == "sqrt"]
    assert [loop.step.kinds[at.output].shape for at in roots] == [(9,)]


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.LAMB(lr=0.1),
        optim.LARS(lr=0.1),
        optim.Muon(lr=0.1),
        optim.Adafactor(lr=0.1),
        optim.PolyakSGD(lr=0.1),
        optim.SGD(lr={"weight": 0.1, "bias": 0.2, "scale": 0.3}),
        optim.SGD(lr=ho.tensor([0.1, 0.2])),
        optim.SGD(lr=PerStep(np.full((3, 2), 0.1))),
        optim.compose.chain(optim.clip.ClipByNorm(1.0), optim.SGD(lr=0.1)),
    ],
    ids=lambda o: type(o).__name__,
)
def test_what_is_not_the_same_for_every_element_keeps_the_tree(optimizer):
    assert flat_for(optimizer, PARAMS) is None


def test_one_array_other_dtypes_and_integers_keep_the_tree():
    optimizer = optim.SGD(lr=0.1)
    assert flat_for(optimizer, ho.ones(3)) is None
    assert flat_for(optimizer, [ho.ones(3), ho.ones(2, dtype="float32")]) is None
    assert flat_for(optimizer, [ho.ones(3, dtype="complex128"), ho.ones(2, dtype="complex128")]) is None


class Normalised(optim.SGD):
    """A user's own rule, which is not elementwise though that of the class above is."""

    def update(self, p, g, state, hyper, step):
        return p - hyper.lr * g / (g * g).sum().sqrt(), state


class Own(Optimizer):
    """Says that it is."""

    elementwise = True
    lr: float = 0.1

    def update(self, p, g, state, hyper, step):
        return p - hyper.lr * ho.sign(g), state


class Renamed(Own):
    """Changes nothing."""

    lr: float = 0.2


def test_a_subclass_with_a_rule_of_its_own_has_to_say_so_again():
    assert flat_for(Normalised(lr=0.1), PARAMS) is None
    assert flat_for(Own(), PARAMS) is not None
    assert flat_for(Renamed(), PARAMS) is not None
    for optimizer in (Normalised(lr=0.1), Own()):
        run = lambda lr, o=optimizer: train(problem(), o.replace(lr=lr), 3)[0]  # noqa: E731
        agree(ho.compile(run)(ho.tensor(0.1)), run(ho.tensor(0.1)), rtol=1e-12)


def test_each_bias_lies_behind_its_weight():
    shapes = {"a": [(3, 2), (2,), (2, 2), (2,)], "b": [(2,), (3, 2), (2,), (2, 2)], "c": [(2,), (2,), (4, 2), ()]}
    orders = {"a": [0, 1, 2, 3], "b": [1, 0, 3, 2], "c": [0, 2, 1, 3]}
    for name, given in shapes.items():
        params = [ho.tensor(RNG.normal(size=shape)) for shape in given]
        flat = Flat(params)
        assert flat.order == orders[name]
        agree(flat.parts(flat.joined(params)), params, rtol=0)
    assert Flat([ho.ones(2), ho.ones(3)]).order == [0, 1]


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", 2, "binomial"])
def test_derivatives_by_initial_parameters_with_checkpoints(checkpoint):
    def run(params):
        inner = Bilevel(lambda w, o: loss(w), lambda w, o: loss(w), init=lambda o: o, optimizer=optim.Adam(lr=0.1))
        return hypergradient(inner, params, Reverse(steps=5, checkpoint=checkpoint)).hypergrad

    agree(ho.compile(run)(PARAMS), run(PARAMS), rtol=1e-9, atol=1e-12)


def test_batches_of_trainings_and_second_derivatives():
    def final(lr):
        return loss(train(problem(), optim.SGD(lr=lr, momentum=0.5), 4)[0])

    rates = ho.tensor([0.1, 0.2, 0.3])
    for function in (final, ho.func.grad(final), ho.func.grad(ho.func.grad(final))):
        mapped = ho.func.vmap(function)
        agree(ho.compile(mapped)(rates), mapped(rates), rtol=1e-9, atol=1e-12)
