"""Learn one penalty for each feature of a logistic regression: the setting of Grazzi et al. (2020).

The notebook of "On the iteration complexity of hypergradient computation" prints the losses of this run; with its
settings they are computed again and put beside it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.errors import DivergedError
from experiments.report.plots import COLOURS, figure, legend_below
from experiments.report.tables import number, table
from optim import SGD
from optim.hyper import Bilevel, Truncated, hypergradient

if TYPE_CHECKING:
    from experiments.runner import Run
    from experiments.schema import PenalisedLogistic

#: The validation loss that the notebook prints at some outer steps, with the settings of the shipped config.
PRINTED = {0: 0.5743989944, 10: 0.5337678790, 20: 0.3615218699, 30: 0.3225042522, 40: 0.2987646163}


@dataclass
class Outcome:
    """What is known of one seed so far; entry k of `losses` is the validation loss after k outer steps."""

    seed: int
    true_weights: np.ndarray
    losses: list[float] = field(default_factory=list)
    penalties: np.ndarray = field(default_factory=lambda: np.empty(0))
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))


class Problem:
    """The experiment `penalised_logistic`."""

    def __init__(self, config: "PenalisedLogistic", run: "Run"):
        self.config = config
        self.run = run
        self.outcomes: list[Outcome] = []

    def work(self) -> None:
        """For each seed: make the data, learn the penalties."""
        for seed in self.config.seeds:
            problem, weights = make_problem(self.config, seed)
            outcome = Outcome(seed, weights)
            self.outcomes.append(outcome)
            self._learn(outcome, problem)

    def finish(self) -> tuple[dict[str, Any], str]:
        """The plots, the table, and what was learned."""
        learned = [outcome for outcome in self.outcomes if outcome.losses]
        for outcome in learned:
            arrays = {"penalties": outcome.penalties, "weights": outcome.weights, "true_weights": outcome.true_weights}
            self.run.write_tensors(f"learned/seed{outcome.seed}.safetensors", arrays)
        if learned:
            self._plot(learned)
        results = {
            str(outcome.seed): {"first_validation_loss": outcome.losses[0], "last_validation_loss": outcome.losses[-1]}
            for outcome in learned
        }
        return results, self._table(learned)

    def _learn(self, outcome: Outcome, problem: Bilevel) -> None:
        config = self.config
        method = Truncated(steps=config.inner_steps, last=config.differentiated_steps)
        penalties = ho.full((config.features,), config.initial_penalty)
        optimizer = SGD(lr=config.outer_lr, momentum=config.outer_momentum)
        state = optimizer.init(penalties)
        with self.run.progress.track(f"seed {outcome.seed}", config.outer_steps + 1, "outer step") as counter:
            for step in range(config.outer_steps + 1):
                value, slope, info = hypergradient(problem, penalties, method)
                loss = value.item()
                if not (np.isfinite(loss) and np.isfinite(slope.numpy()).all()):
                    raise DivergedError(
                        f"seed {outcome.seed}, outer step {step}: the validation loss is {loss}, the largest penalty "
                        f"{penalties.numpy().max():.4g}; lower inner_lr = {config.inner_lr:g} or outer_lr = "
                        f"{config.outer_lr:g}"
                    )
                outcome.losses.append(loss)
                outcome.penalties, outcome.weights = penalties.numpy(), info.params.numpy()
                self.run.log(kind="learning", seed=outcome.seed, outer_step=step, validation_loss=loss)
                counter.advance(f"validation loss {number(loss)}")
                penalties, state = optimizer.step(penalties, slope, state)
                penalties = ho.clamp(penalties, min=config.minimum_penalty)

    def _table(self, outcomes: list[Outcome]) -> str:
        rows = []
        for outcome in outcomes:
            printed = PRINTED if self._is_published(outcome.seed) else {}
            for step in range(0, len(outcome.losses), 10):
                there = f"{printed[step]:.10f}" if step in printed else "-"
                rows.append([str(outcome.seed), str(step), f"{outcome.losses[step]:.10f}", there])
        header = ["seed", "outer\nstep", "validation\nloss", "printed by\nGrazzi et al."]
        note = "What is printed there was computed in single precision, here in double."
        return "\n".join([table(header, rows), "", note])

    def _is_published(self, seed: int) -> bool:
        """Whether these are the notebook's settings."""
        from experiments.schema import PenalisedLogistic

        plain = PenalisedLogistic(experiment="penalised_logistic", output=self.config.output)
        changed = {"description": "", "seeds": [1]}
        same_steps = {"outer_steps": plain.outer_steps}
        return seed == 1 and self.config.model_copy(update=changed | same_steps) == plain

    def _plot(self, outcomes: list[Outcome]) -> None:
        chart, (left, right) = figure(columns=2, width=9.0, height=4.0)
        for index, outcome in enumerate(outcomes):
            colour = COLOURS[index % len(COLOURS)]
            left.plot(outcome.losses, color=colour, linewidth=2, label=f"seed {outcome.seed}")
            if self._is_published(outcome.seed):
                shown = [step for step in PRINTED if step < len(outcome.losses)]
                left.plot(shown, [PRINTED[step] for step in shown], "ko", markersize=5, label="Grazzi et al.")
            right.plot(np.abs(outcome.true_weights), outcome.penalties, "o", color=colour)
        left.set(xlabel="outer step", ylabel="validation loss after training")
        right.set(xlabel="size of the feature's true weight", ylabel="penalty learned for it")
        legend_below(chart, left, columns=4)
        self.run.write_figure("penalties.png", chart)


def make_problem(config: "PenalisedLogistic", seed: int) -> tuple[Bilevel, np.ndarray]:
    """The bilevel problem on the data of a seed, and the direction that labels them.

    The legacy generator of NumPy draws what the notebook draws, and the split is that of scikit-learn's
    `train_test_split(x, y, test_size=0.5)` on the same generator.
    """
    random = np.random.RandomState(seed)
    weights = random.randn(config.features)
    x = random.randn(config.examples, config.features)
    y = (x @ weights + config.noise * random.randn(config.examples) > 0).astype(float)
    order = random.permutation(config.examples)
    held, used = np.split(order, [-(-config.examples // 2)])
    train_x, train_y, held_x, held_y = map(ho.tensor, (x[used], y[used], x[held], y[held]))
    problem = Bilevel(
        inner_loss=lambda w, h: ho.binary_cross_entropy_with_logits(train_x @ w, train_y) + 0.5 * (h * w**2).sum(),
        outer_loss=lambda w, h: ho.binary_cross_entropy_with_logits(held_x @ w, held_y),
        init=ho.zeros(config.features),
        optimizer=SGD(lr=config.inner_lr),
    )
    return problem, weights
