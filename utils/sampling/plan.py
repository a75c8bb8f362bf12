"""Sparse sampling of NGFF datasets, the planning: which level, which grid of boxes, which overviews.

Rows of a table are planned side by side: a server that does not answer holds up none of the others.
"""

import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.axes import Lengths
from utils.components import by_key
from utils.names import format_level
from utils.ngff.access import Access, host
from utils.ngff.address import Address
from utils.ngff.dataset import Dataset, level_voxel_size
from utils.ngff.metadata import Level
from utils.ngff.multiscale import Multiscale, open_multiscale
from utils.ngff.read import LevelReader
from utils.outcomes import describe
from utils.redaction import redacted
from utils.sampling.overview import overview_levels
from utils.sampling.roi_record import DATASET_COORDINATES, Settings
from utils.sampling.rois import GB, Boxes, Roi, Spans, grid, shuffled, stratified

DEFAULT_CROP = 256
# Cubes in flight may take this much memory, however many workers were asked for.
MEMORY_BUDGET = 4 * GB
# Bytes of chunks kept for cubes that share them.
SHARED_CHUNKS = 256 << 20
# Rows planned at once.
THREADS = 16
# Seconds after which rows that are still waiting for a server go to the end of the queue.
GRACE = 10.0


@dataclass(frozen=True)
class SamplingOptions:
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
    stretch: bool = False
    stratify: bool = False
    update: bool = False
    mask: str | None = None
    listing: Path | None = None  # the table that is gone through
    access: Access = field(default_factory=Access)


