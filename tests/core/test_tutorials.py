"""Code of PyTorch's autograd tutorials: with `import hograd as torch` it prints what PyTorch prints.

Each snippet is a session whose answers were recorded from PyTorch 2.13; `import torch` is all that was changed.
"""

import inspect

import pytest

SNIPPETS = {
    "first derivatives by backward": """
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> y = (x ** 2).sum()
        >>> y.backward()
        >>> x.grad
        tensor([2., 4.])
        >>> print((x * x).detach())
        tensor([1., 4.])
        """,
    "first derivatives by grad": """
        >>> x = torch.tensor([1.0, 4.0], requires_grad=True)
        >>> y = (x ** 3).sum()
        >>> torch.autograd.grad(y, x)
        (tensor([ 3., 48.]),)
        >>> x.grad is None
        True
        >>> x
        tensor([1., 4.], requires_grad=True)
        """,
    "mixed derivative": """
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> y = torch.tensor(3.0, requires_grad=True)
        >>> z = x ** 2 + x * y ** 2
        >>> dx, dy = torch.autograd.grad(z, (x, y), create_graph=True)
        >>> print(dx.item(), dy.item())
        13.0 12.0
        >>> torch.autograd.grad(dx, y, retain_graph=True)
        (tensor(6.),)
        >>> torch.autograd.grad(dx, x)
        (tensor(2.),)
        """,
    "two second derivatives need retain_graph": """
        >>> a = torch.tensor(1.0, requires_grad=True)
        >>> t = torch.tensor(2.0, requires_grad=True)
        >>> b = a + 2*t
        >>> c = a*t + t**2
        >>> out = b**2 + 3*c
        >>> da, dt = torch.autograd.grad(out, (a, t), create_graph=True)
        >>> print(da.item(), dt.item())
        16.0 35.0
        >>> torch.autograd.grad(da, a)
        (tensor(2.),)
        >>> try:
        ...     torch.autograd.grad(dt, t)
        ... except RuntimeError as error:
        ...     print(error)
        Trying to backward through the graph a second time...
        >>> b = a + 2*t
        >>> c = a*t + t**2
        >>> out = b**2 + 3*c
        >>> da, dt = torch.autograd.grad(out, (a, t), create_graph=True)
        >>> torch.autograd.grad(da, a, retain_graph=True)
        (tensor(2.),)
        >>> torch.autograd.grad(dt, t)
        (tensor(14.),)
        """,
    "two outputs": """
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> y, z = x ** 2, 3 * x
        >>> torch.autograd.grad((y, z), x, grad_outputs=(torch.ones(2), torch.ones(2)))
        (tensor([5., 7.]),)
        >>> torch.autograd.functional.jacobian(lambda x: (x ** 2, 3 * x), x)
        (tensor([[2., 0.],
                [0., 4.]]), tensor([[3., 0.],
                [0., 3.]]))
        """,
    "vector output": """
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x ** 2
        >>> try:
        ...     y.backward()
        ... except RuntimeError as error:
        ...     print(error)
        grad can be implicitly created only for scalar outputs...
        >>> try:
        ...     torch.autograd.grad(y, x)
        ... except RuntimeError as error:
        ...     print(error)
        grad can be implicitly created only for scalar outputs...
        >>> torch.autograd.grad(y, x, torch.tensor([1.0, 0.5]))
        (tensor([2., 2.]),)
        """,
    "hypergradient of a learning rate": """
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> lr = torch.tensor(0.1, requires_grad=True)
        >>> (slope,) = torch.autograd.grad(x**2, x, create_graph=True)
        >>> x_new = x - lr * slope
        >>> loss = 2 * x_new
        >>> loss.backward()
        >>> loss
        tensor(3.2000, grad_fn=<MulBackward0>)
        >>> x.grad, lr.grad
        (tensor(1.6000), tensor(-8.))
        """,
    "gentle introduction: external gradient": """
        >>> a = torch.tensor([2., 3.], requires_grad=True)
        >>> b = torch.tensor([6., 4.], requires_grad=True)
        >>> Q = 3*a**3 - b**2
        >>> Q
        tensor([-12.,  65.], grad_fn=<SubBackward0>)
        >>> external_grad = torch.tensor([1., 1.])
        >>> Q.backward(gradient=external_grad)
        >>> print(9*a**2 == a.grad)
        tensor([True, True])
        >>> print(-2*b == b.grad)
        tensor([True, True])
        >>> a.grad
        tensor([36., 81.])
        """,
    "gentle introduction: what requires grad": """
        >>> x = torch.rand(5, 5)
        >>> y = torch.rand(5, 5)
        >>> z = torch.rand((5, 5), requires_grad=True)
        >>> a = x + y
        >>> print(f"Does `a` require gradients?: {a.requires_grad}")
        Does `a` require gradients?: False
        >>> b = x + z
        >>> print(f"Does `b` require gradients?: {b.requires_grad}")
        Does `b` require gradients?: True
        """,
    "introduction of 2017": """
        >>> x = torch.ones(2, 2, requires_grad=True)
        >>> print(x)
        tensor([[1., 1.],
                [1., 1.]], requires_grad=True)
        >>> y = x + 2
        >>> print(y)
        tensor([[3., 3.],
                [3., 3.]], grad_fn=<AddBackward0>)
        >>> print(y.grad_fn)
        <AddBackward0 object at 0x...>
        >>> z = y * y * 3
        >>> out = z.mean()
        >>> print(z, out)
        tensor([[27., 27.],
                [27., 27.]], grad_fn=<MulBackward0>) tensor(27., grad_fn=<MeanBackward0>)
        >>> out.backward()
        >>> print(x.grad)
        tensor([[4.5000, 4.5000],
                [4.5000, 4.5000]])
        """,
    "requires_grad_ in place": """
        >>> _ = torch.manual_seed(0)
        >>> a = torch.randn(2, 2)
        >>> a = ((a * 3) / (a - 1))
        >>> print(a.requires_grad)
        False
        >>> _ = a.requires_grad_(True)
        >>> print(a.requires_grad)
        True
        >>> b = (a * a).sum()
        >>> print(b.grad_fn)
        <SumBackward0 object at 0x...>
        """,
    "a loop of unknown length": """
        >>> x = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
        >>> y = x * 2
        >>> while y.data.norm() < 1000:
        ...     y = y * 2
        >>> print(y)
        tensor([ 256., -512., 1024.], grad_fn=<MulBackward0>)
        >>> v = torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float)
        >>> y.backward(v)
        >>> print(x.grad)
        tensor([5.1200e+01, 5.1200e+02, 5.1200e-02])
        >>> print(x.requires_grad)
        True
        >>> print((x ** 2).requires_grad)
        True
        >>> with torch.no_grad():
        ...     print((x ** 2).requires_grad)
        False
        >>> y = x.detach()
        >>> print(y.requires_grad)
        False
        >>> print(x.eq(y).all())
        tensor(True)
        """,
    "fundamentals: the graph": """
        >>> import math
        >>> a = torch.linspace(0., 2. * math.pi, steps=25, requires_grad=True)
        >>> print(a)
        tensor([0.0000, 0.2618, 0.5236, 0.7854, 1.0472, 1.3090, 1.5708, 1.8326, 2.0944,
                2.3562, 2.6180, 2.8798, 3.1416, 3.4034, 3.6652, 3.9270, 4.1888, 4.4506,
                4.7124, 4.9742, 5.2360, 5.4978, 5.7596, 6.0214, 6.2832],
               requires_grad=True)
        >>> b = torch.sin(a)
        >>> c = 2 * b
        >>> d = c + 1
        >>> print(d[:4].detach())
        tensor([1.0000, 1.5176, 2.0000, 2.4142])
        >>> out = d.sum()
        >>> print(out)
        tensor(25., grad_fn=<SumBackward0>)
        >>> print(d.grad_fn)
        <AddBackward0 object at 0x...>
        >>> print(d.grad_fn.next_functions[0][0])
        <MulBackward0 object at 0x...>
        >>> print(d.grad_fn.next_functions[0][0].next_functions[0][0])
        <SinBackward0 object at 0x...>
        >>> print(d.grad_fn.next_functions[0][0].next_functions[0][0].next_functions[0][0])
        <AccumulateGrad object at 0x...>
        >>> d.grad_fn.next_functions[0][0].next_functions[0][0].next_functions[0][0].next_functions
        ()
        >>> print(a.grad_fn)
        None
        >>> out.backward()
        >>> torch.allclose(a.grad, 2 * torch.cos(a))
        True
        >>> print(a.grad[:4])
        tensor([2.0000, 1.9319, 1.7321, 1.4142])
        """,
    "fundamentals: turning autograd off and on": """
        >>> a = torch.ones(2, 3, requires_grad=True)
        >>> b1 = 2 * a
        >>> print(b1)
        tensor([[2., 2., 2.],
                [2., 2., 2.]], grad_fn=<MulBackward0>)
        >>> a.requires_grad = False
        >>> b2 = 2 * a
        >>> print(b2)
        tensor([[2., 2., 2.],
                [2., 2., 2.]])
        >>> a = torch.ones(2, 3, requires_grad=True) * 2
        >>> b = torch.ones(2, 3, requires_grad=True) * 3
        >>> def add_tensors1(x, y):
        ...     return x + y
        >>> @torch.no_grad()
        ... def add_tensors2(x, y):
        ...     return x + y
        >>> print(add_tensors1(a, b))
        tensor([[5., 5., 5.],
                [5., 5., 5.]], grad_fn=<AddBackward0>)
        >>> print(add_tensors2(a, b))
        tensor([[5., 5., 5.],
                [5., 5., 5.]])
        >>> print(a * b)
        tensor([[6., 6., 6.],
                [6., 6., 6.]], grad_fn=<MulBackward0>)
        >>> x = torch.rand(5, requires_grad=True)
        >>> y = x.detach()
        >>> x.requires_grad, y.requires_grad
        (True, False)
        """,
    "basics: one linear layer": """
        >>> x = torch.ones(5)
        >>> w = torch.zeros((5, 3), requires_grad=True)
        >>> b = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
        >>> z = torch.matmul(x, w) + b
        >>> print(f"Gradient function for z = {z.grad_fn}")
        Gradient function for z = <AddBackward0 object at 0x...>
        >>> torch.sigmoid(z).sum().backward()
        >>> print(w.grad)
        tensor([[0.2500, 0.1966, 0.1966],
                [0.2500, 0.1966, 0.1966],
                [0.2500, 0.1966, 0.1966],
                [0.2500, 0.1966, 0.1966],
                [0.2500, 0.1966, 0.1966]])
        >>> print(b.grad)
        tensor([0.2500, 0.1966, 0.1966])
        >>> z_det = z.detach()
        >>> print(z_det.requires_grad)
        False
        """,
    "basics: gradients accumulate": r"""
        >>> inp = torch.eye(4, 5, requires_grad=True)
        >>> out = (inp+1).pow(2).t()
        >>> out.backward(torch.ones_like(out), retain_graph=True)
        >>> print(f"First call\n{inp.grad}")
        First call
        tensor([[4., 2., 2., 2., 2.],
                [2., 4., 2., 2., 2.],
                [2., 2., 4., 2., 2.],
                [2., 2., 2., 4., 2.]])
        >>> out.backward(torch.ones_like(out), retain_graph=True)
        >>> print(f"\nSecond call\n{inp.grad}")
        <BLANKLINE>
        Second call
        tensor([[8., 4., 4., 4., 4.],
                [4., 8., 4., 4., 4.],
                [4., 4., 8., 4., 4.],
                [4., 4., 4., 8., 4.]])
        >>> _ = inp.grad.zero_()
        >>> out.backward(torch.ones_like(out), retain_graph=True)
        >>> print(f"\nCall after zeroing gradients\n{inp.grad}")
        <BLANKLINE>
        Call after zeroing gradients
        tensor([[4., 2., 2., 2., 2.],
                [2., 4., 2., 2., 2.],
                [2., 2., 4., 2., 2.],
                [2., 2., 2., 4., 2.]])
        """,
    "polynomial fitted by autograd": """
        >>> import math
        >>> x = torch.linspace(-math.pi, math.pi, 2000)
        >>> y = torch.sin(x)
        >>> a = torch.zeros((), requires_grad=True)
        >>> b = torch.zeros((), requires_grad=True)
        >>> c = torch.zeros((), requires_grad=True)
        >>> d = torch.zeros((), requires_grad=True)
        >>> learning_rate = 1e-6
        >>> for t in range(2000):
        ...     y_pred = a + b * x + c * x ** 2 + d * x ** 3
        ...     loss = (y_pred - y).pow(2).sum()
        ...     if t % 500 == 499:
        ...         print(t, round(loss.item(), 3))
        ...     loss.backward()
        ...     with torch.no_grad():
        ...         a -= learning_rate * a.grad
        ...         b -= learning_rate * b.grad
        ...         c -= learning_rate * c.grad
        ...         d -= learning_rate * d.grad
        ...         a.grad = None
        ...         b.grad = None
        ...         c.grad = None
        ...         d.grad = None
        499 106.109
        999 21.117
        1499 10.372
        1999 9.014
        >>> print(f'Result: y = {b.item():.4f} x + {d.item():.4f} x^3')
        Result: y = 0.8431 x + -0.0914 x^3
        """,
    "leaf and non-leaf tensors": """
        >>> x = torch.ones(1, 3)
        >>> W = torch.ones(3, 2, requires_grad=True)
        >>> b = torch.ones(1, 2, requires_grad=True)
        >>> y = torch.ones(1, 2)
        >>> z = (x @ W) + b
        >>> y_pred = torch.relu(z)
        >>> loss = ((y_pred - y) ** 2).mean()
        >>> print(f"{x.is_leaf=} {z.is_leaf=} {x.requires_grad=} {W.requires_grad=} {z.requires_grad=}")
        x.is_leaf=True z.is_leaf=False x.requires_grad=False W.requires_grad=True z.requires_grad=True
        >>> z.retain_grad()
        >>> y_pred.retain_grad()
        >>> loss.retain_grad()
        >>> loss.backward()
        >>> print(f"{W.grad=}")
        W.grad=tensor([[3., 3.],
                [3., 3.],
                [3., 3.]])
        >>> print(f"{b.grad=} {x.grad=} {z.grad=} {y_pred.grad=} {loss.grad=}")
        b.grad=tensor([[3., 3.]]) x.grad=None z.grad=tensor([[3., 3.]]) y_pred.grad=tensor([[3., 3.]]) loss.grad=tensor(1.)
        >>> z.retains_grad, W.retains_grad
        (True, False)
        >>> try:
        ...     x.retain_grad()
        ... except RuntimeError as error:
        ...     print(error)
        can't retain_grad on Tensor that has requires_grad=False...
        """,
    "a third-order polynomial learns the sine": """
        >>> import math
        >>> dtype, device = torch.double, "cpu"
        >>> x = torch.linspace(-math.pi, math.pi, 2000, device=device, dtype=dtype)
        >>> y = torch.sin(x)
        >>> a, b, c, d = (torch.zeros((), device=device, dtype=dtype, requires_grad=True) for _ in range(4))
        >>> learning_rate = 1e-6
        >>> for t in range(2000):
        ...     y_pred = a + b * x + c * x ** 2 + d * x ** 3
        ...     loss = (y_pred - y).pow(2).sum()
        ...     if t % 1000 == 999:
        ...         print(t, f"{loss.item():.6f}")
        ...     loss.backward()
        ...     with torch.no_grad():
        ...         a -= learning_rate * a.grad
        ...         b -= learning_rate * b.grad
        ...         c -= learning_rate * c.grad
        ...         d -= learning_rate * d.grad
        ...         a.grad = None
        ...         b.grad = None
        ...         c.grad = None
        ...         d.grad = None
        999 21.117234
        1999 9.013758
        >>> print(f"Result: y = {b.item():.6f} x + {d.item():.6f} x^3")
        Result: y = 0.843111 x + -0.091392 x^3
        """,
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_session_prints_what_pytorch_prints(name, check_session):
    check_session(">>> import hograd as torch\n" + inspect.cleandoc(SNIPPETS[name]), name)
