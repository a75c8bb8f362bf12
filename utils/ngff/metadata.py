"""What all NGFF conventions share: levels, lengths in nanometres, and the data that is refused by name.

Label images (segmentations) are told by their metadata, and refused unless they are asked for.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from utils import memory
from utils.axes import Lengths, Triple, triple
from utils.formats.voxel_size import VoxelSize, checked, nm_per

Item = TypeVar("Item")
# Voxels along a side that no image has.
LONGEST = 1 << 40
_labels_allowed: ContextVar[bool] = ContextVar("labels_allowed", default=False)


@contextmanager
def allowing_labels() -> Iterator[None]:
    """Within the block segmentations are opened, too: as masks, not as images."""
    token = _labels_allowed.set(True)
    try:
        yield
    finally:
        _labels_allowed.reset(token)


def refuse_segmentation(why: str) -> None:
    """Refuse a segmentation, unless they are asked for.

    Raises
    ------
    ValueError
        With why it is one.
    """
    if not _labels_allowed.get():
        raise ValueError(f"holds labels (a segmentation: {why}), not an image; give the address of the EM image")


def refuse_labels(path: str, attributes: Mapping[str, Any]) -> None:
    """Refuse what its place or its attributes declare to be a segmentation."""
    if "labels" in path.lower().split("/"):
        refuse_segmentation("it lies in a folder 'labels'")
    if "image-label" in attributes:
        refuse_segmentation("'image-label' in its metadata")
    painted = attributes.get("painteraData")
    if isinstance(painted, Mapping) and painted.get("type") == "label":
        refuse_segmentation("painteraData type 'label'")
    if attributes.get("isLabelMultiset") or attributes.get("type") == "segmentation":
        refuse_segmentation("declared in its metadata")


class NoImageError(ValueError):
    """A folder without an image of its own; there may be some further inside."""


@dataclass(frozen=True)
class Level:
    """One resolution of a multiscale image, seen as z, y, x.

    Raises
    ------
    ValueError
        If its sides, or its chunks', are no lengths.
    """

    path: str  # of the level's array, below the multiscale's address
    shape: Triple
    chunk: Triple  # in voxels: what one request brings
    dtype: np.dtype  # in native byte order
    scale: Lengths | None = None  # voxel size in `unit`; None where the metadata has none
    unit: str | None = None  # None where the metadata names none
    offset: Triple = (0, 0, 0)  # where the stored image begins (precomputed); all other coordinates start at 0
    # Where the first voxel lies besides, z, y, x in voxels; None where the metadata do not say. Names do not count it.
    translation: Lengths | None = None
    axes: Triple = (0, 1, 2)  # which stored axes are z, y and x; any other axis has one entry
    rank: int = 3  # number of stored axes
    # What tensorstore needs beside the store: driver, metadata, scale index.
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    # How the names of stored chunks are made; see `utils.ngff.chunks`.
    grid: dict[str, Any] = field(default_factory=dict[str, Any])
    fill: float = 0.0  # stands for chunks that are not stored
    problem: str = ""  # why it cannot be read: a coarse level that is broken keeps its place and blocks no other

    def __post_init__(self) -> None:
        for length, side in zip(self.shape, self.chunk, strict=True):
            if not (isinstance(length, int) and isinstance(side, int) and 0 <= length < LONGEST and side > 0):
                raise ValueError(f"its metadata are garbled: shape {self.shape}, chunks {self.chunk}")

    @classmethod
    def broken(cls, path: str, problem: str) -> "Level":
        """A level that cannot be read."""
        return cls(path, (0, 0, 0), (1, 1, 1), np.dtype(np.uint8), problem=problem)

    @property
    def size(self) -> VoxelSize:
        """Voxel size z, y, x in nm, or why there is none: no size, no unit, or numbers that cannot be true."""
        if self.scale is not None and not self.unit:
            return VoxelSize(None, f"the metadata says {', '.join(f'{n:g}' for n in self.scale)} without a unit")
        return checked(self.scale, self.unit or "nm")

    @property
    def voxel_size(self) -> Lengths | None:
        """Voxel size z, y, x in nm; None when it is not known."""
        return self.size.nm

    @property
    def nbytes(self) -> int:
        """Size of the whole level in its own type."""
        return math.prod(self.shape) * self.dtype.itemsize

    def stored(self, zyx: Iterable[Item], other: Item) -> list[Item]:
        """What concerns z, y and x in the order of the stored axes, with `other` for the rest of them."""
        values = [other] * self.rank
        for axis, value in zip(self.axes, zyx, strict=True):
            values[axis] = value
        return values

    @property
    def kept_order(self) -> list[int]:
        """Positions of z, y, x after the other axes are gone."""
        return [sorted(self.axes).index(axis) for axis in self.axes]

    def refuse_chunk(self) -> None:
        """Refuse chunks that take more memory than decoding may.

        Raises
        ------
        ValueError
            With their shape.
        """
        # Only precomputed stores a chunk that reaches over the end cut.
        cut = self.grid.get("kind") == "precomputed"
        sides = map(min, self.shape, self.chunk) if cut else self.chunk
        shown = " x ".join(map(str, self.chunk))
        memory.require(math.prod(sides) * self.dtype.itemsize, f"a chunk of {shown} voxels")

    def in_unit(self, unit: str) -> "Level":
        """The same level, its scale read in `unit` where the metadata names none."""
        return self if self.unit and nm_per(self.unit) else replace(self, unit=unit)


def readable_levels(levels: Iterable[tuple[str, Callable[[], Level]]]) -> list[Level]:
    """Levels by their paths and readers, finest first, as they should be listed; one that cannot be read says why.

    Most voxels are finest, unless the voxel sizes contradict it: a finest level may cover a part of the image.

    The first must be readable: other sizes follow from it.
    """
    found: list[Level] = []
    for path, read in levels:
        try:
            found.append(read())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if not found:
                raise
            warnings.warn(f"level {path!r} is left out: {error}", stacklevel=3)
            found.append(Level.broken(path, str(error)))
    readable = sorted((level for level in found if not level.problem), key=lambda level: -math.prod(level.shape))
    sizes = [math.prod(level.scale) for level in readable if level.scale]
    if sizes != sorted(sizes):
        return found
    finest_first = iter(readable)
    return [level if level.problem else next(finest_first) for level in found]


def first_multiscale(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first image that a group's ``multiscales`` describe; None where they describe none."""
    listed = attributes.get("multiscales")
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else None


