"""One level opened by tensorstore, seen as z, y, x from 0."""

import json
from typing import Any

from utils.ngff_faults import wait
from utils.ngff_metadata import Level

# Other writers add these fields to Zarr 3 metadata; tensorstore refuses what it does not know.
_EXTRA_FIELDS = ("nthreads", "storage_transformers")


def open_view(kvstore: Any, level: Level, settings: Any, timeout: float, what: str) -> Any:
    """Open a level over a key-value store as a tensorstore whose axes are z, y, x and begin at 0.

    Raises
    ------
    OSError
        If tensorstore cannot open it, or its shape is not what the metadata says.
    """
    array = wait(_open(kvstore, level, settings), timeout, what)
    origin = array.domain.inclusive_min
    picked = array[tuple(slice(None) if axis in level.axes else origin[axis] for axis in range(level.rank))]
    view = picked.transpose(kept_order(level)).translate_to[0, 0, 0]
    if tuple(view.shape) != tuple(level.shape):
        raise OSError(f"{what}: its array has the shape {tuple(view.shape)}, its metadata says {level.shape}")
    return view


def kept_order(level: Level) -> list[int]:
    """Positions of z, y, x after the other axes are gone."""
    kept = sorted(level.axes)
    return [kept.index(axis) for axis in level.axes]


def _open(kvstore: Any, level: Level, settings: Any) -> Any:
    import tensorstore as ts

    spec = dict(level.spec)
    precomputed = spec["driver"] == "neuroglancer_precomputed"
    metadata = spec.get("metadata") or (None if precomputed else _clean_zarr(level))
    if metadata is not None:
        spec["metadata"] = metadata
    below = kvstore / f"{level.path}/" if level.path and not precomputed else kvstore
    return ts.open(spec, kvstore=below, context=settings, open=True, read=True, assume_metadata=metadata is not None)


def _clean_zarr(level: Level) -> dict | None:
    """Zarr 3 metadata without the fields that tensorstore refuses; None when it has none of them."""
    metadata = level.grid["metadata"]
    if level.grid["kind"] != "zarr3" or not any(f'"{name}"' in json.dumps(metadata) for name in _EXTRA_FIELDS):
        return None
    return _without(metadata, _EXTRA_FIELDS)


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _without(item, names) for key, item in value.items() if key not in names}
    return value
