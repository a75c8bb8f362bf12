"""Locks on results, held by the operating system; and the sweep of what killed runs left."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from utils.files import OWN_FOLDER, remove, remove_if_empty

if TYPE_CHECKING:
    from filelock import FileLock


_SCRATCH = re.compile(r"^\.(?P<target>.+)\.part(\.[A-Za-z0-9.]+)?$", re.DOTALL)


class BusyError(Exception):
    """Another live process holds a target's lock."""


@contextmanager
def locked(target: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the one lock on a target: waits while another live process writes it; a dead one never blocks.

    Without `wait` that is a `BusyError`.
    """
    lock = _acquired(target, wait=wait)
    try:
        yield
    finally:
        if os.name == "posix":  # FileLock notices that its file went and tries again; Windows removes its own
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        remove_if_empty(Path(lock.lock_file).parent)


def _acquired(target: Path, *, wait: bool) -> "FileLock":
    from filelock import FileLock, Timeout

    folder = target.parent / OWN_FOLDER
    while True:
        lock = FileLock(folder / f"{target.name}.lock")
        try:
            lock.acquire(blocking=wait)
        except (FileNotFoundError, FileExistsError):  # another run tidied up the empty folder at this moment
            if folder.is_file():
                raise
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)  # or there can be none: that ends here
            continue
        except Timeout as error:
            raise BusyError(f"{target}: another run is at work on it") from error
        return lock


def sweep(folder: Path) -> None:
    """Remove what dead processes left in an output folder: scratch files and locks that nobody holds."""
    left: defaultdict[str, list[Path]] = defaultdict(list)
    for place in (folder, folder / OWN_FOLDER):
        for name in _names(place):
            if found := _SCRATCH.match(name):
                left[found["target"].removesuffix(".json")].append(place / name)
            elif place != folder and name.endswith(".lock"):
                left[name.removesuffix(".lock")] += []
    for target, scratch_files in left.items():
        with contextlib.suppress(BusyError), locked(folder / target, wait=False):
            for scratch in scratch_files:
                remove(scratch)


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
