"""`grad` and `backward` as users call them, on top of the backward pass."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.dispatch import bare, is_raw, wrap
from hograd.core.engine import accumulate, backward_pass
from hograd.core.levels import level_of, state
from hograd.core.primitive import ops
from hograd.core.tape import Node
from hograd.core.tensor import Batched, Dual, Tensor
from hograd.errors import (
    ArgumentError,
    DtypeError,
    GradientError,
    LevelError,
    ShapeError,
    UnusedInputError,
)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Gradients of the sum of `outputs`, weighted by `grad_outputs`, with respect to `inputs`.

    Result i is  sum_k grad_outputs[k] . d outputs[k] / d inputs[i] , a vector-Jacobian product.

    Args:
        outputs: a tensor, a sequence, a dict or a tree of tensors.
        inputs: a tensor, a sequence, a dict or a tree of tensors; leaves of the graph or not.
        grad_outputs: the weights, one for each output, of its shape, as a sequence or a tree like `outputs`; None is 1
            for an output of one element.
        retain_graph: keep what the graph saved, so that it can be differentiated again; default `create_graph`.
        create_graph: record the derivative, so that it can be differentiated itself, also inside `no_grad`.
        only_inputs: ignored, as in PyTorch: the `.grad` of leaves is never touched.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: `grad_outputs` have a leading axis over which the call is mapped by `vmap`.
        materialize_grads: give zeros for an input that the outputs do not depend on.

    Returns:
        A tuple of tensors, in the order of `inputs`; for a dict or a nested tree of inputs the same structure.

    Raises:
        GradientError: an output or an input does not require grad, or an output without a weight is not a scalar.
        UnusedInputError: an input was not used (neither `allow_unused` nor `materialize_grads` given).
        FreedGraphError: an operation on the way had its saved values freed by an earlier call.
        ShapeError: a weight does not have its output's shape.
        StructureError: `grad_outputs` is a dict or a tree unlike `outputs`.

    Memory: an operation saves what its rule reads and nothing else: `a.tanh()` its answer, `a * b` the factors, `a + b`
    nothing. A pass frees that as it goes along. For a chain of n `tanh` of B bytes, forward and backward pass together
    peak at (n + 1) B and leave the gradient, B. With `create_graph` the chain and its derivative hold 2 n B, and
    differentiating that derivative peaks at (2 n + 2) B; all of it is freed with the last reference to its results, at
    once and without the garbage collector. `graph.memory_report` counts what a graph holds.

    >>> import hograd as ho
    >>> x = ho.tensor([1.0, 2.0], requires_grad=True)
    >>> (g,) = ho.grad((x**3).sum(), x, create_graph=True)
    >>> g
    tensor([ 3., 12.], grad_fn=<MulBackward0>)
    >>> ho.grad(g.sum(), x)
    (tensor([ 6., 12.]),)
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use backward.",
            FutureWarning,
            stacklevel=2,
        )
    heads, grad_outputs = _tensors(outputs, "outputs"), _in_order(outputs, grad_outputs, ("outputs", "grad_outputs"))
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    flat = isinstance(inputs, (list, tuple)) and all(isinstance(x, Tensor) for x in inputs)
    leaves, structure = (list(inputs), None) if flat else tree.flatten(inputs)
    if not leaves:
        raise GradientError("`inputs` argument to `grad()` cannot be empty.")
    for i, x in enumerate(leaves):
        if not isinstance(x, Tensor):
            raise DtypeError(f"inputs[{i}] is {type(x).__name__}, expected a tensor.")
    if is_grads_batched:
        result = _batched_grad(heads, leaves, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    else:
        result = _grad(heads, leaves, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    return tuple(result) if structure is None else tree.unflatten(structure, result)


def _grad(
    heads: list[Tensor],
    leaves: list[Tensor],
    grad_outputs: Any,
    retain_graph: bool | None,
    create_graph: bool,
    allow_unused: bool | None,
    materialize_grads: bool,
) -> list[Any]:
    seeds = _seeds(heads, grad_outputs)
    number = max(head.level for head in heads)
    kind = next(type(head) for head in heads if head.level == number)
    if kind is Batched:
        return _grad_inside_vmap(
            number, heads, leaves, seeds, retain_graph, create_graph, allow_unused, materialize_grads
        )
    if kind is Dual:
        raise LevelError(
            "grad() was called on a value of `jvp`, whose tape lies outside the function: use func.grad for the inner "
            "derivative, which composes with jvp."
        )
    roots = []
    for i, (head, seed) in enumerate(zip(heads, seeds, strict=True)):
        if not head.requires_grad:
            raise GradientError(_no_graph_message(i, "outputs"))
        if head.level == number:
            roots.append((head.node, seed))
    wanted: list[Node] = []
    for i, x in enumerate(leaves):
        if x.node is not None and x.level == number:
            wanted.append(x.node)
        elif x.requires_grad:
            raise LevelError(_outside_message(i, "func.grad"))
        else:
            raise GradientError(
                f"One of the differentiated Tensors does not require grad: inputs[{i}]. Create it with "
                "requires_grad=True, or call requires_grad_() on it, before the outputs are computed."
            )
    open_level = level_of(number)
    raw = ((number == 0 and state.trace is None) or (open_level is not None and open_level.raw)) and not create_graph
    seeds_raw = raw and all(type(seed) is Tensor and seed.node is None and is_raw(seed.value) for _, seed in roots)
    if seeds_raw:
        roots = [(node, seed.value) for node, seed in roots]
    pulled = backward_pass(
        roots,
        number,
        wanted=wanted,
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        raw=seeds_raw,
    )
    return _finish(leaves, pulled, create_graph, bool(allow_unused), materialize_grads)


def _finish(
    leaves: list[Tensor], pulled: list[Any], create_graph: bool, allow_unused: bool, materialize_grads: bool
) -> list[Any]:
    result: list[Any] = []
    for i, (x, g) in enumerate(zip(leaves, pulled, strict=True)):
        if g is not None:
            result.append(wrap(g))
        elif materialize_grads:
            zeros = ops.zeros_like(x.detach())
            result.append(zeros.requires_grad_() if create_graph and type(zeros) is Tensor else zeros)
        elif allow_unused:
            result.append(None)
        else:
            raise UnusedInputError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph: inputs[{i}] has "
                f"shape {tuple(x.shape)}. Set allow_unused=True if this is the desired behavior (its gradient is then "
                "None), or materialize_grads=True to get zeros."
            )
    return result


def _grad_inside_vmap(number: int, heads: list[Tensor], leaves: list[Tensor], seeds: list[Any], *options: Any) -> list:
    """Inside vmap the tape lies below the batch axis; elements are independent, so one pass serves all."""
    for i, x in enumerate(leaves):
        if x.level != number:
            raise LevelError(_outside_message(i, "vmap"))
    level = level_of(number)
    size = level.size if level is not None else 0

    def strip(value: Any) -> Tensor:
        if type(value) is Batched and value.level == number:
            return wrap(value.value)
        return ops.broadcast_to(value, (size, *value.shape))

    inner = _grad([strip(h) for h in heads], [strip(x) for x in leaves], [strip(s) for s in seeds], *options)
    return [None if g is None else Batched(bare(g), number) for g in inner]


def _batched_grad(heads: list[Tensor], leaves: list[Tensor], grad_outputs: Any, *options: Any) -> list[Any]:
    from hograd.func import vmap

    weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    unused: list[int] = []

    def one(*seeds: Any) -> list[Any]:
        result = _grad(heads, leaves, list(seeds), *options)
        unused[:] = [i for i, g in enumerate(result) if g is None]
        return [g for g in result if g is not None]

    mapped = list(vmap(one)(*weights))
    for i in unused:
        mapped.insert(i, None)
    return mapped


def _tensors(value: Any, name: str) -> list[Tensor]:
    tensors = [value] if isinstance(value, Tensor) else tree.leaves(value)
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise DtypeError(f"{name}[{i}] is {type(tensor).__name__}, expected a tensor.")
    if not tensors:
        raise ArgumentError(f"{name} is empty, expected at least one tensor.")
    return tensors


def _in_order(outputs: Any, weights: Any, names: tuple[str, str]) -> Any:
    """Weights as a sequence, where they came as a tree like the outputs that is none, such as a dict."""
    if weights is None or isinstance(weights, (Tensor, list, tuple)) or tree.structure(weights).is_leaf():
        return weights
    return tree.match(outputs, weights, names, is_leaf=lambda g: g is None)


def _seeds(heads: list[Tensor], weights: Any) -> list[Any]:
    """The cotangents of the outputs: what the user gave, checked, or 1 for a single element."""
    if weights is None:
        given: list[Any] = [None] * len(heads)
    elif isinstance(weights, (list, tuple)) and (
        len(heads) > 1 or len(weights) == 1 or any(w is None or isinstance(w, Tensor) for w in weights)
    ):
        given = list(weights)
    else:
        given = [weights]
    if len(given) != len(heads):
        raise GradientError(f"got {len(heads)} tensors and {len(given)} gradients: expected one for each output.")
    seeds: list[Any] = []
    for i, (head, seed) in enumerate(zip(heads, given, strict=True)):
        if seed is None:
            if head.requires_grad and head.numel() != 1:
                raise GradientError(
                    f"grad can be implicitly created only for scalar outputs: outputs[{i}] has shape "
                    f"{tuple(head.shape)}. Reduce it to one element, or pass grad_outputs (`gradient` of backward)."
                )
            if head.requires_grad and head.dtype.kind == "c":
                raise GradientError(
                    f"grad can be implicitly created only for real scalar outputs but got {head.dtype}: take the real "
                    f"part or the absolute value of outputs[{i}], or pass grad_outputs."
                )
            one = type(head) is Tensor and isinstance(head.value, np.generic)
            seed = Tensor(head.value.dtype.type(1)) if one else ops.ones_like(head.detach())
        else:
            seed = seed if isinstance(seed, Tensor) else ops.tensor(seed)
            if seed.shape != head.shape:
                raise ShapeError(
                    f"Mismatch in shape: grad_outputs[{i}] has shape {tuple(seed.shape)}, but outputs[{i}] has shape "
                    f"{tuple(head.shape)}."
                )
            if seed.dtype != head.dtype:
                seed = ops.astype(seed, head.dtype)
        seeds.append(seed)
    return seeds


def _no_graph_message(i: int, name: str) -> str:
    return (
        f"element {i} of tensors does not require grad and does not have a grad_fn: {name}[{i}] does not depend on a "
        "tensor that requires grad, or was computed under no_grad, or was detached."
    )


def _outside_message(i: int, transform: str) -> str:
    return (
        f"inputs[{i}] came into the function under `{transform}` from outside of it (by a closure, or as an argument "
        "that is not mapped), so the derivative with respect to it cannot be taken inside. Pass it as an argument of "
        "the transformed function."
    )


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: Any = None,
) -> None:
    """Add the gradients of the sum of `tensors`, weighted by `grad_tensors`, to the `.grad` of the leaves.

    Args:
        tensors: a tensor, or a sequence of tensors.
        grad_tensors: the weights, one for each tensor, of its shape; None is 1 for a tensor of one element.
        retain_graph: keep what the graph saved; default `create_graph`.
        create_graph: record the derivative, so that it can be differentiated itself.
        inputs: only these tensors get a `.grad`, leaves or not; default all leaves. Tensors with `retain_grad` that
            are passed on the way get theirs in any case.

    >>> import hograd as ho
    >>> x = ho.tensor(3.0, requires_grad=True)
    >>> ho.autograd.backward(x**2)
    >>> x.grad
    tensor(6.)
    """
    heads, grad_tensors = _tensors(tensors, "tensors"), _in_order(tensors, grad_tensors, ("tensors", "grad_tensors"))
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is not None:
        if not tree.leaves(inputs):
            raise GradientError("`inputs` argument to `backward()` cannot be empty.")
        targets = _tensors(inputs, "inputs")
        for tensor in targets:
            if not tensor.is_leaf:
                tensor.retain_grad()
        gradients = _grad(heads, targets, grad_tensors, retain, create_graph, True, False)
        for tensor, g in zip(targets, gradients, strict=True):
            # The pass itself fills what is no leaf.
            if g is not None and tensor.is_leaf:
                accumulate(tensor, g, create_graph)
        return
    seeds = _seeds(heads, grad_tensors)
    roots: list[tuple[Node, Any]] = []
    for i, (head, seed) in enumerate(zip(heads, seeds, strict=True)):
        if type(head) is not Tensor:
            raise LevelError("backward() was called inside vmap or jvp: use grad, which returns the gradient instead.")
        if head.node is None:
            raise GradientError(_no_graph_message(i, "tensors"))
        roots.append((head.node, seed))
    number = max(head.level for head in heads)
    raw = (
        number == 0
        and state.trace is None
        and not create_graph
        and all(type(s) is Tensor and s.node is None for s in seeds)
    )
    if raw:
        roots = [(node, seed.value) for node, seed in roots]
    backward_pass(roots, number, wanted=None, create_graph=create_graph, retain_graph=retain, raw=raw)
