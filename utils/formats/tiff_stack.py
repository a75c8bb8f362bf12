"""TIFF stacks: read by region when uncompressed and in one piece, else decoded page by page.

Voxel sizes come from ImageJ, OME, LSM or tifffile's own metadata; the resolution in dots per inch is for printers.
"""

import math
import os
import struct
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from utils.files import stem
from utils.foreign_text import json_object, parse_xml
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.volume_base import PagedVolume, Volume
from utils.formats.voxel_size import VoxelSize, checked, nm_per, significant
from utils.reading import open_tiff_file, reading_as
from utils.tiff_pages import check_page, plane_count, tiff_page

# Where slices hide when no axis is called Z, in order of preference.
_SLICE_AXES = "ZIQTRCAHLEMPV"
_PHOTOMETRIC_GRAY, _PHOTOMETRIC_RGB = 1, 2  # gray: black is zero
_PRINTERS_UNITS = frozenset({"", "inch", "inches", "cm", "pixel", "pixels"})


class TiffPages(PagedVolume):
    """Pages that are compressed, coloured or scattered: decoded when touched."""

    def __init__(self, name: str, tif: Any, pages: list[Any], shape: tuple[int, ...], dtype: np.dtype, size: VoxelSize):
        super().__init__(name, shape, dtype, size)
        self._tif = tif
        self._pages = pages

    def _decode_page(self, z: int) -> np.ndarray:
        with reading_as("TIFF"):
            return np.ascontiguousarray(_slice(self._pages, z), self.dtype)

    def close(self) -> None:
        super().close()
        self._tif.close()


def _slice(pages: list[Any], z: int) -> np.ndarray:
    if pages[z] is None:
        raise ValueError(f"slice {z} is missing: it lies in another file of this OME-TIFF, or nowhere")
    return tiff_page(pages[z])


def open_tiff(path: Path) -> Volume:
    """Open a TIFF stack.

    Raises
    ------
    ValueError
        If it is no TIFF, or its pages do not make one 3D image.
    """
    with reading_as("TIFF"):
        tif = open_tiff_file(path)
        try:
            if _is_written_slice_by_slice(tif):
                tif.close()
                tif = open_tiff_file(path, is_shaped=False)  # like pages are then one series
            return _open(path, tif)
        except BaseException:
            tif.close()
            raise


def _open(path: Path, tif: Any) -> Volume:
    series = _main_series(tif)
    alike = _alike(tif, series)
    if len(tif.series) > 1 and len(alike) < len(tif.pages):
        warnings.warn(f"holds {len(tif.series)} images: the largest, {series.shape}, was taken", stacklevel=2)
    size = voxel_size(tif)
    axes, shape = _told_apart(series.axes, series.shape), series.shape
    _refuse_truncated(tif, series)
    slice_axis = _slice_axis(axes, shape)
    colours = axes.endswith("S") and series.keyframe.photometric == _PHOTOMETRIC_RGB
    plain = colours or (series.keyframe.photometric == _PHOTOMETRIC_GRAY and "S" not in axes)
    if series.dataoffset is not None and plain and series.dtype.kind != "b" and not alike:
        axes, shape = (axes, shape) if slice_axis else (f"I{axes}", (1, *shape))
        slice_axis = slice_axis or "I"
        raw = RawData(path, series.dtype.newbyteorder(tif.byteorder), shape, series.dataoffset)
        tif.close()
        stored = tuple(axes.index(axis) for axis in (slice_axis, "Y", "X") if axis)
        return RawVolume(stem(path), raw, size, stored, colours=colours)
    pages = alike or _pages(series, axes, slice_axis)
    first = _slice(pages, 0)
    tif.filehandle.set_lock(True)
    return TiffPages(stem(path), tif, pages, (len(pages), *first.shape), first.dtype.newbyteorder("="), size)


def _is_written_slice_by_slice(tif: Any) -> bool:
    """Whether a loop over tifffile's ``write`` made a series of each slice."""
    if not tif.is_shaped or len(tif.series) < 2:
        return False
    first, second = sorted(tif.series, key=lambda s: -s.size)[:2]
    return plane_count(first) == 1 and (first.shape, first.dtype) == (second.shape, second.dtype)


def _main_series(tif: Any) -> Any:
    """The largest series: the others are thumbnails and overviews."""
    if not tif.series:
        raise ValueError("the TIFF holds no image")
    return max(tif.series, key=lambda s: s.size)


def _alike(tif: Any, series: Any) -> list[Any]:
    """All pages of the file that are as those of a series, where some of them are in another.

    To tifffile slices are series of their own that are compressed, or that mean black and white, in another way.
    """
    key = series.keyframe
    if series.kind != "generic" or len(tif.series) == 1:
        return []
    pages = [
        p for p in tif.pages if (p.shape, p.axes, p.dtype) == (key.shape, key.axes, key.dtype) and not p.is_reduced
    ]
    return pages if len(pages) > len(series.pages) else []


def _told_apart(axes: str, shape: tuple[int, ...]) -> str:
    """Axes of unknown meaning are all called Q: of several the last one that is longer than 1 stays.

    >>> _told_apart("QQYX", (2, 5, 40, 50)), _told_apart("QQYX", (5, 1, 40, 50))
    ('qQYX', 'QqYX')
    """
    stays = {axes[place]: place for place in sorted(range(len(axes)), key=lambda place: (shape[place] > 1, place))}
    return "".join(a if stays[a] == place else a.lower() for place, a in enumerate(axes))


