"""What can go wrong in the command, each with the exit code that a shell sees."""


class ExperimentError(Exception):
    """A failure with a message for the person at the terminal instead of a traceback."""

    exit_code = 1


class UsageError(ExperimentError):
    """The command was asked for something that it cannot do; nothing was written."""

    exit_code = 2


class ConfigError(UsageError):
    """A config that cannot be run; `problems` holds one line for each thing to mend.

    >>> str(ConfigError("a.yaml:1:1: unknown key 'sed'", "a.yaml:2:1: unknown key 'grit'"))
    "a.yaml:1:1: unknown key 'sed'\\na.yaml:2:1: unknown key 'grit'"
    """

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


class OutputError(UsageError):
    """The run folder cannot be used: it exists already, or cannot be written."""


class StorageError(ExperimentError):
    """A run that had begun cannot go on writing: a full disk, a deleted folder; what was written before stays."""


class DivergedError(ExperimentError):
    """A loss or a hypergradient became non-finite; what was written before stays."""


class Refused(UsageError):
    """A config whose parts are right one by one and cannot work together; `key` is the dotted key to mend."""

    def __init__(self, key: str, reason: str):
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason
