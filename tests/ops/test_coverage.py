"""Nothing public is left out of the generated tests, and no primitive is out of their reach."""

from __future__ import annotations

import inspect
import re
from functools import partial
from pathlib import Path

import pytest

import hograd as ho
from hograd import func
from hograd.core.declare import operations
from hograd.core.primitive import kernels, primitives
from hograd.nn import functional

from . import (
    test_edges,
    test_edges_arrays,
    test_edges_elementwise,
    test_edges_linalg,
    test_edges_networks,
    test_edges_special,
)
from .samples import Bound, Samples, cotangents

#: Public functions that no generated test can call, and where their own tests are: they make tensors out of nothing or
#: at random, answer no tensor, or take functions.
EXEMPT = {
    "ops/test_create.py": "arange as_tensor empty empty_like eye full full_like linspace logspace ones ones_like "
    "tensor zeros zeros_like is_complex is_floating_point is_tensor numel equal broadcast_shapes scalar_tensor",
    "ops/test_random.py": "bernoulli default_generator gumbel_softmax manual_seed multinomial "
    "nn.functional.gumbel_softmax normal rand rand_like randint randn randn_like randperm randint_like",
    "ops/test_arrays.py": "tril_indices triu_indices argwhere bincount nonzero nonzero_static unique "
    "unique_consecutive",
    "ops/test_histograms.py": "histogram histogramdd",
    "ops/test_lowrank.py": "svd_lowrank pca_lowrank",
    "ops/test_complex.py": "fft.fftfreq fft.rfftfreq",
    "ops/test_errors.py": "allclose",
    "test_files.py": "load save",
    "core/test_grad.py": "grad",
    "core/test_grad_mode.py": "is_grad_enabled",
    "core/test_interop.py": "from_dlpack from_numpy",
    "core/test_format.py": "set_printoptions",
    "core/test_tensor.py": "get_default_dtype",
    "ops/test_dtypes.py": "set_default_dtype",
    "func/test_vmap.py": "vmap",
    "test_control.py": "cond while_loop",
    "test_loop.py": "fori_loop scan checkpoint remat",
    "test_roots.py": "custom_root fixed_point",
    "test_implicit.py": "linalg.solve_matvec",
    "program/test_compile.py": "compile",
}


#: Differentiable functions without an edge, by the reason: everywhere else the edge tables show what happens there.
WITHOUT_EDGES = {
    "products": "add sub rsub mul neg div mse matmul dot outer tensordot einsum conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d conv_transpose3d linear bilinear mm mv bmm addmm addmv addr baddbmm addbmm vdot inner ger "
    "kron linalg_multi_dot linalg_matrix_power linalg_vecdot",
    "linear": "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "affine_grid trapezoid cumulative_trapezoid gradient interpolate cumsum diff deg2rad rad2deg fft_fft fft_ifft "
    "fft_fftn fft_ifftn fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_hfft fft_ihfft fft_rfft fft_irfft fft_rfftn "
    "fft_irfftn fft_fftshift fft_ifftshift complex imag conj view_as_real view_as_complex astype bincount im2col "
    "col2im stft istft",
    "moves elements": "clone gather scatter_add index_select index_add index_copy index_fill take unfold place put "
    "getitem take_along_axis at_add at_set reshape permute swapaxes transpose t moveaxis broadcast_to expand "
    "flatten flip ravel unflatten squeeze expand_dims atleast_1d atleast_2d atleast_3d concatenate stack hstack "
    "vstack dstack column_stack masked_select masked_scatter pad roll tile repeat_interleave rot90 fliplr flipud "
    "constant_pad_nd "
    "broadcast_tensors meshgrid cartesian_prod combinations split chunk tensor_split hsplit vsplit dsplit unbind "
    "split_with_sizes narrow select pixel_shuffle pixel_unshuffle channel_shuffle adjoint block_diag diagonal_scatter "
    "index_put select_scatter slice_scatter take_along_dim triu diagonal linalg_diagonal diag_embed diag diagflat "
    "max_unpool1d max_unpool2d max_unpool3d",
    "smooth": "polar",
    "in test_lowrank.py": "svd_lowrank pca_lowrank",
    "in test_names.py": "frexp",
    "in test_polynomials.py": "airy_ai spherical_bessel_j0 chebyshev_polynomial_t chebyshev_polynomial_u "
    "chebyshev_polynomial_v chebyshev_polynomial_w shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u "
    "shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he "
    "laguerre_polynomial_l legendre_polynomial_p",
    "in test_linalg.py": "linalg_slogdet logdet linalg_cholesky linalg_qr linalg_tensorsolve linalg_tensorinv "
    "linalg_solve linalg_solve_triangular linalg_inv cholesky_solve cholesky_inverse linalg_lstsq linalg_eigh "
    "linalg_svd",
    "in test_linalg_lu.py": "linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve lu lu_solve lu_unpack qr "
    "svd triangular_solve linalg_householder_product orgqr ormqr linalg_cholesky_ex linalg_inv_ex linalg_solve_ex",
    "in test_embedding_bag.py": "embedding_bag",
    "another name, lgamma": "gammaln",
}


