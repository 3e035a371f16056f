"""Solutions of equations: the primitive behind `custom_root` and `fixed_point`.

All that a root is differentiated by is one flat vector x, so that one solution of the adjoint system pulls back to all
of it. By the implicit function theorem, with A the derivative of f in its first argument at the root y:

    f(y, x) = 0   =>   A dy + (df/dx) dx = 0 .
"""

from __future__ import annotations

from typing import Any

from hograd.core.declare import general
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import register
from hograd.core.tensor import Tensor

_root = general(
    "root",
    lambda x, *constants, problem: problem.find(x, constants),
    [lambda F, g, y, x, constants, problem: F.root_adjoint(g, y, x, *constants, problem=problem), None],
    jvp=lambda F, tangents, values, params: (
        None
        if tangents[0] is None
        else F.root_tangent(tangents[0], values[0], values[1], *values[2:], problem=params["problem"])
    ),
    arguments="x *constants",
)


def root(x: Any, *constants: Any, problem: Any) -> Tensor:
    """The flat y with f(y, x) = 0."""
    return wrap(apply(_root, (x, *constants), {"problem": problem}))


def _root_adjoint(g: Any, y: Any, x: Any, *constants: Any, problem: Any) -> Tensor:
    """From the cotangent of the root y that of x:  -(df/dx)^T A^-T g."""
    return problem.adjoint(wrap(g), wrap(y), wrap(x), constants)


def _root_tangent(t: Any, y: Any, x: Any, *constants: Any, problem: Any) -> Tensor:
    """From the tangent of x that of the root y:  -A^-1 (df/dx) t."""
    return problem.tangent(wrap(t), wrap(y), wrap(x), constants)


def _on_arrays(function: Any) -> Any:
    return lambda *arrays, problem: problem.on_arrays(function, *arrays)


register("root", root, _on_arrays(root))
register("root_adjoint", _root_adjoint, _on_arrays(_root_adjoint))
register("root_tangent", _root_tangent, _on_arrays(_root_tangent))
