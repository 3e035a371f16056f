"""Learning rates learned while training goes on, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import log_softmax, softmax

from experiments.data.images import load
from experiments.models import mlp_init
from experiments.problems.hypergradient_descent import Split
from experiments.schema import HypergradientDescent

CONFIG = Path(__file__).parents[2] / "configs/hypergradient_descent.yaml"
DIGITS = ("datasets=[digits]", "--quiet")


def results(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())["results"]["digits"]


def test_on_the_same_budget_learned_rates_do_as_the_paper_says(hograd, workplace):
    result = hograd("run", str(CONFIG), *DIGITS, "epochs=5", "seeds=[0, 1]")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    folder = workplace / "runs/hypergradient_descent"
    for found in results(folder).values():
        assert found["SGD-HD"]["first_epoch_loss"] <= 0.5 * found["SGD"]["first_epoch_loss"]
        for name, allowed in (("SGD", 1.0), ("Nesterov", 1.0), ("Adam", 1.01)):
            for kind in ("final_training_loss", "final_validation_loss"):
                assert found[f"{name}-HD"][kind] <= allowed * found[name][kind]
    assert (folder / "losses_digits.png").read_bytes().startswith(b"\x89PNG")
    rates = load_file(folder / "learned/digits_seed1_SGD-HD.safetensors")["learning_rates"]
    assert rates.shape == (5 * 175,)
    # The first step moves no learning rate, since nothing came before it.
    assert rates[0] == pytest.approx(1e-3)
    assert rates.max() > 0.02


def test_sgd_hd_follows_the_rule_of_the_paper(hograd, workplace):
    """lr_t = lr_{t-1} + beta g_t . g_{t-1} , written out."""
    result = hograd("run", str(CONFIG), *DIGITS, "epochs=1", "seeds=[3]", "digits.train=400", "dtype=float64")
    assert result.code == 0, result.err
    folder = workplace / "runs/hypergradient_descent"
    config = HypergradientDescent(
        experiment="hypergradient_descent", output="none", digits={"train": 400, "batch_size": 8}, dtype="float64"
    )
    split = Split(config, "digits", load("digits")[0], seed=3)
    random = np.random.default_rng([3, 1])
    layer = {name: value.numpy().copy() for name, value in mlp_init(random, [64, 10])[0].items()}
    lr, before, rates, losses = 1e-3, np.zeros(650), [], []
    for rows in split.batches(random):
        x, y = (part[rows] for part in split.train)
        logits = x @ layer["weight"] + layer["bias"]
        residual = (softmax(logits, -1) - np.eye(10)[y]) / len(y)
        gradient = np.append((x.T @ residual + 1e-4 * layer["weight"]).ravel(), residual.sum(0))
        penalty = 0.5e-4 * (layer["weight"] ** 2).sum()
        losses.append(penalty - log_softmax(logits, -1)[np.arange(len(y)), y].mean())
        lr += 1e-3 * gradient @ before
        before = gradient
        layer["weight"] -= lr * gradient[:640].reshape(64, 10)
        layer["bias"] -= lr * gradient[640:]
        rates.append(lr)
    found = load_file(folder / "learned/digits_seed3_SGD-HD.safetensors")
    np.testing.assert_allclose(found["learning_rates"], rates, rtol=0, atol=1e-12)
    assert results(folder)["3"]["SGD-HD"]["first_epoch_loss"] == pytest.approx(np.mean(losses), rel=1e-12)


def test_absent_data_is_skipped(hograd, workplace):
    result = hograd("run", str(CONFIG), "epochs=1", "seeds=[0]", "--quiet")
    assert result.code == 0
    assert "Skipped: mnist is looked for in data/mnist" in result.out
    assert hograd("run", str(CONFIG), "datasets=[mnist]", "--output", "none").code == 1


def test_a_rate_that_diverges_is_named(hograd, workplace):
    result = hograd("run", str(CONFIG), *DIGITS, "epochs=3", "seeds=[0]", "lr=1e30")
    assert result.code == 1
    assert "lower lr = 1e+30 or hyper_lr.sgd = 0.001" in result.err


def test_a_split_without_validation_is_refused(hograd, workplace):
    result = hograd("run", str(CONFIG), *DIGITS, "digits.train=1797")
    assert result.code == 2
    assert "digits has 1797 images, and digits.train = 1797 leaves none to validate" in result.err
