"""`backward`, `.grad`, and what makes a tensor a leaf; what is expected here is what PyTorch 2.13 does."""

import warnings

import numpy as np
import pytest

import hograd as ho


def leaf(*values, dtype=ho.float64):
    return ho.tensor(list(values), dtype=dtype, requires_grad=True)


def test_fills_the_leaves_and_nothing_else():
    x, w, c = leaf(1.0, 2.0), leaf(3.0, 4.0), ho.tensor([5.0, 6.0])
    y = x * w * c
    y.sum().backward()
    assert x.grad.tolist() == [15.0, 24.0]
    assert w.grad.tolist() == [5.0, 12.0]
    assert c.grad is None
    assert not x.grad.requires_grad
    assert x.grad.is_leaf


def test_adds_up_in_the_same_object():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    held = x.grad
    (3 * x).sum().backward()
    assert x.grad is held
    assert held.tolist() == [5.0, 7.0]


def test_adding_up_leaves_earlier_gradients_of_grad_alone():
    x = leaf(1.0, 2.0)
    weights = ho.tensor([1.0, 1.0])
    x.clone().backward(weights)
    x.clone().backward(weights)
    assert x.grad.tolist() == [2.0, 2.0]
    assert weights.tolist() == [1.0, 1.0]


def test_two_leaves_never_share_a_gradient():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x + w).sum().backward()
    x.grad.zero_()
    assert w.grad.tolist() == [1.0, 1.0]
    (x + w).sum().backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([1.0, 1.0], [2.0, 2.0])


def test_two_leaves_never_share_a_recorded_gradient():
    x, w, v = leaf(1.0, 2.0), leaf(3.0, 4.0), ho.tensor([1.0, 10.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of a reference cycle, which there is none of here
        (x + w).backward(v, create_graph=True)
    x.grad.zero_()
    (x * 2).backward(v)
    assert (x.grad.tolist(), w.grad.tolist(), v.tolist()) == ([2.0, 20.0], [1.0, 10.0], [1.0, 10.0])


def test_gradient_can_be_set_and_reset():
    x = leaf(1.0, 2.0)
    x.grad = ho.tensor([10.0, 20.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [12.0, 24.0]
    x.grad.zero_()
    assert x.grad.tolist() == [0.0, 0.0]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("value", "error"),
    [(lambda: ho.ones(3), RuntimeError), (lambda: np.ones(2), TypeError), (lambda: [1.0, 2.0], TypeError)],
    ids=["wrong shape", "array", "list"],
)
def test_gradient_that_does_not_fit(value, error):
    x = leaf(1.0, 2.0)
    with pytest.raises(error):
        x.grad = value()
    assert x.grad is None


def test_gradient_of_a_vector():
    x = leaf(1.0, 2.0)
    (x * x).backward(ho.tensor([1.0, 0.5]))
    assert x.grad.tolist() == [2.0, 2.0]
    (x * x).backward(gradient=ho.tensor([1.0, 0.5]))
    assert x.grad.tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda x: (x * x).backward(), "grad can be implicitly created only for scalar outputs"),
        (lambda x: (x * x).backward(ho.ones(3)), "Mismatch in shape: grad_output"),
        (
            lambda x: x.detach().sum().backward(),
            "element 0 of tensors does not require grad and does not have a grad_fn",
        ),
        (lambda x: x.sum().backward(inputs=[]), "cannot be empty"),
        (lambda x: x.sum().backward(inputs=[x.detach()]), "does not require grad|requires_grad=False"),
    ],
    ids=["vector", "wrong shape", "constant", "no inputs", "constant input"],
)
def test_refused(call, phrase):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=phrase):
        call(x)
    assert x.grad is None


def test_of_a_leaf_itself():
    x = ho.tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_second_use_needs_retain_graph():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    assert x.grad.tolist() == [4.0, 8.0]


def test_only_the_inputs_get_a_gradient():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    (y * y).sum().backward(inputs=[w])
    assert x.grad is None
    assert w.grad.tolist() == [6.0, 32.0]
    (x * w).sum().backward(inputs=w)
    assert w.grad.tolist() == [7.0, 34.0]


def test_inputs_that_are_no_leaves_or_not_used():
    x, unused = leaf(1.0, 2.0), leaf(0.0)
    y = x * 3
    (y * y).sum().backward(inputs=[y, unused])
    assert x.grad is None
    assert unused.grad is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert y.grad.tolist() == [6.0, 12.0]


