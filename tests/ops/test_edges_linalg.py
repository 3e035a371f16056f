"""Zero, singular and degenerate matrices: values and two derivatives, as PyTorch 2.13 gave them.

What differs from PyTorch is marked. Factors of such matrices, and what raises, are in test_linalg.py.
"""

from __future__ import annotations

import math

import hograd as ho

from .edges import Edge, check_transforms, check_values_and_derivatives, check_warnings, over

inf, nan = math.inf, math.nan
ZEROS = [[0.0, 0.0], [0.0, 0.0]]
UNKNOWN = [[nan, nan], [nan, nan]]


# fmt: off
EDGES = [
    # Where a norm is 0 PyTorch's second derivative is nan; here all derivatives are 0 there.
    Edge("vector_norm of zeros", lambda x: ho.linalg.vector_norm(x), [[0.0, 0.0]], 0.0, [[0.0, 0.0]], [[0.0, 0.0]]),
    # In PyTorch: second [[nan, 0.0]]
    Edge("1/2-norm with a zero", lambda x: ho.linalg.vector_norm(x, 0.5),
         [[0.0, 2.0]], 2.0, [[0.0, 1.0]], [[0.0, 0.0]]),
    Edge("-inf-norm of ties", lambda x: ho.linalg.vector_norm(x, -inf),
         [[2.0, -2.0, 3.0]], 2.0, [[0.5, -0.5, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("norm of a row of zeros", lambda x: ho.linalg.norm(x, dim=1),
         [[[0.0, 0.0], [3.0, 4.0]]], [0.0, 5.0], [[[0.0, 0.0], [1.2, 1.6]]], [ZEROS]),
    # In PyTorch: second nan
    Edge("matrix_norm of zeros", lambda x: ho.linalg.matrix_norm(x), [ZEROS], 0.0, [ZEROS], [ZEROS]),
    Edge("nuclear norm of a singular matrix", lambda x: ho.linalg.matrix_norm(x, "nuc"),
         [[[2.0, 0.0], [0.0, 0.0]]], 2.0, [[[1.0, 0.0], [0.0, 1.0]]], [[[0.0, -0.5], [0.5, 0.0]]]),
    Edge("nuclear norm of zeros", lambda x: ho.linalg.matrix_norm(x, "nuc"),
         [ZEROS], 0.0, [[[1.0, 0.0], [0.0, 1.0]]], [UNKNOWN]),
    Edge("2-norm of equal singular values", lambda x: ho.linalg.matrix_norm(x, 2),
         [[[2.0, 0.0], [0.0, 2.0]]], 2.0, [[[0.5, 0.0], [0.0, 0.5]]], [UNKNOWN]),
    Edge("1-norm of columns as long", lambda x: ho.linalg.matrix_norm(x, 1),
         [[[2.0, 0.0], [0.0, 2.0]]], 2.0, [[[0.5, 0.0], [0.0, 0.5]]], [ZEROS]),
    Edge("cond of a singular matrix", lambda x: ho.linalg.cond(x),
         [[[2.0, 0.0], [0.0, 0.0]]], inf, [UNKNOWN], [UNKNOWN]),
    Edge("cond of equal singular values", lambda x: ho.linalg.cond(x),
         [[[2.0, 0.0], [0.0, 2.0]]], 1.0, [[[0.5, 0.0], [0.0, -0.5]]], [UNKNOWN]),
    Edge("svdvals of zeros", lambda x: ho.linalg.svdvals(x),
         [ZEROS], [0.0, 0.0], [[[1.0, 0.0], [0.0, 2.0]]], [UNKNOWN]),
    Edge("eigvalsh of equal eigenvalues", lambda x: ho.linalg.eigvalsh(x),
         [[[2.0, 0.0], [0.0, 2.0]]], [2.0, 2.0], [[[1.0, 0.0], [0.0, 2.0]]], [UNKNOWN]),
    Edge("eigvals of equal eigenvalues", lambda x: ho.real(ho.linalg.eigvals(x)),
         [[[2.0, 0.0], [0.0, 2.0]]], [2.0, 2.0], [[[1.0, 0.0], [0.0, 2.0]]], [UNKNOWN]),
    Edge("eig of equal eigenvalues", lambda x: ho.real(ho.linalg.eig(x).eigenvalues),
         [[[2.0, 0.0], [0.0, 2.0]]], [2.0, 2.0], [[[1.0, 0.0], [0.0, 2.0]]], [UNKNOWN]),
    Edge("det of a singular matrix", lambda x: ho.linalg.det(x),
         [[[1.0, 2.0], [2.0, 4.0]]], 0.0, [[[4.0, -2.0], [-2.0, 1.0]]], [[[4.0, -3.0], [-2.0, 1.0]]]),
    Edge("matrix_exp of a nilpotent matrix", lambda x: ho.linalg.matrix_exp(x),
         [[[0.0, 1.0], [0.0, 0.0]]], [[1.0, 1.0], [0.0, 1.0]],
         [[[2.0, 2.0], [35 / 6, 5.0]]], [[[13.0, 14.5], [26.016666666666666, 30.5]]]),
    Edge("pinv of zeros", lambda x: ho.linalg.pinv(x), [ZEROS], ZEROS, [ZEROS], [ZEROS]),
    Edge("vander of zero", lambda x: ho.linalg.vander(x, N=3),
         [[0.0]], [[1.0, 0.0, 0.0]], [[2.0]], [[6.0]]),
]
# fmt: on


@over(EDGES)
def test_values_and_derivatives_at_the_edge(edge):
    check_values_and_derivatives(edge)


@over(EDGES)
def test_transforms_agree_at_the_edge(edge):
    check_transforms(edge)


@over(EDGES)
def test_derivatives_do_not_warn_where_values_do_not(edge):
    check_warnings(edge)
