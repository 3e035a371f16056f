"""Wrong shapes, axes, dtypes, indices, ragged data and strings: named exceptions that tell what was found."""

from __future__ import annotations

import re
import traceback

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, DtypeError, HogradError, IndexingError, ShapeError

X = ho.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
V = ho.tensor([1.0, 2.0])
N = ho.tensor([1, 2])
Z = ho.tensor(1.5)
M = ho.tensor([True, False])

# fmt: off
MISTAKES = [
    # Shapes that cannot be broadcast
    (lambda: X + V, ShapeError, r"add.*\(2, ?3\).*\(2,\)"),
    (lambda: V - ho.zeros(3), ShapeError, r"sub.*\(2,\).*\(3,\)"),
    (lambda: ho.maximum(X, V), ShapeError, r"maximum.*\(2, ?3\).*\(2,\)"),
    (lambda: X < V, ShapeError, r"lt.*\(2, ?3\).*\(2,\)"),
    (lambda: ho.pow(X, ho.zeros(4)), ShapeError, r"pow.*\(2, ?3\).*\(4,\)"),
    (lambda: ho.where(X > 0, X, ho.zeros(4)), ShapeError, r"where.*\(2, ?3\).*\(4,\)"),
    (lambda: ho.clip(X, ho.zeros(4)), ShapeError, r"\(2, ?3\).*\(4,\)"),
    (lambda: ho.func.vmap(lambda a, b: a + b)(ho.zeros(5, 2), ho.zeros(5, 3)), ShapeError, "add"),
    (lambda: ho.func.jvp(lambda x: x + ho.zeros(3), (V,), (V,)), ShapeError, "add"),
    (lambda: ho.mse(X, V), ShapeError, r"mse: prediction has shape \(2, 3\), but target has shape \(2,\)"),
    # Shapes that cannot be multiplied or joined
    (lambda: X @ X, ShapeError, r"shapes cannot be multiplied: a has shape \(2, 3\), b has shape \(2, 3\)"),
    (lambda: X @ Z, ShapeError, r"b has shape \(\)"),
    (lambda: X @ 2.0, ShapeError, r"b has shape \(\)"),
    (lambda: ho.zeros(2, 3, 4) @ ho.zeros(5, 4, 2), ShapeError, r"matmul.*\(2,\).*\(5,\)"),
    (lambda: ho.dot(X, V), ShapeError, "1D tensors expected, but got 2D and 1D"),
    (lambda: ho.dot(V, ho.zeros(3)), ShapeError, r"\(2,\).*\(3,\)"),
    (lambda: ho.outer(X, V), ShapeError, r"two vectors, found shapes \(2, 3\)"),
    (lambda: ho.tensordot(X, X, 1), ShapeError, r"a has lengths \[3\] along axes \[1\], but b has \[2\]"),
    (lambda: ho.tensordot(X, V, 3), ArgumentError, "axes 3, expected a number of axes from 0 to 1"),
    (lambda: ho.tensordot(X, X, -1), ArgumentError, "axes -1"),
    (lambda: ho.tensordot(X, V, "a"), ArgumentError, "axes 'a'"),
    (lambda: ho.tensordot(X, V, ([0], [5])), ShapeError, "got axis 5"),
    (lambda: ho.einsum("ij,jk->ik", X, X), ShapeError, "label 'j' of 'ij,jk->ik' has length 3 and 2"),
    (lambda: ho.einsum("ij->k", X), ArgumentError, "'ij->k' must each stand once, and in an operand"),
    (lambda: ho.einsum("ij,jk", X), ArgumentError, "2 operands, but 1 were given"),
    (lambda: ho.einsum("ijk->i", X), ArgumentError, r"'ijk' in 'ijk->i' does not fit operand 0, of shape \(2, 3\)"),
    (lambda: ho.einsum("i1->i", X), ArgumentError, "'i1'"),
    (lambda: ho.einsum("ij->"), ArgumentError, "at least one operand"),
    (lambda: ho.einsum(X, X), ArgumentError, "expects a str such as .* found Tensor, Tensor"),
    (lambda: ho.concatenate([X, V]), ShapeError, r"x\[1\] has shape \(2,\), expected that of x\[0\], \(2, 3\)"),
    (lambda: ho.concatenate([Z, Z]), ShapeError, "zero-dimensional tensors cannot be joined; use stack"),
    (lambda: ho.concatenate([]), ArgumentError, "expected a non-empty list of tensors"),
    (lambda: ho.concatenate(5), DtypeError, "x is int, expected a list or tuple"),
    (lambda: ho.stack([X, V]), ShapeError, r"equal size, but got \(2, 3\) for x\[0\] and \(2,\) for x\[1\]"),
    (lambda: ho.stack([]), ArgumentError, "non-empty list"),
    (lambda: ho.stack(5), DtypeError, "x is int"),
    (lambda: ho.split(X, [1, 2]), ShapeError, r"sizes \[1, 2\], expected lengths that add up to 2 along axis 0"),
    (lambda: ho.split(X, 0), ArgumentError, "size 0, expected at least 1"),
    (lambda: ho.split(Z, 1), HogradError, "dimension 0"),
    # Shapes that do not hold the elements
    (lambda: ho.reshape(X, (4, 2)), ShapeError, r"shape '\[4, 2\]' is invalid for input of size 6"),
    (lambda: ho.reshape(X, (-1, -1)), ShapeError, "invalid for input of size 6"),
    (lambda: ho.reshape(X, (-1, 4)), ShapeError, "invalid for input of size 6"),
    (lambda: X.view(5), ShapeError, "invalid for input of size 6"),
    (lambda: ho.reshape(X, "a"), ShapeError, "shape 'a', expected whole numbers"),
    (lambda: ho.reshape(X, (2.5, 2)), ShapeError, "expected whole numbers"),
    (lambda: ho.broadcast_to(X, (2, 4)), ShapeError, r"x has shape \(2, 3\), .* to shape \(2, 4\)"),
    (lambda: ho.broadcast_to(X, (3,)), ShapeError, "cannot be repeated"),
    (lambda: ho.broadcast_to(X, (-1, 2, 3)), ShapeError, "cannot be repeated"),
    (lambda: ho.expand(X, (-1, 2, 3)), ShapeError, "cannot be repeated"),
    (lambda: ho.zeros(-1), ArgumentError, r"zeros got shape \(-1,\), expected lengths of at least 0"),
    (lambda: ho.ones(2.5), ShapeError, "ones got shape 2.5, expected whole numbers"),
    (lambda: ho.zeros(2, "a"), ShapeError, "'a'"),
    (lambda: ho.full((2,), V), ShapeError, r"fill_value has shape \(2,\)"),
    (lambda: ho.rand(-1), ArgumentError, r"rand got shape \(-1,\)"),
    (lambda: ho.place(V, (slice(0, 3),), (4,)), ShapeError, "place: x of shape"),
    (lambda: ho.place(V, (9,), (4,)), ShapeError, "index 9 is out of bounds"),
    # Axes
    (lambda: ho.sum(X, 2), ShapeError, "sum got axis 2, but the tensor has 2 axes, expected -2 to 1"),
    (lambda: ho.sum(X, -3), ShapeError, "got axis -3"),
    (lambda: ho.sum(Z, 1), ShapeError, "got axis 1"),
    (lambda: ho.sum(X, (0, 0)), ShapeError, r"axis \(0, 0\), in which an axis appears multiple times"),
    (lambda: ho.sum(X, (0, -2)), ShapeError, "multiple times"),
    (lambda: ho.sum(X, "a"), DtypeError, "sum got axis 'a', expected a whole number"),
    (lambda: ho.sum(X, 1.0), DtypeError, "sum got axis 1.0, expected a whole number"),
    (lambda: ho.mean(X, (0, 1.5)), DtypeError, "got axis 1.5"),
    (lambda: ho.std(X, 5), ShapeError, "got axis 5"),
    (lambda: ho.prod(X, 5), ShapeError, "prod got axis 5"),
    (lambda: ho.norm(X, 2, 5), ShapeError, "norm got axis 5"),
    (lambda: ho.logsumexp(X, 5), ShapeError, "logsumexp got axis 5"),
    (lambda: ho.amax(X, 5), ShapeError, "amax got axis 5"),
    (lambda: ho.max(X, "a"), DtypeError, "axis 'a'"),
    (lambda: ho.argmax(X, 3), ShapeError, "argmax got axis 3"),
    (lambda: ho.any(X > 0, 4), ShapeError, "any got axis 4"),
    (lambda: ho.softmax(X, 3), ShapeError, "softmax got axis 3"),
    (lambda: ho.softmax(X, None), DtypeError, "axis None"),
    (lambda: ho.softmax(X, (0, 1)), DtypeError, r"axis \(0, 1\)"),
    (lambda: ho.concatenate([X, X], 2), ShapeError, "got axis 2"),
    (lambda: ho.stack([X, X], 4), ShapeError, "got axis 4"),
    (lambda: ho.permute(X, (0, 0)), ShapeError, r"axes \(0, 0\), expected each of the 2 axes of x once"),
    (lambda: ho.permute(X, 0), ShapeError, "each of the 2 axes"),
    (lambda: ho.permute(X, "ab"), DtypeError, "axis 'a'"),
    (lambda: ho.transpose(X, 0), ArgumentError, "transpose got 1 axes"),
    (lambda: ho.swapaxes(X, 0, 2), ShapeError, "swapaxes got axis 2"),
    (lambda: ho.t(ho.zeros(2, 3, 4)), ShapeError, "<= 2 dimensions, but x is 3D"),
    (lambda: ho.moveaxis(X, (0, 1), 0), ArgumentError, "2 sources and 1 destinations"),
    (lambda: ho.moveaxis(X, (0, 1), (0, 0)), ShapeError, "multiple times"),
    (lambda: ho.squeeze(X, 2), ShapeError, "squeeze got axis 2"),
    (lambda: ho.unsqueeze(X, 4), ShapeError, "got axis 4"),
    (lambda: ho.expand_dims(X, (0, 0)), ShapeError, "multiple times"),
    (lambda: ho.flatten(X, 1, 0), ArgumentError, "end_axis 0 before start_axis 1"),
    (lambda: ho.flip(X, (0, 0)), ShapeError, "multiple times"),
    (lambda: ho.take_along_axis(X, ho.tensor([[0]]), 5), ShapeError, "got axis 5"),
    (lambda: ho.sum(X, axis=0, dim=1), TypeError, "dim"),
    # No elements
    (lambda: ho.amax(ho.zeros(0)), ShapeError, r"amax over no elements: shape \(0,\), axis None"),
    (lambda: ho.max(ho.zeros(0, 3), 0), ShapeError, "axis 0 of length 0"),
    (lambda: ho.argmin(ho.zeros(0)), ShapeError, "argmin over no elements"),
    # Dtypes and things that are no numbers
    (lambda: X + "a", DtypeError, "argument 1 of add is str, expected a tensor"),
    (lambda: None * X, DtypeError, "argument . of mul is NoneType"),
    (lambda: ho.exp({"a": 1}), DtypeError, "argument 0 of exp is dict"),
    (lambda: ho.exp([1.0, [2.0]]), DtypeError, "nested lists of numbers with equal lengths"),
    (lambda: ho.tensor([[1, 2], [3]]), DtypeError, "nested lists of numbers with equal lengths"),
    (lambda: ho.tensor([X, V]), DtypeError, "equal lengths"),
    (lambda: ho.tensor("abc"), DtypeError, "data has dtype <U3"),
    (lambda: ho.tensor(None), DtypeError, "data has dtype object"),
    (lambda: ho.tensor([1, "a"]), DtypeError, "data has dtype <U"),
    (lambda: ho.tensor(np.datetime64("2020-01-01")), DtypeError, "datetime64"),
    (lambda: ho.tensor([1.0], dtype="floaty"), DtypeError, "dtype is 'floaty', expected a dtype of numbers"),
    (lambda: ho.zeros(2, dtype=str), DtypeError, "expected a dtype of numbers"),
    (lambda: X.to("floaty"), DtypeError, "dtype is 'floaty'"),
    (lambda: ho.tensor([1, 2], requires_grad=True), DtypeError, "floating point .* found int64: write the"),
    (lambda: ho.add(X, np.array(["a"])), DtypeError, "argument 1 of add has dtype <U1"),
    (lambda: ho.zeros_like("a"), DtypeError, "<U1"),
    (lambda: ho.stop_gradient("a"), DtypeError, "argument 0 of stop_gradient is str"),
    (lambda: ho.logsumexp("a", 0), DtypeError, "argument 0 of logsumexp is str"),
    (lambda: ho.outer("a", V), DtypeError, "outer is str"),
    (lambda: ho.mse("a", X), DtypeError, "mse is str"),
    (lambda: ho.concatenate([X, "a"]), DtypeError, "concatenate is str"),
    (lambda: ho.softmax(N, 0), DtypeError, "x has dtype int64, expected a floating dtype"),
    (lambda: ho.cross_entropy(ho.tensor([[1, 2]]), ho.tensor([0])), DtypeError, "logits have dtype int64"),
    (lambda: ho.cross_entropy(X, M), DtypeError, "target has dtype bool, expected integer classes or probabilities"),
    (lambda: ho.where(X, X, X), DtypeError, "condition has dtype float64, expected bool"),
    (lambda: ~X, DtypeError, "bitwise_not"),
    (lambda: X & X, DtypeError, "bitwise_and"),
    (lambda: N**-1, ArgumentError, "Integers to negative integer powers are not allowed"),
    # Values of arguments
    (lambda: ho.cross_entropy(X, ho.tensor([0, 3])), IndexingError, "target class 3 is out of range, expected 0 to 2"),
    (lambda: ho.cross_entropy(X, ho.tensor([0, -1])), IndexingError, "target class -1 is out of range"),
    (lambda: ho.cross_entropy(X, ho.tensor([0])), ShapeError, r"target classes have shape \(1,\), expected \(2,\)"),
    (lambda: ho.cross_entropy(X, V), ShapeError, r"target probabilities have shape \(2,\), expected that of logits"),
    (lambda: ho.cross_entropy(Z, ho.tensor(0)), ShapeError, r"logits have shape \(\)"),
    (lambda: ho.cross_entropy(X, ho.tensor([0, 1]), reduction="avg"), ArgumentError, "reduction='avg'"),
    (lambda: ho.norm(X, "max"), ArgumentError, "p='max', expected a number, inf, 'fro' or 'nuc'"),
    (lambda: ho.var(X, correction="a"), ArgumentError, "correction='a'"),
    (lambda: ho.arange(0, 5, 0), ArgumentError, "step 0"),
    (lambda: ho.arange("a"), DtypeError, "arange got str 'a'"),
    (lambda: ho.linspace(0, 1, -1), ArgumentError, "steps of linspace is -1"),
    (lambda: ho.linspace(0, 1, 2.5), ArgumentError, "steps of linspace is 2.5"),
    (lambda: ho.eye(-1), ArgumentError, "n of eye is -1"),
    (lambda: ho.eye(2, 1.5), ArgumentError, "m of eye is 1.5"),
    (lambda: ho.manual_seed(-1), ArgumentError, "seed is -1"),
    (lambda: ho.manual_seed("a"), ArgumentError, "seed is 'a'"),
    (lambda: ho.randint(5, 3), ArgumentError, "low=5 and high=3, expected low < high"),
    (lambda: ho.randint(2.5), ArgumentError, "high=2.5, expected whole numbers"),
    # Indices
    (lambda: X[5], IndexingError, "index 5 is out of bounds for dimension 0 with size 2"),
    (lambda: X[0, -4], IndexingError, "index -4 is out of bounds for dimension 1 with size 3"),
    (lambda: X[..., 3], IndexingError, "index 3 is out of bounds for dimension 1 with size 3"),
    (lambda: X[0, 0, 0], IndexingError, "too many indices for tensor of dimension 2: found 3"),
    (lambda: X[..., ...], IndexingError, "single ellipsis"),
    (lambda: X[[0, 5]], IndexingError, "index 5 is out of bounds"),
    (lambda: X[ho.tensor([0, -3])], IndexingError, "index -3 is out of bounds"),
    (lambda: X[[0, 1, 1], [0, 1]], IndexingError, "shape mismatch"),
    (lambda: X[1.5], IndexingError, "must be integer or bool tensors, found dtype float64"),
    (lambda: X[ho.tensor([0.5])], IndexingError, "found dtype float64"),
    (lambda: X["a"], IndexingError, "an index is 'a', expected an int"),
    (lambda: X[{"a": 1}], IndexingError, "expected an int"),
    (lambda: X[True], IndexingError, "a bool, True, is no index"),
    (lambda: X[ho.tensor(True)], IndexingError, "is no index"),
    (lambda: X[[True, False, True]], IndexingError, r"mask \[3\] does not match .* \[2, 3\] from dimension 0"),
    (lambda: X[:, ho.tensor([True])], IndexingError, r"mask \[1\] does not match .* from dimension 1"),
    (lambda: X[..., ho.tensor([True, False])], IndexingError, "from dimension 1"),
    (lambda: X[::0], ArgumentError, "slice step cannot be zero"),
    (lambda: X[1.5:2], IndexingError, "a slice of ints"),
    (lambda: X.at[0].set(ho.zeros(2)), ShapeError, r"value of shape \(2,\) cannot be broadcast .* \(3,\)"),
    (lambda: X.at[5].add(1.0), IndexingError, "index 5 is out of bounds"),
    (lambda: X.at[[0, 7]].add(1.0), IndexingError, "index 7 is out of bounds"),
    (lambda: X.at[0].set("a"), DtypeError, "argument 0 of at_set is str"),
    (lambda: ho.take_along_axis(X, ho.tensor([0]), 0), ShapeError, "indices have 1 axes, expected as many as x, 2"),
    (lambda: ho.take_along_axis(X, ho.tensor([[0], [1], [2]]), 1), ShapeError, r"\(3, 1\) do not fit x, \(2, 3\)"),
    (lambda: ho.take_along_axis(X, ho.tensor([[0.5]]), 0), IndexingError, "found dtype float64"),
]
# fmt: on


