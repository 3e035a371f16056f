"""Tensors as the user sees them: operators and methods that call operations, and no mathematics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hograd.backend import RAW, as_array, default_dtype, to_numpy
from hograd.core.format import format_tensor
from hograd.core.hooks import Hooks
from hograd.core.inplace import InPlace
from hograd.core.interop import Interop
from hograd.core.levels import tape_for_leaf
from hograd.core.tape import Node, Owner, leaf
from hograd.errors import DtypeError, GradientError, LevelError, ShapeError


class Tensor(InPlace, Hooks, Interop):
    """An array that can be differentiated.

    Made by `tensor` and the other creation functions. A tensor's array is never written to: in-place syntax
    (`x += y`, `x[i] = v`, `x.zero_()`) makes a new array and binds this tensor to it, so views do not alias, and
    what an earlier operation saved is never stale.

    >>> import hograd as ho
    >>> x = ho.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # Internally: `value` is an array or a tensor of a lower level, `node` its record on the tape of level `level`.
    # Dual and Batched have the same slots, so that in-place syntax can turn one into the other.
    __slots__ = ("__weakref__", "data_of", "gradient_slot", "level", "node", "tangent", "value")

    interpret: Callable[..., Any]

    def __init__(self, value: Any, node: Node | None = None, level: int = 0) -> None:
        self.value = value
        self.node = node
        self.level = level

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.value.dtype

    @property
    def device(self) -> str:
        """Where the numbers lie: "cpu", or what the array module says."""
        return str(getattr(below(self), "device", "cpu"))

    def size(self, axis: int | None = None) -> Any:
        """Lengths of the axes, or of one."""
        return self.shape if axis is None else self.shape[axis]

    def dim(self) -> int:
        """Number of axes."""
        return self.ndim

    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype.kind == "f"

    def __len__(self) -> int:
        if not self.shape:
            raise DtypeError("len() of a tensor of shape (): it has no axes.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise DtypeError("iteration over a tensor of shape (): it has no axes.")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        if isinstance(self.value, Tensor):
            inside = repr(self.value)
            return f"{inside[:-1]}, level={self.level})"
        suffixes = []
        if self.node is not None:
            leafy = self.node.primitive is None
            suffixes.append("requires_grad=True" if leafy else f"grad_fn=<{self.node.name()}>")
        return format_tensor(self.value, default_dtype=default_dtype(), suffixes=tuple(suffixes))

    # Derivatives

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. Settable on leaves."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start, or stop, recording operations on this leaf; returns the tensor itself."""
        if not requires_grad:
            if not self.is_leaf:
                raise GradientError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                    "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            self.node = None
            self.level = 0
        elif self.node is None:
            check_floating(self.dtype)
            self.node = leaf(self.value)
            self.node.owner = Owner(self)
            self.level = tape_for_leaf(None)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self.node is None or self.node.primitive is None

    @property
    def grad_fn(self) -> Node | None:
        """The record of the operation that made this tensor, or None for a leaf."""
        return None if self.is_leaf else self.node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` added up here, or None."""
        if self.gradient is None and not self.is_leaf and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                "attribute won't be populated during backward(). If you indeed want the .grad field to be populated "
                "for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self.gradient

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise DtypeError(f"grad is {type(value).__name__}, expected a tensor or None.")
        if value is not None and value.shape != self.shape:
            raise ShapeError(f"grad has shape {tuple(value.shape)}, but the tensor has shape {tuple(self.shape)}.")
        self.gradient = value

    @property
    def gradient(self) -> Tensor | None:
        """`grad`, without the warning for tensors that are not leaves."""
        return getattr(self, "gradient_slot", None)

    @gradient.setter
    def gradient(self, value: Tensor | None) -> None:
        self.gradient_slot = value

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of the leaves; see `autograd.backward`."""
        from hograd.core.grad import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def retain_grad(self) -> None:
        """Have `backward` fill `.grad` of this tensor although it is not a leaf."""
        if self.node is None:
            raise GradientError("can't retain_grad on Tensor that has requires_grad=False.")
        self.request(fills=True)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this tensor, which is not a leaf."""
        return not self.is_leaf and self.node is not None and self.node.owner is not None and self.node.owner.fills

    def detach(self) -> Tensor:
        """The same values as a constant, at every level."""
        return detached(self)

    def detach_(self) -> Tensor:
        """Make this tensor a constant; returns the tensor itself."""
        self.rebind(self.detach())
        return self

    # As Python and NumPy values

    def numpy(self) -> np.ndarray:
        """The values as a read-only NumPy array; those of another array module are copied to the CPU."""
        if self.requires_grad:
            raise GradientError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        view = np.asarray(to_numpy(concrete(self, "numpy()"))).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> Any:
        """The only element as a Python number."""
        if self.numel() != 1:
            raise ShapeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar.")
        return concrete(self, "item()").item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return concrete(self, "tolist()").tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DtypeError(
                f"only integer tensors of a single element can be converted to an index, found {self.dtype}."
            )
        return self.item()

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ShapeError(
                f"Boolean value of Tensor with {'more than one value' if self.numel() else 'no values'} is "
                "ambiguous; use any() or all()."
            )
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        # As in PyTorch, a tensor without axes is formatted as the number that it holds.
        return format(str(self) if self.shape else self.item(), spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GradientError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol; use "
                "tensor.detach().clone(), or clone() to stay in the graph."
            )
        copy = Tensor(concrete(self, "deepcopy"))
        if self.requires_grad:
            copy.requires_grad_()
        if self.gradient is not None:
            copy.gradient = Tensor(concrete(self.gradient, "deepcopy"))
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GradientError("Only leaf tensors can be pickled; use tensor.detach().")
        return _restore, (concrete(self, "pickling"), self.requires_grad)


class Dual(Tensor):
    """A value of `jvp`: `value` is the primal, `tangent` its derivative along the direction."""

    __slots__ = ()

    def __init__(self, value: Any, tangent: Any, level: int) -> None:
        self.value = value
        self.node = None
        self.tangent = tangent
        self.level = level

    @property
    def requires_grad(self) -> bool:
        return getattr(self.value, "requires_grad", False)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        raise LevelError(
            "requires_grad_() was called on a value of `jvp`: use func.grad for the inner derivative, which composes "
            "with jvp."
        )

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, tangent={self.tangent!r}, level={self.level})"


class Batched(Tensor):
    """A value of `vmap`: `value` has the batch axis in front, `shape` does not show it."""

    __slots__ = ()

    def __init__(self, value: Any, level: int) -> None:
        self.value = value
        self.node = None
        self.level = level

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape[1:]

    @property
    def requires_grad(self) -> bool:
        return getattr(self.value, "requires_grad", False)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        inner = self.value if isinstance(self.value, Tensor) else Tensor(self.value)
        if requires_grad and type(inner) is Tensor and inner.node is None:
            check_floating(inner.dtype)
            inner.node, inner.level = leaf(inner.value), tape_for_leaf(self.level)
        elif inner.requires_grad != requires_grad:
            inner.requires_grad_(requires_grad)
        self.value = inner if requires_grad else getattr(inner, "value", inner)
        return self

    @property
    def is_leaf(self) -> bool:
        return getattr(self.value, "is_leaf", True)

    def __repr__(self) -> str:
        return f"Batched({self.value!r}, size={self.value.shape[0]}, level={self.level})"


def as_tensor(value: Any) -> Tensor:
    """`value` as a tensor; a tensor as it is."""
    return value if isinstance(value, Tensor) else Tensor(as_array(value))


def detached(value: Any) -> Any:
    """`value` without what tapes and `jvp` know of it, at every level; batch axes stay."""
    if type(value) is Batched:
        inner = detached(value.value)
        return Batched(inner.value if type(inner) is Tensor else inner, value.level)
    if not isinstance(value, Tensor):
        return value
    if value.level < 0:
        return type(value)(value.value)
    inner = detached(value.value)
    return inner if isinstance(inner, Tensor) else Tensor(inner)


def concrete(tensor: Tensor, use: str) -> Any:
    """The array below every level, for uses that need plain numbers."""
    value: Any = tensor
    while isinstance(value, Tensor):
        if type(value) is Batched:
            raise LevelError(
                f"{use} was called inside vmap, where a value stands for {value.value.shape[0]} values at once: use "
                "where() instead of a condition, and return values instead of reading them."
            )
        value = value.value
    if type(value) not in RAW and hasattr(value, "example"):
        raise value.unreadable(use)
    return value


def below(tensor: Any) -> Any:
    """The array below every level, whatever axes it has there: it tells where a tensor's numbers lie."""
    while isinstance(tensor, Tensor):
        tensor = tensor.value
    return getattr(tensor, "example", tensor)


def check_floating(dtype: np.dtype[Any]) -> None:
    """Refuse dtypes that have no derivative."""
    if dtype.kind not in "fc":
        raise DtypeError(
            f"Only Tensors of floating point and complex dtype can require gradients, found {dtype}: write the numbers "
            "with a decimal point, or convert with .double()."
        )


def _restore(value: Any, requires_grad: bool) -> Tensor:
    tensor = Tensor(value)
    return tensor.requires_grad_() if requires_grad else tensor
