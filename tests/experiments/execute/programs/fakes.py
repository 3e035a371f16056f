"""Small experiments: a counter, a training by SGD, and random numbers, with accidents on demand."""

import os
import signal
import time
from pathlib import Path

import numpy as np

import hograd as ho
from experiments.errors import DivergedError
from experiments.experiment import Report
from optim import SGD


class Fake:
    """Of the values `kind`, `steps`, `count` (tasks a seed), `sleep` (seconds a step), `accident` (at step `at`)."""

    def __init__(self, values):
        self.values = values

    def check(self):
        pass

    def memory(self):
        return self.values.get("memory", 2**20)

    def tasks(self, seeds):
        kind = {"counter": Counter, "training": Training, "noise": Noise}[self.values["kind"]]
        return [kind(self.values, seed, i) for seed in seeds for i in range(self.values.get("count", 1))]

    def report(self, outcomes):
        return Report(f"{len(outcomes)} tasks")


class Counter:
    """Counts."""

    def __init__(self, values, seed, number):
        self.values, self.seed = values, seed
        self.name = f"seed-{seed}-{number}"
        self.labels = {"seed": seed, "number": number}
        self.steps = values["steps"]

    def prepare(self):
        time.sleep(self.values.get("prepare", 0))

    def start(self):
        return {"n": 0}

    def step(self, state):
        self.accident(state["n"] + 1)
        return {"n": state["n"] + 1}, {"square": state["n"] ** 2 * 1.0, "odd": "yes" if state["n"] % 2 else "no"}

    def accident(self, step):
        time.sleep(self.values.get("sleep", 0))
        if step != self.values.get("at"):
            return
        marker = Path(self.values["marker"]) if "marker" in self.values else None
        if marker is not None:
            with open(marker, "a") as file:
                file.write(f"{os.getpid()}\n")
            if len(marker.read_text().split()) > self.values.get("times", 1):
                return
        match self.values.get("accident"):
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "end":
                os.kill(os.getpid(), signal.SIGTERM)
            case "diverge":
                raise DivergedError("the loss is nan at step 3")
            case "mistake":
                raise ZeroDivisionError("a mistake in an experiment")
            case "deaf":  # a step that no signal breaks off, as a long call of machine code
                deadline = time.monotonic() + 30
                while time.monotonic() < deadline:
                    try:
                        time.sleep(1)
                    except KeyboardInterrupt:
                        continue

    def done(self, state):
        return state["n"] >= self.steps

    def score(self, state):
        return abs(state["n"] - 0.4 * self.steps)

    def result(self, state):
        return {"n": state["n"], "seed": self.seed, "squares": np.arange(state["n"]) ** 2}


class Training(Counter):
    """Fits a line by batches; the weights are transposed on the way, the learning rate is learned."""

    def prepare(self):
        super().prepare()
        generator = np.random.default_rng(self.seed)
        self.x = ho.tensor(generator.normal(size=(64, 12)))
        self.y = self.x @ ho.tensor(generator.normal(size=(12, 7)))

    def start(self):
        generator = np.random.default_rng([self.seed, 1])
        w = {"w": ho.tensor(generator.normal(size=(7, 12))), "b": ho.zeros(7)}
        return {"n": 0, "w": w, "opt": SGD(lr=0.05, momentum=0.9).init(w), "lr": ho.tensor(0.05), "best": None}

    def step(self, state):
        self.accident(state["n"] + 1)
        first = state["n"] * 8 % 64
        x, y = self.x[first : first + 8], self.y[first : first + 8]

        def loss(w):
            return ho.mse(x @ w["w"].T + w["b"], y)

        optimizer = SGD(lr=state["lr"], momentum=0.9)
        w, opt = optimizer.step(state["w"], ho.func.grad(loss)(state["w"]), state["opt"])
        value = loss(w).item()
        w = {"w": (w["w"].T * 1.0).T, "b": w["b"]}  # the same numbers in the other order in memory
        best = min(value, state["best"] if state["best"] is not None else value)
        new = {"n": state["n"] + 1, "w": w, "opt": opt, "lr": state["lr"] * 0.999, "best": best}
        return new, {"loss": value, "lr": new["lr"]}

    def score(self, state):
        return state["best"]

    def result(self, state):
        return {"w": state["w"]["w"].numpy(), "best": state["best"]}


class Noise(Counter):
    """A random walk whose generator is in the state."""

    def start(self):
        return {
            "n": 0,
            "generator": np.random.default_rng(self.seed).bit_generator.state,
            "walk": [0.0],
            "x": np.zeros(5),
        }

    def step(self, state):
        self.accident(state["n"] + 1)
        generator = np.random.default_rng()
        generator.bit_generator.state = state["generator"]
        x = state["x"] + generator.normal(size=5)
        walk = [*state["walk"][-20:], float(x.sum())]
        new = {"n": state["n"] + 1, "generator": generator.bit_generator.state, "walk": walk, "x": x}
        return new, {"sum": walk[-1], "draw": int(generator.integers(10))}

    def score(self, state):
        return abs(state["walk"][-1])

    def result(self, state):
        return {"walk": state["walk"], "x": state["x"]}


def experiment_from(values):
    return Fake(values)
