"""The command `hograd`. What is slow to import is imported by the command that needs it."""

import argparse
import difflib
import os
import sys
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from experiments.errors import ConfigError, ExperimentError, UsageError

EPILOG = """\
examples:
  hograd list                                    what there is to run
  hograd run configs/digits_learning_rates.yaml  run it; a table at the end
  hograd run configs/digits_learning_rates.yaml outer_steps=20 seeds=[0,1]
                                                 ... with other values
  hograd validate configs/maml_sinusoid.yaml     check it, show every key
"""

RUN_EPILOG = """\
Any key of the config can be given as key=value; a dot goes one level down, and
the value is YAML (quote it from the shell where needed):
  hograd run configs/digits_learning_rates.yaml outer_lr=0.02 initial.lr=0.1
  hograd run configs/maml_sinusoid.yaml 'seeds=[0, 1, 2]' --output runs/three

A run folder holds the resolved config, the versions, metrics.jsonl, what was
learned, the plots, and summary.json. Ctrl-C leaves all of it, of what was done
so far.

exit codes: 0 finished, 1 failed (a loss became non-finite), 2 bad input
(nothing was written), 130 interrupted, 143 terminated.
"""

#: The packages of the extra `experiments` that each command imports.
NEEDED = {"run": ("pydantic", "sklearn", "matplotlib", "safetensors"), "validate": ("pydantic",), "list": ()}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code, and puts mistakes of the user in words, not tracebacks."""
    parser, options = _parsers()
    given, rest = parser.parse_known_args(arguments)
    if not given.command:
        parser.print_help()
        return 2
    unknown = [text for text in rest if text.startswith("-") or given.command == "list"]
    if unknown:
        close = difflib.get_close_matches(unknown[0], options[given.command], n=1)
        parser.error(f"unknown argument {unknown[0]}" + (f"; did you mean {close[0]}?" if close else ""))
    # argparse stops collecting key=value at the first option that stands between them.
    overrides = [] if given.command == "list" else [*given.overrides, *rest]
    try:
        _require_extra(given.command)
        if given.command == "run":
            return _run(given, overrides)
        print(_list(given.folder) if given.command == "list" else _validate(given.config, overrides), flush=True)
        return 0
    except ExperimentError as error:
        for problem in error.problems if isinstance(error, ConfigError) else [error]:
            print(f"hograd: error: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, list[str]]]:
    """The parser, and the options that each command knows."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(
        prog="hograd",
        description="Run experiments that differentiate through training.",
        epilog=EPILOG,
        **layout,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser(
        "run", help="run the experiment of a config", description="Run the experiment of a config.",
        epilog=RUN_EPILOG, **layout,
    )  # fmt: skip
    validate = commands.add_parser(
        "validate",
        help="check a config and print it with every default",
        description="Check a config and print it as it would run, with every default. Writes nothing.",
        **layout,
    )
    for command in (run, validate):
        command.add_argument("config", metavar="CONFIG", help="a YAML file, such as those of 'hograd list'")
        command.add_argument("overrides", metavar="key=value", nargs="*", default=[], help="use this value instead")
    run.add_argument("--output", metavar="FOLDER", help="the run folder (default: the key 'output', or runs/CONFIG)")
    run.add_argument("--overwrite", action="store_true", help="replace the run folder where there is one")
    run.add_argument("--quiet", action="store_true", help="no progress, only the table at the end")

    listing = commands.add_parser(
        "list", help="list the configs at hand", description="List the configs of a folder.", **layout
    )
    listing.add_argument("folder", metavar="FOLDER", nargs="?", default="configs", help="default: configs")
    options = {
        name: list(command._option_string_actions)
        for name, command in {"run": run, "validate": validate, "list": listing}.items()
    }
    return parser, options


class _Version(argparse.Action):
    """Prints the version; `hograd` is imported only when it is asked for."""

    def __call__(self, parser, namespace, values, option_string=None):
        import hograd

        print(f"hograd {hograd.__version__}")
        parser.exit()


def _require_extra(command: str) -> None:
    missing = [name for name in NEEDED[command] if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"'hograd {command}' needs {', '.join(missing).replace('sklearn', 'scikit-learn')}, "
            'which the bare installation leaves out.\nInstall it with: pip install "hograd[experiments]"'
        )


def _run(given: argparse.Namespace, overrides: list[str]) -> int:
    from experiments import config, runner

    resolved = config.load(given.config, overrides, output=given.output)
    return runner.execute(resolved, overwrite=given.overwrite, quiet=given.quiet)


def _validate(path: str, overrides: list[str]) -> str:
    from experiments import config

    return config.dump(config.load(path, overrides)).rstrip()


def _list(folder: str) -> str:
    from experiments import config

    paths = sorted(Path(folder).glob("*.yaml"))
    if not paths:
        raise UsageError(f"no configs (*.yaml) in {folder}; name a folder that has some: hograd list FOLDER")
    lines = []
    for path in paths:
        try:
            text = config.description(path)
        except ConfigError as error:
            text = f"cannot be read: {error.problems[0]}"
        lines += [str(path), *(f"    {line}" for line in textwrap.wrap(text, 76))]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
