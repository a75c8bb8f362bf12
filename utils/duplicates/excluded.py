"""Excluded folders: their images and the slices of their volumes as windows to be found in patches, and as pixels."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli import UsageError
from utils.contrast import to_uint8
from utils.duplicates.deep import find_points
from utils.duplicates.embedding import SIZE
from utils.duplicates.index_file import Index, IndexWriter, make_index
from utils.duplicates.keypoints import LEVELS, WINDOW, find_windows
from utils.files import list_entries, stem, suffix
from utils.images import IMAGE_SUFFIXES, read_gray
from utils.jobs import SKIPPED, Job
from utils.names import format_name_2d, format_name_3d
from utils.patches import Box
from utils.tiff_pages import TIFF_SUFFIXES
from utils.volume_samples import volume_contrast
from utils.volumes import Volume, has_slices, is_isotropic, is_ngff, list_volumes, open_volume

# Of volumes with known isotropic voxels, slices this far apart are indexed: none is further than half of it from one.
SLICE_GAP = 40.0
MOST_GAP = 4
FAR = 1e-6


@dataclass(frozen=True)
class Plane:
    """One image, or one slice of a volume: axis and index None for an image."""

    axis: int | None
    index: int
    count: int
    pixels: np.ndarray


def list_excluded(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Images and volumes in folders and in the folders below, each with the name that tables call it by.

    Files of volume formats are volumes, TIFFs may be either. A folder of slices is in the list, beside its images, when
    slices across them are worth a look.

    Raises
    ------
    UsageError
        If a folder holds neither.
    """
    found: dict[Path, str] = {}
    for folder in sorted({Path(folder).resolve() for folder in folders}):
        sources = list(_sources(folder))
        if not sources:
            raise UsageError(f"{folder}: neither images nor volumes in it, nor in the folders below")
        for source in sources:
            inside = source.relative_to(folder).as_posix()
            found.setdefault(source, folder.name if inside == "." else f"{folder.name}/{inside}")
    return sorted(((name, path) for path, name in found.items()), key=lambda each: (each[0], each[1].as_posix()))


def _sources(folder: Path) -> Iterator[Path]:
    if is_ngff(folder):
        yield folder
        return
    volumes, others = list_volumes(folder)
    for path in [*volumes, *others]:
        if path.is_file() and (path in volumes or suffix(path) in IMAGE_SUFFIXES):
            yield path
    if _is_deep(folder):
        yield folder
    for below in list_entries(folder).folders:
        yield from _sources(below)


def _is_deep(folder: Path) -> bool:
    """Whether a folder's images, which are listed by themselves, are slices enough to be cut across as well."""
    enough = WINDOW * min(LEVELS)
    return has_slices(folder) and _opens(folder, lambda volume: volume.shape[0] >= enough and is_isotropic(volume))


def _opens(path: Path, is_wanted: Callable[[Volume], bool]) -> bool:
    """Whether a volume can be opened, and is what is wanted."""
    try:
        with closing(open_volume(path)) as volume, warnings.catch_warnings(action="ignore"):
            return is_wanted(volume)
    except (OSError, ValueError):
        return False


def excluded_path(cache: Path, source: Path, *, deep: bool = False) -> Path:
    """Where the index of an excluded source is cached; a deep one lies apart."""
    mark = hashlib.sha256(str(source).encode()).hexdigest()[:12]
    return cache / f"{stem(source)[:60]}-{mark}{'-deep' if deep else ''}"


def index_excluded(job: Job, *, deep: bool = False) -> str:
    """Make the index (the job's target) of an image or a volume (its source), with `deep` of SIFT's keypoints, too."""

    def fill(writer: IndexWriter, source: Path) -> dict[str, Any]:
        for number, plane in enumerate(planes(source)):
            _append(writer, plane, number, deep)
        return {}

    index = make_index(job.target, Path(job.source), fill)
    return f"{index.rows('planes')} images, {index.rows('pixels') / 1e6:.1f} megapixels" if index else SKIPPED


def planes(source: Path) -> Iterator[Plane]:
    """The image of a file, or the slices of a volume that are to be indexed, as uint8, one at a time."""
    is_stack = suffix(source) in TIFF_SUFFIXES and _opens(source, lambda volume: volume.shape[0] > 1)
    if source.is_file() and suffix(source) in IMAGE_SUFFIXES and not is_stack:
        yield Plane(None, 0, 1, to_uint8(read_gray(source)))
        return
    with closing(open_volume(source)) as volume:
        contrast = volume_contrast(volume)
        axes = (0, 1, 2) if is_isotropic(volume) else (0,)
        for axis in axes[1:] if source.is_dir() and not is_ngff(source) else axes:
            if min(np.delete(volume.shape, axis)) < WINDOW * min(LEVELS):
                continue  # no window fits into such slices
            for index in slices_of(volume, axis):
                box: list[slice | int] = [slice(None)] * 3
                box[axis] = index
                yield Plane(axis, index, volume.shape[axis], to_uint8(volume[tuple(box)], contrast))


def slices_of(volume: Volume, axis: int) -> list[int]:
    """The slices of an axis that are indexed, the last one always among them."""
    size, count = volume.voxel_size, volume.shape[axis]
    step = 1 if size is None or not is_isotropic(volume) else int(np.clip(SLICE_GAP / size[axis] + FAR, 1, MOST_GAP))
    return sorted({*range(0, count, step), count - 1})


def _append(writer: IndexWriter, plane: Plane, number: int, deep: bool) -> None:
    """Write a plane's pixels and its windows at all scales."""
    found = [find_windows(plane.pixels, block) for block in LEVELS]
    counts = [len(windows.codes) for windows in found]
    axis = -1 if plane.axis is None else plane.axis
    writer.append(
        planes=np.array([[axis, plane.index, plane.count, *plane.pixels.shape]], np.int64),
        pixels=plane.pixels.reshape(-1),
        codes=np.concatenate([windows.codes for windows in found]).reshape(-1, SIZE),
        views=np.concatenate([windows.views for windows in found]),
        places=np.concatenate([windows.places for windows in found]).astype(np.float32),
        levels=np.repeat(np.arange(len(LEVELS), dtype=np.uint8), counts),
        owners=np.full(sum(counts), number, np.uint32),
    )
    if deep:
        points = find_points(plane.pixels)
        writer.append(
            deep_codes=points.codes,
            deep_frames=points.frames,
            deep_owners=np.full(len(points.codes), number, np.uint32),
        )


@dataclass(frozen=True)
class Excluded:
    """An excluded source with its index."""

    name: str
    index: Index

    def __len__(self) -> int:
        return self.index.rows("planes")

    def pixels(self, plane: int) -> np.ndarray:
        """The image or slice, mapped from disk.

        Returns
        -------
        ndarray of uint8, shape (h, w)
        """
        table = self.index["planes"]
        sizes = table[:, 3] * table[:, 4]
        start = int(sizes[:plane].sum())
        return self.index["pixels"][start : start + int(sizes[plane])].reshape(table[plane, 3:].tolist())

    def place(self, plane: int, box: Box) -> str:
        """What a region of it is called, by the names of patches."""
        axis, index, count, height, width = self.index["planes"][plane].tolist()
        box = Box(max(0, box.y0), min(height, box.y1), max(0, box.x0), min(width, box.x1))
        name = stem(Path(self.name))
        return format_name_2d(name, box) if axis < 0 else format_name_3d(name, axis, index, count, box)
