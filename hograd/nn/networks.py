"""Networks made of layers: a chain of them, a shortcut around one, and two that everybody needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, overload

from hograd.errors import ArgumentError
from hograd.nn.init import Initializer
from hograd.nn.layer import Function, Layer, Scope, called
from hograd.nn.linear import linear
from hograd.ops.elementwise import relu


class sequential(Layer):
    """Layers one after another.

    Args:
        *layers: layers, or functions of one tensor such as `hograd.relu`; named "0", "1", ... by their places.
        **named: further ones, with names of one's own.

    The parameters are a dict with an entry for every layer that has any. A part of the network, `net[:-1]`, takes the
    parameters of the whole.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> net = nn.sequential(nn.linear(4, 8), ho.tanh, head=nn.linear(8, 3))
    >>> params = net.init(0)
    >>> list(params), nn.count(params)
    (['0', 'head'], 67)
    >>> net[:-1].apply(params, ho.ones(2, 4)).shape
    (2, 8)

    Another head, for another task:

    >>> net = net.replace(head=nn.linear(8, 5))
    >>> params = {**params, "head": net["head"].init(1)}
    >>> net.apply(params, ho.ones(2, 4)).shape
    (2, 5)
    """

    layers: tuple[tuple[str, Layer | Function], ...]

    def __init__(self, *layers: Layer | Function, **named: Layer | Function) -> None:
        pairs = (*((str(i), layer) for i, layer in enumerate(layers)), *named.items())
        for name, layer in pairs:
            if not isinstance(layer, Layer) and (not callable(layer) or isinstance(layer, type)):
                raise ArgumentError(
                    f"sequential: {name} is {called(layer)}, expected a layer, such as nn.linear(3, 2), or a function."
                )
        object.__setattr__(self, "layers", pairs)

    def children(self) -> dict[str, Layer | Function]:
        return dict(self.layers)

    def forward(self, scope: Scope, *inputs: Any) -> Any:
        for name, _ in self.layers:
            inputs = (scope.run(name, *inputs),)
        return inputs[0]

    def replace(self, **layers: Layer | Function) -> sequential:
        """The network with other layers in the places of these names.

        >>> from hograd import nn
        >>> nn.mlp([4, 8, 3]).replace(head=nn.linear(8, 5))["head"]
        linear(8, 5)
        """
        unknown = [name for name in layers if name not in self.children()]
        if unknown:
            raise ArgumentError(f"replace: there is no layer {unknown[0]!r}; there are {', '.join(self.children())}.")
        return _chain([(name, layers.get(name, layer)) for name, layer in self.layers])

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, place: slice) -> sequential: ...

    @overload
    def __getitem__(self, place: int | str) -> Any: ...

    def __getitem__(self, place: int | str | slice) -> Any:
        """A layer by place or name; a slice is a network that takes the same parameters."""
        if isinstance(place, slice):
            return _chain(self.layers[place])
        return self.children()[place] if isinstance(place, str) else self.layers[place][1]

    def __repr__(self) -> str:
        parts = [called(v) if name.isdigit() else f"{name}={called(v)}" for name, v in self.layers]
        return f"sequential({', '.join(parts)})"


def _chain(pairs: Sequence[tuple[str, Layer | Function]]) -> sequential:
    """A chain whose layers have just these names."""
    made = sequential()
    object.__setattr__(made, "layers", tuple(pairs))
    return made


class residual(Layer):
    """x + inner(x), or shortcut(x) + inner(x).

    Args:
        inner: a layer.
        shortcut: a layer that brings x to the shape of the other; default none.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> block = nn.residual(nn.linear(2, 2, weight_init=nn.init.zeros, bias_init=nn.init.ones))
    >>> block.apply(block.init(), ho.tensor([1.0, 2.0]))
    tensor([2., 3.])
    """

    inner: Layer
    shortcut: Layer | None = None

    def forward(self, scope: Scope, x: Any) -> Any:
        return (x if self.shortcut is None else scope.run("shortcut", x)) + scope.run("inner", x)


def mlp(
    sizes: Sequence[int],
    activation: Function = relu,
    *,
    bias: bool = True,
    norm: Callable[[int], Layer] | None = None,
    weight_init: Initializer | None = None,
    bias_init: Initializer | None = None,
) -> sequential:
    """A fully connected network.

    Args:
        sizes: features of the input, of every hidden layer and of the output.
        activation: after every layer but the last.
        bias: whether the layers have biases.
        norm: makes a normalisation of so many features, before each activation, such as `nn.layer_norm`.
        weight_init, bias_init: see `nn.init`; default as for `nn.linear`.

    Returns:
        Layers named layer1, [norm1,] activation1, layer2, ..., and the last one `head`.

    Learning the exclusive or:

    >>> import hograd as ho
    >>> from hograd import nn
    >>> net = nn.mlp([2, 8, 1], ho.tanh)
    >>> x, y = ho.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), ho.tensor([[0.0], [1.0], [1.0], [0.0]])
    >>> gradient = ho.func.grad(lambda params: ho.mse(net.apply(params, x), y))
    >>> params = net.init(0)
    >>> for _ in range(1000):
    ...     params = ho.tree.map(lambda p, g: p - 0.1 * g, params, gradient(params))
    >>> abs(net.apply(params, x) - y).max().item() < 0.1
    True
    """
    if len(sizes) < 2:
        raise ArgumentError(f"mlp: sizes is {sizes!r}, expected at least two: of the input and of the output.")
    options: Any = {"bias": bias, "weight_init": weight_init, "bias_init": bias_init}
    layers: dict[str, Layer | Function] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes[:-1]), 1):
        layers[f"layer{i}"] = linear(inputs, outputs, **options)
        if norm is not None:
            layers[f"norm{i}"] = norm(outputs)
        layers[f"activation{i}"] = activation
    return sequential(**layers, head=linear(sizes[-2], sizes[-1], **options))
