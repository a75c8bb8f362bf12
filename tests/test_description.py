"""utils/sampling/description.py: what a run would take, in words."""

from dataclasses import replace

import numpy as np
import pytest

from ngff_images import pyramid, write_ome_zarr
from utils.ngff.dataset import Dataset
from utils.ngff.metadata import Level
from utils.sampling.description import chunks_touched, describe
from utils.sampling.overview import fetch_overview, overview_path
from utils.sampling.plan import SamplingOptions, plan_sampling
from utils.sampling.rois import Roi

TWO_CUBES = SamplingOptions(crop_size=16, gigabytes=9e-6)  # two cubes of 16


@pytest.mark.parametrize(
    ("kind", "roi", "chunks", "voxels"),
    [
        ("zarr", ((0, 4), (0, 4), (0, 4)), 1, 64),
        ("zarr", ((3, 5), (0, 4), (0, 4)), 2, 128),
        ("zarr", ((8, 10), (0, 4), (4, 8)), 1, 64),
        ("n5", ((8, 10), (0, 4), (4, 8)), 1, 32),
        ("precomputed", ((0, 10), (4, 8), (0, 4)), 3, 160),
    ],
)
def test_chunks_are_counted_once_and_cut_at_the_end_where_they_are_stored_so(kind, roi, chunks, voxels):
    level = Level("0", (10, 8, 8), (4, 4, 4), np.dtype("uint16"), grid={"kind": kind})
    assert chunks_touched(level, [Roi(*roi)] * 2) == (chunks, 2 * voxels)
    assert chunks_touched(level, []) == (0, 0)


@pytest.fixture
def planned(tmp_path):
    """A level of 24 x 40 x 52 in chunks of 16, one of 24 x 20 x 26, one of 12 x 10 x 13."""
    return plan_sampling(Dataset(str(write_ome_zarr(tmp_path / "em.zarr", pyramid())), "fly"), TWO_CUBES)


def test_words(planned, tmp_path):
    options = SamplingOptions(crop_size=8, gigabytes=1)
    said = describe(plan_sampling(planned.dataset, options), tmp_path)
    first, *levels, size, candidates, would = said.splitlines()
    assert first == f"fly  {tmp_path}/em.zarr  (zarr)"
    assert levels == [
        " *s0  24 x 40 x 52 (z, y, x)  30 x 8 x 6 nm  uint8  49.9 kB",
        "  s1  24 x 20 x 26 (z, y, x)  30 x 16 x 12 nm  uint8  12.5 kB",
        "  s2  12 x 10 x 13 (z, y, x)  60 x 32 x 24 nm  uint8  1.56 kB",
    ]
    assert size == "  level 0: voxel size 30 x 8 x 6 nm (z, y, x)"
    # 3 x 5 x 7 boxes; only level 0 itself shows a cube by 8 voxels; Zarr's chunks are stored whole, 24 of 16**3
    assert candidates == "  105 candidate cubes of 8 (before padding is told from the overview, level 0, 49.9 kB)"
    travels = "98.3 kB in 24 chunks (before compression) and 49.9 kB for the overview"
    assert would == f"  would download 105 cubes: {travels}, 49.9 kB written (-gb 1)"


def test_an_overview_that_is_there_tells_of_padding(tmp_path):
    levels = [level.copy() for level in pyramid()]
    for level in levels:
        level[: len(level) * 2 // 3] = 0  # the first of two layers of boxes
    plan = plan_sampling(Dataset(str(write_ome_zarr(tmp_path / "em.zarr", levels)), "fly"), TWO_CUBES)
    fetch_overview(plan.image, 1, overview_path(plan.image, 1, tmp_path, "fly"))
    said = describe(plan, tmp_path)
    assert "12 candidate cubes of 16 (told from the overview, level 1)" in said and "for the overview" not in said


def test_without_an_overview(planned, tmp_path):
    said = describe(replace(planned, overviews=()), tmp_path)
    assert "24 candidate cubes of 16 (no overview: padding is told when they are read)" in said
    assert "for the overview" not in said


@pytest.mark.parametrize(
    ("gigabytes", "verdict"), [(4.992e-5, "would download"), (4.991e-5, "more than -gb 4.991e-05: refused")]
)
def test_a_whole_level(planned, tmp_path, gigabytes, verdict):
    whole = replace(planned, dataset=replace(planned.dataset, crop=False))
    said = describe(replace(whole, options=SamplingOptions(gigabytes=gigabytes)), tmp_path).splitlines()[-1]
    assert said == f"  crop is false: the whole level, 49.9 kB read, 49.9 kB written: {verdict}"


def test_a_whole_level_is_written_as_bytes(planned, tmp_path):
    level = replace(planned.level, dtype=np.dtype("uint16"))
    whole = replace(planned.dataset, crop=False), replace(planned.image, levels=(level,))
    said = describe(replace(planned, dataset=whole[0], image=whole[1]), tmp_path).splitlines()[-1]
    assert "the whole level, 99.8 kB read, 49.9 kB written" in said


def test_a_level_that_cannot_be_read_is_named(planned, tmp_path):
    levels = (planned.level, replace(Level.broken("1", "no array"), scale=None))
    said = describe(replace(planned, image=replace(planned.image, levels=levels), overviews=()), tmp_path)
    assert "  s1  cannot be read: no array" in said
    unsized = replace(planned.image, levels=(replace(planned.level, scale=None),))
    assert "voxel size not known" in describe(replace(planned, image=unsized, overviews=()), tmp_path)


@pytest.mark.parametrize(
    ("side", "said"), [(9, "729 B"), (10, "1 kB"), (100, "1 MB"), (2000, "8 GB"), (10**5, "1 PB"), (10**6, "1e+03 PB")]
)
def test_bytes(planned, tmp_path, side, said):
    level = replace(planned.level, shape=(side, side, side))
    plan = replace(planned, image=replace(planned.image, levels=(level,)), dataset=replace(planned.dataset, crop=False))
    assert f"the whole level, {said} read" in describe(plan, tmp_path)
