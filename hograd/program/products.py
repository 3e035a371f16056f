"""The pass `products`: matrix products in the form that is computed fastest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Kind, Program


def products(program: Program) -> Program:
    """With transposes inside of products, outer products elementwise, and factors that are not spread over batches.

    (A B)^T = B^T A^T  for a product that nothing else reads;  A B = A * B  where A has one column;  and a matrix that
    is spread over a batch axis is multiplied as it is, since then all examples are rows of one product.
    """
    return _Products(program).rewritten()


class _Products:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.kinds = dict(program.kinds)
        self.next = max(self.kinds, default=0) + 1
        self.made: dict[int, Instruction] = {}
        self.kept: list[Instruction] = []
        self.reads = Counter(x for at in program.instructions for x in at.reads())
        self.reads.update(program.outputs)

    def rewritten(self) -> Program:
        for at in self.program.instructions:
            name = at.primitive.name
            if name == "permute":
                at = self._permute(at)
            elif name in ("matmul", "mm_nn"):
                at = self._product(at)
            self._keep(at)
        return self.program.with_(instructions=tuple(self.kept), kinds=self.kinds)

    def _keep(self, at: Instruction) -> None:
        self.made[at.output] = at
        self.kept.append(at)

    def _new(self, primitive: str, operands: tuple[Any, ...], params: dict[str, Any], shape: Any, like: Any) -> int:
        """The slot of a further instruction."""
        number, self.next = self.next, self.next + 1
        self.kinds[number] = Kind(tuple(shape), self.kinds[like.output].dtype)
        self._keep(Instruction(primitives[primitive], operands, params, number, like.line))
        return number

    def _transposed(self, slot: int, like: Instruction) -> int:
        """The slot of matrices with rows and columns exchanged."""
        source = self.made.get(slot)
        if source is not None and source.primitive.name == "permute" and _exchanges(source.params["axes"]):
            return source.operands[0]
        shape = self.kinds[slot].shape
        axes = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
        return self._new("permute", (slot,), {"axes": axes}, [shape[a] for a in axes], like)

    def _permute(self, at: Instruction) -> Instruction:
        source = self.made.get(at.operands[0]) if type(at.operands[0]) is int else None
        if source is None or len(at.params["axes"]) < 3 or not _exchanges(at.params["axes"]):
            return at
        if source.primitive.name == "matmul" and self.reads[source.output] == 1:
            a, b = source.operands
            if type(a) is type(b) is int and len(self.kinds[a].shape) >= 2 and len(self.kinds[b].shape) >= 2:
                factors = self._transposed(b, at), self._transposed(a, at)
                return self._product(at._replace(primitive=source.primitive, operands=factors, params=source.params))
        if source.primitive.name == "mul" and self.reads[source.output] == 1 and self._is_outer(source):
            factors = tuple(self._transposed(x, at) for x in source.operands)
            return at._replace(primitive=source.primitive, operands=factors, params={})
        if source.primitive.name == "broadcast_to" and len(self.kinds[source.operands[0]].shape) == 2:
            inner = self._transposed(source.operands[0], at)
            return at._replace(
                primitive=source.primitive, operands=(inner,), params={"shape": self.kinds[at.output].shape}
            )
        return at

    def _product(self, at: Instruction) -> Instruction:
        a, b = at.operands
        if not type(a) is type(b) is int or self.kinds[a].dtype != self.kinds[b].dtype:
            return at
        if min(len(self.kinds[a].shape), len(self.kinds[b].shape)) < 2:
            return at
        shape = self.kinds[at.output].shape
        trial = self._unspread(a), self._unspread(b)
        for pair in (trial, (a, trial[1]), (trial[0], b)):
            left, right = (self.kinds[x].shape for x in pair)
            if (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1]) == shape:
                a, b = pair
                break
        if self.kinds[a].shape[-1] == 1 and self.kinds[at.output].dtype.kind == "f":
            return at._replace(primitive=primitives["mul"], operands=(a, b), params={})
        return at._replace(operands=(a, b))

    def _is_outer(self, at: Instruction) -> bool:
        """Whether a product is one of columns with rows."""
        left, right = [self.kinds[x].shape if type(x) is int else () for x in at.operands]
        return len(left) >= 2 and len(right) >= 2 and left[-1] == right[-2] == 1

    def _unspread(self, slot: int) -> int:
        """What is spread over batch axes, as it was before."""
        source = self.made.get(slot)
        if source is not None and source.primitive.name == "broadcast_to" and type(source.operands[0]) is int:
            before, after = self.kinds[source.operands[0]].shape, self.kinds[slot].shape
            if len(before) >= 2 and before[-2:] == after[-2:]:
                return source.operands[0]
        return slot


def _exchanges(axes: tuple[int, ...]) -> bool:
    """Whether a permutation exchanges the last two axes, and does nothing else."""
    count = len(axes)
    return count >= 2 and tuple(axes) == (*range(count - 2), count - 1, count - 2)
