"""Function transforms: derivatives and vectorised maps of functions, which nest freely and work on trees."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd import tree
from hograd.backend import as_array
from hograd.core.dispatch import bare, is_raw, wrap
from hograd.core.engine import backward_pass, below
from hograd.core.levels import OFF, Level, state
from hograd.core.primitive import ops
from hograd.core.tape import leaf
from hograd.core.tensor import Batched, Dual, Tensor, check_floating
from hograd.errors import ArgumentError, DtypeError, GradientError, ShapeError, StructureError


class _Tape:
    """A tape with fresh leaves, on which a function can be recorded once and pulled back.

    Inside another `grad` the function is recorded on that one's tape, with an identity in front of its inputs: the
    derivative with respect to those is the same, and each operation is recorded once instead of twice.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.shared = _recording_tape()
        self.level = Level("tape")
        if self.shared is None:
            self.number = self.level.number
            self.inputs: list[Any] = [Tensor(bare(x), leaf(x), self.number) for x in values]
            if not all(is_raw(x.value) for x in self.inputs):
                self.level.raw = False
        else:
            self.number, batches = self.shared
            self.inputs = [_fresh(x, self.number, batches) for x in values]
            self.batches = batches

    def __enter__(self) -> _Tape:
        if self.shared is None:
            self.level.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.shared is None:
            self.level.__exit__(*exc)

    def strip(self, value: Any) -> Any:
        """An output as the code outside sees it."""
        if self.shared is not None or not isinstance(value, Tensor):
            return value
        return wrap(below(value, self.number))

    def pull(self, outputs: Sequence[Tensor], cotangents: Sequence[Any], retain: bool) -> list[Tensor]:
        """The cotangents of the inputs."""
        shared = self.shared is not None
        if shared:
            outputs = [self._unbatch(y) for y in outputs]
            cotangents = [self._unbatch(g) for g in cotangents]
            nodes = [self._unbatch(x).node for x in self.inputs]
        else:
            nodes = [x.node for x in self.inputs]
        roots = [
            (y.node, bare(g))
            for y, g in zip(outputs, cotangents, strict=True)
            if type(y) is Tensor and y.level == self.number and y.node is not None
        ]
        raw = not shared and self.level.raw and all(is_raw(g) for _, g in roots)
        if not raw:
            roots = [(node, wrap(g)) for node, g in roots]
        pulled = backward_pass(
            roots,
            self.number,
            wanted=nodes,
            create_graph=shared,
            retain_graph=retain or shared,
            raw=raw,
            all_lead_there=not shared,
        )
        result = []
        for x, g in zip(self.inputs, pulled, strict=True):
            if g is None:
                result.append(ops.zeros_like(x))
            else:
                result.append(self._rebatch(wrap(g)) if shared else wrap(g))
        return result

    def _unbatch(self, value: Any) -> Any:
        """A value inside the vmaps that lie between the shared tape and here, with all batch axes in front."""
        for number, size in reversed(self.batches):
            if type(value) is Batched and value.level == number:
                value = wrap(value.value)
            else:
                value = ops.broadcast_to(value, (size, *value.shape))
        return value

    def _rebatch(self, value: Any) -> Any:
        for number, _ in self.batches:
            value = Batched(bare(value), number)
        return value


def _recording_tape() -> tuple[int, list[tuple[int, int]]] | None:
    """The innermost open tape, if only vmaps were opened since and it is recording, and those vmaps."""
    batches: list[tuple[int, int]] = []
    for level, _, _ in reversed(state.stack):
        if level.kind == "tape":
            if state.floor != OFF and level.number >= state.floor:
                return level.number, batches[::-1]
            return None
        if level.kind != "vmap":
            return None
        batches.append((level.number, level.size))
    return None


def _fresh(x: Any, number: int, batches: list[tuple[int, int]]) -> Any:
    """`x` behind a node of its own on the shared tape, with every batch axis between."""
    for batch, size in batches:
        if not _has_batch(x, batch):
            x = _insert_batch(x, batch, size, batches)
    inner = x
    while type(inner) is Batched:
        inner = wrap(inner.value)
    if type(inner) is Tensor and inner.level == number and inner.node is not None:
        return ops.clone(x)
    fresh: Any = Tensor(bare(inner), leaf(inner), number)
    for batch, _ in batches:
        fresh = Batched(fresh, batch)
    return fresh


