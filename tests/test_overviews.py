"""Pictures of whole planes: the middle slice, or the patches nearest to it, in their places."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from utils.collection.overviews import AROUND, OVERVIEW, SAMPLED, Overviews, _middle
from utils.contact_sheet import fit
from utils.contrast import Contrast, to_uint8
from utils.records.scores import Score

PART = SimpleNamespace(meta={"contrast": {"method": "none", "low": 0.0, "high": 255.0}})


def decisions(*names):
    return [Score(name, 0.5, True, "kept") for name in names]


def patch(gray, side=96):
    return np.full((side, side), gray, np.uint8)


def test_patches_lie_in_their_places():
    found, name = Overviews(), "v-LOC-0_2_96-192_0-96"
    found.begin(PART, decisions(name), (4, 192, 384))
    found.paste(name, patch(200))
    assert found.sizes == {("v", 0): (192, 384)}
    (picture,) = found.cells()
    assert picture.shape == (OVERVIEW, OVERVIEW)  # half the size: rows 48-96, columns 0-48
    expected = np.full((OVERVIEW, OVERVIEW), 40)
    expected[48:96, :48] = 200
    np.testing.assert_array_equal(picture, expected)


def test_the_slice_nearest_to_the_middle_counts():
    names = [f"v-LOC-0_{z}_0-96_0-96" for z in (0, 3, 5, 9)]
    found = Overviews()
    found.begin(PART, decisions(*names), (8, 96, 96))
    for name, gray in zip(names, (10, 20, 30, 40), strict=True):
        found.paste(name, patch(gray))
    assert found.cells()[0][0, 0] == 20  # slices 3 and 5 are as near: the first
    without = Overviews()
    without.begin(PART, decisions(*names), None)
    for name, gray in zip(names[::-1], (10, 20, 30, 40), strict=True):
        without.paste(name, patch(gray))
    assert without.cells()[0][0, 0] == 40  # no shape is known: the lowest slice
    assert without.sizes == {("v", 0): (96, 96)}


def test_images_and_other_axes():
    names = ["a-LOC-2d-0-96_96-192", "v-LOC-2_1_0-96_0-96", "noname"]
    found = Overviews()
    found.begin(PART, decisions(*names), (96, 192, 4))
    for name in names:
        found.paste(name, patch(99))
    assert found.sizes == {("a", -1): (96, 192), ("v", 2): (96, 192)}


def test_no_more_than_so_many():
    found = Overviews(most=1)
    names = ["a-LOC-2d-0-96_0-96", "b-LOC-2d-0-96_0-96"]
    found.begin(PART, decisions(*names), None)
    for name in names:
        found.paste(name, patch(99))
    assert list(found.sizes) == [("a", -1)] and len(found.cells()) == 1
    assert Overviews().most == 2000  # 74 MB


class Volume:
    """A volume of grays by slice."""

    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, key):
        return np.broadcast_to(np.arange(self.shape[0], dtype=np.uint8)[:, None, None] * 20, self.shape)[key]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_the_volume_s_own_slice_where_it_is_at_hand():
    source = SimpleNamespace(open=lambda: Volume((8, 96, 192)))
    found = Overviews(SimpleNamespace(find=lambda name: source if name == "v" else None))
    names = ["v-LOC-0_1_0-96_0-96", "v-LOC-1_1_0-8_0-96", "w-LOC-0_1_0-96_0-96"]
    found.begin(PART, decisions(*names), (8, 96, 192))
    assert found.sizes == {("v", 0): (96, 192), ("v", 1): (8, 192)}
    first, second = found.cells()
    assert (first[:96] == 80).all() and (first[96:] == 40).all()
    assert [int(second[row, 0]) for row in range(9)] == [0, 20, 40, 60, 80, 100, 120, 140, 40]
    found.paste(names[0], patch(200))
    assert (found.cells()[0][:96] == 80).all()  # a patch hides no slice
    found.paste(names[2], patch(200))
    assert ("w", 0) in found.sizes
    few = Overviews(found.volumes, most=1)
    few.begin(PART, decisions(*names), (8, 96, 192))
    assert list(few.sizes) == [("v", 0)] and len(few.cells()) == 1


def test_a_volume_that_cannot_be_read_is_said():
    def fail():
        raise OSError("gone")

    class Source(SimpleNamespace):
        def __str__(self):
            return "v.nrrd"

    found = Overviews(SimpleNamespace(find=lambda name: Source(open=fail)))
    found.begin(PART, decisions("v-LOC-0_1_0-96_0-96"), (8, 96, 96))
    assert found.failures == {"v.nrrd": "no overview: gone"} and found.sizes == {}


@pytest.mark.parametrize(("side", "step"), [(SAMPLED, 1), (2 * SAMPLED - 1, 1), (2 * SAMPLED, 2), (3 * SAMPLED + 5, 3)])
def test_large_slices_are_thinned(side, step):
    volume = np.zeros((5, 10, side), np.uint8)
    volume[2] = 7
    cut = _middle(volume, 0)
    assert cut.shape == (-(-10 // step), -(-side // step)) and (cut == 7).all()


def test_slices_keep_their_proportions():
    cell = fit(np.full((10, 40), 200, np.uint8), OVERVIEW, AROUND, centred=False)
    assert (cell[:48] == 200).all() and (cell[48:] == 40).all()
    assert (fit(np.full((1, 1000), 200, np.uint8), OVERVIEW, AROUND, centred=False)[1:] == 40).all()


def test_a_thin_patch_is_a_line():
    found, name = Overviews(), "v-LOC-0_2_0-9_0-1920"
    found.begin(PART, decisions(name), (4, 1920, 3840))
    found.paste(name, np.full((9, 1920), 200, np.uint8))
    assert (found.cells()[0][0, :96] == 200).all() and (found.cells()[0][1:] == 40).all()


def test_a_slice_has_the_window_of_its_patches():
    voxels = np.full((8, 96, 96), 1000, np.uint16)
    source = SimpleNamespace(open=lambda: nullcontext(voxels))
    found = Overviews(SimpleNamespace(find=lambda name: source))
    part = SimpleNamespace(meta={"contrast": {"method": "minmax", "low": 0.0, "high": 2000.0}})
    found.begin(part, decisions("v-LOC-0_1_0-96_0-96"), voxels.shape)
    assert found.cells()[0][0, 0] == to_uint8(voxels[0], Contrast("minmax", 0.0, 2000.0))[0, 0] == 128


@pytest.mark.parametrize("place", ["0-96_200-296", "0-96_96-192", "96-192_0-96"])
def test_a_patch_beyond_its_plane_is_not_shown(place):
    found, name = Overviews(), f"v-LOC-0_2_{place}"
    found.begin(PART, decisions(name), (4, 96, 96))
    found.paste(name, patch(200))
    assert (found.cells()[0] == 40).all()
