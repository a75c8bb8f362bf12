"""N5: every convention's levels and voxel sizes, every compression, what is refused."""

import json

import numpy as np
import pytest

from n5_images import write_bdv_xml, write_cosem, write_modern, write_spark, write_viewer, write_viewer_above
from ngff_images import COMPRESSIONS, FACTORS, SIZES, check, pyramid, write_bdv, write_json, write_n5_array
from utils.ngff.multiscale import open_multiscale
from utils.ngff.n5 import first_scale, level_scale, sizes_known

COSEM = {"transform": {"axes": ["z", "y", "x"], "scale": [5.24, 4.0, 4.0], "units": ["nm"] * 3}}
VIEWER = {"pixelResolution": {"dimensions": [4, 4, 5], "unit": "nm"}, "dimensions": [100, 100, 50]}


def array(*dimensions: int, **attributes: object) -> dict:
    return {"dimensions": list(dimensions), **attributes}


def test_a_transform_counts_in_any_order_of_axes():
    assert level_scale(0, COSEM, COSEM, None, []) == ((5.24, 4.0, 4.0), "nm")
    turned = {"transform": {"axes": ["X", "Y", "Z"], "scale": [1, 2, 3], "units": ["um"] * 3}}
    assert level_scale(0, turned, turned, None, []) == ((3.0, 2.0, 1.0), "um")


@pytest.mark.parametrize(("axes", "scale"), [("zyc", [5, 4, 4]), ("zyx", ["five", 4, 4]), ("zyx", [5, 4])])
def test_a_transform_that_says_no_size_does_not_count(axes, scale):
    bad = array(8, 8, 8, transform={"axes": list(axes), "scale": scale})
    assert level_scale(0, bad, bad, BASE, []) == BASE


def test_a_transform_may_name_no_units():
    bare = {"transform": {"axes": ["z", "y", "x"], "scale": [5, 4, 4]}}
    assert level_scale(0, bare, bare, None, []) == ((5.0, 4.0, 4.0), None)


def test_a_transform_in_two_units_is_brought_to_one():
    mixed = {"transform": {"axes": ["z", "y", "x"], "scale": [0.005, 4, 4], "units": ["um", "nm", "nm"]}}
    lengths, unit = level_scale(0, mixed, mixed, None, [])
    assert (pytest.approx(lengths), unit) == ((5.0, 4.0, 4.0), "nm")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (VIEWER, ((5.0, 4.0, 4.0), "nm")),
        ({"pixelResolution": [4, 4, 5]}, ((5.0, 4.0, 4.0), None)),
        ({"pixelResolution": {"dimensions": [4, 4, 5]}}, ((5.0, 4.0, 4.0), None)),
        ({"resolution": [4, 4, 5, 1], "units": ["nm", "nm", "nm"]}, ((5.0, 4.0, 4.0), "nm")),
        ({"resolution": [4, 4, 5], "units": ["nm", "um", "nm"]}, ((5.0, 4.0, 4.0), None)),
        ({"resolution": [4, 4, "five"]}, None),
        ({}, None),
    ],
)
def test_the_first_level_s_size(attributes, expected):
    assert first_scale(attributes, []) == expected
    assert first_scale({}, [{}, attributes]) == expected


def test_the_nearest_statement_counts():
    assert first_scale({"resolution": [1, 1, 1]}, [VIEWER]) == ((1.0, 1.0, 1.0), None)


BASE = ((5.0, 4.0, 4.0), "nm")


def test_coarser_levels_are_the_first_s_times_their_factors():
    first = array(100, 100, 50)
    assert level_scale(1, array(50, 50, 50, downsamplingFactors=[2, 2, 1]), first, BASE, []) == ((5.0, 8.0, 8.0), "nm")
    group = {"scales": [[1, 1, 1], [2, 2, 2], [4, 4, 4]]}
    assert level_scale(2, array(25, 25, 13), first, BASE, [group]) == ((20.0, 16.0, 16.0), "nm")
    assert level_scale(0, first, first, BASE, [group]) == BASE
    assert level_scale(3, array(12, 12, 6), first, BASE, [group]) == ((40.0, 32.0, 32.0), "nm")  # not listed: by shape


def test_without_factors_the_shapes_tell():
    first = array(100, 100, 50)
    assert level_scale(1, array(50, 50, 50), first, BASE, []) == ((5.0, 8.0, 8.0), "nm")


