"""The pass `packing`: a weight and its bias as one matrix, so that what is done to both is done once."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code

#: Elementwise operations of which a pair can be one.
_MOST_LOOKED_AT = 1000
PAIRED = frozenset(
    {"add", "sub", "mul", "div", "neg", "sqrt", "safe_sqrt", "square", "power", "maximum", "abs", "where"}
    | {"eq", "ne", "gt", "ge", "lt", "le"}
)


def packing(program: Program) -> Program:
    """With the gradients of a weight (n, m) and of its bias (m) as one array (n + 1, m), and what follows from them.

    What is computed from both in the same way, such as the step of an optimizer, is computed once. Where a layer's
    inputs are constant they get a column of ones:
    x W + b = (x 1) (W; b),  and  (x 1)^T d  gives both gradients.
    """
    return Packing(program).packed()


@dataclass(eq=False)
class Pair:
    """Two slots, of shapes (n, m) and (m), and the slot of the matrix (n + 1, m) that has both as its rows."""

    weight: int
    bias: int
    slot: int = -1
    used: bool = False
    needs: list[Pair] = field(default_factory=list)


class Packing:
    """Finds pairs of slots of which the same is computed, and writes the program with one array for each pair."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kinds = dict(program.kinds)
        self.next = max(self.kinds, default=0) + 1
        self.constants = dict(program.constants)
        self.made = {at.output: i for i, at in enumerate(program.instructions)}
        self.readers: dict[int, list[int]] = {}
        for i, at in enumerate(program.instructions):
            for x in dict.fromkeys(at.reads()):
                self.readers.setdefault(x, []).append(i)
        self.reads = Counter(x for at in program.instructions for x in at.reads())
        self.reads.update(program.outputs)
        self.pairs: list[Pair] = []
        self.of: dict[int, Pair] = {}
        #: New instructions, with the place in the old order that each belongs to.
        self.added: list[tuple[int, Instruction]] = []
        self.gone: set[int] = set()
        self.widened: dict[int, int] = {}

    def at(self, slot: Any) -> Instruction | None:
        number = self.made.get(slot) if type(slot) is int else None
        return None if number is None else self.program.instructions[number]

    def packed(self) -> Program:
        self.find()
        if not any(pair.used for pair in self.pairs):
            return self.program
        changed = dead_code(self.rewritten())
        # To put arrays together may be more than is saved.
        return changed if _cost(changed) < _cost(self.program) else self.program

    # Which slots belong together.

    def find(self) -> None:
        sums: dict[int, int] = {}
        for at in self.program.instructions:
            if at.primitive.name == "sum" and at.params["axis"] == (0,) and not at.params["keepdims"]:
                sums[at.operands[0]] = at.output
        # In order, so that what an instruction reads has been looked at before.
        for at in self.program.instructions:
            bias = sums.get(at.operands[1]) if at.primitive.name == "mm_tn" else None
            if bias is not None and self._fit(at.output, bias) and self._are_apart(at.output, bias):
                self._join(at.output, bias)
            else:
                self._continued(at)

    def _continued(self, at: Instruction) -> bool:
        """Whether an instruction is joined with one that does the same to what its operands are joined with."""
        if at.primitive.name not in PAIRED or at.output in self.of:
            return False
        pairs = [self.of[x] for x in at.reads() if x in self.of and self.of[x].weight == x]
        return any(self._follow(at, pair) for pair in pairs)

    def _fit(self, weight: Any, bias: Any) -> bool:
        if not type(weight) is type(bias) is int or weight in self.of or bias in self.of:
            return False
        a, b = self.kinds[weight], self.kinds[bias]
        return len(a.shape) == 2 and a.shape[1:] == b.shape and a.dtype == b.dtype and a.dtype.kind in "fb"

    def _join(self, weight: int, bias: int) -> Pair:
        pair = Pair(weight, bias)
        self.pairs.append(pair)
        self.of[weight] = self.of[bias] = pair
        return pair

    def _follow(self, at: Instruction, pair: Pair) -> bool:
        """Join what is computed from the weight with what is computed from the bias in the same way, if any."""
        for j in self.readers.get(pair.bias, ()):
            other = self.program.instructions[j]
            if other.primitive is at.primitive and other.params == at.params and self._fit(at.output, other.output):
                leaves = self._leaves(at, other)
                if leaves is not None and self._are_apart(at.output, other.output):
                    self._made(at.output, other.output, leaves)
                    return True
        return False

    def _are_apart(self, a: int, b: int) -> bool:
        """Whether neither of two slots depends on the other, with pairs as one."""
        return not self._depends(a, b) and not self._depends(b, a)

    def _depends(self, later: int, earlier: int) -> bool:
        target = self.made[earlier]
        waiting, seen = [later], {later}
        while waiting:
            if len(seen) > _MOST_LOOKED_AT:
                return True
            at = self.at(waiting.pop())
            for x in () if at is None else at.reads():
                pair = self.of.get(x)
                for y in (x,) if pair is None else (pair.weight, pair.bias):
                    if y == earlier:
                        return True
                    if y not in seen and self._place(y) >= target:
                        seen.add(y)
                        waiting.append(y)
        return False

    def _place(self, slot: int) -> int:
        """The number of the last instruction that makes a slot or what is joined with it."""
        pair = self.of.get(slot)
        return max(self.made.get(x, -1) for x in ((slot,) if pair is None else (pair.weight, pair.bias)))

    def _made(self, weight: int, bias: int, leaves: list[tuple[int, int]]) -> None:
        """Join two slots that are computed from these pairs."""
        made = self._join(weight, bias)
        made.needs = [self.of.get(a) or self._join(a, b) for a, b in leaves]
        for used in (made, *made.needs):
            used.used = True

    def _leaves(self, at: Instruction, other: Instruction) -> list[tuple[int, int]] | None:
        """The operands in pairs; None if some do not belong together."""
        found = []
        for a, b in zip(at.operands, other.operands, strict=True):
            if type(a) is Literal or self.kinds[a].shape == ():
                if a != b or type(a) is not type(b):
                    return None
                continue
            if type(b) is not int or self.kinds[a].shape != self.kinds[at.output].shape:
                return None
            if self.kinds[b].shape != self.kinds[other.output].shape:
                return None
            known = self.of.get(a)
            if known is None and not self._fit(a, b):
                return None
            if known is not None and (known.weight, known.bias) != (a, b):
                return None
            found.append((a, b))
        return found

    # The program with one matrix for each pair.

    def rewritten(self) -> Program:
        used = [pair for pair in self.pairs if pair.used]
        for pair in used:
            pair.slot = self._slot(self._shape(pair), pair.weight)
        for pair in used:
            self._matrix(pair)
        self._layers()
        for pair in used:
            if pair.needs or self.gone & {pair.weight, pair.bias}:
                place = max(self.made.get(pair.weight, 0), self.made.get(pair.bias, 0))
                self.added += [(place, part) for part in self._parts(pair)]
                self.gone |= {pair.weight, pair.bias}
        return self._sorted()

    def _shape(self, pair: Pair) -> tuple[int, ...]:
        first, *others = self.kinds[pair.weight].shape
        return (first + 1, *others)

    def _parts(self, pair: Pair) -> list[Instruction]:
        """The instructions that give what belongs together back one by one."""
        rows, get = self.kinds[pair.weight].shape[0], primitives["getitem"]
        return [
            Instruction(get, (pair.slot,), {"index": (slice(0, rows),)}, pair.weight, ""),
            Instruction(get, (pair.slot,), {"index": (rows,)}, pair.bias, ""),
        ]

    def _slot(self, shape: tuple[int, ...], like: int) -> int:
        number, self.next = self.next, self.next + 1
        self.kinds[number] = Kind(shape, self.kinds[like].dtype)
        return number

    def _matrix(self, pair: Pair) -> None:
        """The instruction that makes the matrix of a pair."""
        weight = self.at(pair.weight)
        place = max(self.made.get(pair.weight, 0), self.made.get(pair.bias, 0))
        if pair.needs:
            assert weight is not None
            operands = tuple(x if self._is_scalar(x) else self.of[x].slot for x in weight.operands)
            self.added.append((place, weight._replace(operands=operands, output=pair.slot)))
            self.gone |= {pair.weight, pair.bias}
            return
        if not self._gradients(pair, place):
            self._joined(pair, place, "" if weight is None else weight.line)

    def _gradients(self, pair: Pair, place: int) -> bool:
        """Both gradients of a layer with constant inputs as one product."""
        weight, bias = self.at(pair.weight), self.at(pair.bias)
        if weight is None or bias is None or weight.primitive.name != "mm_tn" or bias.primitive.name != "sum":
            return False
        x, d = weight.operands
        if x not in self.constants or bias.operands[0] != d:
            return False
        self.added.append((place, weight._replace(operands=(self._widened(x), d), output=pair.slot)))
        self.gone |= {pair.weight, pair.bias}
        return True

    def _joined(self, pair: Pair, place: int, line: str) -> None:
        """The instruction that puts two arrays into one."""
        shape = self._shape(pair)
        first = math.prod(self.kinds[pair.weight].shape) // math.prod(shape[1:])
        parts = [(first, *shape[1:]), (shape[0] - first, *shape[1:])]
        if pair.weight in self.constants and pair.bias in self.constants:
            values = [self.constants[x].reshape(p) for x, p in zip((pair.weight, pair.bias), parts, strict=True)]
            self.constants[pair.slot] = np.concatenate(values)
            return
        operands = []
        for x, part in zip((pair.weight, pair.bias), parts, strict=True):
            if self.kinds[x].shape != part:
                source, x = x, self._slot(part, x)
                at = Instruction(primitives["reshape"], (source,), {"shape": part}, x, line)
                self.added.append((place, at))
            operands.append(x)
        params = {"axis": 0, "offsets": (0, first, shape[0])}
        at = Instruction(primitives["concatenate"], tuple(operands), params, pair.slot, line)
        self.added.append((place, at))

    def _is_scalar(self, x: Any) -> bool:
        return type(x) is Literal or self.kinds[x].shape == ()

    def _widened(self, x: int) -> int:
        """A constant with a further column of ones."""
        if x not in self.widened:
            value = self.constants[x]
            slot = self._slot((len(value), value.shape[1] + 1), x)
            self.constants[slot] = np.concatenate([value, np.ones((len(value), 1), value.dtype)], axis=1)
            self.widened[x] = slot
        return self.widened[x]

    def _layers(self) -> None:
        """x W + b with constant x as one product."""
        for i, at in enumerate(self.program.instructions):
            if at.primitive.name != "add" or at.output in self.gone:
                continue
            for product, bias in (at.operands, at.operands[::-1]):
                inner = self.at(product)
                if inner is None or inner.primitive.name != "mm_nn" or self.reads[product] != 1:
                    continue
                x, weight = inner.operands
                reshaped = self.at(bias)
                if reshaped is not None and reshaped.primitive.name == "reshape":
                    bias = reshaped.operands[0]
                pair = self.of.get(weight)
                if (
                    pair is not None
                    and pair.used
                    and x in self.constants
                    and (pair.weight, pair.bias) == (weight, bias)
                ):
                    self.added.append((i, inner._replace(operands=(self._widened(x), pair.slot), output=at.output)))
                    self.gone |= {at.output, product}
                    break

    def _sorted(self) -> Program:
        """All instructions, each behind those that it reads, else in the old order; the old program for a circle."""
        kept = [(i, at) for i, at in enumerate(self.program.instructions) if at.output not in self.gone]
        nodes = kept + self.added
        makers = {at.output: k for k, (_, at) in enumerate(nodes)}
        after: dict[int, list[int]] = {}
        missing = []
        for k, (_, at) in enumerate(nodes):
            needed = {makers[x] for x in at.reads() if x in makers}
            missing.append(len(needed))
            for m in needed:
                after.setdefault(m, []).append(k)
        ready = [(place, k) for k, (place, _) in enumerate(nodes) if not missing[k]]
        heapq.heapify(ready)
        ordered = []
        while ready:
            _, k = heapq.heappop(ready)
            ordered.append(nodes[k][1])
            for m in after.get(k, ()):
                missing[m] -= 1
                if not missing[m]:
                    heapq.heappush(ready, (nodes[m][0], m))
        if len(ordered) < len(nodes):
            return self.program
        return self.program.with_(
            instructions=tuple(ordered),
            kinds=self.kinds,
            constants=self.constants,
            groups=(),
        )


def _cost(program: Program) -> int:
    """How many instructions are more than another view of memory."""
    return sum(at.primitive.name not in ("reshape", "getitem", "permute") for at in program.instructions)
