"""In-place syntax: PyTorch's rules for leaves and `no_grad`, and saved values that are never stale."""

import numpy as np
import pytest

import hograd as ho

IN_PLACE = {
    "+=": lambda x: x.__iadd__(1),
    "-=": lambda x: x.__isub__(1),
    "*=": lambda x: x.__imul__(2),
    "/=": lambda x: x.__itruediv__(2),
    "**=": lambda x: x.__ipow__(2),
    "//=": lambda x: x.__ifloordiv__(2),
    "%=": lambda x: x.__imod__(2),
    "[]=": lambda x: x.__setitem__(0, 5.0),
    "add_": lambda x: x.add_(1),
    "sub_": lambda x: x.sub_(1, alpha=2),
    "mul_": lambda x: x.mul_(3),
    "div_": lambda x: x.div_(4),
    "copy_": lambda x: x.copy_(ho.tensor([5.0, 6.0])),
    "fill_": lambda x: x.fill_(7),
    "zero_": lambda x: x.zero_(),
}

AFTER = {
    "+=": [4.0, 5.0],
    "-=": [2.0, 3.0],
    "*=": [6.0, 8.0],
    "/=": [1.5, 2.0],
    "**=": [9.0, 16.0],
    "//=": [1.0, 2.0],
    "%=": [1.0, 0.0],
    "[]=": [5.0, 4.0],
    "add_": [4.0, 5.0],
    "sub_": [1.0, 2.0],
    "mul_": [9.0, 12.0],
    "div_": [0.75, 1.0],
    "copy_": [5.0, 6.0],
    "fill_": [7.0, 7.0],
    "zero_": [0.0, 0.0],
}

#: The derivative of the answer by the tensor before, for each element.
SLOPE = {
    "+=": [1.0, 1.0],
    "-=": [1.0, 1.0],
    "*=": [2.0, 2.0],
    "/=": [0.5, 0.5],
    "**=": [6.0, 8.0],
    "//=": [0.0, 0.0],
    "%=": [1.0, 1.0],
    "[]=": [0.0, 1.0],
    "add_": [1.0, 1.0],
    "sub_": [1.0, 1.0],
    "mul_": [3.0, 3.0],
    "div_": [0.25, 0.25],
    "copy_": [0.0, 0.0],
    "fill_": [0.0, 0.0],
    "zero_": [0.0, 0.0],
}


def leaf(*values):
    return ho.tensor(list(values), requires_grad=True)


@pytest.fixture(params=IN_PLACE)
def name(request):
    return request.param


