"""Cubes cut out side by side: their names, what is in them, what is refused, and a server that falls silent."""

import threading

import numpy as np
import pytest

from utils.contrast import NO_CONTRAST
from utils.ngff.waiting import ForbiddenError
from utils.sampling.roi_crops import Crops, Failure, _make_cube, make_crops
from utils.sampling.rois import Roi
from utils.sampling.survey import PaddingError
from utils.volumes import open_volume

BOX = Roi((0, 2), (0, 3), (0, 4))
VOXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def crops_in(folder, read=lambda roi: (VOXELS.copy(), 0), **options):
    return Crops("fly_s0", folder, read, NO_CONTRAST, (9.0, 4.0, 5.0), **options)


def make(crops, voxels, refused=0):
    _make_cube(crops, BOX, voxels, refused)


def row_of_boxes(count):
    return [Roi((0, 2), (0, 3), (4 * i, 4 * i + 4)) for i in range(count)]


@pytest.mark.parametrize("invert", [False, True])
def test_a_cube_says_where_it_was(tmp_path, invert):
    crops = crops_in(tmp_path, offset=(100, 200, 300), invert=invert)
    make(crops, VOXELS.copy())
    with open_volume(tmp_path / "fly_s0-ROI-x300-304_y200-203_z100-102.nrrd") as volume:
        np.testing.assert_array_equal(volume[:], 255 - VOXELS if invert else VOXELS)
        assert volume.voxel_size == (9.0, 4.0, 5.0)


def test_a_cube_keeps_the_name_that_it_has(tmp_path):
    assert crops_in(tmp_path, files={BOX: "old.nrrd"}).path(BOX) == tmp_path / "old.nrrd"
    assert crops_in(tmp_path).path(BOX) == tmp_path / "fly_s0-ROI-x0-4_y0-3_z0-2.nrrd"


def test_a_cube_of_too_little_specimen_is_padding(tmp_path):
    make(crops_in(tmp_path, min_frac=23 / 24), VOXELS.copy())  # one voxel of 24 is 0
    with pytest.raises(PaddingError, match="only 96%"):
        make(crops_in(tmp_path, min_frac=0.96), VOXELS.copy())
    with pytest.raises(PaddingError, match="every voxel is 7 of 255"):
        make(crops_in(tmp_path), np.full((2, 3, 4), 7, np.uint8))


def test_refused_voxels_that_the_overview_calls_specimen_fail(tmp_path):
    few = np.where(VOXELS < 4, 0, VOXELS)  # 20 of 24 came: .83
    make(crops_in(tmp_path, share=lambda roi: 0.93), few.copy(), 5)  # .83 is not below .93 - .1
    make(crops_in(tmp_path, share=lambda roi: 1.0), few.copy(), 0)
    make(crops_in(tmp_path), few.copy(), 5)
    with pytest.raises(ForbiddenError, match=r"5 voxels were refused \(403\): 94% of it .* 83% came") as caught:
        make(crops_in(tmp_path, share=lambda roi: 0.94), few.copy(), 5)
    assert caught.value.voxels == 5


def test_cubes_that_share_chunks_follow_each_other(tmp_path):
    order = []

    def read(roi):
        order.append(roi.x[0])
        return VOXELS.copy(), 0

    boxes = row_of_boxes(4)
    found = make_crops(crops_in(tmp_path, read), [boxes[i] for i in (3, 1, 2, 0)], 1, (2, 3, 8))
    assert order == [4, 0, 12, 8]  # 0 and 1 lie in the first chunk, 2 and 3 in the second
    assert found == ({}, {}) and len(list(tmp_path.glob("*.nrrd"))) == 4


def test_padding_is_found_out_only_where_no_overview_has_told(tmp_path):
    def read(roi):
        return np.zeros((2, 3, 4), np.uint8), 0

    said = "every voxel is 0 (padding, or chunks that are missing): nothing was written"
    assert make_crops(crops_in(tmp_path, read), [BOX], 2, (1, 1, 1)) == ({BOX: said}, {})
    told = make_crops(crops_in(tmp_path, read, share=lambda roi: 1.0), [BOX], 2, (1, 1, 1))
    assert told == ({}, {BOX: Failure(said, 0)})


def test_what_was_refused_is_counted(tmp_path):
    def read(roi):
        raise ForbiddenError("no", 24)

    assert make_crops(crops_in(tmp_path, read), [BOX], 1, (1, 1, 1)) == ({}, {BOX: Failure("no", 24)})


@pytest.mark.parametrize(("silent", "asked"), [({0, 1}, 2), ({0, 2}, 4), ({1, 2}, 3)])
def test_after_two_silences_in_a_row_the_rest_waits_for_the_next_run(tmp_path, silent, asked):
    reads = []

    def read(roi):
        reads.append(roi)
        if roi.x[0] // 4 in silent:
            raise TimeoutError("silent")
        return VOXELS.copy(), 0

    boxes = row_of_boxes(4)
    _, failures = make_crops(crops_in(tmp_path, read), boxes, 1, (1, 1, 1))
    left = "the server had stopped answering; left for the next run"
    assert len(reads) == asked
    assert failures == {
        **{boxes[i]: Failure("silent") for i in silent},
        **{box: Failure(left) for box in boxes[asked:]},
    }


def test_a_fault_of_the_program_is_no_failed_cube(tmp_path):
    reads, left = [], threading.Event()

    def read(roi):
        reads.append(roi)
        if len(reads) == 1:
            raise RuntimeError("a bug")
        left.wait(0.2)
        return VOXELS.copy(), 0

    with pytest.raises(RuntimeError, match="a bug"):
        make_crops(crops_in(tmp_path, read), row_of_boxes(200), 1, (1, 1, 1))
    assert len(reads) < 100  # the rest is not begun


def test_what_a_record_says_of_a_failure():
    assert Failure("no", 64).as_dict() == {"reason": "no", "refused_voxels": 64}
    assert Failure("no", 1).as_dict()["refused_voxels"] == 1 and Failure("no").as_dict() == {"reason": "no"}
