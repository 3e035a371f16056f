"""gradcheck passes what is right and finds every kind of wrong derivative, and says where it is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import hograd as ho
from hograd.check import gradcheck, gradgradcheck
from hograd.core.tensor import Dual
from hograd.errors import ArgumentError, DtypeError, GradcheckError


def smooth(tree):
    """A function of a nested tree that returns one."""
    x, (y, z) = tree["x"], tree["yz"]
    return {"a": ho.sin(x * y).sum(axis=0), "b": [ho.exp(z) * y, (x**3).mean()]}


POINT = {"x": ho.tensor([[0.3, -0.7], [1.2, 0.4]]), "yz": (ho.tensor([0.9, -1.1]), ho.tensor(0.2))}


@pytest.mark.parametrize("modes", [("reverse", "forward"), ("reverse",), ("forward",)], ids=str)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_right_function_of_trees_passes(modes, order):
    assert gradcheck(smooth, (POINT,), order, modes)
    assert gradcheck(smooth, (POINT,), order, modes, directions=2, seed=order)


def with_derivative(value, slope):
    """A function with the value of one function and the first derivative of another."""

    def f(x):
        constant = x.detach()
        return value(constant) + slope(x) - slope(constant)

    return f


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("place", range(6))
def test_one_wrong_entry_among_many_is_found_and_named(mode, place):
    wrong = np.ones(6)
    wrong[place] = 1 + 1e-4

    f = with_derivative(lambda x: x**2, lambda x: x**2 * ho.tensor(wrong.reshape(2, 3)))
    x = ho.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    index = f"[{place // 3}, {place % 3}]"
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, x, modes=(mode,))
    message = str(caught.value)
    assert f"order 1, {mode}" in message
    assert "args[0]" in message
    assert "output" in message
    assert index in message


def test_a_wrong_entry_off_the_diagonal_is_found():
    mixing = np.arange(9.0).reshape(3, 3)
    for i, j in itertools.product(range(3), range(3)):
        other = mixing.copy()
        other[i, j] += 1e-3
        f = with_derivative(lambda x: ho.tensor(mixing) @ x, lambda x, other=other: ho.tensor(other) @ x)
        for modes in (("reverse",), ("forward",)):
            assert not gradcheck(f, ho.tensor([0.5, -1.5, 2.0]), modes=modes, raise_exception=False)
            assert not gradcheck(f, ho.tensor([0.5, -1.5, 2.0]), modes=modes, directions=1, raise_exception=False)


def test_the_message_names_leaf_output_and_both_numbers():
    def f(x, rest):
        wrong = rest["w"].detach()
        return {"fine": x * 2, "bad": (x * wrong).sum()}

    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, (ho.tensor([3.0, 4.0]), {"w": ho.tensor(2.0)}))
    message = str(caught.value)
    assert "output['bad']" in message
    assert "args[1]['w']" in message
    found, expected = message.partition(" is ")[2].partition(", but numerically ")[::2]
    assert float(found) == 0.0
    # The random weight of the output times 3 + 4.
    assert 0.5 * 7 <= abs(float(expected.split()[0])) <= 1.5 * 7


@pytest.mark.parametrize(
    ("sequence", "modes"),
    [("reverse -> reverse", ("reverse",)), ("forward -> forward", ("forward",))],
)
def test_a_wrong_second_derivative_is_found_at_order_two(sequence, modes):
    # The slope 3 x**2 is right, but a constant.
    f = with_derivative(lambda x: x**3, lambda x: 3 * x.detach() ** 2 * x)
    x = ho.tensor([0.5, 1.5])
    assert gradcheck(f, x, order=1, modes=modes)
    with pytest.raises(GradcheckError, match=f"order 2, {sequence}"):
        gradcheck(f, x, order=2, modes=modes)
    assert gradgradcheck(f, x, raise_exception=False) is False


def modes_of(x):
    """The transforms that `x` is inside of, the innermost first."""
    found = []
    while isinstance(x, ho.Tensor):
        if type(x) is Dual:
            found.append("forward")
        elif x.requires_grad and x.level:
            found.append("reverse")
        x = x.value
    return tuple(found)


@pytest.mark.parametrize(
    "sequence",
    [
        ("forward", "reverse"),
        ("reverse", "forward"),
        ("forward", "forward"),
        ("forward", "reverse", "forward"),
        ("reverse", "forward", "forward"),
        ("forward", "forward", "reverse"),
    ],
    ids="-".join,
)
def test_every_sequence_of_modes_is_checked(sequence):
    def f(x):
        return ho.sin(x) if modes_of(x) != sequence else ho.sin(x.detach()) + x

    x = ho.tensor([0.4, 1.3])
    assert gradcheck(f, x, order=len(sequence) - 1)
    with pytest.raises(GradcheckError, match=f"order {len(sequence)}, {' -> '.join(sequence)}:"):
        gradcheck(f, x, order=len(sequence))


def test_infinite_and_nan_derivatives_fail():
    assert not gradcheck(lambda x: ho.sqrt(x * x), ho.tensor(0.0), raise_exception=False)
    with pytest.raises(GradcheckError, match="not finite"):
        gradcheck(lambda x: x, ho.tensor(math.nan))
    with pytest.raises(GradcheckError, match="not finite"), np.errstate(divide="ignore"):
        gradcheck(ho.log, ho.tensor(0.0))


def test_a_random_function_is_refused():
    with pytest.raises(GradcheckError, match="differs between two calls with equal arguments"):
        gradcheck(lambda x: x * ho.rand(2), ho.tensor([1.0, 2.0]))


def test_outputs_without_derivative_are_left_out():
    assert gradcheck(lambda x: (x**2, ho.argmax(x), x > 0), ho.tensor([1.0, 2.0]), 2)
    assert gradcheck(lambda x: (x * 1.0, ho.ones(2)), ho.tensor([1.0, 2.0]), 2)


def test_empty_and_scalar_leaves():
    assert gradcheck(lambda x, y: (x.sum() * y, x * 2), (ho.zeros(0, 3), 1.5), 3)


def test_it_leaves_tensors_alone():
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    assert gradcheck(lambda x: x**2, x, 2)
    assert x.grad is None
    assert x.tolist() == [1.0, 2.0]


def test_the_imperative_gradient_can_be_checked():
    def f(x):
        return ho.grad((x**3).sum(), x, create_graph=True)[0]

    assert gradcheck(f, ho.tensor([0.5, 1.5]), 2, modes=("reverse",))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: gradcheck(ho.sin, ho.tensor(1.0, dtype=np.float32)), DtypeError, "args.0. has dtype float32"),
        (lambda: gradcheck(ho.sin, ho.tensor(1)), DtypeError, "int64, expected float64"),
        (lambda: gradcheck(ho.sin, "a"), DtypeError, "<U1"),
        (lambda: gradcheck(lambda x: x > 0, ho.tensor(1.0)), DtypeError, "no floating tensor"),
        (lambda: gradcheck(lambda x: 1.0, ho.tensor(1.0)), DtypeError, "output is float, expected a tensor"),
        (lambda: gradcheck(ho.sin, ho.tensor(1.0), 0), ArgumentError, "order is 0"),
        (lambda: gradcheck(ho.sin, ho.tensor(1.0), modes=("backward",)), ArgumentError, "'backward'"),
        (lambda: gradcheck(ho.sin, ho.tensor(1.0), modes=()), ArgumentError, "modes is empty"),
        (lambda: gradcheck(lambda: ho.tensor(1.0), ()), ArgumentError, "no tensors"),
    ],
)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
