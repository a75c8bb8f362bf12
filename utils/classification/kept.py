"""What becomes of classified patches: TIFFs of the kept ones, a table of all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from utils.classification.background import BackgroundCalls, background_calls, prefetched
from utils.classification.kept_tiff import KeptTiffs
from utils.dictionaries import PatchFile
from utils.files import OWN_FOLDER, atomic_path, flush_all, remove, safe_name
from utils.jobs import Job
from utils.names import dataset_of
from utils.records.duplicates import LeftOut
from utils.records.kept_patch import KeptRecord, read_kept_record
from utils.records.recipes import discard, load_record, same_but_for
from utils.records.scores import KEPT, LOW_SCORE, Score, load_scores, save_scores

WRITERS = 4
# Options that decide what is kept, and how, but no score.
NO_SCORE = {"threshold", "without", "compression"}
# Patches that are read, scored and written at a time.
BATCH = 256


class Scorer(Protocol):
    """What gives scores 0..1 and distances to patches; `utils.classification.classifier.Classifier` is one."""

    def examine(self, patches: Sequence[np.ndarray]) -> "Seen": ...

    @property
    def changes(self) -> int:
        """How often what it decided before has come into doubt."""
        ...


class Seen(Protocol):
    """Scores of patches, and how far each lies from what the network was trained on (NaN where it does not know)."""

    @property
    def scores(self) -> np.ndarray:
        """From 0 to 1, shape (n,)."""
        ...

    @property
    def distances(self) -> np.ndarray:
        """From the nearest centre, shape (n,)."""
        ...


def classify_dictionary(
    scorer: Scorer,
    job: Job,
    scratch: Path,
    *,
    threshold: float,
    left_out: LeftOut | None = None,
    compression: str = "none",
) -> str:
    """Score one dictionary, write its kept patches and its CSV, which becomes the job's target.

    The next patches are read, and TIFFs are written, while the network works; of a dictionary of any size a few
    batches are in memory. Where only the threshold or what is left out has changed, the scores are those of the CSV
    that is there. What is in `left_out` is not kept, whatever its score; the CSV then says why each patch was kept or
    not.

    Returns
    -------
    str
        How many were kept.

    Raises
    ------
    ValueError
        If names cannot become file names, or two patches would share one.
    """
    reasons = left_out.reasons(Path(job.source)) if left_out else {}
    with PatchFile(Path(job.source)) as file:
        refuse_shared_files(file.names)
        stored = stored_scores(job, file.names)
        while True:
            with kept_files(job.target, file.meta, compression) as kept:
                before, rows, distances = scorer.changes, [], []
                for part in _scored(scorer, file, stored):
                    rows += (decided := [_decided(*s, threshold, reasons.get(s[0])) for s in part.scored])
                    kept.add(decided, part.patches)
                    distances.append(part.distances)
                if scorer.changes == before:
                    kept.commit()
                    break
    if stored is None:
        _save_distances(job.target, np.concatenate(distances))
    save_scores(scratch, rows, reasons=left_out is not None)
    return f"{sum(row.kept for row in rows)} of {len(rows)} patches kept"


class _Part(NamedTuple):
    """Some patches of a dictionary: names with scores, pixels, and distances."""

    scored: list[tuple[str, float]]
    patches: list[np.ndarray]
    distances: np.ndarray


def _scored(scorer: Scorer, file: PatchFile, stored: np.ndarray | None) -> Iterator[_Part]:
    """All patches with their scores, the stored ones where there are some; the next are read meanwhile."""
    if stored is None:
        yield _Part([], [], scorer.examine([]).distances)  # of no patches, too, a network is wanted
    for batch in prefetched(file.batches(count=BATCH)):
        if stored is None:
            seen = scorer.examine(batch.patches)
            scores, distances = seen.scores, seen.distances
        else:
            scores = stored[batch.start : batch.start + len(batch.names)]
            distances = np.full(len(scores), np.nan)
        yield _Part(list(zip(batch.names, map(float, scores), strict=True)), batch.patches, distances)


def _decided(name: str, score: float, threshold: float, left_out: str | None) -> Score:
    if left_out:
        return Score(name, score, False, left_out)
    kept = score > threshold
    return Score(name, score, kept, KEPT if kept else LOW_SCORE)


def stored_scores(job: Job, names: Sequence[str]) -> np.ndarray | None:
    """The scores of a table that is there, where everything that decides them is the same; None where it is not.

    Returns
    -------
    ndarray, shape (n,), or None
    """
    with suppress(ValueError, OSError):
        record = load_record(job.target)
        if (
            record is None
            or job.recipe is None
            or not same_but_for(job.recipe, record, {"threshold", "without", "compression"})
        ):
            return None
        rows = load_scores(job.target)
        if [row.name for row in rows] == list(names):
            return np.array([row.score for row in rows])
    return None


def refuse_shared_files(names: Sequence[str]) -> None:
    """Refuse names that are no file names, and names that meet on some file system.

    Raises
    ------
    ValueError
        With both names.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(safe_name(name).casefold(), name)
        if other is not name:
            raise ValueError(f"two patches would share a file: {other!r} and {name!r}")


