"""What could not be read, by its path, in one sentence each."""

import sys
from collections.abc import Mapping
from pathlib import Path

from utils.redaction import one_line


def reason_of(error: OSError | ValueError, path: Path) -> str:
    """Why a file cannot be read, without the path, which stands before it.

    >>> reason_of(ValueError("a.csv: no table"), Path("a.csv"))
    'no table'
    """
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.removeprefix(f"{path}: ").split()) or type(error).__name__


def say_failures(failures: Mapping[str, str]) -> int:
    """Name failures on stderr, each on a line; returns the exit code."""
    for path, reason in failures.items():
        print(one_line(f"{path}: {reason}"), file=sys.stderr)
    return 1 if failures else 0
