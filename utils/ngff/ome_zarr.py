"""OME-Zarr 0.4 and 0.5 (and plain Zarr arrays): levels, their axes, sizes and chunks."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from utils.axes import Lengths, Triple, triple
from utils.formats.voxel_size import nm_per
from utils.ngff.containers import several_images
from utils.ngff.metadata import (
    Level,
    NoImageError,
    chunk_sides,
    first_multiscale,
    floats,
    image_dtype,
    pick_axes,
    readable_levels,
    refuse_flat,
    refuse_labels,
)
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
    attributes = _group_attributes(found)
    refuse_labels(store.address.path, attributes)
    _refuse_plates(attributes, store)
    if "multiscales" in attributes:
        return _multiscale_levels(store, attributes, v3=found.get("zarr.json") is not None)
    if _array_metadata(found):
        return [_level_of_parent(store, found) or _plain_level(found)]
    if found.get(".zattrs") is None and found.get("zarr.json") is None and found.get(".zgroup") is None:
        raise NoImageError("no Zarr metadata (.zattrs, .zarray or zarr.json)")
    return _only_series(store, "bioformats2raw.layout" in attributes)


def _group_attributes(found: Mapping[str, dict[str, Any] | None]) -> dict[str, Any]:
    """Attributes of a group; those of OME-Zarr 0.5 are lifted out of ``ome``."""
    v3 = (found.get("zarr.json") or {}).get("attributes") or {}
    ome = v3.get("ome")
    return {**(found.get(".zattrs") or {}), **v3, **(ome if isinstance(ome, dict) else {})}


def _array_metadata(found: Mapping[str, dict[str, Any] | None]) -> dict[str, Any] | None:
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
    listed = _group_attributes(_groups_of(store, ["OME"])["OME"]).get("series")
    images = [str(name) for name in listed] if isinstance(listed, list) else []
    names = images or [*map(str, range(MOST_SERIES))]
    inner = _groups_of(store, _plain(names)) if len(images) < 2 else {}
    if inner:
        images = [name for name, files in inner.items() if "multiscales" in _group_attributes(files)]
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
        (path, partial(level_of, path, _array_metadata(arrays[path]), axes, multiscale, dataset))
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
        attributes = _group_attributes(store.at(*[".."] * up).read_json(GROUP_KEYS))
        multiscale = first_multiscale(attributes) or {}
        path = "/".join(pieces[-up:])
        for dataset in multiscale.get("datasets") or []:
            if str(dataset.get("path")).strip("/") == path:
                return level_of(
                    "", _array_metadata(found), coordinate_axes(multiscale, attributes), multiscale, dataset
                )
    return None


def _plain_level(found: Mapping[str, dict[str, Any] | None]) -> Level:
    array = _array_metadata(found) or {}
    shape = array.get("shape") or []
    if len(shape) != 3:
        names = [str(n) for n in array.get("dimension_names") or "tczyx"[-len(shape) :]]
        order = pick_axes(names, shape)
    else:
        refuse_flat(shape)
        order = (0, 1, 2)
    return array_level("", array, order)


def coordinate_axes(multiscale: dict[str, Any], attributes: dict[str, Any]) -> Sequence[Any]:
    """The axes of a multiscale: listed (to 0.5), or those of its first coordinate system (0.6, RFC-5).

    Raises
    ------
    ValueError
        If a coordinate system has no axes.
    """
    if "coordinateSystems" not in multiscale:
        return multiscale.get("axes") or list("tczyx")
    systems = [system for system in multiscale["coordinateSystems"] or [] if system.get("axes")]
    if not systems:
        version = multiscale.get("version") or attributes.get("version") or "0.6"
        raise ValueError(f"OME-Zarr {version}: its coordinateSystems have no axes")
    datasets = multiscale.get("datasets") or []
    outputs = [t.get("output") for dataset in datasets for t in dataset.get("coordinateTransformations") or []]
    names = [output.get("name") if isinstance(output, dict) else output for output in outputs]
    axes: Sequence[Any] = next((system for system in systems if system.get("name") in names), systems[0])["axes"]
    return axes


def _simple_transforms(transforms: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Transformations as scales and translations, sequences taken apart; others (rotation, affine ...) are refused."""
    found = []
    for transform in transforms or []:
        kind = transform.get("type")
        if kind == "sequence":
            found += _simple_transforms(transform.get("transformations"))
        elif kind in ("scale", "translation", "identity"):
            found.append(transform)
        else:
            raise ValueError(f"a coordinate transformation {kind!r} is more than scale and translation")
    return found


