"""Settings of a run that its workers find in their environment: children inherit it, a cluster's workers are told."""

import os
from collections.abc import Mapping

# The gigabytes that decoding may take; the volume that is taken from HDF5 files.
MAX_GB = "EM_MAX_GB"
DATASET = "EM_HDF5_DATASET"
_ALL = (MAX_GB, DATASET)
# Of a worker's own, never another's: which of those that share its machine it is, counted on from any number.
PLACE = "EM_PLACE"


def choose(setting: str, value: str | None) -> None:
    """Make a setting, here and in processes that are started from now on; None takes it back."""
    if value is None:
        os.environ.pop(setting, None)
    else:
        os.environ[setting] = value


def settings() -> dict[str, str]:
    """The settings of this run."""
    return {name: os.environ[name] for name in _ALL if name in os.environ}


def apply_settings(chosen: Mapping[str, str]) -> None:
    """Work by another process's settings, and by no others."""
    for name in _ALL:
        os.environ.pop(name, None)
    os.environ.update(chosen)


def place() -> int:
    """Which of the workers that share this machine this process is, counted on from any number; 0 for one alone."""
    number = os.environ.get(PLACE, "")
    return int(number) if number.isdecimal() else 0
