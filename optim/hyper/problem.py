"""The bilevel problem, and `hypergradient`, which hands it to a method."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from hograd import Tensor, as_tensor, func, tree
from hograd.core.levels import state as thread
from hograd.core.replay import undone, watched
from hograd.errors import ArgumentError, CaptureError, DtypeError, ShapeError
from hograd.loop import Checkpoint, repeat
from optim.base import Optimizer
from optim.hyper.captured import captured
from optim.hyper.divergence import expect_finite, sound
from optim.hyper.flat import Flat, flat_for
from optim.parameters import floating
from optim.schedules import PerStep, Schedule
from optim.summary import summary


@dataclasses.dataclass(frozen=True, repr=False)
class Bilevel:
    """Inner training whose outcome an outer loss judges.

    minimise over `outer`:  outer_loss(w_T, outer)  where  w_{t+1} = step of the optimizer on inner_loss(w_t, outer).

    Args:
        inner_loss: function (params, outer), or (params, outer, batch) with `batches`, with a scalar answer.
        outer_loss: function (params, outer) with a scalar answer.
        init: the first parameters: a tree, or a function of `outer` that returns one.
        optimizer: the inner optimizer, or a function of `outer` that returns it; by default `outer` is the optimizer.
        batches: function of the step number that returns what inner_loss gets as its third argument. A compiled
            function asks for each step's batch once, when it is captured, and keeps them; those that are drawn at
            random, by `hograd.randint` and the like, are drawn in each call.

    Raises:
        DtypeError: an argument is no function, parameters or optimizer where one is needed; the message says which.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Reverse
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(3.0))
    >>> hypergradient(problem, SGD(lr=0.25), Reverse(steps=1)).hypergrad.lr
    tensor(-18.)
    """

    inner_loss: Callable[..., Tensor]
    outer_loss: Callable[[Any, Any], Tensor]
    init: Any
    optimizer: Optimizer | Callable[[Any], Optimizer] | None = None
    batches: Callable[[int], Any] | None = None

    __repr__ = summary

    def __post_init__(self) -> None:
        functions = {"inner_loss": "(params, outer)", "outer_loss": "(params, outer)", "batches": "(step number)"}
        for name, arguments in functions.items():
            value = getattr(self, name)
            if not (callable(value) or (value is None and name == "batches")):
                raise DtypeError(
                    f"Bilevel: {name} is {type(value).__name__} {reprlib.repr(value)}, expected a function {arguments}."
                )
        if not callable(self.init):
            floating("Bilevel: init", self.init)
        if not (self.optimizer is None or isinstance(self.optimizer, Optimizer) or callable(self.optimizer)):
            raise _no_optimizer(self.optimizer)

    def start(self, outer: Any) -> tuple[Any, Optimizer]:
        """The first parameters and the optimizer for these outer variables."""
        return self.first(outer), self.optimizer_of(outer)

    def first(self, outer: Any) -> Any:
        """The first parameters for these outer variables."""
        return floating("Bilevel: init", self.init(outer) if callable(self.init) else self.init)

    def optimizer_of(self, outer: Any) -> Optimizer:
        """The inner optimizer for these outer variables."""
        optimizer: Any = self.optimizer
        if optimizer is None:
            optimizer = outer
        elif not isinstance(optimizer, Optimizer):
            optimizer = optimizer(outer)
        if not isinstance(optimizer, Optimizer):
            raise _no_optimizer(optimizer)
        return optimizer

    def step(
        self,
        params: Any,
        outer: Any,
        optimizer: Optimizer,
        state: Any,
        number: int,
        batch: tuple[Any, ...] = (),
        flat: Flat | None = None,
    ) -> tuple[Any, Any]:
        """One inner step, differentiable in everything.

        `batch` holds the step's batch, where that is known already, and `flat` says in which form parameters and state
        are given and returned.
        """
        extra = batch if batch or self.batches is None else (asked(self.batches, number),)
        gradient = func.grad_and_value(self.inner_loss)
        if flat is None:
            grads, value = gradient(params, outer, *extra)
        else:
            grads, value = gradient(flat.parts(params), outer, *extra)
            grads = flat.joined(grads)
        return optimizer.step(params, grads, state, value)


def _no_optimizer(found: Any) -> DtypeError:
    return DtypeError(
        f"Bilevel: the inner optimizer is {type(found).__name__}, expected an Optimizer; pass `optimizer`, one or a "
        "function of `outer` that returns one."
    )


def train(problem: Bilevel, outer: Any, steps: int, *, checkpoint: Checkpoint = "none") -> tuple[Any, Any]:
    """Inner training from its start: the parameters and optimizer state after `steps` steps.

    Args:
        problem: the bilevel problem.
        outer: tree of outer variables.
        steps: number of inner steps, >= 0.
        checkpoint: what reverse mode keeps of them, as in `hograd.scan`. With checkpoints the losses must get what is
            differentiated or mapped as `outer` or as a batch.

    Raises:
        ConvergenceError: training diverges, as for `hypergradient`.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Reverse
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(3.0))
    >>> train(problem, SGD(lr=0.25), steps=2)
    (tensor(0.7500), {'step': 2})
    """
    expect_count("steps", steps)
    with np.errstate(all="ignore"):
        params, state = unroll(problem, outer, steps, checkpoint)
    expect_finite(problem, outer, steps, params=params)
    return params, state


def unroll(
    problem: Bilevel,
    outer: Any,
    steps: int,
    checkpoint: Checkpoint,
    note: Callable[[int, Any], None] = lambda number, params: None,
) -> tuple[Any, Any]:
    """Inner training; `note` is called with the number of each step and the parameters before it."""
    params, optimizer = problem.start(outer)
    return onwards(problem, outer, optimizer, (params, optimizer.init(params)), range(steps), checkpoint, note)


def onwards(
    problem: Bilevel,
    outer: Any,
    optimizer: Optimizer,
    carry: tuple[Any, Any],
    numbers: range,
    checkpoint: Checkpoint = "none",
    note: Callable[[int, Any], None] = lambda number, params: None,
) -> tuple[Any, Any]:
    """Inner training from some parameters and state through the steps with these numbers."""
    # The values of a step come in with it: indexing all of them would cost each step as much as there are of them.
    values, rest, at = split_by_step(optimizer, numbers.stop)
    values = [x[numbers.start :] for x in values] if numbers.start else values
    captured = thread.trace is not None
    batches = all_batches(problem, numbers) if captured else None
    stacked = None if batches is None else in_one(batches)
    # In a program an operation on many small arrays is many operations.
    flat = flat_for(optimizer, carry[0]) if captured else None

    def step(consts: Any, number: int, carry: Any, xs: Any) -> tuple[Any, None]:
        outer, rest = consts
        params, state = carry
        values, batch = xs
        if batches is not None and stacked is None:
            if not isinstance(number, int):
                raise CaptureError("the batches differ in shape, so that steps are captured one by one.")
            batch = (batches[number - numbers.start],)
        note(number, params)
        return problem.step(params, outer, at(rest, values), state, number, batch, flat), None

    xs = (values, () if stacked is None else (stacked,))
    if flat is not None:
        carry = flat.joined(carry[0]), flat.state(carry[1], flat.joined)
    params, state = repeat(step, (outer, rest), carry, xs, numbers, checkpoint, name="inner training")[0]
    return (params, state) if flat is None else (flat.parts(params), flat.state(state, flat.parts))


def all_batches(problem: Bilevel, numbers: range) -> list[Any] | None:
    """The batches of some steps, for a function that is being compiled, which asks for them once.

    None without any, and where batches are drawn at random: each step then draws its own, in turn with its other draws.
    """
    batches: list[Any] = []
    if problem.batches is None:
        return None
    for number in numbers:
        with watched() as random, undone():
            batches.append(problem.batches(number))
        if random.states:
            return None
    return batches


def asked(batches: Callable[[int], Any], number: Any) -> Any:
    """The batch of a step, of which a program may not know the number."""
    if isinstance(number, int):
        return batches(number)
    try:
        return batches(number)
    except Exception as error:
        raise CaptureError("batches need the number of the step, so that steps are captured one by one.") from error


def in_one(batches: list[Any]) -> Any:
    """Batches with a first axis for the steps; None if they are not all alike."""
    try:
        batches = [tree.map(as_tensor, batch) for batch in batches]
    except DtypeError:
        return None
    kinds = [(tree.structure(batch), [(tuple(x.shape), x.dtype) for x in tree.leaves(batch)]) for batch in batches]
    return tree.stack(batches) if kinds and all(kind == kinds[0] for kind in kinds) else None


def split_by_step(optimizer: Any, steps: int) -> tuple[list[Tensor], list[Any], Callable[[Any, Any], Any]]:
    """An optimizer taken apart into what it has for each step, and what it has for all.

    Args:
        optimizer: the optimizer.
        steps: how many steps it is for.

    Returns:
        (values, rest, at): the values of every `PerStep` of the optimizer itself, cut to a first axis of `steps`; all
        other leaves and schedules; and the function of the rest and of the values of one step that gives the optimizer
        of that step.

    >>> from optim import SGD
    >>> from optim.schedules import PerStep
    >>> values, rest, at = split_by_step(SGD(lr=PerStep([0.3, 0.2]), momentum=0.9), steps=2)
    >>> at(rest, [values[0][1]]).lr
    tensor(0.2000)
    """

    def whole(value: Any) -> bool:
        # A schedule or an optimizer within another one may count its steps in its own way.
        return isinstance(value, Schedule) or (isinstance(value, Optimizer) and value is not optimizer)

    leaves, structure = tree.flatten(optimizer, is_leaf=whole)
    # A schedule that is too short says so when it is asked for the step that it lacks.
    cut = [isinstance(x, PerStep) and x.values.shape[0] >= steps for x in leaves]
    values = [
        x.values if x.values.shape[0] == steps else x.values[:steps] for x, c in zip(leaves, cut, strict=True) if c
    ]
    rest = [x for x, c in zip(leaves, cut, strict=True) if not c]

    def at(rest: Any, values: Any) -> Any:
        shared, own = iter(rest), iter(values)
        return tree.unflatten(structure, [next(own if c else shared) for c in cut])

    return values, rest, at


def expect_count(name: str, value: Any, least: int = 0) -> None:
    """Raise unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least {least}.")


