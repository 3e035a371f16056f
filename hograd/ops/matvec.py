"""Linear systems that are given only by a product: the primitive behind `linalg.solve_matvec`.

All that a system is differentiated by is one flat vector: the right side b, and behind it the parameters p of the
matrix. So one rule pulls back to all of it, with one solution of the adjoint system.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import general
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor

_solution = general(
    "linear_solution",
    lambda x, guess, *constants, system: system.iterate(x, guess, constants),
    [lambda F, g, y, x, constants, system: F.linear_adjoint(g, y, x, *constants, system=system), None, None],
    jvp=lambda F, tangents, values, params: (
        None
        if tangents[0] is None
        else F.linear_tangent(tangents[0], values[0], values[1], *values[3:], system=params["system"])
    ),
    arguments="x guess *constants",
)


def linear_solution(x: Any, guess: Any, *constants: Any, system: Any) -> Tensor:
    """A(p)^-1 b  for  x = (b, p)."""
    return wrap(apply(_solution, (x, guess, *constants), {"system": system}))


def _linear_adjoint(g: Any, y: Any, x: Any, *constants: Any, system: Any) -> Tensor:
    """From the cotangent of the solution y that of (b, p):  w = A^-T g,  and  -w^T (dA/dp) y."""
    g, y, x = wrap(g), wrap(y), wrap(x)
    n = g.shape[0]
    with_g = ops.concatenate([ops.astype(g, x.dtype), x[n:]])
    w = linear_solution(with_g, np.zeros(n, g.dtype), *constants, system=system.transposed)
    if x.shape[0] == n:
        return w
    return ops.concatenate([ops.astype(w, x.dtype), -system.pull(w, y, x[n:], constants)])


def _linear_tangent(t: Any, y: Any, x: Any, *constants: Any, system: Any) -> Tensor:
    """From the tangent of (b, p) that of the solution y:  A^-1 (db - (dA/dp) y dp)."""
    t, y, x = wrap(t), wrap(y), wrap(x)
    n = y.shape[0]
    change = t[:n]
    if x.shape[0] > n:
        change = change - system.push(y, x[n:], t[n:], constants)
    with_change = ops.concatenate([ops.astype(change, x.dtype), x[n:]])
    return linear_solution(with_change, np.zeros(n, y.dtype), *constants, system=system)


def _on_arrays(function: Any) -> Any:
    return lambda *arrays, system: system.on_arrays(function, *arrays)


register("linear_solution", linear_solution, _on_arrays(linear_solution))
register("linear_adjoint", _linear_adjoint, _on_arrays(_linear_adjoint))
register("linear_tangent", _linear_tangent, _on_arrays(_linear_tangent))
