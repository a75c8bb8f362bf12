"""utils/ngff/ome_zarr_level.py: a level's axes, size and chunks by the metadata of image and array."""

import math

import pytest

from utils.ngff.ome_zarr_level import _simple_transforms, array_level, coordinate_axes, level_of, same_unit

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


def test_axes_of_space_with_other_names_count_in_their_order():
    space = [{"name": name, "type": "space"} for name in ("dim_0", "dim_1", "dim_2")]
    array = {**V2, "shape": [4, 5, 6], "chunks": [1, 2, 3]}
    assert level_of("0", array, space, {}, {}).axes == (0, 1, 2)
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
