"""Sparse sampling of one NGFF dataset, the taking: cubes or a whole level, with a record of how."""

import math
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, measure_contrast, to_uint8
from utils.files import atomic_path
from utils.formats.nrrd import nrrd_header
from utils.jobs import SKIPPED
from utils.ngff.address import Address
from utils.ngff.read import LevelReader
from utils.ngff.table import Dataset
from utils.sampling.blocks import blocks, write_blocks
from utils.sampling.overview import BLOCK_BYTES
from utils.sampling.plan import GB, Options, Plan, contrast_of_cubes, look, overview_of, plan
from utils.sampling.roi_crops import Crops, PaddingError, inverted
from utils.sampling.roi_record import Record, read_record, take
from utils.sampling.rois import Boxes, not_padding, shuffled, within


def sample(dataset: Dataset, options: Options, folder: Path) -> str:
    """Bring cubes (or, without crop, the whole level) of one dataset into a folder, with a record of how.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError, OSError
        If nothing can be taken.
    """
    # A name that is taken is said before anything is fetched.
    read_record(folder / f"{dataset.name}.json", str(Address.parse(dataset.url)))
    made = plan(dataset, options)
    record = Record(folder / f"{dataset.name}.json", _settings(made, options))
    if not dataset.crop:
        return fetch_whole(made, options, folder, record)
    found, contrast = look(made, options, folder, record.contrast)
    reader = LevelReader(made.image.store, made.level)
    fills = tuple(dict.fromkeys((dataset.padding_value, made.level.fill)))
    least = options.min_frac if made.overview is None else 0.0
    crops = Crops(made.name, folder, reader.read, contrast, made.voxel_size, dataset.invert, fills, least)
    kept = record.kept(crops)
    chosen = within(shuffled(found, options.seed), options.gigabytes * GB, kept)
    if not chosen:
        raise ValueError(f"-gb {options.gigabytes:g} is less than one cube ({found[0].voxels / GB:g})")
    return take(crops, chosen, kept, record, made.threads(options.workers))


def _settings(made: Plan, options: Options) -> dict:
    """What a record says of a run; the first part decides which boxes are chosen."""
    dataset, level = made.dataset, made.level
    return {
        "source": str(Address.parse(dataset.url)),
        "url": dataset.url,
        "volume_name": dataset.name,
        "level": made.index,
        "seed": options.seed,
        "crop_size": made.crop if dataset.crop else None,
        "min_frac": options.min_frac,
        "padding_value": dataset.padding_value,
        "invert": dataset.invert,
        "voxel_size": list(made.voxel_size),
        "image": str(made.image.store),
        "format": made.image.format,
        "shape": list(level.shape),
        "voxel_offset": list(level.offset),
        "dtype": level.dtype.name,
        "overview_level": made.overview,
    }


def fetch_whole(made: Plan, options: Options, folder: Path, record: Record) -> str:
    """Bring a whole level into one file, block by block.

    Raises
    ------
    ValueError
        If it is larger than ``-gb`` allows, or holds nothing.
    """
    level, target = made.level, folder / f"{made.name}.nrrd"
    size = math.prod(level.shape)
    if size > options.gigabytes * GB:
        raise ValueError(
            f"level {made.index} is {size / GB:.3g} GB as uint8, more than -gb "
            f"{options.gigabytes:g}; raise -gb, choose a coarser level, or set crop to true"
        )
    contrast = record.contrast or _whole_contrast(made, options, folder)
    record.write_whole(target, contrast)  # also where a killed run left the level without its record
    if target.exists():
        return SKIPPED
    read = SpecimenReader(made, contrast)
    with atomic_path(target) as scratch, scratch.open("wb") as file:
        file.write(nrrd_header(level.shape, np.uint8, made.voxel_size))
        boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
        write_blocks(file, level.shape, np.uint8, boxes, read)
        read.refuse_nothing()
    record.write_whole(target, contrast)
    return f"{size / GB:.3g} GB brought"


def _whole_contrast(made: Plan, options: Options, folder: Path) -> Contrast:
    if made.level.dtype == np.uint8:
        return measure_contrast(np.zeros(1, np.uint8))
    if made.overview is None:
        return contrast_of_cubes(made, Boxes(made.spans), options)
    return measure_contrast(overview_of(made, folder).sample(), options.contrast)


class SpecimenReader:
    """Reads blocks as uint8 and remembers whether anything but fill was among them."""

    def __init__(self, made: Plan, contrast: Contrast) -> None:
        self._read = LevelReader(made.image.store, made.level).read
        self._made, self._contrast, self._empty = made, contrast, True

    def __call__(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        voxels = self._read(box)
        self._empty = self._empty and not not_padding(voxels, self._made.level.fill).any()
        return inverted(to_uint8(voxels, self._contrast), self._made.dataset.invert)

    def refuse_nothing(self) -> None:
        """Raise `PaddingError` if every voxel was fill."""
        if self._empty:
            raise PaddingError(f"every voxel is {self._made.level.fill:g} (chunks are missing): nothing was written")
