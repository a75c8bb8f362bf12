"""OME-Zarr 0.4 and 0.5: levels of groups, arrays and series."""

import json

import numcodecs
import pytest
import zarr
from zarr.codecs import BloscCodec

from ngff_images import (
    SIZES,
    check,
    pyramid,
    write_json,
    write_ome_zarr,
)
from utils.ngff.access import Access
from utils.ngff.opening import open_multiscale


@pytest.mark.parametrize(
    "options",
    [
        {"version": "0.4", "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"version": "0.4", "chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"version": "0.4", "compressors": numcodecs.LZ4()},
        {"version": "0.4", "compressors": numcodecs.LZMA(), "filters": [numcodecs.Delta(dtype="u2")]},
        {"version": "0.4", "order": "F"},
        {"version": "0.5"},
        {"version": "0.5", "shards": (32, 32, 32), "chunk": 8},
        {"version": "0.5", "compressors": BloscCodec(cname="zstd")},
        {"version": "0.5", "axes": "tczyx"},
        {"version": "0.4", "axes": "czyx"},
    ],
    ids=lambda options: "-".join(options),
)
def test_ome_zarr_of_zarr_python(tmp_path, options):
    levels = pyramid(dtype="uint16")
    if "shards" in options:
        levels = levels[:1]
    check(write_ome_zarr(tmp_path / "a.ome.zarr", levels, **options), levels)


def test_big_endian_and_units(tmp_path):
    levels = [level.astype(">u2") for level in pyramid(dtype="uint16")]
    sizes = [tuple(n / 1000 for n in size) for size in SIZES]
    check(write_ome_zarr(tmp_path / "a.zarr", levels, sizes=sizes, unit="micrometer"), levels)


def test_scale_of_the_multiscale_multiplies(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid(), sizes=[(1, 1, 1), (1, 2, 2), (2, 4, 4)])
    attributes = json.loads((root / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [30, 8, 6]}]
    write_json(root / ".zattrs", attributes)
    check(root, pyramid())


@pytest.mark.parametrize("listed", [False, True])
def test_bioformats2raw_layouts(tmp_path, listed):
    group = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr/0", pyramid(seed=0))
    check(tmp_path / "a.zarr", pyramid(seed=0))
    write_ome_zarr(tmp_path / "a.zarr/1", pyramid(seed=1))
    if listed:
        group.create_group("OME").attrs["series"] = ["0", "1", "7"]
    sentence = r"3 images lie here \(0, 1, 7\)" if listed else r"2 images lie here \(0, 1\)"
    with pytest.raises(ValueError, match=sentence + "; choose one by --image, or by its address"):
        open_multiscale(tmp_path / "a.zarr")
    check(tmp_path / "a.zarr/1", pyramid(seed=1))
    check(tmp_path / "a.zarr", pyramid(seed=1), access=Access(image="1"))
