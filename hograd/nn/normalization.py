"""Normalisation layers; those that normalise by a batch say by which statistics, and keep them in explicit state."""

from __future__ import annotations

import math
from typing import Any, Literal

from hograd.core.primitive import ops
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.layer import Layer, Params, Scope, size
from hograd.ops.create import ones, zeros

Statistics = Literal["transductive", "running", "per_step"]


class batch_norm(Layer):
    """(x - mean) / sqrt(var + eps) * weight + bias,  channel by channel, for any number of axes behind the channels.

    Which mean and variance:

    | statistics | with `train=True` | else | state |
    | --- | --- | --- | --- |
    | "transductive" | of the batch | of the batch | none |
    | "running" | of the batch | running averages | running_mean, running_var (features,) |
    | "per_step" | of the batch | running averages of this inner step | the same, (steps, features) |

    "transductive", as Nichol et al. (2018) call it, is what MAML's experiments do (Finn et al., 2017); "per_step" with
    `affine="per_step"` is MAML++ (Antoniou et al., 2019). Running averages are updated by `apply_with_state` as
    running <- (1 - momentum) * running + momentum * new,  with Bessel's correction in the new variance, as in PyTorch.

    Args:
        features: number of channels.
        statistics: see above.
        steps: number of inner steps; needed for what is "per_step".
        affine: whether there are weight and bias; "per_step" for different ones in each inner step.
        momentum: in [0, 1]; None for the average over all batches, whose number is then kept in the state.
        eps: added to the variance.

    Parameters: weight and bias (features,), or (steps, features). Input (n, features, ...).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> x = ho.tensor([[1.0], [3.0]])
    >>> nn.batch_norm(1, "transductive", affine=False, eps=0.0).apply({}, x)
    tensor([[-1.],
            [ 1.]])

    Two inner steps with statistics of their own:

    >>> norm = nn.batch_norm(1, "per_step", steps=2, affine="per_step")
    >>> params, state = norm.init(), norm.init_state()
    >>> for step in range(2):
    ...     y, state = norm.apply_with_state(params, x * (step + 1), state=state, step=step)
    >>> state["running_mean"]
    tensor([[0.2000],
            [0.4000]])
    >>> norm.apply(params, x, state=state, step=1).shape
    (2, 1)
    """

    features: int
    statistics: Statistics = "running"
    steps: int | None = None
    affine: bool | Literal["per_step"] = True
    momentum: float | None = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        size(self.features, "batch_norm: features")
        if self.statistics not in ("transductive", "running", "per_step"):
            raise ArgumentError(
                f"batch_norm: statistics is {self.statistics!r}, expected 'transductive', 'running' or 'per_step'."
            )
        if self.affine not in (True, False, "per_step"):
            raise ArgumentError(f"batch_norm: affine is {self.affine!r}, expected True, False or 'per_step'.")
        if "per_step" in (self.statistics, self.affine):
            if self.steps is None:
                raise ArgumentError("batch_norm: what is 'per_step' needs steps=, the number of inner steps.")
            size(self.steps, "batch_norm: steps")
        elif self.steps is not None:
            raise ArgumentError(
                f"batch_norm: steps is {self.steps}, but neither statistics nor affine is 'per_step': leave it out."
            )
        if self.momentum is not None and not 0 <= self.momentum <= 1:
            raise ArgumentError(f"batch_norm: momentum is {self.momentum}, expected a number in [0, 1], or None.")

    def make_params(self, generator: Any, dtype: Any) -> Params:
        if not self.affine:
            return {}
        return _weight_and_bias(self._shape(self.affine == "per_step"), dtype)

    def make_state(self, dtype: Any) -> Params:
        if self.statistics == "transductive":
            return {}
        shape = self._shape(self.statistics == "per_step")
        made = {"running_mean": zeros(shape, dtype=dtype), "running_var": ones(shape, dtype=dtype)}
        if self.momentum is None:
            made["num_batches_tracked"] = zeros(shape[:-1], dtype=dtype)
        return made

    def forward(self, scope: Scope, x: Any) -> Any:
        if x.ndim < 2 or x.shape[1] != self.features:
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (n, {self.features}, ...).")
        if scope.train or self.statistics == "transductive":
            axes = (0, *range(2, x.ndim))
            mean = ops.mean(x, axes)
            centered = x - _channels(mean, x)
            var = ops.mean(ops.square(centered), axes)
            if self.statistics != "transductive" and scope.state is not None:
                self._track(scope, mean, var, math.prod(x.shape) // self.features)
        else:
            each = self.statistics == "per_step"
            mean, var = (self._now(scope, scope.statistic(name), each) for name in ("running_mean", "running_var"))
            centered = x - _channels(mean, x)
        # What belongs to a channel is combined before it meets the many elements.
        scale = 1 / ops.sqrt(var + self.eps)
        if not self.affine:
            return centered * _channels(scale, x)
        weight, bias = (self._now(scope, scope[name], self.affine == "per_step") for name in ("weight", "bias"))
        return centered * _channels(scale * weight, x) + _channels(bias, x)

    def _shape(self, each: bool) -> tuple[int, ...]:
        return (self.steps, self.features) if each and self.steps else (self.features,)

    def _now(self, scope: Scope, value: Any, each: bool) -> Any:
        """The row of this inner step, of a value that has one for each."""
        return value[self._step(scope)] if each else value

    def _step(self, scope: Scope) -> Any:
        step, steps = scope.step, self.steps or 0
        if step is None:
            raise ArgumentError(f"{scope.where} has {steps} inner steps: pass step=, counted from 0, to apply.")
        if isinstance(step, int) and not 0 <= step < steps:
            raise ArgumentError(
                f"{scope.where}: step is {step}, expected 0 to {steps - 1}; for more, make them with steps=."
            )
        return step

    def _track(self, scope: Scope, mean: Any, var: Any, count: int) -> None:
        if count < 2:
            raise ArgumentError(f"{scope.where}: Expected more than 1 value per channel when training, found {count}.")
        each = self.statistics == "per_step"
        rate: Any = self.momentum
        after: dict[str, Any] = {}

        def put(name: str, change: Any) -> None:
            before = scope.statistic(name)
            now = change(self._now(scope, before, each)).astype(before.dtype)
            after[name] = before.at[self._step(scope)].set(now) if each else now

        if rate is None:
            put("num_batches_tracked", lambda n: n + 1)
            rate = 1 / self._now(scope, after["num_batches_tracked"], each)
        put("running_mean", lambda old: old + rate * (mean - old))
        put("running_var", lambda old: old + rate * (var * (count / (count - 1)) - old))
        scope.update(**after)


def _channels(v: Any, x: Any) -> Any:
    """One number a channel, along axis 1 of x."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


class instance_norm(Layer):
    """`batch_norm` in which each example has statistics of its own, whether in training or not.

    Args:
        features: number of channels.
        affine: whether there are weight and bias; default none, as in PyTorch.
        eps: added to the variance.

    Parameters: weight and bias (features,). Input (n, features, length, ...).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.instance_norm(1, eps=0.0).apply({}, ho.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.,  1.]]])
    """

    features: int
    affine: bool = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        size(self.features, "instance_norm: features")

    def make_params(self, generator: Any, dtype: Any) -> Params:
        return _weight_and_bias((self.features,), dtype) if self.affine else {}

    def forward(self, scope: Scope, x: Any) -> Any:
        if x.ndim < 3 or x.shape[1] != self.features:
            raise ShapeError(
                f"{scope.where}: x has shape {tuple(x.shape)}, expected (n, {self.features}, length, ...)."
            )
        weight, bias = (scope[name] if self.affine else None for name in ("weight", "bias"))
        return ops.instance_norm(x, weight=weight, bias=bias, eps=self.eps)


class group_norm(Layer):
    """(x - mean) / sqrt(var + eps) * weight + bias,  with the statistics of groups of channels of each example.

    Args:
        num_groups: how many groups of neighbouring channels; divides `features`.
        features: number of channels.
        affine: whether there are weight and bias.
        eps: added to the variance.

    Parameters: weight and bias (features,). Input (n, features, ...). Source: Wu and He, 2018.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.group_norm(1, 2, affine=False, eps=0.0).apply({}, ho.tensor([[1.0, 3.0]]))
    tensor([[-1.,  1.]])
    """

    num_groups: int
    features: int
    affine: bool = True
    eps: float = 1e-5

    def __post_init__(self) -> None:
        size(self.num_groups, "group_norm: num_groups")
        if size(self.features, "group_norm: features") % self.num_groups:
            raise ArgumentError(
                f"group_norm: features is {self.features}, expected a multiple of num_groups, {self.num_groups}."
            )

    def make_params(self, generator: Any, dtype: Any) -> Params:
        return _weight_and_bias((self.features,), dtype) if self.affine else {}

    def forward(self, scope: Scope, x: Any) -> Any:
        if x.ndim < 2 or x.shape[1] != self.features:
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (n, {self.features}, ...).")
        weight, bias = (scope[name] if self.affine else None for name in ("weight", "bias"))
        return ops.group_norm(x, self.num_groups, weight, bias, self.eps)


class layer_norm(Layer):
    """(x - mean) / sqrt(var + eps) * weight + bias,  with the statistics of the last axes (Ba et al., 2016).

    Args:
        normalized_shape: lengths of the last axes, or of the last one.
        affine: whether there are weight and bias.
        eps: added to the variance.

    Parameters: weight and bias, of that shape.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.layer_norm(2, affine=False, eps=0.0).apply({}, ho.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """

    normalized_shape: int | tuple[int, ...]
    affine: bool = True
    eps: float = 1e-5

    def make_params(self, generator: Any, dtype: Any) -> Params:
        return _weight_and_bias(self.normalized_shape, dtype) if self.affine else {}

    def forward(self, scope: Scope, x: Any) -> Any:
        weight, bias = (scope[name] if self.affine else None for name in ("weight", "bias"))
        return ops.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class rms_norm(Layer):
    """x / sqrt(mean(x**2) + eps) * weight  over the last axes (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: lengths of the last axes, or of the last one.
        affine: whether there is a weight.
        eps: added to the mean square; default the dtype's precision.

    Parameter: weight, of that shape.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> nn.rms_norm(2, affine=False, eps=0.0).apply({}, ho.tensor([3.0, 3.0]))
    tensor([1., 1.])
    """

    normalized_shape: int | tuple[int, ...]
    affine: bool = True
    eps: float | None = None

    def make_params(self, generator: Any, dtype: Any) -> Params:
        return {"weight": ones(self.normalized_shape, dtype=dtype)} if self.affine else {}

    def forward(self, scope: Scope, x: Any) -> Any:
        return ops.rms_norm(x, self.normalized_shape, scope["weight"] if self.affine else None, self.eps)


def _weight_and_bias(shape: Any, dtype: Any) -> Params:
    return {"weight": ones(shape, dtype=dtype), "bias": zeros(shape, dtype=dtype)}
