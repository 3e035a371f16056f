"""Meta-Curvature and T-Nets: inner gradients, or the layers that they come from, are transformed by what is learned."""

from __future__ import annotations

import dataclasses
from typing import Any

import hograd as ho
from hograd import Tensor, nn, tree
from optim.base import Optimizer
from optim.compose import Chain, Transform
from optim.meta.chosen import Part
from optim.meta.maml import MAML


class Curvature(Transform):
    """Gradients of every parameter times learned matrices along its axes; see `MetaCurvature`.

    Args:
        matrices: list of the parameters' matrices, each a list for the parameter's axes.
    """

    matrices: Any

    def transform(self, grads: Any, params: Any, step: Any) -> Any:
        leaves, structure = tree.flatten(grads)
        moved = [curved(g, own) for g, own in zip(leaves, self.matrices, strict=True)]
        return tree.unflatten(structure, moved)


def curved(g: Tensor, matrices: list[Tensor]) -> Tensor:
    """A gradient times a matrix along each of its axes; all axes from the third on count as one."""
    flat = g.reshape(*g.shape[:2], -1) if g.ndim > 3 else g
    for axis, matrix in enumerate(matrices):
        flat = ho.moveaxis(ho.tensordot(matrix, flat, ([1], [axis])), 0, axis)
    return flat.reshape(g.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class MetaCurvature(MAML):
    """Meta-Curvature (Park and Oliva, 2019): `MAML` whose inner gradients are multiplied by learned matrices.

    G <- G x_1 M_o x_2 M_i x_3 M_f : a matrix for the outputs, one for the inputs, and one for the filter of a
    convolution; biases have the first alone. All begin as the identity, so that it begins as MAML.

    Args:
        net, criterion, inner, steps, order, learn, adapted: see `MAML`.

    >>> algorithm = MetaCurvature(nn.conv2d(3, 8, 5))
    >>> [matrix.shape for matrix in algorithm.init(0)["curvature"][1]]
    [(8, 8), (3, 3), (25, 25)]
    """

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """New parameters, and identities."""
        learned = super().init(seed, dtype=dtype)
        matrices = []
        for leaf in tree.leaves(self._part.take(learned["params"])):
            sizes = [*leaf.shape[:2], leaf[0, 0].numel()] if leaf.ndim > 3 else leaf.shape
            matrices.append([ho.eye(size, dtype=leaf.dtype) for size in sizes])
        return {**learned, "curvature": matrices}

    def optimizer(self, learned: Any) -> Optimizer:
        """The inner optimizer behind the matrices."""
        return Chain((Curvature(learned["curvature"]),), super().optimizer(learned))


@dataclasses.dataclass(frozen=True, eq=False)
class TNet(MAML):
    """T-Nets and warped layers (Lee and Choi, 2018; Flennerhag et al., 2020): `MAML` with layers that never adapt.

    The network is that of `warped`: behind each linear and convolutional layer stands a linear map of its outputs.
    Inner steps pass through it and leave it as it is, so that it warps the gradients before it.

    Args:
        net, criterion, inner, steps, order, learn: see `MAML`. adapted: as there, of all but the warps.

    >>> algorithm = TNet(nn.mlp([2, 8, 5]))
    >>> list(algorithm.init(0)["params"])
    ['layer1', 'warp_layer1', 'head', 'warp_head']
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "net", warped(self.net))

    @property
    def _part(self) -> Part:
        return Part(self.adapted, "TNet: adapted", without=WARP)


WARP = "warp_"
"""How the names of warps begin."""


def warped(net: Any) -> Any:
    """A network with a linear map behind each linear and convolutional layer, named `warp_` and its name.

    The maps are the identity at first, and mix features, or channels at every pixel; a network that has some stays.

    >>> warped(nn.mlp([2, 8, 5]))
    sequential(layer1=linear(2, 8), warp_layer1=linear(8, 8, bias=False, weight_init=identity), activation1=relu,
        head=linear(8, 5), warp_head=linear(5, 5, bias=False, weight_init=identity))
    """
    if not isinstance(net, nn.sequential) or any(name.startswith(WARP) for name, _ in net.layers):
        return net
    layers: dict[str, Any] = {}
    for name, layer in net.layers:
        layers[name] = warped(layer)
        if isinstance(layer, nn.linear):
            layers[f"{WARP}{name}"] = nn.linear(layer.outputs, layer.outputs, bias=False, weight_init=identity)
        elif isinstance(layer, nn.conv2d):
            layers[f"{WARP}{name}"] = nn.conv2d(layer.outputs, layer.outputs, 1, bias=False, weight_init=identity)
    return nn.sequential(**layers)


def identity(shape: Any, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """The weight of a map that changes nothing."""
    return ho.eye(shape[0], dtype=dtype).reshape(shape)
