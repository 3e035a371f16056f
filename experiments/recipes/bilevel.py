"""The recipe `bilevel`: outer variables of a training are learned by hypergradients, beside searches for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge

import hograd as ho
from experiments.components import (
    BaselineChoice,
    Count,
    DataChoice,
    LearnChoice,
    LossChoice,
    MethodChoice,
    ModelChoice,
    OptimizerChoice,
    choose,
    register,
)
from experiments.components.baselines import trained_on
from experiments.components.registry import Choice, find
from experiments.errors import DivergedError, Refused
from experiments.experiment import Outcome, Report, Task
from experiments.recipes.bilevel_layers import reconcile
from experiments.recipes.bilevel_problem import Parts, made
from experiments.recipes.bilevel_report import report
from experiments.recipes.bilevel_searches import on_examples, searching, weighted_beside_validation
from hograd.errors import HogradError
from optim.hyper import hypergradient


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner training.

    Args:
        loss: of single examples; inner training makes its mean small.
        steps: how many the optimizer takes.
        batch: examples of a step; all, if it is null.
        optimizer: of the parameters.
        l2: strength of a fixed penalty, l2 * sum of the squares of all weights, without biases.
    """

    loss: LossChoice = choose("cross_entropy")
    steps: Count = 100
    batch: Count | None = None
    optimizer: OptimizerChoice = choose("SGD")
    l2: Annotated[float, Ge(0)] = 0.0


@dataclasses.dataclass(frozen=True)
class Outer:
    """The outer loop.

    Args:
        optimizer: of the outer variables.
        steps: how many it takes; the loss after the last one is computed too.
        method: the estimator of the hypergradient.
        patience: stop after so many steps without a smaller validation loss.
        warm_start: begin inner training where the last one ended.
    """

    optimizer: OptimizerChoice = choose("Adam", lr=0.03)
    steps: Annotated[int, Ge(0)] = 100
    method: MethodChoice = choose("Reverse")
    patience: Count | None = None
    warm_start: bool = False


@dataclasses.dataclass(frozen=True)
class Published:
    """Numbers that a paper prints, to stand beside ours.

    Args:
        source: who printed them, for the head of a column.
        losses: the validation loss after so many outer steps.
        note: what a reader should know of them.
    """

    source: str
    losses: dict[str, float]
    note: str = ""


@register("experiment")
@dataclasses.dataclass(frozen=True)
class bilevel:
    """Outer variables of a training, learned by hypergradients on validation examples.

    Args:
        data: what is trained, validated and tested on.
        model: the network.
        inner: the training that is differentiated through.
        learn: the outer variables.
        outer: how they are learned.
        baselines: what the result is compared with.
        published: numbers of a paper to stand beside it.
        compile: null, or the backend of the compiled hypergradient: numpy or native.
    """

    data: DataChoice
    learn: dict[str, LearnChoice]
    model: ModelChoice = choose("linear")
    inner: Inner = dataclasses.field(default_factory=Inner)
    outer: Outer = dataclasses.field(default_factory=Outer)
    baselines: tuple[BaselineChoice, ...] = ()
    published: Published | None = None
    compile: Literal["numpy", "native"] | None = None

    reconcile = staticmethod(reconcile)

    def check(self) -> None:
        """Refuse parts that cannot work together."""
        if not self.learn:
            raise Refused("learn", "it is empty, so there is nothing to learn; write optimizer.lr: {} for example")
        parts = made(self, seed=0)
        method = self.outer.method
        try:
            parts.method()
        except (HogradError, TypeError) as error:
            raise Refused("outer.method", str(error)) from None
        if self.compile is not None and not getattr(method.make, "compiles", True):
            raise Refused("compile", f"{method.name} cannot be compiled; write compile: null, or use another method")
        if method.name in ("Implicit", "DARTS"):
            idle = [name for name, variable in parts.variables.items() if variable.steers]
            if idle:
                raise Refused(
                    "outer.method.name",
                    f"{method.name} asks what the solution of training depends on, and its derivative by "
                    f"{', '.join(idle)} is 0: that only steers the way there. Use Reverse, Truncated or Forward",
                )
        if method.name == "Reversible" and self.inner.optimizer.name != "SGD":
            raise Refused(
                "outer.method.name", f"Reversible runs SGD with momentum backwards, and not {self.inner.optimizer.name}"
            )
        if self.outer.warm_start and "init" in self.learn:
            raise Refused("outer.warm_start", "the first parameters are learned, so training has to begin at them")
        for index, baseline in enumerate(self.baselines):
            for name in baseline.options.get("over", {}):
                component = find("learn", name)
                if component is None or (component.name != "optimizer.*" and name not in self.learn):
                    known = [*self.learn, "optimizer.lr"]
                    raise Refused(
                        f"baselines[{index}].over", f"unknown hyperparameter '{name}'; such are {', '.join(known)}"
                    )

    def memory(self) -> int:
        """What the largest task needs: the states that its method keeps, and the data."""
        return made(self, seed=0).memory()

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """For each seed the baselines, and then learning."""
        every: list[Task] = []
        for seed in seeds:
            for index, baseline in enumerate(self.baselines):
                every.append(SearchTask(self, seed, index, baseline))
            every.append(LearnTask(self, seed))
        return every

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """Validation and test of all methods, the gap between them, and what was learned."""
        return report(self, outcomes)


