"""What becomes of classified patches: TIFFs of the kept ones, a table of all."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.classification.ahead import ReadAhead
from utils.files import OWN_FOLDER, atomic_path, flush_all, remove, safe_name
from utils.jobs import Job
from utils.names import dataset_of
from utils.records.duplicates import LeftOut
from utils.records.kept import KeptRecord, read_kept_record
from utils.records.recipes import discard, load_record, same_but_for
from utils.records.scores import KEPT, LOW_SCORE, Score, load_scores, save_scores

WRITERS = 8


class Scorer(Protocol):
    """What gives scores 0..1 and distances to patches; `utils.classification.classifier.Classifier` is one."""

    def examine(self, patches: Sequence[np.ndarray]) -> "Seen": ...


class Seen(Protocol):
    """Scores of patches, and how far each lies from what the network was trained on (NaN where it does not know)."""

    @property
    def scores(self) -> np.ndarray: ...

    @property
    def distances(self) -> np.ndarray: ...


def classify_dictionary(
    scorer: Scorer,
    reader: ReadAhead[dict[str, Any]],
    job: Job,
    scratch: Path,
    *,
    threshold: float,
    left_out: LeftOut | None = None,
) -> str:
    """Score one dictionary, write its kept patches and its CSV, which becomes the job's target.

    Where only the threshold or what is left out has changed, the scores are those of the CSV that is there. What is in
    `left_out` is not kept, whatever its score; the CSV then says why each patch was kept or not.

    Returns
    -------
    str
        How many were kept.

    Raises
    ------
    ValueError
        If names cannot become file names, or two patches would share one.
    """
    content = reader.take(Path(job.source))
    names, patches = content["names"], content["patches"]
    refuse_shared_files(names)
    scores = stored_scores(job, names)
    if scores is None:
        seen = scorer.examine(patches)
        scores = seen.scores
        _save_distances(job.target, seen.distances)
    reasons = left_out.reasons(Path(job.source)) if left_out else {}
    rows = [_decided(n, float(score), threshold, reasons.get(n)) for n, score in zip(names, scores, strict=True)]
    meta = content.get("meta")
    replace_kept(job.target, rows, patches, meta if isinstance(meta, dict) else {})
    save_scores(scratch, rows, reasons=left_out is not None)
    return f"{sum(row.kept for row in rows)} of {len(rows)} patches kept"


def _decided(name: str, score: float, threshold: float, left_out: str | None) -> Score:
    if left_out:
        return Score(name, score, False, left_out)
    kept = score > threshold
    return Score(name, score, kept, KEPT if kept else LOW_SCORE)


def stored_scores(job: Job, names: Sequence[str]) -> np.ndarray | None:
    """The scores of a table that is there, where everything that decides them is the same; None where it is not."""
    with suppress(ValueError, OSError):
        record = load_record(job.target)
        if record is None or job.recipe is None or not same_but_for(job.recipe, record, {"threshold", "without"}):
            return None
        rows = load_scores(job.target)
        if [row.name for row in rows] == list(names):
            return np.array([row.score for row in rows])
    return None


def refuse_shared_files(names: Sequence[str]) -> None:
    """Refuse names that are no file names, and names that meet on some file system."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(safe_name(name).casefold(), name)
        if other is not name:
            raise ValueError(f"two patches would share a file: {other!r} and {name!r}")


def replace_kept(table: Path, rows: Sequence[Score], patches: Sequence[np.ndarray], meta: Mapping[str, Any]) -> None:
    """Make the TIFFs of a dictionary those of its kept patches; the table itself is still to be written.

    A list beside the table's record names every TIFF that there may be of the dictionary, whenever this is killed.
    """
    before, now = listed_kept(table), [row.name for row in rows if row.kept]
    for name in now:
        if name not in before:
            _refuse_foreign(kept_path(table, name), table.stem)
    _list_kept(table, before.union(now))
    scratch = table.with_name(f".{table.name}.part.tiffs")
    remove(scratch)
    scratch.mkdir(parents=True)
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            kept = [i for i, row in enumerate(rows) if row.kept]
            records = (KeptRecord.of_meta(meta, table.stem, rows[i].score) for i in kept)
            list(pool.map(save_kept, (scratch / f"{name}.tiff" for name in now), (patches[i] for i in kept), records))
        flush_all(scratch)
        if now:
            kept_path(table, "").parent.mkdir(exist_ok=True)
        for name in now:
            (scratch / f"{name}.tiff").replace(kept_path(table, name))
    finally:
        remove(scratch)
    _drop(table, before.difference(now))
    _list_kept(table, now)


def kept_path(table: Path, name: str) -> Path:
    """Where the TIFF of a kept patch of a table lies."""
    return table.parent / safe_name(dataset_of(table.stem)) / f"{name}.tiff"


def save_kept(path: Path, patch: np.ndarray, record: KeptRecord) -> None:
    """Write one kept patch, (h, w) uint8, with what it remembers."""
    import tifffile

    tifffile.imwrite(path, patch, photometric="minisblack", description=record.to_json(), metadata=None, software=False)


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
    """How far each patch of a table lies from what the classifier was trained on, shape (n,); empty if not known."""
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
