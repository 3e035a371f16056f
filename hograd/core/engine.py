"""The backward pass along one tape."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from hograd.core.dispatch import bare, wrap
from hograd.core.levels import no_grad, state
from hograd.core.primitive import fused_rules, kernels, ops
from hograd.core.restoring import silent
from hograd.core.tape import FREED, Node
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, FreedGraphError, ShapeError

_by_sequence = attrgetter("sequence")


def backward_pass(
    roots: Sequence[tuple[Node, Any]],
    number: int,
    *,
    wanted: Sequence[Node | None] | None,
    create_graph: bool,
    retain_graph: bool,
    raw: bool,
    all_lead_there: bool = False,
    transposing: bool = False,
) -> list[Any]:
    """Pull cotangents back along one tape.

    Args:
        roots: pairs of a node and its cotangent.
        number: level of the tape.
        wanted: the nodes whose cotangents are returned (None where zero); None accumulates into every leaf.
        create_graph: record the pass on the same tape. Cotangents are then tensors, else values of the level below.
        retain_graph: keep the saved values.
        raw: everything is a bare array, so that rules may run on kernels.
        all_lead_there: every node is known to lead to a wanted one.
        transposing: cotangents are those of rules, not of users: for complex values the conjugates.
    """
    F = kernels if raw and not create_graph else ops
    fused: dict[Any, Any] = fused_rules if F is kernels else {}
    order, needed = _plan(roots, wanted, all_lead_there)
    watch = state.anomaly
    cotangents: dict[Node, Any] = {} if watch is None else watch.cotangents()
    for node, g in roots:
        if node.dtype.kind == "c" and not transposing:
            g = F.conj(g)
        cotangents[node] = cotangents[node] + g if node in cotangents else g
    targets = set(wanted) if wanted is not None else ()
    found: dict[Node, Any] = {}
    floor = state.floor
    if create_graph:
        state.floor = state.base
    try:
        with silent():
            for node in order:
                g = cotangents.pop(node, None)
                if g is None:
                    continue
                owner = node.owner
                if owner is not None:
                    if node.dtype.kind == "c":
                        g = F.conj(g)
                    if owner.hooks:
                        g = _run_hooks(owner, g, F is kernels)
                    # As in PyTorch, `grad` fills what `retain_grad` asked for, and no leaf.
                    if owner.fills and (wanted is None or node.primitive is not None):
                        accumulate(owner(), g, create_graph)
                    if node.dtype.kind == "c":
                        g = F.conj(g)
                if node in targets:
                    found[node] = F.conj(g) if node.dtype.kind == "c" and not transposing else g
                primitive = node.primitive
                if primitive is None or (needed is not None and not needed.get(node)):
                    continue
                saved = node.saved
                if type(saved) is not tuple and saved is not None:
                    if saved is FREED:
                        raise FreedGraphError(_freed_message(primitive.name))
                    saved = saved.open()
                if F is ops and saved is not None:
                    saved = _unpack(node, saved, number, create_graph)
                params = node.params
                vjps: Any = fused.get(primitive, primitive.vjps)
                for i, parent in enumerate(node.parents):
                    if parent is None or (needed is not None and parent not in needed):
                        continue
                    rule = vjps[i]
                    if rule is None:
                        continue
                    pulled = rule(F, g, saved, params)
                    if pulled is None:
                        continue
                    if pulled.shape != parent.shape:
                        pulled = unbroadcast(F, pulled, parent.shape)
                    if pulled.dtype is not parent.dtype and pulled.dtype != parent.dtype:
                        pulled = F.astype(pulled, parent.dtype)
                    before = cotangents.get(parent)
                    cotangents[parent] = pulled if before is None else before + pulled
                if not retain_graph and node.saved is not None:
                    node.saved = FREED
    finally:
        state.floor = floor
        if watch is not None:
            watch.finish(cotangents)
    return [found.get(node) for node in wanted] if wanted is not None else []  # type: ignore[arg-type]


def _plan(roots: Any, wanted: Any, all_lead_there: bool) -> tuple[list[Node], dict[Node, bool] | None]:
    """The nodes to visit, newest first, and, where it is not all of them, those that lead to a wanted one.

    The second value tells for each node that leads to a wanted node whether one of its parents does too.
    """
    oldest = min(map(_by_sequence, wanted)) if wanted else -1
    stack = [node for node, _ in roots]
    seen = set(stack)
    order = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen and parent.sequence >= oldest:
                seen.add(parent)
                stack.append(parent)
                order.append(parent)
    state.visited = len(order)
    order.sort(key=_by_sequence)
    needed: dict[Node, bool] | None = None
    if wanted is not None and not all_lead_there:
        needed = dict.fromkeys(wanted, False)
        for node in order:
            for parent in node.parents:
                if parent in needed:
                    needed[node] = True
                    break
    order.reverse()
    return order, needed


def _unpack(node: Node, saved: tuple[Any, ...], number: int, create_graph: bool) -> tuple[Any, ...]:
    """The saved values as tensors: linked to the nodes they came from if the pass is recorded."""
    unpacked: list[Any] = []
    for i, value in enumerate(saved):
        if value is None or not hasattr(value, "shape"):
            if create_graph and type(value) is tuple:
                # The answers of a call with a derivative of its own.
                link = node.primitive.link
                value = tuple([y if y is None else link(node, k, y, number) for k, y in enumerate(value)])
            unpacked.append(value)
            continue
        maker = None
        if create_graph:
            maker = node if i == 0 else node.parents[i - 1]
        unpacked.append(wrap(value) if maker is None else Tensor(value, maker, number))
    return tuple(unpacked)


def unbroadcast(F: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its value had been repeated."""
    if len(shape) == 1 and len(g.shape) == 2 and shape[0] != 1:
        return F.sum(g, axis=(0,))  # the cotangent of a bias, by far the most frequent case
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    if axes:
        g = F.sum(g, axis=axes)
    return g if g.shape == shape else F.reshape(g, shape)


