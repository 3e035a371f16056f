"""PyTorch's `torch.autograd` names."""

from __future__ import annotations

from hograd.autograd import anomaly_mode, function, functional, graph
from hograd.autograd.anomaly_mode import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from hograd.autograd.function import Function
from hograd.check import gradcheck, gradgradcheck
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
