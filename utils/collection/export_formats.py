"""The formats of an export: how the patches of a shard become files."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.collection.pixels import png_bytes
from utils.collection.places import LENGTHS, WHOLE
from utils.collection.shards import ReadPatch, Shard, Writer
from utils.interrupts import deferred

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("webdataset", "parquet", "imagefolder", "zarr")
SHARD_FILES = {
    "webdataset": "{split}-{index:06d}.tar",
    "parquet": "data/{split}-{index:05d}-of-{count:05d}.parquet",
    "zarr": "{split}.zarr/images/c/{index}/0/0",
}
# Pictures that a reader must load at once.
ROW_GROUP = 100
NAMES_PER_CHUNK = 1 << 16


def write_tar(shard: Shard, reads: Iterator[ReadPatch], folder: Path) -> None:
    """A WebDataset shard: ``{key}.png`` and ``{key}.json`` of each patch, byte-identical for the same patches."""
    with tarfile.open(folder / shard.files[0], "w", format=tarfile.GNU_FORMAT) as tar:
        for read in reads:
            key = tar_key(read.sample.name, read.sample.dataset if read.sample.repeated else "")
            _add(tar, f"{key}.png", png_bytes(read.patch))
            said = {name: value for name, value in read.row.items() if value not in (None, "")}
            _add(tar, f"{key}.json", json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def tar_key(name: str, dataset: str = "") -> str:
    """A patch's key in a shard: its name; with a hash where the name has dots, at the first of which a key ends.

    The hash is also of the `dataset` of a name that others have, too.

    >>> tar_key("fly-LOC-0_1_0-9_0-9"), tar_key("fly.v2-LOC-0_1_0-9_0-9")
    ('fly-LOC-0_1_0-9_0-9', 'fly_v2-LOC-0_1_0-9_0-9-6e81e570')
    """
    if "." not in name and not dataset:
        return name
    whole = f"{dataset}/{name}" if dataset else name
    return f"{name.replace('.', '_')}-{sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # its time is 0 and its owner root: nothing of this machine
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def write_folder(shard: Shard, reads: Iterator[ReadPatch], folder: Path) -> None:
    """The patches of a dataset as PNG files."""
    for read in reads:
        (folder / read.file).write_bytes(png_bytes(read.patch))


def write_parquet(shard: Shard, reads: Iterator[ReadPatch], folder: Path) -> None:
    """A Parquet file as the `datasets` library reads it: a column of pictures and one for all that is said of each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = parquet_schema(shard.rows[0])
    with pq.ParquetWriter(folder / shard.files[0], schema, compression="zstd") as writer:
        while group := list(islice(reads, ROW_GROUP)):
            pictures = ({"bytes": png_bytes(read.patch), "path": f"{read.sample.name}.png"} for read in group)
            rows = [{**read.row, "image": picture} for read, picture in zip(group, pictures, strict=True)]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def parquet_schema(row: Mapping[str, Any]) -> "pa.Schema":
    """The columns of a Parquet file, with the types that `datasets` asks for in its own words."""
    import pyarrow as pa

    kinds = {name: column_kind(name, value) for name, value in row.items()}
    picture = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    fields = [picture, *(pa.field(name, getattr(pa, kind)()) for name, kind in kinds.items())]
    values = {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    features = {"image": {"_type": "Image"}, **values}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def column_kind(name: str, value: object = None) -> str:
    """``int64``, ``float64`` or ``string``, as all is that tables say of a dataset, however columns are called."""
    if isinstance(value, str):
        return "string"
    return "int64" if name in WHOLE else "float64" if name in ("score", "weight", *LENGTHS) else "string"


def write_zarr_shard(size: int, side: tuple[int, int], shard: Shard, reads: Iterator[ReadPatch], folder: Path) -> None:
    """One shard of the array, by the library itself: written as the only one of an array of its own, then moved.

    Raises
    ------
    ValueError
        If a patch cannot be read: there is no leaving out in the middle of an array.
    """
    import zarr

    patches = [read.patch for read in reads]
    if len(patches) != len(shard.samples):
        raise ValueError(f"{len(shard.samples) - len(patches)} patches cannot be read; remove their TIFFs")
    with deferred():  # its tasks in a thread of their own would complain, at length
        array = zarr.create_array(folder / "array", **_zarr_layout(len(patches), size, side))
        array[:] = np.stack(patches)
    (folder / "array" / "c" / "0" / "0" / "0").replace(folder / shard.files[0])


def _zarr_layout(count: int, size: int, side: tuple[int, int]) -> dict[str, Any]:
    """How patches lie in the array: each a chunk of its own, `size` of them in a file, as raw bytes."""
    return {
        "shape": (count, *side),
        "shards": (size, *side),
        "chunks": (1, *side),
        "dtype": "uint8",
        "compressors": None,
        "fill_value": 0,
    }


def write_zarr_frame(split: str, names: Sequence[str], size: int, side: tuple[int, int], folder: Path) -> None:
    """What holds the shards of a split together: the array's metadata, and the patches' names."""
    import zarr

    root = folder / f"{split}.zarr"
    with deferred():
        zarr.create_group(root)
        zarr.create_array(root / "images", **_zarr_layout(len(names), size, side))
        array = zarr.create_array(root / "names", shape=(len(names),), chunks=(NAMES_PER_CHUNK,), dtype=str)
        array[:] = np.array(names, dtype=object)


def zarr_frame_files(split: str, count: int) -> list[str]:
    """The files that `write_zarr_frame` makes."""
    chunks = [f"names/c/{i}" for i in range(-(-count // NAMES_PER_CHUNK))]
    return [f"{split}.zarr/{name}" for name in ("zarr.json", "images/zarr.json", "names/zarr.json", *chunks)]


def writer_of(kind: str, shard_size: int, side: tuple[int, int]) -> Writer:
    """What writes the shards of a format; those of an array, of patches with these sides."""
    if kind == "zarr":
        return partial(write_zarr_shard, shard_size, side)
    return {"webdataset": write_tar, "parquet": write_parquet, "imagefolder": write_folder}[kind]


def one_size(sizes: Mapping[tuple[int, int], int]) -> tuple[int, int]:
    """The size that most patches have; of as many the larger."""
    return max(sizes, key=lambda side: (sizes[side], side))
