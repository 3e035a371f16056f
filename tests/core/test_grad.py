"""`grad` with each of its flags; what is expected here is what PyTorch 2.13 does."""

import re

import numpy as np
import pytest

import hograd as ho

grad = ho.autograd.grad


def leaf(*values, dtype=ho.float64):
    return ho.tensor(list(values), dtype=dtype, requires_grad=True)


def numbers(tensors):
    return [None if t is None else t.tolist() for t in tensors]


SAVING = {
    "multiplication": lambda x: x * x,
    "division": lambda x: 1 / x,
    "power": lambda x: x**3,
    "exp": lambda x: x.exp(),
    "sin": lambda x: x.sin(),
    "matmul": lambda x: x @ x,
    "prod": lambda x: x.prod(),
    "multiplication by a number": lambda x: x * 2,
}

NOT_SAVING = {
    "addition": lambda x: x + 1,
    "subtraction": lambda x: x - x,
    "negation": lambda x: -x,
    "sum": lambda x: x.sum(),
    "reshape": lambda x: x.reshape(2, 1),
    "slice": lambda x: x[:1],
    "stack": lambda x: ho.stack([x, x]),
    "clone": lambda x: x.clone(),
}


@pytest.mark.parametrize("name", SAVING)
def test_graph_is_freed(name):
    x = leaf(1.0, 2.0)
    y = SAVING[name](x).sum()
    grad(y, x)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        grad(y, x)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    assert x.grad is None


@pytest.mark.parametrize("name", NOT_SAVING)
def test_graph_without_saved_values_can_be_used_again(name):
    x = leaf(1.0, 2.0)
    y = NOT_SAVING[name](x).sum()
    first = grad(y, x)
    assert numbers(grad(y, x)) == numbers(first)


def test_second_use_names_the_operation_and_the_remedies():
    x = leaf(1.0)
    y = x.tanh().sum()
    grad(y, x)
    with pytest.raises(ho.errors.FreedGraphError, match=r"`tanh`.*retain_graph=True.*detach"):
        grad(y, x)


def test_only_the_way_to_the_inputs_is_freed():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = x.exp().sum() + (w * w).sum()
    grad(out, x)
    assert numbers(grad(out, w)) == [[6.0, 8.0]]
    with pytest.raises(RuntimeError, match="second time"):
        grad(out, x)


def test_freed_part_that_another_graph_shares():
    x = leaf(2.0)
    shared = x * x
    grad(shared.sum(), x)
    with pytest.raises(RuntimeError, match="second time"):
        grad((shared + 1).sum(), x)
    assert numbers(grad((shared + 1).sum(), shared)) == [[1.0]]


@pytest.mark.parametrize(
    ("retain_graph", "create_graph", "kept"),
    [
        (None, False, False),
        (False, False, False),
        (True, False, True),
        (None, True, True),
        (False, True, False),
        (True, True, True),
    ],
)
def test_retain_graph_and_create_graph(retain_graph, create_graph, kept):
    x = leaf(1.0, 2.0)
    y = (x**3).sum()
    (g,) = grad(y, x, retain_graph=retain_graph, create_graph=create_graph)
    assert g.tolist() == [3.0, 12.0]
    assert g.requires_grad is create_graph
    if kept:
        assert numbers(grad(y, x)) == [[3.0, 12.0]]
    else:
        with pytest.raises(RuntimeError, match="second time"):
            grad(y, x)


