"""utils/ngff/metadata.py: axes, types, sizes, and what no image may be: labels, unless they are asked for."""

from dataclasses import replace

import numpy as np
import pytest

from utils.ngff.metadata import (
    Level,
    allowing_labels,
    downsampling,
    floats,
    image_dtype,
    pick_axes,
    readable_levels,
    refuse_flat,
    refuse_labels,
    refuse_segmentation,
)

LEVEL = Level("s0", (10, 20, 30), (5, 5, 5), np.dtype(np.uint16), (4.0, 2.0, 2.0), "nm")


def test_axes_are_picked_by_name():
    assert pick_axes("zyx", (5, 6, 7)) == (0, 1, 2)
    assert pick_axes(["t", "c", "X", "Y", "Z"], (1, 1, 5, 6, 7)) == (4, 3, 2)


@pytest.mark.parametrize(
    ("names", "shape", "reason"),
    [
        ("zzz", (5, 5, 5), "its axes z, z, z are not different ones"),
        ("yx", (5, 5), r"^2-D data or no z axis \(axes y, x\)"),
        ("tzyx", (2, 5, 5, 5), "the time axis 't' has 2 entries"),
        ("czyx", (3, 5, 5, 5), "the channel axis 'c' has 3 entries"),
        ("qzyx", (3, 5, 5, 5), "the extra axis 'q' has 3 entries"),
        ("zyx", (1, 5, 5), r"^2-D data \(z, y, x = 1 x 5 x 5\)"),
    ],
)
def test_axes_that_are_no_volume_s(names, shape, reason):
    with pytest.raises(ValueError, match=reason):
        pick_axes(names, shape)


def test_two_slices_are_a_volume():
    refuse_flat((2, 2, 2))
    with pytest.raises(ValueError, match="2-D data"):
        refuse_flat((2, 2))


@pytest.mark.parametrize("name", ["<u2", ">i4", "|u1", "float32", "bool", "<f8"])
def test_gray_values_have_the_machine_s_byte_order(name):
    assert image_dtype(name) == np.dtype(name).newbyteorder("=") and image_dtype(name).isnative


@pytest.mark.parametrize("name", ["complex64", "<U3", "nonsense", "float128"])
def test_other_values_are_refused(name):
    with pytest.raises(ValueError, match="cannot be read as gray values"):
        image_dtype(name)


@pytest.mark.parametrize("name", ["uint64", "<i8"])
def test_eight_byte_integers_are_labels(name):
    with pytest.raises(ValueError, match=r"holds labels \(a segmentation: its type is u?int64\)"):
        image_dtype(name)
    with allowing_labels():
        assert image_dtype(name).itemsize == 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, "2", 3.5], (1.0, 2.0, 3.5)), ("123", None), ([1, 2], None), ([1, 2, None], None), (None, None), (3, None)],
)
def test_floats_or_nothing(values, expected):
    assert floats(values) == expected


def test_a_level_is_stored_as_it_is_seen_unless_it_says_otherwise():
    assert (LEVEL.offset, LEVEL.axes, LEVEL.rank, LEVEL.fill) == ((0, 0, 0), (0, 1, 2), 3, 0)


def test_sizes_of_levels():
    assert LEVEL.voxel_size == (4.0, 2.0, 2.0) and LEVEL.nbytes == 12_000
    bare = replace(LEVEL, unit=None)
    assert bare.voxel_size is None and "says 4, 2, 2 without a unit" in bare.size.why_missing
    assert bare.in_unit("um").voxel_size == (4000.0, 2000.0, 2000.0)
    assert LEVEL.in_unit("um") is LEVEL
    assert replace(LEVEL, unit="pixel").in_unit("nm").voxel_size == (4.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("length", "coarse", "factor"), [(7, 3, 2.0), (7, 4, 2.0), (8, 3, 3.0), (100, 40, 2.5), (3, 9, 1 / 3), (1, 1, 1.0)]
)
def test_downsampling_is_whole_where_it_explains_both(length, coarse, factor):
    assert downsampling(length, coarse) == factor


def test_chunks_that_cannot_be():
    LEVEL.refuse_chunk()
    replace(LEVEL, shape=(0, 20, 30), chunk=(1, 1, 1)).refuse_chunk()
    for shape, chunk in (
        ((10, -1, 5), (5, 5, 5)),
        ((10, 10, 5), (5, 0, 5)),
        ((10, 10, 5), (5, 2.5, 5)),
        ((10, 1 << 65, 5), (5, 5, 5)),
    ):
        with pytest.raises(ValueError, match="its metadata are garbled"):
            replace(LEVEL, shape=shape, chunk=chunk)
    huge = replace(LEVEL, chunk=(1 << 20, 1 << 20, 1 << 20))
    with pytest.raises(ValueError, match="a chunk of 1048576 x 1048576 x 1048576 voxels"):
        huge.refuse_chunk()
    replace(huge, grid={"kind": "precomputed"}).refuse_chunk()  # cut where the image ends


def test_a_coarse_level_that_is_broken_keeps_its_place():
    def broken() -> Level:
        raise KeyError("shape")

    levels = {"s0": lambda: LEVEL, "s1": broken, "s2": lambda: LEVEL}
    with pytest.warns(UserWarning, match="level 's1' is left out: 'shape'"):
        first, second, third = readable_levels(levels.items())
    assert first is third is LEVEL and (second.path, second.problem) == ("s1", "'shape'")
    with pytest.raises(KeyError):
        readable_levels([("s0", broken)])
    assert readable_levels([]) == []


LABELS = [
    ("a.zarr/Labels/nuclei", {}, "it lies in a folder 'labels'"),
    ("a.zarr", {"image-label": {}}, "'image-label' in its metadata"),
    ("a.n5", {"painteraData": {"type": "label"}}, "painteraData type 'label'"),
    ("a.n5", {"isLabelMultiset": True}, "declared in its metadata"),
    ("a", {"type": "segmentation"}, "declared in its metadata"),
]


@pytest.mark.parametrize(("path", "attributes", "why"), LABELS)
def test_segmentations_are_refused_with_the_reason(path, attributes, why):
    with pytest.raises(ValueError, match=r"^holds labels \(a segmentation: ") as refusal:
        refuse_labels(path, attributes)
    assert why in str(refusal.value) and "the address of the EM image" in str(refusal.value)


@pytest.mark.parametrize("path", ["labels.zarr", "my-labels/a", ""])
@pytest.mark.parametrize(
    "attributes", [{}, {"painteraData": {"type": "raw"}}, {"painteraData": "label"}, {"type": "image"}]
)
def test_images_pass(path, attributes):
    refuse_labels(path, attributes)


def test_masks_are_segmentations_that_are_asked_for():
    with allowing_labels():
        for path, attributes, _ in LABELS:
            refuse_labels(path, attributes)
    with pytest.raises(ValueError, match="declared"):
        refuse_segmentation("declared")