def level_of(
    path: str, array: dict[str, Any] | None, axes: Sequence[Any], multiscale: dict[str, Any], dataset: dict[str, Any]
) -> Level:
    """A level of a multiscale image, by its array's metadata and its dataset's transformations.

    Raises
    ------
    ValueError
        If they do not fit each other.
    """
    if array is None:
        raise ValueError(f"level {path!r} has no array metadata (.zarray or zarr.json)")
    shape = array.get("shape") or []
    if len(axes) != len(shape):
        raise ValueError(f"{len(axes)} axes but an array of {len(shape)} ({path})")
    order = pick_axes(_axis_names(axes), shape)
    units = [axes[i].get("unit") if isinstance(axes[i], dict) else None for i in order]
    scale = _scale(multiscale, dataset, len(shape), order)
    level = array_level(path, array, order, *(same_unit(scale, units) if scale else ()))
    return replace(level, translation=_translation(multiscale, dataset, len(shape), order))


def _axis_names(axes: Sequence[Any]) -> list[str]:
    """z, y, x by name; space axes with other names count as z, y, x in their order."""
    names = [str(axis.get("name") if isinstance(axis, dict) else axis).lower() for axis in axes]
    space = [i for i, axis in enumerate(axes) if isinstance(axis, dict) and axis.get("type") == "space"]
    if len(space) == len({names[i] for i in space}) == 3 and {names[i] for i in space} != set("zyx"):
        for i, name in zip(space, "zyx", strict=True):
            names[i] = name
    return names


def _transforms(multiscale: dict[str, Any], dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """The transformations of a level, in the order in which they apply."""
    return [t for owner in (dataset, multiscale) for t in _simple_transforms(owner.get("coordinateTransformations"))]


def _scale(multiscale: dict[str, Any], dataset: dict[str, Any], rank: int, order: Triple) -> Lengths | None:
    transforms = _transforms(multiscale, dataset)
    stated = [floats(transform.get("scale"), rank) for transform in transforms if transform.get("type") == "scale"]
    scales = [scale for scale in stated if scale]
    return triple(math.prod(scale[axis] for scale in scales) for axis in order) if scales else None


def _translation(multiscale: dict[str, Any], dataset: dict[str, Any], rank: int, order: Triple) -> Lengths | None:
    """Where the first voxel lies, z, y, x, in voxels: what is scaled after a translation scales that, too."""
    scale, moved, is_stated = [1.0] * rank, [0.0] * rank, False
    for transform in _transforms(multiscale, dataset):
        if factors := floats(transform.get("scale"), rank):
            scale, moved = ([a * b for a, b in zip(sides, factors, strict=True)] for sides in (scale, moved))
        elif steps := floats(transform.get("translation"), rank):
            moved, is_stated = [a + b for a, b in zip(moved, steps, strict=True)], True
    return triple(moved[axis] / scale[axis] for axis in order) if is_stated and all(scale) else None


def same_unit(scale: Lengths, units: Sequence[str | None]) -> tuple[Lengths, str | None]:
    """Bring a scale whose axes have different units to nanometres; one unit stays as it is."""
    if len(set(units)) == 1:
        return scale, units[0]
    factors = [factor for unit in units if unit and (factor := nm_per(unit))]
    if len(factors) < len(units):
        return scale, None
    return triple(length * factor for length, factor in zip(scale, factors, strict=True)), "nm"


def array_level(
    path: str, array: dict[str, Any], order: Triple, scale: Lengths | None = None, unit: str | None = None
) -> Level:
    """The level of one Zarr array whose z, y, x axes are known."""
    v3 = array.get("node_type") == "array"
    name = array.get("data_type" if v3 else "dtype")
    dtype = image_dtype(name if isinstance(name, str) else repr(name))
    outer = chunk_sides(array["chunk_grid"]["configuration"]["chunk_shape"] if v3 else array["chunks"])
    chunk = _inner_chunk(array) or outer
    return Level(
        path=path,
        shape=_pick(array["shape"], order),
        chunk=_pick(chunk, order),
        dtype=dtype,
        scale=scale,
        unit=unit,
        axes=order,
        rank=len(array["shape"]),
        spec={"driver": "zarr3" if v3 else "zarr"},
        grid={"kind": "zarr3" if v3 else "zarr", "metadata": array, "chunk": outer},
        fill=_fill(array.get("fill_value")),
    )


def _fill(value: Any) -> float:
    """A fill value as a number: strings are NaN and the infinities, nothing and what is no number are 0."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _inner_chunk(array: dict[str, Any]) -> list[int] | None:
    """The chunk inside a shard: what one request brings."""
    for codec in array.get("codecs") or []:
        if codec.get("name") == "sharding_indexed":
            return list(codec["configuration"]["chunk_shape"])
    return None


def _pick(values: Sequence[int], order: Triple) -> Triple:
    return triple(int(values[axis]) for axis in order)
