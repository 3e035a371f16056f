"""Every file in configs/ loads, and says every key that its experiment has."""

from pathlib import Path

import pytest
import yaml

from experiments import config
from experiments.schema import EXPERIMENTS

CONFIGS = sorted((Path(__file__).parents[2] / "configs").iterdir())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_loads_and_shows_every_key_at_its_default(path):
    loaded = config.load(path)
    assert loaded.description
    assert loaded.output == f"runs/{path.stem}"
    minimal = {"experiment": loaded.experiment, "description": loaded.description, "output": loaded.output}
    assert loaded == EXPERIMENTS[loaded.experiment].schema.model_validate(minimal)
    written = yaml.load(path.read_text(), config.Loader)
    assert written == loaded.model_dump()


def test_every_experiment_has_a_config():
    assert {config.load(path).experiment for path in CONFIGS} == set(EXPERIMENTS)


def test_list_names_every_config_with_its_description(hograd, monkeypatch):
    monkeypatch.chdir(CONFIGS[0].parents[1])
    result = hograd("list")
    assert result.code == 0
    words = " ".join(result.out.split())
    for path in CONFIGS:
        assert f"configs/{path.name} {config.load(path).description}" in words
    assert max(map(len, result.out.splitlines())) <= 80
