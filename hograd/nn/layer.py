"""What a layer is: a description that makes parameters, and applies itself to them as a pure function."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, dataclass_transform

import numpy as np

from hograd.errors import ArgumentError, DtypeError, LevelError, StructureError
from hograd.ops.random import default_generator

Params = dict[str, Any]
"""A dict of tensors, and of such dicts for the layers inside."""

Key = int | Sequence[int]
"""One or several whole numbers of at least 0: equal keys give equal draws."""

Function = Callable[[Any], Any]
"""A function of one tensor, such as `hograd.relu`, which stands for a layer without parameters."""


@dataclass_transform(frozen_default=True)
class Layer:
    """A part of a network, described by its sizes and options; it holds no parameters.

    `init` makes parameters, a plain tree, and `apply` is a pure function of them, which can be differentiated, mapped
    and nested like any other. Layers that keep statistics or draw random numbers get and return those explicitly:

    | a network with | is trained by | and used by |
    | --- | --- | --- |
    | neither | `apply(params, x)` | `apply(params, x)` |
    | dropout | `apply(params, x, train=True, key=(seed, step))` | `apply(params, x)` |
    | running statistics | `y, state = apply_with_state(params, x, state=state)` | `apply(params, x, state=state)` |
    | statistics per inner step | the same, with `step=` | the same, with `step=` |

    A layer of one's own is a subclass with fields, like a dataclass. `make_params` makes what it needs, and `forward`
    computes; layers in fields are found by themselves, and `scope.run` applies them:

    >>> import hograd as ho
    >>> from hograd import nn
    >>> class scale(nn.Layer):
    ...     features: int
    ...
    ...     def make_params(self, generator, dtype):
    ...         return {"factor": nn.init.ones(self.features, dtype=dtype)}
    ...
    ...     def forward(self, scope, x):
    ...         return x * scope["factor"]
    >>> class shortcut(nn.Layer):
    ...     inner: nn.Layer
    ...
    ...     def forward(self, scope, x):
    ...         return x + scope.run("inner", x)
    >>> net = shortcut(scale(2))
    >>> params = net.init(0)
    >>> params
    {'inner': {'factor': tensor([1., 1.])}}
    >>> net.apply(params, ho.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False)(cls)

    # What a subclass writes

    def children(self) -> dict[str, Layer | Function]:
        """The layers inside, by name; default those in its fields."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in found.items() if isinstance(value, Layer)}

    def make_params(self, generator: np.random.Generator, dtype: Any) -> Params:
        """New parameters, drawn from `generator`; default those of the layers inside."""
        made = {n: c.make_params(generator, dtype) for n, c in self.children().items() if isinstance(c, Layer)}
        return {name: params for name, params in made.items() if params}

    def make_state(self, dtype: Any) -> Params:
        """The state before any data was seen; default that of the layers inside."""
        made = {n: c.make_state(dtype) for n, c in self.children().items() if isinstance(c, Layer)}
        return {name: state for name, state in made.items() if state}

    def forward(self, scope: Scope, *inputs: Any) -> Any:
        """The output; `scope` gives the parameters and all else that is not an input."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward().")

    # What users call

    def init(self, seed: Key | np.random.Generator | None = None, *, dtype: Any = None) -> Params:
        """New parameters.

        Args:
            seed: whole number of at least 0, or several; or a generator to draw from; default the thread's own
                generator, see `hograd.manual_seed`. Equal seeds give equal parameters.
            dtype: of all parameters; default the default floating dtype, which is float64 as in NumPy, and not float32
                as in PyTorch. `hograd.set_default_dtype(hograd.float32)` at the top of a program says it once for all:
                parameters, states and data made of plain numbers. Data in float64 makes float64 of what it meets.

        Returns:
            A dict of tensors, {} for a layer without parameters. Several sets on top of one another are an ensemble,
            for `vmap`: `tree.map(lambda *leaves: ho.stack(leaves), *(net.init(seed) for seed in range(10)))`.

        Raises:
            DtypeError: `dtype` is not floating.

        >>> from hograd import nn
        >>> params = nn.linear(3, 2).init(0)
        >>> {name: tuple(p.shape) for name, p in params.items()}
        {'weight': (2, 3), 'bias': (2,)}
        >>> import hograd as ho
        >>> params["weight"].dtype, nn.linear(3, 2).init(0, dtype=ho.float32)["weight"].dtype
        (dtype('float64'), dtype('float32'))
        """
        _expect_floating(dtype, "init")
        if seed is None:
            generator = default_generator()
        else:
            generator = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(_numbers(seed, "seed"))
        return self.make_params(generator, dtype)

    def init_state(self, *, dtype: Any = None) -> Params:
        """The state before any data was seen, {} for a network without running statistics; `dtype` as for `init`.

        >>> from hograd import nn
        >>> nn.batch_norm(2).init_state()
        {'running_mean': tensor([0., 0.]), 'running_var': tensor([1., 1.])}
        """
        _expect_floating(dtype, "init_state")
        return self.make_state(dtype)

    def apply(
        self,
        params: Any,
        *inputs: Any,
        state: Any = None,
        train: bool = False,
        step: Any = None,
        key: Key | None = None,
    ) -> Any:
        """The output, as a pure function.

        Args:
            params: from `init`, or a tree like it.
            *inputs: mostly one tensor.
            state: running statistics, from `init_state` or `apply_with_state`; needed only to use them.
            train: normalise by the statistics of the batch, and drop in dropout.
            step: the inner step, counted from 0, for layers with parameters or statistics per step.
            key: one or several whole numbers, such as (seed, step), from which dropout draws. Inside `vmap`, its
                argument `randomness` decides whether elements share the draw.

        Raises:
            StructureError: a parameter is missing; ArgumentError: state, step or key is missing and needed. Both
                say where.

        >>> import hograd as ho
        >>> from hograd import nn
        >>> net = nn.sequential(nn.linear(2, 8), ho.tanh, nn.linear(8, 1))
        >>> net.apply(net.init(0), ho.ones(5, 2)).shape
        (5, 1)
        """
        return self._run(params, inputs, state, train, step, key)[0]

    def apply_with_state(
        self,
        params: Any,
        *inputs: Any,
        state: Any,
        train: bool = True,
        step: Any = None,
        key: Key | None = None,
    ) -> tuple[Any, Any]:
        """The output and the next state, as a pure function; arguments as for `apply`.

        The next statistics are differentiable functions of parameters and inputs. In a loop that calls `backward`,
        cut them with `hograd.tree.detach`, or each state keeps all steps before it alive; what `func.grad` passes on
        with `has_aux` is cut already.

        >>> import hograd as ho
        >>> from hograd import nn
        >>> net = nn.batch_norm(1)
        >>> params, state = net.init(), net.init_state()
        >>> y, state = net.apply_with_state(params, ho.tensor([[4.0], [6.0]]), state=state)
        >>> state
        {'running_mean': tensor([0.5000]), 'running_var': tensor([1.1000])}
        """
        return self._run(params, inputs, state, train, step, key)

    def summary(self, *inputs: Any) -> str:
        """A table of all layers with the shapes of their outputs and their parameters, 80 columns wide.

        Args:
            *inputs: example inputs, or shapes of floating ones with their batch axis.

        >>> import hograd as ho
        >>> from hograd import nn
        >>> print(nn.sequential(nn.linear(2, 8), ho.tanh, head=nn.linear(8, 1)).summary((5, 2)))
        name  layer         output  parameters
        --------------------------------------
        0     linear(2, 8)  (5, 8)          24
        1     tanh          (5, 8)           0
        head  linear(8, 1)  (5, 1)           9
        --------------------------------------
        all                                 33
        """
        from hograd.nn.summary import table

        return table(self, inputs)

    def _run(
        self, params: Any, inputs: Any, state: Any, train: bool, step: Any, key: Key | None, records: Any = None
    ) -> tuple[Any, Any]:
        path = None if key is None else tuple(_numbers(key, "key"))
        scope = Scope(self, params, state, Mode(train, step, records), (), path)
        return scope.compute(inputs), scope.next_state

    def __repr__(self) -> str:
        shown = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                shown.append(called(value))
            elif value != field.default:
                shown.append(f"{field.name}={called(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Mode(NamedTuple):
    """What holds for all layers of one application: `records` collects (path, layer, output, parameters)."""

    train: bool
    step: Any
    records: list[Any] | None


class Scope:
    """What a layer finds beside its inputs while it is applied.

    Attributes:
        params: the layer's own part of the parameters.
        state: its part of the state, or None where none was given.
        train: whether the network is being trained.
        step: the inner step, or None.
    """

    __slots__ = ("_key", "_layer", "_mode", "_path", "next_state", "params", "state")

    def __init__(self, layer: Any, params: Any, state: Any, mode: Mode, path: tuple[str, ...], key: Any) -> None:
        self._layer, self._mode, self._path, self._key = layer, mode, path, key
        self.params, self.state, self.next_state = params, state, state

    @property
    def train(self) -> bool:
        """Whether the network is being trained."""
        return self._mode.train

    @property
    def step(self) -> Any:
        """The inner step, counted from 0, or None."""
        return self._mode.step

    @property
    def where(self) -> str:
        """The layer and its place, for error messages."""
        return f"{called(self._layer)} at {'.'.join(self._path)!r}" if self._path else called(self._layer)

    def __getitem__(self, name: str) -> Any:
        """The parameter of that name."""
        if not isinstance(self.params, dict) or name not in self.params:
            there = ", ".join(map(repr, self.params)) if isinstance(self.params, dict) else type(self.params).__name__
            raise StructureError(
                f"params lack {name!r} of {self.where}: found {there or 'nothing'}; make them with init()."
            )
        return self.params[name]

    def get(self, name: str) -> Any:
        """The parameter of that name, or None if the layer has none such."""
        return self.params.get(name)

    def statistic(self, name: str) -> Any:
        """The part of the state of that name."""
        if self.state is None or name not in self.state:
            raise ArgumentError(
                f"{self.where} reads running statistics, but the state that was given has none for it: pass "
                "state=net.init_state(), or the one that apply_with_state returned, or normalise with train=True."
            )
        return self.state[name]

    def update(self, **statistics: Any) -> None:
        """Put these in the place of the layer's statistics, in the state that is returned, if one was given."""
        if self.next_state is not None:
            self.next_state = {**self.next_state, **statistics}

    def generator(self) -> np.random.Generator:
        """A generator for this layer, determined by the key and the layer's name."""
        if self._key is None:
            raise ArgumentError(
                f"{self.where} draws random numbers in training: pass key=, such as (seed, step), whole numbers."
            )
        # NumPy takes (3,) and (3, 0) for one seed, unless the number of numbers stands in front.
        return np.random.default_rng((len(self._key), *self._key))

    def run(self, name: str, *inputs: Any) -> Any:
        """The output of the layer inside of that name."""
        layer = self._layer.children()[name]
        if not isinstance(layer, Layer):
            y = layer(*inputs)
            self._record((*self._path, name), layer, y, {})
            return y
        scope = self.inside(name)
        y = scope.compute(inputs)
        if scope.next_state is not scope.state:
            self.update(**{name: scope.next_state})
        return y

    def inside(self, name: str) -> Scope:
        """The scope of the layer inside of that name, for one that is not run as a whole."""
        params = self.params.get(name, {}) if isinstance(self.params, dict) else self.params
        state = None if self.state is None else self.state.get(name)
        # By names and not by places, so that a layer's draws stay when another one is put before it.
        key = None if self._key is None else (*self._key, zlib.crc32(name.encode()))
        return Scope(self._layer.children()[name], params, state, self._mode, (*self._path, name), key)

    def compute(self, inputs: tuple[Any, ...]) -> Any:
        """The output of the layer that this scope belongs to."""
        records = self._mode.records
        before = len(records or ())
        y = self._layer.forward(self, *inputs)
        if records is not None:
            # What the layers inside have told is not told again.
            inside = self._layer.children() if len(records) > before else {}
            own = {name: p for name, p in self.params.items() if name not in inside}
            if own or not inside:
                self._record(self._path, self._layer, y, own)
        return y

    def _record(self, path: tuple[str, ...], layer: Any, y: Any, params: Any) -> None:
        if self._mode.records is not None:
            self._mode.records.append((".".join(path), layer, y, params))


def called(value: Any) -> str:
    """How an option of a layer is written."""
    return value.__name__ if hasattr(value, "__name__") else repr(value)


def _expect_floating(dtype: Any, name: str) -> None:
    if dtype is not None and np.dtype(dtype).kind != "f":
        raise DtypeError(f"{name}: dtype is {np.dtype(dtype)}, expected a floating dtype such as float32.")


def _numbers(value: Any, name: str) -> list[int]:
    """Whole numbers of at least 0 as a list."""
    given = list(value) if isinstance(value, Sequence) or getattr(value, "ndim", 0) else [value]
    try:
        numbers = [int(v.__index__()) for v in given]
    except LevelError:
        raise LevelError(
            f"{name} is mapped by vmap, but draws need plain numbers: give vmap a constant {name} and "
            'randomness="different".'
        ) from None
    except (AttributeError, TypeError, DtypeError):
        numbers = [-1]
    if not numbers or min(numbers) < 0:
        raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least 0, or a sequence of them.")
    return numbers


def size(value: Any, name: str, least: int = 1) -> int:
    """A number of features, steps or the like, checked."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least {least}.")
    return int(value)


def each_axis(value: Any, rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """A whole number, or one for each axis, as a tuple, checked."""
    given = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(given) != rank:
        raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least {least}, or {rank} of them.")
    return tuple(size(v, name, least) for v in given)
