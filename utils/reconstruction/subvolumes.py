"""Subvolumes: a few slices around a patch, cut from the volume that it came from; how they are made, how they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.axes import Box3D, Lengths, Triple
from utils.files import safe_name
from utils.formats.writers import write_nrrd
from utils.names import PatchName, dataset_of
from utils.records.fingerprints import Fingerprint, fingerprint, glance
from utils.records.kept_patch import KeptPatch
from utils.records.recipes import Input, Recipe
from utils.records.standing import standing
from utils.results import Scope
from utils.sources import VolumeSource
from utils.volumes import Volume

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

    @property
    def box(self) -> Box3D:
        """Its z, y, x intervals in the volume."""
        return self.patch.where.region(self.first, self.stop)

    def __str__(self) -> str:
        return str(self.patch.path)


def window(index: int, slices: int) -> tuple[int, int]:
    """First and past the last of `slices` slices with `index` in the middle, at ``slices // 2``.

    >>> window(10, 5), window(10, 4)
    ((8, 13), (8, 12))
    """
    first = index - slices // 2
    return first, first + slices


def why_outside(where: PatchName, shape: Triple) -> str:
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


def _reflected(first: int, stop: int, count: int) -> np.ndarray:
    """Slice indices first..stop - 1, (stop - first,), mirrored about the first and the last slice.

    >>> _reflected(-2, 3, 10).tolist(), _reflected(8, 12, 10).tolist()
    ([2, 1, 0, 1, 2], [8, 9, 8, 7])
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
    slices = _reflected(first, stop, volume.shape[axis])
    lowest = int(slices.min())
    z, y, x = (slice(*span) for span in where.region(lowest, int(slices.max()) + 1))
    region = np.moveaxis(volume[z, y, x], axis, 0)
    return np.ascontiguousarray(region[slices - lowest])


def stack_voxel_size(voxel_size: Lengths | None, axis: int) -> Lengths | None:
    """Voxel size of a stack (along the slicing axis, rows, columns) from the volume's (z, y, x), nm."""
    if voxel_size is None:
        return None
    rows, columns = (side for at, side in enumerate(voxel_size) if at != axis)
    return voxel_size[axis], rows, columns


def write_stack(path: Path, stack: np.ndarray, voxel_size: Lengths | None) -> None:
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


@dataclass(frozen=True)
class StackOptions:
    """How subvolumes are made."""

    slices: int = 5
    contrast_method: str = "percentile"  # for patches that do not say how their volume was converted
    raw: bool = False  # the volume's own values are written instead of uint8
    verify: bool = True  # a subvolume whose middle slice is not the patch is refused
    flipbook: str | None = None  # gif or mp4: written beside each stack

    def as_options(self) -> dict[str, object]:
        """What decides a stack's content, as the command line calls it."""
        return {
            "slices": self.slices,
            "contrast": self.contrast_method,
            "raw": self.raw,
            "accept-differences": not self.verify,
        }


@dataclass(frozen=True, eq=False)
class VolumeGroup:
    """The subvolumes of one volume, which is opened once for all."""

    source: VolumeSource
    wanted: tuple[Subvolume, ...]
    refused: Mapping[str, str]  # what cannot be made, known before any work, each with its reason
    spread: bool = False  # the group uses all processes by itself, as threads

    def __str__(self) -> str:
        return str(self.source)

    def lock_path(self, savedir: Path) -> Path:
        """What two runs over one volume take turns by; nothing is written there."""
        return savedir / safe_name(dataset_of(self.source.name)) / safe_name(self.source.name)

    def volume_paths(self) -> tuple[Path, ...]:
        """The files of the volume."""
        return tuple(path for paths in self.source.inputs().values() for path in paths)

    def is_out_of_reach(self) -> bool:
        """Whether the volume cannot be read at the moment; one that is damaged can be."""
        paths = self.volume_paths()
        return str(self.source) in self.refused and not (paths and fingerprint(paths).digest)


def stack_recipe(
    wanted: Subvolume, volume: Fingerprint, source: VolumeSource, options: StackOptions, scope: Scope
) -> Recipe:
    """What a subvolume is made of: the patch, the volume, and how."""
    inputs: dict[str, Input] = {wanted.patch.path.name: (wanted.patch.path,), source.name: volume}
    return scope.recipe(inputs, {**options.as_options(), **source.options()})


def stands(group: VolumeGroup, options: StackOptions, scope: Scope) -> list[str | None]:
    """How each subvolume of a group stands: None open, empty done, else why it is outdated; see `standing`."""
    volume = glance(group.volume_paths())

    def reasons_of(wanted: Subvolume) -> list[str | None]:
        recipe = stack_recipe(wanted, volume, group.source, options, scope)
        return [standing(recipe, path) for path in wanted.files(options.flipbook)]

    found: list[str | None] = []
    for wanted in group.wanted:
        reasons = reasons_of(wanted)
        if any(reasons) and not volume.digest:
            volume = fingerprint(group.volume_paths())
            reasons = reasons_of(wanted)
        found.append(None if None in reasons else next((reason for reason in reasons if reason), ""))
    return found
