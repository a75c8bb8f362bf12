"""Sparse sampling of one NGFF dataset, the planning: which level, which boxes, which contrast."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, measure_contrast
from utils.names import format_level
from utils.ngff.level_size import level_voxel_size
from utils.ngff.metadata import Lengths, Level
from utils.ngff.multiscale import Access, Multiscale, open_multiscale
from utils.ngff.read import LevelReader
from utils.ngff.table import Dataset
from utils.sampling.overview import (
    fetch_overview,
    overview_level,
    overview_path,
    ratio,
    survey,
    warn_without_overview,
)
from utils.sampling.rois import SAMPLE, Boxes, Span, Survey, grid, not_padding, shuffled

GB = 10**9
DEFAULT_CROP = 256
# Cubes in flight may take this much memory, however many workers were asked for.
MEMORY_BUDGET = 4 * GB
# Cubes that give the contrast of a dataset without an overview.
SAMPLED_CUBES = 4


@dataclass(frozen=True)
class Options:
    """The command line's say about every dataset; None leaves it to the table or the default."""

    gigabytes: float = 5.0
    level: int | None = None
    voxel_nm: float | None = None
    crop_size: int | None = None
    seed: int = 0
    workers: int = 8
    min_frac: float = 0.7
    unit: str | None = None
    contrast: str = "percentile"
    access: Access = field(default_factory=Access)


@dataclass(frozen=True)
class Plan:
    """One dataset, looked at: which level, which grid of boxes, which overview."""

    dataset: Dataset
    image: Multiscale
    index: int
    voxel_size: Lengths
    crop: int
    overview: int | None

    @property
    def level(self) -> Level:
        """The level that cubes are taken from."""
        return self.image.levels[self.index]

    @property
    def name(self) -> str:
        """What outputs are called before ``-ROI-``."""
        return format_level(self.dataset.name, self.index)

    @property
    def spans(self) -> tuple[list[Span], list[Span], list[Span]]:
        """The boxes' spans along z, y and x, snapped to the chunk grid."""
        return grid(self.level.shape, self.crop, self.level.chunk)

    def threads(self, workers: int) -> int:
        """Cubes in flight: as many as asked for and as fit into the memory budget."""
        cube = min(self.crop**3, self.level.nbytes // self.level.dtype.itemsize) * self.level.dtype.itemsize
        return max(1, min(workers, MEMORY_BUDGET // (2 * cube)))


def plan(dataset: Dataset, options: Options) -> Plan:
    """Look at a dataset's metadata and decide what to take from it; no voxel is read.

    Raises
    ------
    ValueError, OSError
        If it cannot be read, or its voxel size is not known.
    """
    image = open_multiscale(dataset.url, options.access).in_unit(options.unit)
    index = options.level if options.level is not None else dataset.level or 0
    if options.voxel_nm is not None:
        index = image.nearest(options.voxel_nm)
    index = image.index(index)
    size = level_voxel_size(image, index, dataset.given_size)
    crop = options.crop_size or dataset.crop_size or DEFAULT_CROP
    return Plan(dataset, image, index, size, crop, overview_level(image, index, crop))


def look(made: Plan, options: Options, folder: Path, known: Contrast | None) -> tuple[Boxes, Contrast]:
    """Boxes worth taking, in the order of the grid, and the contrast window of the dataset (the `known` one if any).

    Raises
    ------
    ValueError
        If there are none.
    """
    boxes = Boxes(made.spans)
    if not boxes:
        raise ValueError(
            f"no box of {made.crop} fits level {made.index} ({by(made.level.shape)}): a box at "
            "the border must be at least half as large in each axis; choose a smaller --crop-size"
        )
    if made.overview is None:
        warn_without_overview(made.image, made.index)
        return boxes, known or contrast_of_cubes(made, boxes, options)
    seen = overview_of(made, folder)
    found = seen.candidates(options.min_frac)
    if not found:
        raise ValueError(
            f"none of {len(boxes)} boxes is at least {options.min_frac:.0%} specimen: level "
            f"{made.overview} holds mostly the padding value {made.dataset.padding_value:g}"
        )
    return found, known or measure_contrast(seen.sample(), options.contrast)


def overview_of(made: Plan, folder: Path) -> Survey:
    """The overview, fetched unless it is cached, seen through the boxes."""
    index = made.overview or 0
    path = overview_path(made.image, index, folder, made.dataset.name)
    fetch_overview(made.image, index, path)
    voxels_per = ratio(made.image, index, made.index)
    return survey(path, made.spans, voxels_per, made.image.levels[index].shape, made.dataset.padding_value)


def contrast_of_cubes(made: Plan, boxes: Boxes, options: Options) -> Contrast:
    """Contrast of a dataset without an overview, from a few of its cubes."""
    reader = LevelReader(made.image.store, made.level)
    parts = []
    for roi in islice(shuffled(boxes, options.seed), SAMPLED_CUBES):
        values = reader.read(roi.slices).reshape(-1)
        values = values[:: -(-values.size // SAMPLE)]
        parts.append(values[not_padding(values, made.dataset.padding_value)])
    return measure_contrast(np.concatenate(parts), options.contrast)


def by(shape: tuple[int, ...]) -> str:
    """A shape as people write it."""
    return " x ".join(str(n) for n in shape)
