"""What a solver tells beside its solution, carried behind it in the one flat vector that the primitive gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd import tree
from hograd.backend import as_array, is_array, is_number
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, StructureError
from hograd.func.arguments import name_of


class Auxiliary:
    """How a tree of numbers and tensors is written behind a flat solution, and read again.

    Every evaluation of one call has to tell alike, since `vmap` makes one answer of them.

    >>> import hograd as ho
    >>> aux = Auxiliary("newton")
    >>> flat = aux.pack(ho.tensor([1.5], dtype=ho.float32), {"steps": 3, "done": True})
    >>> flat
    tensor([1.5000, 1.0000, 3.0000])
    >>> aux.solution(flat), aux.unpack(flat)
    (tensor([1.5000], dtype=float32), {'steps': tensor(3), 'done': tensor(True)})
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.form: Any = None

    def pack(self, solution: Any, told: Any) -> Tensor:
        """One flat vector of both, in a dtype that holds all of it."""
        leaves, structure = tree.flatten(told)
        arrays = []
        for path, leaf in zip(tree.paths(told), leaves, strict=True):
            if not (isinstance(leaf, (Tensor, np.generic)) or is_number(leaf) or is_array(leaf)):
                found = type(leaf).__name__
                raise DtypeError(
                    f"custom_root: {self.name} told aux{path} of type {found}, expected a number or tensor."
                )
            arrays.append(np.asarray(leaf.detach().numpy() if isinstance(leaf, Tensor) else as_array(leaf)))
        form = solution.shape, solution.dtype, structure, [(x.shape, x.dtype) for x in arrays]
        if self.form is not None and self.form != form:
            raise StructureError(
                f"custom_root: {self.name} told {_told(form)}, but {_told(self.form)} before: what it tells has to be "
                "alike in structure, shapes and dtypes, for every element under vmap and every call when compiled."
            )
        self.form = form
        parts = [np.ravel(x).view(x.real.dtype) if x.dtype.kind == "c" else np.ravel(x) for x in arrays]
        dtype = np.result_type(solution.dtype, *(np.float64 if x.dtype.kind in "iu" else x.dtype for x in parts))
        for path, part in zip(tree.paths(told), parts, strict=True):
            if part.dtype.kind in "iu" and (abs(part.astype(object)) > 2**53).any():
                raise DtypeError(
                    f"custom_root: {self.name} told aux{path} beyond 2**53, which a float64 does not hold."
                )
        values = [solution.detach().numpy(), *parts]
        return Tensor(np.concatenate([x.astype(dtype) for x in values]))

    def solution(self, flat: Any) -> Any:
        """The flat solution of such a vector, or of its cotangent."""
        shape, dtype, *_ = self.form
        return ops.astype(flat[: shape[0]], dtype)

    def tangent(self, t: Any, flat: Any) -> Any:
        """The tangent of such a vector from that of its solution: what is told is constant."""
        return ops.concatenate([ops.astype(t, flat.dtype), ops.zeros_like(flat[t.shape[0] :])])

    def unpack(self, flat: Any) -> Any:
        """What was told, as constants."""
        (start,), _, structure, kinds = self.form
        leaves = []
        for shape, dtype in kinds:
            shape = (*shape, 2) if dtype.kind == "c" else shape
            end = start + math.prod(shape)
            part = ops.reshape(ops.stop_gradient(flat[start:end]), shape)
            leaves.append(ops.astype(ops.view_as_complex(part) if dtype.kind == "c" else part, dtype))
            start = end
        return tree.unflatten(structure, leaves)


def pair_of(result: Any, solve: Any) -> tuple[Any, Any]:
    """The solution and what is told beside it, of a solver that returns both."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise StructureError(
            f"custom_root: with has_aux {name_of(solve)} must return (solution, aux), found {type(result).__name__}."
        )
    return result


def _told(form: Any) -> str:
    _, _, structure, kinds = form
    leaves = [f"{dtype}{list(shape)}" for shape, dtype in kinds]
    return str(tree.unflatten(structure, leaves)).replace("'", "")
