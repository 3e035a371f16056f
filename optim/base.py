"""What every optimizer is: a frozen dataclass, and a tree whose leaves are its hyperparameters."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from hograd import Tensor, as_tensor, stack, tree, zeros_like
from hograd import norm as euclidean
from hograd.errors import ArgumentError, DtypeError, ShapeError
from optim.fields import declare, fields, static
from optim.parameters import takes_floating
from optim.schedules import Schedule, value_at

__all__ = ["Hyperparameter", "Optimizer", "is_off", "norm", "static"]

Hyperparameter = Any
"""A number, a tensor, a tree of them like the parameters or the upper part of these, or a `Schedule`."""


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
class Optimizer:
    """A pure update rule, differentiable in parameters, gradients, state and hyperparameters.

    Subclasses declare hyperparameters as dataclass fields, and write `slots`, `prepare` and `update` for one leaf;
    `start` too, if a state does not begin at 0. One with a static field `maximize` climbs when it is True.
    Since an optimizer is a tree, `func.grad(final_loss)(optimizer)` returns an optimizer that holds the
    hypergradients, and another optimizer can step it.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> w = ho.tensor([1.0, 2.0])
    >>> def after_one_step(opt):
    ...     new, _ = opt.step(w, 2 * w, opt.init(w))
    ...     return (new**2).sum()
    >>> ho.func.grad(after_one_step)(SGD(lr=0.1)).lr
    tensor(-16.)
    """

    #: Range of the numbers that a hyperparameter may be: name -> (least, bound, whether the bound itself is allowed).
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {}
    #: Whether the update of each element of a parameter depends on no other element, so that all parameters may come as
    #: one flat array. A subclass that writes methods of its own has to say so again.
    elementwise: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "elementwise" not in cls.__dict__ and any(name in cls.__dict__ for name in _RULES):
            cls.elementwise = False
        for name, trees in _TAKE_FLOATING.items():
            if name in cls.__dict__:
                setattr(cls, name, takes_floating(*trees)(cls.__dict__[name]))
        declare(cls)

    def __post_init__(self) -> None:
        for name in fields(self):
            value = tree.map(_as_float, getattr(self, name))
            object.__setattr__(self, name, value)
            least, bound, closed = self.ranges.get(name, (-math.inf, math.inf, True))
            # The parameters of a schedule have ranges of their own.
            for leaf in tree.flatten(value, is_leaf=lambda v: isinstance(v, Schedule))[0]:
                if isinstance(leaf, float) and not (least <= leaf < bound or (closed and leaf == bound)):
                    raise ArgumentError(
                        f"{type(self).__name__}: {name} is {leaf}, expected a number in [{least:g}, {bound:g}"
                        f"{']' if closed else ')'}."
                    )

    def replace(self, **changes: Any) -> Any:
        """A copy with other hyperparameters.

        >>> from optim import SGD
        >>> SGD(lr=0.1).replace(lr=0.2).lr
        0.2
        """
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    # What a subclass writes

    def slots(self) -> tuple[str, ...]:
        """Names of the state tensors that each parameter has."""
        return ()

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        """The state of a parameter before its first step: 0 in every slot."""
        return {slot: zeros_like(p) for slot in self.slots()}

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        """Add to `hyper` what all parameters share in step number `step`, counted from 0."""

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        """The new parameter and its new state."""
        raise NotImplementedError(f"{type(self).__name__} does not define update().")

    # What users call

    @takes_floating("params")
    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: {"step": 0, and a tree like `params` for each slot}.

        >>> import hograd as ho
        >>> from optim import SGD
        >>> SGD(lr=0.1, momentum=0.9).init(ho.tensor([1.0, 2.0]))
        {'step': 0, 'momentum': tensor([0., 0.])}
        """
        leaves, structure = tree.flatten(params)
        hypers = self._hypers(params, len(leaves), 0)
        begun = [self.start(p, hyper) for p, hyper in zip(leaves, hypers, strict=False)]
        return {
            "step": 0,
            **{
                slot: tree.unflatten(structure, [_in_dtype(b[slot], p) for b, p in zip(begun, leaves, strict=True)])
                for slot in self.slots()
            },
        }

    @takes_floating("params", "grads")
    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        """One update, as a pure function.

        Args:
            params: tree of floating tensors; a plain number with a decimal point becomes one.
            grads: tree like `params`; where it holds None, the parameter and its state stay as they are.
            state: from `init` or the step before.
            value: the loss at `params`, shape (); only `PolyakSGD` asks for it.

        Returns:
            New parameters and new state. Nothing that was given is changed.

        Raises:
            StructureError: `grads`, `state` or a hyperparameter given as a tree is not like `params`.
            ShapeError: a gradient does not have its parameter's shape.
            DtypeError: a leaf of `params` or `grads` is no floating number, which `init` refuses too.
        """
        leaves, structure = tree.flatten(params)
        gradients = self._gradients(params, grads)
        step = state["step"]
        slots = self.slots()
        hypers = self._hypers(params, len(leaves), step)
        columns = {
            slot: tree.match(params, state[slot], ("params", f"state['{slot}']"))
            if slot in state
            else [_in_dtype(self.start(p, hyper)[slot], p) for p, hyper in zip(leaves, hypers, strict=False)]
            for slot in slots
        }
        new_leaves, new_columns = [], {slot: [] for slot in slots}
        for i, (p, g) in enumerate(zip(leaves, gradients, strict=True)):
            before = {slot: columns[slot][i] for slot in slots}
            new, after = (p, before) if g is None else self.update(p, g, before, hypers[i], step)
            new_leaves.append(_in_dtype(new, p))
            for slot in slots:
                new_columns[slot].append(_in_dtype(after[slot], p))
        new_state = {
            "step": step + 1,
            **{slot: tree.unflatten(structure, new_columns[slot]) for slot in slots},
        }
        return tree.unflatten(structure, new_leaves), new_state

    def _gradients(self, params: Any, grads: Any) -> list[Any]:
        gradients = tree.match(params, grads, ("params", "grads"), is_leaf=lambda g: g is None)
        for i, (p, g) in enumerate(zip(tree.leaves(params), gradients, strict=True)):
            if g is not None and g.shape != p.shape:
                path = tree.paths(params)[i]
                raise ShapeError(f"grads{path} has shape {tuple(g.shape)}, but params{path} has {tuple(p.shape)}.")
        # Every optimizer has this option; those that users write need not.
        return [g if g is None else -g for g in gradients] if getattr(self, "maximize", False) else gradients

    def _hypers(self, params: Any, count: int, step: Any) -> list[SimpleNamespace]:
        """The hyperparameters of every leaf in this step; one shared object if they are the same for all."""
        columns: dict[str, Any] = {}
        shared = True
        for name in fields(self):
            value = getattr(self, name)
            # A tuple such as betas holds several hyperparameters.
            several = type(value) is tuple
            spread = [self._spread(v, params, count, step, name) for v in (value if several else (value,))]
            shared = shared and all(one for one, _ in spread)
            columns[name] = (
                [tuple(row) for row in zip(*[v for _, v in spread], strict=True)] if several else spread[0][1]
            )
        made = []
        for i in range(1 if shared else count):
            hyper = SimpleNamespace(**{name: column[i] for name, column in columns.items()})
            self.prepare(hyper, step)
            made.append(hyper)
        return made * count if shared else made

    def _spread(self, value: Any, params: Any, count: int, step: Any, name: str) -> tuple[bool, list[Any]]:
        value = value_at(value, step)
        if value is None or isinstance(value, (float, Tensor)) or not count:
            return True, [value] * max(count, 1)
        names = f"{type(self).__name__}.{name}", "params"
        leaves = tree.broadcast(value, params, names, is_leaf=lambda v: isinstance(v, Schedule))
        for path, leaf in zip(tree.paths(params), leaves, strict=True):
            if not isinstance(leaf, (float, Tensor, Schedule)):
                raise DtypeError(
                    f"{names[0]} is {type(leaf).__name__} {leaf!r} for params{path}, expected a number, a tensor or a "
                    "schedule."
                )
        return False, [value_at(v, step) for v in leaves]


#: The methods that users call, and their arguments that are trees of floating tensors, whoever wrote the method.
_TAKE_FLOATING = {"init": ("params",), "step": ("params", "grads")}

#: Methods that say what an update is.
_RULES = ("init", "step", "slots", "start", "prepare", "update", "decay")


def is_off(value: Any) -> bool:
    """Whether a hyperparameter is the plain number 0, so that its term may be left out; a tensor never is."""
    return type(value) is float and value == 0.0


def _as_float(value: Any) -> Any:
    """Plain numbers as floats, arrays as tensors, all else as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return as_tensor(value) if isinstance(value, (np.ndarray, np.generic)) else value


def _in_dtype(value: Any, p: Any) -> Any:
    """A new parameter or its state in the parameter's dtype, whatever the hyperparameters have."""
    return value if value.dtype == p.dtype else value.astype(p.dtype)


def norm(*parts: Any) -> Tensor:
    """Euclidean length of all parts together, shape (); its derivative at 0 is 0."""
    lengths = [euclidean(part) for part in parts]
    return lengths[0] if len(lengths) == 1 else euclidean(stack(lengths)) if lengths else as_tensor(0.0)
