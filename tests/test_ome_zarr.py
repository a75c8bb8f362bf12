"""OME-Zarr 0.4 and 0.5: levels of groups, arrays and series; a level's axes, size and chunks."""

import json
import math
import re
import shutil

import numcodecs
import pytest
import zarr
from zarr.codecs import BloscCodec

from ngff_images import SIZES, check, pyramid, write_json, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.metadata import NoImageError
from utils.ngff.multiscale import open_multiscale
from utils.ngff.ome_zarr import _simple_transforms, array_level, coordinate_axes, level_of, same_unit, zarr_levels
from utils.ngff.store import Store

V2 = {"shape": [1, 10, 20, 30], "chunks": [1, 5, 6, 7], "dtype": "<u2", "fill_value": 3}
AXES = [{"name": "c"}, *({"name": name, "type": "space", "unit": "nanometer"} for name in "zyx")]
V3 = {
    "node_type": "array", "shape": [10, 20, 30], "data_type": "uint8", "fill_value": "NaN",
    "chunk_grid": {"configuration": {"chunk_shape": [8, 8, 8]}},
}  # fmt: skip


def scale(*values: float) -> dict:
    return {"type": "scale", "scale": list(values)}


def test_a_level_is_its_array_s_and_its_dataset_s():
    dataset = {"coordinateTransformations": [scale(1, 4, 2, 3)]}
    found = level_of("0", V2, AXES, {"coordinateTransformations": [scale(1, 1, 2, 1)]}, dataset)
    assert (found.shape, found.chunk, found.scale, found.unit) == (
        (10, 20, 30),
        (5, 6, 7),
        (4.0, 4.0, 3.0),
        "nanometer",
    )
    assert (found.axes, found.rank, found.fill, found.dtype) == ((1, 2, 3), 4, 3.0, "uint16")
    assert (found.spec, found.grid["kind"], found.grid["chunk"]) == ({"driver": "zarr"}, "zarr", [1, 5, 6, 7])


