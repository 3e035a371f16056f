"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from hograd.core.primitive import ops
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.init import Initializer
from hograd.nn.layer import Layer, Params, Scope, each_axis, size
from hograd.nn.linear import weight_and_bias

Lengths = int | Sequence[int]


class Convolution(Layer):
    """What the convolutions in 1, 2 and 3 dimensions share."""

    inputs: int
    outputs: int
    kernel_size: Lengths
    stride: Lengths = 1
    padding: Lengths | str = 0
    dilation: Lengths = 1
    groups: int = 1
    bias: bool = True
    weight_init: Initializer | None = None
    bias_init: Initializer | None = None

    rank: ClassVar[int] = 0

    def __post_init__(self) -> None:
        name = type(self).__name__
        for part in ("inputs", "outputs", "groups"):
            size(getattr(self, part), f"{name}: {part}")
        each_axis(self.kernel_size, self.rank, f"{name}: kernel_size")
        for part in ("inputs", "outputs"):
            if getattr(self, part) % self.groups:
                raise ArgumentError(
                    f"{name}: {part} is {getattr(self, part)}, expected a multiple of groups, {self.groups}."
                )

    def make_params(self, generator: Any, dtype: Any) -> Params:
        kernel = each_axis(self.kernel_size, self.rank, "kernel_size")
        shape = self.weight_shape(kernel)
        # PyTorch takes the second length for that of the inputs in transposed convolutions too.
        fan_in = shape[1] * math.prod(kernel)
        outputs = self.outputs if self.bias else None
        return weight_and_bias(shape, outputs, fan_in, self.weight_init, self.bias_init, generator, dtype)

    def weight_shape(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the weight."""
        return (self.outputs, self.inputs // self.groups, *kernel)

    def forward(self, scope: Scope, x: Any) -> Any:
        if x.ndim not in (self.rank + 1, self.rank + 2) or x.shape[-self.rank - 1] != self.inputs:
            lengths = "length" if self.rank == 1 else f"{self.rank} lengths"
            raise ShapeError(
                f"{scope.where}: x has shape {tuple(x.shape)}, expected ([n,] {self.inputs} channels, {lengths})."
            )
        return self.convolve(x, scope["weight"], scope["bias"] if self.bias else None)

    def convolve(self, x: Any, weight: Any, bias: Any) -> Any:
        """The function that this layer applies."""
        function = (ops.conv1d, ops.conv2d, ops.conv3d)[self.rank - 1]
        return function(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class conv1d(Convolution):
    """Convolution in 1-d.

    Args:
        inputs, outputs: channels.
        kernel_size: length of the kernel.
        stride, dilation: steps between places of the kernel, and within one.
        padding: zeros in front and behind, or "same" or "valid".
        groups: how many groups of channels go separately.
        bias: whether there is a bias.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(fan_in), as in PyTorch.

    Parameters: weight (outputs, inputs / groups, kernel_size), bias (outputs,). Input ([n,] inputs, length).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv1d(3, 4, 5, padding="same")
    >>> layer.apply(layer.init(0), ho.ones(2, 3, 10)).shape
    (2, 4, 10)
    """

    rank: ClassVar[int] = 1


class conv2d(Convolution):
    """Convolution in 2-d.

    Args:
        inputs, outputs: channels.
        kernel_size: height and width of the kernel, or one number for both.
        stride, dilation: steps between places of the kernel, and within one; for both axes or one each.
        padding: zeros in front and behind, likewise; or "same" or "valid".
        groups: how many groups of channels go separately.
        bias: whether there is a bias.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(fan_in), as in PyTorch.

    Parameters: weight (outputs, inputs / groups, height, width), bias (outputs,). Input ([n,] inputs, height, width).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv2d(1, 8, 3, stride=2, padding=1)
    >>> layer.apply(layer.init(0), ho.ones(5, 1, 28, 28)).shape
    (5, 8, 14, 14)
    """

    rank: ClassVar[int] = 2


class conv3d(Convolution):
    """Convolution in 3-d; arguments as for `conv2d`.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv3d(1, 2, 3)
    >>> layer.apply(layer.init(0), ho.ones(5, 1, 4, 5, 6)).shape
    (5, 2, 2, 3, 4)
    """

    rank: ClassVar[int] = 3


class ConvolutionTransposed(Convolution):
    """What the transposed convolutions share."""

    output_padding: Lengths = 0

    def weight_shape(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        return (self.inputs, self.outputs // self.groups, *kernel)

    def convolve(self, x: Any, weight: Any, bias: Any) -> Any:
        function = (ops.conv_transpose1d, ops.conv_transpose2d, ops.conv_transpose3d)[self.rank - 1]
        return function(x, weight, bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)


class conv_transpose1d(ConvolutionTransposed):
    """Transposed convolution in 1-d; arguments as for `conv_transpose2d`.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv_transpose1d(3, 2, 4, stride=2, padding=1)
    >>> layer.apply(layer.init(0), ho.ones(5, 3, 7)).shape
    (5, 2, 14)
    """

    rank: ClassVar[int] = 1


class conv_transpose2d(ConvolutionTransposed):
    """Transposed convolution in 2-d: the adjoint of the convolution with this kernel, stride, padding and dilation.

    Args:
        inputs, outputs: channels.
        kernel_size, stride, padding, dilation: as for `conv2d`; padding is whole numbers.
        groups: how many groups of channels go separately.
        bias: whether there is a bias.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(outputs / groups * kernel), as in PyTorch.
        output_padding: how much longer the answer is than the least that the convolution makes the input of.

    Parameters: weight (inputs, outputs / groups, height, width), bias (outputs,). Input ([n,] inputs, height, width).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv_transpose2d(8, 1, 4, stride=2, padding=1)
    >>> layer.apply(layer.init(0), ho.ones(5, 8, 14, 14)).shape
    (5, 1, 28, 28)
    """

    rank: ClassVar[int] = 2


class conv_transpose3d(ConvolutionTransposed):
    """Transposed convolution in 3-d; arguments as for `conv_transpose2d`.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> layer = nn.conv_transpose3d(2, 1, 2, stride=2)
    >>> layer.apply(layer.init(0), ho.ones(5, 2, 2, 3, 4)).shape
    (5, 1, 4, 6, 8)
    """

    rank: ClassVar[int] = 3