def _has_batch(x: Any, number: int) -> bool:
    while type(x) is Batched:
        if x.level == number:
            return True
        x = x.value
    return False


def _insert_batch(x: Any, number: int, size: int, batches: list[tuple[int, int]]) -> Any:
    """`x`, which is the same for every element of vmap `number`, repeated along its batch axis."""
    with_axis = ops.broadcast_to(x, (size, *x.shape))
    outer: list[int] = []
    while type(with_axis) is Batched and with_axis.level > number:
        # Peel the vmaps inside `number`, whose axes come behind its own.
        outer.append(with_axis.level)
        with_axis = ops.swapaxes(wrap(with_axis.value), 0, 1)
    value: Any = Batched(bare(with_axis), number)
    for level in reversed(outer):
        value = Batched(value, level)
    return value


def _inputs(values: Any, name: str) -> tuple[list[Tensor], Any]:
    """The leaves of a tree as floating tensors."""
    items, structure = tree.flatten(values)
    tensors = []
    for i, x in enumerate(items):
        if isinstance(x, (bool, int)) or not (isinstance(x, (float, Tensor, np.ndarray, np.generic))):
            raise DtypeError(
                f"{name}{tree.paths(values)[i]} is {type(x).__name__} {x!r}, expected a floating tensor or number: only those "
                "have derivatives."
            )
        tensor = x if isinstance(x, Tensor) else ops.tensor(x)
        check_floating(tensor.dtype)
        tensors.append(tensor)
    return tensors, structure


