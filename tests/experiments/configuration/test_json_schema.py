"""The JSON Schema knows what the checks know."""

import json

import pytest

from experiments.components import derive, registry
from experiments.configuration import load
from experiments.configuration.json_schema import schema


def test_every_component_that_is_referred_to_is_defined_with_its_options():
    made = json.loads(json.dumps(schema()))
    for kind, definition in made["$defs"].items():
        names = [case["properties"]["name"]["const"] for case in definition["anyOf"][1:]]
        assert names == list(registry.components(kind))
    optimizers = {case["properties"]["name"]["const"]: case for case in made["$defs"]["optimizer"]["anyOf"][1:]}
    known = {option.name for option in derive.options(registry.components("optimizer")["Adam"].make, "optimizer")}
    assert set(optimizers["Adam"]["properties"]) == {"name"} | known
    assert optimizers["Adam"]["properties"]["lr"]["default"] == 0.001


def test_a_validator_accepts_resolved_configs_and_refuses_unknown_keys():
    jsonschema = pytest.importorskip("jsonschema")
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    validator = jsonschema.Draft202012Validator(made)
    values = {"experiment": "bilevel", "data": "digits", "learn": {"optimizer.lr": {"per": "step"}}}
    resolved = load.checked(load.check.node_of(values), load.Path("config.yaml"), trust=False).values
    assert not list(validator.iter_errors(values))
    assert not list(validator.iter_errors(resolved))
    assert list(validator.iter_errors(values | {"inner": {"optimizer": {"name": "SGD", "betas": [0.9, 0.99]}}}))
    assert list(validator.iter_errors(values | {"learned": {}}))
