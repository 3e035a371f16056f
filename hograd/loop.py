"""Loops of a known number of steps: `scan` and `fori_loop`, and what of them is kept for reverse mode."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.control import as_tensor, expect_like
from hograd.core.custom import is_recorded
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, LevelError, StructureError
from hograd.func.checkpoint import Again
from hograd.func.pieces import pieces

Checkpoint = str | int | tuple[str, int]
"""What reverse mode keeps of a loop: "none", "sqrt", a number of steps, "binomial", or ("binomial", slots)."""

MOST_REPEATS = 40


def scan(
    f: Callable[..., tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    checkpoint: Checkpoint = "none",
    consts: tuple[Any, ...] | list[Any] = (),
) -> tuple[Any, Any]:
    """Repeat  carry, y = f(carry, x, *consts)  over the first axis of `xs`, and stack what each step gives.

    Both modes of derivatives pass through, to any order, by `init`, `xs` and `consts`. Forward mode needs no more
    memory than one step. What reverse mode keeps of n steps, beside the carry where it begins:

    | checkpoint | kept | calls of f for a step |
    |---|---|---|
    | "none" | what every step saves | 1 |
    | k, a number of steps | n / k carries, and what k steps save | 2 |
    | "sqrt" | the same with k about sqrt(n) | 2 |
    | ("binomial", slots) | `slots` carries, and what one step saves | r + 1, least for so many slots |

    The last is the optimal schedule of Griewank and Walther (2000), where r is the least number with
    (slots + r)! / (slots! r!) >= n;  "binomial" alone has about log2 n slots. Derivatives of higher order keep no more
    than a fixed multiple of that, and the random draws of a step that runs again are the same.

    Inside `compile` the step is captured once, whatever the number of steps (unless it draws random numbers for each
    element of a vmap that the loop is in); in place of the optimal schedule there are loops within loops, which call f
    as often and keep about twice as many carries. Segments (k, "sqrt") keep small results of long computations, too,
    such as gradients of weights, and are spared them when they run again, where these come to at most twice of what is
    kept anyway.

    Args:
        f: function of a tree that is carried, of a slice of `xs` and of `consts`, that returns the next tree, like it,
            and anything.
        init: the tree at the beginning.
        xs: tree of tensors with a common first axis, or None for steps without input.
        length: number of steps, needed if `xs` is None.
        reverse: go from the last slice to the first; what is stacked keeps the order of `xs`.
        checkpoint: what reverse mode keeps.
        consts: trees that every step gets. Without checkpoints f may as well use tensors from closures; with them
            whatever is differentiated or mapped has to come in as an argument.

    Returns:
        (carry at the end, tree of what the steps gave, each leaf with a first axis for the steps).

    Raises:
        ArgumentError: there is not a single step, `length` contradicts `xs`, or `checkpoint` is none of the above.
        LevelError: f closes over a tensor that is being differentiated or mapped, and there are checkpoints.
        StructureError, ShapeError, DtypeError: a step returned a carry unlike `init`.

    >>> import hograd as ho
    >>> scan(lambda total, x: (total + x, total * x), ho.tensor(0.0), ho.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 2., 9.]))
    >>> power = lambda a: scan(lambda x, _, a: (x * a, None), 1.0, length=100, consts=(a,), checkpoint="sqrt")[0]
    >>> ho.func.grad(power)(ho.tensor(1.0))
    tensor(100.)
    """
    xs = tree.map(as_tensor, xs)
    leaves = tree.leaves(xs)
    lengths = {len(x) if x.ndim else -1 for x in leaves} | ({length} if length is not None else set())
    if len(lengths) != 1 or min(lengths) < 1:
        found = ", ".join(f"xs{path}: {tuple(x.shape)}" for path, x in zip(tree.paths(xs), leaves, strict=True))
        raise ArgumentError(
            f"scan needs one number of steps, at least 1, as the first axis of all of xs or as length: found "
            f"length={length}{', ' if found else ''}{found}."
        )
    if not isinstance(consts, (tuple, list)):
        raise ArgumentError(f"scan got consts of type {type(consts).__name__}, expected a tuple.")
    if reverse:
        xs = tree.map(lambda x: ops.flip(x, 0), xs)

    def step(consts: Any, number: int, carry: Any, x: Any) -> tuple[Any, Any]:
        result = f(carry, x, *consts)
        if not isinstance(result, tuple) or len(result) != 2:
            raise StructureError(f"scan: f must return (carry, output), found {type(result).__name__}.")
        new = tree.map(as_tensor, result[0])
        return expect_like(new, carry, "scan", ("init", "the carry of f(...)")), result[1]

    numbers = range(lengths.pop())
    carry, ys = repeat(step, tuple(consts), tree.map(as_tensor, init), xs, numbers, checkpoint, name="scan")
    return carry, tree.map(lambda y: ops.flip(y, 0), ys) if reverse else ys


def fori_loop(
    lower: Any, upper: Any, body_fn: Callable[..., Any], carry: Any, *, checkpoint: Checkpoint = "none"
) -> Any:
    """Repeat  carry = body_fn(i, carry)  for i from `lower` up to but without `upper`.

    Args:
        lower, upper: whole numbers.
        body_fn: function of the number of the step and of a tree that returns a tree like it. Inside `compile` the
            number is a tensor, and the steps are one loop of the program; where `body_fn` needs a Python number they
            are captured one by one.
        carry: the tree at the beginning; returned as it is if there are no steps.
        checkpoint: what reverse mode keeps, as in `scan`: all that every step saves, or less.

    Returns:
        The tree at the end. Both modes of derivatives pass through.

    Raises:
        StructureError, ShapeError, DtypeError: `body_fn` returned something unlike `carry`.

    >>> import hograd as ho
    >>> fori_loop(0, 3, lambda i, x: x * 2 + i, ho.tensor(1.0))
    tensor(12.)
    """

    def step(_: Any, number: int, carry: Any, x: Any) -> tuple[Any, Any]:
        new = tree.map(as_tensor, body_fn(number, carry))
        return expect_like(new, carry, "fori_loop", ("carry", "body_fn(...)")), None

    carry, numbers = tree.map(as_tensor, carry), range(int(lower), int(upper))
    return repeat(step, (), carry, None, numbers, checkpoint, name="fori_loop")[0]


Step = Callable[[Any, int, Any, Any], tuple[Any, Any]]


def repeat(
    step: Step, consts: Any, carry: Any, xs: Any, numbers: range, checkpoint: Checkpoint, *, name: str
) -> tuple[Any, Any]:
    """Repeat  carry, y = step(consts, number, carry, x)  for all numbers.

    Args:
        step: pure function; under checkpoints it gets everything that is differentiated or mapped as an argument.
        consts: tree of anything. carry: tree of tensors, and of anything that depends on the step alone.
        xs: tree of tensors with a row for each number, or a tree without tensors.
        checkpoint: what reverse mode keeps, as in `scan`.

    Returns:
        (the carry at the end, tree of the answers y, stacked).
    """
    how = settle(checkpoint, len(numbers), name) if numbers else "none"
    if state.trace is not None and len(numbers) > 1:
        from hograd.program.scan import captured  # of use only while a program is captured

        found = captured(step, consts, carry, xs, numbers, _nested(len(numbers), how), name)
        if found is not None:
            return found
    if how == "none" or not any(map(is_recorded, tree.leaves((consts, carry, xs)))):
        result = _plainly(step, consts, carry, xs, numbers)
        if how != "none" and any(map(is_recorded, tree.leaves(result))):
            raise LevelError(
                f"{name} with checkpoint={checkpoint!r} uses a tensor that is being differentiated, and that came in "
                "through a closure: pass it in the carry, in xs or in consts, so that its derivative is not lost."
            )
        return result
    return _in_segments(step, consts, carry, xs, numbers, how, name)


def _plainly(step: Step, consts: Any, carry: Any, xs: Any, numbers: range) -> tuple[Any, Any]:
    given = []
    for number, x in zip(numbers, _parts(xs, None, len(numbers)), strict=True):
        carry, y = step(consts, number, carry, x)
        given.append(y)
    return carry, tree.stack(given) if given and given[0] is not None else None


def _in_segments(
    step: Step, consts: Any, carry: Any, xs: Any, numbers: range, how: Checkpoint, name: str
) -> tuple[Any, Any]:
    """The steps in checkpointed segments, but for the last one, which reverse mode needs at once."""
    lengths, inner = _segments(len(numbers), how)
    given, done = [], 0
    for length, within, part in zip(lengths, inner, _parts(xs, lengths, len(lengths)), strict=True):
        some = numbers[done : done + length]
        done += length
        if done < len(numbers):
            carry, ys = _segment(step, consts, carry, part, some, within, name)
        else:
            carry, ys = _plainly(step, consts, carry, part, some)
        given.append(ys)
    if given[0] is None:
        return carry, None
    return carry, given[0] if len(given) == 1 else tree.map(lambda *ys: ops.concatenate(ys), *given)


def _segment(
    step: Step, consts: Any, carry: Any, xs: Any, numbers: range, how: Checkpoint, name: str
) -> tuple[Any, Any]:
    """Some steps of which reverse mode keeps the carry at their beginning."""
    rest: list[Any] = []

    def steps(consts: Any, carry: Any, xs: Any) -> Any:
        if how == "none":
            carry, ys = _plainly(step, consts, carry, xs, numbers)
        else:
            carry, ys = repeat(step, consts, carry, xs, numbers, how, name=name)
        leaves, structure = tree.flatten(carry)
        # What is no tensor depends on the step alone, and is not computed again.
        rest[:] = [structure, [None if isinstance(x, Tensor) else x for x in leaves]]
        return [x for x in leaves if isinstance(x, Tensor)], ys

    tensors, ys = Again(f"{name}, steps {numbers[0]} to {numbers[-1]},", steps, (consts, carry, xs))()
    structure, leaves = rest
    given = iter(tensors)
    return tree.unflatten(structure, [next(given) if x is None else x for x in leaves]), ys


def _parts(xs: Any, lengths: Sequence[int] | None, count: int) -> list[Any]:
    """The rows of a tree of tensors, or its parts of these lengths."""
    leaves, structure = tree.flatten(xs)
    if not leaves:
        return [xs] * count
    columns = [pieces(x, lengths) for x in leaves]
    return [tree.unflatten(structure, row) for row in zip(*columns, strict=True)]


def calls(length: int, checkpoint: Checkpoint) -> int:
    """How often the function of a loop is called for its value and one backward pass."""
    how = settle(checkpoint, length, "scan")
    if how == "none" or not length:
        return length
    if isinstance(how, int):
        return 2 * length - min(how, length)
    slots = int(how[1])
    repeats = _repeats(length, slots)
    return (1 + repeats) * length - math.comb(slots + repeats, slots + 1)


def footprint(length: int, checkpoint: Checkpoint, step: int, carry: int, records: int = 0) -> int:
    """The most bytes that reverse mode keeps of a loop at a time.

    Args:
        length: number of steps.
        checkpoint: as in `scan`.
        step: bytes that a recorded step saves, with its records. carry: bytes of what is carried.
        records: those of the records alone, which stay while the segments before are computed again.
    """
    how = settle(checkpoint, length, "scan")
    if how == "none" or length <= 1:
        return length * step
    if isinstance(how, int):
        again = min(-(-length // how) - 1, 1)
        return (-(-length // how) - 1) * carry + min(how, length) * (step + again * records)
    slots = int(how[1])
    # Each segment in a segment holds its answer and two cotangents of it.
    return min(slots, length) * carry + step + 3 * _repeats(length, slots) * carry


def settle(checkpoint: Any, length: int, name: str) -> Checkpoint:
    """What `checkpoint` means for so many steps: "none", a number of steps, or ("binomial", slots)."""
    if isinstance(checkpoint, str) and checkpoint == "binomial":
        return ("binomial", max(2, math.ceil(math.log2(max(length, 1)))))
    if isinstance(checkpoint, str) and checkpoint == "sqrt":
        return max(1, math.ceil(math.sqrt(length)))
    if isinstance(checkpoint, str) and checkpoint == "none":
        return "none"
    if type(checkpoint) is int and checkpoint >= 1:
        return checkpoint
    if type(checkpoint) is tuple and len(checkpoint) == 2 and checkpoint[0] == "binomial":
        slots = checkpoint[1]
        if type(slots) is int and slots >= 1:
            if length > math.comb(slots + MOST_REPEATS, slots):
                enough = next(n for n in range(slots, length) if length <= math.comb(n + MOST_REPEATS, n))
                raise ArgumentError(
                    f"{name}: checkpoint is {checkpoint!r}, which would take more than {MOST_REPEATS} calls for each "
                    f"of {length} steps; expected at least {enough} slots."
                )
            return checkpoint
    raise ArgumentError(
        f"{name}: checkpoint is {checkpoint!r}, expected 'none', 'sqrt', 'binomial', ('binomial', slots) with at least "
        "1 slot, or a number of steps of at least 1."
    )


def _segments(length: int, how: Checkpoint) -> tuple[list[int], list[Checkpoint]]:
    """The lengths of the segments, and how each is checkpointed itself."""
    if isinstance(how, int):
        lengths = ([length % how] if length % how else []) + [how] * (length // how)
        return lengths, ["none"] * len(lengths)
    slots = int(how[1])
    lengths, inner = [], []
    while length > 1:
        first = _first(length, slots)
        lengths.append(first)
        inner.append(("binomial", slots) if first > 1 else "none")
        length, slots = length - first, slots - 1
    return [*lengths, 1], [*inner, "none"]


def _nested(length: int, how: Checkpoint) -> Any:
    """Segments for a program, which has loops within loops, all of the same length, in place of the optimal schedule.

    With as many calls of a step they keep about twice as many carries. None is to keep every step.
    """
    if how == "none" or length <= 1 or (isinstance(how, int) and how >= length):
        return None
    if isinstance(how, int):
        return how, None
    size, levels, sizes = length, _repeats(length, int(how[1])) + 1, []
    while levels > 1 and size > 1:
        size = math.ceil(size / math.ceil(size ** (1 / levels)))
        levels -= 1
        sizes.append(size)
    return functools.reduce(lambda within, size: (size, within), reversed(sizes), None)


def _first(length: int, slots: int) -> int:
    """How far to go to the next checkpoint: the first segment of the optimal schedule."""
    repeats = _repeats(length, slots)
    before = math.comb(slots + repeats - 2, slots) if repeats > 1 else 0
    return max(before, length - math.comb(slots - 1 + repeats, slots - 1), 1)


def _repeats(length: int, slots: int) -> int:
    """How often the optimal schedule calls a step at most, beside the call that is recorded."""
    return next(r for r in itertools.count() if math.comb(slots + r, slots) >= length)
