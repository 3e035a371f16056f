"""Control flow that depends on the values of tensors, also under `vmap`: `cond`, `while_loop`, `fori_loop`, `scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.tensor import Batched, Tensor
from hograd.errors import ArgumentError, ConvergenceError, DtypeError, GradientError, ShapeError, StructureError


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: tuple[Any, ...] | list[Any] = ()
) -> Any:
    """`true_fn(*operands)` where `pred` holds, else `false_fn(*operands)`; only the chosen one runs.

    Under a `vmap` whose elements differ in `pred` both run, and each element takes its own answer. The one that is not
    taken gets a zero cotangent, but as with `where` its derivative must not be infinite there: 0 * inf is nan.

    Args:
        pred: a bool, or a tensor of one element. It has no derivative.
        true_fn, false_fn: functions of the operands, which may use other tensors too; both return trees of tensors that
            are alike in structure, shapes and dtypes (which is checked where both run).
        operands: tuple of trees.

    Returns:
        What the chosen function returns.

    Raises:
        StructureError, ShapeError, DtypeError: under `vmap`, if the answers of the two differ in kind.

    >>> import hograd as ho
    >>> f = lambda x: ho.cond(x > 0, lambda x: x**2, lambda x: -x, (x,))
    >>> ho.vmap(ho.func.grad(f))(ho.tensor([-1.0, 3.0]))
    tensor([-1.,  6.])
    """
    if not isinstance(operands, (tuple, list)):
        raise ArgumentError(f"cond got operands of type {type(operands).__name__}, expected a tuple.")
    chosen = _truth(pred, "cond: pred")
    if not _is_batched(pred) or chosen.all() or not chosen.any():
        # Elements that agree need no second branch, and none is left to differ.
        return true_fn(*operands) if chosen.all() else false_fn(*operands)
    yes, no = (tree.map(_tensor, branch(*operands)) for branch in (true_fn, false_fn))
    _expect_like(no, yes, "cond", ("true_fn(...)", "false_fn(...)"))
    return _select(pred, yes, no)


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any, *, maximum_steps: int | None = None
) -> Any:
    """Repeat  carried = body_fn(*carried)  while  cond_fn(*carried)  holds.

    Forward mode (`jvp`, `jacfwd`) carries one tangent along and needs no more memory than one step. Reverse mode keeps
    what every step saves, so its memory grows with the number of steps that are taken; it is refused unless
    `maximum_steps` states how many that may be: at most `maximum_steps` times what one call of `body_fn` saves. For
    the solution of an equation, `fixed_point` and `custom_root` have derivatives in constant memory.

    Under `vmap` the loop runs as long as it runs for any element, and those that are done keep their values.

    Args:
        cond_fn: function of the carried trees that returns a bool, or a tensor of one element.
        body_fn: function of the carried trees that returns trees like them: structure, shapes and dtypes stay.
        carried_inputs: tuple of trees, one for each argument of the functions; or, for functions of one argument, its
            tree, unless that is a tuple itself.
        maximum_steps: how many steps may be taken; None is any number, and no reverse mode.

    Returns:
        Trees like `carried_inputs`.

    Raises:
        ConvergenceError: `cond_fn` still holds after `maximum_steps` steps.
        GradientError: the loop is being recorded for reverse mode, and `maximum_steps` is not given.
        StructureError, ShapeError, DtypeError: `body_fn` returned something unlike what is carried.

    >>> import hograd as ho
    >>> double = lambda x: ho.while_loop(lambda x: x < 100, lambda x: 2 * x, x, maximum_steps=20)
    >>> ho.func.grad_and_value(double)(ho.tensor(3.0))
    (tensor(64.), tensor(192.))
    """
    if maximum_steps is not None and maximum_steps < 0:
        raise ArgumentError(f"maximum_steps is {maximum_steps}, expected a whole number of at least 0, or None.")
    single = not isinstance(carried_inputs, (tuple, list))
    carry = tree.map(_tensor, (carried_inputs,) if single else tuple(carried_inputs))
    steps = 0
    while True:
        going = cond_fn(*carry)
        active = _truth(going, "while_loop: cond_fn(...)")
        if not active.any():
            return carry[0] if single else carry
        if steps == maximum_steps:
            which = f", for {int(active.sum())} of {active.size} elements" if active.ndim else ""
            raise ConvergenceError(
                f"while_loop: cond_fn still holds after maximum_steps={maximum_steps} steps{which}. "
                "Raise maximum_steps, or let cond_fn count the steps if it is right to stop there."
            )
        result = body_fn(*carry)
        new = tree.map(_tensor, (result,) if single else (tuple(result) if isinstance(result, list) else result))
        _expect_like(new, carry, "while_loop", ("what is carried", "body_fn(...)"))
        if maximum_steps is None and any(map(_is_recorded, tree.leaves(new))):
            raise GradientError(
                "while_loop is being recorded for reverse mode, which keeps every step: state maximum_steps=... to "
                "bound its memory, differentiate by jvp or jacfwd, or use no_grad() if no derivative is needed."
            )
        if not active.all():
            new = _select(going, new, carry)
        carry = new
        steps += 1


def fori_loop(lower: Any, upper: Any, body_fn: Callable[[int, Any], Any], carry: Any) -> Any:
    """Repeat  carry = body_fn(i, carry)  for i from `lower` up to but without `upper`.

    Args:
        lower, upper: whole numbers.
        body_fn: function of the number of the step and of a tree that returns a tree like it.
        carry: the tree at the beginning; returned as it is if there are no steps.

    Returns:
        The tree at the end. Both modes of derivatives pass through; reverse mode keeps what every step saves.

    Raises:
        StructureError, ShapeError, DtypeError: `body_fn` returned something unlike `carry`.

    >>> import hograd as ho
    >>> fori_loop(0, 3, lambda i, x: x * 2 + i, ho.tensor(1.0))
    tensor(12.)
    """
    carry = tree.map(_tensor, carry)
    for i in range(int(lower), int(upper)):
        new = tree.map(_tensor, body_fn(i, carry))
        _expect_like(new, carry, "fori_loop", ("carry", "body_fn(...)"))
        carry = new
    return carry


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Repeat  carry, y = f(carry, x)  over the first axis of `xs`, and stack what each step gives.

    Args:
        f: function of a tree that is carried and of a slice of `xs` that returns the next tree, like it, and anything.
        init: the tree at the beginning.
        xs: tree of tensors with a common first axis, or None for steps without input.
        length: number of steps, needed if `xs` is None.
        reverse: go from the last slice to the first; what is stacked keeps the order of `xs`.

    Returns:
        (carry at the end, tree of what the steps gave, each leaf with a first axis for the steps). Both modes of
        derivatives pass through; reverse mode keeps what every step saves.

    Raises:
        ArgumentError: there is not a single step, or `length` contradicts `xs`.
        StructureError, ShapeError, DtypeError: a step returned a carry unlike `init`.

    >>> import hograd as ho
    >>> scan(lambda total, x: (total + x, total * x), ho.tensor(0.0), ho.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 2., 9.]))
    """
    xs = tree.map(_tensor, xs)
    lengths = {len(x) if x.ndim else -1 for x in tree.leaves(xs)} | ({length} if length is not None else set())
    if len(lengths) != 1 or min(lengths) < 1:
        found = ", ".join(
            f"xs{path}: {tuple(x.shape)}" for path, x in zip(tree.paths(xs), tree.leaves(xs), strict=True)
        )
        raise ArgumentError(
            f"scan needs one number of steps, at least 1, as the first axis of all of xs or as length: found "
            f"length={length}{', ' if found else ''}{found}."
        )
    slices = tree.unstack(xs) if tree.leaves(xs) else [xs] * lengths.pop()
    carry = tree.map(_tensor, init)
    given = []
    for x in reversed(slices) if reverse else slices:
        result = f(carry, x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise StructureError(f"scan: f must return (carry, output), found {type(result).__name__}.")
        new, y = tree.map(_tensor, result[0]), result[1]
        _expect_like(new, carry, "scan", ("init", "the carry of f(...)"))
        carry = new
        given.append(y)
    return carry, tree.stack(given[::-1] if reverse else given)


def _tensor(leaf: Any) -> Any:
    return leaf if isinstance(leaf, Tensor) else ops.tensor(leaf)


def _is_batched(value: Any) -> bool:
    while isinstance(value, Tensor):
        if type(value) is Batched:
            return True
        value = value.value
    return False


def _truth(value: Any, name: str) -> np.ndarray:
    """A condition as an array, with an axis for each `vmap` whose elements differ in it."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ShapeError(f"{name} has shape {tuple(value.shape)}, expected one element; use all() or any().")
    while isinstance(value, Tensor):
        value = value.value
    return np.asarray(value).astype(np.bool_)


def _select(condition: Tensor, yes: Any, no: Any) -> Any:
    """Leaf by leaf the first where the condition holds, else the second."""
    at = ops.reshape(condition if condition.dtype.kind == "b" else ops.ne(condition, 0), ())
    return tree.map(lambda a, b: ops.where(at, a, b), yes, no)


def _is_recorded(value: Any) -> bool:
    """Whether some tape that is recording now would keep what is done with `value`."""
    while isinstance(value, Tensor):
        if value.node is not None and value.level >= state.floor:
            return True
        value = value.value
    return False


def _expect_like(found: Any, expected: Any, function: str, names: tuple[str, str]) -> None:
    if tree.structure(found) != tree.structure(expected):
        raise StructureError(f"{function}: " + tree.difference(expected, found, *names))
    for path, x, y in zip(tree.paths(expected), tree.leaves(expected), tree.leaves(found), strict=True):
        start = f"{function}: {names[1]}{path} has"
        if x.shape != y.shape:
            raise ShapeError(f"{start} shape {tuple(y.shape)}, expected {tuple(x.shape)}, that of {names[0]}.")
        if x.dtype != y.dtype:
            raise DtypeError(f"{start} dtype {y.dtype}, expected {x.dtype}, that of {names[0]}; convert with astype.")
