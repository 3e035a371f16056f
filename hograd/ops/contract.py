"""Products that contract axes: matmul, and what is composed from it."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core import fast
from hograd.core.batching import aligned
from hograd.core.declare import case, composite, multilinear, operation
from hograd.core.dispatch import apply, bare, promote, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, operand, tensor_of
from hograd.ops.indices import SLOT

__all__ = ["dot", "einsum", "matmul", "outer", "tensordot"]


def _matmul_kernel(a: Any, b: Any) -> Any:
    if b.ndim == 2 and a.ndim > 2:
        # One large product instead of a loop of small ones.
        return (a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[1])
    return a @ b


def _left(F: Any, g: Any, b: Any) -> Any:
    return F.matmul(g, F.mT(b))


def _right(F: Any, g: Any, a: Any, b_shape: Any) -> Any:
    if len(b_shape) == 2 and a.ndim > 2:
        rows = math.prod(a.shape[:-1])
        a, g = F.reshape(a, (rows, a.shape[-1])), F.reshape(g, (rows, g.shape[-1]))
    return F.matmul(F.mT(a), g)


def _batch_matmul(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    return apply(_matmul, aligned(size, values, batched), params)


#: The last two axes contracted, the others broadcast; both arguments have at least two axes.
_matmul = multilinear("matmul", _matmul_kernel, (_left, _right), batch=_batch_matmul)

# Two matrices, by far the most frequent case: a b, a b' and a' b are closed under differentiation, so that no
# derivative of any order has to transpose a matrix by an operation of its own. As in BLAS, n is as it is, t turned.


def _batch_transposed(first: bool, second: bool) -> Any:
    def batch(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
        a, b = (bare(ops.mT(wrap(v))) if turned else v for v, turned in zip(values, (first, second), strict=True))
        return _batch_matmul(primitive, size, (a, b), batched, params)

    return batch


def _matrices(name: str, kernel: Any, rules: Any, batch: Any) -> Any:
    function = fast.binary(multilinear(name, kernel, rules, batch=batch))
    register(name, function, kernel)
    return function


_two_matrices = _matrices(
    "mm_nn",
    np.dot,
    (lambda F, g, b: F.mm_nt(g, b), lambda F, g, a: F.mm_tn(a, g)),
    _batch_matmul,
)
_matrices(
    "mm_nt",
    lambda a, b: np.dot(a, b.T),
    (lambda F, g, b: F.mm_nn(g, b), lambda F, g, a: F.mm_tn(g, a)),
    _batch_transposed(False, True),
)
_matrices(
    "mm_tn",
    lambda a, b: np.dot(a.T, b),
    (lambda F, g, b: F.mm_nt(b, g), lambda F, g, a: F.mm_nn(a, g)),
    _batch_transposed(True, False),
)


@operation(
    _matmul_kernel,
    lambda s: [
        case(s.normal(3, 4), s.normal(4, 2)),
        case(s.normal(5, 3, 4), s.normal(4, 2)),
        case(s.normal(5, 3, 4), s.normal(5, 4, 2)),
        case(s.normal(3, 4), s.normal(5, 4, 2)),
        case(s.normal(2, 1, 3, 4), s.normal(5, 4, 2)),
        case(s.normal(4), s.normal(4)),
        case(s.normal(3, 4), s.normal(4)),
        case(s.normal(4), s.normal(4, 2)),
        case(s.normal(4), s.normal(5, 4, 2)),
    ],
)
def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product  a @ b.

    Args:
        a: shape (..., n, k), or (k,).
        b: shape (..., k, m), or (k,).

    Returns:
        Shape (..., n, m), the leading axes broadcast; without n or m where an argument is a vector.

    Raises:
        ShapeError: the contracted axes differ in length.

    >>> import hograd as ho
    >>> ho.matmul(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype is b.dtype):
        a, b = promote("matmul", tensor_of(a, "matmul"), tensor_of(b, "matmul"))
    p, q = a.shape, b.shape
    if len(p) == 2 and len(q) == 2 and p[1] == q[0]:
        return _two_matrices(a, b)
    if not p or not q or p[-1] != q[max(len(q) - 2, 0)]:
        raise ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied: a has shape {tuple(p)}, b has shape {tuple(q)}; "
            "expected the last axis of a to be as long as the last but one of b."
        )
    left = a if len(p) > 1 else ops.reshape(a, (1, *p))
    right = b if len(q) > 1 else ops.reshape(b, (*q, 1))
    try:
        y = wrap(apply(_matmul, (left, right), {}))
    except ValueError:
        raise ShapeError(
            f"matmul: the leading axes of a, {tuple(p[:-2])}, and of b, {tuple(q[:-2])}, cannot be broadcast."
        ) from None
    if len(p) > 1 and len(q) > 1:
        return y
    shape = y.shape[:-2] + ((y.shape[-2],) if len(p) > 1 else ()) + ((y.shape[-1],) if len(q) > 1 else ())
    return ops.reshape(y, shape)


@operation(np.dot, lambda s: [case(s.normal(4), s.normal(4))])
def dot(a: Any, b: Any) -> Tensor:
    """Inner product of two vectors,  sum_i a_i b_i.

    Args:
        a, b: shape (n,).

    >>> import hograd as ho
    >>> ho.dot(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor(11.)
    """
    a, b = tensor_of(a, "dot"), tensor_of(b, "dot")
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors: use matmul or tensordot.")
    return matmul(a, b)


@composite(lambda s: [case(s.normal(3), s.normal(4))])
def outer(F: Any, a: Any, b: Any) -> Tensor:
    """Outer product of two vectors,  y_ij = a_i b_j.

    Args:
        a: shape (n,).
        b: shape (m,).

    >>> import hograd as ho
    >>> ho.outer(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    a, b = operand(F, a, "outer"), operand(F, b, "outer")
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer expects two vectors, found shapes {tuple(a.shape)} and {tuple(b.shape)}.")
    return F.reshape(a, (-1, 1)) * b


@composite(
    lambda s: [
        case(s.normal(2, 3, 4), s.normal(3, 4, 5)),
        case(s.normal(2, 3, 4), s.normal(4, 2), ([2, 0], [0, 1])),
        case(s.normal(2, 3), s.normal(4), 0),
        case(s.normal(2, 1, 3), s.normal(3, 4, 1), ([1, 0, 2], [1, 2, 0])),
    ]
)
def tensordot(F: Any, a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Contraction of `a` and `b` over several axes.

    Args:
        a, b: tensors.
        axes: n for the last n axes of `a` with the first n of `b`, or two lists of axes that go together (`dims`).
            Of two such axes the lengths are equal, or one is 1 and is broadcast to the other.

    >>> import hograd as ho
    >>> ho.tensordot(ho.ones(2, 3), ho.ones(3, 4), 1).shape
    (2, 4)
    """
    a, b = operand(F, a, "tensordot"), operand(F, b, "tensordot")
    if isinstance(axes, Sequence) and len(axes) == 2:
        left, right = ([axes[i]] if isinstance(axes[i], int) else list(axes[i]) for i in (0, 1))
        left = [axis_of(i, a.ndim, "tensordot") for i in left]
        right = [axis_of(i, b.ndim, "tensordot") for i in right]
    elif isinstance(axes, int) and 0 <= axes <= min(a.ndim, b.ndim):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        raise ArgumentError(
            f"tensordot got axes {axes!r}, expected a number of axes from 0 to {min(a.ndim, b.ndim)}, or two lists."
        )
    for i, j in zip(left, right, strict=False):
        # What meets one and the same element is summed first.
        if a.shape[i] == 1 != b.shape[j]:
            b = F.sum(b, axis=j, keepdims=True)
        elif b.shape[j] == 1 != a.shape[i]:
            a = F.sum(a, axis=i, keepdims=True)
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise ShapeError(
            f"tensordot: a has lengths {[a.shape[i] for i in left]} along axes {left}, but b has "
            f"{[b.shape[i] for i in right]} along {right}."
        )
    rest_a = [i for i in range(a.ndim) if i not in left]
    rest_b = [i for i in range(b.ndim) if i not in right]
    count = math.prod([a.shape[i] for i in left])
    shape = tuple([a.shape[i] for i in rest_a] + [b.shape[i] for i in rest_b])
    rows = F.reshape(F.permute(a, rest_a + left), (math.prod([a.shape[i] for i in rest_a]), count))
    columns = F.reshape(F.permute(b, right + rest_b), (count, math.prod([b.shape[i] for i in rest_b])))
    return F.reshape(F.matmul(rows, columns), shape)


#: The letters that stand for the numbers of axes, in the order of both.
_LETTERS = string.ascii_uppercase + string.ascii_lowercase


def _spelled(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """The equation of operands with the numbers of their axes behind them, and the operands."""
    answer = given[-1] if len(given) % 2 else None
    pairs = given[: len(given) - len(given) % 2]
    lists = [*pairs[1::2], *([] if answer is None else [answer])]
    if not pairs or not all(isinstance(numbers, (list, tuple)) for numbers in lists):
        raise ArgumentError(
            "einsum expects a str such as 'ij,jk->ik' and operands, or operands each with a list of numbers behind it, "
            f"found {', '.join(type(x).__name__ for x in given)}."
        )
    for n in (n for numbers in lists for n in numbers if n is not Ellipsis):
        if not isinstance(n, int) or not 0 <= n < len(_LETTERS):
            raise ArgumentError(f"einsum: an axis has the number {n!r}, expected an int from 0 to 51 or '...'.")
    terms = ["".join("..." if n is Ellipsis else _LETTERS[n] for n in numbers) for numbers in lists]
    if answer is None:
        return ",".join(terms), pairs[::2]
    return ",".join(terms[:-1]) + "->" + terms[-1], pairs[::2]


def _parse(equation: str, operands: Sequence[Any]) -> tuple[list[str], str]:
    """Labels of every operand and of the answer, the Ellipsis spelled out in capitals that are not in use."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    labels = left.split(",")
    if len(labels) != len(operands):
        raise ArgumentError(
            f"einsum: the equation {equation!r} has {len(labels)} operands, but {len(operands)} were given."
        )
    spare = [c for c in map(chr, range(0x3B1, 0x3B1 + 24)) if c not in equation]
    longest = 0
    for term, x in zip(labels, operands, strict=True):
        if "..." in term:
            longest = max(longest, x.ndim - len(term.replace("...", "")))
    dots = "".join(spare[:longest])
    terms = []
    for i, (term, x) in enumerate(zip(labels, operands, strict=True)):
        named = term.replace("...", "")
        if not all(c.isalpha() for c in named) or ("..." not in term and len(named) != x.ndim) or len(named) > x.ndim:
            raise ArgumentError(
                f"einsum: {term!r} in {equation!r} does not fit operand {i}, of shape {tuple(x.shape)}."
            )
        terms.append(term.replace("...", dots[longest - (x.ndim - len(named)) :] if x.ndim > len(named) else ""))
    if arrow:
        answer = right.replace("...", dots)
    else:
        counts = Counter("".join(terms))
        answer = dots + "".join(sorted(c for c, n in counts.items() if n == 1 and c not in dots))
    missing = [c for c in answer if not any(c in term for term in terms)]
    if missing or len(set(answer)) != len(answer):
        raise ArgumentError(f"einsum: the answer's labels in {equation!r} must each stand once, and in an operand.")
    return terms, answer


def _lengths(equation: str, terms: list[str], operands: Sequence[Any]) -> None:
    lengths: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for c, n in zip(term, x.shape, strict=True):
            if lengths.setdefault(c, n) != n:
                if 1 in (lengths[c], n):
                    lengths[c] = max(lengths[c], n)
                    continue
                raise ShapeError(f"einsum: label {c!r} of {equation!r} has length {lengths[c]} and {n}.")


def _diagonals(F: Any, term: str, x: Any) -> tuple[str, Any]:
    """Labels that repeat within an operand stand for its diagonal."""
    for c in set(term):
        while term.count(c) > 1:
            i = term.index(c)
            j = term.index(c, i + 1)
            order = [k for k in range(len(term)) if k not in (i, j)]
            positions = np.arange(x.shape[i])
            x = F.permute(x, [i, j, *order])
            x = F.gather_index(x, positions, positions, template=(SLOT, SLOT))
            term = c + "".join(term[k] for k in order)
    return term, x


def _sum_out(F: Any, term: str, x: Any, keep: str) -> tuple[str, Any]:
    axes = tuple(i for i, c in enumerate(term) if c not in keep)
    return ("".join(c for c in term if c in keep), F.sum(x, axis=axes)) if axes else (term, x)


def _pair(F: Any, a: tuple[str, Any], b: tuple[str, Any], keep: str) -> tuple[str, Any]:
    """Contract two operands into one, over their common labels that are not in `keep`, by one matmul."""
    (p, x), (q, y) = _sum_out(F, *a, keep + b[0]), _sum_out(F, *b, keep + a[0])
    # A common label of length 1 on one side only is broadcast: sum it out there and leave it to the other.
    for c in set(p) & set(q):
        n, m = x.shape[p.index(c)], y.shape[q.index(c)]
        if n == 1 and m != 1:
            p, x = _sum_out(F, p, x, p.replace(c, ""))
        elif m == 1 and n != 1:
            q, y = _sum_out(F, q, y, q.replace(c, ""))
    p, x = _sum_out(F, p, x, keep + q)
    q, y = _sum_out(F, q, y, keep + p)
    batch = [c for c in p if c in q and c in keep]
    inner = [c for c in p if c in q and c not in keep]
    rows = [c for c in p if c not in q]
    columns = [c for c in q if c not in p]
    size = {c: n for term, v in ((p, x), (q, y)) for c, n in zip(term, v.shape, strict=True)}

    def lengths(*groups: list[str]) -> tuple[int, ...]:
        return tuple(math.prod([size[c] for c in group]) for group in groups)

    lead = tuple(size[c] for c in batch)
    x = F.permute(x, [p.index(c) for c in batch + rows + inner])
    y = F.permute(y, [q.index(c) for c in batch + inner + columns])
    x = F.reshape(x, lead + lengths(rows, inner))
    y = F.reshape(y, lead + lengths(inner, columns))
    product = F.matmul(x, y) if inner else x * y
    term = "".join(batch + rows + columns)
    return term, F.reshape(product, tuple(size[c] for c in term))


@composite(
    lambda s: [
        case("ij,jk->ik", s.normal(3, 4), s.normal(4, 2)),
        case("bij,bjk->bik", s.normal(2, 3, 4), s.normal(2, 4, 2)),
        case("ij,ij->i", s.normal(3, 4), s.normal(3, 4)),
        case("ij->ji", s.normal(3, 4)),
        case("ii->", s.normal(3, 3)),
        case("iij->ji", s.normal(3, 3, 2)),
        case("ij->", s.normal(3, 4)),
        case("i,j->ij", s.normal(3), s.normal(4)),
        case("ij,j", s.normal(3, 4), s.normal(4)),
        case("i,i->i", s.normal(3), s.normal(3)),
        case("...ij,jk->...ik", s.normal(2, 5, 3, 4), s.normal(4, 2)),
        case("ij,jk,kl->il", s.normal(2, 3), s.normal(3, 4), s.normal(4, 2)),
        case("ab,ac,bd->cd", s.normal(2, 3), s.normal(2, 4), s.normal(3, 2)),
        case("ij,jk->ki", [s.normal(3, 4), s.normal(4, 2)]),
        case(s.normal(3, 4), [0, 1], s.normal(4, 2), [1, 30], [30, 0]),
        case(s.normal(2, 3, 4), [..., 1], s.normal(4), [1]),
    ]
)
def einsum(F: Any, equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention.

    Args:
        equation: such as "bij,bjk->bik": one letter for each axis of each operand; letters that are not in the answer
            are summed; a letter that repeats within an operand stands for its diagonal; "..." for the leading axes,
            which are broadcast. Without "->" the answer has the letters that stand once, in alphabetical order.
        *operands: tensors, or one list of them.

    Instead of an equation each operand may have its axes behind it, as a list of numbers from 0 to 51 and "...", and
    those of the answer may stand at the end:  einsum(a, [0, 1], b, [1, 2], [0, 2]).

    Operands are contracted from left to right, two at a time, by one matrix product each.

    >>> import hograd as ho
    >>> ho.einsum("ij,ij->i", ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.ones(2, 2))
    tensor([3., 7.])
    """
    if not isinstance(equation, str):
        equation, operands = _spelled(equation, *operands)
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if F is ops:
        operands = tuple(wrap(x) for x in promote("einsum", *[tensor_of(x, "einsum") for x in operands]))
    if not operands:
        raise ArgumentError("einsum needs at least one operand.")
    terms, answer = _parse(equation, operands)
    _lengths(equation, terms, operands)
    pending = [_diagonals(F, term, x) for term, x in zip(terms, operands, strict=True)]
    while len(pending) > 1:
        later = answer + "".join(term for term, _ in pending[2:])
        pending[:2] = [_pair(F, pending[0], pending[1], later)]
    term, x = _sum_out(F, *pending[0], answer)
    return F.permute(x, [term.index(c) for c in answer]) if term != answer else x
