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
    """Parameters one behind the other in one array, and the way back.

    >>> import hograd as ho
    >>> flat = Flat({"weight": ho.tensor([[1.0, 2.0]]), "bias": ho.tensor(3.0)})
    >>> flat.joined({"weight": ho.tensor([[4.0, 5.0]]), "bias": ho.tensor(6.0)})
    tensor([4., 5., 6.])
    >>> flat.parts(ho.tensor([7.0, 8.0, 9.0]))
    {'bias': tensor(7.), 'weight': tensor([[8., 9.]])}
    """

    def __init__(self, params: Any) -> None:
        leaves, self.structure = tree.flatten(params)
        self.shapes = [tuple(leaf.shape) for leaf in leaves]

    def joined(self, params: Any) -> Tensor:
        """A tree like the parameters as one array."""
        return concatenate([reshape(leaf, (-1,)) for leaf in tree.leaves(params)])

    def parts(self, flat: Tensor) -> Any:
        """The tree of such an array."""
        parts, start = [], 0
        for shape in self.shapes:
            end = start + math.prod(shape)
            parts.append(reshape(flat[start:end], shape))
            start = end
        return tree.unflatten(self.structure, parts)

    def state(self, state: dict[str, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
        """A state of the optimizer with `form`, one of the above, of all that is like the parameters."""
        return {key: value if key == "step" else form(value) for key, value in state.items()}


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
