"""One level of an OME-Zarr image: its axes, voxel size and chunks, by the metadata of image and array."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.formats.voxel_size import nm_per
from utils.ngff.metadata import (
    Lengths,
    Level,
    Triple,
    floats,
    image_dtype,
    pick_axes,
)


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
    outputs = {
        (transform.get("output") or {}).get("name")
        if isinstance(transform.get("output"), dict)
        else transform.get("output")
        for dataset in multiscale.get("datasets") or []
        for transform in dataset.get("coordinateTransformations") or []
    }
    axes: Sequence[Any] = next((system for system in systems if system.get("name") in outputs), systems[0])["axes"]
    return axes


def simple_transforms(transforms: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Transformations as scales and translations, sequences taken apart.

    Raises
    ------
    ValueError
        For others (rotation, affine, displacements ...), by name.
    """
    found = []
    for transform in transforms or []:
        kind = transform.get("type")
        if kind == "sequence":
            found += simple_transforms(transform.get("transformations"))
        elif kind in ("scale", "translation", "identity"):
            found.append(transform)
        else:
            raise ValueError(f"a coordinate transformation {kind!r} is more than scale and translation")
    return found


def level_of(path: str, array: dict[str, Any] | None, multiscale: dict[str, Any], dataset: dict[str, Any]) -> Level:
    """A level of a multiscale image, by its array's metadata and its dataset's transformations.

    Raises
    ------
    ValueError
        If they do not fit each other.
    """
    if array is None:
        raise ValueError(f"level {path!r} has no array metadata (.zarray or zarr.json)")
    shape = array.get("shape") or []
    axes: Sequence[Any] = multiscale.get("axes") or list("tczyx")
    if len(axes) != len(shape):
        raise ValueError(f"{len(axes)} axes but an array of {len(shape)} ({path})")
    names = _axis_names(axes)
    order = pick_axes(names, shape)
    units = [axes[i].get("unit") if isinstance(axes[i], dict) else None for i in order]
    scale = _scale(multiscale, dataset, len(shape), order)
    scale, unit = same_unit(scale, units)
    return array_level(path, array, order, scale, unit)


def _axis_names(axes: Sequence[Any]) -> list[str]:
    """z, y, x by name; space axes with other names count as z, y, x in their order."""
    names = [str(axis.get("name") if isinstance(axis, dict) else axis).lower() for axis in axes]
    space = [i for i, axis in enumerate(axes) if isinstance(axis, dict) and axis.get("type") == "space"]
    if len(space) == 3 and {names[i] for i in space} != set("zyx"):
        for i, name in zip(space, "zyx", strict=True):
            names[i] = name
    return names


def _scale(multiscale: dict[str, Any], dataset: dict[str, Any], rank: int, order: Triple) -> Lengths | None:
    product = None
    for transforms in (dataset.get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for transform in simple_transforms(transforms):
            values = floats(transform.get("scale"), rank) if transform.get("type") == "scale" else None
            if values:
                product = np.array(values) * (1.0 if product is None else product)
    return None if product is None else (float(product[order[0]]), float(product[order[1]]), float(product[order[2]]))


def same_unit(scale: Lengths | None, units: Sequence[str | None]) -> tuple[Lengths | None, str | None]:
    """Bring a scale whose axes have different units to nanometres; one unit stays as it is."""
    if scale is None or len(set(units)) == 1:
        return scale, units[0]
    factors = [nm_per(unit) if unit else None for unit in units]
    if any(factor is None for factor in factors):
        return scale, None
    z, y, x = (length * (factor or 1.0) for length, factor in zip(scale, factors, strict=True))
    return (z, y, x), "nm"


def array_level(
    path: str, array: dict[str, Any], order: Triple, scale: Lengths | None = None, unit: str | None = None
) -> Level:
    """The level of one Zarr array whose z, y, x axes are known."""
    v3 = array.get("node_type") == "array"
    name = array.get("data_type" if v3 else "dtype")
    dtype = image_dtype(name if isinstance(name, str) else repr(name))
    outer = array["chunk_grid"]["configuration"]["chunk_shape"] if v3 else array["chunks"]
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
        grid={"kind": "zarr3" if v3 else "zarr", "metadata": array, "chunk": list(outer)},
        fill=float(fill) if isinstance(fill, int | float) else (float("nan") if fill == "NaN" else 0.0),
    )


def _inner_chunk(array: dict[str, Any]) -> list[int] | None:
    """The chunk inside a shard: what one request brings."""
    for codec in array.get("codecs") or []:
        if codec.get("name") == "sharding_indexed":
            return list(codec["configuration"]["chunk_shape"])
    return None


def _pick(values: Sequence[int], order: Triple) -> Triple:
    return (int(values[order[0]]), int(values[order[1]]), int(values[order[2]]))
