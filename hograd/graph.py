"""Looking at a recorded graph: what it keeps alive, and a drawing of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.tape import Node
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError

__all__ = ["MemoryReport", "Usage", "dot", "memory_report"]


@dataclass
class Usage:
    """How many operations there are, and the bytes that they alone keep alive."""

    count: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.count += 1
        self.bytes += size


@dataclass
class MemoryReport:
    """What `memory_report` found; printed, it is a table.

    Attributes:
        total: of the whole graph.
        operations: of each operation by name, the largest first.
        steps: of each inner step, in order; empty if no steps were given.
        outside: of what was recorded before the first step.
    """

    total: Usage = field(default_factory=Usage)
    operations: dict[str, Usage] = field(default_factory=dict)
    steps: list[Usage] = field(default_factory=list)
    outside: Usage = field(default_factory=Usage)

    def __str__(self) -> str:
        rows = [(name, usage) for name, usage in self.operations.items()]
        if self.steps:
            rows += [("before the first step", self.outside)] if self.outside.count else []
            rows += [(f"step {k}", usage) for k, usage in enumerate(self.steps)]
        rows.append(("all", self.total))
        width = max(len(name) for name, _ in rows)
        lines = [f"{'':<{width}}  {'operations':>10}  {'bytes':>12}"]
        lines += [f"{name:<{width}}  {usage.count:>10,}  {usage.bytes:>12,}" for name, usage in rows]
        return "\n".join(lines)


def memory_report(outputs: Any, steps: Sequence[Any] = (), *, outside: bool = True) -> MemoryReport:
    """The bytes that the graph behind tensors keeps alive for the backward pass, by operation and by inner step.

    Counted is what the operations have saved, each array once, for the operation that saved it first. Views count as
    the array that they keep alive. After a backward pass without `retain_graph` nothing is left to count.

    Args:
        outputs: tree of recorded tensors, such as the outer loss.
        steps: for each inner step the tree of tensors that it began with, such as the parameters before it. An
            operation belongs to the last step that had begun when it was recorded.
        outside: whether to count what was recorded before the first step, too; False saves the way there.

    Raises:
        DtypeError: `outputs` holds something that is no tensor.

    >>> import hograd as ho
    >>> w = ho.ones(100, requires_grad=True)
    >>> params = [w]
    >>> for _ in range(2):
    ...     params.append(params[-1] - 0.1 * params[-1].sin())
    >>> print(ho.graph.memory_report(params[-1].sum(), steps=params[:-1]))
            operations         bytes
    SinBackward0           2         1,600
    MulBackward0           2             0
    SubBackward0           2             0
    SumBackward0           1             0
    step 0                 3           800
    step 1                 4           800
    all                    7         1,600
    """
    starts = [max((x.node.sequence for x in _tensors(values, "steps") if x.node), default=-1) for values in steps]
    report = MemoryReport(steps=[Usage() for _ in starts])
    seen: set[int] = set()
    oldest = min(starts) if starts and not outside else -1
    for node in _nodes(outputs, oldest):
        if node.primitive is None:
            continue
        size = sum(_bytes(value, seen) for value in (node.saved, node.params))
        begun = [k for k, start in enumerate(starts) if start < node.sequence]
        for usage in (
            report.total,
            report.operations.setdefault(node.name(), Usage()),
            *([report.steps[begun[-1]] if begun else report.outside] if starts else []),
        ):
            usage.add(size)
    order = sorted(report.operations.items(), key=lambda item: (-item[1].bytes, -item[1].count, item[0]))
    report.operations = dict(order)
    return report


def dot(outputs: Any, params: Any = None, *, steps: Sequence[Any] = ()) -> str:
    """A drawing of the graph behind tensors, as text in the DOT language, which Graphviz and many viewers show.

    Ellipses are operations with the shape of their answer, boxes are leaves, and what has a name is filled. Edges go
    from what an operation takes to its answer.

    Args:
        outputs: tree of recorded tensors.
        params: tree of tensors to be named by their place in it.
        steps: sequence of such trees, one for each inner step; their names carry the number of the step.

    Returns:
        The text, the same for the same graph.

    >>> import hograd as ho
    >>> w = ho.tensor([1.0, 2.0], requires_grad=True)
    >>> print(ho.graph.dot((w * w).sum(), {"w": w}))
    digraph {
      n0 [label="w\\n(2,)", shape=box, style=filled, fillcolor=lightblue]
      n1 [label="mul\\n(2,)"]
      n2 [label="sum\\n()", style=bold]
      n0 -> n1
      n0 -> n1
      n1 -> n2
    }
    """
    names: dict[Node, str] = {}
    for k, values in enumerate(steps):
        _name(values, f" (step {k})", names)
    _name(params, "", names)
    nodes = _nodes(outputs)
    number = {node: f"n{i}" for i, node in enumerate(nodes)}
    heads = {x.node for x in _tensors(outputs, "outputs")}
    lines = []
    for node in nodes:
        label = [] if node.primitive is None else [node.primitive.name]
        if node in names:
            label.insert(0, names[node])
        looks = {}
        if node.primitive is None:
            looks["shape"] = "box"
        styles = ["filled"] * (node in names) + ["bold"] * (node in heads)
        if styles:
            looks["style"] = styles[0] if len(styles) == 1 else f'"{",".join(styles)}"'
        if node in names:
            looks["fillcolor"] = "lightblue"
        text = "\\n".join([*(part.replace("\\", "\\\\").replace('"', '\\"') for part in label), str(tuple(node.shape))])
        lines.append(f'  {number[node]} [label="{text}"{"".join(f", {k}={v}" for k, v in looks.items())}]')
    for node in nodes:
        lines += [f"  {number[parent]} -> {number[node]}" for parent in node.parents if parent is not None]
    return "\n".join(["digraph {", *lines, "}"])


def _tensors(values: Any, name: str) -> list[Tensor]:
    found = tree.leaves(values)
    for i, x in enumerate(found):
        if not isinstance(x, Tensor):
            raise DtypeError(f"{name}[{i}] is {type(x).__name__}, expected a tensor.")
    return found


def _nodes(outputs: Any, oldest: int = -1) -> list[Node]:
    """The nodes behind tensors that were recorded after number `oldest`, in the order in which they were."""
    stack = [x.node for x in _tensors(outputs, "outputs") if x.node is not None and x.node.sequence > oldest]
    seen = set(stack)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent.sequence > oldest and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=attrgetter("sequence"))


def _bytes(value: Any, seen: set[int]) -> int:
    """The bytes of the arrays in a saved value that were not counted before."""
    if isinstance(value, Tensor):
        return _bytes(value.value, seen) + _bytes(getattr(value, "tangent", None), seen)
    if isinstance(value, (tuple, list)):
        return sum(_bytes(part, seen) for part in value)
    if isinstance(value, dict):
        return sum(_bytes(part, seen) for part in value.values())
    if not hasattr(value, "nbytes"):
        return 0
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    if id(value) in seen:
        return 0
    seen.add(id(value))
    return int(value.nbytes)


def _name(values: Any, suffix: str, names: dict[Node, str]) -> None:
    """Note what the tensors in a tree are called: `layers[0].weight`."""
    for path, x in zip(tree.paths(values), _tensors(values, "params"), strict=True):
        if x.node is not None:
            plain = re.sub(r"\['([^']*)'\]", r".\1", path).lstrip(".")
            names[x.node] = (plain or "x") + suffix
