"""What reconstruct3d is made of: boxes that overlap, mirrored slices, kept patches' files, flipbooks."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from conftest import smooth_volume
from utils.contrast import Contrast
from utils.reconstruction.flipbooks import write_flipbook
from utils.reconstruction.kept_patches import list_kept, read_kept
from utils.reconstruction.overlap import seeded_order, without_overlap
from utils.reconstruction.subvolumes import reflected, window

SPANS = st.tuples(st.integers(-5, 40), st.integers(1, 12)).map(lambda s: (s[0], s[0] + s[1]))
BOXES = st.lists(st.tuples(SPANS, SPANS, SPANS), max_size=60)


def shared(one, other):
    return int(np.prod([max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(one, other, strict=True)]))


def plainly(boxes, most):
    taken = []
    for box in boxes:
        free = all(shared(box, other) <= most * shared(box, box) for other in taken)
        taken += [box] if free else []
        yield free


@given(BOXES, st.sampled_from([0, 0.01, 0.3, 0.999, 1]))
def test_overlap_is_what_comparing_all_with_all_finds(boxes, most):
    assert list(without_overlap([("a", box) for box in boxes], most)) == list(plainly(boxes, most))


def test_boxes_in_two_spaces_never_overlap():
    box = ((0, 5), (0, 5), (0, 5))
    assert list(without_overlap([("a", box), ("b", box), ("a", box)], 0)) == [True, True, False]


def test_a_hundred_thousand_boxes_meet_their_neighbours_only(monkeypatch):
    from utils.reconstruction import overlap

    looks = []
    real = overlap._shared
    monkeypatch.setattr(overlap, "_shared", lambda a, b: looks.append(1) or real(a, b))
    grid = [
        ((z, z + 5), (y, y + 224), (x, x + 224))
        for z in range(0, 300, 2)
        for y in (0, 224)
        for x in range(0, 2240, 224)
    ]
    taken = sum(without_overlap([("a", box) for box in grid], 0))
    assert taken == 50 * 20 and len(looks) < 8 * len(grid)


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 9))
def test_mirrored_slices_are_numpys(count, index, slices):
    first, stop = window(min(index, count - 1), slices)
    padded = np.pad(np.arange(count), 10, "reflect" if count > 1 else "edge")
    np.testing.assert_array_equal(reflected(first, stop, count), padded[first + 10 : stop + 10])
    assert reflected(first, stop, count)[slices // 2] == min(index, count - 1)


def test_order_depends_on_name_and_seed_alone():
    names = [f"v-LOC-0_{i}_0-9_0-9" for i in range(200)]
    order = sorted(names, key=lambda name: seeded_order(name, 0))
    assert order == sorted(set(names), key=lambda name: seeded_order(name, 0)) != names
    assert order != sorted(names, key=lambda name: seeded_order(name, 1))
    assert [n for n in order if n in names[:50]] == sorted(names[:50], key=lambda name: seeded_order(name, 0))


@pytest.mark.parametrize("text", [None, "ImageJ=1.11a\n", "[1]", '{"contrast": {"low": 3}, "voxel_size": [1, "x", 2]}'])
def test_a_file_that_records_nothing(tmp_path, text):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, description=text, metadata=None, photometric="minisblack")
    found = read_kept(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.record.contrast, found.record.voxel_size) == (None, None)


def test_a_file_that_records(tmp_path):
    said = {"contrast": {"method": "minmax", "low": -3, "high": 2000.5}, "voxel_size": [30, 8, 0.0]}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.uint8), description=json.dumps(said), metadata=None)
    found = read_kept(tmp_path / "a.tif")
    assert (found.record.contrast, found.record.voxel_size) == (Contrast("minmax", -3, 2000.5), None)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((3, 4), 7, np.uint8))
    assert read_kept(tmp_path / "b.png").pixels.tolist() == [[7] * 4] * 3


def test_listing_counts_as_people_do(tmp_path):
    for name in ("v-LOC-0_10_0-9_0-9.tiff", "v-LOC-0_9_0-9_0-9.TIF", "deep/er/w.b-LOC-2_1_0-9_0-9.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [patch.name for patch in list_kept(tmp_path).patches] == [
        "v-LOC-0_9_0-9_0-9",
        "v-LOC-0_10_0-9_0-9",
        "w.b-LOC-2_1_0-9_0-9",
    ]


@pytest.mark.parametrize("shape", [(5, 32, 48), (4, 33, 47), (1, 16, 16)])
def test_mp4_shows_the_stack(tmp_path, shape):
    stack = smooth_volume(shape)
    write_flipbook(tmp_path / "a.mp4", stack)
    movie, frames = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (frame := movie.read())[0]:
        frames.append(frame[1][: shape[1], : shape[2], 0])
    assert len(frames) == shape[0]
    assert np.abs(np.stack(frames).astype(int) - stack).mean() < 6
    write_flipbook(tmp_path / "b.mp4", stack)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_flipbook_of_other_types_is_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8, not int16"):
        write_flipbook(tmp_path / "a.gif", np.zeros((2, 3, 3), np.int16))