def test_a_resolution_of_its_own_counts_unless_it_is_a_copy_of_the_first_s():
    first = array(100, 100, 50, resolution=[4, 4, 5])
    own = array(50, 50, 25, resolution=[8, 8, 10])
    copied = array(50, 50, 25, resolution=[4, 4, 5])
    assert level_scale(1, own, first, BASE, []) == ((10.0, 8.0, 8.0), None)
    assert level_scale(1, copied, first, BASE, []) == ((10.0, 8.0, 8.0), "nm")


def test_a_group_s_multiscales_list_transforms():
    group = {"multiscales": [{"datasets": [{"path": "s0"}, {"path": "s1", **COSEM}]}]}
    assert level_scale(1, array(50, 50, 25), array(100, 100, 50), None, [group]) == ((5.24, 4.0, 4.0), "nm")
    assert level_scale(2, array(25, 25, 13), array(100, 100, 50), None, [group]) is None


def test_when_nothing_further_up_need_be_asked_for():
    assert sizes_known([COSEM, COSEM], [])
    assert not sizes_known([COSEM, array(50, 50, 25)], [])
    assert sizes_known([VIEWER], [])
    assert not sizes_known([VIEWER, array(50, 50, 25)], [])
    assert sizes_known([VIEWER, array(50, 50, 25)], [{"scales": [[1, 1, 1], [2, 2, 2]]}])
    factors = {"downsamplingFactors": [1, 1, 1]}
    assert sizes_known([{**VIEWER, **factors}, array(50, 50, 25, downsamplingFactors=[2, 2, 2])], [])
    assert not sizes_known([array(100, 100, 50)], [{"scales": [[1, 1, 1]]}])


def test_a_level_that_is_given_alone_has_its_own_size():
    group = {"downsamplingFactors": [[1, 1, 1], [2, 2, 2], [4, 4, 2]]}
    alone = array(25, 25, 25, **VIEWER)
    assert level_scale(2, alone, alone, BASE, [group]) == BASE  # what it says itself is of itself
    stated = array(25, 25, 25, downsamplingFactors=[4, 4, 2], **VIEWER)
    assert level_scale(2, stated, stated, BASE, []) == ((10.0, 16.0, 16.0), "nm")  # n5-viewer repeats the finest's
    bare = array(25, 25, 25)
    assert level_scale(2, bare, bare, BASE, [group]) == ((10.0, 16.0, 16.0), "nm")
    assert level_scale(0, bare, bare, BASE, [{"scales": [[2, 2, 2]]}]) == BASE
    assert level_scale(0, bare, bare, None, [group]) is None


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_n5_compressions(tmp_path, compression):
    level = pyramid(dtype="uint16")[0]
    write_n5_array(tmp_path / "a.n5", level, COMPRESSIONS[compression])
    attributes = json.loads((tmp_path / "a.n5" / "attributes.json").read_text())
    attributes["compression"] |= {"nthreads": 1, "checksum": False, "id": "x"}  # z5py and n5-java write such
    write_json(tmp_path / "a.n5" / "attributes.json", attributes)
    check(tmp_path / "a.n5", [level], sizes=None)


@pytest.mark.parametrize(
    "write", [write_cosem, write_viewer, write_viewer_above, write_spark, write_modern, write_bdv, write_bdv_xml]
)
def test_n5_conventions(tmp_path, write):
    levels = pyramid()
    check(write(tmp_path, levels), levels)


def test_n5_levels_keep_their_place_where_a_finer_one_is_absent(tmp_path):
    levels = pyramid()
    for index in (1, 2):
        write_n5_array(tmp_path / "a.n5/c0" / f"s{index}", levels[index])
    about = {"scales": FACTORS, "pixelResolution": {"dimensions": [6, 8, 30], "unit": "nm"}}
    write_json(tmp_path / "a.n5/c0/attributes.json", about)
    check(tmp_path / "a.n5/c0", levels[1:], SIZES[1:])
    check(tmp_path / "a.n5/c0/s2", levels[2:], SIZES[2:])


