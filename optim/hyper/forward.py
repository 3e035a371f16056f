"""Forward mode: the derivatives of the parameters are carried along with training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hograd import Tensor, as_tensor, func, tree, zeros_like
from hograd.core.levels import state as thread
from hograd.core.replay import repeated
from hograd.loop import repeat
from optim.hyper.problem import Bilevel, Hypergradient, Info, all_batches, expect_count, in_one, record


@dataclasses.dataclass(frozen=True)
class Progress:
    """Training on its way in forward mode.

    Attributes:
        params: the parameters after `number` steps.
        state: the optimizer's state.
        tangents: the derivatives of the parameters, and of the floating tensors of the state, by every number among
            the outer variables: a first axis in front of each leaf.
        number: steps taken.
    """

    params: Any
    state: Any
    tangents: Any
    number: int = 0


record(Progress)


@dataclasses.dataclass(frozen=True)
class Forward:
    """The exact hypergradient by forward mode: one tangent for every number among the outer variables.

    With  Z = dw/d(outer) :  Z_{t+1} = (dstep/dw) Z_t + dstep/d(outer) ;  hypergradient = grad_w E Z_T + grad_outer E .

    Time is proportional to the number of outer variables; memory does not grow with the steps. All tangents run in
    one batch. Source: Franceschi et al., "Forward and reverse gradient-based hyperparameter optimization" (2017).

    Args:
        steps: number of inner steps, >= 0.

    Online, as in RTHO of the same paper, the outer variables change while the training goes on: `start`, then
    `advance` and `read` in turn, each with the outer variables of the day.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
    >>> value, hypergrad, info = hypergradient(problem, SGD(lr=0.25), Forward(steps=2))
    >>> value, hypergrad.lr
    (tensor(0.0625), tensor(-1.))
    """

    steps: int

    def __post_init__(self) -> None:
        expect_count("Forward: steps", self.steps)

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        return self.read(problem, outer, self.advance(problem, outer, self.start(problem, outer), self.steps))

    def start(self, problem: Bilevel, outer: Any) -> Progress:
        """Training before its first step.

        Args:
            problem: the bilevel problem.
            outer: tree of outer variables.
        """
        # A number among the hyperparameters may switch a term off; a tensor, of which there is a derivative, does not.
        outer = tree.map(as_tensor, outer)
        draws = repeated()
        with draws():
            params, optimizer = problem.start(outer)
        state = optimizer.init(params)
        tangents = (tree.map(zeros_like, params), [zeros_like(x) for x in _floating(state)[0]])
        directions = _directions(outer)

        def push(direction: Any) -> Any:
            if not callable(problem.init):
                return tangents
            with draws():
                begun = func.jvp(lambda outer: problem.first(outer), (outer,), (direction,))[1]
            return begun, tangents[1]

        pushed = func.vmap(push, randomness="same")(directions) if _count(outer) else None
        return Progress(params, state, pushed)

    def advance(self, problem: Bilevel, outer: Any, progress: Progress, steps: int) -> Progress:
        """Training `steps` steps further, with the outer variables as they are now.

        Args:
            problem: the bilevel problem.
            outer: tree of outer variables, like those at the start; it may have other values.
            progress: from `start` or `advance`.
            steps: number of inner steps, >= 0.

        >>> import hograd as ho
        >>> from optim import SGD
        >>> from optim.hyper import Bilevel
        >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
        >>> online, opt = Forward(steps=0), SGD(lr=0.1)
        >>> progress = online.start(problem, opt)
        >>> for _ in range(3):
        ...     progress = online.advance(problem, opt, progress, steps=1)
        ...     value, hypergrad, info = online.read(problem, opt, progress)
        ...     opt = opt.replace(lr=opt.lr - 0.05 * hypergrad.lr)
        >>> opt.lr
        tensor(0.3746)
        """
        expect_count("steps", steps)
        outer = tree.map(as_tensor, outer)
        numbers = range(progress.number, progress.number + steps)
        batches = all_batches(problem, numbers) if thread.trace is not None else None
        stacked = None if batches is None else in_one(batches)

        def step(consts: Any, number: int, carry: Any, xs: Any) -> tuple[Any, None]:
            outer, directions = consts
            params, state, tangents = carry
            # The step is one, and so are its random draws.
            draws = repeated()
            if tangents:
                with draws():
                    tangents = _pushed(problem, outer, params, state, number, xs, tangents, directions)
            with draws():
                params, state = problem.step(params, outer, problem.optimizer_of(outer), state, number, xs)
            return (params, state, tangents), None

        carry = progress.params, progress.state, progress.tangents
        if batches is not None and stacked is None:
            # Their shapes differ, so that each step is captured on its own.
            for number, batch in zip(numbers, batches, strict=True):
                carry, _ = step((outer, _directions(outer)), number, carry, (batch,))
        else:
            consts, xs = (outer, _directions(outer)), () if stacked is None else (stacked,)
            carry, _ = repeat(step, consts, carry, xs, numbers, "none", name="inner training")
        params, state, tangents = carry
        return Progress(params, state, tangents, progress.number + steps)

    def read(self, problem: Bilevel, outer: Any, progress: Progress) -> Hypergradient:
        """The outer loss where training has come to, and its gradient by the outer variables.

        Args:
            problem: the bilevel problem.
            outer: tree of outer variables.
            progress: from `start` or `advance`.
        """
        outer = tree.map(as_tensor, outer)
        (slopes, direct), value = func.grad_and_value(problem.outer_loss, argnums=(0, 1))(progress.params, outer)

        def total(moved: Any, direction: Any) -> Any:
            pairs = [*zip(tree.leaves(slopes), tree.leaves(moved), strict=True)]
            pairs += zip(tree.leaves(direct), tree.leaves(direction), strict=True)
            return sum((g * t).sum() for g, t in pairs)

        directions = _directions(outer)
        count = _count(outer)
        every = func.vmap(total)(progress.tangents[0], directions) if count else None
        leaves, structure = tree.flatten(direct)
        hypergrad, begin = [], 0
        for leaf in leaves:
            part = every[begin : begin + leaf.numel()] if every is not None else leaf
            hypergrad.append(part.reshape(leaf.shape).astype(leaf.dtype))
            begin += leaf.numel()
        info = Info(
            tree.detach(progress.params),
            tree.detach(progress.state),
            progress.number,
            2 * progress.number,
            hessian_products=count * progress.number,
            memory=sum(int(x.numel()) * x.dtype.itemsize for x in tree.leaves(progress.tangents)),
            warm_start=progress,
        )
        return Hypergradient(value, tree.unflatten(structure, hypergrad), info)


def _pushed(
    problem: Bilevel,
    outer: Any,
    params: Any,
    state: Any,
    number: int,
    batch: tuple[Any, ...],
    tangents: Any,
    directions: Any,
) -> Any:
    """The tangents one step later."""
    floating, put_together = _floating(state)

    def step(params: Any, floating: Any, outer: Any) -> Any:
        new, state = problem.step(params, outer, problem.optimizer_of(outer), put_together(floating), number, batch)
        return new, _floating(state)[0]

    def push(d_params: Any, d_floating: Any, d_outer: Any) -> Any:
        return func.jvp(step, (params, floating, outer), (d_params, d_floating, d_outer))[1]

    return func.vmap(push, randomness="same")(*tangents, directions)


def _count(outer: Any) -> int:
    return sum(x.numel() for x in tree.leaves(outer))


def _directions(outer: Any) -> Any:
    """The unit vectors of the outer variables, one after the other along a first axis of a tree like them."""
    leaves, structure = tree.flatten(outer)
    count, begin, directions = _count(outer), 0, []
    for leaf in leaves:
        size = leaf.numel()
        part = np.zeros((count, size), leaf.dtype)
        part[np.arange(begin, begin + size), np.arange(size)] = 1
        directions.append(as_tensor(part.reshape((count, *leaf.shape))))
        begin += size
    return tree.unflatten(structure, directions)


def _floating(state: Any) -> tuple[list[Any], Any]:
    """The floating tensors of an optimizer's state, and the function that makes the state of such again."""
    leaves, structure = tree.flatten(state)
    places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dtype.kind == "f"]

    def put_together(floating: Any) -> Any:
        new = list(leaves)
        for i, x in zip(places, floating, strict=True):
            new[i] = x
        return tree.unflatten(structure, new)

    return [leaves[i] for i in places], put_together
