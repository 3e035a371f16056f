"""PyTorch's `torch.autograd.graph` names."""

from __future__ import annotations

from hograd.core.saved import saved_tensors_hooks
from hograd.core.tape import Node

__all__ = ["Node", "saved_tensors_hooks"]
