"""What ``--list`` says of a dataset: its levels, the cubes that there are, and what would be downloaded."""

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from utils.formats.voxel_size import nm_text
from utils.ngff.metadata import Level
from utils.redaction import one_line
from utils.sampling.overview import overview_path, survey
from utils.sampling.plan import SamplingPlan
from utils.sampling.rois import Boxes, Roi, boxes_that_fit


def describe(plan: SamplingPlan, folder: Path) -> str:
    """Levels with shape, voxel size, dtype and bytes; candidate cubes; what would be downloaded.

    Candidates are exact when the overview was fetched by an earlier run, else the number of boxes before padding is
    told.
    """
    lines = [f"{plan.dataset.name}  {plan.dataset}  ({plan.image.format})"]
    lines += [_level_line(i, level, i == plan.index) for i, level in enumerate(plan.image.levels)]
    lines.append(f"  level {plan.index}: voxel size {nm_text(plan.voxel_size)} (z, y, x)")
    content = _crop_lines(plan, folder) if plan.dataset.crop else _whole_lines(plan)
    return "\n".join(map(one_line, [*lines, *content]))


def _level_line(index: int, level: Level, chosen: bool) -> str:
    if level.problem:
        return f"  s{index}  cannot be read: {level.problem}"
    size = nm_text(level.voxel_size) if level.voxel_size else "voxel size not known"
    mark, shape = "*" if chosen else " ", " x ".join(map(str, level.shape))
    return f" {mark}s{index}  {shape} (z, y, x)  {size}  {level.dtype.name}  {_bytes(level.nbytes)}"


def _crop_lines(plan: SamplingPlan, folder: Path) -> list[str]:
    boxes, how, overview = _boxes(plan, folder)
    taken = boxes_that_fit(plan.draw(boxes), plan.budget)
    chunks, size = chunks_touched(plan.level, taken)
    written = sum(roi.voxels for roi in taken)
    also = f" and {_bytes(overview)} for the overview" if overview else ""
    return [
        f"  {len(boxes)} candidate cubes of {plan.crop} ({how})",
        f"  would download {len(taken)} cubes: {_bytes(size)} in {chunks} chunks (before compression){also}, "
        f"{_bytes(written)} written (-gb {plan.options.gigabytes:g})",
    ]


def chunks_touched(level: Level, rois: Iterable[Roi]) -> tuple[int, int]:
    """How many chunks hold the boxes, and their bytes before compression: what travels, each chunk once."""
    touched: set[tuple[int, ...]] = set()
    for roi in rois:
        sides = zip(roi, level.chunk, strict=True)
        touched.update(product(*(range(first // n, -(-stop // n)) for (first, stop), n in sides)))
    voxels = 0
    for chunk in touched:
        ends = zip(chunk, level.shape, level.chunk, strict=True)
        # Stored whole in Zarr, cut at the border elsewhere.
        whole = level.grid["kind"].startswith("zarr")
        voxels += math.prod(side if whole else min(side, n - i * side) for i, n, side in ends)
    return len(touched), voxels * level.dtype.itemsize


def _boxes(plan: SamplingPlan, folder: Path) -> tuple[Boxes, str, int]:
    """Boxes that would be drawn from, how that is known, and the bytes of an overview that is still to come."""
    if not plan.overviews:
        return Boxes(plan.spans), "no overview: padding is told when they are read", 0
    index = plan.overviews[0]
    path = overview_path(plan.image, index, folder, plan.dataset.name)
    if not path.exists():
        size = plan.image.levels[index].nbytes
        return Boxes(plan.spans), f"before padding is told from the overview, level {index}, {_bytes(size)}", size
    seen = survey(plan.image, index, path, plan.index, plan.spans, plan.dataset.padding_value)
    return seen.candidates(plan.options.min_frac), f"told from the overview, level {index}", 0


def _whole_lines(plan: SamplingPlan) -> list[str]:
    voxels = plan.level.nbytes // plan.level.dtype.itemsize
    verdict = "would download" if voxels <= plan.budget else f"more than -gb {plan.options.gigabytes:g}: refused"
    return [f"  crop is false: the whole level, {_bytes(plan.level.nbytes)} read, {_bytes(voxels)} written: {verdict}"]


def _bytes(count: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.3g} {units[0]}"
