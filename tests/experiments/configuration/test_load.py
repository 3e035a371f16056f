"""A config of several layers is checked against the signatures of the components that it names."""

import dataclasses
from itertools import pairwise

import pytest

from experiments.components import (
    Choice,
    ConstraintChoice,
    Count,
    Distinct,
    MethodChoice,
    Natural,
    OptimizerChoice,
    Positive,
    choose,
    register,
)
from experiments.configuration import load
from experiments.errors import ConfigError, Refused


@dataclasses.dataclass(frozen=True)
class Inner:
    """Training.

    Args:
        steps: how many.
    """

    steps: Count = 100
    optimizer: OptimizerChoice = choose("SGD")


@register("experiment", "tests_load")
@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment that does nothing."""

    inner: Inner = Inner()
    method: MethodChoice = choose("Reverse")
    rate: Positive = 0.1
    points: Distinct[Natural] = (1, 2)
    ranges: dict[str, ConstraintChoice] = dataclasses.field(default_factory=dict)

    def check(self):
        if self.rate > 5:
            raise Refused("rate", "it is too large")

    def tasks(self, seeds):
        return []

    def memory(self):
        return 10**18 if self.points == (9,) else 1


#: Ten thousand million values in eight lines.
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]" for before, after in pairwise("abcdefgh")
)

BASE = """\
experiment: tests_load
inner: {steps: 20, optimizer: {name: SGD, lr: 0.5, momentum: 0.9}}
"""


@pytest.fixture
def write(tmp_path):
    """Write a config beside `base.yaml`."""
    (tmp_path / "base.yaml").write_text(BASE)

    def write(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_defaults_options_and_components_are_resolved(write):
    config = load.load(write(BASE), ["method={name: Implicit, solver: {name: CG, steps: 5}}"])
    assert config.values["inner"] == {
        "steps": 20,
        "optimizer": {
            "name": "SGD",
            "lr": 0.5,
            "momentum": 0.9,
            "dampening": 0.0,
            "weight_decay": 0.0,
            "nesterov": False,
            "maximize": False,
        },
    }
    assert config.values["method"]["solver"] == {"name": "CG", "steps": 5, "tolerance": 1e-10, "damping": 0.0}
    assert config.values["method"]["solve"] is None
    assert config.values["points"] == [1, 2]
    assert config.values["ranges"] == {}
    assert load.load(write(BASE), ["method=Implicit"]).values["method"]["solver"]["name"] == "CG"
    experiment = config.build()
    assert isinstance(experiment.inner.optimizer, Choice)
    # Where the section is not written at all, too.
    assert load.load(write("experiment: tests_load\n")).build().inner.optimizer.name == "SGD"
    assert experiment.inner.optimizer.build().momentum == 0.9


def test_a_resolved_config_is_read_back_as_it_is(write):
    config = load.load(write(BASE), ["ranges={Positive: {}, Interval: {low: 0, high: 1}}", "inner.optimizer.name=Adam"])
    again = load.load(write(load.dump(config.values), "again.yaml"))
    assert again.values == config.values
    assert load.experiment_from(config.values).inner.optimizer == config.build().inner.optimizer


def test_another_component_drops_the_options_of_the_earlier_layer_and_says_so(write):
    config = load.load(write(BASE), ["inner.optimizer.name=Adam"])
    assert config.values["inner"]["optimizer"]["lr"] == 0.5
    assert "momentum" not in config.values["inner"]["optimizer"]
    (note,) = config.notes
    assert note.startswith("inner.optimizer.momentum (")
    assert "config.yaml:2:" in note
    with pytest.raises(ConfigError, match="unknown key 'inner.optimizer.momentum'"):
        load.load(write(BASE), ["inner.optimizer.name=Adam", "inner.optimizer.momentum=0.5"])


def test_included_files_are_the_earlier_layers(write):
    path = write("include: base.yaml\ninner: {optimizer: {lr: 0.1}}\nrate: ${inner.optimizer.lr}\n")
    config = load.load(path)
    assert config.values["inner"]["steps"] == 20
    assert config.values["inner"]["optimizer"]["lr"] == config.values["rate"] == 0.1
    assert load.load(path, ["inner.optimizer.lr=0.3"]).values["rate"] == 0.3


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (BASE + "rat: 1\n", [], "config.yaml:3:1: unknown key 'rat'; did you mean 'rate'?"),
        (BASE, ["inner.steps=1e3"], "inner.steps: found 1000.0, expected a whole number: write 1000"),
        (BASE, ["inner.optimizer.name=Adm"], "unknown optimizer 'Adm'; did you mean 'Adam' or 'RAdam'?"),
        (BASE, ["inner.optimizer.lr=-1"], "found -1, expected a value greater than or equal to 0"),
        (BASE, ["inner.optimizer.lr=abc"], "inner.optimizer.lr: found 'abc' (text), expected a number or a schedule"),
        (BASE, ["points=[1,1]"], "points: 1 stands twice, but each entry may stand only once"),
        (BASE, ["points=[]"], "points: found an empty list, expected at least one entry"),
        (BASE, ["rate=9"], "'rate=9': rate: it is too large"),
        (BASE, ["rate=1", "rate=2"], "'rate=2': rate is given twice, first by 'rate=1'; leave one of them out"),
        (BASE, ["rate=.inf"], "rate: found inf, expected a finite number"),
        (BASE, ["rate"], "'rate': expected key=value"),
        (BASE, ["rate.x=1"], "rate.x"),
        (BASE, ["experiment=tests_lod"], "unknown experiment 'tests_lod'; did you mean 'tests_load'?"),
        (BASE, ["ranges={Interval: {low: 2, high: 1}}"], "ranges.Interval"),
        ("include: config.yaml\n" + BASE, [], "config.yaml:1:10: include: config.yaml includes itself"),
        ("include: gone.yaml\n" + BASE, [], "gone.yaml: cannot be read: No such file or directory"),
        (BASE + "rate: ${points}\npoints: ${rate}\n", [], "it refers to itself"),
        (BASE + "rate: ${gone.key}\n", [], "refers to a key that is not written in this config"),
        (BASE + "description: ${\n", [], "description: '${' has no } after ${"),
        (BASE + "executor: threads\n", [], "config.yaml:3:11: executor: found 'threads', expected auto, serial"),
        (BASE + "module: ./mine.py\n", [], "config.yaml:3:9: module: mine.py would be run as Python code"),
        (ALIASES, [], "more than 50,000 values, counting what each alias stands for"),
        ("a: " + "[" * 40 + "]" * 40, [], "nested more than 32 deep"),
        ("a: " + "1" * 5000, [], "a number of 5,000 digits, expected at most 400"),
        ("", [], "config.yaml:1:1: the file is empty"),
        ("- 1", [], "config.yaml:1:1: expected 'key: value' lines, found a list of 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_place_key_and_way_out(write, text, overrides, expected):
    with pytest.raises(ConfigError) as raised:
        load.load(write(text), overrides).build()
    assert expected in str(raised.value)


def test_what_cannot_fit_in_memory_is_refused_before_any_work(write):
    with pytest.raises(Exception, match="needs about 1e\\+09 GB of memory"):
        load.load(write(BASE), ["points=[9]"]).build()


def test_a_module_registers_components_when_it_is_trusted(write, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from experiments.components import register\nfrom optim import SGD\n"
        "@register('optimizer', 'tests_mine')\nclass Mine(SGD):\n    'My own.'\n"
    )
    path = write(BASE + "module: ./mine.py\n")
    config = load.load(path, ["inner.optimizer=tests_mine"], trust=True)
    assert config.values["inner"]["optimizer"]["name"] == "tests_mine"
    assert config.values["module"] == [str(tmp_path / "mine.py")]


def test_a_resolved_config_with_variants_is_the_same_experiment(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("""\
experiment: meta
tasks: Sinusoids
algorithm: {name: MAML, steps: 1}
variants:
  plain: {}
  first: {algorithm.name: FOMAML}
  head: {algorithm.name: ANIL, outer.iterations: 7}
  other: {algorithm: Reptile}
""")
    written = load.load(path)
    # The defaults of MAML are written out; those of the others are not taken from there.
    resolved = load.checked(load.check.node_of(written.values), path, trust=False)
    assert resolved.variants == written.variants
    assert resolved.values == written.values
    algorithms = {name: choice.options["algorithm"].options for name, choice in resolved.variants.items()}
    assert [algorithms[name].get("order") for name in ("plain", "first", "head")] == [2, 1, 2]
    assert algorithms["head"]["adapted"] == "head"
    assert resolved.variants["head"].options["outer"].iterations == 7
