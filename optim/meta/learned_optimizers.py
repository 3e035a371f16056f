"""Optimizers that are small networks, the same for every number of the parameters, and how they are learned."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import hograd as ho
from hograd import Tensor, func, nn, tree
from optim.base import Optimizer, static
from optim.meta.adaptation import expect_steps
from optim.meta.base import STATISTICS, Examples, Predict, Task, judged, outputs, tensors
from optim.meta.chosen import Learn
from optim.meta.maml import MAML

DECAYS = (0.5, 0.9, 0.99)
"""Of the averages of gradients that a network sees; that of their squares is 0.999."""


class CoordinateWise(Optimizer):
    """What both share: all parameters are one vector, and the state is a dict of tensors with a row for each number.

    A subclass writes `begin` and `move`. Weights are drawn by the seed unless they are given.
    """

    weights: Any = None
    hidden: int = static(default=16)
    seed: int = static(default=0)

    def __post_init__(self) -> None:
        expect_steps(f"{type(self).__name__}: hidden", self.hidden, 1)
        if self.weights is None:
            object.__setattr__(self, "weights", self.drawn())
        super().__post_init__()

    def drawn(self) -> Any:
        """New weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define drawn().")

    def begin(self, p: Tensor) -> dict[str, Tensor]:
        """The state before the first step, for parameters of shape (n,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define begin().")

    def move(self, g: Tensor, state: dict[str, Tensor], step: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """What is taken off the parameters, and the next state."""
        raise NotImplementedError(f"{type(self).__name__} does not define move().")

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, **self.begin(tree.ravel(params)[0])}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        flat, unravel = tree.ravel(params)
        own = {name: part for name, part in state.items() if name != "step"}
        moved, own = self.move(tree.ravel(grads)[0].astype(flat.dtype), own, state["step"])
        return unravel(flat - moved.astype(flat.dtype)), {"step": state["step"] + 1, **own}


class LearnedMLP(CoordinateWise):
    """Adam's step, turned and scaled for each number by a small network of what its gradients were.

    p <- p - exp(log_lr + s) (m / r + d) ,  (d, s) = MLP of g / r, of three averages of g over r, and of the time,

    where r is the root of the average of g^2, all averages without bias: scales of a loss do not matter. The last layer
    begins at 0, so that it begins as Adam with the rate `lr`. In the manner of Metz et al. (2020).

    Args:
        weights: a dict with "log_lr" and "layers", which is what is learned; drawn if None.
        hidden: width of the network.
        seed: of the first weights.
        lr: the rate that it begins with.

    >>> opt = LearnedMLP(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, -4.0]), opt.init(w))[0]
    tensor([0.9000, 2.1000])
    """

    lr: float = static(default=0.01)

    def drawn(self) -> Any:
        net = self._net()
        return {"log_lr": ho.tensor(self.lr).log(), "layers": net.init(self.seed)}

    def begin(self, p: Tensor) -> dict[str, Tensor]:
        return {"averages": ho.zeros((len(p), len(DECAYS)), dtype=p.dtype), "squares": ho.zeros_like(p)}

    def move(self, g: Tensor, state: dict[str, Tensor], step: Any) -> tuple[Tensor, dict[str, Tensor]]:
        decays, count = ho.tensor(DECAYS, dtype=g.dtype), ho.as_tensor(step + 1.0).astype(g.dtype)
        averages = decays * state["averages"] + (1 - decays) * g[:, None]
        squares = 0.999 * state["squares"] + 0.001 * g * g
        root = ho.safe_sqrt(squares / (1 - 0.999**count)) + 1e-12
        known = averages / (1 - decays**count) / root[:, None]
        times = ho.tanh(count / ho.tensor([3.0, 30.0, 300.0], dtype=g.dtype)).expand(len(g), 3)
        seen = ho.concatenate([(g / root)[:, None], known, times], 1)
        made = self._net().apply(self.weights["layers"], seen)
        moved = ho.exp(self.weights["log_lr"] + made[:, 1]) * (known[:, 1] + made[:, 0])
        return moved, {"averages": averages, "squares": squares}

    def _net(self) -> nn.sequential:
        last = nn.linear(self.hidden, 2, weight_init=nn.init.zeros, bias_init=nn.init.zeros)
        return nn.mlp([4 + len(DECAYS), self.hidden, 2], ho.tanh).replace(head=last)


class LearnedLSTM(CoordinateWise):
    """A recurrent network for each number, with the same weights for all (Andrychowicz et al., 2016).

    p <- p - scale * linear(h) ,  h, c <- LSTM of (log|g| / 10, sign of g) , or of (-1, e^10 g) where |g| < e^-10 .

    Args:
        weights: a dict with "cell" and "out", which is what is learned; drawn if None.
        hidden: features of h.
        seed: of the first weights.
        scale: of what it takes off.

    >>> opt = LearnedLSTM(hidden=8)
    >>> w = ho.tensor([1.0, 2.0])
    >>> w, state = opt.step(w, ho.tensor([3.0, -4.0]), opt.init(w))
    >>> state["h"].shape
    (2, 8)
    """

    scale: float = static(default=0.1)

    def drawn(self) -> Any:
        cell, out = self._layers()
        return {"cell": cell.init((self.seed, 0)), "out": out.init((self.seed, 1))}

    def begin(self, p: Tensor) -> dict[str, Tensor]:
        return {name: ho.zeros((len(p), self.hidden), dtype=p.dtype) for name in ("h", "c")}

    def move(self, g: Tensor, state: dict[str, Tensor], step: Any) -> tuple[Tensor, dict[str, Tensor]]:
        cell, out = self._layers()
        size = ho.abs(g)
        large = size >= 4.5e-5  # e^-10
        first = ho.where(large, ho.log(ho.where(large, size, 1.0)) / 10, -1.0)
        second = ho.where(large, ho.sign(g), 22026.0 * g)
        h, c = cell.apply(self.weights["cell"], ho.stack([first, second], 1), (state["h"], state["c"]))
        return self.scale * out.apply(self.weights["out"], h)[:, 0], {"h": h, "c": c}

    def _layers(self) -> tuple[Any, Any]:
        return nn.lstm_cell(2, self.hidden), nn.linear(self.hidden, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class LearnToOptimize(MAML):
    """Learns the optimizer, from training networks on tasks (Andrychowicz et al., 2016).

    minimise over what is learned of `inner`:  the mean over steps 1 to K of the criterion on the query examples, where
    the parameters begin at draws that stay, and `inner` trains them on the support examples.

    With `inner=LearnedMLP()` or `LearnedLSTM()` the optimizer is a network; with `inner=Adam(...), learn=("lr",)` it is
    Adam, tuned. For long training an optimizer of this kind is the outer variable of `optim.hyper.Bilevel`, whose
    methods (`Reverse`, `Truncated`, `PES`) then estimate its hypergradient. The draws stand with what is learned, under
    "statistics".

    Args:
        net, criterion, inner, steps, learn, adapted: see `MAML`.
        order: 1 takes gradients as constants, as the paper does.
        starts: how many draws of first parameters each task is trained from; predictions come from the first.

    >>> from optim.meta.tasks import Quadratics
    >>> algorithm = LearnToOptimize(nn.linear(4, 1, bias=False), ho.mse, LearnedMLP(lr=0.1), steps=10)
    >>> sorted(algorithm.init(0)["inner"]["weights"])
    ['layers', 'log_lr']
    """

    inner: Optimizer = dataclasses.field(default_factory=LearnedMLP)
    steps: int = 20
    order: Any = 1
    learn: Learn = ("weights",)
    starts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_steps("LearnToOptimize: steps", self.steps, 1)
        expect_steps("LearnToOptimize: starts", self.starts, 1)

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """The first values of what is learned of the optimizer, and draws of first parameters."""
        inner, seeds = super().init(seed, dtype=dtype)["inner"], np.random.SeedSequence(seed).spawn(self.starts)
        begun = [self.net.init(np.random.default_rng(one), dtype=dtype) for one in seeds]
        return {"inner": inner, STATISTICS: {"starts": tree.stack(begun)}}

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The network after so many steps on these examples, from the first of the draws."""
        begun = tree.map(lambda leaf: leaf[0], learned[STATISTICS]["starts"])
        return super().adapt({"inner": learned["inner"], "params": begun}, support, steps)

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The mean criterion along training; what is told beside is of the last step."""
        query = tensors(task.query)

        def from_start(params: Any) -> tuple[Tensor, Any]:
            values, told = [], {}
            own = {"inner": learned["inner"], "params": params}
            for number, (now, _) in enumerate(self.path(own, task.support, self.steps)):
                if number:
                    value, told = judged(self.criterion, outputs(self.net, now, query.x)[0], query.y)
                    values.append(value)
            return ho.stack(values).mean(), told

        values, told = func.vmap(from_start)(learned[STATISTICS]["starts"])
        return values.mean(), tree.map(lambda leaf: leaf.mean(0), told)
