"""Axes of length 1 put in and taken away: reshapes that keep every other axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import axes_of, axis_of, tensor_of
from hograd.ops.shape import reshape

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "expand_dims",
    "squeeze",
    "unsqueeze",
]


@operation(
    None,
    lambda s: [
        case(s.normal(1, 3, 1)),
        case(s.normal(1, 3, 1), 0),
        case(s.normal(2, 3), 0),
        case(s.normal(1, 1), (0, 1)),
    ],
)
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """The tensor without its axes of length 1: all of them, or those of `axis` that have it (`dim`).

    >>> import hograd as ho
    >>> ho.squeeze(ho.zeros(1, 3, 1)).shape
    (3,)
    """
    x = tensor_of(x, "squeeze")
    axes = () if isinstance(axis, Sequence) and not axis else axes_of(axis, x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in axes))


@operation(np.expand_dims, lambda s: [case(s.normal(3, 4), 1), case(s.normal(), 0), case(s.normal(3), (0, -1))])
def expand_dims(x: Any, axis: Any) -> Tensor:
    """The tensor with new axes of length 1 at the places `axis` of the answer (`dim`).

    >>> import hograd as ho
    >>> ho.expand_dims(ho.zeros(3, 4), 1).shape
    (3, 1, 4)
    """
    x = tensor_of(x, "expand_dims")
    given = axis if isinstance(axis, Sequence) else (axis,)
    rank = x.ndim + len(given)
    places = {axis_of(a, rank, "expand_dims") for a in given}
    if len(places) != len(given):
        raise ShapeError(f"expand_dims got axis {axis}, in which an axis appears multiple times.")
    lengths = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(lengths) for i in range(rank)))


unsqueeze = expand_dims
ops.unsqueeze = expand_dims


def _at_least(count: int, example: str) -> Any:
    """The function that puts axes of length 1 to tensors of fewer than `count` axes."""

    def function(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        grown = tuple(_grown(tensor_of(x, function.__name__), count) for x in given)
        return grown[0] if given is tensors and len(grown) == 1 else grown

    function.__name__ = function.__qualname__ = f"atleast_{count}d"
    function.__doc__ = f"""Tensors with axes of length 1 put to those that have fewer than {count}.

    Args:
        *tensors: one tensor, which gives one, or several, or a list of them, which give a tuple.

    >>> import hograd as ho
    >>> ho.atleast_{count}d({example}
    """
    samples = [(2,), (2, 3), ()]
    return operation(None, lambda s: [case(s.normal(*shape)) for shape in samples])(function)


def _grown(x: Tensor, count: int) -> Tensor:
    if x.ndim >= count:
        return x
    return reshape(
        x,
        {
            (0, 1): (1,),
            (0, 2): (1, 1),
            (0, 3): (1, 1, 1),
            (1, 2): (1, *x.shape),
            (1, 3): (1, *x.shape, 1),
            (2, 3): (*x.shape, 1),
        }[x.ndim, count],
    )


atleast_1d = _at_least(1, "ho.tensor(5.0))\n    tensor([5.])")
atleast_2d = _at_least(2, "ho.tensor([5.0, 6.0]))\n    tensor([[5., 6.]])")
atleast_3d = _at_least(3, "ho.zeros(2, 4)).shape\n    (2, 4, 1)")
