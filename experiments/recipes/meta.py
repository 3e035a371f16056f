"""The recipe `meta`: an algorithm learns from many tasks how to learn a new one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

import hograd as ho
from experiments.components import (
    AlgorithmChoice,
    Count,
    Distinct,
    LossChoice,
    ModelChoice,
    Natural,
    OptimizerChoice,
    TasksChoice,
    choose,
    register,
)
from experiments.components.registry import Choice
from experiments.errors import DivergedError, Refused, UsageError
from experiments.experiment import Outcome, Report, Task
from experiments.recipes.meta_report import report
from hograd.errors import HogradError
from hograd.graph import memory_report
from optim import meta as library
from optim.meta.base import Algorithm, tensors
from optim.meta.tasks import Sinusoids, Tasks
from optim.meta.training import chunk

#: Functions whose predictions are kept to be drawn, at so many inputs; tasks with images, and how many of these.
SHOWN, GRID, SHEETS, WIDE = 6, 200, 3, 10

#: Inner steps by which a config is checked.
FEW = 10


@dataclasses.dataclass(frozen=True)
class Outer:
    """The outer loop.

    Args:
        optimizer: of what is learned.
        iterations: how many steps it takes.
        tasks_per_iteration: tasks in each of them.
        tasks_at_once: how many are computed together; null chooses by their size.
    """

    optimizer: OptimizerChoice = choose("Adam", lr=1e-3)
    iterations: Count = 1000
    tasks_per_iteration: Count = 4
    tasks_at_once: Count | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How the result is judged, on tasks that training never saw.

    Args:
        tasks: how many.
        steps: after how many inner steps, where the algorithm takes any.
        shots: further numbers of examples to adapt to, beside that of training.
        ways: further numbers of classes.
    """

    tasks: Count = 600
    steps: Distinct[Natural] = (0, 1, 5, 10)
    shots: tuple[Count, ...] = ()
    ways: tuple[Count, ...] = ()


OUTER, EVALUATION = Outer(), Evaluation()


@register("experiment")
def meta(
    tasks: TasksChoice,
    model: ModelChoice = choose("mlp", hidden=(40, 40)),
    algorithm: AlgorithmChoice = choose("MAML"),
    loss: LossChoice | None = None,
    outer: Outer = OUTER,
    evaluation: Evaluation = EVALUATION,
    baseline: bool = True,
    iterations_per_step: Count = 100,
    compile: Literal["numpy", "native"] | None = "numpy",
) -> MetaLearning:
    """Meta-learning: what is learned from many tasks makes a few examples of a new one enough.

    Args:
        tasks: where they come from.
        model: the network.
        algorithm: how it learns from tasks.
        loss: of single examples; tasks with classes take the cross-entropy, others the squared error, if it is null.
        outer: the outer loop.
        evaluation: how the result is judged.
        baseline: whether the nearest mean of the inputs themselves stands beside, for classes.
        iterations_per_step: outer iterations between two lines of the metrics, and two chances of a checkpoint.
        compile: null, or the backend of compiled functions: numpy or native.
    """
    return MetaLearning(tasks, model, algorithm, loss, outer, evaluation, baseline, iterations_per_step, compile)


