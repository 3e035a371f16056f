"""Where hograd and PyTorch 2.13 differ on PyTorch's own samples, and why. The only such table.

Every entry is observed by the tests; one that no longer differs fails them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A known difference.

    Attributes:
        ops: the operations, by PyTorch's names, separated by spaces.
        what: `value`, `gradient`, `second derivative`, `dtype`, `structure` (another number of answers), `draws`
            (random or undefined numbers: only shapes and dtypes are compared), or `refused` (hograd raises its own
            error for these arguments).
        why: the reason.
        when: which samples it holds for, as a condition on the arguments; every sample if None.
        form: the form of the call, such as `Tensor.sum`; every form if empty.
    """

    ops: str
    what: str
    why: str
    when: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None = None
    form: str = ""

    def covers(self, found: Any) -> bool:
        """Whether this entry is about a difference that was found."""
        same = found.what == self.what or (self.what == "draws" and found.what in DERIVED)
        if not same or (self.form and self.form != found.form):
            return False
        return self.when is None or self.when((found.sample.input, *found.sample.args), found.sample.kwargs)


DERIVED = ("value", "gradient", "second derivative")


Condition = Callable[[tuple[Any, ...], dict[str, Any]], bool]


def given(*names: str) -> Condition:
    """Samples with one of these keywords."""
    return lambda args, kwargs: any(name in kwargs for name in names)


DIFFERENCES = [
    # Draws
    Difference(
        "randn randn_like rand_like randint normal normal.number_mean bernoulli",
        "draws",
        "The generator is NumPy's, so the draws are others.",
    ),
    # Dtypes
    Difference(
        "linspace linspace.tensor_overload",
        "dtype",
        "The default dtype is float64 in hograd and float32 in PyTorch.",
        lambda args, kwargs: "dtype" not in kwargs,
    ),
    # Answers
    Difference(
        "linalg.lstsq",
        "value",
        "With some drivers PyTorch leaves the residuals, the rank or the singular values empty; hograd gives them all.",
    ),
    # Derivatives at kinks and poles
    Difference(
        "linalg.norm.subgradients_at_zero",
        "second derivative",
        "At 0 hograd's is 0, like the first; PyTorch's is nan.",
    ),
    # Arguments
    Difference("linspace.tensor_overload", "refused", "The ends are numbers, not tensors."),
    Difference("add sub", "refused", "`alpha` is for the in-place forms alone: write a + alpha * b.", given("alpha")),
    Difference(
        "div.trunc_rounding div.floor_rounding",
        "refused",
        "`rounding_mode` is not offered: floor_divide and trunc are.",
        given("rounding_mode"),
    ),
    Difference("prod softmax.with_dtype log_softmax.with_dtype", "refused", "Use astype first.", given("dtype")),
    Difference(
        "nn.functional.cross_entropy",
        "refused",
        "Weights and ignored classes are not offered.",
        given("weight", "ignore_index"),
    ),
    Difference("nn.functional.softplus", "refused", "`beta` and `threshold` are not offered.", given("beta")),
    Difference("norm.nuc", "refused", "`norm` is a norm of vectors; p='nuc' is one of matrices."),
    Difference(
        "std var",
        "refused",
        "`correction` is a number.",
        lambda args, kwargs: kwargs.get("correction", 0) is None,
    ),
    Difference("to", "refused", "`to` takes a dtype and no more: there is one device, and nothing is written to."),
    Difference("put", "refused", "hograd's `put` is another function, the adjoint of reading an index."),
    Difference(
        "cat",
        "refused",
        "PyTorch skips tensors of shape (0,) whatever the others' shape is, as a thing of its past.",
        lambda args, kwargs: any(tuple(x.shape) == (0,) for x in args[0]),
    ),
    Difference(
        "tensordot",
        "refused",
        "PyTorch broadcasts axes of length 1 that are contracted; hograd takes it for a mistake.",
        lambda args, kwargs: 1 in args[0].shape,
    ),
    Difference(
        "repeat_interleave", "refused", "`output_size` only helps other devices than the CPU.", given("output_size")
    ),
]
