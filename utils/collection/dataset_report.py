"""The page of one dataset in the report: its patches as sheets, their scores and places, what is odd about it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from utils.collection.dataset_patches import Gathered, gather, summarize
from utils.collection.inventory import Part
from utils.collection.ledger import Ledger, digest, unit_name
from utils.collection.manifest import PartWriter
from utils.collection.overviews import OVERVIEW_SHEET, Overviews
from utils.collection.page_files import SHEET, THUMB, Thumbs, page_html, save_sheets
from utils.contact_sheet import evenly
from utils.files import remove
from utils.jobs import SKIPPED, Job, SomeFailed
from utils.records.fingerprints import glance

VERSION = 5
STRIP = 6


@dataclass(frozen=True)
class DatasetJob:
    """One dataset: its parts, and what is known of it besides."""

    dataset: str
    parts: tuple[Part, ...]
    free: Mapping[str, str]
    split: str
    threshold: float
    volumes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.dataset

    @property
    def slug(self) -> str:
        """The name of its folder, safe in files and addresses."""
        return slug(self.dataset)

    @property
    def unit(self) -> str:
        """The name of its unit in the report's ledger."""
        return unit_name("dataset", self.slug)

    def fingerprint(self) -> str:
        """Of everything that the page is made from."""
        # Regions of one dataset share the folder of its kept patches.
        paths = dict.fromkeys(path for part in self.parts for path in (part.table, part.dictionary or part.folder))
        volumes = [self._volume(part) for part in self.parts]
        facts = [dict(self.free), self.split, self.threshold, volumes]
        return digest(VERSION, self.dataset, [(path.name, glance([path])) for path in paths], *facts)

    def _volume(self, part: Part) -> object:
        """What tells whether the volume that overviews are cut from is the same; others beside it do not matter."""
        index = _index(self.volumes)
        found = index.find(part.name) if index else None
        return {name: glance(files) for name, files in found.inputs().items()} if found else None


def slug(dataset: str) -> str:
    """A file name for a dataset: letters, digits, ``_`` and ``-``; a hash where that is not all.

    >>> slug("fly_s0"), slug("Mouse <b>")
    ('fly_s0', 'Mouse__b_-6fffddc3')
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in dataset)[:60]
    if plain == dataset and plain == plain.lower():
        return plain
    return f"{plain}-{sha256(dataset.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def report_dataset(out: Path, job: Job) -> str:
    """The work of a job whose source is a `DatasetJob`: make its folder, unless it stands as it would be made.

    Raises
    ------
    SomeFailed
        If dictionaries, tables or patches could not be read; the page is there without them, if there is any other.
    """
    dataset: DatasetJob = job.source
    ledger, fingerprint = Ledger(out), dataset.fingerprint()
    if ledger.is_current(dataset.unit, fingerprint) and not ledger.record(dataset.unit).get("failed"):
        return SKIPPED
    folder = f"datasets/{dataset.slug}"
    most = sum(_count(part) for part in dataset.parts)
    facts: dict[str, Any] = {}
    with ledger.making(dataset.unit, planned_files(folder, most), fingerprint, facts) as scratch:
        (scratch / folder).mkdir(parents=True)
        with Thumbs(scratch / "thumbs") as thumbs:
            facts |= _make_page(dataset, scratch / folder, thumbs)
    if facts["failed"]:
        raise SomeFailed(facts["failed"])
    return f"{most} patches"


def _count(part: Part) -> int:
    """Rows of a table; of one that cannot be read none are shown."""
    try:
        return sum(1 for _ in part.decisions())
    except (OSError, ValueError):
        return 0


def _make_page(dataset: DatasetJob, here: Path, thumbs: Thumbs) -> dict[str, Any]:
    """Write the files of a dataset's page, none where nothing can be read; its row of the table, and what failed."""
    overviews = Overviews(_index(dataset.volumes))
    with PartWriter(here / "manifest.parquet", dataset.split, dataset.free) as rows:
        found = gather(dataset.parts, thumbs, rows, overviews)
    if not found.parts:
        remove(here)
        return {"failed": found.failures}
    order = np.argsort([d.score for d in found.decisions], kind="stable")
    save_sheets(here, "sheet", (thumbs[i] for i in order), SHEET)
    save_sheets(here, "overview", overviews.cells(), OVERVIEW_SHEET)
    chosen = [i for i in order if found.decisions[i].kept] or list(order)
    _save_strip(here / "strip.jpg", [thumbs[i] for i in evenly(chosen, STRIP)])
    summary = summarize(dataset.dataset, dataset.slug, dataset.split, dataset.free, found)
    save_script(here / "data.js", {**summary, **_columns(dataset, found, order, overviews)})
    (here / "index.html").write_text(page_html("dataset", "Dataset", "../../"), encoding="utf-8")
    return {"summary": summary, "failed": {**found.failures, **overviews.failures}}


@cache
def _index(volumes: tuple[str, ...]) -> Any:
    """The volumes that are at hand, listed once in a process; None where none are asked for."""
    from utils.volume_index import VolumeIndex

    return VolumeIndex(volumes) if volumes else None


def planned_files(folder: str, count: int) -> list[str]:
    """The files of a dataset's folder, those that there may be included; the page itself comes last."""
    sheets = [f"{folder}/sheet-{i:04d}.jpg" for i in range(-(-count // SHEET**2))]
    overviews = [f"{folder}/overview-{i:04d}.jpg" for i in range(-(-Overviews().most // OVERVIEW_SHEET**2))]
    names = ("strip.jpg", "manifest.parquet", "data.js", "index.html")
    return [*sheets, *overviews, *(f"{folder}/{name}" for name in names)]


def _save_strip(path: Path, typical: Sequence[np.ndarray]) -> None:
    """A row of typical patches: kept ones at even steps of their scores, or others where none is kept."""
    from PIL import Image

    cells = [np.asarray(Image.fromarray(thumb).resize((64, 64), Image.Resampling.BOX)) for thumb in typical]
    strip = np.hstack(cells) if cells else np.zeros((64, 64), np.uint8)
    Image.fromarray(strip).save(path, quality=80)


def _columns(dataset: DatasetJob, found: Gathered, order: np.ndarray, overviews: Overviews) -> dict[str, Any]:
    """Columns of all patches in the order of their scores, which is that of the sheets, and how to show them."""
    reasons = list(dict.fromkeys(decision.reason for decision in found.decisions))
    numbered = {reason: i for i, reason in enumerate(reasons)}
    return {
        "threshold": dataset.threshold,
        "thumb": THUMB,
        "per_row": SHEET,
        "overview_per_row": OVERVIEW_SHEET,
        "overviews": {
            f"{source}\n{axis}": [i, *size] for i, ((source, axis), size) in enumerate(overviews.sizes.items())
        },
        "depths": {part.name: found.shapes.get(part.name) for part in found.parts},
        "source_names": list(found.sources),
        "reasons": reasons,
        "source_of": [found.where[i][0] for i in order],
        "loc": [found.where[i][1] for i in order],
        "score": [found.decisions[i].score for i in order],
        "reason": [numbered[found.decisions[i].reason] for i in order],
        "kept_now": [int(found.decisions[i].kept) for i in order],
    }


def save_script(path: Path, content: object) -> None:
    """Data as a script, which a page may load from a disk where it may not fetch; nothing in it ends the script."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(f"window.DATA = {text};\n", encoding="ascii")
