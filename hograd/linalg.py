"""Linear algebra on batches of matrices, by the names and with the meaning of `torch.linalg`.

The last two axes are the matrix; all others are batch axes, which are broadcast where an operation takes two tensors.
"""

from hograd.implicit import solve_matvec
from hograd.ops.contract import matmul
from hograd.ops.linalg_factor import cholesky, det, qr, slogdet
from hograd.ops.linalg_general import eig, eigvals
from hograd.ops.linalg_householder import householder_product
from hograd.ops.linalg_info import cholesky_ex, inv_ex, solve_ex
from hograd.ops.linalg_lu import lu, lu_factor, lu_factor_ex, lu_solve
from hograd.ops.linalg_norms import (
    cond,
    matrix_exp,
    matrix_norm,
    matrix_power,
    multi_dot,
    norm,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
    vector_norm,
)
from hograd.ops.linalg_solve import cholesky_solve, inv, lstsq, pinv, solve, solve_triangular
from hograd.ops.linalg_spectral import eigh, eigvalsh, matrix_rank, svd, svdvals
from hograd.ops.linalg_views import cross, diagonal

__all__ = [
    "matmul",
    "cholesky",
    "cholesky_ex",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_matvec",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