def test_derivative_made_by_a_call_that_freed_the_graph():
    x = leaf(1.0, 2.0)
    (g,) = grad((x**3).sum(), x, retain_graph=False, create_graph=True)
    assert numbers(grad(g.sum(), x)) == [[6.0, 12.0]]
    # The derivative of exp is its own answer, so its graph leads back into the freed one.
    (g,) = grad(x.exp().sum(), x, retain_graph=False, create_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        grad(g.sum(), x)


def test_create_graph_records_inside_no_grad():
    x = leaf(2.0)
    y = (x**3).sum()
    with ho.no_grad():
        (g,) = grad(y, x, create_graph=True)
        assert g.requires_grad
        assert not ho.is_grad_enabled()
        (h,) = grad(g, x, create_graph=True)
        (third,) = grad(h, x)
    assert numbers((g, h, third)) == [[12.0], [12.0], [6.0]]


def test_derivatives_of_every_order():
    x = leaf(2.0)
    y = (x**5).sum()
    found = []
    for _ in range(6):
        (y,) = grad(y.sum(), x, create_graph=True)
        found.append(y.item())
    assert found == [80.0, 160.0, 240.0, 240.0, 120.0, 0.0]


def test_several_outputs_add_up():
    x = leaf(1.0, 2.0)
    y, z = x * x, x.exp()
    weights = ho.tensor([1.0, 0.5]), ho.tensor([2.0, -1.0])
    (g,) = grad((y, z), x, weights)
    np.testing.assert_allclose(g.numpy(), [2 + 2 * np.e, 2 - np.e**2], rtol=1e-15)


def test_weights_may_be_left_out_for_scalars_among_others():
    x = leaf(1.0, 2.0)
    assert numbers(grad((x.sum(), x * x), x, (None, ho.tensor([1.0, 10.0])))) == [[3.0, 41.0]]
    assert numbers(grad((x.sum(), (x * x).sum()), x)) == [[3.0, 5.0]]
    assert numbers(grad((x * x).sum().reshape(1, 1), x)) == [[2.0, 4.0]]


def test_same_output_twice_counts_twice():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    assert numbers(grad((y, y), x)) == [[4.0, 8.0]]


def test_with_respect_to_non_leaf():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = (y * y).sum()
    assert numbers(grad(z, y)) == [[6.0, 12.0]]


def test_with_respect_to_leaf_and_its_own_child():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = (y * y + x).sum()
    assert numbers(grad(z, (x, y), retain_graph=True)) == [[19.0, 37.0], [6.0, 12.0]]
    assert numbers(grad(z, (y, x), retain_graph=True)) == [[6.0, 12.0], [19.0, 37.0]]
    assert numbers(grad(z, (y, z, x, y))) == [[6.0, 12.0], 1.0, [19.0, 37.0], [6.0, 12.0]]


def test_with_respect_to_itself():
    x = leaf(1.0, 2.0)
    assert numbers(grad(x, x, ho.tensor([3.0, 4.0]))) == [[3.0, 4.0]]


def test_leaves_grad_alone():
    x = leaf(1.0, 2.0)
    x.grad = ho.tensor([7.0, 7.0])
    held = x.grad
    grad((x * x).sum(), x)
    assert x.grad is held
    assert held.tolist() == [7.0, 7.0]


@pytest.mark.parametrize("data", [1, [1, 2], True, [True, False]], ids=str)
def test_integers_and_bools_refuse_requires_grad(data):
    phrase = "nly Tensors of floating point"
    with pytest.raises(RuntimeError, match=phrase):
        ho.tensor(data, requires_grad=True)
    x = ho.tensor(data)
    with pytest.raises(RuntimeError, match=phrase):
        x.requires_grad_()
    with pytest.raises(RuntimeError, match=phrase):
        x.requires_grad = True
    assert not x.requires_grad


REFUSED = "appears to not have been used in the graph"


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("allow_unused", "materialize_grads", "expected"),
    [
        (None, False, REFUSED),
        (False, False, REFUSED),
        (True, False, None),
        (None, True, [0.0, 0.0]),
        (True, True, [0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_unused_input(allow_unused, materialize_grads, expected, create_graph, position):
    used, unused = leaf(1.0, 2.0), leaf(3.0, 4.0)
    inputs = [used]
    inputs.insert(position, unused)
    flags = {
        "allow_unused": allow_unused,
        "materialize_grads": materialize_grads,
        "create_graph": create_graph,
    }
    y = (used * used).sum()
    if expected is REFUSED:
        with pytest.raises(RuntimeError, match=f"at index {position} {REFUSED}.*Set allow_unused=True"):
            grad(y, inputs, **flags)
        return
    gradients = grad(y, inputs, **flags)
    assert numbers(gradients)[position] == expected
    assert numbers(gradients)[1 - position] == [2.0, 4.0]
    assert gradients[1 - position].requires_grad is create_graph
    if expected is not None:
        assert gradients[position].requires_grad is create_graph


def test_materialize_grads_contradicts_allow_unused_false():
    x = leaf(1.0)
    with pytest.raises(ValueError, match=r"Expected allow_unused to be True or not passed.*allow_unused=False"):
        grad(x.sum(), x, allow_unused=False, materialize_grads=True)


def test_inputs_that_came_later_or_from_a_detached_copy_are_unused():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    copy = x.detach().requires_grad_()
    assert grad(y, (copy, x * 1, x), allow_unused=True, retain_graph=True)[:2] == (None, None)
    assert numbers(grad(y, x, allow_unused=True)) == [[2.0, 4.0]]


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_weights_equal_a_loop(create_graph):
    x, w, unused = leaf(1.0, 2.0), leaf(0.5), leaf(1.0)
    outputs = x * x * w, (x.sin() * w).sum()
    rng = np.random.default_rng(0)
    rows = ho.tensor(rng.normal(size=(3, 2))), ho.tensor(rng.normal(size=3))
    flags = {"retain_graph": True, "create_graph": create_graph, "allow_unused": True}
    batched = grad(outputs, (x, unused, w), rows, is_grads_batched=True, **flags)
    one_by_one = [grad(outputs, (x, unused, w), [r[i] for r in rows], **flags) for i in range(3)]
    assert batched[1] is None
    for k in (0, 2):
        expected = ho.stack([g[k] for g in one_by_one])
        np.testing.assert_allclose(batched[k].detach().numpy(), expected.detach().numpy(), rtol=1e-14)
        assert batched[k].requires_grad is create_graph


def test_batched_identity_gives_the_jacobian():
    x = leaf(1.0, 2.0, 3.0)
    (rows,) = grad(x * x, x, ho.eye(3, dtype=ho.float64), is_grads_batched=True)
    assert rows.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]


def test_only_inputs_false_warns_and_changes_nothing():
    x, w = leaf(1.0), leaf(2.0)
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated and is ignored"):
        gradients = grad((x * w).sum(), x, only_inputs=False)
    assert numbers(gradients) == [[2.0]]
    assert w.grad is None


@pytest.mark.parametrize(
    ("weights", "phrase"),
    [
        (lambda: ho.ones(3), "Mismatch in shape: grad_output"),
        (lambda: ho.ones(()), "Mismatch in shape: grad_output"),
        (lambda: ho.ones(1, 2), "Mismatch in shape: grad_output"),
        (lambda: (ho.ones(2), ho.ones(2)), "got 1 tensors and 2 gradients"),
        (lambda: None, "grad can be implicitly created only for scalar outputs"),
        (lambda: (None,), "grad can be implicitly created only for scalar outputs"),
    ],
    ids=["too long", "no axes", "too many axes", "too many", "none", "tuple of none"],
)
def test_weights_that_do_not_fit(weights, phrase):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=phrase):
        grad(x * x, x, weights())


def test_weights_of_another_dtype_are_cast():
    x = leaf(1.0, 2.0, dtype=ho.float32)
    (g,) = grad(x * x, x, ho.tensor([1.0, 0.5], dtype=ho.float64))
    assert (g.dtype, g.tolist()) == (ho.float32, [2.0, 2.0])
    (g,) = grad(x * x, x, ho.tensor([1, 2]))
    assert (g.dtype, g.tolist()) == (ho.float32, [2.0, 8.0])


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda x, c: grad(c.sum(), x), "element 0 of tensors does not require grad and does not have a grad_fn"),
        (lambda x, c: grad((x.sum(), c.sum()), x), "element 1 of tensors does not require grad"),
        (lambda x, c: grad(x.detach().sum(), x), "element 0 of tensors does not require grad"),
        (lambda x, c: grad((x * c).sum(), c), "One of the differentiated Tensors does not require grad"),
        (
            lambda x, c: grad((x * c).sum(), (x, c), allow_unused=True),
            "One of the differentiated Tensors does not require grad",
        ),
        (lambda x, c: grad(x.sum(), ()), "`inputs` argument to `grad()` cannot be empty"),
    ],
    ids=["constant", "second output constant", "detached", "constant input", "among others", "no input"],
)
def test_refused(call, phrase):
    x, c = leaf(1.0, 2.0), ho.tensor([3.0, 4.0])
    with pytest.raises(RuntimeError, match=re.escape(phrase)):
        call(x, c)


