"""N5: levels and voxel sizes under the conventions of COSEM, n5-viewer, n5-spark, BigDataViewer/MoBIE and paintera."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from utils.ngff.bdv import bdv_unit
from utils.ngff.metadata import (
    Level,
    NoImageError,
    image_dtype,
    level_or_problem,
    pick_axes,
    refuse_flat,
    refuse_labels,
)
from utils.ngff.n5_sizes import Attributes, Sized, first_scale, level_scale, sizes_known
from utils.ngff.store import Store

ATTRIBUTES = "attributes.json"
# Where the conventions put an image inside of the folder that people give as its address.
INSIDE = ("setup0/timepoint0", "timepoint0", "c0", "data", "setup0/timepoint0/data")
MOST_LEVELS = 16
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


def n5_levels(store: Store, attributes: Attributes) -> list[Level]:
    """Levels of the N5 image at (or just below) `store`, whose own attributes were fetched already.

    Raises
    ------
    ValueError
        If no array lies where the conventions put one; for labels, 2-D data, time and channel axes.
    """
    refuse_labels(store.address.path, attributes)
    folder, arrays = _find_arrays(store, attributes)
    groups = _groups(store, folder, attributes, [array for _, array in arrays.values()])
    unit = bdv_unit(store.at(folder)) if any("multiScale" in g or "downsamplingFactors" in g for g in groups) else None
    _, first = next(iter(arrays.values()))
    base = first_scale(first, groups)
    levels: list[Level] = []
    for path, (place, array) in arrays.items():
        refuse_labels(path, array)
        read = partial(_scaled_level, path, array, unit, partial(level_scale, place, array, first, base, groups))
        levels.append(level_or_problem(path, not levels, read))
    return levels


def _scaled_level(path: str, array: Attributes, unit: str | None, scale: Callable[[], Sized | None]) -> Level:
    return _level(path, array, scale(), unit)


def is_array(attributes: Mapping[str, Any] | None) -> bool:
    """Whether attributes describe an array rather than a group."""
    return attributes is not None and "dimensions" in attributes and "dataType" in attributes


def _find_arrays(store: Store, attributes: Attributes) -> tuple[str, dict[str, tuple[int, Attributes]]]:
    """The folder that holds the levels; by path below `store`, the place of each in the pyramid and its attributes."""
    if is_array(attributes):
        name = re.fullmatch(r"s(\d+)", store.address.name)
        return "", {"": (int(name[1]) if name else 0, attributes)}
    within = [f"{folder}/s0/{ATTRIBUTES}" for folder in INSIDE]
    here = _present(store, "", _named_levels(attributes))
    if here:
        return "", here
    found = store.read_json(within)
    with_first = [folder for folder, name in zip(INSIDE, within, strict=True) if is_array(found[name])]
    for folder in with_first or INSIDE:
        present = _present(store, f"{folder}/", _named_levels({}))
        if present:
            return folder, present
    raise NoImageError(
        f"an N5 folder without an image (looked for s0, s1, ... here and in {', '.join(INSIDE)}); "
        "give the address of the image inside of it"
    )


def _present(store: Store, prefix: str, names: list[str]) -> dict[str, tuple[int, Attributes]]:
    """The arrays among levels, asked for a few at a time until there are no more."""
    present: dict[str, tuple[int, Attributes]] = {}
    for start in range(0, len(names), LEVELS_AT_ONCE):
        paths = [prefix + name for name in names[start : start + LEVELS_AT_ONCE]]
        found = store.read_json([f"{path}/{ATTRIBUTES}" for path in paths])
        arrays = {path: found[f"{path}/{ATTRIBUTES}"] for path in paths}
        places = enumerate(arrays.items(), start)
        some = {path: (place, array) for place, (path, array) in places if array is not None and is_array(array)}
        present |= some
        if arrays[paths[-1]] is None:
            break
    return present


def _named_levels(attributes: Attributes) -> list[str]:
    multiscales = attributes.get("multiscales")
    if isinstance(multiscales, list) and multiscales and isinstance(multiscales[0], dict):
        named = [str(d["path"]) for d in multiscales[0].get("datasets") or [] if isinstance(d, dict) and d.get("path")]
        if named:
            return named
    listed = attributes.get("scales") or attributes.get("downsamplingFactors")
    counted = isinstance(listed, list) and bool(listed) and isinstance(listed[0], list)
    return [f"s{index}" for index in range(len(listed) if counted and listed else MOST_LEVELS)]


def _groups(store: Store, folder: str, attributes: Attributes, arrays: Iterable[Attributes]) -> list[Attributes]:
    """Attributes of the levels' folder and of those above it, nearest first, as far as sizes depend on them."""
    inner = folder.split("/") if folder else []
    below = ["/".join(inner[:depth]) for depth in range(len(inner), 0, -1)]
    found = store.read_json([f"{path}/{ATTRIBUTES}" for path in below])
    groups = [group for group in (*(found[f"{path}/{ATTRIBUTES}"] for path in below), attributes) if group]
    for up in range(1, 1 + MOST_ANCESTORS):
        if sizes_known(list(arrays), groups):
            break
        above = store.at(*[".."] * up).read_json([ATTRIBUTES])[ATTRIBUTES]
        groups += [above] if above else []
    return groups


def _level(path: str, array: Attributes, sized: Sized | None, unit: str | None) -> Level:
    size, block = array["dimensions"], array["blockSize"]
    names = array.get("axes") if len(size) != 3 else None
    if not isinstance(names, list) or len(names) != len(size):
        names = list("xyzct"[: len(size)])
    z, y, x = pick_axes([str(name) for name in names], size)
    refuse_flat([size[z], size[y], size[x]])
    scale, own_unit = sized or (None, None)
    return Level(
        path=path,
        shape=(size[z], size[y], size[x]),
        chunk=(block[z], block[y], block[x]),
        dtype=image_dtype(array["dataType"]),
        scale=scale,
        unit=own_unit or unit,
        axes=(z, y, x),
        rank=len(size),
        spec={"driver": "n5", "metadata": _clean(array)},
        grid={"kind": "n5", "chunk": list(block)},
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
