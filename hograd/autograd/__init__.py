"""PyTorch's `torch.autograd` names."""

from __future__ import annotations

from hograd.autograd import functional, graph
from hograd.core.grad import backward, grad
from hograd.core.levels import enable_grad, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "functional", "grad", "graph", "no_grad", "set_grad_enabled"]