class KeptFiles:
    """The TIFFs of a dictionary's kept patches, written beside their place until all are; see `kept_files`."""

    def __init__(
        self, table: Path, scratch: Path, write: BackgroundCalls, meta: Mapping[str, Any], compression: str
    ) -> None:
        self._table, self._scratch, self._write, self._meta = table, scratch, write, meta
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
        for row, patch in zip(rows, patches, strict=True):
            if row.kept:
                record = KeptRecord.of_meta(self._meta, self._table.stem, row.score)
                self._write(self._tiffs.write, self._scratch / f"{row.name}.tiff", patch, record)
                self._names.append(row.name)

    def commit(self) -> None:
        """Make the TIFFs of the dictionary those that were added; the table itself is still to be written.

        A list beside the table's record names every TIFF that there may be of the dictionary, whenever this is killed.
        """
        self._write.finish()
        table, now = self._table, self._names
        before = listed_kept(table)
        for name in now:
            if name not in before:
                _refuse_foreign(kept_path(table, name), table.stem)
        _list_kept(table, before.union(now))
        flush_all(self._scratch)
        if now:
            kept_path(table, "").parent.mkdir(exist_ok=True)
        for name in now:
            (self._scratch / f"{name}.tiff").replace(kept_path(table, name))
        _drop(table, before.difference(now))
        _list_kept(table, now)


@contextmanager
def kept_files(table: Path, meta: Mapping[str, Any], compression: str = "none") -> Iterator[KeptFiles]:
    """A place for the TIFFs of a table's kept patches; what is not committed when it ends goes."""
    scratch = table.with_name(f".{table.name}.part.tiffs")
    remove(scratch)
    scratch.mkdir(parents=True)
    try:
        with background_calls(WRITERS, 2 * WRITERS) as write:
            yield KeptFiles(table, scratch, write, meta, compression)
    finally:
        remove(scratch)


def kept_path(table: Path, name: str) -> Path:
    """Where the TIFF of a kept patch of a table lies."""
    return table.parent / safe_name(dataset_of(table.stem)) / f"{name}.tiff"


def _refuse_foreign(path: Path, dictionary: str) -> None:
    if not path.exists():
        return
    owner = read_kept_record(path).dictionary or dictionary
    if owner != dictionary:
        raise ValueError(f"{path} was already written from {owner}.pkl; the two hold patches of one name")


def _drop(table: Path, names: Iterable[str]) -> None:
    """Remove TIFFs of a table, and their folder where nothing is left in it."""
    for name in names:
        kept_path(table, name).unlink(missing_ok=True)
    with suppress(OSError):
        kept_path(table, "").parent.rmdir()


def discard_table(table: Path) -> None:
    """Remove a table whose dictionary is gone, with its TIFFs and its contact sheet's claim to them."""
    _drop(table, listed_kept(table))
    discard(table)
    _list_of(table).unlink(missing_ok=True)
    _distances_of(table).unlink(missing_ok=True)


def load_distances(table: Path) -> np.ndarray:
    """How far each patch of a table lies from what the classifier was trained on.

    Returns
    -------
    ndarray, shape (n,)
        Empty if not known.
    """
    path = _distances_of(table)
    values = path.read_text("utf-8").split() if path.is_file() else []
    return np.array([float(value) for value in values])


def _save_distances(table: Path, distances: np.ndarray) -> None:
    """Keep distances beside the table's record, or remove those of other weights."""
    path = _distances_of(table)
    if not np.isfinite(distances).all():
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as scratch:
        scratch.write_text("".join(f"{value:.4f}\n" for value in distances), "utf-8")


def _distances_of(table: Path) -> Path:
    return table.parent / OWN_FOLDER / f"{table.name}.distances"


def listed_kept(table: Path) -> set[str]:
    """Names of all patches of which a table, or a run that was killed over it, may have left a TIFF."""
    with suppress(FileNotFoundError):
        return set(_list_of(table).read_text("utf-8", "surrogateescape").splitlines())
    return {row.name for row in load_scores(table) if row.kept} if table.exists() else set()


def _list_kept(table: Path, names: Iterable[str]) -> None:
    path = _list_of(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8", "surrogateescape")
    scratch.replace(path)


def _list_of(table: Path) -> Path:
    return table.parent / OWN_FOLDER / f"{table.name}.kept"