def test_a_shard_s_inner_chunk_is_what_a_request_brings():
    sharded = {
        **V3,
        "codecs": [{"name": "bytes"}, {"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 4, 8]}}],
    }
    found = array_level("0", sharded, (0, 1, 2))
    assert (found.chunk, found.grid["chunk"], found.spec) == ((2, 4, 8), [8, 8, 8], {"driver": "zarr3"})
    assert math.isnan(found.fill) and array_level("0", V3, (0, 1, 2)).chunk == (8, 8, 8)


@pytest.mark.parametrize(
    ("written", "fill"),
    [(None, 0), (7, 7), (True, 1), ("-Infinity", -math.inf), ("Infinity", math.inf), ("0x7fc0", 0), ([0], 0)],
)
def test_fill_values(written, fill):
    assert array_level("0", {**V3, "fill_value": written}, (0, 1, 2)).fill == fill


def test_axes_of_space_with_other_names_count_in_their_order():
    space = [{"name": name, "type": "space"} for name in ("dim_0", "dim_1", "dim_2")]
    array = {**V2, "shape": [4, 5, 6], "chunks": [1, 2, 3]}
    assert level_of("0", array, space, {}, {}).axes == (0, 1, 2)
    channel = {"name": "colour", "type": "channel"}
    four = {**V2, "shape": [1, 4, 5, 6], "chunks": [1, 1, 2, 3]}
    assert level_of("0", four, [channel, *space], {}, {}).axes == (1, 2, 3)
    assert level_of("0", array, ["z", "y", "x"], {}, {}).axes == (0, 1, 2), "as versions before 0.4 name them"
    turned = [{"name": name, "type": "space"} for name in "xyz"]
    assert level_of("0", array, turned, {}, {}).axes == (2, 1, 0)


@pytest.mark.parametrize(
    ("array", "reason"),
    [(None, "level 'a' has no array metadata"), ({**V2, "shape": [10, 20, 30]}, r"4 axes but an array of 3 \(a\)")],
)
def test_what_does_not_fit(array, reason):
    with pytest.raises(ValueError, match=reason):
        level_of("a", array, AXES, {}, {})


def test_units_that_differ_become_nanometres():
    assert same_unit((1.0, 2.0, 3.0), ["um", "um", "um"]) == ((1.0, 2.0, 3.0), "um")
    assert same_unit((0.5, 2.0, 3.0), ["um", "nm", "nm"]) == ((500.0, 2.0, 3.0), "nm")
    assert same_unit((0.5, 2.0, 3.0), ["um", None, "nm"]) == ((0.5, 2.0, 3.0), None)
    assert same_unit((0.5, 2.0, 3.0), ["um", "pixel", "nm"]) == ((0.5, 2.0, 3.0), None)


def test_sequences_are_taken_apart_and_turns_refused():
    shift = {"type": "translation", "translation": [1, 2, 3]}
    nested = {"type": "sequence", "transformations": [scale(1, 2, 3), {"type": "sequence", "transformations": [shift]}]}
    assert _simple_transforms([nested, {"type": "identity"}]) == [scale(1, 2, 3), shift, {"type": "identity"}]
    assert _simple_transforms(None) == []
    with pytest.raises(ValueError, match="'rotation' is more than scale and translation"):
        _simple_transforms([{"type": "rotation"}])


def test_what_is_scaled_after_a_translation_scales_that_too():
    moved = {"type": "translation", "translation": [0, 6, 4, 4]}
    dataset = {"coordinateTransformations": [scale(1, 2, 4, 8), moved]}
    for after, found in (
        ([], (3, 1, 0.5)),
        ([scale(1, 10, 1, 1)], (3, 1, 0.5)),
        ([scale(1, 10, 1, 1), moved], (3.3, 2, 1)),
    ):
        level = level_of("0", V2, AXES, {"coordinateTransformations": after}, dataset)
        assert level.translation == pytest.approx(found)
    assert level_of("0", V2, AXES, {}, {"coordinateTransformations": [scale(1, 2, 4, 8)]}).translation is None


def test_axes_of_coordinate_systems():
    assert coordinate_axes({}, {}) == list("tczyx") and coordinate_axes({"axes": AXES}, {}) == AXES
    systems = [{"name": "a", "axes": ["z"]}, {"name": "b", "axes": ["y"]}, {"name": "c"}]
    multiscale = {"coordinateSystems": systems, "datasets": [{"coordinateTransformations": [{"output": "b"}]}]}
    assert coordinate_axes(multiscale, {}) == ["y"]
    multiscale["datasets"] = [{"coordinateTransformations": [{"output": {"name": "b"}}]}]
    assert coordinate_axes(multiscale, {}) == ["y"]
    multiscale["datasets"] = []
    assert coordinate_axes(multiscale, {}) == ["z"]
    with pytest.raises(ValueError, match=r"^OME-Zarr 0\.6\.dev: its coordinateSystems have no axes"):
        coordinate_axes({"coordinateSystems": [{"name": "c"}]}, {"version": "0.6.dev"})


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


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("folder", ["", "deep/"])
def test_the_address_of_a_level_has_the_size_that_the_multiscale_above_gives_it(tmp_path, version, folder):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid(), version=version)
    if folder:
        about = root / (".zattrs" if version == "0.4" else "zarr.json")
        about.write_text(re.sub(r'"path": ?"(\d)"', rf'"path": "{folder}\1"', about.read_text()))
        (root / folder).mkdir(parents=True)
        for level in "012":
            (root / level).rename(root / folder / level)
    for index in range(3):
        check(root / folder / str(index), [pyramid()[index]], [SIZES[index]])


@pytest.mark.parametrize("axes", ["zyx", "czyx", "tczyx"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_array_that_nothing_describes(tmp_path, axes, version):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], version=version, axes=axes)
    shutil.move(root / "0", tmp_path / "alone.zarr")
    check(tmp_path / "alone.zarr", pyramid()[:1], sizes=None)


@pytest.mark.parametrize(("attributes", "said"), [
    ({}, "a Zarr group without multiscales; give the address of the image itself"),
    ({"bioformats2raw.layout": 3}, "without multiscales although it declares the layout of bioformats2raw; give"),
    ({"multiscales": []}, "its multiscales are empty"), ({"multiscales": ["x"]}, "its multiscales are empty"),
    ({"multiscales": [{"axes": ["z", "y", "x"], "datasets": None}]}, "its multiscales list no datasets"),
    ({"plate": {"wells": [{"path": "B/3"}]}}, "a plate layout with many images; .*/a.zarr/B/3/0$"),
    ({"plate": None}, "a plate layout with many images; .*/a.zarr/A/1/0$"),
    ({"well": {"images": [{"path": "2"}]}}, "a well layout with many images; .*/a.zarr/2$"),
])  # fmt: skip
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_groups_that_are_no_image(tmp_path, attributes, said, zarr_format):
    zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w", zarr_format=zarr_format).attrs.update(attributes)
    with pytest.raises(ValueError, match=said):
        open_multiscale(tmp_path / "a.zarr")


@pytest.mark.parametrize("series", [["7"], [".."], ["a/b"]])
def test_series_that_are_not_there_are_no_image(tmp_path, series):
    group = zarr.open_group(store=str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_group("OME").attrs["series"] = series
    store = Store(Address.parse(tmp_path / "a.zarr"), Access())
    with pytest.raises(NoImageError, match="a Zarr group without multiscales; give the address"):
        zarr_levels(store, store.read_json([".zattrs", ".zarray", ".zgroup", "zarr.json"]))


def test_of_several_multiscales_the_first_is_taken_aloud(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid())
    attributes = json.loads((root / ".zattrs").read_text())
    attributes["multiscales"].append({"datasets": []})
    write_json(root / ".zattrs", attributes)
    with pytest.warns(UserWarning, match="several multiscales are described; the first is taken"):
        check(root, pyramid())


def test_three_axes_that_nothing_names_are_z_y_x(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=pyramid()[0], dimension_names=["a", "b", "c"])
    check(tmp_path / "a.zarr", pyramid()[:1], sizes=None)
