"""What becomes of classified patches: TIFFs of the kept ones, a table of all, a contact sheet per dataset."""

import csv
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.classification.ahead import ReadAhead
from utils.classification.weights import sha256_of
from utils.contact_sheet import COLUMNS, Section, Tile, read_note, save_sheet
from utils.dictionaries import load_patches
from utils.files import atomic_path, safe_name
from utils.jobs import Job
from utils.names import dataset_of

WRITERS = 8
SHOWN = 3 * COLUMNS


class Scorer(Protocol):
    """What gives scores 0..1 to patches; `utils.classification.classifier.Classifier` is one."""

    def scores(self, patches: Sequence[np.ndarray]) -> np.ndarray: ...


def classify_dictionary(
    classifier: Scorer | None, reader: ReadAhead[dict[str, Any]] | None, job: Job, *, threshold: float
) -> str:
    """Score one dictionary; write its kept patches, then its CSV (the job's target).

    Returns
    -------
    str
        How many were kept.

    Raises
    ------
    ValueError
        If names cannot become file names, or two patches would share one.
    """
    if classifier is None or reader is None:
        raise RuntimeError(f"{job.target} went away while this ran; repeat the command")
    content = reader.take(Path(job.source))
    names, patches = content["names"], content["patches"]
    files = tiff_paths(job.target.parent / safe_name(dataset_of(job.target.stem)), names)
    scores = classifier.scores(patches)
    kept = scores > threshold
    meta = {**_meta(content), "dictionary": job.target.stem}
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [
            pool.submit(_save_kept, files[i], patches[i], {**meta, "score": float(scores[i])})
            if kept[i]
            else pool.submit(_drop_stale, files[i], job.target.stem)
            for i in range(len(names))
        ]
        for future in done:
            future.result()
    save_table(job.target, names, scores, kept)
    return f"{int(kept.sum())} of {len(names)} patches kept"


def tiff_paths(folder: Path, names: Sequence[str]) -> list[Path]:
    """Where each patch goes; refuses names that are no file names, and names that meet on some file system."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(safe_name(name).casefold(), name)
        if other is not name:
            raise ValueError(f"two patches would share a file: {other!r} and {name!r}")
    return [folder / f"{name}.tiff" for name in names]


def save_table(path: Path, names: Sequence[str], scores: np.ndarray, kept: np.ndarray) -> None:
    """Write the CSV name,score,kept."""
    with atomic_path(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("name", "score", "kept"))
        rows.writerows((n, f"{s:.4f}", bool(k)) for n, s, k in zip(names, scores, kept, strict=True))


def read_table(path: Path) -> list[tuple[str, float, bool]]:
    """Read the CSV back."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["name"], float(row["score"]), row["kept"] == "True") for row in csv.DictReader(file)]


def read_description(path: Path) -> dict[str, Any]:
    """What `classify_dictionary` wrote into a kept TIFF: contrast, voxel_size, score, dictionary; empty if nothing."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        text = tif.pages.first.description
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def sheet_is_current(path: Path, parts: Sequence[Job]) -> bool:
    """Whether a contact sheet covers exactly these dictionaries' CSVs as they are now."""
    return path.is_file() and read_note(path) == _note(parts)


def draw_dataset(by_dataset: Mapping[str, Sequence[Job]], threshold: float, job: Job) -> str:
    """Draw the contact sheet of one dataset over all its dictionaries.

    Kept and rejected patches are taken at even steps of their ranking, so that the sheet shows the range; borderline
    ones are those nearest to the threshold.
    """
    parts = by_dataset[str(job.source)]
    rows = sorted((s, n, k, i) for i, part in enumerate(parts) for n, s, k in read_table(part.target))
    kept, rejected = ([row for row in rows if row[2] is choice][::-1] for choice in (True, False))
    border = sorted(sorted(rows, key=lambda row: (abs(row[0] - threshold), row[1]))[:SHOWN], reverse=True)
    chosen = [_spread(kept), _spread(rejected), border]
    pictures = _fetch(parts, {(row[3], row[1]) for group in chosen for row in group})
    headings = (
        f"{job.source}: kept {len(kept)} of {len(rows)} (score above {threshold:g})",
        f"rejected {len(rejected)}",
        "borderline: nearest to the threshold",
    )
    sections = []
    for heading, group in zip(headings, chosen, strict=True):
        shown = [row for row in group if (row[3], row[1]) in pictures]
        sections.append(Section(heading, [Tile(pictures[row[3], row[1]], _caption(row)) for row in shown]))
    save_sheet(job.target, sections, note=_note(parts))
    return f"{len(rows)} patches of {len(parts)} dictionaries"


def _save_kept(path: Path, patch: np.ndarray, description: Mapping[str, Any]) -> None:
    import tifffile

    if path.exists():
        _refuse_foreign(path, str(description["dictionary"]))
    with atomic_path(path) as scratch:
        tifffile.imwrite(
            scratch, patch, photometric="minisblack", description=json.dumps(description), metadata=None, software=False
        )


def _drop_stale(path: Path, dictionary: str) -> None:
    """Remove what an interrupted run with another threshold had kept."""
    if path.exists():
        _refuse_foreign(path, dictionary)
        path.unlink()


def _refuse_foreign(path: Path, dictionary: str) -> None:
    owner = read_description(path).get("dictionary", dictionary)
    if owner != dictionary:
        raise ValueError(f"{path} was already written from {owner}.pkl; the two hold patches of one name")


def _meta(content: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a dictionary's meta that goes along with each patch, as plain JSON values."""
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return {key: _plain(meta.get(key)) for key in ("contrast", "voxel_size", "source")}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _note(parts: Sequence[Job]) -> str:
    """What a sheet is drawn from: each CSV and its content's SHA-256 (a time would differ from run to run)."""
    return json.dumps({part.target.name: sha256_of(part.target) for part in parts}, sort_keys=True)


def _spread(rows: list) -> list:
    """At most `SHOWN` rows, at even steps from first to last."""
    if len(rows) <= SHOWN:
        return rows
    return [rows[round(i * (len(rows) - 1) / (SHOWN - 1))] for i in range(SHOWN)]


def _caption(row: tuple[float, str, bool, int]) -> str:
    return f"{row[0]:.3f} {row[1].rpartition('-LOC-')[2]}"[:18]


def _fetch(parts: Sequence[Job], wanted: set[tuple[int, str]]) -> dict[tuple[int, str], np.ndarray]:
    """The pixels of chosen patches; one dictionary in memory at a time."""
    found = {}
    for i, part in enumerate(parts):
        if not any(which == i for which, _ in wanted):
            continue
        content = load_patches(Path(part.source))
        for name, patch in zip(content["names"], content["patches"], strict=True):
            if (i, name) in wanted:
                found[i, name] = patch
    return found
