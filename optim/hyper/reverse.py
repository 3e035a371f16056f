"""Reverse mode: training is recorded and differentiated backwards, exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import Tensor, func, graph, tree
from hograd.core.levels import state as thread
from hograd.loop import Checkpoint, calls, footprint, settle
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count, unroll


@dataclasses.dataclass(frozen=True)
class Reverse:
    """The exact hypergradient by reverse mode through all inner steps (Maclaurin et al., 2015).

    Time is a small multiple of training, whatever the number of outer variables. Memory grows with the steps, unless
    there are checkpoints: with "sqrt" it grows with their square root, for one more training.

    Args:
        steps: number of inner steps, >= 0.
        checkpoint: what is kept of them, as in `hograd.scan`: "none" keeps all; a number k of steps, "sqrt",
            "binomial" or ("binomial", slots) keep some of the parameters and optimizer states, and train again from
            there. The losses must then get what is differentiated or mapped as `outer` or as a batch.

    `info.memory` is a forecast of the bytes that the hypergradient needs at a time beside what was there before, made
    from what the last two steps saved. Where only one step at a time is recorded ("binomial", or k = 1) it counts the
    data, too. `info.inner_gradients` counts those of repeated steps.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
    >>> value, hypergrad, info = hypergradient(problem, SGD(lr=0.25), Reverse(steps=2))
    >>> value, hypergrad.lr
    (tensor(0.0625), tensor(-1.))
    """

    steps: int
    checkpoint: Checkpoint = "none"

    def __post_init__(self) -> None:
        expect_count("Reverse: steps", self.steps)
        settle(self.checkpoint, self.steps, "Reverse")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""

        if thread.trace is not None:
            return self._captured(problem, outer)
        begun: list[Any] = []

        def note(number: int, params: Any) -> None:
            if number >= self.steps - 2:
                begun.append(tree.leaves(params))

        def trained(outer: Any) -> Any:
            params, state = unroll(problem, outer, self.steps, self.checkpoint, note)
            value = problem.outer_loss(params, outer)
            begun.append(tree.leaves(params))
            return value, (params, state, self._forecast(value, begun[-3:], (params, state)))

        hypergrad, (value, (params, state, memory)) = func.grad_and_value(trained, has_aux=True)(outer)
        begun.clear()
        info = Info(
            tree.detach(params),
            tree.detach(state),
            self.steps,
            calls(self.steps, self.checkpoint),
            hessian_products=self.steps,
            memory=memory,
        )
        return Hypergradient(value, hypergrad, info)

    def _captured(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The same in a function that is being compiled, where no operation is recorded as it will run."""

        def trained(outer: Any) -> Any:
            params, state = unroll(problem, outer, self.steps, self.checkpoint)
            return problem.outer_loss(params, outer), (params, state)

        hypergrad, (value, (params, state)) = func.grad_and_value(trained, has_aux=True)(outer)
        info = Info(
            tree.detach(params),
            tree.detach(state),
            self.steps,
            calls(self.steps, self.checkpoint),
            hessian_products=self.steps,
        )
        return Hypergradient(value, hypergrad, info)

    def _forecast(self, value: Tensor, begun: list[Any], carry: Any) -> int:
        """The bytes that the hypergradient needs, from what the last steps and the outer loss have saved."""
        usages = graph.memory_report(value, steps=begun, outside=False).steps
        # What the last step saves and the one before it does not: not the data, which is there anyway.
        last, after = (graph.Usage(), *usages)[-2:]
        step, loss = (usage.bytes + OPERATION * usage.count for usage in (last, after))
        carried = sum(x.numel() * x.dtype.itemsize for x in tree.leaves(carry) if isinstance(x, Tensor)) + SEGMENT
        kept = footprint(self.steps, self.checkpoint, step, carried, OPERATION * last.count)
        return kept + loss + (TRANSIENT * step if len(usages) == 3 else 0)


OPERATION = 400
"""Bytes of Python objects that a recorded operation takes beside its arrays."""

SEGMENT = 8_500
"""Bytes of Python objects that a checkpoint takes beside what is carried."""

TRANSIENT = 2
"""What is computed and dropped at once in a step, against what the step saves."""