def test_leaf_that_requires_grad_refuses(name):
    x = leaf(3.0, 4.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        IN_PLACE[name](x)
    assert x.tolist() == [3.0, 4.0]


def test_leaf_under_no_grad_changes_and_stays_a_leaf(name):
    x = leaf(3.0, 4.0)
    same = x
    with ho.no_grad():
        IN_PLACE[name](x)
    assert same is x
    assert x.tolist() == AFTER[name]
    assert (x.is_leaf, x.requires_grad, x.grad_fn) == (True, True, None)
    (x * ho.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 10.0]


def test_recorded_on_a_non_leaf(name):
    x = leaf(3.0, 4.0)
    y = x.clone()
    same = y
    IN_PLACE[name](y)
    assert same is y
    assert y.tolist() == AFTER[name]
    y.sum().backward()
    assert x.grad.tolist() == SLOPE[name]
    assert x.tolist() == [3.0, 4.0]


def test_constant(name):
    x = ho.tensor([3.0, 4.0])
    IN_PLACE[name](x)
    assert x.tolist() == AFTER[name]
    assert not x.requires_grad


def test_constant_that_takes_in_a_recorded_value():
    w = leaf(2.0)
    x = ho.zeros(3)
    x[1] = w[0] * 5
    x += w
    assert x.tolist() == [2.0, 12.0, 2.0]
    x.sum().backward()
    assert w.grad.tolist() == [8.0]


def test_elements_filled_in_a_loop():
    w = leaf(2.0)
    x = ho.zeros(4)
    x[0] = w[0]
    for i in range(1, 4):
        x[i] = x[i - 1] * w[0]
    assert x.tolist() == [2.0, 4.0, 8.0, 16.0]
    x.sum().backward()
    assert w.grad.tolist() == [1 + 4 + 12 + 32]


@pytest.mark.parametrize(
    ("index", "value", "expected"),
    [
        (0, 9.0, [[9.0, 9.0], [3.0, 4.0]]),
        ((slice(None), 1), 9.0, [[1.0, 9.0], [3.0, 9.0]]),
        ((0, 1), 9.0, [[1.0, 9.0], [3.0, 4.0]]),
        (slice(None), [8.0, 9.0], [[8.0, 9.0], [8.0, 9.0]]),
        ([1, 0], [[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [1.0, 2.0]]),
        (Ellipsis, 0.0, [[0.0, 0.0], [0.0, 0.0]]),
    ],
    ids=["row", "column", "element", "broadcast", "integers", "all"],
)
def test_assigned_values_and_what_was_there_get_their_gradients(index, value, expected):
    x, v = ho.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), ho.tensor(value, requires_grad=True)
    y = x * 1
    y[index] = v
    assert y.tolist() == expected
    y.sum().backward()
    replaced = ho.zeros(2, 2)
    replaced[index] = 1.0
    assert x.grad.tolist() == (1 - replaced).tolist()
    assert v.grad.sum().item() == replaced.sum().item()


def test_mask_assigns_where_it_holds():
    x = leaf(-1.0, 2.0, -3.0)
    y = x * 1
    y[y < 0] = 0.0
    assert y.tolist() == [0.0, 2.0, 0.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_what_an_operation_saved_is_never_stale(name):
    # PyTorch refuses the backward pass here, since it saves by reference.
    x = leaf(3.0, 4.0)
    c = x.clone()
    y = c * c
    IN_PLACE[name](c)
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]


def test_answer_that_its_own_rule_reads_is_never_stale():
    x = leaf(0.0, 1.0)
    y = x.exp()
    y += 100
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.0, 1.0]))


def test_leaf_changed_under_no_grad_after_it_was_used():
    x = leaf(3.0, 4.0)
    y = (x * x).sum()
    with ho.no_grad():
        x.zero_()
    y.backward()
    assert x.grad.tolist() == [6.0, 8.0]


def test_gradient_descent_in_place_keeps_the_leaf_and_its_gradient():
    x = leaf(4.0)
    for expected in (3.2, 2.56, 2.048):
        (x * x).sum().backward()
        with ho.no_grad():
            x -= 0.1 * x.grad
            x.grad.zero_()
        assert x.is_leaf
        assert x.item() == pytest.approx(expected, rel=1e-12)


def test_other_names_of_the_tensor_see_the_change_and_views_do_not():
    x = ho.tensor([1.0, 2.0])
    same, view, copy = x, x[:1], x.detach()
    x += 10
    assert same.tolist() == [11.0, 12.0]
    assert (view.tolist(), copy.tolist()) == ([1.0], [1.0, 2.0])


def test_data_changes_the_tensor_unrecorded():
    x = leaf(3.0, 4.0)
    y = (x * x).sum()
    x.data -= 1
    assert x.tolist() == [2.0, 3.0]
    x.data.mul_(2)
    x.data[0] = 7.0
    assert x.tolist() == [7.0, 6.0]
    assert (x.is_leaf, x.requires_grad, x.data.requires_grad) == (True, True, False)
    x.data = ho.tensor([1.0, 2.0])
    (x * 5).sum().backward()
    x.grad.data.zero_()
    assert x.grad.tolist() == [0.0, 0.0]
    y.backward()
    assert x.grad.tolist() == [6.0, 8.0]


