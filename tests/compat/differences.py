"""Where hograd and PyTorch 2.13 differ on PyTorch's own samples, and why. The only such table.

Every entry is observed by the tests; one that no longer differs fails them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


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
        "randn randn_like rand_like randint normal normal.number_mean normal.in_place uniform exponential bernoulli "
        "multinomial randint_like",
        "draws",
        "The generator is NumPy's, so the draws are others.",
    ),
    # Dtypes
    Difference(
        "linspace linspace.tensor_overload logspace logspace.tensor_overload",
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
    *[
        Difference(
            "cov",
            what,
            "PyTorch adds up the weights in their own dtype, here float32; hograd in that of the variables.",
            lambda args, kwargs: kwargs["aweights"] is not None,
        )
        for what in DERIVED
    ],
    Difference(
        "special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1",
        "value",
        "PyTorch's are right to 1e-8.",
    ),
    # Derivatives at kinks and poles
    Difference(
        "linalg.norm.subgradients_at_zero",
        "second derivative",
        "At 0 hograd's is 0, like the first; PyTorch's is nan.",
    ),
    Difference(
        "nn.functional.hardsigmoid",
        "gradient",
        "PyTorch's slope is 1/6 as it is in float32.",
    ),
    Difference(
        "nn.functional.ctc_loss",
        "gradient",
        "PyTorch's is right behind log_softmax alone, where both agree; hograd's is that by the arguments as they are.",
    ),
    Difference(
        "nn.functional.max_unpool1d nn.functional.max_unpool2d nn.functional.max_unpool3d",
        "gradient",
        "Where windows share their largest element, PyTorch counts its derivative as often, hograd once.",
    ),
    # Draws
    Difference(
        "nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout",
        "draws",
        "The generators draw other numbers.",
    ),
    Difference(
        "nn.functional.scaled_dot_product_attention", "draws", "The generators draw other numbers.", given("dropout_p")
    ),
    Difference(
        "svd_lowrank",
        "draws",
        "With M the rank is above q, so that the answer depends on the subspace that is drawn.",
        lambda args, kwargs: kwargs["M"] is not None,
    ),
    # Arguments
    Difference(
        "nn.functional.batch_norm",
        "refused",
        "A tensor with one axis has no channels.",
        lambda args, kwargs: args[0].ndim < 2,
    ),
    Difference(
        "histogramdd",
        "refused",
        "PyTorch counts between edges that fall, too, which has no meaning.",
        lambda args, kwargs: any(bool((edges.diff() < 0).any()) for edges in args[1] if torch.is_tensor(edges)),
    ),
    # What PyTorch refuses
    Difference(
        "atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor "
        "clamp_max clamp_min copysign eq float_power fmax fmin fmod gcd ge gt "
        "heaviside hypot isclose lcm ldexp le logaddexp logical_and logical_or logical_xor lt max.binary maximum "
        "min.binary minimum ne nextafter polar pow remainder rsub special.xlog1py special.zeta xlogy "
        "special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v "
        "special.chebyshev_polynomial_w special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u "
        "special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w special.hermite_polynomial_h "
        "special.hermite_polynomial_he special.laguerre_polynomial_l special.legendre_polynomial_p",
        "accepted",
        "A number is taken for a tensor of shape () wherever a tensor can stand.",
        lambda args, kwargs: any(isinstance(arg, (int, float)) for arg in args[:2]),
    ),
    Difference("linalg.cross", "accepted", "Axes that one of the two lacks are broadcast, as everywhere."),
    Difference("arange", "accepted", "No number lies between ends in the wrong order, as in Python and NumPy."),
    Difference(
        "complex scatter scatter_add nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d",
        "accepted",
        "Dtypes are brought together as everywhere.",
    ),
    Difference("mean igamma igammac", "accepted", "Integers are converted to the default dtype."),
    Difference("isclose", "accepted", "A negative tolerance is met by nothing.", given("rtol", "atol")),
    Difference(
        "nn.functional.softshrink nn.functional.hardtanh",
        "accepted",
        "The bounds may be tensors, whose values are not looked at.",
    ),
    Difference(
        "nn.functional.max_pool1d nn.functional.max_pool3d",
        "accepted",
        "There may be no channels, as there may be no examples.",
    ),
    Difference(
        "roll fft.fft2 fft.fftn fft.ifft2 fft.ifftn",
        "accepted",
        "A tensor without axes has an axis 0 for functions of several axes, as in PyTorch's reductions.",
        lambda args, kwargs: args[0].ndim == 0,
    ),
]

#: What PyTorch has and hograd has not, by PyTorch's names, and why.
ABSENT = {
    "bfloat16 chalf": "NumPy has no such dtype.",
    "empty_strided new_empty_strided empty_permuted resize_ resize_as_": "They choose how numbers lie in memory; here "
    "arrays are never written to, and no stride is seen: `empty` and `reshape` do what is left.",
    "to_sparse": "Tensors are dense.",
    "grid_sampler_2d grid_sampler_3d": "What PyTorch calls behind `nn.functional.grid_sample`, which hograd has too, "
    "with numbers for its modes.",
    "linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve": "PyTorch has no derivatives of them; `linalg.solve` "
    "solves the same systems and has them.",
    "hash_tensor": "A sum over the bits of a tensor, which PyTorch does not document.",
}
