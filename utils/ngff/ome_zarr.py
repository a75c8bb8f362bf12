"""OME-Zarr 0.4 and 0.5 (and plain Zarr arrays): levels from ``.zattrs`` or ``zarr.json``."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from utils.ngff.containers import several_images
from utils.ngff.metadata import (
    Level,
    NoImageError,
    first_multiscale,
    pick_axes,
    readable_levels,
    refuse_flat,
    refuse_labels,
)
from utils.ngff.ome_zarr_level import array_level, coordinate_axes, level_of
from utils.ngff.store import Store

ARRAY_KEYS = (".zarray", "zarr.json")
MOST_ANCESTORS = 2
# Images of a bioformats2raw layout that are looked for where nothing lists them.
MOST_SERIES = 4
GROUP_KEYS = (".zattrs", "zarr.json")


def zarr_levels(store: Store, found: Mapping[str, dict[str, Any] | None]) -> list[Level]:
    """Levels of the image at `store`, whose small files (`found`) were fetched already.

    Raises
    ------
    ValueError
        For plates, wells, labels, drafts of OME-Zarr 0.6, 2-D data, several channels or time points.
    NoImageError
        If there is no Zarr metadata.
    """
    attributes = group_attributes(found)
    refuse_labels(store.address.path, attributes)
    _refuse_plates(attributes, store)
    if "multiscales" in attributes:
        return _multiscale_levels(store, attributes, v3=found.get("zarr.json") is not None)
    if array_metadata(found):
        return [_level_of_parent(store, found) or _plain_level(found)]
    if found.get(".zattrs") is None and found.get("zarr.json") is None and found.get(".zgroup") is None:
        raise NoImageError("no Zarr metadata (.zattrs, .zarray or zarr.json)")
    return _only_series(store, "bioformats2raw.layout" in attributes)


def group_attributes(found: Mapping[str, dict[str, Any] | None]) -> dict[str, Any]:
    """Attributes of a group; those of OME-Zarr 0.5 are lifted out of ``ome``."""
    v3 = (found.get("zarr.json") or {}).get("attributes") or {}
    ome = v3.get("ome")
    return {**(found.get(".zattrs") or {}), **v3, **(ome if isinstance(ome, dict) else {})}


def array_metadata(found: Mapping[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    """The metadata of an array (Zarr 2 or 3) among files already fetched; None for a group."""
    v3 = found.get("zarr.json")
    if v3 and v3.get("node_type") == "array":
        return v3
    return found.get(".zarray")


def _refuse_plates(attributes: dict[str, Any], store: Store) -> None:
    for kind, members in (("plate", "wells"), ("well", "images")):
        if kind in attributes:
            listed = (attributes[kind] or {}).get(members) or [{}]
            first = f"{store}/{listed[0].get('path', 'A/1')}" + ("/0" if kind == "plate" else "")
            raise ValueError(f"a {kind} layout with many images; give the address of one, such as {first}")


def _only_series(store: Store, declared: bool) -> list[Level]:
    """The image of a bioformats2raw layout, 0; several (as its OME group lists them, or 0, 1, ...) are named."""
    listed = group_attributes(_groups_of(store, ["OME"])["OME"]).get("series")
    images = [str(name) for name in listed] if isinstance(listed, list) else []
    names = images or [*map(str, range(MOST_SERIES))]
    inner = _groups_of(store, _plain(names)) if len(images) < 2 else {}
    if inner:
        images = [name for name, files in inner.items() if "multiscales" in group_attributes(files)]
    if len(images) > 1:
        raise several_images(images)
    if not images or images[0] not in inner:
        where = "" if not declared else " although it declares the layout of bioformats2raw"
        raise NoImageError(f"a Zarr group without multiscales{where}; give the address of the image itself")
    (name,) = images
    return [replace(level, path=f"{name}/{level.path}") for level in zarr_levels(store.at(name), inner[name])]


def _plain(names: Sequence[str]) -> list[str]:
    """The names that lead nowhere else than into a folder of this name."""
    return [name for name in names if name.strip("./") == name and "/" not in name]


def _groups_of(store: Store, names: Iterable[str]) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Small files of groups below a store, by the groups' names."""
    keys = {name: {key: f"{name}/{key}" for key in GROUP_KEYS} for name in names}
    found = store.read_json([place for places in keys.values() for place in places.values()])
    return {name: {key: found[place] for key, place in places.items()} for name, places in keys.items()}


def _multiscale_levels(store: Store, attributes: dict[str, Any], *, v3: bool) -> list[Level]:
    multiscale = first_multiscale(attributes)
    if multiscale is None:
        raise ValueError("its multiscales are empty")
    axes = coordinate_axes(multiscale, attributes)
    if len(attributes["multiscales"]) > 1:
        warnings.warn("several multiscales are described; the first is taken", stacklevel=2)
    datasets = [d for d in multiscale.get("datasets") or [] if isinstance(d, dict) and d.get("path") is not None]
    if not datasets:
        raise ValueError("its multiscales list no datasets")
    paths = [str(dataset["path"]) for dataset in datasets]
    arrays = _arrays(store, paths, v3)
    return readable_levels(
        (path, partial(level_of, path, array_metadata(arrays[path]), axes, multiscale, dataset))
        for path, dataset in zip(paths, datasets, strict=True)
    )


def _arrays(store: Store, paths: Sequence[str], v3: bool) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Small files of arrays: those of the group's own version of Zarr first, of the other where there is none."""
    found: dict[str, dict[str, dict[str, Any] | None]] = {path: {} for path in paths}
    for key in ARRAY_KEYS[::-1] if v3 else ARRAY_KEYS:
        lacking = [path for path, files in found.items() if not any(files.values())]
        files = store.read_json([f"{path}/{key}" for path in lacking]) if lacking else {}
        for path in lacking:
            found[path][key] = files[f"{path}/{key}"]
    return found


def _level_of_parent(store: Store, found: Mapping[str, dict[str, Any] | None]) -> Level | None:
    """A level whose own address was given, with the size that the multiscale above it gives it."""
    pieces = [piece for piece in store.address.path.split("/") if piece]
    for up in range(1, min(MOST_ANCESTORS, len(pieces)) + 1):
        attributes = group_attributes(store.at(*[".."] * up).read_json(GROUP_KEYS))
        multiscale = first_multiscale(attributes) or {}
        path = "/".join(pieces[-up:])
        for dataset in multiscale.get("datasets") or []:
            if str(dataset.get("path")).strip("/") == path:
                return level_of("", array_metadata(found), coordinate_axes(multiscale, attributes), multiscale, dataset)
    return None


def _plain_level(found: Mapping[str, dict[str, Any] | None]) -> Level:
    array = array_metadata(found) or {}
    shape = array.get("shape") or []
    if len(shape) != 3:
        names = [str(n) for n in array.get("dimension_names") or "tczyx"[-len(shape) :]]
        order = pick_axes(names, shape)
    else:
        refuse_flat(shape)
        order = (0, 1, 2)
    return array_level("", array, order)