def _slice_axis(axes: str, shape: tuple[int, ...]) -> str:
    """The letter of the axis that is z; of all other axes the first entry is taken, said aloud."""
    long = [a for a, n in zip(axes, shape, strict=True) if a not in "YXS" and n > 1]
    if "Y" not in axes or "X" not in axes:
        raise ValueError(f"its axes are {axes}: expected images of y and x")
    slice_axis = next((a for a in _SLICE_AXES if a in long), "")
    if others := [a for a in long if a != slice_axis]:
        warnings.warn(f"has the axes {axes} {shape}: the first of {', '.join(others)} was taken", stacklevel=2)
    return slice_axis


def _pages(series: Any, axes: str, slice_axis: str) -> list[Any]:
    """The pages that are slices, in order of z."""
    outer = [(a, n) for a, n in zip(axes, series.shape, strict=True) if a not in "YXS"]
    if len(series.pages) != math.prod(n for _, n in outer):
        in_page = len(series.keyframe.shape) - 2 - ("S" in axes)
        outer = outer[: len(outer) - in_page]
        if slice_axis and slice_axis not in {a for a, _ in outer}:
            raise ValueError(f"keeps slices inside its pages (axes {axes} {series.shape}): save one page per slice")
    grid = np.arange(len(series.pages)).reshape([n for _, n in outer])
    order = grid[tuple(slice(None) if a == slice_axis else 0 for a, _ in outer)]
    return [series.pages[int(i)] for i in np.atleast_1d(order)]


def _refuse_truncated(tif: Any, series: Any) -> None:
    """Refuse a stack whose pages are fewer, or shorter, than its metadata promise; that there are more is said."""
    for page in tif.pages:
        check_page(page)
    chain = _after_last_page(tif)
    if chain:
        raise ValueError(f"the file is cut short or damaged: a page that should be at byte {chain} is not there")
    found, promised = plane_count(series), _promised_planes(tif, series)
    if found < promised:
        raise ValueError(f"the file is cut short: {found} of the {promised} slices that its metadata promise")
    left = len(tif.pages) - found - sum(len(overview.pages) for overview in series.levels[1:])
    if left > 0 and len(tif.series) == 1:
        warnings.warn(f"its metadata count {found} of {len(tif.pages)} pages: {left} are left out", stacklevel=2)


def _after_last_page(tif: Any) -> int:
    """Where the last page says that another one follows; 0 at the end of a whole chain."""
    file, layout = tif.filehandle, tif.tiff
    file.seek(tif.pages[-1].offset)
    count = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))[0]
    file.seek(count * layout.tagsize, os.SEEK_CUR)
    following = file.read(layout.offsetsize)
    return int(struct.unpack(layout.offsetformat, following)[0] if len(following) == layout.offsetsize else file.size)


def _promised_planes(tif: Any, series: Any) -> int:
    """The slices, channels and times of a stack by its metadata, those inside one page left out."""
    if tif.is_imagej:
        metadata = tif.imagej_metadata or {}
        axes = math.prod(int(metadata.get(name, 1)) for name in ("slices", "channels", "frames"))
        samples = series.keyframe.samplesperpixel
        return max(int(metadata.get("images", 1)), axes // samples if axes % samples == 0 else axes)
    if tif.is_ome:
        return _ome_planes(tif.ome_metadata, series)
    if tif.is_lsm:
        return math.prod(int(tif.lsm_metadata.get(f"Dimension{name}", 1)) for name in ("Z", "Time"))
    shape = dict((tif.shaped_metadata or ({},))[0]).get("shape", ())
    return math.prod(shape) // max(1, math.prod(series.keyframe.shape)) if shape else 1


def _ome_planes(xml: str, series: Any) -> int:
    """Of the series' image: its sizes in z, c and t."""
    for pixels in _ome_pixels(xml, series):
        samples = series.keyframe.samplesperpixel
        return math.prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT") // int(samples)
    return 1


def _ome_pixels(xml: str, series: Any) -> list[ElementTree.Element]:
    """What is said of images that are as wide and high as a series: a file may hold an overview, too."""
    root, sizes = parse_xml(xml), dict(zip(series.axes, series.shape, strict=True))
    found = [] if root is None else [node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"]
    return [node for node in found if all(node.get(f"Size{axis}") == str(sizes.get(axis)) for axis in "XY")]


def voxel_size(tif: Any) -> VoxelSize:
    """Voxel size in nm from the metadata of OME, LSM, ImageJ, or JSON (tifffile's, or our own `voxel_size`)."""
    if tif.is_ome:
        return _from_ome(tif.ome_metadata, _main_series(tif))
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
    lengths = [float(metadata["spacing"]), *yx]
    units = [str(metadata.get(name, unit)) for name in ("zunit", "yunit", "unit")]  # ImageJ names those that differ
    if len(set(units)) > 1:
        lengths, unit = [a * (nm_per(name) or math.nan) for a, name in zip(lengths, units, strict=True)], "nm"
    return checked(lengths, unit)


def _per_unit(tag: Any) -> float:
    pixels, units = tag.value if tag is not None else (0, 1)
    return significant(units / pixels, 9) if pixels else 0.0


def _json(tif: Any) -> dict[str, Any]:
    shaped = tif.shaped_metadata
    return dict(shaped[0]) if shaped else json_object(tif.pages.first.description or "")


def _from_ome(xml: str, series: Any) -> VoxelSize:
    pixels = next(iter(_ome_pixels(xml, series)), None)
    if pixels is None or any(pixels.get(f"PhysicalSize{a}") is None for a in "ZYX"):
        return checked(None)
    sizes = [
        checked([float(pixels.get(f"PhysicalSize{a}", 0))] * 3, pixels.get(f"PhysicalSize{a}Unit", "um")) for a in "ZYX"
    ]
    bad = next((s for s in sizes if s.nm is None), None)
    return bad or checked([s.nm[0] for s in sizes if s.nm])
