"""Recurrent cells, and the layer that runs a cell over a sequence."""

from __future__ import annotations

import math
from typing import Any, Literal

from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.nn.init import Initializer, uniform
from hograd.nn.layer import Layer, Params, Scope, size
from hograd.ops.create import zeros


class Cell(Layer):
    """One step of a recurrent network: `apply(params, x, carry)` returns the next carry.

    Args:
        inputs: features of x.
        hidden: features of the hidden state.
        bias: whether there are biases.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(hidden), as in PyTorch.

    Parameters, with as many blocks of rows as the cell has gates: weight_ih (gates * hidden, inputs),
    weight_hh (gates * hidden, hidden), bias_ih and bias_hh (gates * hidden,). Input (..., inputs); without a carry,
    it begins with zeros.

    A cell of one's own writes `advance`.
    """

    inputs: int
    hidden: int
    bias: bool = True
    weight_init: Initializer | None = None
    bias_init: Initializer | None = None

    @property
    def gates(self) -> int:
        """How many blocks of `hidden` rows the weights have."""
        return 1

    def advance(self, projected: Any, carry: Any, hidden: Any) -> Any:
        """The next carry.

        Args:
            projected: weight_ih @ x + bias_ih, shape (..., gates * hidden).
            carry: the carry.
            hidden: weight_hh @ h + bias_hh of its hidden state h, of the same shape.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define advance().")

    def start(self, lead: tuple[int, ...], dtype: Any) -> Any:
        """The carry before the first step, zeros."""
        return zeros((*lead, self.hidden), dtype=dtype)

    def hidden_of(self, carry: Any) -> Any:
        """The hidden state in a carry."""
        return carry

    def make_params(self, generator: Any, dtype: Any) -> Params:
        inputs, hidden = size(self.inputs, "inputs", 0), size(self.hidden, "hidden")
        bound, rows = 1 / math.sqrt(hidden), self.gates * hidden

        def make(initializer: Initializer | None, *shape: int) -> Any:
            if initializer is None:
                return uniform(shape, -bound, bound, generator=generator, dtype=dtype)
            return initializer(shape, generator=generator, dtype=dtype)

        made = {"weight_ih": make(self.weight_init, rows, inputs), "weight_hh": make(self.weight_init, rows, hidden)}
        if self.bias:
            made |= {"bias_ih": make(self.bias_init, rows), "bias_hh": make(self.bias_init, rows)}
        return made

    def project(self, scope: Scope, x: Any) -> Any:
        """What of a step depends on the input alone, so that a sequence needs one product for all its steps."""
        if not x.ndim or x.shape[-1] != self.inputs:
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected (..., {self.inputs}).")
        y = x @ scope["weight_ih"].t()
        return y + scope["bias_ih"] if self.bias else y

    def next_carry(self, scope: Scope, projected: Any, carry: Any) -> Any:
        """The next carry, from the projected input."""
        hidden = self.hidden_of(carry) @ scope["weight_hh"].t()
        return self.advance(projected, carry, hidden + scope["bias_hh"] if self.bias else hidden)

    def forward(self, scope: Scope, x: Any, carry: Any = None) -> Any:
        carry = self.start(tuple(x.shape[:-1]), x.dtype) if carry is None else carry
        return self.next_carry(scope, self.project(scope, x), carry)


class rnn_cell(Cell):
    """tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh),  the plain recurrent cell.

    Args:
        inputs: features of x.
        hidden: features of h.
        bias: whether there are biases.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(hidden), as in PyTorch.
        nonlinearity: "tanh" or "relu".

    Parameters: weight_ih (hidden, inputs), weight_hh (hidden, hidden), bias_ih and bias_hh (hidden,).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> cell = nn.rnn_cell(3, 4)
    >>> params, h = cell.init(0), ho.zeros(2, 4)
    >>> cell.apply(params, ho.ones(2, 3), h).shape
    (2, 4)
    """

    nonlinearity: Literal["tanh", "relu"] = "tanh"

    def __post_init__(self) -> None:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"rnn_cell: nonlinearity is {self.nonlinearity!r}, expected 'tanh' or 'relu'.")

    def advance(self, projected: Any, carry: Any, hidden: Any) -> Any:
        return (ops.tanh if self.nonlinearity == "tanh" else ops.relu)(projected + hidden)


class gru_cell(Cell):
    """Gated recurrent unit (Cho et al., 2014), as PyTorch has it.

    r, z = sigmoid of their rows of  weight_ih @ x + bias_ih + weight_hh @ h + bias_hh,
    n = tanh(input rows + r * hidden rows),  h' = (1 - z) * n + z * h.

    Args:
        inputs: features of x.
        hidden: features of h.
        bias: whether there are biases.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(hidden), as in PyTorch.

    Parameters, rows in the order r, z, n: weight_ih (3 * hidden, inputs), weight_hh (3 * hidden, hidden), bias_ih and
    bias_hh (3 * hidden,).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> cell = nn.gru_cell(3, 4)
    >>> cell.apply(cell.init(0), ho.ones(2, 3), ho.zeros(2, 4)).shape
    (2, 4)
    """

    @property
    def gates(self) -> int:
        return 3

    def advance(self, projected: Any, carry: Any, hidden: Any) -> Any:
        n = 2 * self.hidden
        r, z = ops.split(ops.sigmoid(projected[..., :n] + hidden[..., :n]), self.hidden, -1)
        new = ops.tanh(projected[..., n:] + r * hidden[..., n:])
        return new + z * (carry - new)


class lstm_cell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; with a forget gate), as PyTorch has it.

    i, f, o = sigmoid and g = tanh of their rows of  weight_ih @ x + bias_ih + weight_hh @ h + bias_hh,
    c' = f * c + i * g,  h' = o * tanh(c').

    Args:
        inputs: features of x.
        hidden: features of h and c.
        bias: whether there are biases.
        weight_init, bias_init: see `nn.init`; default uniform in +- 1 / sqrt(hidden), as in PyTorch.

    Parameters, rows in the order i, f, g, o: weight_ih (4 * hidden, inputs), weight_hh (4 * hidden, hidden), bias_ih
    and bias_hh (4 * hidden,). The carry is the pair (h, c).

    >>> import hograd as ho
    >>> from hograd import nn
    >>> cell = nn.lstm_cell(3, 4)
    >>> h, c = cell.apply(cell.init(0), ho.ones(2, 3), (ho.zeros(2, 4), ho.zeros(2, 4)))
    >>> h.shape
    (2, 4)
    """

    @property
    def gates(self) -> int:
        return 4

    def start(self, lead: tuple[int, ...], dtype: Any) -> Any:
        return zeros((*lead, self.hidden), dtype=dtype), zeros((*lead, self.hidden), dtype=dtype)

    def hidden_of(self, carry: Any) -> Any:
        if not isinstance(carry, (tuple, list)) or len(carry) != 2:
            raise ArgumentError(f"lstm_cell: the carry is {type(carry).__name__}, expected the pair (h, c).")
        return carry[0]

    def advance(self, projected: Any, carry: Any, hidden: Any) -> Any:
        i, f, g, o = ops.split(projected + hidden, self.hidden, -1)
        c = ops.sigmoid(f) * carry[1] + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c


