"""Clipping of gradients: as functions of trees, and as stages of `compose.chain`.

Each is exact, in value and derivative: a gradient within its limit passes unchanged, and one beyond it depends on the
limit and on its direction only. A limit may be learned.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from hograd import Tensor, float32, maximum, minimum, tree, where
from hograd import norm as euclidean
from optim.base import Hyperparameter, norm
from optim.compose import Transform
from optim.parameters import floating
from optim.schedules import value_at


def by_value(grads: Any, limit: Any) -> Any:
    """Every number of a tree of gradients between -limit and limit.

    Args:
        grads: tree of tensors.
        limit: number or tensor, >= 0.

    >>> import hograd as ho
    >>> by_value({"w": ho.tensor([3.0, -0.5])}, 1.0)
    {'w': tensor([ 1.0000, -0.5000])}
    """
    return tree.map(lambda g: maximum(minimum(g, limit), -limit), floating("grads", grads))


def by_norm(grads: Any, limit: Any) -> Any:
    """A tree of gradients, shortened to a length of at most `limit` (Pascanu et al., 2013).

    g * min(1, limit / |g|)  with the length of all leaves together; PyTorch adds 1e-6 to it, which is not done here.

    Args:
        grads: tree of tensors.
        limit: number or tensor, >= 0.

    >>> import hograd as ho
    >>> by_norm({"w": ho.tensor(3.0), "b": ho.tensor(4.0)}, 2.5)
    {'w': tensor(1.5000), 'b': tensor(2.)}
    """
    grads = floating("grads", grads)
    leaves = tree.leaves(grads)
    if not leaves:
        return grads
    length = norm(*map(_wide, leaves))
    return tree.map(lambda g: _shortened(_wide(g), length, limit).astype(g.dtype), grads)


def adaptively(grads: Any, params: Any, limit: Any, least: Any = 1e-3) -> Any:
    """Gradients shortened in proportion to their parameters, unit by unit (Brock et al., 2021).

    g_i * min(1, limit * max(|p_i|, least) / |g_i|) , i over the first axis where there are two or more, whose units
    are the rows of a matrix; a parameter of fewer axes is one unit.

    Args:
        grads: tree of tensors.
        params: tree like `grads`.
        limit: number or tensor, >= 0.
        least: number or tensor, >= 0: least length of a unit, so that zero parameters can move.

    Raises:
        StructureError: `params` is not like `grads`.

    >>> import hograd as ho
    >>> adaptively(ho.tensor([[3.0], [0.1]]), ho.tensor([[2.0], [2.0]]), limit=0.5)
    tensor([[1.0000],
            [0.1000]])
    """

    def clipped(g: Any, p: Any) -> Tensor:
        axes = tuple(range(1, g.ndim)) if g.ndim > 1 else tuple(range(g.ndim))
        length, size = (euclidean(_wide(x), 2, axes, True) for x in (g, p))
        return _shortened(_wide(g), length, limit * maximum(size, least)).astype(g.dtype)

    grads, params = floating("grads", grads), floating("params", params)
    return tree.map(clipped, grads, params, names=("grads", "params"))


def _wide(x: Any) -> Any:
    """Half precision as single, in whose range lengths of its vectors are."""
    return x.astype(float32) if x.dtype.itemsize < 4 else x


def _shortened(g: Any, length: Any, limit: Any) -> Any:
    """g * min(1, limit / length) , whose derivative is right on either side and finite at 0."""
    beyond = length > limit
    # Divided first: the share itself may be too small a number.
    return g / where(beyond, length, 1.0).astype(g.dtype) * where(beyond, limit, 1.0).astype(g.dtype)


class ClipByValue(Transform):
    """`by_value` as a stage of `compose.chain`.

    Args:
        limit: number, tensor or schedule, >= 0.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.compose import chain
    >>> opt = chain(ClipByValue(1.0), SGD(lr=0.1))
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, -0.5]), opt.init(w))[0]
    tensor([0.9000, 2.0500])
    """

    limit: Hyperparameter

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {"limit": (0, math.inf, True)}

    def transform(self, grads: Any, params: Any, step: Any) -> Any:
        return by_value(grads, value_at(self.limit, step))


class ClipByNorm(Transform):
    """`by_norm` as a stage of `compose.chain`.

    Args:
        limit: number, tensor or schedule, >= 0.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.compose import chain
    >>> opt = chain(ClipByNorm(2.5), SGD(lr=0.1))
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 4.0]), opt.init(w))[0]
    tensor([0.8500, 1.8000])
    """

    limit: Hyperparameter

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {"limit": (0, math.inf, True)}

    def transform(self, grads: Any, params: Any, step: Any) -> Any:
        return by_norm(grads, value_at(self.limit, step))


class ClipAdaptively(Transform):
    """`adaptively` as a stage of `compose.chain`.

    Args:
        limit: number, tensor or schedule, >= 0.
        least: number, tensor or schedule, >= 0.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.compose import chain
    >>> opt = chain(ClipAdaptively(0.5), SGD(lr=0.1))
    >>> w = ho.tensor([3.0, 4.0])
    >>> opt.step(w, ho.tensor([0.0, 5.0]), opt.init(w))[0]
    tensor([3.0000, 3.7500])
    """

    limit: Hyperparameter = 0.01
    least: Hyperparameter = 1e-3

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "limit": (0, math.inf, True),
        "least": (0, math.inf, True),
    }

    def transform(self, grads: Any, params: Any, step: Any) -> Any:
        return adaptively(grads, params, value_at(self.limit, step), value_at(self.least, step))