def test_data_of_another_shape():
    x = leaf(3.0, 4.0)
    x.data = ho.tensor([1.0, 2.0, 3.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("operate", "phrase"),
    [
        (lambda x: x.__iadd__(ho.ones(3, 2)), "shape"),
        (lambda x: x.__setitem__(slice(0, 1), ho.ones(2)), "shape|broadcast"),
        (lambda x: x.copy_(ho.ones(3)), "shape|broadcast|expand|size"),
    ],
    ids=["+=", "[]=", "copy_"],
)
def test_shapes_that_do_not_fit(operate, phrase):
    x = ho.tensor([3.0, 4.0])
    with pytest.raises(RuntimeError, match=phrase):
        operate(x)
    assert x.tolist() == [3.0, 4.0]


def test_dtype_is_kept():
    x = ho.tensor([1, 2])
    x += 1
    assert (x.dtype, x.tolist()) == (ho.int64, [2, 3])
    with pytest.raises(RuntimeError, match="result type .* can't be cast to the desired output type"):
        x += 0.5
    y = ho.tensor([1.0, 2.0], dtype=ho.float32)
    y += ho.tensor([1.0, 1.0], dtype=ho.float64)
    y[0] = ho.tensor(0.5, dtype=ho.float64)
    assert (y.dtype, y.tolist()) == (ho.float32, [0.5, 3.0])


MIXED = {
    "product": lambda x, a, i: x * a,
    "product from the left": lambda x, a, i: a * x,
    "quotient": lambda x, a, i: x / a,
    "matmul": lambda x, a, i: x @ a,
    "matmul from the left": lambda x, a, i: a @ x,
    "where": lambda x, a, i: ho.where(a > 2, x * x, x),
    "maximum": lambda x, a, i: ho.maximum(x * 2, a),
    "take": lambda x, a, i: (x * x)[i],
    "take_along_axis": lambda x, a, i: ho.take_along_axis(x * x, i, 0),
    "assign": lambda x, a, i: (x * x).at[i].set(a * 2),
    "dot": lambda x, a, i: ho.dot(x, a),
    "einsum": lambda x, a, i: ho.einsum("i,i->", x, a),
    "mse": lambda x, a, i: ho.mse(x, a),
    "as_tensor": lambda x, a, i: x * ho.as_tensor(a),
    "tensor": lambda x, a, i: x * ho.tensor(a),
}


@pytest.mark.parametrize("operation", MIXED)
def test_array_that_its_owner_writes_to_after_the_operation(operation):
    def run(write):
        array, indices = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2])
        x = leaf(0.5, 1.5, 2.5)
        y = MIXED[operation](x, array, indices).sum()
        if write:
            array[:] = 1000.0
            indices[:] = 1
        y.backward()
        return x.grad.tolist()

    assert run(write=True) == run(write=False)


def test_numpy_view_cannot_be_written_to():
    x = ho.tensor([1.0, 2.0])
    for array in (x.numpy(), np.asarray(x), x.numpy()[:1]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5.0
    writable = np.array(x)
    writable[0] = 5.0
    assert x.tolist() == [1.0, 2.0]


def test_inside_a_transform_the_caller_sees_nothing():
    def f(x):
        x *= 2
        x[0] = 1.0
        return (x * x).sum()

    x = ho.tensor([3.0, 4.0])
    assert ho.func.grad(f)(x).tolist() == [0.0, 32.0]
    assert ho.func.jvp(f, (x,), (ho.tensor([1.0, 1.0]),))[1].item() == 32.0
    assert ho.func.vmap(f)(ho.stack([x, x + 1])).tolist() == [65.0, 101.0]
    assert ho.func.grad(lambda x: ho.func.grad(f)(x)[1])(x).tolist() == [0.0, 8.0]
    assert x.tolist() == [3.0, 4.0]


def test_output_changed_before_its_cotangent_is_pulled_back():
    def outer(x):
        y, pull = ho.func.vjp(lambda x: x * x, x)
        y *= 100
        return pull(ho.tensor(1.0))[0] + 0 * y

    assert outer(ho.tensor(3.0)).item() == 6.0
    assert ho.func.grad(outer)(ho.tensor(3.0)).item() == 2.0


#: Calls of the methods in place that PyTorch's elementwise functions have, beside those above.
ELEMENTWISE = {
    "abs_ absolute_ neg_ negative_ sign_ square_ exp_ exp2_ expm1_ sin_ cos_ tan_ asin_ acos_ atan_ sinh_ cosh_": (),
    "tanh_ arcsin_ arccos_ arctan_ asinh_ atanh_ arcsinh_ arctanh_ deg2rad_ rad2deg_ sinc_ sigmoid_ relu_": (),
    "floor_ ceil_ round_ trunc_ fix_ frac_ nan_to_num_ erf_ erfc_ erfinv_ i0_ logical_not_": (),
    "sqrt_ rsqrt_ reciprocal_ log_ log2_ log10_ log1p_ lgamma_ digamma_ logit_": (),
    "pow_ floor_divide_ remainder_ fmod_ atan2_ arctan2_ hypot_ copysign_ heaviside_ xlogy_": (1.5,),
    "eq_ ne_ lt_ le_ gt_ ge_ logical_and_ logical_or_ logical_xor_": (0.25,),
    "clip_ clamp_": (0.3, 0.6),
    "lerp_ addcmul_ addcdiv_": (2.0, 0.5),
    "polygamma_": (1,),
}
CALLS = {name: args for names, args in ELEMENTWISE.items() for name in names.split()}


@pytest.mark.parametrize(("name", "args"), CALLS.items(), ids=CALLS.keys())
def test_elementwise_functions_in_place(name, args):
    args = [ho.tensor(a) if name in TENSORS_ONLY else a for a in args]
    x = leaf(0.25, 0.75)
    y = x * 1
    found = getattr(y, name)(*args)
    expected = getattr(x, name[:-1])(*args)
    assert found is y
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy().astype(np.float64))
    if expected.requires_grad:
        np.testing.assert_array_equal(ho.grad(y.sum(), x)[0].numpy(), ho.grad(expected.sum(), x)[0].numpy())
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(x, name)(*args)


