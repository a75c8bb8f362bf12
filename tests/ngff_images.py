"""One small pyramid written by other libraries in every convention that the suite reads."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tensorstore as ts
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from utils.ngff.access import Access
from utils.ngff.multiscale import open_multiscale

SIZES = [(30.0, 8.0, 6.0), (30.0, 16.0, 12.0), (60.0, 32.0, 24.0)]
FACTORS = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]
COMPRESSIONS: dict[str, dict[str, Any]] = {
    "raw": {"type": "raw"},
    "gzip": {"type": "gzip", "level": 4, "useZlib": False},
    "bzip2": {"type": "bzip2", "blockSize": 5},
    "xz": {"type": "xz", "preset": 1},
    "blosc": {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
    "zstd": {"type": "zstd", "level": 3},
}

WRITTEN: dict[tuple[Any, ...], dict[str, Buffer]] = {}


def pyramid(shape: tuple[int, int, int] = (24, 40, 52), dtype: str = "uint8", seed: int = 0) -> list[np.ndarray]:
    """Levels s0 (z, y, x), s1 (y and x halved), s2 (all halved); no voxel is 0."""
    noise = np.random.default_rng(seed).integers(1, 250, shape)
    first = (noise * (1 if np.dtype(dtype).itemsize == 1 else 100)).astype(dtype)
    return [first, first[:, ::2, ::2], first[::2, ::4, ::4]]


def write_json(path: Path, value: dict) -> None:
    """Write (or overwrite) a small JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def ome_attributes(
    scales: Sequence[Sequence[float]], axes: str = "zyx", unit: str | None = "nanometer", version: str = "0.4"
) -> dict:
    """OME-Zarr attributes with datasets 0, 1, ...; `scales` along `axes`."""
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in described:
        if axis["type"] == "space" and unit:
            axis["unit"] = unit
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
        for i, scale in enumerate(scales)
    ]
    return {"multiscales": [{"version": version, "axes": described, "datasets": datasets}]}


def write_ome_zarr(
    root: Path,
    levels: Sequence[np.ndarray],
    *,
    version: str = "0.4",
    sizes: Sequence[Sequence[float]] = SIZES,
    axes: str = "zyx",
    unit: str | None = "nanometer",
    chunk: int = 16,
    **options: Any,
) -> Path:
    """Write a multiscale with zarr-python: Zarr 2 for 0.4, Zarr 3 for 0.5; what it has written before is copied."""
    asked = (version, str(sizes), axes, unit, chunk, str(options))
    key = (*asked, *((level.shape, level.dtype.str, level.tobytes()) for level in levels))
    if key not in WRITTEN:
        WRITTEN[key] = {}
        zarr_format: Literal[2, 3] = 2 if version == "0.4" else 3
        group = zarr.open_group(store=MemoryStore(WRITTEN[key]), mode="w", zarr_format=zarr_format)
        extra = len(axes) - 3
        attributes = ome_attributes([[1.0] * extra + list(s) for s in sizes[: len(levels)]], axes, unit, version)
        group.attrs.update(attributes if version == "0.4" else {"ome": {"version": version, **attributes}})
        for index, level in enumerate(levels):
            data = level.reshape((1,) * extra + level.shape) if level.ndim == 3 else level
            chunks = tuple(min(chunk, n) for n in data.shape)
            array = group.create_array(str(index), shape=data.shape, chunks=chunks, dtype=data.dtype, **options)
            array[:] = data
    shutil.rmtree(root, ignore_errors=True)
    for folder in {(root / name).parent for name in WRITTEN[key]}:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in WRITTEN[key].items():
        (root / name).write_bytes(content.to_bytes())
    return root


def write_n5_array(path: Path, level: np.ndarray, compression: dict | None = None, **attributes: Any) -> None:
    """Write one N5 array with tensorstore, then add attributes as other libraries do."""
    spec = {
        "driver": "n5",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "dimensions": list(level.shape[::-1]),
            "blockSize": [16] * level.ndim,
            "dataType": level.dtype.name,
            "compression": compression or COMPRESSIONS["gzip"],
        },
    }
    array = ts.open(spec, create=True, open=True).result()
    array.write(level.transpose()).result()
    file = path / "attributes.json"
    write_json(file, json.loads(file.read_text()) | attributes)


def write_precomputed(
    root: Path, levels: Sequence[np.ndarray], encoding: str = "raw", offset: Sequence[int] = (0, 0, 0), **scale: Any
) -> Path:
    """Write a precomputed volume with tensorstore; `offset` is x, y, z."""
    for index, level in enumerate(levels):
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{root}/"},
            "multiscale_metadata": {"type": "image", "data_type": level.dtype.name, "num_channels": 1},
            "scale_metadata": {
                "size": list(level.shape[::-1]),
                "encoding": encoding,
                "chunk_size": [16, 16, 16],
                "resolution": list(SIZES[index][::-1]),
                "voxel_offset": list(offset),
                **scale,
            },
        }
        array = ts.open(spec, create=True, open=True).result()
        array[ts.d[:3].translate_to[0]].write(level.transpose()[..., None]).result()
    return root


def write_bdv(root: Path, levels: Sequence[np.ndarray]) -> Path:
    """Write a BigDataViewer N5 with its XML."""
    for i, level in enumerate(levels):
        write_n5_array(root / "a.n5/setup0/timepoint0" / f"s{i}", level, downsamplingFactors=FACTORS[i])
    write_json(root / "a.n5/attributes.json", {"n5": "2.0.0"})
    write_json(root / "a.n5/setup0/attributes.json", {"downsamplingFactors": FACTORS})
    about = {"multiScale": True, "resolution": [0.006, 0.008, 0.03]}
    write_json(root / "a.n5/setup0/timepoint0/attributes.json", about)
    (root / "a.xml").write_text(
        '<SpimData><SequenceDescription><ImageLoader format="bdv.n5"><n5 type="relative">a.n5</n5></ImageLoader>'
        "<ViewSetups><ViewSetup><id>0</id><voxelSize><unit>micrometer</unit></voxelSize></ViewSetup></ViewSetups>"
        "</SequenceDescription></SpimData>"
    )
    return root / "a.n5"


def check(
    url: Path | str, levels: Sequence[np.ndarray], sizes=SIZES, access: Access | None = None, tolerance: int = 0
) -> None:
    """Every level has the voxels and the voxel size that it should have, whole and by region."""
    image = open_multiscale(url, access)
    assert [level.shape for level in image.levels] == [level.shape for level in levels]
    for index, level in enumerate(levels):
        with image.open_level(index) as volume:
            assert volume.voxel_size == pytest.approx(sizes[index]) if sizes else image.levels[index].voxel_size is None
            assert volume.dtype == level.dtype.newbyteorder("=") and volume.streams
            part = volume[3:11, 2:9, 1:12]
            assert part.flags.c_contiguous and part.dtype == volume.dtype
            assert np.abs(part.astype(int) - level[3:11, 2:9, 1:12]).max() <= tolerance
            assert np.abs(volume[:].astype(int) - level).max() <= tolerance
