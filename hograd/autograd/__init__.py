"""PyTorch's `torch.autograd` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hograd.autograd import anomaly_mode, function, functional, graph
from hograd.autograd.anomaly_mode import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from hograd.autograd.function import Function
from hograd.core.grad import backward, grad
from hograd.core.levels import enable_grad, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

if TYPE_CHECKING:
    from hograd.check import gradcheck, gradgradcheck
else:

    def __getattr__(name):
        if name in ("gradcheck", "gradgradcheck"):
            from hograd import check

            return getattr(check, name)
        raise AttributeError(f"module 'hograd.autograd' has no attribute {name!r}")
