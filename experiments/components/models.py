"""Networks as components: each is made for the shape of one example and a number of outputs."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Len

import hograd as ho
from experiments.components.registry import register
from experiments.components.types import Count, Several
from hograd import nn

#: What may stand after each layer.
ACTIVATIONS = {
    "relu": ho.relu,
    "tanh": ho.tanh,
    "sigmoid": ho.sigmoid,
    "softplus": ho.softplus,
    "gelu": ho.gelu,
    "silu": ho.silu,
    "elu": ho.elu,
}

#: Of hidden layers; beyond this many, networks of Python objects take minutes.
Widths = Annotated[tuple[Count, ...], Len(0, 1000)]

Activation = Literal["relu", "tanh", "sigmoid", "softplus", "gelu", "silu", "elu"]


@register("model")
def linear(shape: tuple[int, ...], outputs: int, /, *, bias: bool = True, start: Literal["zero", "random"] = "random"):
    """A linear map of all numbers of an example.

    Args:
        bias: whether a constant is added.
        start: "zero", or "random" as PyTorch's layers begin.
    """
    begin: Any = nn.init.zeros if start == "zero" else None
    return nn.mlp([math.prod(shape), outputs], bias=bias, weight_init=begin, bias_init=begin)


@register("model")
def mlp(
    shape: tuple[int, ...],
    outputs: int,
    /,
    *,
    hidden: Widths = (64,),
    activation: Activation = "relu",
    bias: bool = True,
    norm: Literal["none", "layer"] = "none",
):
    """A fully connected network.

    Args:
        hidden: widths of the hidden layers.
        activation: after each of them.
        bias: whether the layers have biases.
        norm: what stands before each activation.
    """
    made = nn.layer_norm if norm == "layer" else None
    return nn.mlp([math.prod(shape), *hidden, outputs], ACTIVATIONS[activation], bias=bias, norm=made)


@register("model")
def conv4(
    shape: tuple[int, ...],
    outputs: int,
    /,
    *,
    filters: Count = 32,
    norm: Literal["transductive", "running", "group", "none"] = "transductive",
    activation: Activation = "relu",
):
    """Four blocks of convolution, normalisation and pooling: the backbone of few-shot learning.

    Args:
        filters: channels of every block.
        norm: statistics of batch norm ("transductive": of the batch, also in tests; "running": averages), group norm,
            or none.
        activation: after each normalisation.
    """
    made: Any = {"none": None, "group": partial(nn.group_norm, math.gcd(8, filters))}.get(norm, norm)
    return nn.conv4(shape, outputs, filters=filters, norm=made, activation=ACTIVATIONS[activation])


class Mixed:
    """A fully connected network in which each activation is a mixture of several: weights softmax(logits).

    `apply(params, x, logits)` with logits of shape (hidden layers, candidates); without them all weigh the same.
    """

    def __init__(self, net: nn.sequential, candidates: tuple[str, ...]):
        self.layers = [layer for name, layer in net.layers if name.startswith(("layer", "head"))]
        self.names = [name for name, _ in net.layers if name.startswith(("layer", "head"))]
        self.net = net
        self.candidates = candidates
        #: Shape of the logits.
        self.mixed = (len(self.layers) - 1, len(candidates))

    def init(self, seed: int) -> Any:
        """The first parameters."""
        return self.net.init(seed)

    def apply(self, params: Any, x: Any, logits: Any = None) -> Any:
        """The outputs for rows x."""
        logits = ho.zeros(*self.mixed, dtype=x.dtype) if logits is None else logits
        for index, (name, layer) in enumerate(zip(self.names, self.layers, strict=True)):
            x = layer.apply(params[name], x)
            if index < len(self.layers) - 1:
                shares = ho.softmax(logits[index], -1)
                total = shares[0] * _activation(self.candidates[0], x)
                for place, candidate in enumerate(self.candidates[1:], start=1):
                    total = total + shares[place] * _activation(candidate, x)
                x = total
        return x


def _activation(name: str, x: Any) -> Any:
    return x if name == "identity" else ACTIVATIONS[name](x)


@register("model")
def mixed_mlp(
    shape: tuple[int, ...],
    outputs: int,
    /,
    *,
    hidden: Widths = (32, 32),
    candidates: Several[Activation | Literal["identity"]] = ("relu", "tanh", "sigmoid", "identity"),
):
    """A fully connected network whose activations are mixtures, for `learn: {mixture: {}}`.

    Args:
        hidden: widths of the hidden layers.
        candidates: the activations that are mixed after each of them.
    """
    return Mixed(nn.mlp([math.prod(shape), *hidden, outputs]), candidates)