@dataclasses.dataclass(frozen=True, repr=False)
class Info:
    """What a method has to tell beside the hypergradient.

    Attributes:
        params: the inner solution: the trained parameters, as constants.
        state: the optimizer's state after training, as constants; None where a method does not keep it.
        inner_steps: number of inner steps taken.
        inner_gradients: number of gradients of the inner loss evaluated.
        hessian_products: number of products of second derivatives of the inner loss with a vector.
        residual: of the linear system that the method solves, relative to its right side; None if it solves none.
        inner_residual: the largest element of the equation that the inner solution is taken to fulfil, usually the
            inner gradient; None if the method does not rest on one.
        converged: False if an iteration ended before it had what it was asked for.
        memory: bytes that the method kept for the way back: 0 if it has none, None if it did not measure them. In a
            compiled function the most bytes that its program holds at a time for the hypergradient.
        warm_start: what the same method can begin with next time, at outer variables nearby; None if nothing.
    """

    params: Any
    state: Any
    inner_steps: int
    inner_gradients: int
    hessian_products: int = 0
    residual: float | None = None
    inner_residual: float | None = None
    converged: bool = True
    memory: int | None = None
    warm_start: Any = None

    __repr__ = summary


def record(cls: Any) -> Any:
    """A tree of the fields of a dataclass, so that transforms and compiled functions may return one."""
    names = tuple(field.name for field in dataclasses.fields(cls))
    return tree.register(
        cls,
        lambda one: ([getattr(one, name) for name in names], None, names),
        lambda _, values: cls(**dict(zip(names, values, strict=True))),
    )