@pytest.mark.parametrize(("call", "error", "text"), MISTAKES, ids=[str(i) for i in range(len(MISTAKES))])
def test_a_mistake_is_named(call, error, text):
    with pytest.raises(error, match=re.compile(text, re.DOTALL)) as caught:
        call()
    # What is printed ends in our own sentence, near the call, without the exception that it was made of.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert len(traceback.extract_tb(caught.value.__traceback__)) <= 12


REFUSED = {
    "linspace": (
        lambda: ho.linspace(ho.zeros(2), 1, 3),
        ShapeError,
        r"start has shape \(2,\), expected a number",
    ),
    "prelu": (lambda: ho.prelu(ho.tensor(1.0), ho.zeros(3)), ShapeError, r"x has shape \(\).*3 slopes"),
    "conv1d": (
        lambda: ho.conv1d(ho.ones(1, 1, 4), ho.ones(1, 1, 2), ho.tensor([1j])),
        DtypeError,
        "bias is complex128, but x and weight are real",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_arguments_that_pytorch_refuses_too(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (ShapeError, (ValueError, RuntimeError)),
        (DtypeError, (TypeError, RuntimeError)),
        (ArgumentError, (ValueError,)),
        (IndexingError, (IndexError,)),
    ],
)
def test_errors_are_caught_as_those_of_python_and_pytorch(error, caught_as):
    for builtin in caught_as:
        assert issubclass(error, builtin)
    assert issubclass(error, HogradError)


def test_linspace_is_differentiable_by_its_ends():
    ends = ho.tensor([2.0, 5.0])
    jacobian = ho.func.jacrev(lambda ends: ho.linspace(ends[0], ends[1], 4))(ends)
    assert ho.linspace(ends[0], 5, 4).tolist() == [2.0, 3.0, 4.0, 5.0]
    assert ho.allclose(jacobian, ho.tensor([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 3.0]]) / 3)


def test_a_comparison_with_what_is_no_number_is_false():
    assert (X == None) is False  # noqa: E711
    assert (X != "a") is True
    assert None not in [X]


def test_a_failed_operation_leaves_the_graph_usable():
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    with pytest.raises(ShapeError):
        y + ho.zeros(3)
    assert ho.grad(y.sum(), x)[0].tolist() == [2.0, 4.0]
