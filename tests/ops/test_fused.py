"""Fused rules, which serve order one on arrays, against the rules that they replace."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from hograd.core.primitive import fused_rules, kernels, primitives

from .samples import Bound, assert_equal, cotangents, differentiable, every_case

FUSED = {name for name, primitive in primitives.items() if primitive in fused_rules}


def nodes_of(outputs):
    """Every node of a graph that has a fused rule."""
    stack = [y.node for y in outputs if y.node is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node.primitive is not None and node.primitive.name in FUSED:
            yield node
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)


def fused_nodes(operation, index, dtype):
    bound = Bound(operation, index)
    return list(nodes_of(bound.of_floating(*bound.floats(dtype=dtype, requires_grad=True))))


CASES = [case for case in every_case(differentiable) if fused_nodes(*case.values, None)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("operation", "index"), CASES)
def test_a_fused_rule_gives_what_the_rule_gives(operation, index, dtype):
    for node in fused_nodes(operation, index, dtype):
        (g,) = cotangents([node], seed=index)
        saved = copy.deepcopy(node.saved)
        for i, parent in enumerate(node.parents):
            if parent is None:
                continue
            for cotangent in (g.value, np.broadcast_to(g.value.flat[0] if g.shape else g.value, g.shape)[()]):
                given = cotangent.copy()
                found = fused_rules[node.primitive][i](kernels, cotangent, node.saved, node.params)
                expected = node.primitive.vjps[i](kernels, given, node.saved, node.params)
                assert found.dtype == expected.dtype
                assert_equal(found, expected, 1e-12 if dtype is np.float64 else 1e-5)
                np.testing.assert_array_equal(cotangent, given)
        for value, before in zip(node.saved, saved, strict=True):
            np.testing.assert_array_equal(value, before)


def test_every_fused_rule_is_met_by_a_sample():
    met = {node.primitive.name for case in CASES for node in fused_nodes(*case.values, None)}
    assert met == FUSED
    assert {"affine", "class_cross_entropy", "conv_biased", "squared_error", "total_cross_entropy"} <= FUSED
