"""What every function with a derivative of its own must do: at every level and order what operations would do."""

import pytest

import hograd as ho
from hograd import func

DIRECTION = ho.tensor(1.5)


def nested(f, depth):
    for _ in range(depth):
        f = func.grad(f)
    return f


MODES = {
    "eager": lambda f, x, v: f(x),
    "grad": lambda f, x, v: func.grad(f)(x),
    "jvp": lambda f, x, v: func.jvp(f, (x,), (DIRECTION,))[1],
    "jvp of jvp": lambda f, x, v: func.jvp(lambda x: func.jvp(f, (x,), (DIRECTION,))[1], (x,), (x,))[1],
    "forward over reverse": lambda f, x, v: func.jvp(func.grad(f), (x,), (DIRECTION,))[1],
    "reverse over forward": lambda f, x, v: func.grad(lambda x: func.jvp(f, (x,), (DIRECTION,))[1])(x),
    "vmap": lambda f, x, v: ho.vmap(f)(v),
    "vmap of vmap": lambda f, x, v: ho.vmap(ho.vmap(f))(v[:, None] * ho.tensor([1.0, 0.5, 2.0])),
    "vmap of grad": lambda f, x, v: ho.vmap(func.grad(f))(v),
    "vmap of forward over reverse": lambda f, x, v: ho.vmap(func.jacfwd(func.jacrev(f)))(v),
    "grad of vmap": lambda f, x, v: func.grad(lambda v: (ho.vmap(f)(v) * v).sum())(v),
    "grad of vmap of grad": lambda f, x, v: func.grad(lambda v: (ho.vmap(func.grad(f))(v) ** 2).sum())(v),
    "grad of vmap, shared": lambda f, x, v: func.grad(lambda x: ho.vmap(lambda c: c * f(x * c))(v).sum())(x),
    "vmap of grad, shared": lambda f, x, v: ho.vmap(lambda c: func.grad(lambda x: c * f(x * c))(x))(v),
    "jvp of vmap of grad": lambda f, x, v: func.jvp(ho.vmap(func.grad(f)), (v,), (v * v,))[1],
    "hessian of vmap": lambda f, x, v: func.hessian(lambda v: (ho.vmap(f)(v) ** 2).sum())(v),
    "jacobian": lambda f, x, v: func.jacrev(ho.vmap(f))(v),
}


@pytest.fixture(params=MODES)
def agree(request):
    """Whether a function and the same one made of operations agree in one of the modes, after `depth` derivatives."""

    def compare(f, reference, depth=0):
        x, v = ho.tensor(0.4), ho.tensor([0.3, 0.7])
        found, expected = (MODES[request.param](nested(g, depth), x, v) for g in (f, reference))
        return ho.allclose(found, expected, rtol=1e-9, atol=1e-11)

    return compare


@pytest.fixture
def agree_on_one_tape():
    """The same for derivatives with `create_graph`, to order three."""

    def compare(f, reference):
        x = ho.tensor(0.4, requires_grad=True)
        found, expected = f(x), reference(x)
        for _ in range(4):
            if not ho.allclose(found, expected, rtol=1e-9, atol=1e-11):
                return False
            (found,), (expected,) = (ho.grad(y, x, create_graph=True) for y in (found, expected))
        return True

    return compare