@dataclasses.dataclass(frozen=True)
class MetaLearning:
    """The experiment; `family` is its section `tasks`, beside the method of that name."""

    family: Choice
    model: Choice
    algorithm: Choice
    loss: Choice | None
    outer: Outer
    evaluation: Evaluation
    baseline: bool
    iterations_per_step: int
    compile: str | None

    def families(self, seed: int, **options: Any) -> tuple[Tasks, Tasks]:
        """Tasks to train on, and to be judged by, with some options changed."""
        try:
            return self.family.replace(**options).build(seed=seed).split()
        except (HogradError, UsageError) as error:
            raise Refused("tasks", str(error)) from None

    def made(self, tasks: Tasks) -> Algorithm:
        """The algorithm with the network for these tasks."""
        classes = tasks[0].query.y.dtype.kind in "iu"
        # Context parameters come in as further features, or channels.
        first, *rest = tasks.shape
        try:
            net = self.model.build((first + self.algorithm.options.get("context", 0), *rest), tasks.outputs)
        except HogradError as error:
            raise Refused("model", str(error)) from None
        if len(tasks.shape) > 1 and self.model.name in ("linear", "mlp"):
            net = ho.nn.sequential(start=ho.nn.flatten(), **dict(net.layers))
        criterion: Any = ho.cross_entropy if classes else ho.mse
        if self.loss is not None:
            criterion = mean_of(self.loss.build())
        try:
            return self.algorithm.build(net=net, criterion=criterion)
        except HogradError as error:
            raise Refused("algorithm", str(error)) from None

    def settings(self) -> list[dict[str, int]]:
        """The options of tasks, beside those of training, that the result is judged with."""
        found: list[dict[str, int]] = [{}]
        for name in ("shots", "ways"):
            found += [{name: value} for value in getattr(self.evaluation, name)]
        return found

    def check(self) -> None:
        """Refuse parts that cannot work together, by one task."""
        for setting in self.settings():
            unknown = next((name for name in setting if name not in self.family.options), None)
            if unknown is not None:
                raise Refused(f"evaluation.{unknown}", f"{self.family.name} has no {unknown}; leave it out")
            self.families(0, **setting)[1].batch(0, 1)
        self._loss_of_one()

    def memory(self) -> int:
        """What the graph of the loss of the tasks of one iteration keeps, and a few copies of what is learned."""
        # A loss through many inner steps is forecast by that through a few.
        steps = self.algorithm.options.get("steps")
        few = min(steps, FEW) if isinstance(steps, int) else FEW
        longer = max(steps, 1) / max(few, 1) if isinstance(steps, int) else 1
        tasks, learned, loss = self._loss_of_one()
        batch = tensors(tasks.batch(0, self.outer.tasks_per_iteration))
        at_once = min(self.outer.tasks_per_iteration, chunk(batch, self.outer.tasks_at_once))
        held = sum(leaf.numel() * leaf.dtype.itemsize for leaf in ho.tree.leaves((learned, batch)))
        judged = 16 * self.evaluation.tasks * len(self.evaluation.steps)
        return 6 * held + judged + int(longer * at_once * memory_report(loss).total.bytes)

    def _loss_of_one(self) -> tuple[Tasks, Any, ho.Tensor]:
        """One task, what is learned, and the loss after a few inner steps."""
        steps = self.algorithm.options.get("steps")
        short = self.algorithm.replace(steps=FEW) if isinstance(steps, int) and steps > FEW else self.algorithm
        tasks = self.families(0)[0]
        algorithm = dataclasses.replace(self, algorithm=short).made(tasks)
        try:
            learned = ho.tree.map(lambda leaf: leaf.requires_grad_(), begun(algorithm, tasks, 0))
            return tasks, learned, algorithm.loss(learned, tasks[0])[0]
        except HogradError as error:
            raise Refused("algorithm", f"it cannot learn from these tasks with this model: {error}") from None

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """One unit of work for each seed."""
        return [MetaTask(self, seed) for seed in seeds]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """Error or accuracy by adaptation step, over iterations, and predictions."""
        return report(self, outcomes)


