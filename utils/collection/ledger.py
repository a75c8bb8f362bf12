"""What an output folder holds of ours, and what each unit of it was made from.

So a second run makes only what changed, takes away only what is its own, and goes on after a kill.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from utils.cli import UsageError
from utils.files import OWN_FOLDER, list_files, remove, remove_if_empty, sha256_of, write_whole
from utils.foreign_text import json_file
from utils.locks import BusyError, locked, sweep
from utils.redaction import say

WRITERS = 8


class Ledger:
    """The records of an output folder, one small file per unit.

    A record holds the fingerprint of what its unit was made from and, of each of its files, size and SHA-256; of times
    it holds none, lest two runs over the same inputs differ: a file no younger than its record is the one.
    While a unit is being made its record names the files before and after and has no fingerprint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, unit: str) -> Path:
        return self.folder / OWN_FOLDER / f"{unit}.json"

    def units(self) -> list[str]:
        """The units that are recorded."""
        return [path.stem for path in list_files(self.folder / OWN_FOLDER, {".json"})]

    def record(self, unit: str) -> dict[str, Any]:
        """A unit's record; empty where there is none, or none that can be read."""
        content = json_file(self._path(unit))
        return content if isinstance(content.get("files"), dict) else {}

    def is_current(self, unit: str, fingerprint: str) -> bool:
        """Whether a unit was made from just this and its files are as they were left."""
        record = self.record(unit)
        if record.get("fingerprint") != fingerprint:
            return False
        since = self._path(unit).stat().st_mtime_ns
        return all(self._is_same(name, entry, since) for name, entry in record["files"].items())

    def _is_same(self, name: str, entry: Mapping[str, Any], since: int) -> bool:
        path = self.folder / name
        with suppress(OSError):
            status = path.stat()
            if status.st_size == entry.get("size"):
                return status.st_mtime_ns <= since or sha256_of(path) == entry.get("sha256")
        return False

    @contextmanager
    def making(
        self, unit: str, files: Iterable[str], fingerprint: str, facts: Mapping[str, Any] | None = None
    ) -> Iterator[Path]:
        """Yield a scratch folder for a unit's files; at the end they take their places and the unit is recorded.

        The last of them takes its place last. `facts` are recorded, too, and may be filled in while the unit is made.

        Raises
        ------
        FileExistsError
            If a file is in the way that no unit owns.
        """
        scratch, wanted = self.folder / OWN_FOLDER / f"{unit}.part", list(files)
        with locked(self._path(unit)):
            before = self.record(unit).get("files", {})
            for name in wanted:
                if name not in before and (self.folder / name).exists():
                    raise FileExistsError(f"{self.folder / name} was not made by this script; move it away")
            self._write(unit, {"fingerprint": "", "files": {**before, **{name: {} for name in wanted}}})
            remove(scratch)
            try:
                scratch.mkdir()
                yield scratch
                entries = self._commit(scratch, wanted)
                for name in before.keys() - entries.keys():
                    self._remove(name)
                self._write(unit, {"fingerprint": fingerprint, "files": entries, **(facts or {})})
            finally:
                remove(scratch)

    def _commit(self, scratch: Path, wanted: list[str]) -> dict[str, dict[str, Any]]:
        for parent in {(self.folder / name).parent for name in wanted}:
            parent.mkdir(parents=True, exist_ok=True)

        def place(name: str) -> dict[str, Any] | None:
            made, target = scratch / name, self.folder / name
            if not made.exists():
                return None  # left out, since its patch could not be read
            sha = sha256_of(made, flush=True)
            made.replace(target)
            return {"size": target.stat().st_size, "sha256": sha}

        with ThreadPoolExecutor(WRITERS) as pool:
            entries = dict(zip(wanted[:-1], pool.map(place, wanted[:-1]), strict=True))
        entries |= {name: place(name) for name in wanted[-1:]}
        return {name: entry for name, entry in entries.items() if entry is not None}

    def drop_all_but(self, units: Collection[str]) -> int:
        """Take away the files of units that there are no more; returns how many units went."""
        stale = set(self.units()) - set(units)
        still = {name for unit in units for name in self.record(unit).get("files", ())}
        for unit in sorted(stale):
            for name in self.record(unit).get("files", ()):
                if name not in still:
                    self._remove(name)
            self._path(unit).unlink(missing_ok=True)
        return len(stale)

    def _remove(self, name: str) -> None:
        """Remove a file of ours, and the folders that it leaves empty."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            return  # a record from elsewhere: nothing outside is ours
        path.unlink(missing_ok=True)
        for parent in takewhile(lambda parent: parent != self.folder, path.parents):  # a kill may have left the outer
            remove_if_empty(parent)

    def _write(self, unit: str, content: Mapping[str, Any]) -> None:
        write_whole(self._path(unit), json.dumps(content, separators=(",", ":")))

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock of the whole folder: one whole run at a time. What killed runs left goes at its end."""
        with locked(self.folder / OWN_FOLDER / "run"):
            try:
                yield
            finally:
                for scratch in (self.folder / OWN_FOLDER).glob("*.part"):
                    with suppress(BusyError), locked(self._path(scratch.stem), wait=False):
                        remove(scratch)
                sweep(self.folder / OWN_FOLDER)


def unit_name(*pieces: str) -> str:
    """A name for a unit that any file system takes; long ones are cut and told apart by a hash.

    >>> unit_name("train", "fly")
    'train-fly'
    """
    name = "-".join(pieces)
    if len(name.encode("utf-8", "surrogateescape")) <= 120:
        return name
    return f"{name[:24]}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def digest(*facts: object) -> str:
    """A fingerprint of plain values."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class NothingLeftError(UsageError):
    """There is no table, or no kept patch, to make anything of."""


def run_or_take_back(body: Callable[[argparse.Namespace], int], noun: str, args: argparse.Namespace) -> int:
    """Run `body`; with ``--prune`` an output folder that nothing is left for is emptied of what is ours.

    Raises
    ------
    UsageError
        If the output lies in what is read.
    NothingLeftError
        If there is nothing to take back either.
    """
    if args.output.resolve().is_relative_to(args.filtered.resolve()):
        raise UsageError(f"{args.output} lies in what is read; name another folder")
    try:
        return body(args)
    except NothingLeftError as error:
        ledger = Ledger(args.output)
        if not args.prune or not ledger.units():
            raise
        with ledger.held():
            count = ledger.drop_all_but([])
        for folder in (args.output / OWN_FOLDER, args.output):
            remove_if_empty(folder)
        say(f"{error}; what was made before is removed")
        if not args.quiet:
            print(f"{noun}: 0 done, 0 done before, {count} without their input removed, 0 failed")
        return 0
