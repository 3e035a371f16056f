"""PyTorch's `torch.autograd` names."""

from __future__ import annotations

from hograd.autograd import function, functional, graph
from hograd.autograd.function import Function
from hograd.core.grad import backward, grad
from hograd.core.levels import enable_grad, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "graph",
    "no_grad",
    "set_grad_enabled",
]
