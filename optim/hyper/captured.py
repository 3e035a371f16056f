"""Hypergradients as compiled functions: captured once, with outer variables, first parameters and batches as inputs."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, Any

from hograd.errors import ArgumentError

if TYPE_CHECKING:
    from optim.hyper.problem import Bilevel, Hypergradient, Method

BACKENDS = ("numpy", "native")


class Captured:
    """The hypergradient of one problem by one method, compiled.

    The first parameters, where they are no function of the outer variables, and the batches of all inner steps are
    inputs. What the losses close over is taken as it is when the program is captured. The linear system of an implicit
    method begins anew in each call, and `info` does not tell its residual.
    """

    def __init__(self, problem: Bilevel, method: Method, backend: str):
        from hograd import compile

        if not getattr(method, "compiles", True):
            raise ArgumentError(
                f"hypergradient: {type(method).__name__} cannot be compiled; leave `compile` out, or use "
                'Reverse(steps, checkpoint="binomial"), which needs little memory too.'
            )
        if backend not in BACKENDS:
            raise ArgumentError(f"hypergradient: compile is {backend!r}, expected 'numpy', 'native' or None.")
        # Neither is held by what is remembered of them.
        self.parts = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
        self.parts["init"] = self.parts["init"] if callable(self.parts["init"]) else None
        self.kind, self.method = type(problem), _without_warm_start(method)
        self.evaluate = compile(self._evaluate, backend=backend)

    def __call__(self, problem: Bilevel, outer: Any, method: Method) -> Hypergradient:
        """The hypergradient at `outer`, with the first parameters and batches that the problem has now."""
        init = None if callable(problem.init) else problem.init
        batches = None
        if problem.batches is not None:
            steps = getattr(method, "steps", None)
            # With a solver of its own there is one batch: that of the equation.
            batches = [problem.batches(number) for number in range((steps or 0) + 1)]
        return self.evaluate(outer, init, batches)

    def _evaluate(self, outer: Any, init: Any, batches: Any) -> Hypergradient:
        from optim.hyper.problem import hypergradient

        parts = dict(self.parts)
        if parts["init"] is None:
            parts["init"] = init
        if batches is not None:
            parts["batches"] = lambda number: batches[number]
        return hypergradient(self.kind(**parts), outer, self.method)


def _without_warm_start(method: Any) -> Any:
    if getattr(method, "warm_start", None) is None:
        return method
    return dataclasses.replace(method, warm_start=None)


#: Compiled hypergradients of each problem that is still there, by method and backend.
_captured: dict[int, dict[Any, Captured]] = {}


def captured(problem: Bilevel, method: Method, backend: str) -> Captured:
    """The compiled hypergradient of a problem; the same as before, for the same problem object and an equal method."""
    number = id(problem)
    if number not in _captured:
        _captured[number] = {}
        weakref.finalize(problem, _captured.pop, number, None)
    plain = _without_warm_start(method)
    try:
        key = (backend, plain, hash(plain))
    except TypeError:  # a method with something in it that has no hash: by its identity
        key = (backend, id(method))
    found = _captured[number].get(key)
    if found is None:
        found = _captured[number][key] = Captured(problem, method, backend)
    return found
