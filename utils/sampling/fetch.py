"""Sparse sampling of one NGFF dataset, the taking: cubes or a whole level, with a record of how."""

import math
from pathlib import Path

import numpy as np

from utils.contrast import to_uint8
from utils.files import atomic_path
from utils.formats.nrrd import nrrd_header
from utils.formats.volume_base import Region
from utils.jobs import SKIPPED, Outdated
from utils.ngff.read import LevelReader
from utils.sampling.overview import BLOCK_BYTES, blocks, write_blocks
from utils.sampling.plan import SamplingPlan
from utils.sampling.renewal import renewed
from utils.sampling.roi_crops import Crops, inverted
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Boxes
from utils.sampling.selection import fill_budget
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
            return fetch_cubes(plan, record, seen, reader, folder)
        return fetch_whole(plan, record, seen, reader)

    return renewed(path, settings, plan.options.update, make)


def fetch_cubes(
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


def fetch_whole(plan: SamplingPlan, record: RoiRecord, seen: Survey | None, reader: LevelReader) -> str:
    """Bring a whole level into one file, block by block.

    Raises
    ------
    PaddingError
        If it holds nothing but what stands for missing chunks.
    ValueError
        If it is larger than ``-gb`` allows, or holds nothing.
    """
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
    if target.exists():
        return SKIPPED
    empty = True

    def read(box: Region) -> np.ndarray:
        nonlocal empty
        voxels = reader.read(box)
        empty = empty and not not_padding(voxels, level.fill).any()
        return inverted(to_uint8(voxels, contrast), plan.dataset.invert)

    with atomic_path(target) as scratch, scratch.open("wb") as file:
        file.write(nrrd_header(level.shape, np.uint8, plan.voxel_size))
        boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
        write_blocks(file, level.shape, np.uint8, boxes, read)
        if empty:
            raise PaddingError(f"every voxel is {level.fill:g} (chunks are missing): nothing was written")
    record.save_whole(target, contrast)
    return f"{size / GB:.3g} GB brought"
