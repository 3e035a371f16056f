"""Loops of a known number of steps within a function that is being captured: one step becomes a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.custom import Values, is_recorded
from hograd.core.dispatch import bare, wrap
from hograd.core.primitive import ops
from hograd.core.replay import Draws, drawing
from hograd.core.tensor import Tensor
from hograd.core.traced import is_weak, with_weakness
from hograd.errors import CaptureError
from hograd.func.arguments import as_tensor
from hograd.func.checkpoint import Again
from hograd.program.closed import NotOneProgram, RandomStep, closed, example_of, random_step
from hograd.program.draws import with_draws_ahead
from hograd.program.loop_calls import Loop, call


class _Steps:
    """A step as a function of tensors (constants, what is carried, slices), and ways to run many."""

    def __init__(self, function: Callable[..., list[Any]], name: str, consts: int, carry: int) -> None:
        self.function = function
        self.name = name
        self.consts = consts
        self.carry = carry

    def run(self, consts: list[Any], carry: list[Any], slices: list[Any], how: Any) -> tuple[list[Any], list[Any]]:
        """The carry at the end and the stacked answers; see `captured` for `how`."""
        length = len(slices[0])
        while how is not None and how[0] >= length:
            how = how[1]
        if length == 1:
            answers = [wrap(y) for y in self.function(*consts, *carry, *[x[0] for x in slices])]
            return answers[: self.carry], [ops.expand_dims(y, 0) for y in answers[self.carry :]]
        if how is None:
            return self._plainly(consts, carry, slices)
        size, within = how
        # The last segment is kept as it runs, since reverse mode begins there; not so where segments have segments,
        # whose programs would be many.
        last = size if within is None else 0
        rest, count = length % size, (length - last) // size
        columns: list[list[Any]] = []
        if rest:
            carry, given = self._again(consts, carry, [x[:rest] for x in slices], within)
            columns.append(given)
        if count:
            segments = _Steps(
                lambda *values: _joined(self._again(*self._parts(values), within)), self.name, self.consts, self.carry
            )
            grouped = [ops.reshape(x[rest : length - last], (count, size, *x.shape[1:])) for x in slices]
            carry, given = segments.run(consts, carry, grouped, None)
            columns.append([ops.reshape(y, (count * size, *y.shape[2:])) for y in given])
        if last:
            carry, given = self.run(consts, carry, [x[length - last :] for x in slices], None)
            columns.append(given)
        return carry, [ys[0] if len(ys) == 1 else ops.concatenate(ys) for ys in zip(*columns, strict=True)]

    def _parts(self, values: Values) -> tuple[list[Any], list[Any], list[Any]]:
        end = self.consts + self.carry
        return list(values[: self.consts]), list(values[self.consts : end]), list(values[end:])

    def _again(self, consts: list[Any], carry: list[Any], slices: list[Any], how: Any) -> tuple[list[Any], list[Any]]:
        """The same, computed again in reverse mode."""
        return Again(self.name, lambda *parts: self.run(parts[0], parts[1], parts[2], how), (consts, carry, slices))()

    def _plainly(self, consts: list[Any], carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        """One loop."""
        values = [bare(x) for x in (*consts, *carry, *slices)]
        length = len(slices[0])
        loop = Loop(self.function, self.name, self.consts, self.carry, length, reverse=False)
        step = closed(self.function, loop.examples(values), self.name)
        added = len(step.values)
        if added:
            # What came in through the closure is one more constant.
            inputs = step.program.inputs
            order = [*range(self.consts), *range(len(values), len(values) + added), *range(self.consts, len(values))]
            places = {old: new for new, old in enumerate(order)}
            back = [places[i] for i in range(len(order))]
            complete = step.function
            loop = Loop(
                lambda *given: complete(*[given[i] for i in back]),
                self.name, self.consts + added, self.carry, length, reverse=False,
            )  # fmt: skip
            values[self.consts : self.consts] = [bare(x) for x in step.values]
            step = step._replace(program=step.program.with_(inputs=tuple(inputs[i] for i in order)))
        loop.of = self.function, loop.consts
        loop.know(values, step)
        answers = call(loop, values)
        return answers[: self.carry], answers[self.carry :]


def _joined(parts: tuple[list[Any], list[Any]]) -> list[Any]:
    return [*parts[0], *parts[1]]


def captured(
    step: Callable[..., tuple[Any, Any]],
    consts: Any,
    carry: Any,
    xs: Any,
    numbers: range,
    how: Any,
    name: str,
) -> tuple[Any, Any] | None:
    """Repeat a step, as `hograd.loop.repeat` does, in the program that is being captured.

    Args:
        how: None if reverse mode keeps every step; else the length of the segments of which it keeps what is carried
            into them, and the same for each of these.

    Returns:
        (the carry at the end, tree of the answers, stacked); None if the steps cannot be one program, as where they
        draw random numbers within an outer vmap, or ask in Python for the number of the step.
    """
    const_leaves, const_structure = tree.flatten(consts)
    carry_leaves, carry_structure = tree.flatten(carry)
    slice_leaves, slice_structure = tree.flatten(xs)
    moving = [isinstance(x, Tensor) or type(x) in (int, float) for x in carry_leaves]
    fixed = [x for x in const_leaves if isinstance(x, Tensor)]
    begun = [as_tensor(x) for x, m in zip(carry_leaves, moving, strict=True) if m]
    sliced = [*slice_leaves, as_tensor(np.arange(numbers.start, numbers.stop, numbers.step))]
    answer_structure: Any = None

    def flat(*values: Any) -> list[Any]:
        nonlocal answer_structure
        own = iter(values)
        known = [with_weakness(next(own), is_weak(x)) if isinstance(x, Tensor) else x for x in const_leaves]
        before = [next(own) if m else x for x, m in zip(carry_leaves, moving, strict=True)]
        *rows, number = own
        after, answers = step(
            tree.unflatten(const_structure, known),
            number,
            tree.unflatten(carry_structure, before),
            tree.unflatten(slice_structure, rows),
        )
        new, structure = tree.flatten(after)
        given, answer_structure = tree.flatten(answers)
        if structure != carry_structure:
            raise NotOneProgram(f"{name}: a step changes the structure of what is carried.")
        for old, y, m in zip(before, new, moving, strict=True):
            if m and (tuple(y.shape), y.dtype) != (tuple(old.shape), old.dtype):
                raise NotOneProgram(f"{name}: a step changes the shape or the dtype of what is carried.")
            if not m and y is not old and y != old:
                raise NotOneProgram(f"{name}: a step changes something that is no tensor.")
        return [*[as_tensor(y) for y, m in zip(new, moving, strict=True) if m], *map(as_tensor, given)]

    def run(function: Callable[..., list[Any]], sliced: list[Any]) -> tuple[list[Any], list[Any]]:
        recorded = any(map(is_recorded, [*fixed, *begun, *sliced]))
        steps = _Steps(function, name, len(fixed), len(begun))
        return steps.run(fixed, begun, sliced, how if recorded else None)

    try:
        try:
            # A step may be captured by itself, too.
            with drawing(Draws(random_step)):
                end, stacks = run(flat, sliced)
        except RandomStep:
            shown = [example_of(x) for x in [*fixed, *begun]] + [example_of(x)[0] for x in sliced]
            taking, drawn = with_draws_ahead(flat, shown, len(numbers))
            end, stacks = run(taking, [*sliced, wrap(drawn)])
    except CaptureError:
        return None
    found = iter(end)
    carry = tree.unflatten(
        carry_structure, [next(found) if m else x for x, m in zip(carry_leaves, moving, strict=True)]
    )
    return carry, tree.unflatten(answer_structure, stacks)
