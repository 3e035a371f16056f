"""What may be stepped: trees of floating tensors."""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hograd import Tensor, as_tensor, tree
from hograd.backend import FLOATING
from hograd.errors import DtypeError

Method = TypeVar("Method", bound=Callable[..., Any])


def floating(name: str, values: Any, kinds: str = FLOATING) -> Any:
    """A tree of floating tensors, arrays and numbers as one of tensors.

    Args:
        name: what the tree is called in an error message.
        values: the tree.
        kinds: the kinds of dtype that are let through: "f" for real, "c" for complex numbers.

    Raises:
        DtypeError: an element is something else, such as an integer or a bool; the message says which.

    >>> floating("outer", {"lr": 0.5})
    {'lr': tensor(0.5000)}
    """
    leaves, structure = tree.flatten(values)
    for i, leaf in enumerate(leaves):
        dtype = getattr(leaf, "dtype", None)
        number = isinstance(leaf, float) or (isinstance(leaf, complex) and "c" in kinds)
        if number or getattr(dtype, "kind", "") in (*kinds,):
            continue
        found = f"is {type(leaf).__name__} {reprlib.repr(leaf)}" if dtype is None else f"has dtype {dtype}"
        raise DtypeError(
            f"{name}{tree.paths(values)[i]} {found}, expected a floating tensor or number: {_way_out(leaf)}."
        )
    if all(isinstance(leaf, Tensor) for leaf in leaves):
        return values
    return tree.unflatten(structure, [as_tensor(leaf) for leaf in leaves])


def _way_out(leaf: Any) -> str:
    if hasattr(leaf, "dtype") or isinstance(leaf, int):
        return "write it with a decimal point, or convert it with .double(); what is not trained has its own tree"
    return "containers are dict, OrderedDict, defaultdict, list, tuple, and what hograd.tree.register is given"


def takes_floating(*names: str) -> Callable[[Method], Method]:
    """Decorator of a method whose first arguments, of these names, are trees that it gets as floating tensors.

    Raises:
        DtypeError: by the method: a leaf is no floating tensor or number; the message names the argument and the leaf.

    >>> class Doubling:
    ...     @takes_floating("params")
    ...     def step(self, params):
    ...         return tree.map(lambda p: 2 * p, params)
    >>> Doubling().step({"w": 1.5})
    {'w': tensor(3.)}
    """

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = [floating(name, values) for name, values in zip(names, args, strict=False)]
            named = {key: floating(key, value) if key in names else value for key, value in kwargs.items()}
            return method(self, *given, *args[len(given) :], **named)

        return cast("Method", checked)

    return decorate
