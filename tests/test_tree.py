"""Trees as flat tensors and as stacks."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import StructureError

MIXED = {"a": ho.ones(2, 3, dtype=ho.float32), "b": ho.tensor(2.0), "c": ho.tensor([1, 2])}


def test_ravel_gives_every_leaf_its_shape_and_dtype_back():
    flat, unravel = ho.tree.ravel(MIXED)
    assert flat.dtype == ho.float64
    back = unravel(flat * 2)
    assert ho.tree.map(lambda x: (x.shape, x.dtype), back) == ho.tree.map(lambda x: (x.shape, x.dtype), MIXED)
    np.testing.assert_array_equal(back["c"].numpy(), [2, 4])


def test_a_tree_of_one_dtype_takes_the_dtype_of_the_vector():
    _, unravel = ho.tree.ravel({"a": ho.ones(2), "b": ho.tensor(2.0)})
    assert unravel(ho.ones(3, dtype=ho.float32))["a"].dtype == ho.float32


def test_unravel_is_differentiable():
    flat, unravel = ho.tree.ravel({"a": ho.tensor([1.0, 2.0]), "b": ho.ones(1, dtype=ho.float32)})
    gradient = ho.func.grad(lambda v: (unravel(v)["a"] ** 2).sum() + 3 * unravel(v)["b"].sum())(flat)
    np.testing.assert_allclose(gradient.numpy(), [2.0, 4.0, 3.0])


def test_stack_names_the_tree_that_differs():
    with pytest.raises(StructureError):
        ho.tree.stack([{"a": ho.ones(2)}, {"b": ho.ones(2)}])
