"""A tensor taken apart along its first axis, whose derivative puts the pieces together once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hograd.core.custom import Call, Residue, evaluate
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor


class Pieces(Call):
    """The rows of a tensor, or with `lengths` its parts of these lengths, as views.

    Indexing step by step would add a whole array of zeros to the cotangent for each piece.
    """

    __slots__ = ("lengths",)

    def __init__(self, lengths: Sequence[int] | None) -> None:
        super().__init__("unstack" if lengths is None else "split", [True])
        self.lengths = lengths

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        return self._taken(inputs[0]), Residue(None)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        filled = [
            ops.zeros(*shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(cotangents, residue.answers, strict=True)
        ]
        return [ops.stack(filled) if self.lengths is None else ops.concatenate(filled)]

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        return [None] * len(residue.answers) if tangents[0] is None else pieces(tangents[0], self.lengths)

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        taken = pieces(ops.swapaxes(inputs[0], 0, 1), self.lengths)
        return taken if self.lengths is None else [ops.swapaxes(part, 0, 1) for part in taken]

    def late(self, inputs: list[Tensor], outputs: list[Tensor]) -> Residue:
        return Residue(None).place(inputs, outputs)

    def _taken(self, x: Tensor) -> list[Tensor]:
        if self.lengths is None:
            return [x[i] for i in range(x.shape[0])]
        parts, start = [], 0
        for length in self.lengths:
            parts.append(x[start : start + length])
            start += length
        return parts


def pieces(x: Tensor, lengths: Sequence[int] | None = None) -> list[Tensor]:
    """The rows of a tensor along its first axis, or its parts of these lengths."""
    return [wrap(y) for y in evaluate(Pieces(lengths), [x])[0]]
