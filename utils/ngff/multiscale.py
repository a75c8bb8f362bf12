"""A multiscale image at any address: what kind of data lies there, its levels, and a level as a volume.

OME-Zarr 0.4 and 0.5, N5 and Neuroglancer precomputed, over local paths, ``file://``, ``http(s)://``, ``s3://``
(anonymous) and ``gs://``. The format is found by looking; ``precomputed://``, ``n5://`` and ``zarr://`` before an
address state it.
"""

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.axes import Lengths
from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize
from utils.names import format_level, split_level
from utils.ngff.access import Access, host
from utils.ngff.address import Address, address_name, is_state_link
from utils.ngff.containers import SCHEMES, foreign_format, images_below, refusal, several_images
from utils.ngff.metadata import Level, NoImageError
from utils.ngff.n5 import n5_levels
from utils.ngff.ome_zarr import ARRAY_KEYS, zarr_levels
from utils.ngff.pointers import bdv_address, state_layer
from utils.ngff.precomputed import precomputed_levels
from utils.ngff.read import LevelReader
from utils.ngff.store import Store
from utils.ngff.waiting import RedirectError

_KEYS = {"precomputed": ("info",), "zarr": (*ARRAY_KEYS, ".zattrs", ".zgroup"), "n5": ("attributes.json",)}
_N5_INSIDE = ("s0/attributes.json", "c0/attributes.json", "setup0/attributes.json", "data/attributes.json")
MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Multiscale:
    """An image at several resolutions, from fine to coarse."""

    url: str
    format: str
    store: Store
    levels: tuple[Level, ...]

    def open_level(
        self, level: int, *, name: str | None = None, voxel_size: Lengths | None = None, invert: bool = False
    ) -> "NgffVolume":
        """Open one level as a volume; `voxel_size` (z, y, x, nm, of this level) overrules the metadata."""
        return NgffVolume(self, self.index(level), name or address_name(self.url), voxel_size, invert=invert)

    def index(self, level: int) -> int:
        """Check a level's number.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        if not 0 <= level < len(self.levels):
            raise ValueError(f"no level {level}; it has {len(self.levels)} (0 to {len(self.levels) - 1})")
        if self.levels[level].problem:
            raise ValueError(f"level {level} cannot be read: {self.levels[level].problem}")
        return level

    def nearest(self, voxel_nm: float) -> int:
        """The level whose finest voxel side is nearest to `voxel_nm`, by ratio.

        Raises
        ------
        ValueError
            If no voxel size is known.
        """
        sizes = [level.voxel_size for level in self.levels]
        known = [(abs(math.log(min(size) / voxel_nm)), i) for i, size in enumerate(sizes) if size]
        if not known:
            raise ValueError(f"no voxel sizes to compare {voxel_nm:g} nm with; choose a --level")
        return min(known)[1]

    def in_unit(self, unit: str | None) -> "Multiscale":
        """The same image, its lengths read in `unit` where the metadata names none."""
        return replace(self, levels=tuple(level.in_unit(unit) for level in self.levels)) if unit else self


class NgffVolume(Volume):
    """One level as a volume that streams; `invert` mirrors intensities within their type: what was bright is dark."""

    def __init__(
        self, image: Multiscale, index: int, name: str, voxel_size: Lengths | None = None, *, invert: bool = False
    ) -> None:
        self.level, self.invert = image.levels[index], invert
        size = VoxelSize(voxel_size) if voxel_size else self.level.size
        # Reads without a copy; takes boxes that lie inside of the level.
        self.reader = LevelReader(image.store, self.level)
        super().__init__(format_level(name, index), self.level.shape, self.level.dtype, size)

    def _read(self, box: Region) -> np.ndarray:
        shape = [part.stop - part.start for part in box]
        if 0 in shape:
            return np.empty(shape, self.dtype)
        voxels = self.reader.read(box)
        return _mirrored(voxels) if self.invert else voxels

    def shown(self, value: float) -> float:
        """A stored intensity as reading returns it."""
        if not self.invert:
            return value
        limits = {"u": np.iinfo(self.dtype).max, "i": -1} if self.dtype.kind in "ui" else {"b": 1}
        return limits.get(self.dtype.kind, 0) - value

    def _copy(self, box: Region) -> np.ndarray:
        return self._read(box)  # new already

    def close(self) -> None:
        self.reader.close()


def _mirrored(voxels: np.ndarray) -> np.ndarray:
    """Intensities mirrored within their type: unsigned 0 is the largest, signed -1 is 0, floats change their sign."""
    return np.logical_not(voxels) if voxels.dtype.kind == "b" else -voxels if voxels.dtype.kind == "f" else ~voxels


def open_multiscale(url: str | Path, access: Access | None = None) -> Multiscale:
    """Look at an address and describe the image there; nothing but small metadata files is read.

    A BigDataViewer XML, and a Neuroglancer link, count as their image.

    Raises
    ------
    ValueError, OSError
        One sentence each: nothing there, forbidden, stalled, 2-D, several channels, plates, labels, drafts.
    """
    text, _ = split_level(str(url))
    scheme = text.partition("://")[0].lower()
    if scheme in SCHEMES:
        raise ValueError(refusal(*SCHEMES[scheme]))
    access = access or Access()
    address = Address.parse(state_layer(text, access.layer)[1] if is_state_link(text) else text)
    for _ in range(MOST_REDIRECTS):
        try:
            return _open(text, address, access)
        except RedirectError as error:
            if not error.target:
                raise
            moved = replace(Address.parse(error.target), format=address.format)
            scheme = address.root.partition("://")[0]
            if host(moved) != host(address) or not moved.root.startswith(scheme):  # nor from https to http
                access = replace(access, headers=())  # whose secrets are for the first server
            address = moved
    raise OSError(f"{address}: more than {MOST_REDIRECTS} redirects")


def _open(text: str, address: Address, access: Access) -> Multiscale:
    store = Store(address, access)
    if address.name.lower().endswith(".xml"):
        address = bdv_address(address, store)
        store = replace(store, address=address)
    if address.driver == "file" and address.archive is None and not Path(address.path).is_dir():
        foreign = foreign_format(store) if Path(address.path).exists() else None
        raise ValueError(foreign) if foreign else FileNotFoundError("no such folder")
    if access.image:
        store = replace(store.at(access.image), access=replace(access, image=None))
    try:
        kind, found = _inspect(store, address.format)
        levels = _levels(kind, store, found)
    except NoImageError as error:
        return _only_image(text, store, error)
    except (LookupError, TypeError, AttributeError, OverflowError) as error:  # a field that is missing or another
        raise ValueError(f"its metadata are garbled ({type(error).__name__}: {error})") from error
    return Multiscale(text, kind, store, tuple(levels))


def _only_image(text: str, store: Store, error: NoImageError) -> Multiscale:
    """The one image of a container; several are named, and formats of other programs are refused by name."""
    foreign = foreign_format(store)
    if foreign:
        raise ValueError(foreign) from error
    below = images_below(store)
    if not below:
        raise error
    if len(below) > 1:
        raise several_images(below) from error
    warnings.warn(f"one image lies here, {below[0]}", stacklevel=4)
    return _open(text, store.at(below[0]).address, store.access)


def _levels(kind: str, store: Store, found: dict[str, dict[str, Any] | None]) -> list[Level]:
    if kind == "precomputed":
        return precomputed_levels(found["info"] or {})
    if kind == "n5":
        return n5_levels(store, found)
    return zarr_levels(store, found)


def _inspect(store: Store, stated: str | None) -> tuple[str, dict[str, dict[str, Any] | None]]:
    """Which format lies at a store, and its small files; those of one format are fetched side by side.

    A name that ends as one format's do is believed first, which saves the other formats' requests.
    """
    kinds = [stated] if stated else list(_KEYS)
    likely = [kind for kind in kinds if any(piece.endswith(f".{kind}") for piece in store.address.path.split("/"))]
    found: dict[str, dict[str, Any] | None] = {}
    for stage in [likely, [kind for kind in kinds if kind not in likely]] if likely else [kinds]:
        keys = [key for kind in stage for key in _KEYS[kind]]
        found |= store.read_json(keys)
        for kind in stage:
            if any(found[key] is not None for key in _KEYS[kind]):
                return kind, found
        # An N5 group need not have attributes of its own.
        if "n5" in stage:
            found |= store.read_json(_N5_INSIDE)
            if any(found[key] for key in _N5_INSIDE):
                return "n5", found
    store.read_json([key for kind in kinds for key in _KEYS[kind]], strict=True)  # says what came instead
    raise NoImageError(
        f"no image metadata here (looked for {', '.join(key for kind in kinds for key in _KEYS[kind])}); expected the "
        "folder of an OME-Zarr, N5 or precomputed image"
    )


def open_volume_level(url: str | Path, *, access: Access | None = None) -> NgffVolume:
    """Open one level of an image as a volume, called by its address, of which ``#s2`` at the end chooses level 2."""
    level = split_level(str(url))[1] or 0
    return open_multiscale(url, access or Access(cache_bytes=64 << 20)).open_level(level)
