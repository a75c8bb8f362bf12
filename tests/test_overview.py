"""Overviews: which level serves, where it is kept, arrays block by block, and what boxes look like on it."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngff_images import pyramid, write_ome_zarr
from utils.ngff.metadata import Level
from utils.ngff.multiscale import open_multiscale
from utils.sampling.overview import (
    blocks,
    discard_overviews,
    fetch_overview,
    npy_planes,
    overview_levels,
    overview_path,
    ratio,
    survey,
    write_blocks,
    write_npy,
)
from utils.sampling.rois import grid


def image(*sides, **options):
    levels = [Level(str(i), (n, n, n), (16, 16, 16), np.dtype("u1"), scale=(s, s, s), unit="nm", **options)
              for i, (n, s) in enumerate(sides)]  # fmt: skip
    return SimpleNamespace(levels=levels, store="file:///em.zarr")


PYRAMID = [(1024, 8.0), (512, 16.0), (256, 32.0), (128, 64.0), (64, 128.0)]


@pytest.mark.parametrize(
    ("level", "crop", "best"),
    [
        (0, 128, [4, 3, 2, 1]),  # level 4 shows a cube by 8 voxels; level 0 is too large
        (0, 127, [3, 2, 1, 4]),
        (0, 32, [2, 1, 3, 4]),
        (0, 8, [1, 2, 3, 4]),
        (2, 64, [4, 3, 2]),
        (2, 16, [3, 2, 4]),
    ],
)
def test_the_coarsest_on_which_a_cube_spans_8_voxels_then_finer_then_coarser(level, crop, best):
    assert overview_levels(image(*PYRAMID), level, crop) == best


def test_levels_that_cannot_serve():
    levels = image((645, 8.0), (646, 8.0), (100, 8.0))  # 645**3 < 2**28 < 646**3
    levels.levels[2] = Level.broken("2", "no array")
    assert overview_levels(levels, 1, 64) == [0]
    flat = image((100, 8.0), (100, 8.0))
    flat.levels[1] = Level("1", (101, 10, 10), (8, 8, 8), np.dtype("u1"), scale=(8.0, 8.0, 8.0), unit="nm")
    assert overview_levels(flat, 0, 8) == [0]  # no level of more voxels along an axis


@pytest.mark.parametrize(("depth", "serves"), [(1024, [0]), (1025, [])])
def test_an_overview_has_256_mb_at_most(depth, serves):
    large = image((8, 8.0))
    large.levels[0] = Level("0", (depth, 512, 512), (8, 8, 8), np.dtype("u1"), scale=(8.0, 8.0, 8.0), unit="nm")
    assert overview_levels(large, 0, 64) == serves


def test_ratios_are_of_the_two_levels():
    assert ratio(image(*PYRAMID), 3, 1) == (4.0, 4.0, 4.0) == ratio(image(*PYRAMID), 2, 0)


def test_two_images_of_one_name_have_overviews_of_their_own(tmp_path):
    one = overview_path(image((8, 8.0)), 2, tmp_path, "fly")
    assert one.parent == tmp_path / ".overview" and one.name.startswith("fly_s2-") and len(one.stem) == 15
    other = SimpleNamespace(store="file:///other.zarr")
    assert overview_path(other, 2, tmp_path, "fly") != one


def test_what_goes_with_a_dataset(tmp_path):
    names = ["fly_s2-0123abcd.npy", "fly-mask_s0-0123abcd.npy"]
    others = ["fly2_s2-0123abcd.npy", "fly_s2-0123abcde.npy", "fly_sx-0123abcd.npy", "fly.b_s2-0123abcd.npy"]
    (tmp_path / ".overview").mkdir()
    for name in names + others:
        (tmp_path / ".overview" / name).touch()
    discard_overviews(tmp_path, "fly")
    assert sorted(path.name for path in (tmp_path / ".overview").iterdir()) == sorted(others)
    discard_overviews(tmp_path / "absent", "fly")


def test_fetched_once_and_looked_at(tmp_path):
    levels = [level.copy() for level in pyramid()]
    levels[2][:6] = 0
    opened = open_multiscale(write_ome_zarr(tmp_path / "em.zarr", levels))
    path = overview_path(opened, 2, tmp_path, "fly")
    fetch_overview(opened, 2, path)
    np.testing.assert_array_equal(np.load(path), levels[2])
    boxes = grid((24, 40, 52), 12)
    seen = survey(opened, 2, path, 0, boxes, 0.0)
    assert {roi.z for roi in seen.candidates(1.0)} == {(12, 24)}
    assert len(seen.candidates(0.0)) == len(boxes[0]) * len(boxes[1]) * len(boxes[2])
    np.save(path, np.ones_like(levels[2]))
    fetch_overview(opened, 2, path)
    assert np.load(path).all()  # what is there is not fetched again


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
