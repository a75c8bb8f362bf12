"""What the table of datasets shows of a dataset, and what is odd about it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.collection.dataset_patches import Gathered

BINS = 20
# Flags: what is odd about a dataset.
LEAST_CONTRAST = 10
MOST_DUPLICATES = 0.9
LEAST_KEPT = 0.05


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