class LearnTask:
    """One seed's outer loop; a step is one hypergradient and one outer step."""

    def __init__(self, recipe: bilevel, seed: int):
        self.recipe, self.seed = recipe, seed
        self.name = f"seed{seed}-learned"
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": "learned"}
        self.steps = recipe.outer.steps + 1
        self.optimizer = recipe.outer.optimizer.build()

    def prepare(self) -> None:
        """Make the problem, and the function that a step calls."""
        self.parts = made(self.recipe, self.seed)
        self.method = self.parts.method()
        self.evaluate = self._evaluate
        if self.recipe.compile is not None:
            self.evaluate = ho.compile(self._evaluate, backend=self.recipe.compile)

    def _evaluate(self, free: Any, params: Any, batches: Any) -> Any:
        value, slope, info = hypergradient(self.parts.problem(params, batches), free, self.method)
        return value, slope, info.params

    def start(self) -> Any:
        """Where learning starts."""
        free = self.parts.begin()
        return {
            "step": 0,
            "free": free,
            "optimizer": ho.tree.map(ho.as_tensor, self.optimizer.init(free)),
            "params": self.parts.training.params,
            "best": None,
            "waited": 0,
        }

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """One hypergradient, and the step of the outer optimizer along it."""
        number, free = state["step"], state["free"]
        try:
            value, slope, params = self.evaluate(free, state["params"], self.parts.batches())
        except HogradError as error:
            raise DivergedError(f"{self.name}, outer step {number}: {error}") from error
        loss = value.item()
        self._expect_finite(number, free, loss, slope)
        values = self.parts.values(free)
        best, waited = state["best"], state["waited"] + 1
        if best is None or loss < best["loss"]:
            best, waited = {"step": number, "loss": loss, "values": values, "params": params}, 0
        metrics = {"step": number, "validation_loss": loss, **self.parts.summary(values)}
        optimizer = state["optimizer"]
        if number < self.recipe.outer.steps:
            free, optimizer = self.optimizer.step(free, slope, optimizer)
            free = self.parts.projected(free)
        kept = params if self.recipe.outer.warm_start else state["params"]
        return {
            "step": number + 1,
            "free": free,
            "optimizer": optimizer,
            "params": kept,
            "best": best,
            "waited": waited,
        }, metrics

    def done(self, state: Any) -> bool:
        """Whether all steps are taken, or patience is at its end."""
        patience = self.recipe.outer.patience
        return state["step"] >= self.steps or (patience is not None and state["waited"] >= patience)

    def score(self, state: Any) -> float | None:
        """The validation loss of the best step so far."""
        return None if state["best"] is None else state["best"]["loss"]

    def result(self, state: Any) -> Mapping[str, Any]:
        """The best values, and how they do on validation and test examples."""
        best = state["best"]
        if best is None:
            return {"trainings": 0}
        return {
            "trainings": state["step"],
            "best_step": best["step"],
            "validation_loss": best["loss"],
            **self.parts.judged(best["values"], best["params"]),
            **weighted_beside_validation(self.parts, best["values"]),
            "learned": ho.tree.map(lambda leaf: leaf.numpy(), best["values"]),
            # What weights of examples should tell apart.
            **({"wrong": self.parts.split.facts["wrong"]} if "f1" in self.parts.summary(best["values"]) else {}),
        }

    def _expect_finite(self, number: int, free: Any, loss: float, slope: Any) -> None:
        """Stop where a number is not finite, and name what to lower."""
        place = f"{self.name}, outer step {number}"
        if not ho.tensor(loss).isfinite():
            culprit = self.parts.blame(free)
            raise DivergedError(
                f"{place}: the validation loss is {loss} because of {culprit}; lower it, or outer.optimizer.lr"
            )
        for name, part in slope.items():
            if not all(bool(leaf.isfinite().all()) for leaf in ho.tree.leaves(part)):
                raise DivergedError(
                    f"{place}: the hypergradient of {name} is not finite, though the loss is {loss:.6g}; lower its "
                    "first value, or outer.optimizer.lr"
                )


class SearchTask:
    """One seed's search; a step is one training."""

    def __init__(self, recipe: bilevel, seed: int, index: int, choice: Choice):
        self.recipe, self.seed = recipe, seed
        same = sum(one.name == choice.name for one in recipe.baselines) > 1
        self.name = f"seed{seed}-{choice.name}{index + 1 if same else ''}"
        self.search = choice.build()
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": self.search.title}
        self.steps = self.search.budget(recipe.outer.steps + 1)

    def prepare(self) -> None:
        """Make the problem, and the function that trains at a point."""
        self.parts: Parts = made(self.recipe, self.seed)
        if isinstance(self.search, trained_on):
            self.train = on_examples(self.parts, self.search)
        else:
            self.train = searching(self.parts, list(getattr(self.search, "over", {})))

    def start(self) -> Any:
        """Nothing was tried."""
        return {"step": 0, "tried": [], "best": None}

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """Train at the next point."""
        number = state["step"]
        tried = [(one["point"], one["loss"]) for one in state["tried"]]
        point = self.search.propose(number, self.seed, tried)
        found = self.train(point, number)
        best = state["best"]
        if best is None or found.rank <= best["rank"] or math.isnan(best["rank"]):
            best = {"step": number, "rank": found.rank, "loss": found.loss, "point": point, "params": found.params}
        tried = [*state["tried"], {"point": point, "loss": found.rank}]
        metrics = {"step": number, "validation_loss": found.loss, **point}
        return {"step": number + 1, "tried": tried, "best": best}, metrics

    def done(self, state: Any) -> bool:
        """Whether all points were tried."""
        return state["step"] >= self.steps

    def score(self, state: Any) -> float | None:
        """How the best point so far ranks."""
        return None if state["best"] is None else state["best"]["rank"]

    def result(self, state: Any) -> Mapping[str, Any]:
        """The best point, and how it does on validation and test examples."""
        best = state["best"]
        if best is None:
            return {"trainings": 0}
        return {
            "trainings": state["step"],
            "best_step": best["step"],
            "validation_loss": best["loss"],
            **self.parts.judged({}, best["params"]),
            "point": best["point"],
            "kind": self.search.role,
        }
