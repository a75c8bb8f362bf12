"""TIFF stacks: mapped when uncompressed and in one piece, else decoded page by page.

Voxel sizes come from ImageJ, OME, LSM or tifffile's own metadata; the resolution in dots per inch is for printers.
"""

import logging
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from utils.files import stem
from utils.formats.paged_volume import PagedVolume
from utils.formats.raw_data import RawData, raw_volume
from utils.formats.volume_base import ArrayVolume, Volume, reading_as
from utils.formats.voxel_size import VoxelSize, checked, significant
from utils.images import tiff_page

# Where slices hide when no axis is called Z, in order of preference.
_SLICE_AXES = "ZIQTRCAHLEMPV"
_PHOTOMETRIC_GRAY = 1  # black is zero
_PRINTERS_UNITS = frozenset({"", "inch", "inches", "cm", "pixel", "pixels"})


class TiffPages(PagedVolume):
    """Pages that are compressed, coloured or scattered: decoded when touched."""

    def __init__(self, name: str, tif: Any, pages: list, shape: tuple[int, ...], dtype: np.dtype, size: VoxelSize):
        super().__init__(name, shape, dtype, size)
        self._tif = tif
        self._pages = pages

    def _decode_page(self, z: int) -> np.ndarray:
        page = self._pages[z]
        if page is None:
            raise ValueError(f"slice {z} is missing: it lies in another file of this OME-TIFF, or nowhere")
        with reading_as("TIFF"):
            return np.ascontiguousarray(tiff_page(page), self.dtype)

    def close(self) -> None:
        super().close()
        self._tif.close()


