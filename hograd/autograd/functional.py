"""PyTorch's `torch.autograd.functional`: derivatives of a function at a point, in one call.

All take a function of one tensor, or of several that are given as a tuple, and answer in the same form. New code does
better with `hograd.func`, which takes trees and returns functions that can be composed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from hograd import func as transforms
from hograd import tree
from hograd.core.grad import grad
from hograd.core.levels import enable_grad, no_grad
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, GradientError, ShapeError

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and the product of a vector with its Jacobian:  v -> v J.

    Args:
        func: function of tensors that returns a tensor or a tuple of tensors.
        inputs: its arguments, a floating tensor or a tuple of them.
        v: the vector, like the output of `func`; may be left out where that is one tensor with one element.
        create_graph: keep the answers differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where an output does not depend on an input, instead of giving zeros.

    Returns:
        (output of `func`, product), the second like `inputs`.

    Raises:
        ShapeError: `v` does not have the shapes of the output.
        GradientError: `v` is missing, or `strict` found an output that does not depend on an input.

    >>> import hograd as ho
    >>> vjp(lambda x: x**2, ho.tensor([1.0, 2.0]), ho.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    arguments, alike = _arguments(inputs, "vjp")
    _check_dependence(func, arguments, strict)
    with _mode(create_graph):
        output, pull = transforms.vjp(_checked(func, "vjp"), *arguments)
        product = pull(_vector(v, output, "output"))
        return _finish((output, alike(product)), create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and the product of its Jacobian with a vector:  J v , by forward mode.

    Args:
        func: function of tensors that returns a tensor or a tuple of tensors.
        inputs: its arguments, a floating tensor or a tuple of them.
        v: the vector, like `inputs`; may be left out where that is one tensor with one element.
        create_graph: keep the answers differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where an output does not depend on an input, instead of giving zeros.

    Returns:
        (output of `func`, product), both like the output.

    Raises:
        ShapeError: `v` does not have the shapes of `inputs`.
        GradientError: `v` is missing, or `strict` found an output that does not depend on an input.

    >>> import hograd as ho
    >>> jvp(lambda x: x**2, ho.tensor([1.0, 2.0]), ho.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    arguments, alike = _arguments(inputs, "jvp")
    _check_dependence(func, arguments, strict)
    with _mode(create_graph):
        direction = _tuple(_vector(v, alike(arguments), "input"))
        return _finish(transforms.jvp(_checked(func, "jvp"), arguments, direction), create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func`.

    Args:
        func: function of tensors that returns a tensor or a tuple of tensors.
        inputs: its arguments, a floating tensor or a tuple of them.
        create_graph: keep the answer differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where an output does not depend on an input, instead of giving zeros.
        vectorize: taken for PyTorch's sake; rows (or columns) are always computed together.
        strategy: "reverse-mode", cheaper for few outputs, or "forward-mode", cheaper for few inputs.

    Returns:
        A tensor of shape (*output.shape, *input.shape); for a tuple of outputs a tuple, for a tuple of inputs
        (innermost) a tuple as well.

    Raises:
        GradientError: `strict` found an output that does not depend on an input.

    >>> import hograd as ho
    >>> jacobian(lambda x, y: x * y, (ho.tensor([1.0, 2.0]), ho.tensor(3.0)))
    (tensor([[3., 0.],
            [0., 3.]]), tensor([1., 2.]))
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(f"strategy is {strategy!r}, expected 'reverse-mode' or 'forward-mode'.")
    transform = transforms.jacrev
    if strategy == "forward-mode":
        transform = functools.partial(transforms.jacfwd, randomness="same")
    arguments, alike = _arguments(inputs, "jacobian")
    _check_dependence(func, arguments, strict)
    with _mode(create_graph):
        blocks = transform(_checked(func, "jacobian"), tuple(range(len(arguments))))(*arguments)
        several_outputs = isinstance(blocks[0], tuple)
        return _finish(tuple(map(alike, blocks)) if several_outputs else alike(blocks), create_graph)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function with one element as output.

    Args:
        func: function of tensors that returns a tensor with one element.
        inputs: its arguments, a floating tensor or a tuple of them.
        create_graph: keep the answer differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where the output, or a first derivative, does not depend on an input.
        vectorize: taken for PyTorch's sake; rows (or columns) are always computed together.
        outer_jacobian_strategy: "reverse-mode" or "forward-mode", how the gradient is differentiated.

    Returns:
        A tensor of shape (*input.shape, *input.shape), or for a tuple of inputs a tuple of tuples of such blocks.

    Raises:
        GradientError: the output has more than one element, or `strict` found an independence.

    >>> import hograd as ho
    >>> hessian(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    arguments, alike = _arguments(inputs, "hessian")
    _check_dependence(func, arguments, strict, order=2)
    gradient = transforms.grad(_scalar(func, "hessian"), tuple(range(len(arguments))))
    blocks = jacobian(gradient, arguments, create_graph, strategy=outer_jacobian_strategy)
    return alike(tuple(map(alike, blocks)))


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and the product of its Hessian with a vector, forward over reverse:  H v.

    Args:
        func: function of tensors that returns a tensor with one element.
        inputs: its arguments, a floating tensor or a tuple of them.
        v: the vector, like `inputs`; may be left out where that is one tensor with one element.
        create_graph: keep the answers differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where the output, or a first derivative, does not depend on an input.

    Returns:
        (output of `func`, product), the second like `inputs`.

    Raises:
        ShapeError: `v` does not have the shapes of `inputs`.
        GradientError: the output has more than one element, `v` is missing, or `strict` found an independence.

    >>> import hograd as ho
    >>> hvp(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]), ho.tensor([1.0, 10.0]))
    (tensor(9.), tensor([  6., 120.]))
    """
    arguments, alike = _arguments(inputs, "hvp")
    _check_dependence(func, arguments, strict, order=2)
    with _mode(create_graph):
        direction = _tuple(_vector(v, alike(arguments), "input"))
        gradient = transforms.grad(_scalar(func, "hvp"), tuple(range(len(arguments))), has_aux=True)
        _, product, output = transforms.jvp(gradient, arguments, direction, has_aux=True)
        return _finish((output, alike(product)), create_graph)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and the product of a vector with its Hessian, reverse over reverse:  v H.

    Args:
        func: function of tensors that returns a tensor with one element.
        inputs: its arguments, a floating tensor or a tuple of them.
        v: the vector, like `inputs`; may be left out where that is one tensor with one element.
        create_graph: keep the answers differentiable in `inputs` and in what `func` closes over.
        strict: raise an error where the output, or a first derivative, does not depend on an input.

    Returns:
        (output of `func`, product), the second like `inputs`.

    Raises:
        ShapeError: `v` does not have the shapes of `inputs`.
        GradientError: the output has more than one element, `v` is missing, or `strict` found an independence.

    >>> import hograd as ho
    >>> vhp(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]), ho.tensor([1.0, 10.0]))
    (tensor(9.), tensor([  6., 120.]))
    """
    arguments, alike = _arguments(inputs, "vhp")
    _check_dependence(func, arguments, strict, order=2)
    with _mode(create_graph):
        weights = _tuple(_vector(v, alike(arguments), "input"))
        gradient = transforms.grad(_scalar(func, "vhp"), tuple(range(len(arguments))), has_aux=True)
        _, pull, output = transforms.vjp(gradient, *arguments, has_aux=True)
        return _finish((output, alike(pull(weights))), create_graph)


def _arguments(inputs: Any, name: str) -> tuple[tuple[Tensor, ...], Callable[[Any], Any]]:
    """The inputs as a tuple, and the function that gives a tuple the form of `inputs`."""
    arguments = _tuple(inputs)
    if not arguments or not all(isinstance(x, Tensor) for x in arguments):
        raise DtypeError(
            f"The inputs given to {name} must be either a Tensor or a tuple of Tensors, found {type(inputs).__name__}."
        )
    single = isinstance(inputs, Tensor)
    return arguments, lambda values: values[0] if single else values


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _checked(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`func`, with its output checked to be a tensor or a tuple of tensors."""

    def checked(*arguments: Tensor) -> Any:
        output = func(*arguments)
        if not all(isinstance(y, Tensor) for y in _tuple(output)):
            raise DtypeError(
                f"The outputs of the user-provided function given to {name} must be either a Tensor or a tuple of "
                f"Tensors, found {type(output).__name__}."
            )
        return output

    return checked


