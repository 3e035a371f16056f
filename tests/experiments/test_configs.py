"""Every config in configs/ is checked, says what it is, and runs in a small variant to its report."""

from pathlib import Path

import pytest

from experiments.commands import shipped
from experiments.configuration import load

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

#: What makes each config small; its variants are those of the config.
SMALL = {
    "bilevel": ["inner.steps=10", "outer.steps=1", "compile=null"],
    "online": ["epochs=1", "data.train=100", "data.validation=50"],
    "estimators": ["inner.steps=12", "repeats=1"],
    "single_loop": ["steps=4", "every=2"],
    "meta": ["outer.iterations=1", "iterations_per_step=1", "evaluation.tasks=3", "compile=null"],
}
GLYPHS = ["model.filters=2", "tasks.warps=0", "tasks.queries=2", "evaluation.shots=[]"]
FURTHER = {
    "meta_glyphs": GLYPHS,
    "meta_glyphs_prototypes": GLYPHS,
    "digits_learning_rates": ["baselines[0].over={optimizer.lr: {values: [0.1]}}"],
    "regularisation": ["baselines[0].trainings=2"],
    "per_parameter_rates": ["baselines[0].over={optimizer.lr: {values: [0.1]}}"],
    "estimators": ["methods[6].last=5"],
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_small_variant_runs_to_its_report(path, hograd, tmp_path):
    plain = load.load(path)
    assert plain.settings.description
    assert len(plain.settings.description) < 200
    experiment = plain.choice.name
    changes = [*SMALL.get(experiment, []), *FURTHER.get(path.stem, []), "seeds=[0]"]
    known = set(plain.values)
    given = [change for change in changes if change.partition("=")[0].split(".")[0].split("[")[0] in known]
    result = hograd("run", str(path), *given, "executor=serial", "--output", str(tmp_path / "run"), "--quiet")
    assert result.code == 0, result.err
    html = (tmp_path / "run" / "report.html").read_text()
    assert html.count("<svg") == len(list((tmp_path / "run" / "plots").iterdir())) > 0


def test_configs_travel_and_are_found_by_name():
    assert list(shipped.configs()) == [path.stem for path in CONFIGS]
    assert shipped.located("digits_learning_rates").is_file()
