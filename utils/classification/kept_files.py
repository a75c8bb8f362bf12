"""The TIFFs of a table's kept patches: written beside their place, listed, taken away.

They are tifffile's own bytes, at a tenth of the time for all but the first of a kind.
"""

import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.classification.background import BackgroundCalls, background_calls
from utils.files import OWN_FOLDER, flush_all, remove, remove_if_empty, safe_name, write_unflushed
from utils.names import dataset_of
from utils.records.kept_patch import KeptRecord, read_kept_record
from utils.records.recipes import discard
from utils.records.scores import Score, distances_path, read_scores

# Patches of one dictionary differ in pixels and in the digits of their scores; more kinds are not worth remembering.
MOST_KINDS = 64
WRITERS = 4
# Bytes that a writer takes at a time: forty patches of the usual size.
AT_ONCE = 2 << 20


class KeptTiffs:
    """Writes patches, (h, w) uint8 each; safe to use from many threads.

    tifffile lays out the first TIFF of a shape and a length of description. In the others description and pixels are
    put into their places.
    """

    def __init__(self, compression: str = "none") -> None:
        self._compression = None if compression == "none" else compression
        self._kinds: dict[tuple[tuple[int, ...], int], tuple[bytes, int]] = {}
        self._lock = threading.Lock()

    def write(self, path: Path, patch: np.ndarray, record: KeptRecord) -> None:
        """Write one patch with what it remembers.

        Parameters
        ----------
        path : Path
        patch : ndarray of uint8, shape (h, w)
        record : KeptRecord
        """
        with path.open("wb") as file:
            file.writelines(self._parts(patch, record.to_json()))

    def _parts(self, patch: np.ndarray, description: str) -> tuple[bytes | memoryview, ...]:
        if self._compression:
            return (self._laid_out(patch, description),)
        said = description.encode("ascii")
        kind = patch.shape, len(said)
        with self._lock:
            if kind not in self._kinds:
                if len(self._kinds) >= MOST_KINDS:
                    self._kinds.clear()
                whole = self._laid_out(patch, description)
                self._kinds[kind] = whole[: len(whole) - patch.nbytes], whole.index(said)
            head, start = self._kinds[kind]
        return head[:start], said, head[start + len(said) :], np.ascontiguousarray(patch).data

    def _laid_out(self, patch: np.ndarray, description: str) -> bytes:
        import tifffile

        options: dict[str, Any] = {"photometric": "minisblack", "metadata": None, "software": False}
        with io.BytesIO() as file:
            tifffile.imwrite(file, patch, compression=self._compression, description=description, **options)
            return file.getvalue()


class KeptFiles:
    """The TIFFs of a dictionary's kept patches, written beside their place until all are; see `kept_files`."""

    def __init__(
        self, table: Path, scratch: Path, write: BackgroundCalls, meta: Mapping[str, Any], compression: str
    ) -> None:
        self._table, self._scratch, self._write = table, scratch, write
        self._record = KeptRecord.of_meta(meta, table.stem, 0.0)
        self._tiffs = KeptTiffs(compression)
        self._names: list[str] = []

    def add(self, rows: Sequence[Score], patches: Sequence[np.ndarray]) -> None:
        """Write the kept ones of some patches, soon.

        Parameters
        ----------
        rows : sequence of Score
        patches : sequence of ndarray of uint8, shape (h, w)
            One for each row.
        """
        kept = [(row, patch) for row, patch in zip(rows, patches, strict=True) if row.kept]
        step = max(1, AT_ONCE // max((patch.nbytes for _, patch in kept), default=1))
        for start in range(0, len(kept), step):
            self._write(self._write_some, kept[start : start + step])
        self._names += [row.name for row, _ in kept]

    def _write_some(self, kept: Sequence[tuple[Score, np.ndarray]]) -> None:
        for row, patch in kept:
            self._tiffs.write(self._scratch / f"{row.name}.tiff", patch, replace(self._record, score=row.score))

    def commit(self) -> None:
        """Make the TIFFs of the dictionary those that were added; the table itself is still to be written.

        A list beside the table's record names every TIFF that there may be of the dictionary, whenever this is killed.
        """
        self._write.finish()
        table, now = self._table, self._names
        before, folder = listed_kept(table), kept_folder(table)
        for name in now if folder.exists() else ():
            if name not in before:
                _refuse_foreign(folder / f"{name}.tiff", table.stem)
        _list_kept(table, before.union(now))
        flush_all(self._scratch)
        if now:
            folder.mkdir(exist_ok=True)
        for name in now:
            (self._scratch / f"{name}.tiff").replace(folder / f"{name}.tiff")
        _drop(table, before.difference(now))
        _list_kept(table, now)


@contextmanager
def kept_files(table: Path, meta: Mapping[str, Any], compression: str = "none") -> Iterator[KeptFiles]:
    """A place for the TIFFs of a table's kept patches; what is not committed when it ends goes."""
    scratch = table.with_name(f".{table.name}.part.tiffs")
    remove(scratch)
    scratch.mkdir()
    try:
        with background_calls(WRITERS, 2 * WRITERS) as write:
            yield KeptFiles(table, scratch, write, meta, compression)
    finally:
        remove(scratch)


def kept_folder(table: Path) -> Path:
    """Where the TIFFs of a table's kept patches lie."""
    return table.parent / safe_name(dataset_of(table.stem))


def _refuse_foreign(path: Path, dictionary: str) -> None:
    if not path.exists():
        return
    owner = read_kept_record(path).dictionary or dictionary
    if owner != dictionary:
        raise ValueError(f"{path} was already written from {owner}.pkl; the two hold patches of one name")


def _drop(table: Path, names: Iterable[str]) -> None:
    """Remove TIFFs of a table, and their folder where nothing is left in it."""
    folder = kept_folder(table)
    for path in (folder / f"{name}.tiff" for name in names):
        if path.parent == folder:  # in a folder from elsewhere tables may name anything: what lies outside is not ours
            path.unlink(missing_ok=True)
    remove_if_empty(folder)


def discard_table(table: Path) -> None:
    """Remove a table whose dictionary is gone, with its TIFFs and its contact sheet's claim to them."""
    _drop(table, listed_kept(table))
    discard(table)
    _list_of(table).unlink(missing_ok=True)
    distances_path(table).unlink(missing_ok=True)


def listed_kept(table: Path) -> set[str]:
    """Names of all patches of which a table, or a run that was killed over it, may have left a TIFF."""
    with suppress(FileNotFoundError):
        return set(_list_of(table).read_text("utf-8", "surrogateescape").splitlines())
    return {row.name for row in read_scores(table) if row.kept} if table.exists() else set()


def _list_kept(table: Path, names: Iterable[str]) -> None:
    write_unflushed(_list_of(table), "".join(f"{name}\n" for name in sorted(names)))


def _list_of(table: Path) -> Path:
    return table.parent / OWN_FOLDER / f"{table.name}.kept"
