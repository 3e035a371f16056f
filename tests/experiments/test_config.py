"""Bad input: the message leads to the mistake, the exit code is 2, and nothing is written."""

import pytest
import yaml

from experiments import config
from experiments.errors import ConfigError

HEAD = "experiment: digits_learning_rates\n"
MAML = "experiment: maml_sinusoid\n"
EVERYTHING = ["experiment", "description", "output", "seeds", "outer_lr", "initial", "grid"]

BAD_FILES = {
    "misspelt key": (
        HEAD + "outer_step: 3\n",
        ["bad.yaml:2:1", "'outer_step'", "did you mean 'outer_steps'?"],
    ),
    "misspelt key below": (
        HEAD + "grid:\n  learning_rates:\n    cuont: 3\n",
        ["bad.yaml:4:5", "'grid.learning_rates.cuont'", "did you mean 'grid.learning_rates.count'?"],
    ),
    "key of another level": (HEAD + "momentum: 0.8\n", ["bad.yaml:2:1", "did you mean 'initial.momentum'?"]),
    "start of a key": (HEAD + "initial: {mom: 0.8}\n", ["bad.yaml:2:11", "did you mean 'initial.momentum'?"]),
    "key of another experiment": (MAML + "outer_steps: 3\n", ["bad.yaml:2:1", "unknown key 'outer_steps'"]),
    "unknown key": (HEAD + "colour: red\n", ["bad.yaml:2:1", "'colour'", "valid are", *EVERYTHING]),
    "key that is a number": (HEAD + "3: 4\n", ["bad.yaml:2:1", "unknown key '3'"]),
    "key that is a list": (HEAD + "[a]: 4\n", ["bad.yaml:2:1", "a key must be a name"]),
    "same key twice": (HEAD + "seeds: [0]\nseeds: [1]\n", ["bad.yaml:3:1", "'seeds' stands twice", "line 2"]),
    "same key twice below": (HEAD + "initial: {lr: 1, lr: 2}\n", ["bad.yaml:2:18", "'lr' stands twice"]),
    "text for a count": (
        HEAD + "outer_steps: many\n",
        ["bad.yaml:2:14", "outer_steps", "'many'", "a whole number"],
    ),
    "quoted number": (HEAD + "outer_steps: '5'\n", ["bad.yaml:2:14", "outer_steps", "'5' (text)"]),
    "fraction for a count": (HEAD + "outer_steps: 5.5\n", ["bad.yaml:2:14", "found 5.5", "a whole number"]),
    "bool for a number": (HEAD + "outer_lr: true\n", ["bad.yaml:2:11", "outer_lr", "found true", "a number"]),
    "nothing for a number": (
        HEAD + "outer_lr:\n",
        ["bad.yaml:2:10", "outer_lr", "found nothing", "a number"],
    ),
    "number for a list": (HEAD + "seeds: 3\n", ["bad.yaml:2:8", "seeds", "found 3", "a list"]),
    "number for a mapping": (HEAD + "initial: 3\n", ["bad.yaml:2:10", "initial", "found 3", "a mapping"]),
    "number for text": (HEAD + "output: 3\n", ["bad.yaml:2:9", "output", "found 3", "text"]),
    "empty list": (HEAD + "seeds: []\n", ["bad.yaml:2:8", "seeds", "empty list", "at least one"]),
    "seed twice": (HEAD + "seeds: [1, 2, 1]\n", ["bad.yaml:2:8", "seeds", "1 stands twice"]),
    "text in a list": (HEAD + "seeds: [0, x]\n", ["bad.yaml:2:12", "seeds[1]", "'x'", "a whole number"]),
    "negative seed": (HEAD + "seeds:\n- 0\n- -1\n", ["bad.yaml:4:3", "seeds[1]", "-1", "or equal to 0"]),
    "zero steps": (HEAD + "outer_steps: 0\n", ["bad.yaml:2:14", "outer_steps", "found 0", "or equal to 1"]),
    "negative rate": (HEAD + "outer_lr: -1e-3\n", ["bad.yaml:2:11", "outer_lr", "-0.001", "greater than 0"]),
    "infinite rate": (HEAD + "outer_lr: .inf\n", ["bad.yaml:2:11", "outer_lr", "found inf", "finite"]),
    "nan": (HEAD + "outer_lr: .nan\n", ["bad.yaml:2:11", "outer_lr", "found nan", "finite"]),
    "momentum of one": (
        HEAD + "initial: {momentum: 1}\n",
        ["bad.yaml:2:21", "initial.momentum", "less than 1"],
    ),
    "no test set": (
        HEAD + "validation_fraction: 0.5\n",
        ["bad.yaml:2:22", "found 0.5", "train_fraction is 0.5"],
    ),
    "grid upside down": (
        HEAD + "grid: {learning_rates: {low: 2, high: 1}}\n",
        ["bad.yaml:2:39", "grid.learning_rates.high", "found 1", "at least low, which is 2"],
    ),
    "order of three": (MAML + "order: 3\n", ["bad.yaml:2:8", "order", "found 3", "1 or 2"]),
    "dtype": (MAML + "dtype: float16\n", ["bad.yaml:2:8", "dtype", "'float16'", "'float32' or 'float64'"]),
    "misspelt experiment": (
        "experiment: digits_learning_rate\n",
        ["bad.yaml:1:13", "'digits_learning_rate'", "did you mean 'digits_learning_rates'?"],
    ),
    "unknown experiment": (
        "experiment: x\n",
        ["bad.yaml:1:13", "'x'", "digits_learning_rates, hyper_cleaning, hypergradient_descent, maml_sinusoid"],
    ),
    "experiment of a wrong type": (
        "experiment: [a]\n",
        ["bad.yaml:1:13", "found a list of 1", "maml_sinusoid"],
    ),
    "no experiment": ("# none\nseeds: [0]\n", ["bad.yaml:2:1", "'experiment' is missing", "maml_sinusoid"]),
    "empty": ("", ["bad.yaml:1:1", "empty", "experiment: NAME"]),
    "only a comment": ("# nothing\n", ["bad.yaml:1:1", "empty", "experiment: NAME"]),
    "a list": ("- 1\n", ["bad.yaml:1:1", "a list of 1", "key: value"]),
    "a word": ("hello\n", ["bad.yaml:1:1", "'hello'", "key: value"]),
    "unclosed bracket": (HEAD + "seeds: [0, 1\n", ["bad.yaml:3:1", "broken YAML", "expected ',' or ']'"]),
    "tab": (HEAD + "initial:\n\tlr: 1\n", ["bad.yaml:3:1", "broken YAML", r"'\t'"]),
    "two documents": (HEAD + "---\na: 1\n", ["bad.yaml:2:1", "broken YAML", "document"]),
    "undefined alias": (HEAD + "seeds: *s\n", ["bad.yaml:2:8", "broken YAML", "undefined alias"]),
    "endless alias": ("a: &a [*a]\n", ["bad.yaml:1:4", "contains itself"]),
    "python object": (HEAD + "output: !!python/object/apply:os.getcwd []\n", ["bad.yaml:2:9", "not allowed"]),
    "tag that does not fit": (HEAD + "outer_steps: !!int abc\n", ["bad.yaml:2:14", "tag"]),
    "control character": (HEAD + "output: \x07\n", ["bad.yaml:2", "not text"]),
    "not UTF-8": (HEAD.encode() + b"output: caf\xe9\n", ["bad.yaml:2", "UTF-8", "0xe9"]),
    "nested a thousand deep": (HEAD + "seeds: " + "[" * 5000, ["bad.yaml", "broken YAML"]),
}

