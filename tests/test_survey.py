"""utils/sampling/survey.py: padding told in a cube, and the share of specimen in each box, by an overview."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.sampling import survey
from utils.sampling.rois import Boxes, grid
from utils.sampling.survey import FEW, PaddingError, Survey, not_padding, refuse_flat, specimen_share


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_survey_counts_what_is_not_padding(seed, min_frac):
    rng = np.random.default_rng(seed)
    volume = (rng.random((12, 20, 28)) < 0.6).astype("u1") * 7
    boxes = grid(volume.shape, 8)
    seen = Survey(boxes, (1, 1, 1), volume.shape, 0)
    for z, plane in enumerate(volume):
        seen.add(z, plane)
    expected = [roi for roi in Boxes(boxes) if np.mean(volume[roi.slices] != 0) >= min_frac - 1e-9]
    assert list(seen.candidates(min_frac)) == expected
    for roi in list(Boxes(boxes))[::7]:
        assert seen.share(roi) == np.floor(np.mean(volume[roi.slices] != 0) * 50_000 + 1e-6) / 50_000
    assert set(np.unique(seen.sample())) <= {0, 7} and seen.sample().ndim == 3


def test_survey_of_a_coarser_overview():
    volume = np.zeros((16, 64, 64), "u1")
    volume[:, 32:, :32] = 9
    boxes = grid(volume.shape, 16)
    seen = Survey(boxes, (2, 4, 4), (8, 16, 16), 0)
    for z, plane in enumerate(volume[::2, ::4, ::4]):
        seen.add(z, plane)
    found = seen.candidates(0.7)
    assert {(roi.y, roi.x) for roi in found} == {((a, a + 16), (b, b + 16)) for a in (32, 48) for b in (0, 16)}


def test_boxes_smaller_than_an_overview_s_voxel_are_what_that_voxel_is():
    boxes = grid((32, 32, 32), 8)
    seen = Survey(boxes, (16, 16, 16), (2, 2, 2), 0)
    for z in range(2):
        seen.add(z, np.full((2, 2), z))
    assert {roi.z for roi in seen.candidates(0.4)} == {(16, 24), (24, 32)}
    assert seen.share(next(iter(Boxes(boxes)))) == 0.0


def test_the_sample_is_of_even_bands_of_every_plane_with_specimen(monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE", 4 * 160)  # two bands of eight rows of ten from each of four planes
    seen = Survey(grid((4, 32, 10), 8), (1, 1, 1), (4, 32, 10), -1)
    for z in range(4):
        seen.add(z, np.repeat(np.arange(32), 10).reshape(32, 10) + 100 * z)
    assert seen.sample().shape == (8, 8, 10)
    assert seen.sample()[:, 0, 0].tolist() == [100 * z + row for z in range(4) for row in (3, 19)]
    top = Survey(grid((1, 32, 10), 8), (1, 1, 1), (1, 32, 10), -1)
    top.add(0, np.repeat([7, 7, *[-1] * 30], 10).reshape(32, 10))
    assert top.sample()[0, :, 0].tolist() == [7, 7, *[-1] * 6]
    few = Survey(grid((9, 32, 10), 8), (1, 1, 1), (90, 32, 10), -1)
    few.add(0, np.full((32, 10), -1))
    few.add(1, np.ones((32, 10)))
    assert few.sample().shape == (2, 8, 10)  # one at least of the first, and what those without specimen left


def test_padding_may_be_nan():
    plane = np.array([[np.nan, 1.0, 0.0]])
    assert not_padding(plane, float("nan")).tolist() == [[False, True, True]]
    assert not_padding(plane, 0.0).tolist() == [[False, True, False]]
    assert not_padding(np.array([[0, 300]], "u2"), 300.0).tolist() == [[True, False]]


def cube(value: int, others: int, side: int = 20) -> np.ndarray:
    """A cube of one value, `others` of whose voxels, spread over it, have another."""
    gray = np.full(side**3, value, np.uint8)
    gray[np.linspace(0, gray.size - 1, others).astype(int)] = 255 - value
    return gray.reshape(side, side, side)


def test_a_cube_of_one_value_is_refused():
    with pytest.raises(PaddingError, match=r"^every voxel is 7 of 255: nothing was written$"):
        refuse_flat(cube(7, 0))


def test_one_voxel_of_a_thousand_may_be_hot():
    with pytest.raises(PaddingError, match=r"^99\.90% of the voxels is 7 of 255"):
        refuse_flat(cube(7, 8))
    refuse_flat(cube(7, 9))


def test_a_single_voxel_is_a_cube_of_one_value():
    with pytest.raises(PaddingError, match="every voxel is 3 of 255"):
        refuse_flat(np.full((1, 1, 1), 3, np.uint8))


def test_the_commonest_value_is_told_by_a_few_voxels_of_many():
    gray = cube(200, 10, 24)
    assert gray.size > 2 * FEW
    with pytest.raises(PaddingError, match="is 200 of 255"):
        refuse_flat(gray)


def test_the_share_is_the_least_over_all_fills():
    voxels = np.array([[[0, 0, 5, 5, 5, 6, 7, 8]]])
    assert specimen_share(voxels, [0]) == (0.75, "")
    assert specimen_share(voxels, [0, 5]) == (0.625, "")
    assert specimen_share(voxels, [5, 0]) == (0.625, "")
    assert specimen_share(voxels, [99]) == specimen_share(voxels, []) == (1.0, "")


def test_too_little_specimen_is_padding():
    voxels = np.array([[[0, 0, 0, 1]], [[0, 0, 0, 0]]])
    assert specimen_share(voxels, [0], 0.125) == (0.125, "")
    assert specimen_share(voxels, [0], 0.126) == (0.125, "only 12% is not padding (0): nothing was written")


def test_nothing_but_padding_is_told_at_any_share():
    share, why = specimen_share(np.full((2, 2, 2), np.nan), [float("nan")])
    assert share == 0 and why == "every voxel is nan (padding, or chunks that are missing): nothing was written"


@pytest.mark.parametrize("stray", [10, 200])
def test_a_cube_of_hardly_more_than_one_value_is_a_failure(stray):
    gray = np.full((40, 50, 60), 77, np.uint8)
    gray.reshape(-1)[:: gray.size // stray] = 255
    if stray == 10:
        with pytest.raises(PaddingError, match=r"99\.99% of the voxels is 77 of 255"):
            refuse_flat(gray)
    else:
        refuse_flat(gray)


@pytest.mark.parametrize(
    ("values", "padding", "expected"),
    [
        (np.array([0, 1, 255], np.uint8), 0.0, [False, True, True]),
        (np.array([0, 1, 255], np.uint8), 255.0, [True, True, False]),
        (np.array([0, 1], np.uint8), 0.5, [True, True]),
        (np.array([0.5, np.nan, 1.0], np.float32), 0.5, [False, False, True]),
        (np.array([0.5, np.nan], np.float32), float("nan"), [True, False]),
        (np.array([-3, 3], np.int16), -3.0, [False, True]),
    ],
)
def test_what_is_no_padding(values, padding, expected):
    assert not_padding(values, padding).tolist() == expected
