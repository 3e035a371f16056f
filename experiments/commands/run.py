"""`hograd run`, `resume`, `report` and `validate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.commands import results
from experiments.commands.shipped import located
from experiments.configuration import load
from experiments.configuration.load import Config
from experiments.execute.interrupts import listening
from experiments.execute.run import Ended
from experiments.execute.run import resume as go_on
from experiments.execute.run import run as execute
from experiments.report.tables import text

#: Longer tables of details stay off the terminal.
ROWS = 12


def run(path: str, overrides: Sequence[str], *, output: str | None, overwrite: bool, quiet: bool, trust: bool) -> int:
    """Run a config; the exit code."""
    source = located(path)
    with listening(last=True) as stop:
        with stop.interruptible():
            config = load.load(source, overrides, trust=trust)
            _tell(config, quiet)
            experiment = config.build()
        folder = output or config.settings.output
        ended = execute(
            experiment,
            config.values,
            name=source.stem,
            folder=None if folder is None else Path(folder),
            overwrite=overwrite,
            quiet=quiet,
            text=results.HEAD + load.dump(config.values),
        )
        return _conclude(ended, config)


def resume(run: str, *, quiet: bool, trust: bool) -> int:
    """Go on with a run that was broken off; the exit code."""
    with listening(last=True) as stop:
        with stop.interruptible():
            folder, config = results.config_of(run, trust=trust)
        return _conclude(go_on(folder, values=config.values, quiet=quiet), config)


def report(run: str, *, trust: bool) -> int:
    """Make the report of a run again, of what is stored, and print its tables."""
    folder, config = results.config_of(run, trust=trust)
    made = results.write(folder, config)
    print(f"{text(made, most=ROWS)}\n\nThe page is {results.shown(folder / 'report.html')}", flush=True)
    return 0


def validate(path: str, overrides: Sequence[str], *, trust: bool) -> int:
    """Check a config and its data, and print it with every default."""
    config = load.load(located(path), overrides, trust=trust)
    _tell(config, quiet=False)
    config.build()
    print(load.dump(config.values).rstrip(), flush=True)
    return 0


def _tell(config: Config, quiet: bool) -> None:
    if not quiet:
        for note in config.notes:
            print(f"hograd: note: {note}", file=sys.stderr)


def _conclude(ended: Ended, config: Config) -> int:
    """Write and print the report of what was done, however the run ended."""
    made = results.write(ended.folder, config, ended.outcomes)
    folder = results.shown(ended.folder)
    print(
        f"{text(made, most=ROWS)}\n\n{ended.status.capitalize()} after {ended.seconds:.1f} s; everything is in {folder}"
    )
    print(f"Read it: {folder}/report.html" if ended.exit_code == 0 else f"Go on: hograd resume {folder}", flush=True)
    for error in ended.errors:
        print(f"hograd: error: {error}", file=sys.stderr)
    return ended.exit_code
