"""utils/reconstruction/subvolumes.py: slices beyond a border are mirrored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.reconstruction.subvolumes import reflected, window


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 9))
def test_mirrored_slices_are_numpys(count, index, slices):
    first, stop = window(min(index, count - 1), slices)
    padded = np.pad(np.arange(count), 10, "reflect" if count > 1 else "edge")
    np.testing.assert_array_equal(reflected(first, stop, count), padded[first + 10 : stop + 10])
    assert reflected(first, stop, count)[slices // 2] == min(index, count - 1)
