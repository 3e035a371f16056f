"""The command `hograd`. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from experiments.errors import ConfigError, ExperimentError, UsageError

EPILOG = """\
examples:
  hograd list                            what there is to run
  hograd run digits_learning_rates       run it: tables, plots, a page
  hograd run per_parameter_rates inner.optimizer.name=Adam model.name=linear
                                         ... with other components
  hograd copy digits_learning_rates      have the config as a file, to change it
  hograd list optimizers                 what a config may name, with its options
  hograd resume runs/digits_learning_rates/latest
                                         go on with a run that was broken off

hograd COMMAND --help says more of each.
"""

OVERRIDES = """\
Any key of the config can be given as key=value; a dot goes one level down, and
the value is YAML (quote it from the shell where needed):
  hograd run CONFIG outer.steps=20 'seeds=[0, 1, 2]'
  hograd run CONFIG inner.optimizer.name=Adam outer.method.name=Forward
  hograd run CONFIG 'learn[optimizer.lr].per=step' 'baselines[0].over={}'
Another name of a component drops the options that it does not have.
"""

RUN = (
    OVERRIDES
    + """
A run folder holds the resolved config, the versions, metrics.jsonl, the state
of every task, results, plots and report.html. By default it is
runs/NAME/DATE-TIME, with runs/NAME/latest beside it. Ctrl-C, a signal or a
crash loses nothing: 'hograd resume' goes on to the same result.

exit codes: 0 finished, 1 failed (a loss became non-finite), 2 bad input
(nothing was written), 129 hung up, 130 interrupted, 143 terminated.
"""
)

SWEEP = (
    OVERRIDES
    + """
The key 'sweep' of the config says which values are searched over:
  sweep:
    outer.optimizer.lr: [0.01, 0.03]
    inner.steps: {low: 10, high: 1000, log: true}
