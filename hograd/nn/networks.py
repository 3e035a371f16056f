"""Networks made of layers: a chain of them, a shortcut around one, and two that everybody needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, overload

from hograd.errors import ArgumentError
from hograd.nn.conv import conv2d
from hograd.nn.init import Initializer
from hograd.nn.layer import Function, Layer, Scope, called
from hograd.nn.linear import linear
from hograd.nn.normalization import Statistics, batch_norm
from hograd.nn.pooling import flatten, max_pool2d
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


def conv4(
    image: Sequence[int],
    classes: int,
    *,
    filters: int = 64,
    norm: Statistics | Callable[[int], Layer] | None = "transductive",
    steps: int | None = None,
    activation: Function = relu,
    weight_init: Initializer | None = None,
    bias_init: Initializer | None = None,
) -> sequential:
    """The backbone of few-shot learning: four blocks of 3 x 3 convolution, normalisation, relu, pooling; a linear head.

    The convolutions have padding 1, and max-pooling halves height and width, rounded down (Vinyals et al., 2016; Finn
    et al., 2017, with 32 or 64 filters).

    Args:
        image: channels, height and width, such as (1, 28, 28) for Omniglot and (3, 84, 84) for miniImageNet; height and
            width at least 16.
        classes: how many outputs.
        filters: channels of every block.
        norm: "transductive" as in MAML's experiments; "running"; "per_step" as in MAML++, with statistics, weight and
            bias for each of the inner steps; a function of the number of channels, such as
            `lambda n: nn.group_norm(8, n)`; or None. See `nn.batch_norm`.
        steps: number of inner steps, for "per_step".
        activation: after each normalisation.
        weight_init, bias_init: of convolutions and head, see `nn.init`; default as for `nn.conv2d`.

    Returns:
        Layers named block1 (with conv, norm, activation and pool), ..., block4, flatten and head.

    One step of MAML on a task, and the gradient through it; `vmap` does it for several tasks:

    >>> import hograd as ho
    >>> from hograd import nn
    >>> net = nn.conv4((1, 16, 16), classes=5, filters=4)
    >>> params = net.init(0)
    >>> def loss(params, images, labels):
    ...     return ho.cross_entropy(net.apply(params, images), labels)
    >>> def loss_after_adaptation(params, support, query):
    ...     gradient = ho.func.grad(loss)(params, *support)
    ...     return loss(ho.tree.map(lambda p, g: p - 0.4 * g, params, gradient), *query)
    >>> def meta_loss(params, support, query):
    ...     return ho.vmap(loss_after_adaptation, in_dims=(None, 0, 0))(params, support, query).mean()
    >>> source = ho.manual_seed(0)
    >>> prototypes, labels = ho.randn(2, 5, 1, 16, 16), ho.stack([ho.arange(5)] * 2)
    >>> support, query = ((prototypes + 0.1 * ho.randn(2, 5, 1, 16, 16), labels) for _ in range(2))
    >>> before = meta_loss(params, support, query)
    >>> for _ in range(3):
    ...     params = ho.tree.map(lambda p, g: p - 0.5 * g, params, ho.func.grad(meta_loss)(params, support, query))
    >>> bool(meta_loss(params, support, query) < before)
    True
    """
    if len(image) != 3 or min(image) < 1 or min(image[1:]) < 16:
        raise ArgumentError(
            f"conv4: image is {tuple(image)}, expected channels, height and width, the last two at least 16."
        )
    if norm == "per_step":
        make: Any = partial(batch_norm, statistics="per_step", steps=steps, affine="per_step")
    elif steps is not None:
        raise ArgumentError(f"conv4: steps is {steps}, but norm is {norm!r}, expected 'per_step' with steps.")
    elif norm is None or callable(norm):
        make = norm
    else:
        make = partial(batch_norm, statistics=norm)
    options: Any = {"weight_init": weight_init, "bias_init": bias_init}
    channels, height, width = image
    blocks: dict[str, Layer] = {}
    for i in range(1, 5):
        parts: dict[str, Layer | Function] = {"conv": conv2d(channels, filters, 3, padding=1, **options)}
        if make is not None:
            parts["norm"] = make(filters)
        blocks[f"block{i}"] = sequential(**parts, activation=activation, pool=max_pool2d(2))
        channels = filters
    features = filters * (height // 16) * (width // 16)
    return sequential(**blocks, flatten=flatten(), head=linear(features, classes, **options))