TENSORS_ONLY = {"atan2_", "arctan2_", "hypot_", "copysign_", "heaviside_", "lerp_", "addcmul_", "addcdiv_"}


RESHAPING = {
    "squeeze_": (lambda x: x.squeeze_(1), (2, 3)),
    "unsqueeze_": (lambda x: x.unsqueeze_(0), (1, 2, 1, 3)),
    "transpose_": (lambda x: x.transpose_(0, 2), (3, 1, 2)),
    "swapaxes_": (lambda x: x.swapaxes_(0, 1), (1, 2, 3)),
    "swapdims_": (lambda x: x.swapdims_(0, 1), (1, 2, 3)),
    "t_": (lambda x: x.squeeze_().t_(), (3, 2)),
}


@pytest.mark.parametrize(("change", "shape"), RESHAPING.values(), ids=RESHAPING.keys())
def test_another_shape_in_place(change, shape):
    x = ho.ones(2, 1, 3).requires_grad_()
    y = 2 * x
    assert change(y) is y
    assert y.shape == shape
    y.square().sum().backward()
    np.testing.assert_array_equal(x.grad, 8 * np.ones((2, 1, 3)))
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        change(x)
    with ho.no_grad(), pytest.raises(RuntimeError, match=r"\.grad has shape \(2, 1, 3\). Set \.grad to None"):
        change(x)
    x.grad = None
    with ho.no_grad():
        change(x)
    assert (x.shape, x.is_leaf, x.requires_grad) == (shape, True, True)
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 3 * np.ones(shape))


def test_another_shape_in_place_within_transforms():
    def f(x):
        y = x * x
        return (y.t_() * ho.tensor([[1.0], [2.0]])).sum()

    x = ho.tensor([[1.0, 2.0], [3.0, 4.0]])
    expected = [[2.0, 8.0], [6.0, 16.0]]
    rows = ho.func.vmap(lambda row: f(row.unsqueeze(0)))(x)
    assert rows.tolist() == [9.0, 41.0]
    assert ho.func.vmap(lambda row: ho.func.grad(lambda r: f(r.unsqueeze(0)))(row))(x).tolist() == expected
    assert ho.compile(lambda x: f(x[:1]))(x).item() == 9.0


def test_another_shape_under_no_grad_is_refused_on_a_non_leaf():
    y = 2 * leaf(1.0, 2.0)
    with ho.no_grad(), pytest.raises(RuntimeError, match=r"shape \(1, 2\) under no_grad\(\)"):
        y.unsqueeze_(0)
