"""`drive.py run|resume FOLDER VALUES OPTIONS`: a run as a command does it, for processes that are to be killed."""

import json
import sys
from pathlib import Path

import fakes

from experiments.errors import ExperimentError
from experiments.execute import resume, run
from experiments.execute.interrupts import listening


def main():
    command, folder, values, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
    try:
        if command == "run":
            ended = run(
                fakes.experiment_from(values),
                values,
                name="fake",
                folder=folder,
                how="fakes:experiment_from",
                **options,
            )
        else:
            ended = resume(folder, values=values, how="fakes:experiment_from", **options)
    except ExperimentError as error:
        sys.stderr.write(f"hograd: error: {error}\n")
        return error.exit_code
    for error in ended.errors:
        sys.stderr.write(f"hograd: error: {error}\n")
    sys.stdout.write(f"{ended.status} {ended.folder}\n")
    return ended.exit_code


if __name__ == "__main__":
    with listening(last=True):
        code = main()
    sys.exit(code)
