"""The page of one dataset in the report: its patches as sheets, their scores and places, what is odd about it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from utils.collection.inventory import Part
from utils.collection.ledger import Ledger, digest, unit_name
from utils.collection.manifest import row_of, save_part
from utils.collection.pixels import read_patch
from utils.collection.sprites import OVERVIEW_SHEET, SHEET, THUMB, Overviews, fit, save_sheets
from utils.dictionaries import load_patches
from utils.jobs import SKIPPED, Job
from utils.names import parse_name
from utils.records.scores import Score

VERSION = 1
BINS = 20
STRIP = 6
# Flags: what is odd about a dataset.
LEAST_CONTRAST = 10
MOST_DUPLICATES = 0.9
LEAST_KEPT = 0.05


@dataclass(frozen=True)
class DatasetJob:
    """One dataset: its parts, and what is known of it besides."""

    dataset: str
    parts: tuple[Part, ...]
    free: Mapping[str, str]
    split: str
    threshold: float

    def __str__(self) -> str:
        return self.dataset

    @property
    def slug(self) -> str:
        """The name of its folder, safe in files and addresses."""
        return slug(self.dataset)

    def fingerprint(self) -> str:
        """Of everything that the page is made from."""
        paths = [path for part in self.parts for path in (part.table, part.dictionary) if path is not None]
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        kept = [
            part.folder.stat().st_mtime_ns for part in self.parts if part.dictionary is None and part.folder.is_dir()
        ]
        return digest(VERSION, self.dataset, stats, kept, dict(self.free), self.split, self.threshold)


def slug(dataset: str) -> str:
    """A file name for a dataset: letters, digits, ``_`` and ``-``; a hash where that is not all.

    >>> slug("fly_s0"), slug("Mouse <b>")
    ('fly_s0', 'Mouse__b_-6ce56ed7')
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in dataset)[:60]
    if plain == dataset and plain == plain.lower():
        return plain
    return f"{plain}-{sha256(dataset.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@dataclass
