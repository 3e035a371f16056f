"""Questions about tensors, and new tensors made like others."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import LevelError


def test_new_tensors_have_the_dtype_unless_told():
    x = ho.ones(2, dtype=ho.float32)
    made = [
        x.new_zeros(2, 3),
        x.new_ones((2, 3)),
        x.new_full((2, 3), 7),
        x.new_empty(2, 3),
        x.new_tensor([[1] * 3] * 2),
    ]
    assert [y.dtype for y in made] == [np.float32] * 5
    assert [y.shape for y in made] == [(2, 3)] * 5
    assert made[2].tolist() == [[7.0] * 3] * 2
    assert x.new_zeros(2, dtype=ho.int64).dtype == np.int64
    assert x.new_ones(2, requires_grad=True).requires_grad
    assert ho.empty(2, 3).shape == ho.empty_like(made[0]).shape == (2, 3)
    assert ho.empty_like(x).dtype == np.float32


def test_equal():
    x = ho.tensor([1.0, np.nan])
    assert not ho.equal(x, x)
    assert not ho.equal(ho.zeros(2, 1), ho.zeros(2))
    assert ho.zeros(0).equal(ho.zeros(0))
    assert ho.equal(ho.tensor([1, 2]), [1.0, 2.0]) is True
    with pytest.raises(LevelError, match="inside vmap"):
        ho.vmap(lambda x: x if ho.equal(x, x) else 2 * x)(ho.ones(2))


def test_sizes():
    x = ho.zeros(2, 3, dtype=ho.float32)
    assert (ho.numel(x), x.nelement(), x.ndimension(), x.element_size()) == (6, 6, 2, 4)
    assert x.T.contiguous().is_contiguous()
    assert ho.vmap(lambda row: row * ho.numel(row))(x + 1).tolist() == [[3.0] * 3] * 2
    assert ho.finfo(x.dtype).eps == np.finfo(np.float32).eps


def test_autograd_has_the_checks():
    assert ho.autograd.gradcheck(ho.sin, (ho.ones(2),))
    assert ho.autograd.gradgradcheck(ho.sin, (ho.ones(2),))
