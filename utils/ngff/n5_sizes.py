"""Voxel sizes of N5 levels, from whichever of the many attributes a convention writes."""

from typing import Any

from utils.ngff.metadata import Lengths, first_multiscale, floats, reversed_triple, triple
from utils.ngff.ome_zarr_level import same_unit

Attributes = dict[str, Any]
# z, y, x and the unit, where one is named.
SizeAndUnit = tuple[Lengths, str | None]


def _transform(array: Attributes) -> SizeAndUnit | None:
    """COSEM's transform of one array, whose axes are in any order."""
    transform = array.get("transform")
    if not isinstance(transform, dict):
        return None
    axes = [str(axis).lower() for axis in transform.get("axes") or "zyx"]
    scale = floats(transform.get("scale"), len(axes))
    if scale is None or not {"z", "y", "x"} <= set(axes):
        return None
    order = [axes.index(axis) for axis in "zyx"]
    units = transform.get("units") or [None] * len(axes)
    return same_unit(triple(scale[i] for i in order), [units[i] for i in order])


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
        listed = isinstance(value, list) and bool(value) and isinstance(value[0], list)
        if listed and value is not None and index < len(value):
            value = value[index]
        factors = floats(value)
        if factors:
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
