"""Control flow that depends on the values of tensors, also under `vmap`: `cond` and `while_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.custom import is_recorded
from hograd.core.primitive import ops
from hograd.core.tensor import Batched, Tensor
from hograd.errors import ArgumentError, ConvergenceError, DtypeError, GradientError, ShapeError
from hograd.func.arguments import as_tensor


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
    yes, no = (tree.map(as_tensor, branch(*operands)) for branch in (true_fn, false_fn))
    no = expect_like(no, yes, "cond", ("true_fn(...)", "false_fn(...)"))
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
    carry = tree.map(as_tensor, (carried_inputs,) if single else tuple(carried_inputs))
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
        new = tree.map(as_tensor, (result,) if single else (tuple(result) if isinstance(result, list) else result))
        new = expect_like(new, carry, "while_loop", ("what is carried", "body_fn(...)"))
        if maximum_steps is None and any(map(is_recorded, tree.leaves(new))):
            raise GradientError(
                "while_loop is being recorded for reverse mode, which keeps every step: state maximum_steps=... to "
                "bound its memory, differentiate by jvp or jacfwd, or use no_grad() if no derivative is needed."
            )
        if not active.all():
            new = _select(going, new, carry)
        carry = new
        steps += 1


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


def expect_like(found: Any, expected: Any, function: str, names: tuple[str, str]) -> Any:
    """A tree in the form of another one; an error unless it has the structure, shapes and dtypes of that one."""
    ours, structure = tree.flatten(expected)
    theirs = tree.match(expected, found, names, caller=function)
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        if x.shape == y.shape and x.dtype == y.dtype:
            continue
        start = f"{function}: {names[1]}{tree.paths(expected)[i]} has"
        if x.shape != y.shape:
            raise ShapeError(f"{start} shape {tuple(y.shape)}, expected {tuple(x.shape)}, that of {names[0]}.")
        raise DtypeError(f"{start} dtype {y.dtype}, expected {x.dtype}, that of {names[0]}; convert with astype.")
    return tree.unflatten(structure, theirs)
