"""Rules are written in F alone, so that they serve every order and every level.

The source of each rule is read: it may name F, its own parameters and variables, builtins, `math`, functions that take
F, and functions of shapes and axes. It never decides by, or writes to, the values that it is given.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from pathlib import Path

import numpy as np
import pytest

import hograd.ops
from hograd import tree
from hograd.core.primitive import kernels, primitives

from .samples import Bound, assert_equal, every_case

FILES = sorted(Path(inspect.getfile(hograd.ops)).parent.glob("*.py"))
#: What rules call the arrays and tensors that they are given; everything else is a parameter or a shape.
VALUES = {"g", "t", "x", "y", "a", "b", "c", "tangents", "values", "arrays"}
STATIC_ATTRIBUTES = {"shape", "ndim", "dtype"}


def parameters(function):
    return [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]


def functions_of(path):
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]


#: Every function and lambda of the operations' files, by where it starts and what its parameters are called.
WRITTEN = {
    (
        str(path),
        min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]),
        tuple(parameters(node)),
    ): node
    for path in FILES
    for node in functions_of(path)
}
NAMED = {node.name: node for node in WRITTEN.values() if isinstance(node, ast.FunctionDef)}


def rules_of(primitive):
    """The functions that an author wrote for this primitive's derivatives."""
    if not primitive.differentiable:
        return
    adapted = getattr(primitive.vjps, "rules", primitive.vjps)
    for rule in adapted:
        if rule is not None:
            inside = inspect.getclosurevars(rule).nonlocals.get("rule")
            if inside is not None:
                yield inside
    if primitive.jvp is not None:
        yield primitive.jvp


RULES = {f"{name}-{i}": rule for name, primitive in primitives.items() for i, rule in enumerate(rules_of(primitive))}


def source_of(rule):
    code = rule.__code__
    return WRITTEN[code.co_filename, code.co_firstlineno, code.co_varnames[: code.co_argcount]]


class Reader(ast.NodeVisitor):
    """Finds what a rule must not do.

    `values` grows by the variables that are computed from values, so that shapes and axes stay apart from them.
    """

    def __init__(self, function):
        self.faults = []
        self.helpers = set()
        self.local = set(parameters(function))
        self.values = self.local & VALUES
        body = function.body if isinstance(function.body, list) else [function.body]
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.local.add(node.id)
        for statement in body:
            self.visit(statement)

    def holds_values(self, node):
        if isinstance(node, ast.Attribute) and node.attr in STATIC_ATTRIBUTES:
            return False
        if isinstance(node, ast.Compare) and all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return False
        if isinstance(node, ast.Name):
            return node.id in self.values
        return any(self.holds_values(child) for child in ast.iter_child_nodes(node))

    def fault(self, node, text):
        self.faults.append(f"line {node.lineno}: {text}: {ast.unparse(node)}")

    def visit_Name(self, node):
        known = self.local | {"F", "math"} | set(dir(builtins)) | set(NAMED)
        if isinstance(node.ctx, ast.Load) and node.id not in known:
            self.fault(node, "is neither F nor the rule's own")
        elif node.id in NAMED and node.id not in self.local:
            self.helpers.add(node.id)

    def visit_Call(self, node):
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name in NAMED and name not in self.local and parameters(NAMED[name])[:1] != ["F"]:
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if self.holds_values(argument):
                    self.fault(node, "gives a value to a function that does not take F")
        self.generic_visit(node)

    def visit_Attribute(self, node):
        root = node.value.id if isinstance(node.value, ast.Name) else None
        if root not in ("F", "math") and node.attr not in STATIC_ATTRIBUTES and self.holds_values(node.value):
            self.fault(node, "uses a method of a value, which arrays and tensors need not share")
        self.generic_visit(node)

    def visit_Assign(self, node):
        for target in node.targets:
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                self.fault(node, "writes to a value")
            elif self.holds_values(node.value):
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if self.holds_values(value):
                        self.values |= {n.id for n in ast.walk(name) if isinstance(n, ast.Name)}
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.fault(node, "writes in place")

    def decides(self, node):
        if self.holds_values(node.test):
            self.fault(node.test, "decides by a value")
        self.generic_visit(node)

    visit_If = visit_IfExp = visit_While = decides


def faults_of(function, seen=frozenset()):
    reader = Reader(function)
    found = list(reader.faults)
    for name in reader.helpers - seen:
        if parameters(NAMED[name])[:1] == ["F"]:
            found += [f"{name}, {fault}" for fault in faults_of(NAMED[name], seen | reader.helpers)]
    return found


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_is_written_in_F(rule):
    source = source_of(rule)
    assert parameters(source)[0] == "F"
    assert faults_of(source) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("lambda F, g, x: np.exp(x) * g", "neither F"),
        ("lambda F, g, x: g * x.sum()", "method of a value"),
        ("lambda F, g, x: g if x > 0 else -g", "decides by a value"),
        ("lambda F, g, x, axis: g if axis is None else F.sum(g, axis=axis)", None),
        ("lambda F, g, x: F.reshape(g, x.shape) * math.pi", None),
        ("lambda F, g, x: g * axes_of(x, 1, '')", "does not take F"),
        ("lambda F, g, x: [y for y in (g, x)][hidden]", "neither F"),
        ("def rule(F, g, x):\n    g[0] = 1\n    return g", "writes to a value"),
        ("def rule(F, g, x):\n    g += x\n    return g", "in place"),
        (
            "def rule(F, g, x):\n    total = F.sum(x)\n    if total > 0:\n        return g\n    return x",
            "decides by a value",
        ),
        ("def rule(F, g, x):\n    size = x.shape[0]\n    if size > 0:\n        return g\n    return x", None),
    ],
)
def test_the_reader_sees_what_a_rule_must_not_do(source, fault):
    statement = ast.parse(source).body[0]
    faults = faults_of(statement.value if isinstance(statement, ast.Expr) else statement)
    assert (faults == []) if fault is None else any(fault in text for text in faults)


def test_every_primitive_with_derivatives_was_read():
    constant = {"add", "sub", "neg", "clone", "sign", "floor_divide", "remainder"} | {
        "floor", "ceil", "trunc", "frac", "round", "deg2rad", "rad2deg", "nextafter", "checked",
    }  # fmt: skip
    read = {name.rpartition("-")[0] for name in RULES}
    missing = {name for name, primitive in primitives.items() if primitive.differentiable} - read
    assert missing <= constant


def has_kernel(operation):
    return getattr(kernels, operation.name) is not None


@pytest.mark.parametrize(("operation", "index"), every_case(has_kernel))
def test_F_means_the_same_on_arrays_as_on_tensors(operation, index):
    bound = Bound(operation, index)
    kwargs = {{"dim": "axis", "keepdim": "keepdims"}.get(k, k): v for k, v in bound.case.kwargs.items()}
    on_arrays = getattr(kernels, operation.name)(*bound.arguments(bound.arrays), **kwargs)
    for y, e in zip(tree.leaves(on_arrays), bound(*bound.tensors()), strict=True):
        assert type(y) is not np.ndarray or y.ndim
        assert_equal(y, e)