def test_paintera_needs_a_unit(tmp_path):
    levels = pyramid()
    for i, level in enumerate(levels):
        write_n5_array(tmp_path / "a.n5/raw/data" / f"s{i}", level, downsamplingFactors=FACTORS[i])
    about = {"painteraData": {"type": "raw"}, "multiScale": True, "resolution": [6, 8, 30]}
    write_json(tmp_path / "a.n5/raw/attributes.json", about)
    image = open_multiscale(tmp_path / "a.n5/raw")
    assert image.levels[0].voxel_size is None
    assert "without a unit" in image.levels[0].size.why_missing
    assert [level.voxel_size for level in image.in_unit("nm").levels] == SIZES


def test_levels_are_asked_for_a_few_at_a_time_until_there_are_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.n5.LEVELS_AT_ONCE", 2)
    for index, level in enumerate(pyramid()):
        write_n5_array(tmp_path / "a.n5" / f"s{index}", level)
    check(tmp_path / "a.n5", pyramid(), sizes=None)


@pytest.mark.parametrize("multiscales", [3, [], ["x"], [{"datasets": None}], [{"datasets": ["x", {}, {"path": ""}]}]])
def test_lists_of_levels_that_list_none_are_passed_over(tmp_path, multiscales):
    for index, level in enumerate(pyramid()):
        write_n5_array(tmp_path / "a.n5" / f"s{index}", level)
    write_json(tmp_path / "a.n5/attributes.json", {"multiscales": multiscales})
    check(tmp_path / "a.n5", pyramid(), sizes=None)


def test_levels_by_the_names_that_are_listed(tmp_path):
    for name, level in zip(("full", "half", "quarter"), pyramid(), strict=True):
        write_n5_array(tmp_path / "a.n5" / name, level)
    write_json(tmp_path / "a.n5/attributes.json", {"multiscales": [{"datasets": [
        {"path": name} for name in ("full", "half", "quarter")]}]})  # fmt: skip
    check(tmp_path / "a.n5", pyramid(), sizes=None)


def test_no_more_levels_than_the_group_lists(tmp_path):
    for index, level in enumerate(pyramid()):
        write_n5_array(tmp_path / "a.n5/c0" / f"s{index}", level)
    write_json(tmp_path / "a.n5/c0/attributes.json", {"scales": FACTORS[:2]})
    assert [level.path for level in open_multiscale(tmp_path / "a.n5/c0").levels] == ["s0", "s1"]


def test_a_level_that_says_it_holds_labels_is_refused(tmp_path):
    write_n5_array(tmp_path / "a.n5/s0", pyramid()[0], isLabelMultiset=True)
    with pytest.raises(ValueError, match="holds labels"):
        open_multiscale(tmp_path / "a.n5")


def test_three_axes_are_x_y_z_whatever_they_are_called(tmp_path):
    write_n5_array(tmp_path / "a.n5", pyramid()[0], axes=["z", "y", "x"])
    assert open_multiscale(tmp_path / "a.n5").levels[0].shape == pyramid()[0].shape


def test_the_unit_of_an_xml_counts_where_factors_are_listed(tmp_path):
    root = write_bdv(tmp_path, pyramid())
    about = tmp_path / "a.n5" / "setup0" / "timepoint0" / "attributes.json"
    assert open_multiscale(root).levels[0].voxel_size == SIZES[0]
    listed = json.loads(about.read_text())
    write_json(about, {"downsamplingFactors": FACTORS, "resolution": listed["resolution"]})
    assert open_multiscale(root).levels[0].voxel_size == SIZES[0]


@pytest.mark.parametrize("axes", [["x", "y"], "xyzc", None])
def test_axes_that_do_not_fit_are_x_y_z_c(tmp_path, axes):
    write_n5_array(tmp_path / "a.n5", pyramid()[0][np.newaxis], axes=axes)
    (level,) = open_multiscale(tmp_path / "a.n5").levels
    assert (level.shape, level.axes, level.rank) == (pyramid()[0].shape, (2, 1, 0), 4)


def test_another_compression_is_refused_by_name(tmp_path):
    write_n5_array(tmp_path / "a.n5", pyramid()[0])
    about = tmp_path / "a.n5/attributes.json"
    write_json(about, json.loads(about.read_text()) | {"compression": {"type": "jpeg"}})
    with pytest.raises(ValueError, match="N5 compression 'jpeg' cannot be read; known are raw, gzip"):
        open_multiscale(tmp_path / "a.n5")
