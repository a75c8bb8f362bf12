"""Subvolumes: a few slices around a patch, cut from the volume that the patch came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.formats.nrrd import write_nrrd
from utils.names import PatchName
from utils.overlap import Box3D
from utils.reconstruction.kept_patches import KeptPatch
from utils.volumes import Volume

Shape = tuple[int, int, int]
# ImageJ's own header knows these only; tifffile's says the same of other types, as JSON.
IMAGEJ_DTYPES = frozenset({"uint8", "uint16", "int16", "float32"})


@dataclass(frozen=True)
class Subvolume:
    """Slices `first` to `stop` - 1 around a patch, and the file that they become."""

    patch: KeptPatch
    first: int
    stop: int
    target: Path

    def files(self, flipbook: str | None = None) -> list[Path]:
        """What is written: the stack and, if wished for, its flipbook (``gif`` or ``mp4``)."""
        return [self.target, *([self.target.with_suffix(f".{flipbook}")] if flipbook else [])]

    def voxels(self) -> int:
        """How many voxels are written."""
        box = self.patch.where.box
        return (self.stop - self.first) * (box.y1 - box.y0) * (box.x1 - box.x0)


def window(index: int, slices: int) -> tuple[int, int]:
    """First and past the last of `slices` slices with `index` in the middle, at ``slices // 2``.

    >>> window(10, 5), window(10, 4)
    ((8, 13), (8, 12))
    """
    first = index - slices // 2
    return first, first + slices


def why_outside(where: PatchName, shape: Shape) -> str:
    """Why a patch cannot be of a volume of this shape; empty when it can."""
    count = shape[where.axis or 0]
    rows, columns = (side for axis, side in enumerate(shape) if axis != where.axis)
    box = where.box
    if 0 <= where.first < count and box.y0 < box.y1 <= rows and box.x0 < box.x1 <= columns:
        return ""
    return (
        f"the patch lies outside its volume, which is {' x '.join(map(str, shape))} (z, y, x): "
        "it was cut from another one of that name"
    )


def box_of(where: PatchName, first: int, stop: int) -> Box3D:
    """The z, y, x intervals of a subvolume."""
    spans = [(where.box.y0, where.box.y1), (where.box.x0, where.box.x1)]
    spans.insert(where.axis or 0, (first, stop))
    return spans[0], spans[1], spans[2]


def reflected(first: int, stop: int, count: int) -> np.ndarray:
    """Slice indices first..stop - 1, mirrored about the first and the last slice.

    >>> reflected(-2, 3, 10).tolist(), reflected(8, 12, 10).tolist()
    ([2, 1, 0, 1, 2], [8, 9, 8, 7])

    Returns
    -------
    ndarray of int, shape (stop - first,)
    """
    period = max(1, 2 * (count - 1))
    indices = np.arange(first, stop) % period
    return np.minimum(indices, period - indices)


def cut_stack(volume: Volume, where: PatchName, first: int, stop: int) -> np.ndarray:
    """Read a subvolume with its slicing axis first; slices outside of the volume are mirrored ones.

    Returns
    -------
    ndarray, shape (stop - first, rows, columns)
        In the volume's dtype.
    """
    axis = where.axis or 0
    slices = reflected(first, stop, volume.shape[axis])
    lowest = int(slices.min())
    z, y, x = (slice(*span) for span in box_of(where, lowest, int(slices.max()) + 1))
    region = np.moveaxis(volume[z, y, x], axis, 0)
    return np.ascontiguousarray(region[slices - lowest])


def stack_voxel_size(voxel_size: tuple[float, float, float] | None, axis: int) -> tuple[float, float, float] | None:
    """Voxel size of a stack (along the slicing axis, rows, columns) from the volume's (z, y, x), nm."""
    if voxel_size is None:
        return None
    rows, columns = (side for at, side in enumerate(voxel_size) if at != axis)
    return voxel_size[axis], rows, columns


def write_stack(path: Path, stack: np.ndarray, voxel_size: tuple[float, float, float] | None) -> None:
    """Write a stack with its voxel size, as NRRD, or as TIFF with the entries that ImageJ reads, by the suffix.

    Booleans become uint8 and half precision becomes float32: few readers know them.

    Parameters
    ----------
    path : Path
    stack : ndarray, shape (z, y, x)
    voxel_size : tuple of float, optional
        In nm: z, y, x.
    """
    stack = stack.astype({"b": np.uint8, "f": np.float32}[stack.dtype.kind]) if stack.dtype in ("?", "e") else stack
    if path.suffix == ".nrrd":
        write_nrrd(path, stack, voxel_size)
        return
    import tifffile

    z, y, x = voxel_size or (None, None, None)
    tifffile.imwrite(
        path,
        stack,
        imagej=stack.dtype.name in IMAGEJ_DTYPES,
        photometric="minisblack",
        resolution=(1 / x, 1 / y) if x and y else None,
        resolutionunit="NONE",
        metadata={"axes": "ZYX", **({"spacing": z, "unit": "nm"} if z else {})},
        software=False,
    )
