"""utils/sampling/survey.py: the share of specimen in each box, by an overview."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.sampling import survey
from utils.sampling.padding import not_padding
from utils.sampling.rois import Boxes, grid
from utils.sampling.survey import Survey


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
    few = Survey(grid((9, 32, 10), 8), (1, 1, 1), (90, 32, 10), -1)
    few.add(0, np.full((32, 10), -1))
    few.add(1, np.ones((32, 10)))
    assert few.sample().shape == (2, 8, 10)  # one at least of the first, and what those without specimen left


def test_padding_may_be_nan():
    plane = np.array([[np.nan, 1.0, 0.0]])
    assert not_padding(plane, float("nan")).tolist() == [[False, True, True]]
    assert not_padding(plane, 0.0).tolist() == [[False, True, False]]
    assert not_padding(np.array([[0, 300]], "u2"), 300.0).tolist() == [[True, False]]