class MetaTask:
    """Meta-training with one seed; a step is some outer iterations."""

    def __init__(self, recipe: MetaLearning, seed: int):
        self.recipe, self.seed = recipe, seed
        self.name = f"seed{seed}"
        self.labels: Mapping[str, str | int] = {"algorithm": recipe.algorithm.name, "seed": seed}
        self.steps = math.ceil(recipe.outer.iterations / recipe.iterations_per_step)
        self.optimizer = recipe.outer.optimizer.build()

    def prepare(self) -> None:
        """Make tasks and algorithm, and the function of an outer step."""
        recipe = self.recipe
        self.family, _ = recipe.families(self.seed)
        self.algorithm = recipe.made(self.family)
        self.outer_step = library.make_step(
            self.algorithm, self.optimizer, tasks_at_once=recipe.outer.tasks_at_once, compile=recipe.compile
        )

    def start(self) -> Any:
        """The first values."""
        learned = begun(self.algorithm, self.family, self.seed)
        return {"iteration": 0, "learned": learned, "optimizer": library.start(self.optimizer, learned)}

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """Some outer iterations; each takes the next tasks of the family."""
        outer, begin = self.recipe.outer, state["iteration"]
        learned, optimizer = state["learned"], state["optimizer"]
        end = min(begin + self.recipe.iterations_per_step, outer.iterations)
        told: dict[str, list[float]] = {}
        for iteration in range(begin, end):
            batch = self.family.batch(iteration * outer.tasks_per_iteration, outer.tasks_per_iteration)
            learned, optimizer, metrics = self.outer_step(learned, optimizer, batch)
            for name, value in metrics.items():
                told.setdefault(name, []).append(value.item())
            if not math.isfinite(told["loss"][-1]):
                raise DivergedError(
                    f"{self.name}, iteration {iteration}: the loss on query examples is {told['loss'][-1]}; lower "
                    "the learning rate of algorithm.inner, or outer.optimizer.lr"
                )
        state = {"iteration": end, "learned": learned, "optimizer": optimizer}
        return state, {"iteration": end, **{name: float(np.mean(values)) for name, values in told.items()}}

    def done(self, state: Any) -> bool:
        """Whether all iterations are over."""
        return state["iteration"] >= self.recipe.outer.iterations

    def score(self, state: Any) -> float | None:
        """The last state counts, and not the best one on tasks that training saw."""
        return None

    def result(self, state: Any) -> Mapping[str, Any]:
        """How the learner does on new tasks, some of its predictions, and what was learned."""
        learned = state["learned"]
        steps = self.recipe.evaluation.steps if hasattr(self.algorithm, "steps") else None
        found = [self._judged(learned, setting, steps) for setting in self.recipe.settings()]
        return {
            "iterations": state["iteration"],
            "evaluations": found,
            **self._curves(learned, steps),
            **self._sheet(learned, steps),
            "learned": ho.tree.map(lambda leaf: leaf.numpy(), learned),
        }

    def _judged(self, learned: Any, setting: dict[str, int], steps: Any) -> dict[str, Any]:
        _, held_out = self.recipe.families(self.seed, **setting)
        algorithm = self.recipe.made(held_out)
        number = self.recipe.evaluation.tasks
        with np.errstate(all="ignore"):
            judged = library.evaluate(algorithm, learned, held_out, number, steps, compile=self.recipe.compile)
        told = {"setting": dict(setting), "steps": list(judged.steps)}
        for name in ("loss", "accuracy"):
            intervals = getattr(judged, name)
            told |= {name: [list(one) for one in intervals.values()]} if intervals else {}
        if "accuracy" in told and self.recipe.baseline:
            plain = library.PrototypicalNetwork(ho.nn.sequential(ho.nn.flatten()), ways=held_out.outputs)
            found = library.evaluate(plain, plain.init(), held_out, number)
            told["baseline"] = list(found.accuracy[None])
        return told

    def _sheet(self, learned: Any, steps: Any) -> dict[str, Any]:
        """Some new tasks with images, and what is predicted of them."""
        _, held_out = self.recipe.families(self.seed)
        if len(held_out.shape) != 3:
            return {}
        batch = held_out.batch(0, min(SHEETS, self.recipe.evaluation.tasks))

        def predicted(task: Any) -> Any:
            return self.algorithm.adapt(learned, task.support, None if steps is None else max(steps))(task.query.x)

        with ho.no_grad():
            outputs = ho.func.vmap(predicted)(tensors(batch))
        shown = slice(min(2 * held_out.outputs, WIDE))
        return {
            "sheet": {
                "support": batch.support.x[:, : min(held_out.outputs, WIDE)],
                "query": batch.query.x[:, shown],
                "classes": batch.query.y[:, shown],
                "predicted": outputs.argmax(-1).numpy()[:, shown],
            }
        }

    def _curves(self, learned: Any, steps: Any) -> dict[str, Any]:
        """Some new functions and what is predicted of them, where tasks are functions of one number."""
        _, held_out = self.recipe.families(self.seed)
        if not isinstance(held_out, Sinusoids):
            return {}
        x = np.linspace(*held_out.inputs, GRID)[:, None].astype(held_out.dtype)
        number = min(SHOWN, self.recipe.evaluation.tasks)
        shown, support = (None,) if steps is None else tuple(steps), held_out.batch(0, number).support

        def predicted(support: Any) -> list[Any]:
            return [self.algorithm.adapt(learned, support, count)(x) for count in shown]

        with ho.no_grad(), np.errstate(all="ignore"):
            curves = ho.func.vmap(predicted)(tensors(support))
        return {
            "curves": {
                "x": x[:, 0],
                "truth": np.stack([held_out.values(index, x.astype(np.float64))[:, 0] for index in range(number)]),
                "support": np.stack([support.x[:, :, 0], support.y[:, :, 0]], axis=1),
                "predicted": np.stack([curve.numpy()[:, :, 0] for curve in curves], axis=1),
            }
        }


def mean_of(loss: Callable[[Any, Any], ho.Tensor]) -> Callable[[Any, Any], ho.Tensor]:
    """The mean of a loss of single examples."""
    return lambda outputs, y: loss(outputs, y).mean()


def begun(algorithm: Algorithm, tasks: Tasks, seed: int) -> Any:
    """What is learned at its first values, in the dtype of the tasks."""
    return algorithm.init(seed, dtype=ho.as_tensor(tasks[0].query.x).dtype)
