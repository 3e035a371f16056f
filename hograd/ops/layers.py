"""What layers of networks compute beside convolutions and normalisation; names and arguments are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.core import fast
from hograd.core.batching import with_shape
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, bare, promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, below
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import tensor_of
from hograd.ops.noise import dropout
from hograd.ops.reduce import ones as _ones


def _affine_kernel(x: Any, weight: Any, bias: Any) -> Any:
    y = x @ weight.T
    y += bias
    return y


def _push_affine(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    (tx, tweight, tbias), (x, weight) = tangents, values[1:3]
    tangent = tbias
    if tx is not None:
        term = F.mm_nt(tx, weight)
        tangent = term if tangent is None else term + tangent
    if tweight is not None:
        term = F.mm_nt(x, tweight)
        tangent = term if tangent is None else term + tangent
    return tangent


def _batch_affine(primitive: Any, size: int, values: Any, batched: Any, params: Any) -> Any:
    """Mapped inputs alone are more rows of one product; with mapped weights there are as many products."""
    x, weight, bias = values
    if batched[0] and not any(batched[1:]):
        y = apply(primitive, (with_shape(x, (size * x.shape[1], x.shape[2])), weight, bias), {})
        return with_shape(y, (size, x.shape[1], weight.shape[0]))
    y = ops.matmul(wrap(x), ops.mT(wrap(weight)))
    # Shared inputs by shared weights give one matrix, to which mapped biases are added.
    return bare(y + (ops.expand_dims(wrap(bias), 1) if batched[2] else wrap(bias)))


def _sum_over_rows(F: Any, g: Any) -> Any:
    # A product with ones is twice as fast as NumPy's sum.
    n = len(g)
    return _ones(n, g.dtype) @ g if type(g) is np.ndarray and n <= 1024 else np.add.reduce(g, axis=0)


#: x @ weight.T + bias of two matrices and a vector as one node, whose rules stay among products of two matrices.
_affine = fast.several(
    general(
        "affine",
        _affine_kernel,
        [
            lambda F, g, weight: F.mm_nn(g, weight),
            lambda F, g, x: F.mm_tn(g, x),
            lambda F, g: F.sum(g, (0,)),
        ],
        jvp=_push_affine,
        batch=_batch_affine,
        arguments="x weight bias",
        fused=[None, None, _sum_over_rows],
    )
)

__all__ = ["bilinear", "embedding", "linear", "scaled_dot_product_attention"]


@operation(
    None,
    lambda s: [
        case(s.normal(5, 3), s.normal(4, 3), s.normal(4)),
        case(s.normal(5, 3), s.normal(4, 3)),
        case(s.normal(2, 5, 3), s.normal(4, 3)),
        case(s.normal(3), s.normal(4, 3), s.normal(4)),
    ],
)
def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """x @ weight.T + bias.

    Args:
        x: shape (..., inputs) (`input`).
        weight: shape (outputs, inputs); or (inputs,), for answers without that axis.
        bias: shape (outputs,), or None.

    >>> import hograd as ho
    >>> ho.linear(ho.tensor([1.0, 2.0]), ho.tensor([[3.0, 4.0]]), ho.tensor([0.5]))
    tensor([11.5000])
    """
    x, weight = tensor_of(x, "linear"), tensor_of(weight, "linear")
    if not 1 <= weight.ndim <= 2 or not x.ndim or x.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: mat1 and mat2 shapes cannot be multiplied: x has shape {tuple(x.shape)} and weight "
            f"{tuple(weight.shape)}, expected (..., inputs) and (outputs, inputs)."
        )
    if bias is not None:
        bias = tensor_of(bias, "linear")
        if bias.shape != weight.shape[:-1] and bias.shape not in ((1,), ()):
            raise ShapeError(f"linear: bias has shape {tuple(bias.shape)}, expected {tuple(weight.shape[:-1])}.")
        if weight.ndim == 2 and bias.shape == weight.shape[:-1]:
            if x.dtype is not weight.dtype or x.dtype is not bias.dtype:
                x, weight, bias = map(wrap, promote("linear", x, weight, bias))
            if x.ndim == 2:
                return _affine(x, weight, bias)
            rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
            return ops.reshape(_affine(rows, weight, bias), (*x.shape[:-1], weight.shape[0]))
    y = ops.matmul(x, ops.mT(weight) if weight.ndim == 2 else weight)
    return y if bias is None else y + bias


@operation(
    None,
    lambda s: [
        case(s.normal(5, 3), s.normal(5, 2), s.normal(4, 3, 2), s.normal(4)),
        case(s.normal(3), s.normal(2), s.normal(4, 3, 2)),
        case(s.normal(2, 2, 3), s.normal(2, 2, 1), s.normal(1, 3, 1), s.normal(1)),
    ],
)
def bilinear(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Tensor:
    """y_k = x1 @ weight_k @ x2 + bias_k.

    Args:
        x1: shape (..., n) (`input1`).
        x2: shape (..., m), with the same leading axes (`input2`).
        weight: shape (outputs, n, m).
        bias: shape (outputs,), or None.

    Returns:
        Shape (..., outputs).

    >>> import hograd as ho
    >>> ho.bilinear(ho.tensor([1.0, 2.0]), ho.tensor([3.0]), ho.ones(2, 2, 1), ho.tensor([0.0, 1.0]))
    tensor([ 9., 10.])
    """
    x1, x2, weight = (tensor_of(x, "bilinear") for x in (x1, x2, weight))
    if (
        weight.ndim != 3
        or not x1.ndim
        or (x1.shape[:-1], x1.shape[-1:], x2.shape[-1:]) != (x2.shape[:-1], weight.shape[1:2], weight.shape[2:])
    ):
        raise ShapeError(
            f"bilinear: x1 has shape {tuple(x1.shape)}, x2 {tuple(x2.shape)} and weight {tuple(weight.shape)}, "
            "expected (..., n), (..., m) and (outputs, n, m)."
        )
    outputs, n, m = weight.shape
    lead = tuple(x1.shape[:-1])
    rows = ops.matmul(ops.reshape(x1, (-1, n)), ops.reshape(ops.permute(weight, (1, 0, 2)), (n, outputs * m)))
    y = ops.sum(ops.reshape(rows, (*lead, outputs, m)) * ops.expand_dims(x2, -2), -1)
    if bias is None:
        return y
    bias = tensor_of(bias, "bilinear")
    if bias.shape != (outputs,):
        raise ShapeError(f"bilinear: bias has shape {tuple(bias.shape)}, expected ({outputs},).")
    return y + bias


@operation(
    None,
    lambda s: [
        case(np.array([[0, 2], [2, 3]]), s.normal(4, 3)),
        case(np.array(2), s.normal(4, 3)),
    ],
)
def embedding(x: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table,  weight[x].

    Args:
        x: integer tensor of any shape (`input`).
        weight: shape (rows, features).
        padding_idx: a row without derivative.

    Returns:
        Shape (*x.shape, features).

    >>> import hograd as ho
    >>> ho.embedding(ho.tensor([1, 0]), ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    x, weight = tensor_of(x, "embedding"), tensor_of(weight, "embedding")
    if x.dtype.kind not in "iu":
        raise DtypeError(f"embedding: x has dtype {x.dtype}, expected integer rows of weight.")
    if weight.ndim != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D, found shape {tuple(weight.shape)}.")
    rows = weight[x]
    if padding_idx is None:
        return rows
    padding = ops.expand_dims(ops.eq(x, padding_idx % weight.shape[0]), -1)
    return ops.where(padding, rows.detach(), rows)


def _causal(scores: Any) -> Any:
    """Which keys lie not behind each query."""
    shape = tuple(scores.shape[-2:])
    return wrap(np.tril(np.ones_like(below(scores), shape=shape, dtype=bool)))


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(5, 4), s.normal(5, 2)),
        case(s.normal(2, 3, 4), s.normal(2, 3, 4), s.normal(2, 3, 2), is_causal=True),
        case(s.normal(3, 4), s.normal(5, 4), s.normal(5, 2), s.normal(3, 5), scale=0.3),
        case(s.normal(3, 4), s.normal(4, 4), s.normal(4, 2), np.tri(3, 4) > 0),
    ],
)
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    generator: Any = None,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value.

    Args:
        query: shape (..., n, d).
        key: shape (..., m, d).
        value: shape (..., m, e).
        attn_mask: broadcast to (..., n, m): floating, added to the scores; or bool, True where to look.
        dropout_p: probability with which a weight is dropped.
        is_causal: look at no key behind the query's own place; not together with a mask.
        scale: default 1 / sqrt(d).
        generator: of the dropout.

    Returns:
        Shape (..., n, e); 0 for a query that may look nowhere, as in PyTorch.

    >>> import hograd as ho
    >>> q = ho.zeros(1, 2)
    >>> ho.scaled_dot_product_attention(q, ho.ones(2, 2), ho.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    query, key, value = (tensor_of(x, "scaled_dot_product_attention") for x in (query, key, value))
    if attn_mask is not None and is_causal:
        raise ArgumentError("scaled_dot_product_attention: explicit attn_mask should not be set when is_causal=True.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
        raise ShapeError(f"scaled_dot_product_attention got shapes {shapes}, expected at least two axes of each.")
    scores = ops.matmul(query, ops.mT(key)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    mask: Any = _causal(scores) if is_causal else attn_mask
    if mask is not None:
        mask = tensor_of(mask, "scaled_dot_product_attention")
        scores = ops.where(mask, scores, -math.inf) if mask.dtype == np.bool_ else scores + mask
    if attn_mask is None:
        weights = ops.softmax(scores, -1)
    else:
        nowhere = ops.all(ops.eq(scores, -math.inf), -1, True)
        weights = ops.where(nowhere, 0.0, ops.softmax(ops.where(nowhere, 0.0, scores), -1))
    if dropout_p:
        weights = dropout(weights, dropout_p, generator=generator)
    return ops.matmul(weights, value)