def open_tiff(path: Path) -> Volume:
    """Open a TIFF stack.

    Raises
    ------
    ValueError
        If it is no TIFF, or its pages do not make one 3D image.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its complaints come as exceptions where they matter
    with reading_as("TIFF"):
        tif = tifffile.TiffFile(path)
        try:
            return _open(path, tif)
        except BaseException:
            tif.close()
            raise


def _open(path: Path, tif: Any) -> Volume:
    series = _main_series(tif)
    size = voxel_size(tif)
    axes, shape = series.axes, series.shape
    _refuse_truncated(path, tif)
    slice_axis = _slice_axis(axes, shape)
    plain = series.keyframe.photometric == _PHOTOMETRIC_GRAY and "S" not in axes and series.dtype.kind != "b"
    if series.dataoffset is not None and plain:
        raw = RawData(path, series.dtype.newbyteorder(tif.byteorder), shape, series.dataoffset)
        if len(shape) == 3 and slice_axis:
            tif.close()
            return raw_volume(stem(path), raw, size, axes=tuple(map(axes.index, (slice_axis, "Y", "X"))))
        mapped = np.memmap(path, raw.dtype, "r", raw.offset(), shape)
        tif.close()
        return ArrayVolume(stem(path), _zyx(mapped, axes, slice_axis), size)
    pages = _pages(series, axes, slice_axis)
    first = tiff_page(pages[0])
    tif.filehandle.set_lock(True)
    return TiffPages(stem(path), tif, pages, (len(pages), *first.shape), first.dtype.newbyteorder("="), size)


def _main_series(tif: Any) -> Any:
    """The largest series: the others are thumbnails and overviews."""
    if not tif.series:
        raise ValueError("the TIFF holds no image")
    series = max(tif.series, key=lambda s: s.size)
    if len(tif.series) > 1:
        warnings.warn(f"holds {len(tif.series)} images: the largest, {series.shape}, was taken", stacklevel=2)
    return series


def _slice_axis(axes: str, shape: tuple[int, ...]) -> str:
    """The letter of the axis that is z; of all other axes the first entry is taken, said aloud."""
    long = [a for a, n in zip(axes, shape, strict=True) if a not in "YXS" and n > 1]
    if "Y" not in axes or "X" not in axes:
        raise ValueError(f"its axes are {axes}: expected images of y and x")
    slice_axis = next((a for a in _SLICE_AXES if a in long), "")
    if others := [a for a in long if a != slice_axis]:
        warnings.warn(f"has the axes {axes} {shape}: the first of {', '.join(others)} was taken", stacklevel=2)
    return slice_axis


def _zyx(array: np.ndarray, axes: str, slice_axis: str) -> np.ndarray:
    """A (z, y, x) view."""
    array = array[tuple(slice(None) if a in (slice_axis, "Y", "X") else 0 for a in axes)]
    kept = [a for a in axes if a in (slice_axis, "Y", "X")]
    array = array.transpose([kept.index(a) for a in (slice_axis, "Y", "X") if a])
    return array if array.ndim == 3 else array[np.newaxis]


def _pages(series: Any, axes: str, slice_axis: str) -> list:
    """The pages that are slices, in order of z."""
    outer = [(a, n) for a, n in zip(axes, series.shape, strict=True) if a not in "YXS"]
    if len(series.pages) != int(np.prod([n for _, n in outer], dtype=np.int64)):
        in_page = len(series.keyframe.shape) - 2 - ("S" in axes)
        outer = outer[: len(outer) - in_page]
        if slice_axis and slice_axis not in {a for a, _ in outer}:
            raise ValueError(f"keeps slices inside its pages (axes {axes} {series.shape}): save one page per slice")
    grid = np.arange(len(series.pages)).reshape([n for _, n in outer])
    order = grid[tuple(slice(None) if a == slice_axis else 0 for a, _ in outer)]
    return [series.pages[int(i)] for i in np.atleast_1d(order)]


def _refuse_truncated(path: Path, tif: Any) -> None:
    """Strips that lie past the end decode as zeros in some readers: refuse them."""
    size = path.stat().st_size
    last = max((o + n for p in tif.pages for o, n in zip(p.dataoffsets, p.databytecounts, strict=False)), default=0)
    if last > size:
        raise ValueError(f"the file is cut short: {size} bytes, its pages reach to byte {last}")


def voxel_size(tif: Any) -> VoxelSize:
    """Voxel size in nm from the metadata of OME, LSM, ImageJ, or JSON (tifffile's, or our own `voxel_size`)."""
    if tif.is_ome:
        return _from_ome(tif.ome_metadata)
    if tif.is_lsm:
        lsm = tif.lsm_metadata
        return checked([lsm.get(f"VoxelSize{a}", 0) for a in "ZYX"], "m")
    metadata = dict(tif.imagej_metadata or {}) if tif.is_imagej else _json(tif)
    if isinstance(own := metadata.get("voxel_size"), list | tuple) and len(own) == 3:
        return checked(own)
    unit = str(metadata.get("unit", ""))
    if unit.lower() in _PRINTERS_UNITS:
        return checked(None)
    if "spacing" not in metadata:
        return VoxelSize(None, "the header has no spacing of slices")
    tags = tif.pages.first.tags
    yx = [_per_unit(tags.get(name)) for name in ("YResolution", "XResolution")]
    return checked([float(metadata["spacing"]), *yx], unit)


def _per_unit(tag: Any) -> float:
    pixels, units = tag.value if tag is not None else (0, 1)
    return significant(units / pixels, 9) if pixels else 0.0


def _json(tif: Any) -> dict:
    import json

    shaped = tif.shaped_metadata
    if shaped:
        return dict(shaped[0])
    try:
        found = json.loads(tif.pages.first.description or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _from_ome(xml: str) -> VoxelSize:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return VoxelSize(None, "the OME header is damaged")
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None or any(pixels.get(f"PhysicalSize{a}") is None for a in "ZYX"):
        return checked(None)
    sizes = [
        checked([float(pixels.get(f"PhysicalSize{a}", 0))] * 3, pixels.get(f"PhysicalSize{a}Unit", "um")) for a in "ZYX"
    ]
    bad = next((s for s in sizes if s.nm is None), None)
    return bad or checked([s.nm[0] for s in sizes if s.nm])
