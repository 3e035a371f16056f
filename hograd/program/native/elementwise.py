"""Elementwise primitives as vector instructions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hograd.program.native.emit import BOOL, FLOAT64, Function, constant, is_native, type_of
from hograd.program.native.functions import FUNCTIONS, Vectors, transcendental

#: Comparisons, with their conditions; != holds beside nan.
COMPARISONS = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
#: Of two bools.
LOGIC = {
    "logical_and": "and",
    "logical_or": "or",
    "logical_xor": "xor",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "ne": "xor",
}
INTRINSICS = {
    "sqrt": "sqrt",
    "safe_sqrt": "sqrt",
    "abs": "fabs",
    "maximum": "maximum",
    "minimum": "minimum",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "copysign": "copysign",
}
#: Of the C library, one element at a time.
LIBRARY = {"sin": "sin", "cos": "cos"}
ALIASES = {"clone": "convert", "astype": "convert", "convert": "convert"}


class Lanes:
    """Writes elementwise instructions on `lanes` elements at a time."""

    def __init__(self, function: Function, lanes: int) -> None:
        self.function = function
        self.lanes = lanes

    def convert(self, value: str, dtype: Any, target: Any) -> str:
        """A value of one dtype in another."""
        if dtype == target:
            return value
        source, kind = type_of(dtype, self.lanes), type_of(target, self.lanes)
        if dtype == BOOL:
            one, zero = constant(1.0, target, self.lanes), constant(0.0, target, self.lanes)
            return self.function.let(f"select {source} {value}, {kind} {one}, {kind} {zero}")
        if target == BOOL:
            return self.function.let(f"fcmp une {source} {value}, {constant(0.0, dtype, self.lanes)}")
        operation = "fpext" if target == FLOAT64 else "fptrunc"
        return self.function.let(f"{operation} {source} {value} to {kind}")

    def write(
        self, name: str, params: dict[str, Any], operands: Sequence[tuple[str, Any]], computed: Any, dtype: Any
    ) -> str:
        """One instruction.

        Args:
            name: of the primitive.
            params: of the primitive.
            operands: pairs of value and dtype.
            computed: the dtype in which it computes.
            dtype: of the answer.
        """
        if name in ALIASES:
            return self.convert(*operands[0], dtype)
        if name == "where":
            (c, kind), *rest = operands
            a, b = (self.convert(v, d, dtype) for v, d in rest)
            answer, mask = type_of(dtype, self.lanes), type_of(BOOL, self.lanes)
            return self.function.let(f"select {mask} {self.convert(c, kind, BOOL)}, {answer} {a}, {answer} {b}")
        values = [self.convert(v, d, computed) for v, d in operands]
        if computed == BOOL:
            mask = type_of(BOOL, self.lanes)
            if name in ("logical_not", "bitwise_not", "eq"):
                first = values[0] if len(values) == 1 else self.function.let(f"xor {mask} {values[0]}, {values[1]}")
                return self.function.let(f"xor {mask} {first}, {constant(True, BOOL, self.lanes)}")
            return self.function.let(f"{LOGIC[name]} {mask} {values[0]}, {values[1]}")
        vectors = Vectors(self.function, computed, self.lanes)
        if name in COMPARISONS:
            return vectors.compare(COMPARISONS[name], values[0], values[1])
        if name in FUNCTIONS:
            return transcendental(self.function, name, computed, self.lanes, values[0])
        if name in INTRINSICS:
            return vectors.intrinsic(INTRINSICS[name], *values)
        if name in LIBRARY:
            return vectors.intrinsic(LIBRARY[name], *values)
        if name == "power":
            return self._power(vectors, values[0], params["exponent"])
        return _FORMULAS[name](self, vectors, *values)

    def function_of(self, name: str, vectors: Vectors, x: str) -> str:
        return transcendental(self.function, name, vectors.dtype, self.lanes, x)

    def _power(self, v: Vectors, x: str, exponent: float) -> str:
        if exponent == 0.5:
            return v.intrinsic("sqrt", x)
        if exponent == -1:
            return v.div(v.const(1.0), x)
        if exponent in (2, 3, 4):
            square = v.mul(x, x)
            return square if exponent == 2 else v.mul(square, x if exponent == 3 else square)
        return v.intrinsic("pow", x, v.const(exponent))


def _sigmoid(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    return v.div(one, v.add(one, at.function_of("exp", v, v.neg(x))))


def _logaddexp(at: Lanes, v: Vectors, a: str, b: str) -> str:
    apart = at.function_of("exp", v, v.neg(v.abs(v.sub(a, b))))
    y = v.add(v.intrinsic("maximum", a, b), at.function_of("log1p", v, apart))
    # Also where both are the same infinity, whose difference is nan.
    return v.select(v.compare("oeq", a, b), v.add(a, v.const(math.log(2))), y)


def _sign(at: Lanes, v: Vectors, x: str) -> str:
    one = v.intrinsic("copysign", v.const(1.0), x)
    return v.select(v.compare("one", x, v.const(0.0)), one, v.select(v.compare("uno", x, x), x, v.const(0.0)))


def _one_minus_square(at: Lanes, v: Vectors, x: str) -> str:
    return v.sub(v.const(1.0), v.mul(x, x))


def _squared_error(at: Lanes, v: Vectors, a: str, b: str) -> str:
    apart = v.sub(a, b)
    return v.mul(apart, apart)


_FORMULAS: dict[str, Callable[..., str]] = {
    "add": lambda at, v, a, b: v.add(a, b),
    "sub": lambda at, v, a, b: v.sub(a, b),
    "mul": lambda at, v, a, b: v.mul(a, b),
    "div": lambda at, v, a, b: v.div(a, b),
    "neg": lambda at, v, x: v.neg(x),
    "square": lambda at, v, x: v.mul(x, x),
    "reciprocal": lambda at, v, x: v.div(v.const(1.0), x),
    "rsqrt": lambda at, v, x: v.div(v.const(1.0), v.intrinsic("sqrt", x)),
    "relu": lambda at, v, x: v.select(v.compare("ole", x, v.const(0.0)), v.const(0.0), x),
    "sigmoid": _sigmoid,
    "silu": lambda at, v, x: v.mul(x, _sigmoid(at, v, x)),
    "softplus": lambda at, v, x: _logaddexp(at, v, x, v.const(0.0)),
    "logaddexp": _logaddexp,
    "sign": _sign,
    "one_minus_square": _one_minus_square,
    "squared_error": _squared_error,
    "isnan": lambda at, v, x: v.compare("uno", x, x),
    "isfinite": lambda at, v, x: v.compare("olt", v.abs(x), v.const(math.inf)),
    "isinf": lambda at, v, x: v.compare("oeq", v.abs(x), v.const(math.inf)),
}

_TO_BOOL = {*COMPARISONS, "isnan", "isfinite", "isinf"}
_OF_BOOLS = {*LOGIC, "logical_not", "bitwise_not", "eq"}


def computed_in(name: str, params: dict[str, Any], dtypes: Sequence[Any], dtype: Any) -> Any:
    """The dtype in which an instruction computes; None where it is left to NumPy.

    Args:
        name: of the primitive.
        params: of the primitive.
        dtypes: of the operands; None for Python numbers, which take the others'.
        dtype: of the answer.
    """
    known = [d for d in dtypes if d is not None]
    if not known or not is_native(dtype) or not all(map(is_native, known)):
        return None
    if name in ALIASES:
        return dtype
    if name == "where":
        return dtype if dtypes[0] is not None else None
    if name in _OF_BOOLS and all(d == BOOL for d in dtypes):
        return BOOL
    if name in _TO_BOOL:
        floats = [d for d in known if d != BOOL]
        if not floats or dtype != BOOL:
            return None
        return FLOAT64 if FLOAT64 in floats else floats[0]
    if dtype == BOOL:
        return None
    if name == "power":
        return dtype if type(params["exponent"]) in (int, float) else None
    if name in _FORMULAS or name in FUNCTIONS or name in INTRINSICS or name in LIBRARY:
        return dtype
    return None