def _select(args: tuple[Any, ...], argnums: int | Sequence[int]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The arguments that are differentiated, and the function that puts others in their place."""
    single = isinstance(argnums, int)
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise ArgumentError(
                f"argnums is {argnums}, but the function was called with {len(args)} positional arguments."
            )
    chosen = args[numbers[0]] if single else tuple(args[n] for n in numbers)

    def replaced(values: Any) -> tuple[Any, ...]:
        full = list(args)
        for n, value in zip(numbers, [values] if single else values, strict=True):
            full[n] = value
        return tuple(full)

    return chosen, replaced


def _outputs(result: Any, name: str) -> tuple[list[Tensor], Any]:
    items, structure = tree.flatten(result)
    for i, y in enumerate(items):
        if not isinstance(y, Tensor):
            raise DtypeError(f"{name} returned {type(y).__name__} at output {i}, expected tensors only.")
    return items, structure


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def grad_and_value(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `f` and its value.

    Args:
        f: function with a scalar output, shape (), or (output, anything) with `has_aux`.
        argnums: which positional arguments to differentiate by; each a tree of floating tensors.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        A function of the arguments of `f` that returns (gradient, value), or (gradient, (value, aux)). The gradient
        is a tree like the argument, zeros where `f` does not depend on it; a tuple of them for several `argnums`.

    Raises:
        GradientError: the output is not a scalar. DtypeError: an argument is not floating.

    >>> import hograd as ho
    >>> grad_and_value(lambda x: (x**2).sum())(ho.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = _select(args, argnums)
        values, structure = _inputs(chosen, "argument")
        tape = _Tape(values)
        aux = None
        with tape:
            y = f(*replaced(tree.unflatten(structure, tape.inputs)), **kwargs)
            if has_aux:
                if not isinstance(y, tuple) or len(y) != 2:
                    raise GradientError(
                        f"{_name(f)} with has_aux=True must return (output, aux), found {type(y).__name__}."
                    )
                y, aux = y
        if not isinstance(y, Tensor):
            raise DtypeError(f"{_name(f)} returned {type(y).__name__}, expected a scalar tensor to differentiate.")
        if y.shape != ():
            raise GradientError(
                f"grad can be implicitly created only for scalar outputs: {_name(f)} returned shape {tuple(y.shape)}, expected "
                "(). Reduce it with sum() or mean(), or use vjp or jacrev."
            )
        gradient = tree.unflatten(structure, tape.pull([y], [ops.ones_like(y)], retain=False))
        value = tape.strip(y)
        return (gradient, (value, tree.map(tape.strip, aux))) if has_aux else (gradient, value)

    return transformed


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `f`.

    Args:
        f: function with a scalar output, shape (), or (output, anything) with `has_aux`.
        argnums: which positional arguments to differentiate by; each a tree of floating tensors.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        A function of the arguments of `f` that returns the gradient, a tree like the argument (a tuple for several
        `argnums`), or (gradient, aux).

    Raises:
        GradientError: the output is not a scalar. DtypeError: an argument is not floating.

    >>> import hograd as ho
    >>> grad(grad(lambda x: x**3))(ho.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(f, argnums, has_aux)

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` and the function that multiplies cotangents by its Jacobian:  v -> v J.

    Args:
        f: function of trees of floating tensors that returns a tree of tensors.
        *primals: the arguments.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        (output, pull) or (output, pull, aux). `pull` takes a tree like the output and returns a tuple of trees, one
        for each of `primals`; it may be called many times.

    >>> import hograd as ho
    >>> y, pull = vjp(lambda x: x**2, ho.tensor([1.0, 2.0]))
    >>> pull(ho.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    values, structure = _inputs(primals, "primals")
    tape = _Tape(values)
    aux = None
    with tape:
        result = f(*tree.unflatten(structure, tape.inputs))
        if has_aux:
            result, aux = result
    outputs, out_structure = _outputs(result, _name(f))

    def pull(cotangents: Any) -> Any:
        items = _matching(cotangents, outputs, out_structure, "cotangents")
        return tree.unflatten(structure, tape.pull(outputs, items, retain=True))

    output = tree.unflatten(out_structure, [tape.strip(y) for y in outputs])
    return (output, pull, tree.map(tape.strip, aux)) if has_aux else (output, pull)


def _matching(given: Any, like: Sequence[Tensor], structure: Any, name: str) -> list[Tensor]:
    """Tangents or cotangents, checked against the tensors that they belong to."""
    items, found = tree.flatten(given)
    if found != structure:
        raise StructureError(f"{name} have structure {found}, expected {structure}.")
    checked = []
    for i, (t, x) in enumerate(zip(items, like, strict=True)):
        t = t if isinstance(t, Tensor) else Tensor(as_array(t))
        if t.shape != x.shape:
            raise ShapeError(f"{name}{tree.paths(given)[i]} has shape {tuple(t.shape)}, expected {tuple(x.shape)}.")
        checked.append(t if t.dtype == x.dtype else ops.astype(t, x.dtype))
    return checked


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> Any:
    """The value of `f` and its derivative along a direction:  J t , by forward mode.

    Args:
        f: function of trees of floating tensors that returns a tree of tensors.
        primals: tuple of the arguments.
        tangents: tuple of directions, trees like `primals`.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        (output, tangent of the output), or (output, tangent, aux).

    Raises:
        StructureError, ShapeError: `tangents` do not match `primals`.

    >>> import hograd as ho
    >>> jvp(lambda x: x**2, (ho.tensor([1.0, 2.0]),), (ho.tensor([1.0, 0.0]),))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise StructureError("jvp: primals and tangents are tuples with one entry for each argument of the function.")
    values, structure = _inputs(tuple(primals), "primals")
    directions = _matching(tuple(tangents), values, structure, "tangents")
    aux = None
    with Level("jvp") as level:
        number = level.number
        duals = [Dual(bare(x), bare(t), number) for x, t in zip(values, directions, strict=True)]
        result = f(*tree.unflatten(structure, duals))
        if has_aux:
            result, aux = result
    outputs, out_structure = _outputs(result, _name(f))

    def primal(y: Any) -> Any:
        return wrap(y.value) if type(y) is Dual and y.level == number else y

    def tangent(y: Any) -> Any:
        return wrap(y.tangent) if type(y) is Dual and y.level == number else ops.zeros_like(y)

    output = tree.unflatten(out_structure, [primal(y) for y in outputs])
    derivative = tree.unflatten(out_structure, [tangent(y) for y in outputs])
    return (output, derivative, tree.map(primal, aux)) if has_aux else (output, derivative)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """Product of the Hessian of `f` with a vector, at the cost of about four evaluations of `f`.

    Forward over reverse:  H v = d/de grad f(x + e v) at e = 0   (Pearlmutter, 1994).

    Args:
        f: function of one tree of tensors, with a scalar output, shape ().
        primals: the point x; a tree of floating tensors.
        tangents: the vector v; the same structure, shapes and dtypes as `primals`.

    Returns:
        A tree like `primals`.

    Raises:
        StructureError, ShapeError: `tangents` does not match `primals`; the message names the first leaf that differs.

    >>> import hograd as ho
    >>> hvp(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]), ho.tensor([1.0, 0.0]))
    tensor([6., 0.])
    """
    return jvp(grad(f), (primals,), (tangents,))[1]


def vmap(
    f: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    in_axes: Any = None,
    out_axes: Any = None,
) -> Callable[..., Any]:
    """Map `f` over an axis of its arguments, in one pass over arrays with that axis in front.

    Args:
        f: function of trees of tensors that returns a tree of tensors.
        in_dims: the axis of each argument that is mapped, None for an argument that every call shares: one value for all, or a
            tuple with one entry an argument, each a value or a tree prefix of the argument (`in_axes`).
        out_dims: where the axis goes in the outputs: one value, or a tree prefix of the output (`out_axes`).
        randomness: random draws inside raise ("error"), differ between elements ("different") or not ("same").

    Returns:
        A function of the same arguments, with the mapped axis added to them and to its outputs.

    Raises:
        ShapeError: mapped arguments differ in length, or none is mapped.

    >>> import hograd as ho
    >>> vmap(lambda x, c: (x * c).sum(), in_dims=(0, None))(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 10.0)
    tensor([30., 70.])
    """
    in_dims = in_dims if in_axes is None else in_axes
    out_dims = out_dims if out_axes is None else out_axes
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(f"randomness is {randomness!r}, expected 'error', 'different' or 'same'.")

    @functools.wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        items, structure = tree.flatten(args)
        axes = _axes(in_dims, args, len(items))
        tensors = [
            x if isinstance(x, Tensor) or axis is None else ops.tensor(x) for x, axis in zip(items, axes, strict=True)
        ]
        size = _mapped_size(tensors, axes, args)
        with Level("vmap", size, randomness) as level:
            number = level.number
            values = [
                x if axis is None else Batched(bare(ops.moveaxis(x, axis, 0)), number)
                for x, axis in zip(tensors, axes, strict=True)
            ]
            result = f(*tree.unflatten(structure, values), **kwargs)
        outputs, out_structure = _outputs(result, _name(f))
        places = _axes_of_output(out_dims, result, len(outputs))
        stripped = []
        for y, place in zip(outputs, places, strict=True):
            if type(y) is Batched and y.level == number:
                y = wrap(y.value)
            elif place is None:
                stripped.append(y)
                continue
            else:
                y = ops.broadcast_to(y, (size, *y.shape))
            if place is None:
                raise ArgumentError(
                    "out_dims is None for an output that differs between the mapped elements, expected an int."
                )
            stripped.append(ops.moveaxis(y, 0, place) if place else y)
        return tree.unflatten(out_structure, stripped)

    return mapped


def _is_axis(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _axes(in_dims: Any, args: tuple[Any, ...], count: int) -> list[Any]:
    """The mapped axis, or None, of every leaf of the arguments."""
    if _is_axis(in_dims):
        return [in_dims] * count
    if not isinstance(in_dims, (tuple, list)) or len(in_dims) != len(args):
        raise ArgumentError(
            f"in_dims is {in_dims!r}, expected an int, None, or a tuple with one entry for each of {len(args)} arguments."
        )
    axes: list[Any] = []
    for prefix, arg in zip(in_dims, args, strict=True):
        if _is_axis(prefix):
            axes += [prefix] * len(tree.leaves(arg))
        else:
            axes += _spread(prefix, arg, "in_dims")
    return axes


def _axes_of_output(out_dims: Any, result: Any, count: int) -> list[Any]:
    return [out_dims] * count if _is_axis(out_dims) else _spread(out_dims, result, "out_dims")


def _spread(prefix: Any, full: Any, name: str) -> list[Any]:
    try:
        return tree.broadcast(prefix, full, is_leaf=_is_axis)
    except ValueError as error:
        raise StructureError(f"{name} {prefix!r} is no prefix of the tree that it belongs to: {error}") from None


def _mapped_size(tensors: list[Any], axes: list[Any], args: Any) -> int:
    size: int | None = None
    for i, (x, axis) in enumerate(zip(tensors, axes, strict=True)):
        if axis is None:
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f"vmap: argument{tree.paths(args)[i]} has shape {tuple(x.shape)}, which has no axis {axis} to map; pass None in "
                "in_dims for an argument that every call shares."
            )
        length = x.shape[axis]
        if size is not None and length != size:
            raise ShapeError(
                f"vmap: argument{tree.paths(args)[i]} has length {length} along its mapped axis {axis}, expected {size} as before."
            )
        size = length
    if size is None:
        raise ShapeError("vmap: no argument is mapped; at least one entry of in_dims must be an int.")
    return size


def _directions(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Unit directions of all tensors together: for each a tensor with one row for each element of all."""
    total = sum(x.numel() for x in tensors)
    start, rows = 0, []
    for x in tensors:
        n = x.numel()
        block = np.zeros((total, n), x.dtype)
        block[start : start + n] = np.eye(n)
        rows.append(Tensor(block.reshape(total, *x.shape)))
        start += n
    return rows


def jacrev(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian of `f` by reverse mode, one pass for all rows.

    Args:
        f: function that returns a tree of tensors.
        argnums: which positional arguments to differentiate by.

    Returns:
        A function that returns, for each output in the tree of outputs, a tree like the argument (a tuple for several
        `argnums`) of tensors with shape (*output.shape, *input.shape).

    >>> import hograd as ho
    >>> jacrev(lambda x: x**2)(ho.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = _select(args, argnums)
        y, pull = vjp(lambda x: f(*replaced(x), **kwargs), chosen)
        outputs, out_structure = tree.flatten(y)
        inputs, in_structure = tree.flatten(chosen)
        pulled = vmap(pull)(tree.unflatten(out_structure, _directions(outputs)))[0]
        columns = tree.leaves(pulled)
        start, blocks = 0, []
        for output in outputs:
            n = output.numel()
            parts = [ops.reshape(c[start : start + n], (*output.shape, *c.shape[1:])) for c in columns]
            blocks.append(tree.unflatten(in_structure, parts))
            start += n
        return tree.unflatten(out_structure, blocks)

    return transformed


def jacfwd(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian of `f` by forward mode, one pass for all columns.

    Args:
        f: function that returns a tree of tensors.
        argnums: which positional arguments to differentiate by.

    Returns:
        A function that returns, for each output in the tree of outputs, a tree like the argument (a tuple for several
        `argnums`) of tensors with shape (*output.shape, *input.shape).

    >>> import hograd as ho
    >>> jacfwd(lambda x: x**2)(ho.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = _select(args, argnums)
        inputs, in_structure = _inputs(chosen, "argument")

        def push(*directions: Any) -> Any:
            x = tree.unflatten(in_structure, inputs)
            t = tree.unflatten(in_structure, list(directions))
            return jvp(lambda v: f(*replaced(v), **kwargs), (x,), (t,))[1]

        pushed = vmap(push, out_dims=-1)(*_directions(inputs))
        outputs, out_structure = tree.flatten(pushed)
        blocks = []
        for rows in outputs:
            start, parts = 0, []
            for x in inputs:
                n = x.numel()
                parts.append(ops.reshape(rows[..., start : start + n], (*rows.shape[:-1], *x.shape)))
                start += n
            blocks.append(tree.unflatten(in_structure, parts))
        return tree.unflatten(out_structure, blocks)

    return transformed


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the Hessian of `f`, forward over reverse.

    Args:
        f: function with a scalar output, shape ().
        argnums: which positional arguments to differentiate by.

    Returns:
        A function that returns a tree like the argument of trees like the argument, of tensors with shape
        (*row.shape, *column.shape).

    >>> import hograd as ho
    >>> hessian(lambda x: (x**3).sum())(ho.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(f, argnums), argnums)
