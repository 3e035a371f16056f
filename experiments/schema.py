"""The keys of every experiment, their types, ranges and defaults."""

from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"each entry may stand once, but {value} stands twice")
    return values


Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0.01, le=0.98)]
Several = Annotated[list[T], Field(min_length=1)]
Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_distinct)]


class Section(BaseModel):
    """A mapping in a config: no unknown keys, no guessing of types, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Experiment(Section):
    """What every experiment has; `output` is the run folder."""

    experiment: str
    description: str = ""
    output: Annotated[str, Field(min_length=1)]
    seeds: Distinct[Natural]


class InitialHyperparameters(Section):
    """Where learning starts: a constant learning rate, the momentum, the L2 strength."""

    lr: Positive = 0.5
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    l2: Positive = 1e-4


class LogRange(Section):
    """`count` values from `low` to `high`, evenly spaced on a logarithmic scale."""

    low: Positive = 0.01
    high: Positive = 10.0
    count: Count = 20

    @field_validator("high")
    @classmethod
    def _not_below_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and high < low:
            raise ValueError(f"found {high:g}, expected at least low, which is {low:g}")
        return high


class Grid(Section):
    """The baseline: every pair of a constant learning rate and a momentum."""

    learning_rates: LogRange = LogRange()
    momenta: Distinct[Momentum] = [0.0, 0.5, 0.8, 0.9, 0.95, 0.99]


class DigitsLearningRates(Experiment):
    """Learn 100 learning rates, a momentum and an L2 strength on handwritten digits."""

    experiment: Literal["digits_learning_rates"]
    seeds: Distinct[Natural] = [0, 1, 2]
    train_fraction: Share = 0.5
    validation_fraction: Share = 0.25
    inner_steps: Count = 100
    outer_steps: Count = 100
    outer_lr: Positive = 0.03
    initial: InitialHyperparameters = InitialHyperparameters()
    grid: Grid = Grid()

    @field_validator("validation_fraction")
    @classmethod
    def _leaves_a_test_set(cls, validation: float, info: ValidationInfo) -> float:
        train = info.data.get("train_fraction")
        if train is not None and train + validation > 0.99:
            raise ValueError(
                f"found {validation:g}, expected at most {0.99 - train:.2g}: train_fraction is {train:g}, "
                "and what both leave, at least 0.01, is the test set"
            )
        return validation


class Evaluation(Section):
    """How the initialisation is measured: on tasks that training never saw, after so many steps."""

    tasks: Annotated[int, Field(ge=2)] = 600
    steps: Distinct[Natural] = [0, 1, 5, 10]


class MamlSinusoid(Experiment):
    """MAML on the sinusoids of Finn et al. 2017."""

    experiment: Literal["maml_sinusoid"]
    seeds: Distinct[Natural] = [0]
    iterations: Count = 5000
    tasks_per_iteration: Count = 25
    support_points: Count = 10
    query_points: Count = 10
    hidden: Several[Count] = [40, 40]
    inner_lr: Positive = 0.01
    inner_steps: Count = 1
    order: Literal[1, 2] = 2
    outer_lr: Positive = 0.001
    dtype: Literal["float32", "float64"] = "float32"
    evaluation: Evaluation = Evaluation()


class PenalisedLogistic(Experiment):
    """Learn a penalty for each feature of a logistic regression, as Grazzi et al. 2020 do."""

    experiment: Literal["penalised_logistic"]
    seeds: Distinct[Natural] = [1]
    examples: Annotated[int, Field(ge=2)] = 1000
    features: Count = 20
    noise: Annotated[float, Field(ge=0)] = 0.1
    inner_steps: Count = 100
    inner_lr: Positive = 0.1
    differentiated_steps: Natural = 10
    outer_steps: Count = 40
    outer_lr: Positive = 1.0
    outer_momentum: Momentum = 0.9
    initial_penalty: Positive = 1.0
    minimum_penalty: Positive = 1e-8

    @field_validator("differentiated_steps")
    @classmethod
    def _not_above_inner_steps(cls, last: int, info: ValidationInfo) -> int:
        steps = info.data.get("inner_steps")
        if steps is not None and last > steps:
            raise ValueError(f"found {last}, expected at most inner_steps, which is {steps}")
        return last


class Cleaned(Section):
    """How many images are for training and for validation, the others for the test, and how strong the inner L2 is."""

    train: Count
    validation: Annotated[int, Field(ge=2)]
    l2: Positive = 1e-3


class LocalCleaned(Cleaned):
    """The same for a data set that is read from files in `folder`."""

    folder: Annotated[str, Field(min_length=1)]


class HyperCleaning(Experiment):
    """Find wrong labels by one weight for each training example, learned on validation examples."""

    experiment: Literal["hyper_cleaning"]
    seeds: Distinct[Natural] = [0, 1, 2]
    datasets: Distinct[Literal["digits", "mnist", "fashion_mnist"]] = ["digits", "mnist", "fashion_mnist"]
    digits: Cleaned = Cleaned(train=900, validation=400)
    mnist: LocalCleaned = LocalCleaned(train=2500, validation=2500, l2=3e-3, folder="data/mnist")
    fashion_mnist: LocalCleaned = LocalCleaned(train=5000, validation=5000, folder="data/fashion_mnist")
    wrong_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    constraints: Distinct[Literal["box", "simplex"]] = ["box", "simplex"]
    simplex_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    inner_tolerance: Positive = 1e-4
    hessian_products: Count = 10
    outer_steps: Count = 40
    outer_lr: Positive = 0.05
    initial_weight: Annotated[float, Field(gt=0, lt=1)] = 0.5
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    baseline_l2: Distinct[Positive] = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2]
    dtype: Literal["float32", "float64"] = "float32"


class Batches(Section):
    """How many images are for training, in batches of what size; the others are for validation."""

    train: Count
    batch_size: Count


class LocalBatches(Batches):
    """The same for a data set that is read from files in `folder`."""

    folder: Annotated[str, Field(min_length=1)]


class HyperRates(Section):
    """How fast the learning rate of each optimizer is learned."""

    sgd: Positive = 1e-3
    nesterov: Positive = 1e-3
    adam: Positive = 1e-7


class HypergradientDescent(Experiment):
    """Learn the learning rate while training goes on, as Baydin et al. 2018 do."""

    experiment: Literal["hypergradient_descent"]
    seeds: Distinct[Natural] = [0, 1, 2]
    datasets: Distinct[Literal["digits", "mnist"]] = ["digits", "mnist"]
    digits: Batches = Batches(train=1400, batch_size=8)
    mnist: LocalBatches = LocalBatches(train=8000, batch_size=128, folder="data/mnist")
    epochs: Count = 20
    lr: Positive = 1e-3
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    l2: Annotated[float, Field(ge=0)] = 1e-4
    hyper_lr: HyperRates = HyperRates()
    dtype: Literal["float32", "float64"] = "float32"


class Entry(NamedTuple):
    """One experiment: the schema of its config, and the module whose `Problem` runs it."""

    schema: type[Experiment]
    module: str


EXPERIMENTS = {
    "digits_learning_rates": Entry(DigitsLearningRates, "experiments.problems.digits_learning_rates"),
    "hyper_cleaning": Entry(HyperCleaning, "experiments.problems.hyper_cleaning"),
    "hypergradient_descent": Entry(HypergradientDescent, "experiments.problems.hypergradient_descent"),
    "maml_sinusoid": Entry(MamlSinusoid, "experiments.problems.maml_sinusoid"),
    "penalised_logistic": Entry(PenalisedLogistic, "experiments.problems.penalised_logistic"),
}
