"""One pass over the patches of a dataset: decisions, rows of the manifest, small pictures, places; and their sum."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from numbers import Integral
from typing import Any

import numpy as np

from utils.collection.inventory import Part
from utils.collection.manifest import PartWriter
from utils.collection.overviews import Overviews
from utils.collection.page_files import AROUND, THUMB, Thumbs
from utils.collection.pixels import read_patch
from utils.contact_sheet import fit
from utils.outcomes import collecting, reason_of
from utils.patch_file import PatchFile
from utils.records.scores import Score

BINS = 20
# Flags: what is odd about a dataset.
LEAST_CONTRAST = 10
MOST_DUPLICATES = 0.9
LEAST_KEPT = 0.05


@dataclass
class Gathered:
    """What one pass over a dataset's patches leaves: its `parts` that were read, why others were not (`failures`)."""

    decisions: list[Score] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    where: list[tuple[int, str]] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    pictures: int = 0
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def gather(parts: Sequence[Part], thumbs: Thumbs, rows: PartWriter, overviews: Overviews) -> Gathered:
    """Look at every patch once, one dictionary after another; a dictionary that cannot be read costs its own only.

    Small pictures, rows of the manifest and what overviews show of volumes are put aside on the way.
    """
    found = Gathered()
    for part in parts:
        path = part.table
        try:
            said = list(part.decisions())
            path = part.dictionary or part.table
            pixels, shape = Pixels(part, found.failures), _shape(part)
        except (OSError, ValueError) as error:
            found.failures[str(path)] = reason_of(error, path)
            found.warnings.append(f"failed: {path.name} cannot be read")
            continue
        found.parts.append(part)
        if isinstance(unreadable := part.meta.get("unreadable"), list | tuple | dict) and unreadable:
            found.warnings.append(f"{len(unreadable)} images of {part.name} could not be read")
        if shape:
            found.shapes[part.name] = shape
        overviews.begin(part, said, shape)
        with pixels:
            for decision in said:
                source, _, loc = decision.name.rpartition("-LOC-")
                number = found.sources.setdefault(source, len(found.sources))
                found.where.append((number, loc if source else decision.name))
                patch, hash_, sha = *pixels.of(decision), ""
                if patch is not None:
                    thumbs[len(found.decisions)] = fit(patch, THUMB, AROUND)
                    sha = sha256(np.ascontiguousarray(patch).tobytes()).hexdigest()
                    found.contrast.append(float(patch[::4, ::4].std()))
                    found.pictures += 1
                    overviews.paste(decision.name, patch)
                rows.add(part, decision, hash_=hash_, sha256=sha)
                found.decisions.append(decision)
    return found


def _shape(part: Part) -> list[int] | None:
    shape = part.meta.get("shape")
    if not isinstance(shape, list | tuple) or len(shape) != 3:
        return None
    return [int(side) for side in shape] if all(isinstance(side, Integral) for side in shape) else None


class Pixels(AbstractContextManager["Pixels"]):
    """Pixels and hash of a part's patches, where these are at hand; its dictionary stays open, its patches on the disk.

    TIFFs that cannot be read are put into `failures`.

    Raises
    ------
    ValueError, OSError
        If the dictionary cannot be read.
    """

    def __init__(self, part: Part, failures: dict[str, str]) -> None:
        self._part, self._failures = part, failures
        self._file = PatchFile(part.dictionary) if part.dictionary is not None else None
        self._index = {name: i for i, name in enumerate(self._file.names if self._file else ())}
        hashes = self._file.extra.get("hashes") if self._file else None
        self._hashes = hashes if hashes is not None and self._file and len(hashes) == len(self._file) else None

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def of(self, decision: Score) -> tuple[np.ndarray | None, str]:
        """Pixels and hash; None and empty where they are not at hand.

        Returns
        -------
        pixels, hash : ndarray of uint8, shape (h, w), or None; and str
        """
        if self._file is None:
            return (self._tiff(decision) if decision.kept else None), ""
        at = self._index.get(decision.name)
        if at is None:
            return None, ""
        words = () if self._hashes is None else np.atleast_1d(self._hashes[at])
        return self._file.read([at])[0], "".join(f"{int(word):016x}" for word in words)

    def _tiff(self, decision: Score) -> np.ndarray | None:
        path = self._part.path(decision.name)
        with collecting(self._failures, path), suppress(FileNotFoundError):
            return read_patch(path)
        return None


def summarize(dataset: str, slug: str, split: str, free: Mapping[str, str], found: Gathered) -> dict[str, Any]:
    """What the table of datasets shows of a dataset, with its flags."""
    reasons = Counter(decision.reason for decision in found.decisions)
    kept = sum(decision.kept for decision in found.decisions)
    cuts = [part.meta.get("patches") for part in found.parts]
    cut = sum(cuts) if cuts and all(isinstance(n, int) for n in cuts) else None  # type: ignore[arg-type]
    sizes = sorted({part.voxel_size for part in found.parts if part.voxel_size})
    histogram = np.histogram([d.score for d in found.decisions], BINS, (0, 1))[0].tolist()
    total, elsewhere = len(found.decisions), reasons["duplicate"] + reasons["excluded"]
    summary = {
        "dataset": dataset,
        "slug": slug,
        "cut": cut,
        "deduplicated": total,
        "across": total - elsewhere,
        "kept": kept,
        "histogram": histogram,
        "voxel_size": list(sizes[0]) if sizes else None,
        "shapes": sorted({" x ".join(map(str, shape)) for shape in found.shapes.values()})[:4],
        "sources": sorted({str(part.meta.get("source") or part.name) for part in found.parts})[:20],
        "parts": len(found.parts),
        "split": split,
        "free": dict(free),
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