def test_create_graph_gives_a_gradient_that_can_be_differentiated():
    x = leaf(1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of a reference cycle, which there is none of here
        (x**3).sum().backward(create_graph=True)
    assert x.grad.tolist() == [3.0, 12.0]
    assert x.grad.requires_grad
    (second,) = ho.autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [6.0, 12.0]
    x.grad = None


def test_several_tensors_at_once():
    x = leaf(1.0, 2.0)
    y, z = x * x, x.sum()
    ho.autograd.backward([y, z], [ho.tensor([1.0, 10.0]), None])
    assert x.grad.tolist() == [3.0, 41.0]
    x.grad = None
    ho.autograd.backward((x * x).sum())
    assert x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        ho.autograd.backward([x * x, x.sum()], [ho.ones(2)])


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 3
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    z = (y * y).sum()
    z.retain_grad()
    assert y.retains_grad
    assert not x.retains_grad
    z.backward()
    assert y.grad.tolist() == [6.0, 12.0]
    assert z.grad.item() == 1.0
    assert x.grad.tolist() == [18.0, 36.0]


def test_retain_grad_of_a_leaf_and_of_a_constant():
    x = leaf(1.0, 2.0)
    x.retain_grad()
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        ho.ones(2).retain_grad()


def test_reading_grad_of_a_non_leaf_warns():
    y = leaf(1.0, 2.0) * 3
    with pytest.warns(UserWarning, match=r"\.grad attribute of a Tensor that is not a leaf Tensor is being accessed"):
        assert y.grad is None


def test_gradient_has_the_dtype_and_shape_of_the_leaf():
    x = leaf(1.0, 2.0, dtype=ho.float32)
    scale = ho.tensor([[1.0], [2.0], [3.0]], dtype=ho.float64)
    (x * scale).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (ho.float32, [6.0, 6.0])


def test_leaf_that_nobody_holds_any_more():
    x = leaf(1.0, 2.0)
    y = (x * x * leaf(3.0, 4.0)).sum()
    y.backward()
    assert x.grad.tolist() == [6.0, 16.0]


def test_through_a_value_used_many_times():
    x = ho.tensor(1.5, requires_grad=True)
    y = x
    for _ in range(10):
        y = y + y
    y.backward()
    assert x.grad.item() == 1024.0


def test_leaves_and_grad_fn():
    x, c = leaf(1.0, 2.0), ho.tensor([3.0, 4.0])
    y = x * c
    for tensor, is_leaf, requires_grad in [(x, True, True), (c, True, False), (y, False, True), (c * c, True, False)]:
        assert (tensor.is_leaf, tensor.requires_grad) == (is_leaf, requires_grad)
        assert (tensor.grad_fn is None) is is_leaf
    assert y.grad_fn.name() == "MulBackward0"
    (maker, _), (constant, _) = y.grad_fn.next_functions
    assert "AccumulateGrad" in maker.name()
    assert constant is None
    z = x.sin().exp().sum()
    names = []
    node = z.grad_fn
    while node is not None:
        names.append(node.name().split("::")[-1])
        node = node.next_functions[0][0] if node.next_functions else None
    assert names == ["SumBackward0", "ExpBackward0", "SinBackward0", "AccumulateGrad"]


def test_detach():
    x = leaf(1.0, 2.0)
    y = x * x
    d = y.detach()
    assert (d.requires_grad, d.is_leaf, d.grad_fn) == (False, True, None)
    assert y.requires_grad
    (x * d).sum().backward()
    assert x.grad.tolist() == [1.0, 4.0]
    assert y.detach_() is y
    assert (y.requires_grad, y.is_leaf) == (False, True)


def test_requires_grad_can_be_switched_on_leaves_only():
    c = ho.tensor([1.0, 2.0])
    assert c.requires_grad_() is c
    assert (c * 2).requires_grad
    c.requires_grad = False
    assert not (c * 2).requires_grad
    assert c.requires_grad_(False) is c
    y = c.requires_grad_() * 2
    y.requires_grad_()
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad_(False)


def test_switching_requires_grad_off_keeps_earlier_graphs():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    x.requires_grad_(False)
    x.requires_grad_()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    y.backward()
