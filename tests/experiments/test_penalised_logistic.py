"""Penalties of a logistic regression, through the command line: the numbers of Grazzi et al. 2020, and small runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.problems import penalised_logistic

CONFIG = Path(__file__).parents[2] / "configs/penalised_logistic.yaml"


def losses(folder: Path) -> dict[int, float]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["outer_step"]: line["validation_loss"] for line in lines if line["kind"] == "learning"}


def test_the_shipped_config_gives_the_published_numbers(hograd, workplace):
    result = hograd("run", str(CONFIG), "--quiet")
    assert result.code == 0
    folder = workplace / "runs/penalised_logistic"
    found = losses(folder)
    assert len(found) == 41
    printed = {0: 0.5743989944, 10: 0.5337678790, 20: 0.3615218699, 30: 0.3225042522, 40: 0.2987646163}
    for step, value in printed.items():
        assert found[step] == pytest.approx(value, abs=2e-6)
        assert f"{value:.10f}" in result.out
    assert (folder / "penalties.png").read_bytes().startswith(b"\x89PNG")
    learned = load_file(folder / "learned/seed1.safetensors")
    # What matters is penalised less.
    important = np.abs(learned["true_weights"]) > 1
    assert learned["penalties"][important].mean() < 0.5 * learned["penalties"][~important].mean()
    assert max(map(len, result.out.splitlines())) <= 80


def test_other_settings_are_not_put_beside_the_published_numbers(hograd, workplace):
    arguments = (
        "seeds=[1, 4]",
        "examples=51",
        "features=3",
        "inner_steps=7",
        "differentiated_steps=7",
        "outer_steps=2",
    )
    result = hograd("run", str(CONFIG), *arguments, "--quiet")
    assert result.code == 0
    assert "0.5743989944" not in result.out
    assert len(load_file(workplace / "runs/penalised_logistic/learned/seed4.safetensors")["penalties"]) == 3


def test_an_interrupted_run_keeps_what_it_has(hograd, workplace, monkeypatch):
    original, calls = penalised_logistic.hypergradient, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(penalised_logistic, "hypergradient", interrupted)
    assert hograd("run", str(CONFIG)).code == 130
    assert sorted(losses(workplace / "runs/penalised_logistic")) == [0, 1, 2]
    assert (workplace / "runs/penalised_logistic/learned/seed1.safetensors").exists()


def test_a_run_that_diverges_names_what_to_lower(hograd, workplace):
    result = hograd("run", str(CONFIG), "inner_lr=1e3", "inner_steps=400")
    assert result.code == 1
    assert "lower inner_lr = 1000 or outer_lr = 1" in result.out + result.err


def test_more_steps_than_there_are_cannot_be_differentiated(hograd, workplace):
    result = hograd("validate", str(CONFIG), "differentiated_steps=101")
    assert result.code == 2
    assert "found 101, expected at most inner_steps, which is 100" in " ".join(result.err.split())
