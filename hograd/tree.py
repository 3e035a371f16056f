"""Trees: nested dicts, lists, tuples, dataclasses and optimizers with tensors as leaves; a thin layer over optree.

Where two trees meet, as parameters and gradients do, or a tree and its prefix, their leaves belong together by where
they stand: in mappings (dict, OrderedDict, defaultdict) by key, whatever the kind and the order of either; in lists,
tuples and the like by number, in containers of one type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import optree

from hograd.errors import ShapeError, StructureError

__all__ = [
    "broadcast",
    "detach",
    "flatten",
    "leaves",
    "map",
    "match",
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
    """The leaves of a tree, in order (dicts by sorted key, but OrderedDicts in their own), and its structure.

    None is no leaf.

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


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[str]:
    """A readable name for every leaf, such as `layers[0]['weight']`, in the order of `leaves`.

    >>> paths({"a": [1, 2]})
    ["['a'][0]", "['a'][1]"]
    """
    accessors, _, _ = optree.tree_flatten_with_accessor(tree, is_leaf=is_leaf, namespace=NAMESPACE)
    return [accessor.codify("") for accessor in accessors]


def map(function: Callable[..., Any], tree: Any, *rest: Any, names: tuple[str, ...] = ()) -> Any:
    """Apply `function` to corresponding leaves of trees with one structure.

    Args:
        function: called with one leaf of each tree.
        tree, *rest: trees of one structure.
        names: what the trees are called in an error message.

    Returns:
        A tree like the first.

    Raises:
        StructureError: a tree differs from the first.

    >>> map(lambda x, y: x + y, {"a": 1}, {"a": 2})
    {'a': 3}
    """
    first, spec = flatten(tree)
    called = names or tuple(f"tree {i}" for i in range(len(rest) + 1))
    columns = [first, *(match(tree, other, (called[0], called[i])) for i, other in enumerate(rest, 1))]
    return optree.tree_unflatten(spec, [function(*row) for row in zip(*columns, strict=True)])


def match(
    expected: Any,
    found: Any,
    names: tuple[str, str] = ("expected", "found"),
    *,
    caller: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """The leaves of a tree, in the order of the leaves of another one that it has to be like.

    Args:
        expected: the tree that says how.
        found: the tree whose leaves are returned.
        names: what the two are called in an error message.
        caller: what the message begins with: the function that needs them to be alike.
        is_leaf: what else counts as a leaf of `found`, such as None.

    Raises:
        StructureError: the trees differ; the message says where.

    >>> from collections import OrderedDict
    >>> match({"a": 1, "b": 2}, OrderedDict(b=20, a=10))
    [10, 20]
    """
    leaves, found_spec = flatten(found, is_leaf)
    spec = structure(expected)
    if found_spec == spec:
        return leaves
    try:
        leaves: list[Any] = spec.flatten_up_to(found)
        alike = all(optree.tree_is_leaf(leaf, is_leaf=is_leaf, namespace=NAMESPACE) for leaf in leaves)
    except ValueError:
        alike = False
    if not alike:
        start = f"{caller}: " if caller else ""
        raise StructureError(start + _difference(expected, found, *names, is_leaf))
    return leaves


def detach(tree: Any) -> Any:
    """The tree with every tensor as a constant; other leaves stay.

    >>> import hograd as ho
    >>> detach({"w": ho.tensor(1.0, requires_grad=True), "step": 3})
    {'w': tensor(1.), 'step': 3}
    """
    return map(lambda leaf: leaf.detach() if hasattr(leaf, "detach") else leaf, tree)


def _difference(expected: Any, found: Any, expected_name: str, found_name: str, is_leaf: Any) -> str:
    """A sentence on the first place where two trees that must be alike differ."""
    start = f"{found_name} differs in structure from {expected_name}"
    ours, theirs = paths(expected), paths(found, is_leaf)
    missing = [path for path in ours if path not in set(theirs)]
    extra = [path for path in theirs if path not in set(ours)]
    if not missing and not extra:
        return f"{start}: found {structure(found)}, expected {structure(expected)}."
    here = f"{found_name}{extra[0]}" if extra else "nothing"
    there = f"{expected_name}{missing[0]}" if missing else "nothing"
    return f"{start}: {here} stands where {there} does."


def broadcast(
    prefix: Any,
    tree: Any,
    names: tuple[str, str] = ("prefix", "tree"),
    *,
    is_leaf: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """The leaves of `prefix`, each repeated for every leaf of `tree` that lies under it, in the order of these.

    Args:
        prefix: a tree like the upper part of `tree`, with leaves where subtrees of it begin.
        tree: the whole tree.
        names: what the two are called in an error message.
        is_leaf: what else counts as a leaf of `prefix`.

    Raises:
        StructureError: it is no prefix of the tree; the message says where.

    >>> broadcast((0, 1), ({"a": 5, "b": 6}, 7))
    [0, 0, 1]
    """
    given, upper = flatten(prefix, is_leaf)
    leaves, spec = flatten(tree)
    try:
        parts = upper.flatten_up_to(unflatten(spec, range(len(leaves))))
    except ValueError:
        ours, theirs = paths(tree), paths(prefix, is_leaf)
        missing = [path for path in ours if not any(path.startswith(other) for other in theirs)]
        extra = [other for other in theirs if not any(path.startswith(other) for path in ours)]
        said = [f"nothing in it stands for {names[1]}{missing[0]}"] if missing else []
        said += [f"{names[0]}{extra[0]} stands for nothing"] if extra else []
        said = said or [f"found {upper}, expected a prefix of {spec}"]
        raise StructureError(f"{names[0]} is no prefix of {names[1]}: {', and '.join(said)}.") from None
    answer = list(leaves)
    for value, part in zip(given, parts, strict=True):
        for number in optree.tree_leaves(part, namespace=NAMESPACE):
            answer[number] = value
    return answer


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