BAD_OVERRIDES = {
    "misspelt key": ("outer_step=3", ["unknown key 'outer_step'", "did you mean 'outer_steps'?"]),
    "misspelt key below": (
        "initial.momentun=0.1",
        ["'initial.momentun'", "did you mean 'initial.momentum'?"],
    ),
    "wrong type": ("outer_steps=x", ["outer_steps", "found 'x' (text)", "a whole number"]),
    "out of range": ("grid.momenta=[0, 1.5]", ["grid.momenta[1]", "found 1.5", "less than 1"]),
    "nothing": ("outer_lr=", ["outer_lr", "found nothing", "a number"]),
    "no equals sign": ("outer_steps", ["expected key=value"]),
    "no key": ("=3", ["expected key=value"]),
    "empty part of a key": ("grid..count=3", ["expected key=value"]),
    "below a list": ("seeds.0=3", ["seeds is a list of 2", "set it whole"]),
    "below a number": ("outer_steps.x=3", ["outer_steps is 4", "set it whole"]),
    "broken YAML": ("seeds=[0, 1", ["seeds", "broken YAML"]),
    "unknown experiment": ("experiment=maml", ["unknown experiment 'maml'", "did you mean 'maml_sinusoid'?"]),
}


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(("content", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(command, content, expected, workplace, hograd, files):
    (workplace / "bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = files()
    result = hograd(command, "bad.yaml")
    assert result.code == 2
    assert result.out == ""
    for part in expected:
        assert part in result.err
    assert "Traceback" not in result.err
    assert files() == before


@pytest.mark.parametrize(("override", "expected"), BAD_OVERRIDES.values(), ids=BAD_OVERRIDES)
def test_bad_override(override, expected, hograd, files):
    before = files()
    result = hograd("run", "digits.yaml", override)
    assert result.code == 2
    for part in ["on the command line", f"'{override}'", *expected]:
        assert part in result.err
    assert files() == before


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(workplace, hograd):
    (workplace / "bad.yaml").write_text(HEAD + "outer_lr: fast\nseed: [0]\ninner_steps: -1\n")
    result = hograd("run", "bad.yaml", "outer_step=3")
    places = ["bad.yaml:2:11", "bad.yaml:3:1", "bad.yaml:4:14", "on the command line"]
    assert [place in line for place, line in zip(places, result.err.splitlines(), strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("digit.yaml", ["digit.yaml", "no such file", "did you mean 'digits.yaml'?"]),
        ("nothing/like/it.yaml", ["nothing/like/it.yaml", "no such file", "hograd list"]),
        (".", ["is a folder", "digits.yaml"]),
        ("digits.yaml/x", ["digits.yaml/x", "cannot be read"]),
    ],
)
def test_bad_path(path, expected, hograd, files):
    before = files()
    result = hograd("run", path)
    assert result.code == 2
    for part in expected:
        assert part in result.err
    assert files() == before


def test_overrides_replace_values_and_the_last_one_wins(workplace):
    overrides = [
        "initial.lr=1e-3",
        "grid.learning_rates={count: 2}",
        "outer_steps=7",
        "outer_steps=8",
        "seeds=[4]",
    ]
    found = config.load("digits.yaml", overrides).model_dump()
    assert found["initial"] == {"lr": 0.001, "momentum": 0.9, "l2": 0.0001}
    assert found["grid"] == {"learning_rates": {"low": 0.01, "high": 10.0, "count": 2}, "momenta": [0.5, 0.9]}
    assert (found["outer_steps"], found["inner_steps"], found["seeds"]) == (8, 5, [4])


def test_an_override_mends_a_bad_value_of_the_file(workplace):
    (workplace / "bad.yaml").write_text(HEAD + "outer_steps: many\n")
    assert config.load("bad.yaml", ["outer_steps=3"]).model_dump()["outer_steps"] == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("2.", 2.0), ("+3", 3.0), ("1.5e+3", 1500.0)],
)
def test_numbers_may_be_written_in_every_usual_way(text, value, workplace):
    (workplace / "good.yaml").write_text(f"{HEAD}outer_lr: {text}\n")
    assert config.load("good.yaml").model_dump()["outer_lr"] == value


@pytest.mark.parametrize("text", ["no", "2026-11-21", "1:30", "010"])
def test_text_stays_text(text, workplace):
    (workplace / "good.yaml").write_text(f"{HEAD}output: {text}\n")
    assert config.load("good.yaml").output == text


def test_a_byte_order_mark_and_windows_line_ends_are_read(workplace):
    (workplace / "good.yaml").write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode() + b"outer_steps: 3\r\n")
    assert config.load("good.yaml").model_dump()["outer_steps"] == 3


def test_the_run_folder_is_named_after_the_config_unless_it_is_given(workplace):
    assert config.load("digits.yaml").output == "runs/digits"
    assert config.load("digits.yaml", ["output=a"]).output == "a"
    assert config.load("digits.yaml", ["output=a"], output="b").output == "b"


def test_an_empty_output_option_is_refused(workplace):
    with pytest.raises(ConfigError, match="--output"):
        config.load("digits.yaml", output="")


def test_validate_prints_a_config_that_loads_to_the_same(workplace, hograd):
    result = hograd("validate", "digits.yaml", "initial.l2=1e-9")
    assert result.code == 0
    (workplace / "resolved.yaml").write_text(result.out)
    assert config.load("resolved.yaml") == config.load("digits.yaml", ["initial.l2=1e-9"])
    assert yaml.safe_load(result.out)["outer_lr"] == 0.03
