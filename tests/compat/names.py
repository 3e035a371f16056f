"""Which of PyTorch's names hograd has, and how both are called by them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import hograd as ho

with warnings.catch_warnings():
    # PyTorch's tests warn of what they would use if it were there.
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

#: Namespaces of PyTorch whose names hograd has at its top level, and the one name that is another function there.
FOLDED = ("nn.functional.", "special.")
NOT_FOLDED = ("nn.functional.unfold",)

#: PyTorch's samples come in the order of its tests; the arguments in the order of the public function.
ARRANGEMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "where": lambda x, condition, other: (condition, x, other),
    "einsum": lambda tensors, equation: (equation, *tensors),
    "polygamma": lambda x, n: (n, x),
    "special.polygamma": lambda x, n: (n, x),
    "nn.functional.embedding": lambda weight, index: (index, weight),
    "nn.functional.embedding_bag": lambda weight, index: (index, weight),
    "svd_lowrank": lambda a, b: (a @ b.mT,),
    "pca_lowrank": lambda a, b: (a @ b.mT,),
    "linalg.pinv.singular": lambda a, b: (a @ b.mT,),
    "normal.number_mean": lambda std, mean: (mean, std),
}


def symmetric(x: Any, *rest: Any, **_: Any) -> tuple[Any, ...]:
    return x + x.mT, *rest


def triangle(x: Any, upper: bool = False) -> Any:
    mask = (np.triu if upper else np.tril)(np.ones(tuple(x.shape[-2:])))
    return x * (ho if isinstance(x, ho.Tensor) else torch).tensor(mask)


#: Inputs whose derivative is a convention where they are not read: as PyTorch's tests complete them.
INPUTS: dict[str, Callable[..., tuple[Any, ...]]] = {
    **dict.fromkeys(["cholesky", "linalg.cholesky", "linalg.cholesky_ex", "linalg.eigh"], symmetric),
    **dict.fromkeys(["linalg.eigvalsh", "linalg.pinv.hermitian"], symmetric),
    "cholesky_inverse": lambda x, upper=False: (triangle(x, upper),),
    "cholesky_solve": lambda x, factor, upper=False: (x, triangle(factor, upper)),
}

#: The answers that PyTorch's tests compare, where they are not all.
OUTPUTS: dict[str, Callable[[Any], Any]] = {
    "linalg.lstsq.grad_oriented": lambda answer: tuple(answer)[:1],
    # What lies in memory that nothing was written to.
    **dict.fromkeys(["empty", "empty_like", "new_empty"], lambda answer: answer.new_zeros(tuple(answer.shape))),
}


@dataclass(frozen=True)
class Form:
    """One way to call an operation in both libraries."""

    name: str
    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    arranged: bool = False
    in_place: bool = False
    called: str = ""


def attribute(root: Any, path: str) -> Any:
    """The attribute at a dotted path, or None."""
    try:
        return functools.reduce(getattr, path.split("."), root)
    except AttributeError:
        return None


def function_of_hograd(path: str) -> Any:
    """hograd's function of PyTorch's name, also where it is at the top level and in no other place."""
    for prefix in ("", *FOLDED) if path not in NOT_FOLDED else ("",):
        if path.startswith(prefix) and callable(found := attribute(ho, path.removeprefix(prefix))):
            return found
    return None


def identifier(op: Any) -> str:
    """PyTorch's name of an operation, with the variant that its tests distinguish."""
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def names_of(op: Any) -> list[str]:
    """The operation's name and its aliases."""
    return list(dict.fromkeys([op.name, *(alias.name.removeprefix("torch.") for alias in op.aliases)]))


def method(name: str) -> Callable[..., Any]:
    """Call the method, or read the property, of this name."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(x, name)
        return found(*args, **kwargs) if callable(found) and not hasattr(found, "shape") else found

    return call


def in_place(name: str) -> Callable[..., Any]:
    """Call the method of this name on a copy, and give what has become of the copy."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        copy = x.clone()
        getattr(copy, name)(*args, **kwargs)
        return copy

    return call


def method_of_name(name: str) -> str:
    """The method that a name stands for; none for `linalg.norm` and the like, which are not methods."""
    prefix = next((prefix for prefix in FOLDED if name.startswith(prefix)), "")
    short = name.removeprefix(prefix).removesuffix("_")
    hidden = "." in short or name in NOT_FOLDED or (prefix and short in {op.name for op in op_db})
    return "" if hidden or name.startswith("_unsafe") else short


def forms(op: Any) -> list[Form]:
    """Every way to call the operation that both libraries have."""
    found: list[Form] = []
    for name in names_of(op):
        short = method_of_name(name)
        ways = [(short, method), (f"{short}_", in_place)] if short else []
        if op.variant_test_name == "in_place" or name.endswith("_"):
            ways = ways[1:]
        elif callable(theirs := attribute(torch, name)) and (ours := function_of_hograd(name)):
            found.append(Form(name, theirs, ours, arranged=True, called=ours.__name__))
        for called, way in ways:
            if hasattr(torch.Tensor, called) and hasattr(ho.Tensor, called):
                python_name = getattr(getattr(ho.Tensor, called), "__name__", called)
                call = way(called)
                found.append(Form(f"Tensor.{called}", call, call, in_place=way is in_place, called=python_name))
    if op.operator_variant is not None and op.name not in ("__getitem__",):
        operator = op.operator_variant
        dunder = f"__{operator.__name__.strip('_')}__"
        if hasattr(ho.Tensor, dunder):
            found.append(Form(f"operator.{operator.__name__}", operator, operator, called=dunder))
    return found


def dtype_of_samples(op: Any) -> Any:
    """The dtype in which the operation is compared: float64 where it takes it; None for those of other kinds alone."""
    taken = op.supported_dtypes("cpu")
    return next((dtype for dtype in (torch.float64, torch.int64, torch.bool) if dtype in taken), None)


@functools.cache
def shared() -> dict[str, Any]:
    """The operations of PyTorch's test database that hograd has in any form, by identifier."""
    return {identifier(op): op for op in op_db if forms(op) and dtype_of_samples(op)}


def missing() -> dict[str, list[str]]:
    """What PyTorch has under a name and hograd has not, by kind."""
    lacking: dict[str, list[str]] = {"functions": [], "methods": [], "in place": []}
    for op in op_db:
        for name in names_of(op):
            if name.startswith(("_", "torch.", "jiterator")):
                continue
            if callable(attribute(torch, name)) and function_of_hograd(name) is None:
                lacking["functions"].append(name)
            if "." not in name and hasattr(torch.Tensor, name) and not hasattr(ho.Tensor, name):
                lacking["methods"].append(name)
            if "." not in name and hasattr(torch.Tensor, f"{name}_") and not hasattr(ho.Tensor, f"{name}_"):
                lacking["in place"].append(f"{name}_")
    return {kind: sorted(set(names)) for kind, names in lacking.items()}
