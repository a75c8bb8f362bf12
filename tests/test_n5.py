"""N5: every convention's levels and voxel sizes, every compression, what is refused."""

import json

import numpy as np
import pytest

from n5_images import write_bdv_xml, write_cosem, write_modern, write_spark, write_viewer, write_viewer_above
from ngff_images import (
    COMPRESSIONS,
    FACTORS,
    SIZES,
    check,
    pyramid,
    write_bdv,
    write_json,
    write_n5_array,
)
from utils.ngff.multiscale import open_multiscale


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
