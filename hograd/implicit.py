"""What is defined by an equation: solutions of linear systems that are given only by a product."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hograd import tree
from hograd.core.dispatch import wrap
from hograd.core.levels import enable_grad, no_grad, no_transforms
from hograd.core.primitive import ops
from hograd.core.replay import Draws, collected, drawing, no_more, restore, watched
from hograd.core.restoring import silent
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, LevelError, LinearAlgebraError, ShapeError
from hograd.func.arguments import as_tensor, name_of
from hograd.func.forward import jvp
from hograd.func.reverse import vjp

METHODS = ("cg", "minres", "gmres")


def solve_matvec(
    matvec: Callable[..., Any],
    b: Any,
    *args: Any,
    method: str = "gmres",
    x0: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    max_iterations: int | None = None,
) -> Any:
    """Solution x of  A x = b,  where A is known only by its products  matvec(x, *args).

    It is differentiable to any order in `b` and in `args`, by solutions of the adjoint system A^T w = g: the memory
    does not depend on the number of iterations, and each derivative is as accurate as the tolerance.

    Args:
        matvec: function of a tree like `b`, linear in it, and of `args`; it returns a tree like `b`. A tensor that is
            differentiated or mapped by `vmap` must come to it through `args`.
        b: tree of floating tensors.
        *args: trees of whatever else the product depends on.
        method: "cg" for symmetric positive definite A, "minres" for symmetric A, "gmres" for any; from SciPy.
        x0: where the iteration starts, a tree like `b`; zeros by default. It has no derivative.
        rtol: stop when the residual b - A x is smaller than this share of b (for "minres" of |A| |x|); by default
            1e-10, or 1e-5 in float32.
        atol: or smaller than this; "minres" ignores it.
        max_iterations: how many products to take at most; by default 10 times the number of unknowns, at least 100.

    Returns:
        A tree like `b`.

    Raises:
        LinearAlgebraError: the iteration did not converge.
        ArgumentError: `matvec` closes over a tensor that is being differentiated or mapped.
        StructureError, ShapeError: `matvec` returned something unlike `b`.

    Under `vmap` each system is solved on its own. Source: Christianson (1994) for the adjoint system.

    >>> import hograd as ho
    >>> scale = ho.tensor([1.0, 2.0, 4.0])
    >>> ho.linalg.solve_matvec(lambda x, scale: scale * x, ho.ones(3), scale, method="cg")
    tensor([1.0000, 0.5000, 0.2500])
    >>> ho.func.grad(lambda s: ho.linalg.solve_matvec(lambda x, s: s * x, ho.ones(3), s).sum())(scale)
    tensor([-1.0000, -0.2500, -0.0625])
    """
    if method not in METHODS:
        raise ArgumentError(f"solve_matvec got method={method!r}, expected one of {', '.join(map(repr, METHODS))}.")
    b = tree.map(as_tensor, b)
    flat, unravel = tree.ravel(b)
    if flat.dtype.kind != "f":
        raise ArgumentError(f"solve_matvec: b has dtype {flat.dtype}, expected floating tensors.")
    if x0 is None:
        guess = np.zeros(flat.shape, flat.dtype)
    else:
        x0 = tree.map(as_tensor, x0)
        guess = ops.astype(ops.stop_gradient(tree.ravel(_like(x0, b, "x0"))[0]), flat.dtype)
    arguments = Arguments(args)
    if rtol is None:
        rtol = 1e-10 if flat.dtype == np.float64 else 1e-5
    limit = max(10 * flat.numel(), 100) if max_iterations is None else max_iterations

    def product(x: Any, p: Any, constants: Any) -> Any:
        y = tree.map(as_tensor, matvec(unravel(x), *arguments.put_together(p, constants)))
        return ops.astype(tree.ravel(_like(y, b, f"{name_of(matvec)}(x)"))[0], flat.dtype)

    system = System(product, Iteration(method, rtol, atol, limit), name_of(matvec))
    x = ops.concatenate([flat, arguments.flat]) if arguments.places else flat
    return unravel(ops.linear_solution(x, guess, *arguments.constants, system=system))


class Iteration(NamedTuple):
    """How systems are solved; the arguments of `solve_matvec` of these names."""

    method: str
    rtol: float
    atol: float
    max_iterations: int


class Arguments:
    """What a matrix depends on, taken apart.

    Attributes:
        flat: in one vector, the floating tensors that are differentiated or mapped.
        places: which of the leaves these are.
        constants: the other tensors, which stand at the leaves `others`.
    """

    def __init__(self, args: Any) -> None:
        self.leaves, self.structure = tree.flatten(args)
        self.places: list[int] = []
        self.others: list[int] = []
        for i, leaf in enumerate(self.leaves):
            if isinstance(leaf, Tensor) and leaf.dtype.kind == "f" and not _is_constant(leaf):
                self.places.append(i)
            elif isinstance(leaf, (Tensor, np.ndarray)):
                self.others.append(i)
        tracked = [self.leaves[i] for i in self.places]
        self.flat, self.unravel = tree.ravel(tracked)
        self.dtypes = [x.dtype for x in tracked]
        self.constants = [as_tensor(self.leaves[i]) for i in self.others]
        # They come back as arguments of the primitive; here they would belong to levels that may be closed by then.
        for i in (*self.places, *self.others):
            self.leaves[i] = None

    def put_together(self, p: Any, constants: Any) -> Any:
        """The arguments with these values."""
        leaves = list(self.leaves)
        for i, x, dtype in zip(self.places, self.unravel(p), self.dtypes, strict=True):
            leaves[i] = ops.astype(x, dtype)
        for i, x in zip(self.others, constants, strict=True):
            leaves[i] = wrap(x)
        return tree.unflatten(self.structure, leaves)


def of_one_draw(f: Callable[..., Any], run: Callable[[Callable[..., Any], tuple[Any, ...]], Any], *args: Any) -> Any:
    """run(f, args) , for an `f` of which all evaluations at (x, *args) see the same random draws.

    If the first evaluation draws, the numbers are made here, among the levels that are open, and become one more
    argument: what `run` evaluates, at whatever level and whenever, differentiates or puts into a program takes them.
    """

    @functools.wraps(f)
    def plain(x: Any, *args: Any) -> Any:
        with watched() as random:
            y = f(x, *args)
        if random.states:
            restore(random)
            raise _Random(f, x)
        return y

    @functools.wraps(f)
    def given(x: Any, *args: Any) -> Any:
        with drawing(Draws(no_more, args[-1])):
            return f(x, *args[:-1])

    try:
        return run(plain, args)
    except _Random as found:
        if found.f is not f:
            raise
        point = found.x
    with no_grad(), collected() as draws:
        f(point, *args)
    return run(given, (*args, tuple(map(wrap, draws))))


class _Random(Exception):
    """A function draws random numbers."""

    def __init__(self, f: Any, x: Any) -> None:
        super().__init__(f"{name_of(f)} draws random numbers, but did not do so when it was evaluated first.")
        self.f, self.x = f, x


def _is_constant(x: Any) -> bool:
    return type(x) is Tensor and x.node is None


def _like(found: Any, b: Any, called: str) -> Any:
    """A tree in the form of b; an error unless it has the structure and shapes of b."""
    leaves = tree.match(b, found, ("b", called), caller="solve_matvec")
    for path, x, y in zip(tree.paths(b), tree.leaves(b), leaves, strict=True):
        if tuple(x.shape) != tuple(y.shape):
            raise ShapeError(
                f"solve_matvec: {called}{path} has shape {tuple(y.shape)}, expected {tuple(x.shape)}, that of b{path}."
            )
    return tree.unflatten(tree.structure(b), leaves)


class System:
    """The product of a matrix with flat vectors, how to solve with it, and its transpose.

    Attributes:
        product: function of a flat tensor, of the parameters p in one flat tensor, and of constants.
    """

    def __init__(self, product: Callable[[Any, Any, Any], Any], how: Iteration, name: str) -> None:
        self.product = product
        self.how = how
        self.name = name

    @functools.cached_property
    def transposed(self) -> System:
        """The adjoint system, which is the same one if the matrix is symmetric; it has the same parameters."""
        if self.how.method != "gmres":
            return self

        def adjoint(g: Any, p: Any, constants: Any) -> Any:
            return vjp(lambda x: self.product(x, p, constants), ops.zeros_like(g))[1](g)[0]

        return System(adjoint, self.how, f"the adjoint of {self.name}")

    def pull(self, w: Any, y: Any, p: Any, constants: Any) -> Any:
        """w^T (dA/dp) y."""
        return vjp(lambda p: self.product(y, p, constants), p)[1](ops.astype(w, y.dtype))[0]

    def push(self, y: Any, p: Any, t: Any, constants: Any) -> Any:
        """(dA/dp) y t."""
        return jvp(lambda p: self.product(y, p, constants), (p,), (t,))[1]

    def on_arrays(self, function: Callable[..., Any], *arrays: Any) -> Any:
        """A function of tensors on arrays, as if no transform were open: none of them is part of one."""
        with no_transforms(), no_grad():
            return function(*map(wrap, arrays), system=self).value

    def iterate(self, x: Any, guess: Any, constants: Any) -> Any:
        """The solution as an array, from arrays."""
        from scipy.sparse import linalg as sparse

        n = guess.shape[0]
        b, p = x[:n].astype(guess.dtype, copy=False), Tensor(x[n:])
        how = self.how

        def multiply(v: Any) -> Any:
            # SciPy writes to what it gives and gets.
            return self.product(Tensor(v.reshape(n).astype(b.dtype)), p, constants).numpy().copy()

        with no_transforms(), silent():
            self._expect_constant(b, p, constants)
            with no_grad():
                if not b.any():
                    return np.zeros_like(b)
                matrix = sparse.LinearOperator((n, n), matvec=multiply, dtype=b.dtype)  # type: ignore[call-arg]
                options: dict[str, Any] = {"x0": guess, "rtol": how.rtol, "maxiter": how.max_iterations}
                if how.method != "minres":
                    options["atol"] = how.atol
                if how.method == "gmres":
                    restart = max(1, min(n, 50, how.max_iterations))
                    options |= {"restart": restart, "maxiter": -(-how.max_iterations // restart)}
                y, fault = getattr(sparse, how.method)(matrix, b, **options)
                if fault or not np.isfinite(y).all():
                    left = np.linalg.norm(b - multiply(y)) / np.linalg.norm(b)
                    raise LinearAlgebraError(
                        f"solve_matvec: {how.method} with {self.name} did not converge in {how.max_iterations} "
                        f"iterations: the residual is {left:.1e} of b, expected {how.rtol:.1e}. Raise max_iterations "
                        "or rtol, improve the condition of the matrix, or use another method: cg needs a symmetric "
                        "positive definite matrix, minres a symmetric one."
                    )
        return y.astype(b.dtype, copy=False)

    def _expect_constant(self, b: Any, p: Any, constants: Any) -> None:
        """Raise if the product depends on a tensor with a derivative that it was not given."""
        fault = None
        try:
            with enable_grad():
                known = _is_constant(self.product(Tensor(np.zeros_like(b)), p, constants))
        except LevelError as error:
            known, fault = False, error
        if not known:
            raise ArgumentError(
                f"solve_matvec: {self.name} uses a tensor that is being differentiated or mapped and is not among its "
                "arguments: pass it to solve_matvec after b, and take it as a further argument (or `detach` it)."
            ) from fault
