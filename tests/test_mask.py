"""A mask laid on the image: its ratio, its offset, and which boxes lie inside of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ngff_images import write_ome_zarr
from utils.ngff.metadata import Level
from utils.ngff.table import Dataset
from utils.sampling import mask as room
from utils.sampling.plan import SamplingOptions, plan_sampling
from utils.sampling.rois import Boxes

CUBES = [(8.0, 8.0, 8.0)]


def level(shape, size=None, offset=(0, 0, 0)):
    return Level("0", shape, (8, 8, 8), np.dtype("u4"), scale=size, unit="nm", offset=offset)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((50, 50, 25), None, (2.0, 2.0, 4.0)),
        ((50, 50, 25), (16.0, 16.0, 32.0), (2.0, 2.0, 4.0)),
        ((48, 48, 24), (16.0, 16.0, 32.0), (100 / 48, 100 / 48, 100 / 24)),  # within a twentieth: the shapes'
        ((25, 50, 25), (16.0, 16.0, 32.0), (2.0, 2.0, 4.0)),  # it covers half of z
    ],
)
def test_voxels_per_mask_voxel(shape, size, expected):
    plan = SimpleNamespace(level=level((100, 100, 100)), voxel_size=(8.0, 8.0, 8.0))
    assert room.ratio(plan, level(shape, size)) == pytest.approx(expected)


def test_where_the_image_lies_in_the_mask():
    image, mask = level((33, 10, 3), offset=(64, 32, 8)), level((99, 99, 99), offset=(30, 20, 4))
    shape, shift = room._alignment(image, mask, (2.0, 2.0, 4.0))
    assert shape == (17, 5, 1) and shift == (2, -4, -2)


@pytest.mark.parametrize("shift", [(0, 0), (1, 2), (-2, -1), (3, -2), (9, 9), (-9, 0)])
def test_planes_are_moved_and_outside_is_0(shift):
    plane = np.arange(1, 21).reshape(4, 5)
    moved = room._moved(plane, (4, 4), shift)
    expected = np.zeros((4, 4), bool)
    for y in range(4):
        for x in range(4):
            expected[y, x] = 0 <= y + shift[0] < 4 and 0 <= x + shift[1] < 5
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("shift", [-2, 0, 1, 5])
def test_planes_before_and_behind_the_mask_are_0(tmp_path, shift):
    planes = np.zeros((4, 2, 2), np.uint8)
    planes[:, 0, 0] = [1, 0, 1, 1]
    np.save(tmp_path / "m.npy", planes)
    found = [plane[0, 0] for plane in room._aligned(tmp_path / "m.npy", (5, 2, 2), (shift, 0, 0))]
    wanted = [bool(planes[z + shift, 0, 0]) if 0 <= z + shift < 4 else False for z in range(5)]
    assert found == wanted


def test_the_finest_level_that_is_small_enough():
    big, broken = level((2048, 1024, 513)), Level.broken("1", "no array")
    small = level((256, 256, 256))
    assert room._level(SimpleNamespace(levels=(big, broken, small, small))) == 2
    assert room._level(SimpleNamespace(levels=(level((256, 1024, 1024)),))) == 0  # 4 bytes each: exactly 1 GiB
    with pytest.raises(ValueError, match="no level of at most 1024 MB"):
        room._level(SimpleNamespace(levels=(big, broken)))


def test_boxes_inside_of_the_mask(tmp_path):
    image = np.full((16, 32, 32), 9, np.uint8)
    labels = np.zeros((16, 32, 32), np.uint32)
    labels[:, 16:, :12] = 7
    root = write_ome_zarr(tmp_path / "em.zarr", [image], sizes=CUBES)
    mask = write_ome_zarr(tmp_path / "m.zarr", [labels], sizes=CUBES)
    plan = plan_sampling(Dataset(str(root), "fly"), SamplingOptions(crop_size=16))
    boxes = Boxes(plan.spans)

    def inside(min_frac, boxes=boxes):
        options = SamplingOptions(min_frac=min_frac, mask=str(mask))
        return list(room.masked(boxes, replace(plan, options=options), tmp_path))

    assert inside(0.75) == [((0, 16), (16, 32), (0, 16))] == inside(0.5)
    assert len(list((tmp_path / ".overview").glob("fly-mask_s0-*.npy"))) == 1
    with pytest.raises(ValueError, match="no box is at least 76% mask and specimen; lower --min-frac or --crop-size"):
        inside(0.76)
    with pytest.raises(ValueError, match="no box is at least 50%"):
        inside(0.5, Boxes(plan.spans, np.array([0, 1, 3])))
