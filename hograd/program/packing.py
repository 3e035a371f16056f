"""The pass `packing`: a weight and its bias as one matrix, so that what is done to both is done once."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Kind, Literal, Program

#: Elementwise operations of which a pair can be one.
_PAIRED = frozenset(
    {"add", "sub", "mul", "div", "neg", "sqrt", "safe_sqrt", "square", "power", "maximum", "abs", "where"}
    | {"eq", "ne", "gt", "ge", "lt", "le"}
)


def packing(program: Program) -> Program:
    """With the gradients of a weight (n, m) and of its bias (m) as one array (n + 1, m), and what follows from them.

    What is computed from both in the same way, such as the step of an optimizer, is computed once; so is an inner
    product of two such pairs. Where a layer's inputs are constant they get a column of ones:
    x W + b = (x 1) (W; b),  and  (x 1)^T d  gives both gradients.
    """
    found = _Packing(program)
    found.find()
    return found.rewritten() if any(pair.used for pair in found.pairs) else program


@dataclass(eq=False)
class _Pair:
    """Two slots, of shapes (n, m) and (m), and the slot of the matrix (n + 1, m) that has both as its rows."""

    weight: int
    bias: int
    slot: int = -1
    used: bool = False
    needs: list[_Pair] = field(default_factory=list)


class _Packing:
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
        self.pairs: list[_Pair] = []
        self.of: dict[int, _Pair] = {}
        #: New instructions, with the place in the old order that each belongs to.
        self.added: list[tuple[int, Instruction]] = []
        self.gone: set[int] = set()
        self.widened: dict[int, int] = {}
        self.same: dict[int, int] = {}

    def at(self, slot: Any) -> Instruction | None:
        number = self.made.get(slot) if type(slot) is int else None
        return None if number is None else self.program.instructions[number]

    # Which slots belong together.

    def find(self) -> None:
        sums: dict[int, int] = {}
        for at in self.program.instructions:
            if at.primitive.name == "sum" and at.params["axis"] == (0,) and not at.params["keepdims"]:
                sums[at.operands[0]] = at.output
        # In order, so that what an instruction reads has been looked at before.
        for at in self.program.instructions:
            bias = sums.get(at.operands[1]) if at.primitive.name == "mm_tn" else None
            if bias is not None and self._fit(at.output, bias):
                self._join(at.output, bias)
            elif at.primitive.name in _PAIRED and at.output not in self.of:
                for x in at.reads():
                    pair = self.of.get(x)
                    if pair is not None and pair.weight == x and self._follow(at, pair):
                        break

    def _fit(self, weight: Any, bias: Any) -> bool:
        if not type(weight) is type(bias) is int or weight in self.of or bias in self.of:
            return False
        a, b = self.kinds[weight], self.kinds[bias]
        return len(a.shape) == 2 and a.shape[1:] == b.shape and a.dtype == b.dtype and a.dtype.kind in "fb"

    def _join(self, weight: int, bias: int) -> _Pair:
        pair = _Pair(weight, bias)
        self.pairs.append(pair)
        self.of[weight] = self.of[bias] = pair
        return pair

    def _follow(self, at: Instruction, pair: _Pair) -> bool:
        """Join what is computed from the weight with what is computed from the bias in the same way, if any."""
        for j in self.readers.get(pair.bias, ()):
            other = self.program.instructions[j]
            if other.primitive is at.primitive and other.params == at.params and self._fit(at.output, other.output):
                leaves = self._leaves(at, other)
                if leaves is not None:
                    made = self._join(at.output, other.output)
                    made.needs = [self.of.get(a) or self._join(a, b) for a, b in leaves]
                    for used in (made, *made.needs):
                        used.used = True
                    return True
        return False

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
            pair.slot = self._slot(
                (self.kinds[pair.weight].shape[0] + 1, self.kinds[pair.weight].shape[1]), pair.weight
            )
        for pair in used:
            self._matrix(pair)
        self._layers()
        self._inner_products()
        parts = set()
        for pair in used:
            if pair.needs or self.gone & {pair.weight, pair.bias}:
                parts.add(pair)
        for pair in parts:
            place = max(self.made.get(pair.weight, 0), self.made.get(pair.bias, 0))
            rows = self.kinds[pair.weight].shape[0]
            get = primitives["getitem"]
            self.added.append((place, Instruction(get, (pair.slot,), {"index": (slice(0, rows),)}, pair.weight, "")))
            self.added.append((place, Instruction(get, (pair.slot,), {"index": (rows,)}, pair.bias, "")))
            self.gone |= {pair.weight, pair.bias}
        return self._sorted()

    def _slot(self, shape: tuple[int, ...], like: int) -> int:
        number, self.next = self.next, self.next + 1
        self.kinds[number] = Kind(shape, self.kinds[like].dtype)
        return number

    def _matrix(self, pair: _Pair) -> None:
        """The instruction that makes the matrix of a pair."""
        weight, bias = self.at(pair.weight), self.at(pair.bias)
        place = max(self.made.get(pair.weight, 0), self.made.get(pair.bias, 0))
        if pair.needs:
            assert weight is not None
            operands = tuple(x if self._is_scalar(x) else self.of[x].slot for x in weight.operands)
            self.added.append((place, weight._replace(operands=operands, output=pair.slot)))
            self.gone |= {pair.weight, pair.bias}
            return
        if pair.weight in self.constants and pair.bias in self.constants:
            rows = self.constants[pair.bias][None]
            self.constants[pair.slot] = np.concatenate([self.constants[pair.weight], rows])
            return
        if weight is not None and bias is not None and weight.primitive.name == "mm_tn":
            x, d = weight.operands
            if x in self.constants and bias.primitive.name == "sum" and bias.operands[0] == d:
                self.added.append((place, weight._replace(operands=(self._widened(x), d), output=pair.slot)))
                self.gone |= {pair.weight, pair.bias}
                return
        row = self._slot((1, *self.kinds[pair.bias].shape), pair.bias)
        line = "" if weight is None else weight.line
        shape = self.kinds[row].shape
        self.added.append((place, Instruction(primitives["reshape"], (pair.bias,), {"shape": shape}, row, line)))
        params = {"axis": 0, "offsets": (0, self.kinds[pair.weight].shape[0], self.kinds[pair.slot].shape[0])}
        operands = (pair.weight, row)
        self.added.append((place, Instruction(primitives["concatenate"], operands, params, pair.slot, line)))

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

    def _inner_products(self) -> None:
        """The sum of all elements of a weight, and that of its bias, where they are only added, as one."""
        for pair in self.pairs:
            if not pair.used or self.reads[pair.weight] != 1 or self.reads[pair.bias] != 1:
                continue
            first, second = self._total(pair.weight), self._total(pair.bias)
            if first is None or second is None:
                continue
            early, late = self._behind(first), self._behind(second)
            if early[1] != late[1]:
                continue
            i = self._meets(early[0], late[0])
            if i is None:
                first, early, late = second, late, early
                i = self._meets(early[0], late[0])
                if i is None:
                    continue
            at = self.program.instructions[i]
            place = max(self.made[x.output] for x in (first, second))
            params = {"axis": (0, 1), "keepdims": False}
            self.added.append((place, Instruction(primitives["sum"], (pair.slot,), params, first.output, first.line)))
            self.same[at.output] = next(x for x in at.operands if x != late[0])
            self.gone |= {first.output, late[0], at.output}

    def _behind(self, total: Instruction) -> tuple[int, list[Any]]:
        """The slot of a sum behind the sign and the factors that it gets, and these."""
        slot, factors = total.output, []
        while self.reads[slot] == 1 and self.readers.get(slot):
            at = self.program.instructions[self.readers[slot][0]]
            if at.primitive.name == "neg":
                factors.append("neg")
            elif at.primitive.name in ("mul", "div") and at.operands[0] == slot and self.kinds[at.output].shape == ():
                factors.append((at.primitive.name, at.operands[1]))
            else:
                break
            slot = at.output
        return slot, factors

    def _total(self, slot: int) -> Instruction | None:
        """The sum over all elements that is the one reader of a slot."""
        readers = self.readers.get(slot, ())
        at = self.program.instructions[readers[0]] if len(readers) == 1 else None
        if at is None or at.primitive.name != "sum" or self.kinds[at.output].shape != () or at.output in self.gone:
            return None
        return at if self.reads[at.output] == 1 else None

    def _meets(self, early: int, late: int) -> int | None:
        """The number of the sum in which two numbers come together, if the first is only added up to there."""
        end = self.readers.get(late)
        if not end or self.reads[late] != 1:
            return None
        for _ in range(6):
            readers = self.readers.get(early)
            if not readers or self.reads[early] != 1:
                return None
            at = self.program.instructions[readers[0]]
            if at.primitive.name != "add" or (at.output in self.gone and self.same.get(at.output) != early):
                return None
            if readers[0] == end[0]:
                return readers[0]
            early = at.output
        return None

    def _sorted(self) -> Program:
        """All instructions, each behind those that it reads, else in the old order; the old program for a circle."""
        kept = [(i, at) for i, at in enumerate(self.program.instructions) if at.output not in self.gone]
        nodes = [
            (place, at._replace(operands=tuple(map(self._renamed, at.operands)))) for place, at in kept + self.added
        ]
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
            outputs=tuple(map(self._renamed, self.program.outputs)),
            kinds=self.kinds,
            constants=self.constants,
            groups=(),
        )

    def _renamed(self, x: Any) -> Any:
        while type(x) is int and x in self.same:
            x = self.same[x]
        return x
