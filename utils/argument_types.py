"""Argument types: what a word on the command line stands for, or why it is refused."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from utils.files import expanded

Number = TypeVar("Number", int, float)


def shard(text: str) -> tuple[int, int]:
    """Argument type: ``I/N``, the I-th of N shares, counted from 1; ``auto`` asks the scheduler of a job array.

    Raises
    ------
    ArgumentTypeError
        If it is no share.
    """
    if text == "auto":
        from utils.job_arrays import share_of_task

        try:
            return share_of_task()
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"auto: {error}") from error
    first, slash, count = text.partition("/")
    if not (slash and first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; expected I/N with 1 <= I <= N, or auto")
    return int(first), int(count)


def _may_be_dir(path: Path) -> bool:
    return path.is_dir() or not (path.exists() or _is_cut_off(path))


def _is_cut_off(path: Path) -> bool:
    """Whether a link on the way leads nowhere: of a disk that is not mounted it is still there."""
    return any(place.is_symlink() and not place.exists() for place in (path, *path.parents))


def _path(is_wanted: Callable[[Path], bool], refusal: str) -> Callable[[str], Path]:
    """An argument type: paths that are wanted."""

    def path_of(text: str) -> Path:
        path = expanded(text)
        try:
            if is_wanted(path):
                return path
            kind = " (it is a file)" if path.is_file() else " (it is a folder)" if path.is_dir() else ""
            kind = kind or " (a link to nowhere)" * _is_cut_off(path)
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            kind = f" ({error.strerror})"
        raise argparse.ArgumentTypeError(f"{text}: {refusal}{kind}")

    return path_of


existing_dir, existing_file = _path(Path.is_dir, "no such folder"), _path(Path.is_file, "no such file")
# A folder of inputs that is gone is for the script to refuse, or for ``--prune`` to take; one of results is made.
input_dir, output_dir = _path(_may_be_dir, "no such folder"), _path(_may_be_dir, "no folder to write to")


def number_type(
    kind: Callable[[str], Number], accept: Callable[[float], bool], expected: str
) -> Callable[[str], Number]:
    """An argument type: numbers that are accepted.

    Raises
    ------
    ArgumentTypeError
        By the type, with what was `expected`, for any other word.
    """

    def number_of(text: str) -> Number:
        with contextlib.suppress(ValueError):
            if accept(value := kind(text)):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")

    return number_of


def int_from(least: int) -> Callable[[str], int]:
    """An argument type: whole numbers of at least so much."""
    return number_type(int, lambda value: value >= least, f"a whole number of at least {least}")


natural_int, positive_int = int_from(0), int_from(1)
natural_float = number_type(float, lambda value: 0 <= value < float("inf"), "a number of at least 0")
positive_float = number_type(float, lambda value: 0 < value < float("inf"), "a number above 0")
fraction = number_type(float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
