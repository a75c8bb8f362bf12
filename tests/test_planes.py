"""utils/planes.py: what is looked at is bounded, spread from the first row to the last, and whole where it is small."""

import numpy as np
import pytest

from utils.planes import in_bands


@pytest.mark.parametrize("shape", [(7, 9), (2, 7, 9), (2, 1, 7, 9), (3, 1, 9), (0, 5, 5)])
def test_small_planes_are_whole(shape):
    planes = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(in_bands(planes), planes.reshape(-1, *shape[-2:]))


@pytest.mark.parametrize("shape", [(500, 40), (3, 200, 70), (90, 100, 10)])
def test_large_planes_are_bands_of_rows(monkeypatch, shape):
    monkeypatch.setattr("utils.planes.SAMPLE", 6000)
    rows = np.arange(shape[-2])[:, None] + np.zeros(shape, int)
    bands = in_bands(rows)
    assert bands.size <= max(6000, rows.size // shape[-2] * 24)
    assert (bands[:, 1:, 0] - bands[:, :-1, 0] == 1).all() and bands.shape[1] >= 3
    assert {0, shape[-2] - 1} <= set(bands.ravel().tolist())


def test_bands_that_would_be_all_are_the_whole(monkeypatch):
    monkeypatch.setattr("utils.planes.SAMPLE", 25 * 50)
    assert in_bands(np.arange(25 * 50).reshape(25, 50)).shape == (1, 25, 50)  # so many pixels are looked at
    monkeypatch.setattr("utils.planes.SAMPLE", 100)
    planes = np.arange(24 * 50).reshape(24, 50)
    assert in_bands(planes).shape == (1, 24, 50)
    assert in_bands(np.arange(25 * 50).reshape(25, 50)).shape == (8, 3, 50)
