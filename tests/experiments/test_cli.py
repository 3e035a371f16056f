"""The command line around the experiments: help, versions, options, missing packages."""

import subprocess
import sys

import pytest


def test_help_teaches_by_examples_that_fit_a_terminal(hograd):
    for arguments in (["--help"], ["run", "--help"], ["validate", "--help"], ["list", "--help"], []):
        result = hograd(*arguments)
        assert result.code == (0 if arguments else 2)
        assert max(map(len, result.out.splitlines())) <= 80
    assert "hograd run configs/digits_learning_rates.yaml" in hograd("--help").out
    assert "key=value" in hograd("run", "--help").out


def test_version(hograd):
    import hograd as package

    assert hograd("--version").out == f"hograd {package.__version__}\n"


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom experiments.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print({'numpy', 'scipy', 'yaml', 'pydantic', 'sklearn', 'matplotlib', 'hograd'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runn", "digits.yaml"], ["'runn'", "'run'", "'validate'", "'list'"]),
        (["run"], ["required: CONFIG"]),
        (["run", "digits.yaml", "--overwrit"], ["--overwrit", "did you mean --overwrite?"]),
        (["run", "digits.yaml", "--output"], ["--output", "expected one argument"]),
        (["validate", "digits.yaml", "--quiet"], ["--quiet"]),
        (["list", "a", "b"], ["unknown argument b"]),
        (["list", "nowhere"], ["no configs", "nowhere"]),
        (["run", "digits.yaml", "other.yaml"], ["'other.yaml'", "expected key=value"]),
    ],
    ids=" ".join,
)
def test_bad_arguments(arguments, expected, hograd, files):
    before = files()
    result = hograd(*arguments)
    assert result.code == 2
    assert result.out == ""
    for part in expected:
        assert part in result.err
    assert files() == before


def test_options_may_stand_between_overrides(hograd, files):
    result = hograd("run", "digits.yaml", "outer_steps=1", "--quiet", "seeds=x", "--output", "a", "outer_lr=y")
    assert result.code == 2
    assert "seeds=x" in result.err
    assert "outer_lr=y" in result.err
    assert "a" not in files()


def test_list_says_which_file_is_broken(workplace, hograd):
    (workplace / "broken.yaml").write_text("seeds: [\n")
    result = hograd("list", ".")
    assert result.code == 0
    assert "broken.yaml:2:1" in result.out
    assert "digits.yaml" in result.out


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_bare_installation_is_told_which_extra_to_install(command, hograd, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    before = files()
    result = hograd(command, "digits.yaml")
    assert result.code == 2
    assert "pydantic" in result.err
    assert 'pip install "hograd[experiments]"' in result.err
    assert files() == before


def test_a_closed_pipe_is_no_error(workplace):
    program = "import sys\nfrom experiments.cli import main\nsys.exit(main(['list', '.']))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
