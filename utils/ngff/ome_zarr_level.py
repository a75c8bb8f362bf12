"""One level of an OME-Zarr image: its axes, voxel size and chunks, by the metadata of image and array."""

import math
from collections.abc import Sequence
from typing import Any

from utils.formats.voxel_size import nm_per
from utils.ngff.metadata import Lengths, Level, Triple, chunk_sides, floats, image_dtype, pick_axes, triple


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
    return array_level(path, array, order, *(same_unit(scale, units) if scale else ()))


def _axis_names(axes: Sequence[Any]) -> list[str]:
    """z, y, x by name; space axes with other names count as z, y, x in their order."""
    names = [str(axis.get("name") if isinstance(axis, dict) else axis).lower() for axis in axes]
    space = [i for i, axis in enumerate(axes) if isinstance(axis, dict) and axis.get("type") == "space"]
    if len(space) == len({names[i] for i in space}) == 3 and {names[i] for i in space} != set("zyx"):
        for i, name in zip(space, "zyx", strict=True):
            names[i] = name
    return names


def _scale(multiscale: dict[str, Any], dataset: dict[str, Any], rank: int, order: Triple) -> Lengths | None:
    transforms = [
        t for owner in (dataset, multiscale) for t in _simple_transforms(owner.get("coordinateTransformations"))
    ]
    stated = [floats(transform.get("scale"), rank) for transform in transforms if transform.get("type") == "scale"]
    scales = [scale for scale in stated if scale]
    return triple(math.prod(scale[axis] for scale in scales) for axis in order) if scales else None


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
    fill = array.get("fill_value")
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
        fill=float(fill) if isinstance(fill, int | float) else (float("nan") if fill == "NaN" else 0.0),
    )


def _inner_chunk(array: dict[str, Any]) -> list[int] | None:
    """The chunk inside a shard: what one request brings."""
    for codec in array.get("codecs") or []:
        if codec.get("name") == "sharding_indexed":
            return list(codec["configuration"]["chunk_shape"])
    return None


def _pick(values: Sequence[int], order: Triple) -> Triple:
    return triple(int(values[axis]) for axis in order)
