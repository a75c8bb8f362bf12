"""utils/sampling/blocks.py: arrays written and read block by block."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.sampling.blocks import blocks, npy_planes, write_blocks, write_npy

SIDES = st.tuples(*[st.integers(1, 20)] * 3)


@given(SIDES, SIDES, st.integers(1, 4000), st.sampled_from([1, 4]))
def test_blocks_cover_each_voxel_once_by_whole_chunks(shape, chunk, most_bytes, itemsize):
    seen = np.zeros(shape, int)
    for box in blocks(shape, chunk, most_bytes, itemsize):
        seen[box] += 1
        for side, length, part in zip(chunk, shape, box, strict=True):
            assert part.start % min(side, length) == 0
            assert (part.stop - part.start) % min(side, length) == 0 or part.stop == length
        voxels = np.prod([part.stop - part.start for part in box])
        assert voxels * itemsize <= max(most_bytes, itemsize * np.prod(np.minimum(chunk, shape)))
    assert (seen == 1).all()


def test_rows_of_chunks_are_joined_as_far_as_memory_allows():
    assert len(list(blocks((4, 4, 8), (2, 2, 2), 16, 1))) == 8
    assert len(list(blocks((4, 4, 8), (2, 2, 2), 32, 1))) == 4
    assert len(list(blocks((4, 4, 8), (2, 2, 2), 64, 1))) == 2
    assert len(list(blocks((4, 4, 8), (2, 2, 2), 64, 2))) == 4


@pytest.mark.parametrize("most_bytes", [1, 40, 10_000])
def test_what_is_written_is_read_plane_by_plane(tmp_path, most_bytes):
    voxels = np.random.default_rng(0).integers(0, 9999, (5, 6, 7)).astype(np.uint16)
    boxes = blocks(voxels.shape, (2, 4, 3), most_bytes, 2)
    write_npy(tmp_path / "a.npy", voxels.shape, voxels.dtype, boxes, voxels.__getitem__)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), voxels)
    np.testing.assert_array_equal(list(npy_planes(tmp_path / "a.npy")), voxels)


def test_blocks_begin_where_the_file_stands_in_the_type_asked_for():
    file = io.BytesIO(b"head")
    file.seek(4)
    voxels = np.arange(24).reshape(2, 3, 4)
    write_blocks(file, (2, 3, 4), ">u2", blocks((2, 3, 4), (1, 2, 3), 1, 2), voxels.__getitem__)
    assert file.getvalue() == b"head" + voxels.astype(">u2").tobytes()
