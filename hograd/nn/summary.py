"""How large a network is: counts of parameters, and the table of its layers."""

from __future__ import annotations

import math
from typing import Any

from hograd import tree
from hograd.core.levels import no_grad
from hograd.core.tensor import Tensor
from hograd.nn.layer import Layer, called
from hograd.ops.create import zeros

WIDTH = 80
LONGEST = {"name": 24, "output": 24}


def count(params: Any) -> int:
    """How many numbers a tree of parameters holds.

    >>> from hograd import nn
    >>> nn.count(nn.linear(3, 2).init(0))
    8
    """
    return sum(math.prod(leaf.shape) for leaf in tree.leaves(params))


def table(net: Layer, inputs: tuple[Any, ...]) -> str:
    """What `Layer.summary` returns."""
    examples = [x if isinstance(x, Tensor) else zeros(x) for x in inputs]
    params, records = net.init(0), []
    with no_grad():
        # Training needs no statistics and no key where neither is used; using needs only statistics, which are there.
        net._run(params, tuple(examples), net.init_state(), False, 0, None, records)
    rows = [("name", "layer", "output", "parameters")]
    rows += [
        (_short(path, LONGEST["name"]), called(layer), _short(_shape(y), LONGEST["output"]), f"{count(own):,}")
        for path, layer, y, own in records
    ]
    rows.append(("all", "", "", f"{count(params):,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[1] = min(widths[1], WIDTH - 6 - widths[0] - widths[2] - widths[3])
    lines = [
        f"{name:<{widths[0]}}  {_short(layer, widths[1]):<{widths[1]}}  {shape:<{widths[2]}}  {number:>{widths[3]}}"
        for name, layer, shape, number in rows
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _shape(y: Any) -> str:
    return ", ".join(str(tuple(leaf.shape)) for leaf in tree.leaves(y))


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
