"""utils/names.py: every name is read back as it was made."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.names import (
    PatchName,
    dataset_of,
    format_binned,
    format_level,
    format_name_2d,
    format_name_3d,
    format_name_subvolume,
    format_roi,
    format_video,
    image_name,
    in_dataset,
    is_patch_name,
    is_table,
    is_video,
    level_name,
    parse_binned,
    parse_level,
    parse_name,
    parse_roi,
    split_level,
)
from utils.patches import Box

sources = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=30)
boxes = st.builds(Box, *[st.integers(0, 10**6)] * 4)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


@given(names, st.integers(0, 99))
def test_levels_round_trip(image, level):
    assert parse_level(format_level(image, level)) == (image, level)


@given(names, st.integers(2, 99), st.booleans())
def test_binned_names_round_trip(volume, factor, xy):
    assert parse_binned(format_binned(volume, factor, xy=xy)) == (volume, factor, xy)


@pytest.mark.parametrize("name", ["plain", "_s1", "a_s", "a_s1x", "a_bin", "_bin2", "a_bin2z"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="names no level"):
        parse_level(name)
    with pytest.raises(ValueError, match="no binned volume's name"):
        parse_binned(name)


def test_the_parts_of_a_name_follow_each_other():
    name = format_roi(format_binned(format_level("fly", 1), 2), (0, 1), (2, 3), (4, 5))
    assert name == "fly_s1_bin2-ROI-x4-5_y2-3_z0-1"
    dataset, region = parse_roi(name)
    assert region == ((0, 1), (2, 3), (4, 5))
    assert parse_level(parse_binned(dataset)[0]) == ("fly", 1)
    assert is_patch_name(f"{name}-LOC-0_1_0-9_0-9") and not is_patch_name(name)
    assert dataset_of(name) == "fly_s1_bin2"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://b/fly.zarr", "fly_s0"),
        ("s3://b/fly.zarr#s2", "fly_s2"),
        ("https://h/em/a-ROI-b.n5", "a-roi-b_s0"),
        ("gs://h/v1#s1", "h-v1_s1"),
    ],
)
def test_levels_of_addresses(url, name):
    assert level_name(url) == name
    assert image_name(split_level(url)[0]) == parse_level(name)[0]


def test_videos():
    assert format_video(Path("dir/cells.mp4")) == "cells_video" and is_video("cells_video")
    assert format_video(Path("My_Video.avi")) == "My_Video" and is_video("My_Video")


@given(sources, boxes)
def test_2d_names_round_trip(source, box):
    name = parse_name(format_name_2d(source, box))
    assert (name.source, name.box, name.axis) == (source, box, None)


@given(sources, boxes, st.integers(0, 2), st.integers(1, 10**5), st.data())
def test_3d_names_round_trip_and_sort(source, box, axis, count, data):
    index = data.draw(st.integers(0, count - 1))
    text = format_name_3d(source, axis, index, count, box)
    name = parse_name(text)
    assert (name.source, name.axis, name.first, name.stop, name.box) == (source, axis, index, None, box)
    assert len(text) == len(format_name_3d(source, axis, count - 1, count, box))


@pytest.mark.parametrize(("count", "index", "padded"), [(1, 0, "0"), (10, 3, "3"), (11, 3, "03"), (100, 3, "03")])
def test_index_is_as_wide_as_the_last_one(count, index, padded):
    assert f"-LOC-0_{padded}_" in format_name_3d("v", 0, index, count, Box(0, 1, 0, 1))


@given(sources, boxes, st.integers(0, 2), st.integers(0, 500), st.integers(1, 9))
def test_subvolume_names_round_trip(source, box, axis, center, depth):
    first = center - depth // 2
    name = parse_name(format_name_subvolume(source, axis, first, first + depth, 1000, box))
    assert (name.source, name.axis, name.first, name.stop) == (source, axis, first, first + depth)


@given(st.tuples(*[st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999))] * 3))
def test_roi_names_round_trip(spans):
    """A dataset may begin before its own origin: precomputed has a voxel_offset of either sign."""
    name = format_roi("cell_s2", *spans)
    assert parse_roi(name) == ("cell_s2", spans)
    assert dataset_of(name) == dataset_of(f"{name}-LOC-0_1_0-2_0-2") == "cell_s2"


@pytest.mark.parametrize(
    "name", ["plain", "v-LOC-3_1_0-1_0-1", "v-LOC-2d-0-1", "-LOC-2d-0-1_0-1", f"v-LOC-0_{'9' * 20}_0-1_0-1"]
)
def test_other_patch_names_are_refused(name):
    with pytest.raises(ValueError, match="is no patch name"):
        parse_name(name)
    with pytest.raises(ValueError, match="no region's name"):
        parse_roi(name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/minnie65/aligned/v1", "minnie65-aligned-v1"),
        ("https://host", "host"),
        ("", "image"),
        ("s3://b/a%20b.zarr#s3", "a_b"),
        ("s3://b/x-LOC-y.zarr", "x-loc-y"),
    ],
)
def test_images_are_called_by_the_last_telling_part(url, name):
    assert image_name(url) == name


def test_datasets_stand_before_regions_and_places():
    assert [dataset_of(name) for name in ("fly-LOC-2d-0-9_0-9", "a-ROI-b-ROI-c", "-LOC-x")] == ["fly", "a", "-LOC-x"]


def test_tables_are_told_from_addresses():
    assert is_table("a.CSV") and is_table("a.tsv") and not is_table("https://h/a.csv") and not is_table("a.zarr")


def test_regions_have_the_slices_at_the_axis():
    box = Box(1, 3, 2, 6)
    assert PatchName("v", box, 0).region(7, 9) == PatchName("v", box).region(7, 9) == ((7, 9), (1, 3), (2, 6))
    assert PatchName("v", box, 1).region(7, 9) == ((1, 3), (7, 9), (2, 6))
    assert PatchName("v", box, 2).region(7, 9) == ((1, 3), (2, 6), (7, 9))


def test_a_box_of_a_volume_is_one_of_its_dataset_from_where_its_region_begins():
    box = ((0, 9), (7, 8), (10, 20))
    assert in_dataset("fly", box) == ("fly", box)
    assert in_dataset("fly-ROI-x100-200_y0-90_z50-99", box) == ("fly", ((50, 59), (7, 8), (110, 120)))