class recurrent(Layer):
    """A cell run over a sequence:  carry_t = cell(x_t, carry_(t-1)),  output_t = the hidden state in carry_t.

    Args:
        cell: such as `nn.gru_cell(inputs, hidden)`.
        returns: "both", the outputs and the last carry; "outputs" alone, to chain such layers in `nn.sequential`; or
            "last", the last output alone.
        batch_first: whether x is (n, length, inputs) and not (length, n, inputs).
        reverse: from the last element to the first; outputs lie in the places of their inputs.

    Input: (length, n, inputs) or (length, inputs), and the carry to begin with, default zeros. Output: the same with
    hidden features. The parameters are {"cell": those of the cell}.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> net = nn.sequential(
    ...     nn.recurrent(nn.gru_cell(3, 4), returns="outputs"), nn.recurrent(nn.lstm_cell(4, 5), returns="last")
    ... )
    >>> net.apply(net.init(0), ho.ones(7, 2, 3)).shape
    (2, 5)
    """

    cell: Cell
    returns: Literal["both", "outputs", "last"] = "both"
    batch_first: bool = False
    reverse: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise ArgumentError(f"recurrent: cell is {self.cell!r}, expected a cell such as nn.gru_cell(3, 4).")
        if self.returns not in ("both", "outputs", "last"):
            raise ArgumentError(f"recurrent: returns is {self.returns!r}, expected 'both', 'outputs' or 'last'.")

    def forward(self, scope: Scope, x: Tensor, carry: Any = None) -> Any:
        if x.ndim < 2:
            raise ShapeError(f"{scope.where}: x has shape {tuple(x.shape)}, expected a sequence of inputs.")
        if self.batch_first and x.ndim > 2:
            x = x.swapaxes(0, 1)
        inside = scope.inside("cell")
        projected = self.cell.project(inside, x)
        length = x.shape[0]
        if carry is None:
            carry = self.cell.start(tuple(x.shape[1:-1]), x.dtype)
        outputs: list[Any] = [None] * length
        for i in reversed(range(length)) if self.reverse else range(length):
            carry = self.cell.next_carry(inside, projected[i], carry)
            outputs[i] = self.cell.hidden_of(carry)
        if self.returns == "last":
            return self.cell.hidden_of(carry)
        y = ops.stack(outputs) if outputs else zeros((0, *x.shape[1:-1], self.cell.hidden), dtype=x.dtype)
        y = y.swapaxes(0, 1) if self.batch_first and x.ndim > 2 else y
        return y if self.returns == "outputs" else (y, carry)