def _run_hooks(owner: Any, g: Any, raw: bool) -> Any:
    """The cotangent after the hooks of its tensor."""
    for hook in list(owner.hooks.values()):
        name = getattr(hook, "__name__", hook)
        given = Tensor(g.value, g.node, g.level) if type(g) is Tensor else wrap(g)
        if raw:
            with no_grad():
                new = hook(given)
        else:
            new = hook(given)
        if new is None:
            continue
        if not isinstance(new, Tensor):
            raise DtypeError(f"expected Variable, but hook returned {type(new).__name__}: return a tensor or None.")
        if tuple(new.shape) != tuple(g.shape):
            raise ShapeError(
                f"hook {name!r} has changed the size of value: it got shape {tuple(g.shape)} and returned "
                f"{tuple(new.shape)}."
            )
        if new.dtype != g.dtype:
            raise DtypeError(f"hook {name!r} has changed the type of value: it got {g.dtype} and returned {new.dtype}.")
        g = new.detach().value if raw else new
    return g


def accumulate(tensor: Tensor | None, g: Any, create_graph: bool) -> None:
    """Add a cotangent to a tensor's `.grad`."""
    if tensor is None:
        return
    # Two leaves may get one cotangent; each has a tensor of its own, which in-place operations can change.
    grad = Tensor(g.value, g.node, g.level) if type(g) is Tensor else wrap(g)
    before = tensor.gradient
    if before is None:
        tensor.gradient = grad
    elif create_graph or not all(type(t) is Tensor and t.node is None for t in (before, grad)):
        tensor.gradient = before + grad
    else:
        # The same tensor object gets the sum, as in PyTorch, so that a reference taken before sees it.
        before.value = before.value + grad.value
    owner = tensor.node.owner if tensor.node is not None else None
    if owner is not None and owner.after:
        with contextlib.nullcontext() if create_graph or tensor.level else no_grad():
            for hook in list(owner.after.values()):
                hook(tensor)


def below(value: Any, number: int) -> Any:
    """What a value on the tape of level `number` is one level below; other values as they are."""
    if type(value) is Tensor and value.level == number and value.node is not None:
        value = value.value
    return bare(value)


def _freed_message(name: str) -> str:
    return (
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
        f"been freed). The values saved by `{name}` were freed by an earlier backward() or grad(). Specify "
        "retain_graph=True in the earlier call to keep them, or compute the outputs again (or `detach` what belongs to "
        "the earlier step) before the second call."
    )
