"""Sparse sampling of one NGFF dataset, the taking: cubes or a whole level, with a record of how."""

import math
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, to_uint8
from utils.files import atomic_path
from utils.formats.nrrd import nrrd_header
from utils.jobs import SKIPPED, Outdated
from utils.ngff.read import LevelReader
from utils.sampling.blocks import blocks, write_blocks
from utils.sampling.budget import fill_budget
from utils.sampling.overview import BLOCK_BYTES
from utils.sampling.padding import PaddingError
from utils.sampling.plan import SamplingOptions, SamplingPlan, draw, open_level
from utils.sampling.renewal import renewed
from utils.sampling.roi_crops import Crops, inverted
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Boxes, Roi, not_padding
from utils.sampling.specimen import (
    Surveyed,
    find_specimen,
    sample_cubes,
    specimen_contrast,
    survey_dataset,
)


def sample(plan: SamplingPlan, options: SamplingOptions, folder: Path) -> str:
    """Bring cubes (or, without crop, the whole level) of one dataset into a folder, with a record of how.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    # What was made otherwise is kept, and said before anything is fetched.
    name = f"{plan.dataset.name}.json"
    record = RoiRecord(folder / name, plan.settings(options, None))
    if record.outdated and not options.update:
        return Outdated(record.outdated)
    reader = open_level(plan)
    surveyed = survey_dataset(plan, folder, options.min_frac) if plan.is_surveyed else Surveyed()
    settings = plan.settings(options, surveyed.level if plan.dataset.crop else None)

    def make(where: Path) -> str:
        record = RoiRecord(where / name, settings)
        if not plan.dataset.crop:
            return fetch_whole(plan, options, record, surveyed, reader)
        return fetch_cubes(plan, options, record, surveyed, reader, folder)

    return renewed(folder / name, settings, options.update, make)


def fetch_cubes(
    plan: SamplingPlan,
    options: SamplingOptions,
    record: RoiRecord,
    surveyed: Surveyed,
    reader: LevelReader,
    overviews: Path,
) -> str:
    """Bring cubes of a dataset, as many as ``-gb`` allows; overviews are kept in the folder `overviews`."""
    seen = surveyed.survey
    found = find_specimen(plan, options, surveyed, reader, overviews, record.contrast)

    def read(roi: Roi) -> tuple[np.ndarray, int]:
        return found.voxels.pop(roi, None) or reader.read_counted(roi.slices)

    crops = Crops(
        plan.name,
        record.path.parent,
        read,
        found.contrast,
        plan.voxel_size,
        plan.dataset.invert,
        plan.fills,
        options.min_frac if seen is None else 0.0,
        seen.share if seen is not None else None,
        plan.level.offset,
    )
    return fill_budget(
        crops,
        lambda: draw(found.boxes, options),
        options.gigabytes,
        record,
        threads=plan.threads(options.workers),
        chunk=plan.level.chunk,
        padding=found.padding if seen is None else {},
    )


def fetch_whole(
    plan: SamplingPlan, options: SamplingOptions, record: RoiRecord, surveyed: Surveyed, reader: LevelReader
) -> str:
    """Bring a whole level into one file, block by block.

    Raises
    ------
    ValueError
        If it is larger than ``-gb`` allows, or holds nothing.
    """
    level, target = plan.level, record.path.with_name(f"{plan.name}.nrrd")
    size = math.prod(level.shape)
    if size > options.gigabytes * GB:
        raise ValueError(
            f"level {plan.index} is {size / GB:.3g} GB as uint8, more than -gb "
            f"{options.gigabytes:g}; raise -gb, choose a coarser level, or set crop to true"
        )
    contrast = record.contrast or specimen_contrast(plan, options, surveyed)
    contrast = contrast or sample_cubes(plan, Boxes(plan.spans), reader, options).contrast
    record.save_whole(target, contrast)  # also where a killed run left the level without its record
    if target.exists():
        return SKIPPED
    read = SpecimenReader(plan, contrast, reader)
    with atomic_path(target) as scratch, scratch.open("wb") as file:
        file.write(nrrd_header(level.shape, np.uint8, plan.voxel_size))
        boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
        write_blocks(file, level.shape, np.uint8, boxes, read)
        read.require_specimen()
    record.save_whole(target, contrast)
    return f"{size / GB:.3g} GB brought"


class SpecimenReader:
    """Reads blocks as uint8 and remembers whether anything but fill was among them."""

    def __init__(self, plan: SamplingPlan, contrast: Contrast, reader: LevelReader) -> None:
        self._reader, self._plan, self._contrast, self._empty = reader, plan, contrast, True

    def __call__(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        voxels = self._reader.read(box)
        self._empty = self._empty and not not_padding(voxels, self._plan.level.fill).any()
        return inverted(to_uint8(voxels, self._contrast), self._plan.dataset.invert)

    def require_specimen(self) -> None:
        """Refuse an image of nothing but fill.

        Raises
        ------
        PaddingError
            If it is one.
        """
        if self._empty:
            raise PaddingError(f"every voxel is {self._plan.level.fill:g} (chunks are missing): nothing was written")