class Gathered:
    """What one pass over a dataset's patches leaves."""

    decisions: list[Score] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    where: list[tuple[int, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    pictures: int = 0
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def report_dataset(out: Path, job: Job) -> str:
    """The work of a job whose source is a `DatasetJob`: make its folder, unless it stands as it would be made."""
    dataset: DatasetJob = job.source
    ledger, fingerprint = Ledger(out), dataset.fingerprint()
    unit = unit_name("dataset", dataset.slug)
    if ledger.is_current(unit, fingerprint):
        return SKIPPED
    folder = f"datasets/{dataset.slug}"
    count = sum(1 for part in dataset.parts for _ in part.decisions())
    files = planned_files(folder, count)
    summary: dict[str, Any] = {}
    with ledger.making(unit, files, fingerprint, {"summary": summary}) as scratch:
        here = scratch / folder
        here.mkdir(parents=True)
        thumbs = np.lib.format.open_memmap(scratch / "thumbs.npy", "w+", np.uint8, (max(1, count), THUMB, THUMB))
        overviews = Overviews()
        gathered = gather(dataset, thumbs, overviews)
        order = np.argsort([d.score for d in gathered.decisions], kind="stable")
        save_sheets(here, "sheet", (thumbs[i] for i in order), count, SHEET)
        save_sheets(here, "overview", overviews.cells(), len(overviews.sizes), OVERVIEW_SHEET)
        _save_strip(here, gathered, thumbs)
        save_part(here / "manifest.parquet", gathered.rows)
        summary.update(summarize(dataset, gathered))
        _save_data(here, dataset, gathered, order, overviews, summary)
        page = Path(__file__).with_name("pages") / "dataset.html"
        (here / "index.html").write_bytes(page.read_bytes())
        del thumbs
    return f"{count} patches"


def planned_files(folder: str, count: int) -> list[str]:
    """The files of a dataset's folder, those that there may be included; the page itself comes last."""
    sheets = [f"{folder}/sheet-{i:04d}.jpg" for i in range(-(-count // SHEET**2))]
    overviews = [f"{folder}/overview-{i:04d}.jpg" for i in range(-(-Overviews().most // OVERVIEW_SHEET**2))]
    names = ("strip.jpg", "manifest.parquet", "data.js", "index.html")
    return [*sheets, *overviews, *(f"{folder}/{name}" for name in names)]


def gather(dataset: DatasetJob, thumbs: np.ndarray, overviews: Overviews) -> Gathered:
    """Look at every patch once, one dictionary after another."""
    found = Gathered()
    for part in dataset.parts:
        if unreadable := part.meta.get("unreadable"):
            found.warnings.append(f"{len(unreadable)} images of {part.name} could not be read")
        shape = part.meta.get("shape")
        if isinstance(shape, list | tuple) and len(shape) == 3:
            found.shapes[part.name] = [int(side) for side in shape]
        extents = _extents(part) if overviews.most else {}
        for decision, patch, hash_ in patches_of(part):
            source, loc = _split_name(decision.name)
            found.where.append((found.sources.setdefault(source, len(found.sources)), loc))
            digest_ = ""
            if patch is not None:
                thumbs[len(found.decisions)] = fit(patch, THUMB)
                digest_ = sha256(np.ascontiguousarray(patch).tobytes()).hexdigest()
                found.contrast.append(float(patch[::4, ::4].std()))
                found.pictures += 1
                _place(overviews, decision.name, patch, found.shapes.get(part.name), extents)
            free = dataset.free
            row = row_of(part, decision, hash_=hash_, sha256=digest_, split=dataset.split, free=free)
            found.rows.append(row)
            found.decisions.append(decision)
    return found


def patches_of(part: Part) -> Iterator[tuple[Score, np.ndarray | None, str]]:
    """The decisions of a part with pixels and hash, where these are at hand."""
    if part.dictionary is None:
        for decision in part.decisions():
            path = part.path(decision.name)
            yield decision, read_patch(path) if decision.kept and path.is_file() else None, ""
        return
    content = load_patches(part.dictionary)
    index = {name: i for i, name in enumerate(content["names"])}
    hashes = content.get("hashes")
    if hashes is not None and len(hashes) != len(index):
        hashes = None
    for decision in part.decisions():
        at = index.get(decision.name)
        if at is None:
            yield decision, None, ""
        else:
            yield decision, content["patches"][at], "" if hashes is None else _hex(hashes[at])


def _hex(bits: Any) -> str:
    return "".join(f"{int(word):016x}" for word in np.atleast_1d(bits))


def _split_name(name: str) -> tuple[str, str]:
    source, _, loc = name.rpartition("-LOC-")
    return (source, loc) if source else ("", name)


def _extents(part: Part) -> dict[str, tuple[int, int]]:
    """How far the patches of each 2D image reach."""
    found: dict[str, tuple[int, int]] = {}
    for decision in part.decisions():
        try:
            place = parse_name(decision.name)
        except ValueError:
            continue
        y, x = found.get(place.source, (0, 0))
        found[place.source] = (max(y, place.box.y1), max(x, place.box.x1))
    return found


def _place(
    overviews: Overviews, name: str, patch: np.ndarray, shape: Sequence[int] | None, extents: Mapping[str, Any]
) -> None:
    try:
        place = parse_name(name)
    except ValueError:
        return
    axis = -1 if place.axis is None else place.axis
    distance = 0.0
    size = extents[place.source]
    if place.axis is not None and shape is not None:
        rows, columns = (shape[i] for i in range(3) if i != place.axis)
        size, distance = (rows, columns), abs(place.first - shape[place.axis] / 2)
    elif place.axis is not None:
        distance = float(place.first)
    overviews.start(place.source, axis, size)
    overviews.add(place.source, axis, tuple(place.box), distance, patch)


def _save_strip(folder: Path, gathered: Gathered, thumbs: np.ndarray) -> None:
    """A row of typical patches: kept ones at even steps of their scores, or others where none is kept."""
    from PIL import Image

    ranked = sorted(range(len(gathered.decisions)), key=lambda i: gathered.decisions[i].score)
    chosen = [i for i in ranked if gathered.decisions[i].kept] or ranked
    steps = [chosen[round(k * (len(chosen) - 1) / max(1, STRIP - 1))] for k in range(min(STRIP, len(chosen)))]
    cells = [np.asarray(Image.fromarray(thumbs[i]).resize((64, 64), Image.Resampling.BOX)) for i in steps]
    strip = np.hstack(cells) if cells else np.zeros((64, 64), np.uint8)
    Image.fromarray(strip).save(folder / "strip.jpg", quality=80)


def summarize(dataset: DatasetJob, found: Gathered) -> dict[str, Any]:
    """What the table of datasets shows of a dataset, with its flags."""
    reasons = Counter(decision.reason for decision in found.decisions)
    kept = sum(decision.kept for decision in found.decisions)
    cuts = [part.meta.get("patches") for part in dataset.parts]
    cut = sum(cuts) if cuts and all(isinstance(n, int) for n in cuts) else None  # type: ignore[arg-type]
    sizes = sorted({part.voxel_size for part in dataset.parts if part.voxel_size})
    histogram = np.histogram([d.score for d in found.decisions], BINS, (0, 1))[0].tolist()
    total, elsewhere = len(found.decisions), reasons["duplicate"] + reasons["excluded"]
    summary = {
        "dataset": dataset.dataset,
        "slug": dataset.slug,
        "cut": cut,
        "deduplicated": total,
        "across": total - elsewhere,
        "kept": kept,
        "histogram": histogram,
        "voxel_size": list(sizes[0]) if sizes else None,
        "shapes": sorted({" x ".join(map(str, shape)) for shape in found.shapes.values()})[:4],
        "sources": sorted({str(part.meta.get("source") or part.name) for part in dataset.parts})[:20],
        "parts": len(dataset.parts),
        "split": dataset.split,
        "free": dict(dataset.free),
    }
    summary["flags"] = [*flags(summary, found, len(sizes)), *found.warnings]
    return summary


def flags(summary: Mapping[str, Any], found: Gathered, voxel_sizes: int) -> list[str]:
    """What is odd about a dataset."""
    total, said = summary["deduplicated"], []
    if found.contrast and float(np.median(found.contrast)) < LEAST_CONTRAST:
        said.append("near-constant: hardly any contrast")
    if summary["cut"] and 1 - total / summary["cut"] > MOST_DUPLICATES:
        said.append(f"duplicates {1 - total / summary['cut']:.0%}")
    if not summary["kept"]:
        said.append("nothing kept")
    elif summary["kept"] / total < LEAST_KEPT:
        said.append(f"kept {summary['kept'] / total:.1%}")
    if summary["voxel_size"] is None:
        said.append("voxel size missing")
    if voxel_sizes > 1:
        said.append("several voxel sizes")
    if not summary["free"].get("license"):
        said.append("license missing")
    if found.pictures < total:
        said.append(f"{total - found.pictures} patches without a picture: no dictionary at hand")
    return said


def _save_data(
    folder: Path,
    dataset: DatasetJob,
    found: Gathered,
    order: np.ndarray,
    overviews: Overviews,
    summary: Mapping[str, Any],
) -> None:
    """data.js: columns of all patches in the order of their scores, which is that of the sheets."""
    reasons = list(dict.fromkeys(decision.reason for decision in found.decisions))
    numbered = {reason: i for i, reason in enumerate(reasons)}
    content = {
        **summary,
        "threshold": dataset.threshold,
        "thumb": THUMB,
        "per_row": SHEET,
        "overview_per_row": OVERVIEW_SHEET,
        "overviews": {
            f"{source}\n{axis}": [i, *size] for i, ((source, axis), size) in enumerate(overviews.sizes.items())
        },
        "depths": {part.name: found.shapes.get(part.name) for part in dataset.parts},
        "source_names": list(found.sources),
        "reasons": reasons,
        "source_of": [found.where[i][0] for i in order],
        "loc": [found.where[i][1] for i in order],
        "score": [found.decisions[i].score for i in order],
        "reason": [numbered[found.decisions[i].reason] for i in order],
        "kept_now": [int(found.decisions[i].kept) for i in order],
    }
    save_script(folder / "data.js", content)


def save_script(path: Path, content: object) -> None:
    """Data as a script, which a page may load from a disk where it may not fetch; nothing in it ends the script."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(f"window.DATA = {text};\n", encoding="ascii")
