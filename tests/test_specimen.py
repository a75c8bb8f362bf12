"""Where the specimen lies and which window it has: by an overview, a mask laid on the image, or by reading cubes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ngff_images import write_ome_zarr
from utils.contrast import NO_CONTRAST, Contrast
from utils.ngff.dataset import Dataset
from utils.ngff.metadata import Level
from utils.sampling import specimen as room
from utils.sampling.plan import SamplingOptions, plan_sampling
from utils.sampling.rois import Boxes
from utils.sampling.specimen import find_specimen, sample_cubes, specimen_contrast, survey_dataset

CUBES = [(8.0, 8.0, 8.0), (16.0, 16.0, 16.0), (32.0, 32.0, 32.0)]
OPTIONS = SamplingOptions(crop_size=16, contrast="minmax")


def right_half(dtype="uint16", low=1000, high=3000):
    """32 x 32 x 64 voxels: padding 0 in the left half, noise in the right."""
    voxels = np.random.default_rng(0).integers(low, high, (32, 32, 64)).astype(dtype)
    voxels[..., :32] = 0
    return voxels


def plan_of(folder, levels, options=OPTIONS, **row):
    root = write_ome_zarr(folder / "em.zarr", levels, sizes=CUBES)
    return plan_sampling(Dataset(str(root), "fly", **row), options)


def find(plan, folder, seen=None, known=None):
    return find_specimen(plan, seen, plan.open_level(), folder, known)


def test_an_overview_tells_boxes_and_window(tmp_path):
    voxels = right_half()
    plan = plan_of(tmp_path, [voxels, voxels[::2, ::2, ::2]])
    seen = survey_dataset(plan, tmp_path)
    assert seen.level == 1
    found = find(plan, tmp_path, seen)
    assert {roi.x for roi in found.boxes} == {(32, 48), (48, 64)} and len(found.boxes) == 8
    assert found.voxels == found.padding == {}
    shown = voxels[::2, ::2, 32::2]
    assert (found.contrast.low, found.contrast.high) == (shown.min(), shown.max())
    kept = Contrast("minmax", 1.0, 2.0)
    assert find(plan, tmp_path, seen, kept).contrast == kept


def test_overviews_that_cannot_be_read_or_are_empty_give_way_aloud(tmp_path):
    voxels = right_half()
    plan = plan_of(tmp_path, [voxels, voxels[::2, ::2, ::2], np.zeros((8, 8, 16), "uint16")])
    assert plan.overviews == (1, 0, 2)
    array = tmp_path / "em.zarr/1"
    for chunk in array.glob("*.*.*"):
        chunk.write_bytes(b"damaged")
    with pytest.warns(
        UserWarning, match="^level 1 cannot be the overview, another takes its place: .*cannot be decoded"
    ):
        assert survey_dataset(plan, tmp_path).level == 0


def test_an_image_of_padding_is_no_specimen(tmp_path):
    options = replace(OPTIONS, min_frac=0.3)
    plan = plan_of(tmp_path, [np.full((16, 16, 16), 7, "uint8")], options, padding_value=7.0)
    said = "none of 1 boxes is at least 30% specimen: level 0 holds mostly the padding value 7"
    with pytest.raises(ValueError, match=f"^{said}$"):
        survey_dataset(plan, tmp_path)


def test_boxes_that_all_hold_too_little(tmp_path):
    plan = plan_of(tmp_path, [right_half()], SamplingOptions(crop_size=64, min_frac=0.51))
    seen = survey_dataset(plan, tmp_path)
    with pytest.raises(ValueError, match="none of 1 boxes is at least 51% specimen: level 0 holds mostly"):
        find(plan, tmp_path, seen)
    assert len(find(replace(plan, options=replace(plan.options, min_frac=0.5)), tmp_path, seen).boxes) == 1


def test_without_an_overview_it_is_said_why(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 3000)  # the coarsest is 2,048 bytes, and empty
    voxels = right_half()
    plan = plan_of(tmp_path, [voxels, voxels[::2, ::2, ::2], np.zeros((8, 8, 16), "uint16")])
    with pytest.warns(UserWarning, match=r"^level 0 has no overview \(level 2 is empty\): boxes are chosen without"):
        assert survey_dataset(plan, tmp_path) is None
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 100)
    plan = plan_sampling(plan.dataset, OPTIONS)
    with pytest.warns(UserWarning, match=r"no level of at most 256 MB can be read"):
        assert survey_dataset(plan, tmp_path) is None


@pytest.mark.parametrize(
    ("dtype", "stretch", "known"), [("uint8", False, True), ("uint8", True, False), ("uint16", False, False)]
)
def test_bytes_stay_as_they_are_unless_stretched(tmp_path, dtype, stretch, known):
    plan = plan_of(tmp_path, [right_half(dtype, 50, 200)], replace(OPTIONS, stretch=stretch))
    assert (specimen_contrast(plan, None) == NO_CONTRAST) is known
    assert (specimen_contrast(plan, None) is None) is not known
    window = specimen_contrast(plan, survey_dataset(plan, tmp_path))
    assert window is not None and window.high == (255 if known else 199)


def test_cubes_are_read_until_there_are_four_of_specimen(tmp_path):
    voxels = right_half()
    plan = plan_of(tmp_path, [voxels], replace(OPTIONS, workers=1))
    found = sample_cubes(plan, Boxes(plan.spans), plan.open_level())
    order = list(plan.draw(Boxes(plan.spans)))
    specimen = [roi for roi in order if roi.x[0] >= 32]
    assert list(found.voxels) == specimen[:4]
    assert set(found.padding) == {roi for roi in order[: order.index(specimen[3])] if roi.x[0] < 32}
    assert all(why.startswith("every voxel is 0") for why in found.padding.values())
    for roi, (cube, refused) in found.voxels.items():
        np.testing.assert_array_equal(cube, voxels[roi.slices])
        assert refused == 0
    cubes = np.stack([voxels[roi.slices] for roi in specimen[:4]])
    assert (found.contrast.low, found.contrast.high) == (cubes.min(), cubes.max())
    again = find(plan, tmp_path)
    assert again.contrast == found.contrast and set(again.voxels) == set(found.voxels)
    cube, refused = again.read(specimen[0])
    np.testing.assert_array_equal(cube, voxels[specimen[0].slices])
    assert refused == 0 and specimen[0] not in again.voxels
    np.testing.assert_array_equal(again.read(specimen[0])[0], cube)  # given away once, then read


def test_cubes_of_one_value_set_no_window(tmp_path):
    voxels = np.full((16, 16, 96), 500, "uint16")
    voxels[..., 80:] = np.random.default_rng(0).integers(1000, 3000, (16, 16, 16))
    plan = plan_of(tmp_path, [voxels])
    found = sample_cubes(plan, Boxes(plan.spans), plan.open_level())
    assert len(found.voxels) == 4 and (found.contrast.low, found.contrast.high) == (500, voxels.max())
    flat = plan_of(tmp_path / "flat", [np.full((16, 16, 32), 500, "uint16")])
    with pytest.raises(ValueError, match="no specimen: each of 2 cubes that were read holds one value"):
        sample_cubes(flat, Boxes(flat.spans), flat.open_level())


def test_cubes_that_all_hold_too_little_still_set_a_window(tmp_path):
    options = SamplingOptions(crop_size=64, contrast="minmax", min_frac=0.9)
    plan = plan_of(tmp_path, [right_half()], options)
    found = sample_cubes(plan, Boxes(plan.spans), plan.open_level())
    assert found.voxels == {} and len(found.padding) == 1
    assert 1000 <= found.contrast.low < 1100 and 2900 < found.contrast.high < 3000


def test_a_few_planes_of_a_cube(tmp_path, monkeypatch):
    plan = plan_of(tmp_path, [np.ones((20, 20, 40), "uint8")])
    cube = np.arange(16 * 16 * 16, dtype=np.int64).reshape(16, 16, 16)
    monkeypatch.setattr(room, "SAMPLE", 4 * 256)
    np.testing.assert_array_equal(room._few_planes(cube, plan), cube[::4])
    np.testing.assert_array_equal(room._few_planes(cube[:5], plan), cube[:5:2])
    short = room._few_planes(cube[:, :12], plan)  # 5 planes of 12 rows: as many as 1,024 voxels hold, by even steps
    assert short.shape == (4, 16, 16)
    np.testing.assert_array_equal(short[:, 12:], np.repeat(cube[::4, 11:12], 4, axis=1))


def test_a_mask_narrows_the_choice(tmp_path):
    voxels = right_half()
    labels = np.zeros(voxels.shape, "uint32")
    labels[:16, :, 32:48] = 3
    mask = write_ome_zarr(tmp_path / "m.zarr", [labels], sizes=CUBES)
    plan = plan_of(tmp_path, [voxels], replace(OPTIONS, mask=str(mask)))
    found = find(plan, tmp_path, survey_dataset(plan, tmp_path))
    assert {(roi.z, roi.x) for roi in found.boxes} == {((0, 16), (32, 48))}


MASKED_CUBES = [(8.0, 8.0, 8.0)]


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
    assert room.mask_ratio(plan, level(shape, size)) == pytest.approx(expected)


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
    root = write_ome_zarr(tmp_path / "em.zarr", [image], sizes=MASKED_CUBES)
    mask = write_ome_zarr(tmp_path / "m.zarr", [labels], sizes=MASKED_CUBES)
    plan = plan_sampling(Dataset(str(root), "fly"), SamplingOptions(crop_size=16))
    boxes = Boxes(plan.spans)

    def inside(min_frac, boxes=boxes):
        options = SamplingOptions(min_frac=min_frac, mask=str(mask))
        return list(room._masked(boxes, replace(plan, options=options), tmp_path))

    assert inside(0.75) == [((0, 16), (16, 32), (0, 16))] == inside(0.5)
    assert len(list((tmp_path / ".overview").glob("fly-mask_s0-*.npy"))) == 1
    with pytest.raises(ValueError, match="no box is at least 76% mask and specimen; lower --min-frac or --crop-size"):
        inside(0.76)
    with pytest.raises(ValueError, match="no box is at least 50%"):
        inside(0.5, Boxes(plan.spans, np.array([0, 1, 3])))