@pytest.mark.parametrize("inputs", [3.0, [1.0], {"a": np.ones(2)}], ids=str)
def test_inputs_that_are_no_tensors(inputs):
    with pytest.raises(TypeError, match=r"inputs.* is (float|ndarray), expected a tensor"):
        grad(leaf(1.0).sum(), inputs)


def test_differentiable_in_the_weights():
    x, v = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (g,) = grad(x**3, x, v, create_graph=True)
    assert numbers(grad(g, v, ho.tensor([1.0, 10.0]), retain_graph=True)) == [[3.0, 120.0]]
    assert numbers(grad(g, x, ho.tensor([1.0, 10.0]))) == [[18.0, 480.0]]


def test_broadcast_inputs_get_gradients_of_their_own_shape():
    row, column, scalar = leaf(1.0, 2.0, 3.0), leaf(1.0, 2.0).reshape(2, 1), ho.tensor(2.0, requires_grad=True)
    gradients = grad((row * column * scalar).sum(), (row, column, scalar))
    assert numbers(gradients) == [[6.0, 6.0, 6.0], [[12.0], [12.0]], 18.0]


def test_trees_of_inputs_give_trees():
    params = {"b": leaf(1.0), "a": [leaf(2.0), (leaf(3.0),)]}
    y = (params["b"] * params["a"][0] * params["a"][1][0]).sum()
    gradients = grad(y, params, create_graph=True)
    assert ho.tree.map(ho.Tensor.tolist, gradients) == {"b": [6.0], "a": [[3.0], ([2.0],)]}
    unused = grad(y, {"used": params["b"], "unused": leaf(0.0)}, allow_unused=True)
    assert (unused["used"].tolist(), unused["unused"]) == ([6.0], None)


def test_sequences_of_inputs_give_tuples():
    x = leaf(1.0)
    for inputs in (x, [x], (x,)):
        assert isinstance(grad((x * x).sum(), inputs), tuple)
