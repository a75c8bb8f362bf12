"""Where voxels lie: how many bytes they take, and headers that promise nothing."""

import numpy as np
import pytest

from utils.formats.stored_voxels import StoredVoxels

INT16 = np.dtype(">i2")


def test_sizes(tmp_path):
    assert StoredVoxels(tmp_path, INT16, (3, 4, 5)).nbytes == 120
    assert StoredVoxels(tmp_path, INT16, (np.int32(1 << 30),) * 3).nbytes == 1 << 91  # whole numbers without bound


def test_headers_that_promise_nothing(tmp_path):
    (tmp_path / "a").touch()
    StoredVoxels(tmp_path / "a", INT16, (1, 1, 1)).refuse_no_data()
    with pytest.raises(ValueError, match=r"promises the shape \(1, 0\): nothing to read"):
        StoredVoxels(tmp_path / "a", INT16, (1, 0)).refuse_no_data()
    with pytest.raises(FileNotFoundError, match="the data file b that the header names is missing"):
        StoredVoxels(tmp_path / "b", INT16, (1,)).refuse_no_data()
