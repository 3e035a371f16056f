"""Code of PyTorch's tutorials on function transforms: with `import hograd as torch` it prints what PyTorch prints.

The answers were recorded from PyTorch 2.13 with float64 as default dtype.
"""

import inspect

import pytest

DATA = """
    >>> from functools import partial
    >>> from hograd.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
    >>> D = 4
    >>> weight = torch.linspace(-1, 1, D * D).reshape(D, D) ** 3
    >>> bias = torch.linspace(0, 0.5, D)
    >>> x = torch.tensor([0.3, -0.2, 0.9, 0.4])
    >>> def predict(weight, bias, x):
    ...     return (x @ weight.t() + bias).tanh()
    """

SNIPPETS = {
    "the Jacobian row by row, by vmap of vjp and by jacrev": """
        >>> def compute_jac(xp):
        ...     jacobian_rows = [torch.autograd.grad(predict(weight, bias, xp), xp, vec)[0]
        ...                      for vec in unit_vectors]
        ...     return torch.stack(jacobian_rows)
        >>> xp = x.clone().requires_grad_()
        >>> unit_vectors = torch.eye(D)
        >>> jacobian = compute_jac(xp)
        >>> print(jacobian.shape == (D, D))
        True
        >>> print(jacobian[0])
        tensor([-0.7031, -0.4577, -0.2773, -0.1519])
        >>> _, vjp_fn = vjp(partial(predict, weight, bias), x)
        >>> ft_jacobian, = vmap(vjp_fn)(unit_vectors)
        >>> assert torch.allclose(ft_jacobian, jacobian)
        >>> ft_jacobian = jacrev(predict, argnums=2)(weight, bias, x)
        >>> assert torch.allclose(ft_jacobian, jacobian)
        >>> ft_jacobian = jacfwd(predict, argnums=2)(weight, bias, x)
        >>> assert torch.allclose(ft_jacobian, jacobian)
        """,
    "Jacobians of the parameters": """
        >>> ft_jac_weight, ft_jac_bias = jacrev(predict, argnums=(0, 1))(weight, bias, x)
        >>> print(tuple(ft_jac_weight.shape), tuple(ft_jac_bias.shape))
        (4, 4, 4) (4, 4)
        >>> print(ft_jac_weight[1, 1])
        tensor([ 0.2945, -0.1963,  0.8835,  0.3927])
        >>> print(ft_jac_bias)
        tensor([[0.7031, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.9817, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.8518, 0.0000],
                [0.0000, 0.0000, 0.0000, 0.1901]])
        """,
    "Hessian in three ways": """
        >>> hess_api = hessian(predict, argnums=2)(weight, bias, x)
        >>> hess_fwdfwd = jacfwd(jacfwd(predict, argnums=2), argnums=2)(weight, bias, x)
        >>> hess_revrev = jacrev(jacrev(predict, argnums=2), argnums=2)(weight, bias, x)
        >>> torch.allclose(hess_api, hess_fwdfwd), torch.allclose(hess_api, hess_revrev)
        (True, True)
        >>> print(hess_api[3])
        tensor([[-0.0160, -0.0292, -0.0481, -0.0739],
                [-0.0292, -0.0532, -0.0879, -0.1350],
                [-0.0481, -0.0879, -0.1450, -0.2228],
                [-0.0739, -0.1350, -0.2228, -0.3422]])
        """,
    "batches of Jacobians and Hessians": """
        >>> xs = torch.stack([x, -x, x + 1])
        >>> compute_batch_jacobian = vmap(jacrev(predict, argnums=2), in_dims=(None, None, 0))
        >>> batch_jacobian0 = compute_batch_jacobian(weight, bias, xs)
        >>> def predict_with_output_summed(weight, bias, x):
        ...     return predict(weight, bias, x).sum(0)
        >>> batch_jacobian1 = jacrev(predict_with_output_summed, argnums=2)(weight, bias, xs).movedim(1, 0)
        >>> assert torch.allclose(batch_jacobian0, batch_jacobian1)
        >>> print(batch_jacobian0[2, 0])
        tensor([-0.0127, -0.0083, -0.0050, -0.0027])
        >>> compute_batch_hessian = vmap(hessian(predict, argnums=2), in_dims=(None, None, 0))
        >>> batch_hess = compute_batch_hessian(weight, bias, xs)
        >>> tuple(batch_hess.shape)
        (3, 4, 4, 4)
        >>> print(batch_hess[1, 0, 0])
        tensor([-0.7662, -0.4988, -0.3022, -0.1655])
        """,
    "Hessian-vector products": """
        >>> def hvp(f, primals, tangents):
        ...     return jvp(grad(f), primals, tangents)[1]
        >>> def f(x):
        ...     return x.sin().sum()
        >>> tangent = torch.tensor([1.0, 2.0, 3.0, 4.0])
        >>> result = hvp(f, (x,), (tangent,))
        >>> print(result)
        tensor([-0.2955,  0.3973, -2.3500, -1.5577])
        >>> def hvp_revrev(f, primals, tangents):
        ...     _, vjp_fn = vjp(grad(f), *primals)
        ...     return vjp_fn(*tangents)
        >>> result_hvp_revrev = hvp_revrev(f, (x,), (tangent,))
        >>> assert torch.allclose(result, result_hvp_revrev[0])
        """,
    "gradients of every sample": """
        >>> params = {"weight": weight, "bias": bias}
        >>> data = torch.stack([x, -x, x + 1])
        >>> targets = torch.tensor([0, 3, 2])
        >>> def compute_loss(params, sample, target):
        ...     batch = sample.unsqueeze(0)
        ...     predictions = (batch @ params["weight"].t() + params["bias"]).log_softmax(dim=1)
        ...     return -(predictions[0] * (torch.arange(D) == target)).sum()
        >>> ft_compute_sample_grad = vmap(grad(compute_loss), in_dims=(None, 0, 0))
        >>> ft_per_sample_grads = ft_compute_sample_grad(params, data, targets)
        >>> per_sample_grads = [grad(compute_loss)(params, d, t) for d, t in zip(data, targets)]
        >>> for name in params:
        ...     stacked = torch.stack([g[name] for g in per_sample_grads])
        ...     assert torch.allclose(stacked, ft_per_sample_grads[name])
        >>> print(ft_per_sample_grads["bias"])
        tensor([[-0.9281,  0.1519,  0.1988,  0.5774],
                [ 0.3698,  0.2444,  0.2605, -0.8748],
                [ 0.0013,  0.0222, -0.9610,  0.9376]])
        """,
    "vmap of a dot product": """
        >>> vmap(lambda x, y: (x * y).sum())(torch.ones(3, 4), 2 * torch.ones(3, 4))
        tensor([8., 8., 8.])
        >>> vmap(torch.dot, in_dims=(None, 1))(torch.ones(4), torch.arange(8.0).reshape(4, 2))
        tensor([12., 16.])
        >>> vmap(lambda x: 2 * x, out_dims=1)(torch.arange(6.0).reshape(2, 3))
        tensor([[ 0.,  6.],
                [ 2.,  8.],
                [ 4., 10.]])
        """,
    "grad mode inside and outside of a transform": """
        >>> def f(x):
        ...     with torch.no_grad():
        ...         c = x ** 2
        ...     return x - c
        >>> grad(f)(torch.tensor(3.0))
        tensor(1.)
        >>> with torch.no_grad():
        ...     grad(lambda x: x ** 2)(torch.tensor(3.0))
        tensor(6.)
        """,
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_session_prints_what_pytorch_prints(name, check_session):
    parts = [">>> import hograd as torch", inspect.cleandoc(DATA), inspect.cleandoc(SNIPPETS[name])]
    check_session("\n".join(parts), name)