@dataclass(frozen=True)
class SamplingPlan:
    """What is to be taken from one dataset: which level, which grid of boxes, which overviews could tell of padding."""

    options: SamplingOptions
    dataset: Dataset
    image: Multiscale
    index: int
    voxel_size: Lengths
    crop: int
    overviews: tuple[int, ...]

    @property
    def level(self) -> Level:
        """The level that cubes are taken from."""
        return self.image.levels[self.index]

    @property
    def name(self) -> str:
        """What outputs are called before ``-ROI-``."""
        return format_level(self.dataset.name, self.index)

    @property
    def is_surveyed(self) -> bool:
        """Whether an overview is looked at: for the choice of boxes, or for the contrast window."""
        return self.dataset.crop or self.level.dtype != np.uint8

    @property
    def fills(self) -> tuple[float, ...]:
        """Values that stand for no specimen: the padding, and what chunks that are not stored hold."""
        return tuple(dict.fromkeys((self.dataset.padding_value, self.level.fill)))

    @property
    def spans(self) -> Spans:
        """The boxes' spans along z, y and x."""
        return grid(self.level.shape, self.crop)

    @property
    def budget(self) -> float:
        """Voxels that may be written, one byte each."""
        return self.options.gigabytes * GB

    @property
    def threads(self) -> int:
        """Cubes in flight: as many as asked for and as fit into the memory budget."""
        cube = min(self.crop**3 * self.level.dtype.itemsize, self.level.nbytes)
        return max(1, min(self.options.workers, MEMORY_BUDGET // (2 * cube)))

    def draw(self, boxes: Boxes) -> Iterator[Roi]:
        """The order in which boxes are drawn."""
        return (stratified if self.options.stratify else shuffled)(boxes, self.options.seed)

    def open_level(self) -> LevelReader:
        """A reader of the level; where cubes share chunks, with a cache, so that each chunk is fetched once."""
        store = self.image.store
        if not all(self.crop % chunk == 0 for chunk in self.level.chunk):
            store = replace(store, access=replace(store.access, cache_bytes=SHARED_CHUNKS))
        return LevelReader(store, self.level)

    def settings(self, overview: int | None) -> Settings:
        """What a record says of a run."""
        options, dataset, level = self.options, self.dataset, self.level
        return Settings(
            source=dataset.address,
            url=str(dataset),
            volume_name=dataset.name,
            level=self.index,
            seed=options.seed,
            crop_size=self.crop if dataset.crop else None,
            min_frac=options.min_frac,
            padding_value=dataset.padding_value,
            invert=dataset.invert,
            contrast_method=options.contrast,
            voxel_size=list(self.voxel_size),
            image=str(self.image.store),
            format=self.image.format,
            shape=list(level.shape),
            voxel_offset=list(level.offset),
            coordinates=DATASET_COORDINATES,
            dtype=level.dtype.name,
            overview_level=overview,
            stratify=options.stratify,
            mask=redacted(options.mask) if options.mask else None,
        )


def plan_sampling(dataset: Dataset, options: SamplingOptions) -> SamplingPlan:
    """Read a dataset's metadata and decide what to take from it; no voxel is read.

    Raises
    ------
    ValueError, OSError
        If it cannot be read, or its voxel size is not known.
    """
    if dataset.problem:
        raise ValueError(dataset.problem)
    image = open_multiscale(dataset.url, options.access).in_unit(options.unit)
    nearest = image.nearest(options.voxel_nm) if options.voxel_nm is not None else None
    index = image.index(dataset.chosen_level(options.level) if nearest is None else nearest)
    size = level_voxel_size(image, index, dataset.given_size, metadata_first=dataset.metadata_first)
    crop = options.crop_size or dataset.crop_size or DEFAULT_CROP
    return SamplingPlan(options, dataset, image, index, size, crop, tuple(overview_levels(image, index, crop)))


@dataclass(frozen=True)
class PlannedRow:
    """A row and what became of its planning: a plan, a reason, or nothing yet; and what was said meanwhile."""

    row: Dataset
    plan: SamplingPlan | None = None
    reason: str = ""
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.row)

    def result(self, options: SamplingOptions) -> SamplingPlan:
        """The plan, made now where it was not; what was said about it is said.

        Raises
        ------
        ValueError, OSError
            If the dataset cannot be read.
        """
        for sentence in self.said:
            warnings.warn(sentence, stacklevel=2)
        if self.reason:
            raise ValueError(self.reason)
        return self.plan or plan_sampling(self.row, options)


def plan_rows(rows: Sequence[Dataset], options: SamplingOptions, grace: float | None = GRACE) -> list[PlannedRow]:
    """Plan rows side by side, one server's second row after its first; those that are quick come first.

    After so many seconds of `grace` the rows that have no answer yet are left to their turn; None waits for all.
    """
    said: defaultdict[int, list[str]] = defaultdict(list)  # any thread may warn meanwhile

    def note(message: Warning | str, *args: object, **kwargs: object) -> None:
        said[threading.get_ident()].append(" ".join(str(message).split()))

    def attempt(row: Dataset) -> PlannedRow:
        own = said[threading.get_ident()] = []
        try:
            return PlannedRow(row, plan_sampling(row, options), said=tuple(own))
        except (OSError, ValueError) as error:
            return PlannedRow(row, reason=describe(error), said=tuple(own))

    queues = by_key(range(len(rows)), lambda index: _server(rows[index]))
    planned: dict[int, PlannedRow] = {}
    pool = ThreadPoolExecutor(THREADS)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note  # called in the thread that warns
        try:
            # One row tells whether a server answers at all; its others wait for that.
            pending = {pool.submit(attempt, rows[queue[0]]): queue for queue in queues.values()}
            while pending:
                done = wait(pending, timeout=grace, return_when=FIRST_COMPLETED).done
                if not done:
                    break
                for future in done:
                    first, *others = pending.pop(future)
                    planned[first] = future.result()
                    pending |= {pool.submit(attempt, rows[other]): [other] for other in others}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    late = [PlannedRow(row) for index, row in enumerate(rows) if index not in planned]
    return [planned[index] for index in sorted(planned)] + late


def _server(row: Dataset) -> str:
    try:
        return host(Address.parse(row.url))
    except ValueError:
        return ""
