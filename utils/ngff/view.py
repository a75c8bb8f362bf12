"""One level opened by tensorstore, seen as z, y, x from 0."""

from typing import Any

from utils.ngff.errors import explain, wait
from utils.ngff.metadata import Level

# Other writers add these fields to Zarr metadata; tensorstore refuses what it does not know.
_EXTRA_FIELDS = ("nthreads", "storage_transformers")


def open_view(kvstore: Any, level: Level, settings: Any, timeout: float, what: str) -> Any:
    """Open a level over a key-value store as a tensorstore whose axes are z, y, x and begin at 0.

    Raises
    ------
    OSError
        If tensorstore cannot open it, or its shape is not what the metadata says.
    """
    try:
        opening = _open(kvstore, level, settings)
    except (ValueError, OverflowError) as error:
        raise explain(error, what) from error
    array = wait(opening, timeout, what)
    view = array[tuple(level.stored([slice(None)] * 3, 0))].transpose(level.kept_order).translate_to[0, 0, 0]
    if tuple(view.shape) != tuple(level.shape):
        raise OSError(f"{what}: its array has the shape {tuple(view.shape)}, its metadata says {level.shape}")
    return view


def _open(kvstore: Any, level: Level, settings: Any) -> Any:
    import tensorstore as ts

    # What was fetched stays as it is for as long as a run lasts: no chunk in the cache is asked for again.
    spec = {**level.spec, "recheck_cached_data": False}
    precomputed = spec["driver"] == "neuroglancer_precomputed"
    if not precomputed:
        spec.setdefault("metadata", _without(level.grid.get("metadata"), _EXTRA_FIELDS))
    below = kvstore / f"{level.path}/" if level.path and not precomputed else kvstore
    # The metadata was read before: assuming it saves a request for every level.
    return ts.open(spec, kvstore=below, context=settings, open=True, read=True, assume_metadata=True)


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _without(item, names) for key, item in value.items() if key not in names}
    return value
