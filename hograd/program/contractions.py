"""The source of products, sums and concatenations of a replay with NumPy."""

from __future__ import annotations

import math
from typing import Any

from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Program
from hograd.program.memory import Memory, by_columns, is_tall

#: Products of matrices, with which factors are transposed.
PRODUCTS = {"mm_nn": (False, False), "mm_nt": (False, True), "mm_tn": (True, False), "matmul": (False, False)}

#: What can be computed where a concatenation has it.
PLACED = frozenset({"mm_nn", "mm_nt", "mm_tn", "sum", "add", "sub", "mul", "div", "neg"})


class Contractions:
    """Part of the generator; it has the program, the names of its slots, and the memory."""

    program: Program
    names: dict[int, str]
    objects: dict[str, Any]
    lines: list[str]
    memory: Memory
    reuse: bool
    kept: set[int]
    held: dict[int, str]
    inside: set[int]
    numbers: dict[int, int]
    placed: dict[int, tuple[int, int, int]]
    begun: dict[int, str]
    there: set[int]
    shared: dict[Any, str]
    often: bool

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        raise NotImplementedError

    def _changed(self, name: str, change: str) -> str:
        raise NotImplementedError

    def _filled(self, number: float, shape: tuple[int, ...], dtype: Any) -> str:
        raise NotImplementedError

    def _value(self, value: Any) -> str:
        raise NotImplementedError

    def _local(self, i: int, at: Instruction) -> str:
        raise NotImplementedError

    def _is_float(self, s: int) -> bool:
        raise NotImplementedError

    def _factor(self, x: int, *, transposed: bool, rows: bool = False) -> str:
        """A matrix as a factor; `rows`: a constant lies in memory row by row."""
        name = self.names[x]
        if transposed and x in self.program.constants:
            key = "factor", x, rows
            if key not in self.shared:
                constant = self.program.constants[x]
                self.shared[key] = self._value(by_columns(constant).T if rows and self.often else constant.T)
            return self.shared[key]
        return self._changed(name, ".T") if transposed else name

    def _product(self, at: Instruction, kind: Any, name: str, target: str) -> bool:
        a, b = at.operands
        left, right = self.program.kinds[a].shape, self.program.kinds[b].shape
        turned = PRODUCTS[name]
        if len(left) == len(right) == 2:
            out = self._destination(at, kind, safe=False)
            columns = self._columns(out, kind)
            if columns:
                # The transposed product, whose rows are the columns that are kept together.
                first = self._factor(b, transposed=not turned[1])
                second = self._factor(a, transposed=not turned[0], rows=True)
                self.lines.append(f"np.dot({first}, {second}, {columns})")
                return True
            rows = is_tall(right)
            # Only `matmul` writes to other than whole rows; what is no buffer is a row of a larger array.
            array = self.memory.arrays.get(out) if out else None
            function = "dot" if array is None or array.flags.c_contiguous else "matmul"
            factors = f"{self._factor(a, transposed=turned[0], rows=rows)}, {self._factor(b, transposed=turned[1])}"
            call = f"np.{function}({factors}"
            self.lines.append(f"{call}, {out})" if out else f"{target} = {call})")
            return True
        if not left or not right:
            return False
        out = self._destination(at, kind, safe=False)
        if len(right) == 2 and len(left) > 2:
            rows = math.prod(left[:-1])
            call = f"{self._changed(self.names[a], f'.reshape({(rows, left[-1])})')}, {self.names[b]}"
            if out:
                self.lines.append(f"np.dot({call}, {self._changed(out, f'.reshape({(rows, right[1])})')})")
            else:
                self.lines.append(f"{target} = np.dot({call}).reshape({kind.shape})")
            return True
        call = f"{self.names[a]}, {self.names[b]}"
        self.lines.append(f"np.matmul({call}, {out})" if out else f"{target} = np.matmul({call})")
        return True

    def _columns(self, out: str | None, kind: Any) -> str | None:
        """The transpose of a place for an answer, if its columns lie one behind the other."""
        if out is None or not is_tall(kind.shape):
            return None
        if out not in self.memory.arrays:
            # A place in a stack, which is laid out as buffers are.
            return f"{out}.T"
        columns = self._into(out, ".T")
        return columns if columns and self.memory.arrays[columns].flags.c_contiguous else None

    def _into(self, out: str | None, change: str) -> str | None:
        """A view to write through; None if there is none."""
        return None if out is None else self.memory.view(out, change, self.objects)

    def _shaped(self, out: str | None, kind: Any, shape: tuple[int, ...]) -> str | None:
        """A place for an answer in another shape; None if there is none."""
        if out is None or out in self.memory.arrays:
            return self._into(out, f".reshape({shape})")
        # Part of an array that lies in memory row by row, unless it is tall.
        return None if is_tall(kind.shape) else f"{out}.reshape({shape})"

    def _total(self, at: Instruction, i: int) -> bool:
        """The sum of all elements, or the inner product of two arrays."""
        x, kind = at.operands[0], self.program.kinds[at.output]
        if type(x) is not int or self.program.kinds[x] == kind or self.program.kinds[x].dtype != kind.dtype:
            return False
        if kind.dtype.char not in "fd":
            return False
        call = f"np.add.reduce({self.names[x]}, None)"
        if x in self.inside:
            product = self.program.instructions[self.numbers[x]].operands
            names = [self.names[v] for v in (*product, *product)[:2]]
            if all(is_tall(self.program.kinds[v].shape) for v in product):
                names = [self._changed(name, ".T") for name in names]
            call = f"np.vdot({', '.join(names)})"
        if self._is_float(at.output):
            self.lines.append(f"{self._local(i, at)} = float({call})")
        else:
            self.lines.append(f"{self.names[at.output]} = {call}")
        return True

    def _sum(self, at: Instruction, kind: Any, target: str, x: str) -> bool:
        """Sums over some axes: as products with ones, which are several times faster over few elements."""
        shape = self.program.kinds[at.operands[0]].shape
        axis, keepdims = at.params["axis"], at.params["keepdims"]
        # The kernel adds float16 in float32.
        if kind.dtype.char not in "fd":
            return False
        out = self._destination(at, kind, safe=False)
        rows = math.prod(shape[:-1])
        to = self._shaped(out, kind, (rows,)) if axis == (len(shape) - 1,) else None
        if to and len(shape) > 1 and 2 <= shape[-1] <= 64:
            ones = self._filled(1, (shape[-1],), kind.dtype)
            if is_tall(shape):
                self.lines.append(f"np.dot({ones}, {self._changed(x, '.T')}, {to})")
            else:
                self.lines.append(f"np.dot({self._changed(x, f'.reshape({(rows, shape[-1])})')}, {ones}, {to})")
            return True
        if out and len(shape) == 3 and axis == (1,) and 2 <= shape[1] <= 64 and shape[0] <= 1024:
            to = self._shaped(out, kind, (shape[0], 1, shape[2]))
            if to:
                self.lines.append(f"np.matmul({self._filled(1, (1, shape[1]), kind.dtype)}, {x}, {to})")
                return True
        if len(shape) == 2 and axis == (0,) and 2 <= shape[0] <= 4096 and shape[1] <= 256:
            ones = self._filled(1, (shape[0],), kind.dtype)
            factors = f"{self._changed(x, '.T')}, {ones}" if is_tall(shape) else f"{ones}, {x}"
            to = self._shaped(out, kind, (shape[1],))
            if to:
                self.lines.append(f"np.dot({factors}, {to})")
                return True
            if not out and not keepdims:
                self.lines.append(f"{target} = np.dot({factors})")
                return True
        over = axis if len(axis) != 1 else axis[0]
        if out:
            self.lines.append(f"np.add.reduce({x}, {over}, None, {out}, {keepdims})")
        else:
            self.lines.append(f"{target} = np.add.reduce({x}, {over}, None, None, {keepdims})")
        return True

    def _placed(self) -> dict[int, tuple[int, int, int]]:
        placed: dict[int, tuple[int, int, int]] = {}
        reading = readers(self.program)
        for at in self.program.instructions:
            kind = self.program.kinds[at.output]
            if at.primitive.name != "concatenate" or at.params["axis"] != 0 or not self.reuse or at.output in self.kept:
                continue
            for x, first, last in zip(at.operands, at.params["offsets"], at.params["offsets"][1:], strict=False):
                for _ in range(2):
                    if type(x) is not int or len(reading.get(x, ())) != 1 or self.program.kinds[x].dtype != kind.dtype:
                        break
                    source = self.program.instructions[self.numbers[x]]
                    if source.primitive.name != "reshape":
                        if source.primitive.name in PLACED and not is_tall(kind.shape):
                            placed[x] = at.output, first, last
                        break
                    x = source.operands[0]
        return placed

    def _place(self, slot: int, kind: Any) -> str:
        """The part of a later concatenation's memory that a slot goes to."""
        whole, first, last = self.placed[slot]
        self.names[slot] = self._changed(self._begin(whole), f"[{first}:{last}].reshape({kind.shape})")
        self.there.add(slot)
        return self.names[slot]

    def _begin(self, whole: int) -> str:
        """The memory of a concatenation, some of whose parts may be there before it."""
        if whole not in self.begun:
            at = self.program.instructions[self.numbers[whole]]
            self.begun[whole] = self._destination(at, self.program.kinds[whole], safe=False) or ""
        return self.begun[whole]

    def _concatenation(self, at: Instruction) -> bool:
        """Copy those parts that do not lie in their place already."""
        memory = self._begin(at.output)
        for x, first, last in zip(at.operands, at.params["offsets"], at.params["offsets"][1:], strict=False):
            s = x
            while (
                s in self.numbers and (maker := self.program.instructions[self.numbers[s]]).primitive.name == "reshape"
            ):
                s = maker.operands[0]
            if s not in self.there or self.placed[s][0] != at.output:
                self.lines.append(f"np.copyto({self._changed(memory, f'[{first}:{last}]')}, {self.names[x]})")
        return True
