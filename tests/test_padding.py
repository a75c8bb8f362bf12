"""utils/sampling/padding.py: which cubes show nothing."""

import numpy as np
import pytest

from utils.sampling.padding import FEW, PaddingError, not_padding, refuse_flat, specimen_share


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