def chunk_sides(values: Iterable[Any]) -> list[int]:
    """The sides of stored chunks along all axes, as metadata state them.

    Raises
    ------
    ValueError
        If they are no numbers.
    """
    stated = list(values)
    try:
        return [int(side) for side in stated]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"its metadata are garbled: chunks {stated}") from error


def reversed_triple(values: Sequence[Any]) -> tuple[Any, Any, Any]:
    """x, y, z of a file as z, y, x (or the other way round)."""
    return values[2], values[1], values[0]


def floats(values: Any, count: int = 3) -> tuple[float, ...] | None:
    """A list of `count` numbers as floats; None for anything else."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        return None
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None


def pick_axes(names: Sequence[str], shape: Sequence[int]) -> Triple:
    """Positions of z, y and x among named axes.

    Raises
    ------
    ValueError
        For 2-D data and for time or channel axes with more than one entry.
    """
    lower = [str(name).lower() for name in names]
    missing = [axis for axis in "zyx" if axis not in lower]
    if len(set(lower)) < len(lower):
        raise ValueError(f"its axes {', '.join(lower)} are not different ones; expected z, y and x, each once")
    if missing:
        raise ValueError(
            f"2-D data or no {missing[0]} axis (axes {', '.join(lower)}); expected a volume with z, y and x"
        )
    for name, length in zip(lower, shape, strict=True):
        if name not in "zyx" and length != 1:
            kind = {"t": "time", "c": "channel"}.get(name, "extra")
            raise ValueError(
                f"the {kind} axis {name!r} has {length} entries; expected one; "
                "extract a single one to a dataset of its own"
            )
    axes = triple(map(lower.index, "zyx"))
    refuse_flat([shape[axis] for axis in axes])
    return axes


def refuse_flat(shape: Sequence[int]) -> None:
    """Refuse an image of one slice.

    Raises
    ------
    ValueError
        If it is one.
    """
    if len(shape) < 3 or min(shape) < 2:
        size = " x ".join(str(length) for length in shape)
        raise ValueError(f"2-D data (z, y, x = {size}); expected a volume with more than one slice")


def image_dtype(name: str) -> np.dtype:
    """The numpy type of an image; labels (segmentations) and types that are no gray values are refused.

    Raises
    ------
    ValueError
        With the type.
    """
    try:
        dtype = np.dtype(name).newbyteorder("=")
    except TypeError as error:
        raise ValueError(f"data of type {name!r} cannot be read as gray values") from error
    if dtype.kind in "iu" and dtype.itemsize == 8:
        refuse_segmentation(f"its type is {dtype.name}")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError(f"data of type {dtype.name} cannot be read as gray values")
    return dtype


def downsampling(length: int, coarse: int) -> float:
    """Voxels per overview voxel along an axis: the whole factor that explains both lengths, else their ratio.

    >>> downsampling(171, 42), downsampling(100, 40)
    (4.0, 2.5)
    """
    factor = max(1, round(length / coarse))
    return float(factor) if coarse in (length // factor, -(-length // factor)) else length / coarse
