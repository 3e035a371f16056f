"""Trees: nested dicts, lists, tuples, dataclasses and optimizers with tensors as leaves; a thin layer over optree."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import optree

from hograd.errors import ShapeError, StructureError

__all__ = [
    "broadcast",
    "detach",
    "difference",
    "flatten",
    "leaves",
    "map",
    "paths",
    "ravel",
    "register",
    "stack",
    "structure",
    "unflatten",
    "unstack",
]

NAMESPACE = "hograd"

T = TypeVar("T", bound=type)


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], optree.PyTreeSpec]:
    """The leaves of a tree, in order (dicts by sorted key), and its structure. None is no leaf.

    >>> flatten({"b": 2, "a": 1})[0]
    [1, 2]
    """
    return optree.tree_flatten(tree, is_leaf=is_leaf, namespace=NAMESPACE)


def unflatten(structure: optree.PyTreeSpec, leaves: Any) -> Any:
    """The tree with this structure and these leaves."""
    return optree.tree_unflatten(structure, leaves)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in order.

    >>> leaves({"b": 2, "a": [1, None]})
    [1, 2]
    """
    return optree.tree_leaves(tree, namespace=NAMESPACE)


def structure(tree: Any) -> optree.PyTreeSpec:
    """The structure of a tree."""
    return optree.tree_structure(tree, namespace=NAMESPACE)


def paths(tree: Any) -> list[str]:
    """A readable name for every leaf, such as `layers[0]['weight']`, in the order of `leaves`.

    >>> paths({"a": [1, 2]})
    ["['a'][0]", "['a'][1]"]
    """
    accessors, _, _ = optree.tree_flatten_with_accessor(tree, namespace=NAMESPACE)
    return [accessor.codify("") for accessor in accessors]


def map(function: Callable[..., Any], tree: Any, *rest: Any, names: tuple[str, ...] = ()) -> Any:
    """Apply `function` to corresponding leaves of trees with one structure.

    Args:
        function: called with one leaf of each tree.
        tree, *rest: trees of one structure.
        names: what the trees are called in an error message.

    Raises:
        StructureError: a tree differs from the first.

    >>> map(lambda x, y: x + y, {"a": 1}, {"a": 2})
    {'a': 3}
    """
    first, spec = flatten(tree)
    columns = [first]
    for i, other in enumerate(rest):
        found, other_spec = flatten(other)
        if other_spec != spec:
            called = names or tuple(f"tree {k}" for k in range(len(rest) + 1))
            raise StructureError(difference(tree, other, called[0], called[i + 1]))
        columns.append(found)
    return optree.tree_unflatten(spec, [function(*row) for row in zip(*columns, strict=True)])


def detach(tree: Any) -> Any:
    """The tree with every tensor as a constant; other leaves stay.

    >>> import hograd as ho
    >>> detach({"w": ho.tensor(1.0, requires_grad=True), "step": 3})
    {'w': tensor(1.), 'step': 3}
    """
    return map(lambda leaf: leaf.detach() if hasattr(leaf, "detach") else leaf, tree)


def difference(expected: Any, found: Any, expected_name: str, found_name: str) -> str:
    """A sentence on the first place where two trees that must be alike differ."""
    start = f"{found_name} differs in structure from {expected_name}"
    for ours, theirs in itertools.zip_longest(paths(expected), paths(found)):
        if ours != theirs:
            here = "nothing" if theirs is None else f"{found_name}{theirs}"
            there = "nothing" if ours is None else f"{expected_name}{ours}"
            return f"{start}: {here} stands where {there} does."
    return f"{start}: found {structure(found)}, expected {structure(expected)}."


def broadcast(prefix: Any, tree: Any, *, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of `prefix`, each repeated for every leaf of `tree` that lies under it.

    >>> broadcast((0, 1), ({"a": 5, "b": 6}, 7))
    [0, 0, 1]
    """
    return optree.broadcast_prefix(prefix, tree, is_leaf=is_leaf, namespace=NAMESPACE)


def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All leaves as one flat tensor, and the function that makes the tree of such a tensor again.

    Leaves of several dtypes are converted to the one that holds them all, and back.

    >>> import hograd as ho
    >>> flat, unravel = ho.tree.ravel({"a": ho.tensor([1.0, 2.0]), "b": ho.tensor(3.0)})
    >>> flat
    tensor([1., 2., 3.])
    >>> unravel(flat * 2)["b"]
    tensor(6.)
    """
    from hograd.core.primitive import ops

    items, spec = flatten(tree)
    items = [ops.tensor(x) if not hasattr(x, "shape") else x for x in items]
    shapes = [tuple(x.shape) for x in items]
    sizes = [int(np.prod(shape)) for shape in shapes]
    dtypes = [x.dtype for x in items]
    mixed = len(set(dtypes)) > 1
    flat = ops.concatenate([ops.reshape(x, (-1,)) for x in items]) if items else ops.zeros(0)

    def unravel(vector: Any) -> Any:
        parts, start = [], 0
        for shape, size, dtype in zip(shapes, sizes, dtypes, strict=True):
            part = ops.reshape(vector[start : start + size], shape)
            parts.append(ops.astype(part, dtype) if mixed else part)
            start += size
        return unflatten(spec, parts)

    return flat, unravel


def stack(trees: Any, axis: int = 0) -> Any:
    """One tree of several alike, each leaf stacked along a new axis: an ensemble that `vmap` runs in one pass.

    Args:
        trees: sequence of at least one tree; leaves are tensors, arrays or numbers of one shape for each place.
        axis: where the new axis goes.

    Raises:
        StructureError: a tree differs from the first, or there is none.

    >>> import hograd as ho
    >>> ho.tree.stack([{"w": ho.tensor([1.0, 2.0])}, {"w": ho.tensor([3.0, 4.0])}])
    {'w': tensor([[1., 2.],
            [3., 4.]])}
    """
    from hograd.core.primitive import ops

    trees = list(trees)
    if not trees:
        raise StructureError("stack got no trees, expected at least one.")
    return map(lambda *leaves: ops.stack([x if hasattr(x, "shape") else ops.tensor(x) for x in leaves], axis), *trees)


def unstack(tree: Any, axis: int = 0) -> list[Any]:
    """The trees that `stack` made one of.

    Raises:
        ShapeError: leaves differ in length along `axis`, or lack it.

    >>> import hograd as ho
    >>> ho.tree.unstack({"w": ho.tensor([[1.0, 2.0], [3.0, 4.0]])})
    [{'w': tensor([1., 2.])}, {'w': tensor([3., 4.])}]
    """
    items, spec = flatten(tree)
    lengths = {int(x.shape[axis]) if -x.ndim <= axis < x.ndim else -1 for x in items}
    if len(lengths) != 1 or -1 in lengths:
        shapes = ", ".join(f"{p or 'the leaf'}: {tuple(x.shape)}" for p, x in zip(paths(tree), items, strict=True))
        raise ShapeError(f"unstack needs leaves of one length along axis {axis}, found {shapes or 'no leaves'}.")
    before = [(slice(None),) * (axis % x.ndim) for x in items]
    return [unflatten(spec, [x[(*b, i)] for x, b in zip(items, before, strict=True)]) for i in range(lengths.pop())]


def register(cls: T, flatten_function: Callable[[Any], Any], unflatten_function: Callable[[Any, Any], Any]) -> T:
    """Make instances of a class trees: `flatten_function` gives (children, metadata, names of the children)."""
    optree.register_pytree_node(cls, flatten_function, unflatten_function, namespace=NAMESPACE)
    return cls
