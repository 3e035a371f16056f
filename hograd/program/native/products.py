"""Products of matrices: blocks of the answer in registers, or SciPy's BLAS for large ones."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

from hograd.program.blas import extension
from hograd.program.native.emit import Function, constant, type_of
from hograd.program.native.schedule import Piece

#: From so many multiplications on BLAS is faster, since it holds blocks in the caches, and may use threads.
LARGE = 32_000_000
#: Registers for the answer, of 32 with 512 bits and of 16 with fewer.
BLOCK = {64: 24, 32: 12, 16: 12}
TALLEST = 8


@dataclass(frozen=True, slots=True)
class Product:
    """C = A B for stacks of matrices; strides are (stack ..., rows, columns)."""

    stack: tuple[int, ...]
    rows: int
    inner: int
    columns: int
    a: tuple[int, ...]
    b: tuple[int, ...]
    c: tuple[int, ...]
    dtype: Any

    @property
    def is_large(self) -> bool:
        """Whether BLAS takes it: large matrices, each with one axis in order."""
        return (
            not self.stack
            and min(self.rows, self.inner, self.columns) >= 16
            and self.rows * self.inner * self.columns >= LARGE
            and 1 in self.a
            and 1 in self.b
            and self.c[1] == 1
            and max(self.a) >= (self.inner if self.a[1] == 1 else self.rows)
            and max(self.b) >= (self.columns if self.b[1] == 1 else self.inner)
        )


def canonical(piece: Piece, kinds: dict[int, Any]) -> tuple[Product, list[tuple[int, int, int]]]:
    """A product, and the addresses that it takes: slot, offset in elements, step along the batch."""
    a, b = piece.reads
    stack, dtype = piece.domain, kinds[piece.node.output].dtype
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    addresses = [(x.root, x.offset, s) for x, s in zip((a, b), piece.steps, strict=True)]
    product = Product(stack, rows, inner, columns, a.strides, b.strides, (*piece.strides, columns, 1), dtype)
    if columns == 1 and rows > 1:
        # C' = B' A': a row is computed like any other.
        turned = [(*x.strides[:-2], x.strides[-1], x.strides[-2]) for x in (b, a)]
        product = Product(stack, 1, inner, rows, turned[0], turned[1], (*piece.strides, rows, 1), dtype)
        addresses.reverse()
    return product, [*addresses, (piece.node.output, 0, piece.step)]


class ProductWriter:
    """The code of one product.

    Args:
        product: what to write.
        width: bytes of a vector register.
        declarations: of the module.
    """

    def __init__(self, product: Product, width: int, declarations: dict[str, str]) -> None:
        self.product = product
        self.function = Function(declarations)
        self.width = width // product.dtype.itemsize
        self.registers = BLOCK[width]
        self.scalar = type_of(product.dtype, 0)

    def write(self, name: str) -> str:
        """The function: of A, B, C, and for BLAS the address of its function."""
        if self.product.is_large:
            self._blas()
            return self.function.finish(name, 4)
        self._stack(0, ["%a0", "%a1", "%a2"])
        return self.function.finish(name, 3)

    def _stack(self, axis: int, pointers: list[str]) -> None:
        p, f = self.product, self.function
        if axis < len(p.stack):
            with f.loop(p.stack[axis]) as i:
                strides = (p.a[axis], p.b[axis], p.c[axis])
                self._stack(
                    axis + 1,
                    [
                        f.element(self.scalar, x, f.times(i, s)) if s else x
                        for x, s in zip(pointers, strides, strict=True)
                    ],
                )
        elif p.b[-1] == 1 or p.columns == 1:
            self._columns(*pointers)
        else:
            self._dots(*pointers)

    def _columns(self, a: str, b: str, c: str) -> None:
        """Blocks of columns that fill registers, and one for the rest."""
        p, f = self.product, self.function
        full, rest = divmod(p.columns, self.width)
        most = min(4, max(1, self.registers // min(p.rows, TALLEST)))
        # As few blocks as needed, as even as possible.
        blocks = math.ceil((full + (rest > 0)) / most)
        each = full // blocks if blocks else 0
        if blocks > 1 and each:
            with f.loop(blocks - 1) as j:
                self._rows(a, self._at(b, j, each * self.width), self._at(c, j, each * self.width), [self.width] * each)
            done = (blocks - 1) * each
        else:
            done = 0
        pieces = [self.width] * (full - done) + ([rest] if rest else [])
        while pieces:
            start = done * self.width
            now, pieces = pieces[:most], pieces[most:]
            self._rows(a, f.element(self.scalar, b, start), f.element(self.scalar, c, start), now)
            done += len(now)

    def _at(self, pointer: str, index: str, stride: int) -> str:
        f = self.function
        return f.element(self.scalar, pointer, f.times(index, stride))

    def _rows(self, a: str, b: str, c: str, pieces: list[int]) -> None:
        """Blocks of rows for one block of columns."""
        p, f = self.product, self.function
        tall = min(p.rows, TALLEST, max(1, self.registers // len(pieces)))
        blocks = math.ceil(p.rows / tall)
        tall = math.ceil(p.rows / blocks)
        full, rest = divmod(p.rows, tall)
        with f.loop(full) as i:
            self._block(self._at(a, i, tall * p.a[-2]), b, self._at(c, i, tall * p.c[-2]), tall, pieces)
        if rest:
            start = full * tall
            self._block(
                f.element(self.scalar, a, start * p.a[-2]), b, f.element(self.scalar, c, start * p.c[-2]), rest, pieces
            )

    def _block(self, a: str, b: str, c: str, rows: int, pieces: list[int]) -> None:
        """A block of the answer, summed in registers."""
        p, f = self.product, self.function
        starts = [sum(pieces[:i]) for i in range(len(pieces))]
        kinds = [type_of(p.dtype, lanes if lanes > 1 else 0) for lanes in pieces]
        sums = [[f.variable(kind) for kind in kinds] for _ in range(rows)]
        for row in sums:
            for variable, kind, lanes in zip(row, kinds, pieces, strict=True):
                f.do(f"store {kind} {constant(0.0, p.dtype, lanes if lanes > 1 else 0)}, ptr {variable}")
        with f.loop(p.inner) as k:
            left, right = self._at(a, k, p.a[-1]), self._at(b, k, p.b[-2])
            loaded = [
                f.load(p.dtype, lanes if lanes > 1 else 0, f.element(self.scalar, right, start))
                for lanes, start in zip(pieces, starts, strict=True)
            ]
            for i, row in enumerate(sums):
                x = f.load(p.dtype, 0, f.element(self.scalar, left, i * p.a[-2]))
                for variable, kind, lanes, y in zip(row, kinds, pieces, loaded, strict=True):
                    factor = f.splat(p.dtype, lanes if lanes > 1 else 0, x)
                    before = f.let(f"load {kind}, ptr {variable}")
                    term = f.let(f"fmul contract {kind} {factor}, {y}")
                    f.do(f"store {kind} {f.let(f'fadd contract {kind} {before}, {term}')}, ptr {variable}")
        for i, row in enumerate(sums):
            for variable, kind, lanes, start in zip(row, kinds, pieces, starts, strict=True):
                value = f.let(f"load {kind}, ptr {variable}")
                f.store(p.dtype, lanes if lanes > 1 else 0, value, f.element(self.scalar, c, i * p.c[-2] + start))

    def _dots(self, a: str, b: str, c: str) -> None:
        """Each element as an inner product along the rows of B'."""
        p, f = self.product, self.function
        full, rest = divmod(p.inner, self.width)
        with f.loop(p.rows) as i, f.loop(p.columns) as j:
            left, right = self._at(a, i, p.a[-2]), self._at(b, j, p.b[-1])
            total: str | None = None
            if full:
                kind = type_of(p.dtype, self.width)
                variable = f.variable(kind)
                f.do(f"store {kind} {constant(0.0, p.dtype, self.width)}, ptr {variable}")
                with f.loop(full) as k:
                    start = f.times(k, self.width)
                    before = f.let(f"load {kind}, ptr {variable}")
                    term = self._terms(left, right, start, self.width)
                    f.do(f"store {kind} {f.let(f'fadd contract {kind} {before}, {term}')}, ptr {variable}")
                total = f.total(p.dtype, self.width, f.let(f"load {kind}, ptr {variable}"))
            if rest:
                lanes = rest if rest > 1 else 0
                total = f.total(p.dtype, lanes, self._terms(left, right, str(full * self.width), lanes), total)
            assert total is not None
            f.store(p.dtype, 0, total, self._at(self._at(c, i, p.c[-2]), j, 1))

    def _terms(self, left: str, right: str, start: str, lanes: int) -> str:
        p, f = self.product, self.function
        loaded = []
        for pointer, stride in ((left, p.a[-1]), (right, p.b[-2])):
            at = str(int(start) * stride) if start.isdigit() else f.times(start, stride)
            pointer = f.element(self.scalar, pointer, at)
            side_by_side = stride == 1 or not lanes
            loaded.append(
                f.load(p.dtype, lanes, pointer) if side_by_side else f.gather(p.dtype, lanes, pointer, stride)
            )
        return f.let(f"fmul contract {type_of(p.dtype, lanes)} {loaded[0]}, {loaded[1]}")

    def _blas(self) -> None:
        """A call of gemm, which counts columns first: C' = B' A'."""
        p, f = self.product, self.function
        turn = [("n", p.b[0]) if p.b[1] == 1 else ("t", p.b[1]), ("n", p.a[0]) if p.a[1] == 1 else ("t", p.a[1])]

        def boxed(kind: str, value: Any) -> str:
            box = f.variable(kind)
            f.do(f"store {kind} {value}, ptr {box}")
            return box

        flags = [boxed("i8", ord(flag)) for flag, _ in turn]
        sizes = [boxed("i32", n) for n in (p.columns, p.rows, p.inner)]
        one, zero = (boxed(self.scalar, constant(x, p.dtype, 0)) for x in (1.0, 0.0))
        steps = [boxed("i32", n) for n in (turn[0][1], turn[1][1], p.c[0])]
        order = [*flags, *sizes, one, "%a1", steps[0], "%a0", steps[1], zero, "%a2", steps[2]]
        f.do(f"call void %a3({', '.join(f'ptr {x}' for x in order)})")


@functools.cache
def blas_address(single: bool) -> int:
    """The address of SciPy's gemm."""
    import ctypes

    capsule = extension("cython_blas").__pyx_capi__["sgemm" if single else "dgemm"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
