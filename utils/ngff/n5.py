"""N5: levels and voxel sizes under the conventions of COSEM, n5-viewer, n5-spark, BigDataViewer/MoBIE and paintera."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeGuard

from utils.axes import Lengths, triple
from utils.ngff.metadata import (
    Level,
    NoImageError,
    chunk_sides,
    first_multiscale,
    floats,
    image_dtype,
    pick_axes,
    readable_levels,
    refuse_labels,
    reversed_triple,
)
from utils.ngff.ome_zarr import same_unit
from utils.ngff.pointers import bdv_unit
from utils.ngff.store import Store

Attributes = dict[str, Any]
# z, y, x and the unit, where one is named.
SizeAndUnit = tuple[Lengths, str | None]

ATTRIBUTES = "attributes.json"
# Where the conventions put an image inside of the folder that people give as its address.
INSIDE = ("setup0/timepoint0", "timepoint0", "c0", "data", "setup0/timepoint0/data")
MOST_LEVELS = 16
# Levels asked for at a time where nothing tells how many there are.
LEVELS_AT_ONCE = 4
MOST_ANCESTORS = 3
# tensorstore refuses metadata with any other field (z5py and n5-java write nthreads, checksum, id).
COMPRESSION_FIELDS = {
    "raw": ("type",),
    "gzip": ("type", "level", "useZlib"),
    "bzip2": ("type", "blockSize"),
    "xz": ("type", "preset"),
    "blosc": ("type", "cname", "clevel", "shuffle", "blocksize"),
    "zstd": ("type", "level"),
    "lz4": ("type", "blockSize"),
}


class AttributesBelow:
    """Attributes of the folders below a store, each asked for once."""

    def __init__(self, store: Store, known: Mapping[str, Attributes | None]) -> None:
        self.store, self._known = store, dict(known)  # small files that were fetched already, by their keys

    def __call__(self, folders: Iterable[str]) -> list[Attributes | None]:
        """The attributes of folders (``""`` is the store's own); None where there are none."""
        keys = [f"{folder}/{ATTRIBUTES}".lstrip("/") for folder in folders]
        new = [key for key in keys if key not in self._known]
        if new:
            self._known |= self.store.read_json(new)
        return [self._known[key] for key in keys]


def n5_levels(store: Store, known: Mapping[str, Attributes | None]) -> list[Level]:
    """Levels of the N5 image at (or just below) `store`, of which some small files are `known`.

    An array lies at the address itself, or is level s0 there or in the first folder of `INSIDE` that has one; the
    attributes of that folder or of those above it list the other levels, or s1, s2, ... are asked for until there are
    no more.

    Raises
    ------
    ValueError
        If no array lies where the conventions put one; for labels, 2-D data, time and channel axes.
    """
    files = AttributesBelow(store, known)
    attributes = files([""])[0] or {}
    refuse_labels(store.address.path, attributes)
    folder, arrays = _find_arrays(files, attributes)
    groups = _groups(files, folder, [array for _, array in arrays.values()])
    unit = bdv_unit(store.at(folder)) if any("multiScale" in g or "downsamplingFactors" in g for g in groups) else None
    _, first = next(iter(arrays.values()))
    base = first_scale(first, groups)
    for path, (_, array) in arrays.items():
        refuse_labels(path, array)
    return readable_levels(
        (path, partial(_level, path, array, partial(level_scale, place, array, first, base, groups), unit))
        for path, (place, array) in arrays.items()
    )


def _is_array(attributes: Attributes | None) -> TypeGuard[Attributes]:
    """Whether attributes describe an array rather than a group."""
    return attributes is not None and "dimensions" in attributes and "dataType" in attributes


def _find_arrays(files: AttributesBelow, attributes: Attributes) -> tuple[str, dict[str, tuple[int, Attributes]]]:
    """The folder that holds the levels; by path below the store, each one's place in the pyramid and its attributes."""
    if _is_array(attributes):
        name = re.fullmatch(r"s(\d+)", files.store.address.name)
        return "", {"": (int(name[1]) if name else 0, attributes)}
    if _lists_levels(attributes) and (here := _present(files, "", _named_levels([attributes]))):
        return "", here
    inner = files(f"{folder}/s0" for folder in INSIDE) if not _is_array(files(["s0"])[0]) else []
    folder = next((folder for folder, first in zip(INSIDE, inner, strict=False) if _is_array(first)), "")
    present = _present(files, folder, _named_levels(_groups_within(files, folder)))
    if not present:
        raise NoImageError(
            f"an N5 folder without an image (looked for s0, s1, ... here and in {', '.join(INSIDE)}); "
            "give the address of the image inside of it"
        )
    return folder, present


def _present(files: AttributesBelow, folder: str, names: Sequence[str]) -> dict[str, tuple[int, Attributes]]:
    """The arrays among levels, asked for a few at a time until there are no more."""
    present: dict[str, tuple[int, Attributes]] = {}
    for start in range(0, len(names), LEVELS_AT_ONCE):
        paths = [f"{folder}/{name}".lstrip("/") for name in names[start : start + LEVELS_AT_ONCE]]
        arrays = files(paths)
        for place, (path, array) in enumerate(zip(paths, arrays, strict=True), start):
            if _is_array(array):
                present[path] = place, array
        if arrays[-1] is None:
            break
    return present


def _lists_levels(attributes: Attributes) -> bool:
    """Whether a group's attributes tell which levels there are."""
    return bool(_listed_paths(attributes) or _listed_factors(attributes))


def _named_levels(groups: Sequence[Attributes]) -> list[str]:
    """Names of levels, as the nearest group has it that lists them; else as many as there may be."""
    for group in groups:
        if _lists_levels(group):
            return _listed_paths(group) or [f"s{index}" for index in range(len(_listed_factors(group)))]
    return [f"s{index}" for index in range(MOST_LEVELS)]


def _listed_paths(group: Attributes) -> list[str]:
    datasets = (first_multiscale(group) or {}).get("datasets") or []
    return [str(d["path"]) for d in datasets if isinstance(d, dict) and d.get("path")]


def _listed_factors(group: Attributes) -> list[Any]:
    listed = group.get("scales") or group.get("downsamplingFactors")
    return listed if _is_listing(listed) else []


def _is_listing(value: Any) -> TypeGuard[list[Any]]:
    """Whether factors are a list with an entry for each level, rather than those of one."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _groups_within(files: AttributesBelow, folder: str) -> list[Attributes]:
    """Attributes of the levels' folder and of those above it down from the store's own, nearest first."""
    inner = folder.split("/") if folder else []
    return [group for group in files("/".join(inner[:depth]) for depth in range(len(inner), -1, -1)) if group]


def _groups(files: AttributesBelow, folder: str, arrays: Sequence[Attributes]) -> list[Attributes]:
    """Attributes of the levels' folder and of those above it, nearest first, as far as sizes depend on them."""
    groups, store = _groups_within(files, folder), files.store
    for _ in range(MOST_ANCESTORS):
        above = store.at("..")
        if sizes_known(list(arrays), groups) or store.address.name.endswith(".n5") or above == store:
            break
        store, attributes = above, above.read_json([ATTRIBUTES])[ATTRIBUTES]
        groups += [attributes] if attributes else []
    return groups


def _level(path: str, array: Attributes, scale_of: Callable[[], SizeAndUnit | None], unit: str | None) -> Level:
    size, block = array["dimensions"], array["blockSize"]
    names = array.get("axes") if len(size) != 3 else None
    if not isinstance(names, list) or len(names) != len(size):
        names = list("xyzct"[: len(size)])
    z, y, x = pick_axes([str(name) for name in names], size)
    scale, own_unit = scale_of() or (None, None)
    return Level(
        path=path,
        shape=(size[z], size[y], size[x]),
        chunk=(block[z], block[y], block[x]),
        dtype=image_dtype(array["dataType"]),
        scale=scale,
        unit=own_unit or unit,
        translation=_translation(array),
        axes=(z, y, x),
        rank=len(size),
        spec={"driver": "n5", "metadata": _clean(array)},
        grid={"kind": "n5", "chunk": chunk_sides(block)},
    )


def _clean(array: Attributes) -> dict[str, Any]:
    """Array metadata with the fields that tensorstore knows, and no other."""
    compression = array.get("compression", array.get("compressionType", "raw"))
    fields = dict(compression) if isinstance(compression, dict) else {"type": compression}
    kind = str(fields.get("type"))
    if kind not in COMPRESSION_FIELDS:
        raise ValueError(f"N5 compression {kind!r} cannot be read; known are {', '.join(COMPRESSION_FIELDS)}")
    known = {key: fields[key] for key in COMPRESSION_FIELDS[kind] if key in fields}
    names = ("dimensions", "blockSize", "dataType")
    return {name: array[name] for name in names} | {"compression": known}


def _transform(array: Attributes) -> SizeAndUnit | None:
    """COSEM's transform of one array, whose axes are in any order."""
    scale, units = _along(array, "scale"), _along(array, "units") or (None, None, None)
    numbers = floats(scale)
    return same_unit(triple(numbers), triple(units)) if numbers else None


def _translation(array: Attributes) -> Lengths | None:
    """Where the first voxel lies by that transform, z, y, x in voxels."""
    scale, moved = (floats(_along(array, key)) for key in ("scale", "translate"))
    return triple(a / b for a, b in zip(moved, scale, strict=True)) if moved and scale and all(scale) else None


def _along(array: Attributes, key: str) -> tuple[Any, Any, Any] | None:
    """What that transform says along z, y and x."""
    transform = array.get("transform")
    if not isinstance(transform, dict):
        return None
    axes, values = [str(axis).lower() for axis in transform.get("axes") or "zyx"], transform.get(key)
    if not isinstance(values, list) or len(values) != len(axes) or not {"z", "y", "x"} <= set(axes):
        return None
    return triple(values[axes.index(axis)] for axis in "zyx")


def _pixel_resolution(attributes: Attributes) -> SizeAndUnit | None:
    """``pixelResolution`` (with or without a unit) or ``resolution``, both x, y, z."""
    value: Any = attributes.get("pixelResolution")
    unit: str | None = None
    if isinstance(value, dict):
        value, unit = value.get("dimensions"), value.get("unit") and str(value["unit"])
    if value is None:
        value, units = attributes.get("resolution"), attributes.get("units")
        unit = units[0] if isinstance(units, list) and len(set(map(str, units))) == 1 else None
    sizes = floats(value[:3] if isinstance(value, list) else value)  # a fourth is a channel's
    return (reversed_triple(sizes), unit) if sizes else None


def _factors(attributes: Attributes, index: int) -> Lengths | None:
    """Downsampling factors of level `index`, from an array's own attributes or from its group's list."""
    for name in ("downsamplingFactors", "scales"):
        value = attributes.get(name)
        if _is_listing(value):
            value = value[index] if index < len(value) else None
        if factors := floats(value):
            return reversed_triple(factors)
    return None


def first_scale(first: Attributes, groups: list[Attributes]) -> SizeAndUnit | None:
    """Size and unit of the first level: its own, or those of the nearest group above it."""
    return next((sized for attributes in (first, *groups) if (sized := _pixel_resolution(attributes))), None)


def level_scale(
    index: int, array: Attributes, first: Attributes, base: SizeAndUnit | None, groups: list[Attributes]
) -> SizeAndUnit | None:
    """Voxel size of one level: its own transform, its own resolution, or the first level's times its factors."""
    if transformed := _transform(array) or _listed_transform(index, groups):
        return transformed
    own, stating = _pixel_resolution(array), [array, *groups]
    if array is first:
        if own or index == 0:  # the base is this level's: factors of a group's list are none of it
            stating = [array]
    elif own and own != _pixel_resolution(first):  # some writers repeat the first level's everywhere
        return own
    if base is None:
        return None
    stated = filter(None, (_factors(attributes, index) for attributes in stating))
    factors = next(stated, None) or _guessed(array, first)
    return triple(length * factor for length, factor in zip(base[0], factors, strict=True)), base[1]


def _listed_transform(index: int, groups: list[Attributes]) -> SizeAndUnit | None:
    multiscale = first_multiscale(groups[0]) if groups else None
    datasets = (multiscale or {}).get("datasets") or []
    return _transform(datasets[index]) if index < len(datasets) and isinstance(datasets[index], dict) else None


def _guessed(array: Attributes, first: Attributes) -> Lengths:
    """Whole downsampling factors by two shapes, where nothing states them."""
    sides = zip(first["dimensions"][:3], array["dimensions"][:3], strict=True)
    return reversed_triple([float(max(1, round(a / b))) for a, b in sides])


def sizes_known(arrays: list[Attributes], groups: list[Attributes]) -> bool:
    """Whether the attributes at hand tell every level's voxel size, so that none further up need be asked for."""
    if all(_transform(array) for array in arrays):
        return True
    base = first_scale(arrays[0], groups)
    listed = any(_factors(group, 0) for group in groups)
    return base is not None and (listed or len(arrays) == 1 or all(_factors(array, 0) for array in arrays))