Each trial is a run of its own in the sweep's folder. Several processes may
work on one sweep: give them the same --output. Trials that were broken off
are taken up again.
"""
)

#: The libraries of the extra `experiments` that the commands import; the others of an extra are named when needed.
NEEDED = {"pydantic": "pydantic", "safetensors": "safetensors", "matplotlib": "matplotlib", "sklearn": "scikit-learn",
          "filelock": "filelock", "jinja2": "jinja2", "threadpoolctl": "threadpoolctl"}  # fmt: skip

#: Characters of one message.
LINE = 1000

TRUST = "run the Python files that the key 'module' names"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code, and puts mistakes of the user in words, not tracebacks."""
    parser, commands = _parsers()
    given, rest = parser.parse_known_args(arguments)
    if not given.command:
        parser.print_help()
        return 2
    takes_overrides = hasattr(given, "overrides")
    unknown = [text for text in rest if text.startswith("-") or not takes_overrides]
    if unknown:
        close = difflib.get_close_matches(unknown[0], commands[given.command]._option_string_actions, n=1)
        commands[given.command].error(
            f"unknown argument {unknown[0]}" + (f"; did you mean {close[0]}?" if close else "")
        )
    # argparse stops collecting key=value at the first option that stands between them.
    overrides = [*given.overrides, *rest] if takes_overrides else []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where a terminal knows ASCII only, letters that it lacks are written as their numbers.
            stream.reconfigure(errors="backslashreplace")
    # Figures are drawn without a window, whatever the environment asks for.
    os.environ["MPLBACKEND"] = "agg"
    try:
        if given.command != "copy":
            _require_extra(given.command)
        return given.call(given, overrides)
    except ExperimentError as error:
        for problem in error.problems if isinstance(error, ConfigError) else [error]:
            _tell(f"hograd: error: {problem}")
        return error.exit_code
    except KeyboardInterrupt as error:  # of a signal that `listening` names, or of Python's own handler
        return 128 + (error.args[0] if error.args else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        _tell(f"hograd: error: {error.filename or 'standard output'} cannot be written: {error.strerror}")
        return 2


def _tell(line: str) -> None:
    """A line on stderr, whatever it is connected to; what a person wrote may be of any length."""
    stream = sys.stderr
    try:
        print(line if len(line) <= LINE else f"{line[:LINE]}...", file=stream, flush=True)
    except (OSError, ValueError, AttributeError):  # closed, full, or absent
        return


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(
        prog="hograd",
        description="Run experiments that differentiate through training.",
        epilog=EPILOG,
        **layout,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    made: dict[str, argparse.ArgumentParser] = {}

    def add(name: str, call: Callable, summary: str, epilog: str | None = None) -> argparse.ArgumentParser:
        description = summary[0].upper() + summary[1:] + "."
        made[name] = commands.add_parser(name, help=summary, description=description, epilog=epilog, **layout)
        made[name].set_defaults(call=call)
        return made[name]

    def config(command: argparse.ArgumentParser) -> None:
        command.add_argument("config", metavar="CONFIG", help="a YAML file, or a name that 'hograd list' shows")
        command.add_argument("overrides", metavar="key=value", nargs="*", default=[], help="use this value instead")

    run = add("run", _run, "run the experiment of a config", RUN)
    config(run)
    run.add_argument("--output", metavar="FOLDER", help="the run folder (default: runs/NAME/DATE-TIME)")
    run.add_argument("--overwrite", action="store_true", help="replace the run in FOLDER, once the new one has begun")
    resume = add("resume", _resume, "go on with a run that was broken off")
    resume.add_argument("run", metavar="RUN", help="a run folder, such as runs/NAME/latest")
    sweep = add("sweep", _sweep, "search over values of a config, with Optuna", SWEEP)
    config(sweep)
    sweep.add_argument("--output", metavar="FOLDER", help="the sweep's folder (default: runs/NAME/sweep-DATE-TIME)")
    sweep.add_argument("--trials", metavar="N", type=int, default=20, help="how many in all (default: 20; grid: all)")
    sweep.add_argument("--sampler", choices=["tpe", "random", "grid"], default="tpe", help="default: tpe")
    sweep.add_argument("--minimize", metavar="FIGURE", default="validation_loss", help="default: validation_loss")
    report = add("report", _report, "make the report of a run again, of what is stored")
    report.add_argument("run", metavar="RUN", help="a run folder, such as runs/NAME/latest")
    compare = add("compare", _compare, "put several runs side by side")
    compare.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    compare.add_argument("--output", metavar="FILE", help="the page (default: comparison.html)")
    validate = add("validate", _validate, "check a config and print it with every default; writes nothing", OVERRIDES)
    config(validate)
    for command in (run, resume, sweep):
        command.add_argument("--quiet", action="store_true", help="no progress, only the tables at the end")
    for command in (run, resume, sweep, report, compare, validate):
        command.add_argument("--trust", action="store_true", help=TRUST)
    add("schema", _schema, "print a JSON Schema of all configs, for editors")
    listing = add("list", _list, "list configs and components")
    listing.add_argument("kind", metavar="KIND", nargs="?", help="such as optimizers: each with its options")
    listing.add_argument("--module", metavar="FILE", action="append", default=[], help="run this Python file first")
    copy = add("copy", _copy, "write a config that comes with hograd into the current folder")
    copy.add_argument("name", metavar="NAME", help="as 'hograd list' shows it")
    copy.add_argument("--overwrite", action="store_true", help="replace the file where there is one")
    return parser, made


class _Version(argparse.Action):
    """Prints the version; `hograd` is imported only when it is asked for."""

    def __call__(self, parser, namespace, values, option_string=None):
        import hograd

        print(f"hograd {hograd.__version__}")
        parser.exit()


def _require_extra(command: str) -> None:
    missing = [shown for name, shown in NEEDED.items() if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"'hograd {command}' needs {', '.join(missing)}, which the bare installation leaves out.\n"
            'Install it with: pip install "hograd[experiments]"'
        )


def _run(given: argparse.Namespace, overrides: list[str]) -> int:
    from experiments.commands.run import run

    if given.output == "":
        raise UsageError("--output is empty; expected a folder, as in --output runs/mine")
    return run(given.config, overrides, output=given.output, overwrite=given.overwrite, quiet=given.quiet,
               trust=given.trust)  # fmt: skip


def _resume(given: argparse.Namespace, _: list[str]) -> int:
    from experiments.commands.run import resume

    return resume(given.run, quiet=given.quiet, trust=given.trust)


def _sweep(given: argparse.Namespace, overrides: list[str]) -> int:
    from experiments.commands.sweep import sweep

    return sweep(given.config, overrides, output=given.output, trials=given.trials, sampler=given.sampler,
                 minimize=given.minimize, quiet=given.quiet, trust=given.trust)  # fmt: skip


def _report(given: argparse.Namespace, _: list[str]) -> int:
    from experiments.commands.run import report

    return report(given.run, trust=given.trust)


def _compare(given: argparse.Namespace, _: list[str]) -> int:
    from experiments.commands.compare import compare

    return compare(given.runs, output=given.output, trust=given.trust)


def _validate(given: argparse.Namespace, overrides: list[str]) -> int:
    from experiments.commands.run import validate

    return validate(given.config, overrides, trust=given.trust)


def _schema(given: argparse.Namespace, _: list[str]) -> int:
    import json

    from experiments.configuration.json_schema import schema

    print(json.dumps(schema(), indent=1), flush=True)
    return 0


def _list(given: argparse.Namespace, _: list[str]) -> int:
    from experiments.commands import listing
    from experiments.configuration.load import run_module
    from experiments.paths import path_of

    for file in given.module:
        run_module(path_of(file).resolve())
    print(listing.components(given.kind) if given.kind else listing.overview(), flush=True)
    return 0


def _copy(given: argparse.Namespace, _: list[str]) -> int:
    from experiments.commands.shipped import copy

    target = copy(given.name, overwrite=given.overwrite)
    print(f"Wrote {target}; run it: hograd run {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
