"""Sparse sampling of one NGFF dataset, the taking: cubes or a whole level, with a record of how; or in words."""

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

from utils.contrast import to_uint8
from utils.files import atomic_path
from utils.formats.volume_base import Region
from utils.formats.voxel_size import nm_text
from utils.formats.writers import nrrd_header
from utils.jobs import SKIPPED, Outdated
from utils.ngff.metadata import Level
from utils.ngff.read import LevelReader
from utils.redaction import one_line
from utils.sampling.overview import BLOCK_BYTES, blocks, overview_path, survey, write_blocks
from utils.sampling.plan import SamplingPlan
from utils.sampling.renewal import renewed
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Boxes, Roi, is_whole
from utils.sampling.selection import boxes_that_fit, fill_budget
from utils.sampling.specimen import find_specimen, sample_cubes, specimen_contrast, survey_dataset
from utils.sampling.survey import PaddingError, Survey, not_padding


def sample(plan: SamplingPlan, folder: Path) -> str:
    """Bring cubes (or, without crop, the whole level) of one dataset into a folder, with a record of how.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    # What was made otherwise is kept, and said before anything is fetched.
    path = folder / f"{plan.dataset.name}.json"
    outdated = RoiRecord(path, plan.settings(None)).outdated
    if outdated and not plan.options.update:
        return Outdated(outdated)
    reader = plan.open_level()
    seen = survey_dataset(plan, folder) if plan.is_surveyed else None
    settings = plan.settings(seen.level if seen and plan.dataset.crop else None)

    def make(record: RoiRecord) -> str:
        if plan.dataset.crop:
            return _fetch_cubes(plan, record, seen, reader, folder)
        return _fetch_whole(plan, record, seen, reader)

    return renewed(path, settings, plan.options.update, make)


def _fetch_cubes(
    plan: SamplingPlan, record: RoiRecord, seen: Survey | None, reader: LevelReader, overviews: Path
) -> str:
    """Bring cubes of a dataset, as many as ``-gb`` allows; overviews are kept in the folder `overviews`."""
    found = find_specimen(plan, seen, reader, overviews, record.contrast)
    crops = Crops(
        plan.name,
        record.path.parent,
        found.read,
        found.contrast,
        plan.voxel_size,
        invert=plan.dataset.invert,
        fills=plan.fills,
        min_frac=0.0 if seen else plan.options.min_frac,
        share=seen.share if seen else None,
        offset=plan.level.offset,
    )
    return fill_budget(
        crops,
        lambda: plan.draw(found.boxes),
        plan.options.gigabytes,
        record,
        threads=plan.threads,
        chunk=plan.level.chunk,
        padding={} if seen else found.padding,
    )


def _fetch_whole(plan: SamplingPlan, record: RoiRecord, seen: Survey | None, reader: LevelReader) -> str:
    """Bring a whole level, if ``-gb`` allows, into one file, block by block; refuse one of missing chunks only."""
    level, target = plan.level, record.path.with_name(f"{plan.name}.nrrd")
    size = math.prod(level.shape)
    if size > plan.budget:
        raise ValueError(
            f"level {plan.index} is {size / GB:.3g} GB as uint8, more than -gb "
            f"{plan.options.gigabytes:g}; raise -gb, choose a coarser level, or set crop to true"
        )
    contrast = record.contrast or specimen_contrast(plan, seen)
    contrast = contrast or sample_cubes(plan, Boxes(plan.spans), reader).contrast
    record.save_whole(target, contrast)  # also where a killed run left the level without its record
    if is_whole(target, Roi.of(level.shape)):
        return SKIPPED
    empty = True

    def read(box: Region) -> np.ndarray:
        nonlocal empty
        voxels = reader.read(box)
        empty = empty and not not_padding(voxels, level.fill).any()
        gray = to_uint8(voxels, contrast)
        return np.invert(gray, out=gray) if plan.dataset.invert else gray

    with atomic_path(target) as scratch, scratch.open("wb") as file:
        file.write(nrrd_header(level.shape, np.uint8, plan.voxel_size))
        boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
        write_blocks(file, level.shape, np.uint8, boxes, read)
        if empty:
            raise PaddingError(f"every voxel is {level.fill:g} (chunks are missing): nothing was written")
    record.save_whole(target, contrast)
    return f"{size / GB:.3g} GB brought"


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
