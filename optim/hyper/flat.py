"""Inner training on one flat array: what an optimizer does to each element alike is done once for all parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hograd import Tensor, concatenate, reshape, tree
from optim.base import Optimizer
from optim.fields import fields
from optim.schedules import Schedule, value_at


class Flat:
    """Parameters one behind the other in one array, each bias behind its weight, and the way back.

    >>> import hograd as ho
    >>> flat = Flat({"bias": ho.tensor([3.0, 4.0]), "weight": ho.tensor([[1.0, 2.0]])})
    >>> flat.joined({"bias": ho.tensor([7.0, 8.0]), "weight": ho.tensor([[5.0, 6.0]])})
    tensor([5., 6., 7., 8.])
    >>> flat.parts(ho.tensor([5.0, 6.0, 7.0, 8.0]))["weight"]
    tensor([[5., 6.]])
    """

    def __init__(self, params: Any) -> None:
        leaves, self.structure = tree.flatten(params)
        self.shapes = [tuple(leaf.shape) for leaf in leaves]
        self.order = _order(self.shapes)

    def joined(self, params: Any) -> Tensor:
        """A tree like the parameters as one array."""
        leaves = tree.leaves(params)
        return concatenate([reshape(leaves[i], (-1,)) for i in self.order])

    def parts(self, flat: Tensor) -> Any:
        """The tree of such an array."""
        parts, start = dict[int, Tensor](), 0
        for i in self.order:
            end = start + math.prod(self.shapes[i])
            parts[i] = reshape(flat[start:end], self.shapes[i])
            start = end
        return tree.unflatten(self.structure, [parts[i] for i in range(len(parts))])

    def state(self, state: dict[str, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
        """A state of the optimizer with `form`, one of the above, of all that is like the parameters."""
        return {key: value if key == "step" else form(value) for key, value in state.items()}


def _order(shapes: list[tuple[int, ...]]) -> list[int]:
    """The numbers of arrays as they are, but for each bias (m) right behind the weight (n, m) that it stands beside.

    Programs with NumPy compute both with one product then.
    """
    order, i = list[int](), 0
    while i < len(shapes):
        first, second = (*shapes[i : i + 2], ())[:2]
        if len(first) == 2 and second == first[1:]:
            order += [i, i + 1]
        elif len(second) == 2 and first == second[1:]:
            order += [i + 1, i]
        else:
            order.append(i)
            i -= 1
        i += 2
    return order


def flat_for(optimizer: Optimizer, params: Any) -> Flat | None:
    """The flat form of these parameters, if the optimizer does the same with it; None otherwise, and for one array."""
    leaves = tree.leaves(params)
    fits = optimizer.elementwise and len(leaves) > 1 and all(isinstance(leaf, Tensor) for leaf in leaves)
    if not fits or len({leaf.dtype for leaf in leaves}) > 1 or leaves[0].dtype.kind != "f":
        return None
    for name in fields(optimizer):
        value = getattr(optimizer, name)
        if not all(_is_number(v) for v in (value if type(value) is tuple else (value,))):
            return None
    return Flat(params)


def _is_number(value: Any) -> bool:
    """Whether a hyperparameter is one number for all parameters."""
    if isinstance(value, Schedule):
        value = value_at(value, 0)
    return value is None or isinstance(value, float) or (isinstance(value, Tensor) and tuple(value.shape) == ())
