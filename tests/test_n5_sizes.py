"""utils/ngff/n5_sizes.py: voxel sizes of N5 levels under each convention."""

import pytest

from utils.ngff.n5_sizes import first_scale, level_scale, sizes_known

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
