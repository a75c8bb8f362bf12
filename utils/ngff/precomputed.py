"""Neuroglancer precomputed: the levels that an ``info`` file describes."""

import warnings
from functools import partial
from typing import Any

import numpy as np

from utils.ngff.metadata import (
    Level,
    floats,
    image_dtype,
    readable_levels,
    refuse_flat,
    refuse_segmentation,
    reversed_triple,
)

ENCODINGS = ("raw", "jpeg", "png")


def precomputed_levels(info: dict[str, Any]) -> list[Level]:
    """Levels of a precomputed volume, sorted from fine to coarse as the file lists them.

    Raises
    ------
    ValueError
        For meshes, skeletons, segmentations, several channels and 2-D data.
    """
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales:
        kind = info.get("@type") or info.get("type") or "something else"
        raise ValueError(f"its info describes {kind}, not a volume with scales")
    if info.get("type") == "segmentation":
        refuse_segmentation("type 'segmentation' in its info")
    channels = info.get("num_channels", 1)
    if channels != 1:
        raise ValueError(f"the channel axis has {channels} entries; expected one")
    dtype = image_dtype(str(info.get("data_type", "")).lower())
    levels = readable_levels((f"s{i}", partial(_level, info, i, dtype)) for i in range(len(scales)))
    refuse_flat(levels[0].shape)
    return levels


def _level(info: dict[str, Any], index: int, dtype: np.dtype) -> Level:
    scale = info["scales"][index]
    encoding = str(scale.get("encoding", "raw"))
    if encoding == "compressed_segmentation":
        refuse_segmentation("encoding 'compressed_segmentation'")
    elif encoding not in ENCODINGS:
        raise ValueError(f"chunks encoded as {encoding!r} cannot be read; known are {', '.join(ENCODINGS)}")
    try:
        size, chunk = reversed_triple(scale["size"]), reversed_triple(scale["chunk_sizes"][0])
        resolution = floats(scale["resolution"])
        offset = reversed_triple(scale.get("voxel_offset", [0, 0, 0]))
        key = str(scale["key"])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"scale {index} of its info lacks or garbles {error}") from error
    if resolution is None:
        warnings.warn(f"scale {index} has no usable resolution: {scale.get('resolution')!r}", stacklevel=2)
    return Level(
        path=key,
        shape=size,
        chunk=chunk,
        dtype=dtype,
        scale=reversed_triple(resolution) if resolution else None,
        unit="nm",
        offset=offset,
        translation=(0.0, 0.0, 0.0),  # the offset says it all
        axes=(2, 1, 0),
        rank=4,
        spec=_spec(info, scale, resolution),
        grid={"kind": "precomputed", "sharded": scale.get("sharding") is not None},
    )


def _spec(info: dict[str, Any], scale: dict[str, Any], resolution: tuple[float, ...] | None) -> dict[str, Any]:
    """One scale as tensorstore wants it, so that it reads no info again, whose other scales may be broken."""
    known = ("key", "size", "encoding", "voxel_offset", "sharding", "compressed_segmentation_block_size")
    described = {name: scale[name] for name in known if scale.get(name) is not None}
    described |= {"chunk_size": scale["chunk_sizes"][0], "resolution": resolution or (1.0, 1.0, 1.0)}
    image = {"type": info.get("type", "image"), "data_type": str(info["data_type"]).lower(), "num_channels": 1}
    return {"driver": "neuroglancer_precomputed", "multiscale_metadata": image, "scale_metadata": described}