def names_in(code):
    """What a function calls by name, also inside of the functions that it defines."""
    inner = [constant for constant in code.co_consts if inspect.iscode(constant)]
    return set(code.co_names).union(*map(names_in, inner))


def test_every_kink_and_pole_is_in_an_edge_table():
    tables = [test_edges, test_edges_arrays, test_edges_elementwise, test_edges_linalg, test_edges_networks]
    edges = [edge for table in [*tables, test_edges_special] for edge in table.EDGES]
    shown = set().union(*[names_in(edge.function.__code__) for edge in edges])
    differentiable = {name for name, operation in operations.items() if operation.differentiable}
    absent = {name for name in differentiable if name not in shown and name.removeprefix("linalg_") not in shown}
    assert absent == set(" ".join(WITHOUT_EDGES.values()).split())


def public():
    """Every public function that could be an operation, by its name in `hograd`."""
    modules = {"": ho, "linalg.": ho.linalg, "special.": ho.special, "fft.": ho.fft, "nn.functional.": functional}
    return {
        prefix + name: member
        for prefix, module in modules.items()
        for name in module.__all__
        if callable(member := getattr(module, name)) and not isinstance(member, type)
    }


def gradient(f, *xs):
    outputs, pull = func.vjp(f, *xs)
    return pull(cotangents(outputs))


def has_samples(operation):
    """Whether there are any, and one with something to differentiate if that is possible."""
    bounds = [Bound(operation, index) for index in range(len(operation.samples(Samples(operation.name))))]
    return bool(bounds) and (not operation.differentiable or any(bound.floating for bound in bounds))


def test_every_public_function_has_samples_or_tests_of_its_own():
    with_samples = {id(operation.function) for operation in operations.values() if has_samples(operation)}
    without = {name for name, member in public().items() if id(member) not in with_samples}
    assert without == set(" ".join(EXEMPT.values()).split())


@pytest.mark.parametrize(("file", "names"), EXEMPT.items(), ids=EXEMPT.keys())
def test_what_has_tests_of_its_own_is_named_there(file, names):
    text = (Path(__file__).parents[1] / file).read_text()
    assert [name for name in names.split() if not re.search(rf"\b{name.rpartition('.')[2]}\b", text)] == []


def test_every_primitive_is_run_by_a_sample_of_an_operation_or_by_its_derivatives(monkeypatch):
    met = set(operations)

    def noting(name, kernel):
        def noted(*args, **kwargs):
            met.add(name)
            return kernel(*args, **kwargs)

        return noted

    for name, primitive in primitives.items():
        monkeypatch.setattr(primitive, "kernel", noting(name, primitive.kernel))
        if getattr(kernels, name, None) is not None:
            monkeypatch.setattr(kernels, name, noting(name, getattr(kernels, name)))
    for operation in filter(has_samples, operations.values()):
        for index in range(len(operation.samples(Samples(operation.name)))):
            bound = Bound(operation, index)
            bound(*bound.tensors())
            if operation.differentiable:
                floats = bound.floats()
                pull = partial(gradient, bound.of_floating)
                func.jvp(pull, floats, floats)
    # Of `root`, `solve_matvec`, the complete form of `qr`, compiled checkpoints and compiled checks, in test_roots.py,
    # test_implicit.py, test_linalg.py, program/test_compile.py and program/test_checks.py.
    assert set(primitives) - met == {"root", "linear_solution", "further_columns", "after", "checked"}