record(Info)


class Hypergradient(NamedTuple):
    """The outer loss after training, its gradient (a tree like `outer`), and what the method reports."""

    value: Tensor
    hypergrad: Any
    info: Info

    __repr__ = summary


class Method(Protocol):
    """A way to compute hypergradients."""

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        ...


def hypergradient(problem: Bilevel, outer: Any, method: Method, *, compile: str | None = None) -> Hypergradient:
    """The gradient of the outer loss, after inner training, with respect to the outer variables.

    Args:
        problem: the bilevel problem.
        outer: tree of floating tensors or numbers: what is learned.
        method: how, such as `Reverse(steps=100)`.
        compile: "numpy" or "native" replays a program instead of computing eagerly. It is captured at the first call
            with a problem object and an equal method, and serves all later ones; outer variables, first parameters and
            batches are its inputs, and what the losses close over is taken as it was then. Not for `Reversible`.

    Returns:
        (value, hypergrad, info): the outer loss, shape (); a tree like `outer`; what the method reports.

    Raises:
        ConvergenceError: the inner solution, the outer loss or the hypergradient is not finite; the message says from
            which step on training diverges and names its learning rate. Inside a compiled function and under `vmap`,
            where numbers are not looked at, they come back as they are.

    NumPy's warnings about numbers that are not finite are off inside. It is itself differentiable: inside `func.grad`
    it gives derivatives of hypergradients.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Reverse
    >>> problem = Bilevel(
    ...     inner_loss=lambda w, outer: ((w - 1) ** 2).sum() + outer["l2"] * (w**2).sum(),
    ...     outer_loss=lambda w, outer: ((w - 2) ** 2).sum(),
    ...     init=ho.zeros(1),
    ...     optimizer=lambda outer: SGD(lr=outer["lr"]),
    ... )
    >>> value, hypergrad, info = hypergradient(problem, {"lr": 0.1, "l2": 0.0}, method=Reverse(steps=1))
    >>> value, hypergrad
    (tensor(3.2400), {'lr': tensor(-7.2000), 'l2': tensor(0.)})
    """
    if isinstance(method, type) or not hasattr(method, "hypergradient"):
        raise DtypeError(f"hypergradient: method is {method!r}, expected an object such as Reverse(steps=100).")
    if not isinstance(problem, Bilevel):
        raise DtypeError(
            f"hypergradient: problem is {type(problem).__name__}, expected a Bilevel(inner_loss, outer_loss, init)."
        )
    if compile is not None and thread.trace is None:
        return sound(captured(problem, method, compile), problem, floating("outer", outer), method)
    losses = {name: _scalar(name, getattr(problem, name)) for name in ("inner_loss", "outer_loss")}
    problem, outer = dataclasses.replace(problem, **losses), floating("outer", outer)
    if thread.trace is None:
        return sound(lambda problem, outer, method: method.hypergradient(problem, outer), problem, outer, method)
    from hograd.program.forecast import forecast, so_far  # of use only while a program is captured

    first = so_far()
    result = method.hypergradient(problem, outer)
    memory = forecast(first, tree.leaves(result[:2]))
    return result._replace(info=dataclasses.replace(result.info, memory=memory))


def _scalar(name: str, loss: Callable[..., Any]) -> Callable[..., Tensor]:
    """A loss whose answers are looked at."""

    def checked(*args: Any) -> Tensor:
        value = loss(*args)
        if not isinstance(value, Tensor):
            raise DtypeError(f"Bilevel: {name} returned {type(value).__name__}, expected a tensor of shape ().")
        if value.shape != ():
            raise ShapeError(
                f"Bilevel: {name} returned shape {tuple(value.shape)}, expected (): reduce it with sum() or mean()."
            )
        return value

    return checked