def _scalar(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`func` with an output of shape () to differentiate, and the output itself beside it if `name` returns it."""
    checked = _checked(func, name)

    def scalar(*arguments: Tensor) -> Any:
        output = checked(*arguments)
        if isinstance(output, tuple) or output.numel() != 1:
            found = f"a tuple of {len(output)}" if isinstance(output, tuple) else f"shape {tuple(output.shape)}"
            raise GradientError(
                f"The Tensor returned by the function given to {name} should contain a single element, found {found}. "
                "Reduce it with sum() or mean()."
            )
        flat = ops.reshape(output, ())
        return flat if name == "hessian" else (flat, output)

    return scalar


_ALONE = {"output": "user-provided function returns", "input": "input to the user-provided function is"}


def _vector(v: Any, like: Any, kind: str) -> Any:
    """The vector of a product, checked against the outputs or inputs that it belongs to; ones if it is left out."""
    expected = _tuple(like)
    if v is None:
        if len(expected) != 1 or expected[0].numel() != 1:
            raise GradientError(
                f"The vector v can only be None if the {_ALONE[kind]} a single Tensor with a single element."
            )
        return tree.map(ops.ones_like, like)
    given = _tuple(v)
    if len(given) != len(expected):
        raise ShapeError(f"v has {len(given)} tensors, expected {len(expected)}, one for each {kind}.")
    for i, (t, x) in enumerate(zip(given, expected, strict=True)):
        if t.shape != x.shape:
            raise ShapeError(f"v[{i}] has invalid size: should be {tuple(x.shape)} but got {tuple(t.shape)}.")
    return given if isinstance(like, tuple) else given[0]


def _mode(create_graph: bool) -> AbstractContextManager[None]:
    """Whether the tapes outside of the call record it: neither does more than `create_graph` asks for."""
    return enable_grad() if create_graph else no_grad()


def _finish(answer: Any, create_graph: bool) -> Any:
    return answer if create_graph else tree.map(Tensor.detach, answer)


def _check_dependence(func: Callable[..., Any], arguments: tuple[Tensor, ...], strict: bool, order: int = 1) -> None:
    """What `strict` promises: outputs, and for order 2 first derivatives, depend on every input."""
    if not strict:
        return
    leaves = [x.detach().requires_grad_() for x in arguments]
    with enable_grad():
        outputs = _tuple(func(*leaves))
        for what in ("Output {} of the user-provided function", "The first derivative by input {}")[:order]:
            gradients: tuple[Any, ...] = ()
            for i, y in enumerate(outputs):
                gradients = (None,) * len(leaves)
                if y.requires_grad:
                    gradients = grad(y.sum(), leaves, create_graph=True, allow_unused=True)
                for j, g in enumerate(gradients):
                    if g is None:
                        raise GradientError(
                            f"{what.format(i)} is independent of input {j}. This is not allowed in strict mode; with "
                            "strict=False it counts as zero."
                        )
            outputs = gradients
