"""The taking of cubes and of whole levels, and what it would be in words; what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from conftest import visible
from ngff_images import pyramid, write_ome_zarr
from utils.files import remove
from utils.jobs import SKIPPED, Outdated
from utils.names import parse_roi
from utils.ngff.metadata import Level
from utils.ngff.table import Dataset
from utils.sampling.fetch import chunks_touched, describe, sample
from utils.sampling.overview import fetch_overview, overview_path
from utils.sampling.plan import SamplingOptions, plan_sampling
from utils.sampling.rois import Roi
from utils.sampling.survey import PaddingError
from utils.volumes import open_volume

OPTIONS = SamplingOptions(crop_size=16, workers=2)
CUBES = [(8.0, 8.0, 8.0)]


def noise(dtype="uint8"):
    return np.random.default_rng(0).integers(1, 250, (32, 32, 40)).astype(dtype)


def dataset(folder, voxels, **row):
    return Dataset(str(write_ome_zarr(folder / "em.zarr", [voxels], sizes=CUBES)), "fly", **row)


def take(row, folder, options=OPTIONS):
    return sample(plan_sampling(row, options), folder)


def read(path):
    with open_volume(path) as volume:
        assert volume.voxel_size == (8.0, 8.0, 8.0)
        return volume[:]


@pytest.mark.parametrize("invert", [False, True])
def test_cubes_and_their_record(tmp_path, invert):
    voxels, out = noise(), tmp_path / "out"
    row = dataset(tmp_path, voxels, invert=invert)
    assert take(row, out) == "12 cubes made, 12 there (4.1e-05 GB)"  # 2 x 2 x (16, 16, 8)
    for path in out.glob("fly_s0-ROI-*.nrrd"):
        z, y, x = (slice(*span) for span in parse_roi(path.stem)[1])
        np.testing.assert_array_equal(read(path), 255 - voxels[z, y, x] if invert else voxels[z, y, x])
    said = json.loads((out / "fly.json").read_text())
    assert len(said["boxes"]) == 12 and said["overview_level"] == 0 and said["invert"] is invert
    assert take(row, out) == SKIPPED


def test_a_smaller_budget_takes_fewer(tmp_path):
    assert take(dataset(tmp_path, noise()), tmp_path / "out", replace(OPTIONS, gigabytes=4096e-9)).startswith("1 cubes")


def test_what_was_made_otherwise_is_said_before_anything_is_fetched(tmp_path):
    row, out = dataset(tmp_path, noise()), tmp_path / "out"
    take(row, out)
    before = visible(out)
    plan = plan_sampling(replace(row, invert=True), OPTIONS)
    for chunk in (tmp_path / "em.zarr/0").glob("*.*.*"):
        chunk.write_bytes(b"damaged")
    remove(out / ".overview")
    found = sample(plan, out)
    assert isinstance(found, Outdated) and str(found) == "made with invert False, now True" and visible(out) == before


def test_with_update_it_is_made_anew(tmp_path):
    voxels, out = noise(), tmp_path / "out"
    row = dataset(tmp_path, voxels)
    take(row, out, replace(OPTIONS, gigabytes=4096e-9))
    (name,) = (path.name for path in out.glob("*.nrrd"))
    said = take(replace(row, invert=True), out, replace(OPTIONS, update=True))
    assert said == "12 cubes made, 12 there (4.1e-05 GB), in place of the earlier ones"
    z, y, x = (slice(*span) for span in parse_roi(name.removesuffix(".nrrd"))[1])
    np.testing.assert_array_equal(read(out / name), 255 - voxels[z, y, x])


@pytest.mark.parametrize("invert", [False, True])
def test_a_whole_level_in_one_file(tmp_path, invert):
    voxels, out = noise(), tmp_path / "out"
    row = dataset(tmp_path, voxels, crop=False, invert=invert)
    assert take(row, out, replace(OPTIONS, gigabytes=voxels.size / 1e9)) == "4.1e-05 GB brought"
    np.testing.assert_array_equal(read(out / "fly_s0.nrrd"), 255 - voxels if invert else voxels)
    said = json.loads((out / "fly.json").read_text())
    assert [box["file"] for box in said["boxes"]] == ["fly_s0.nrrd"] and said["crop_size"] is None
    assert said["overview_level"] is None and not (out / ".overview").exists()  # bytes need no window
    assert take(row, out) == SKIPPED
    (out / "fly.json").unlink()  # a run was killed between the two
    assert take(row, out) == SKIPPED and json.loads((out / "fly.json").read_text())["boxes"] == said["boxes"]


def test_a_whole_level_has_one_window(tmp_path):
    voxels, out = noise("uint16") * 10, tmp_path / "out"
    options = replace(OPTIONS, contrast="minmax")
    take(dataset(tmp_path, voxels.astype("uint16"), crop=False), out, options)
    window = json.loads((out / "fly.json").read_text())["contrast"]
    assert (window["low"], window["high"]) == (voxels.min(), voxels.max())
    gray = read(out / "fly_s0.nrrd")
    expected = (voxels - window["low"]) * 255.0 / (window["high"] - window["low"])
    assert np.abs(gray - expected).max() <= 0.5 + 1e-9


def test_too_large_a_level_is_refused(tmp_path):
    row = dataset(tmp_path, noise(), crop=False)
    with pytest.raises(ValueError, match=r"level 0 is 4\.1e-05 GB as uint8, more than -gb 4\.09e-05; raise -gb"):
        take(row, tmp_path / "out", replace(OPTIONS, gigabytes=4.09e-5))
    assert visible(tmp_path) == ["em.zarr"]


def test_a_level_of_missing_chunks_is_refused(tmp_path):
    row = dataset(tmp_path, noise(), crop=False)
    for chunk in (tmp_path / "em.zarr/0").glob("*.*.*"):
        chunk.unlink()
    with pytest.raises(PaddingError, match=r"every voxel is 0 \(chunks are missing\): nothing was written"):
        take(row, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.nrrd*"))
    with pytest.raises(ValueError, match="none of 12 boxes is at least 70% specimen"):
        take(replace(row, crop=True), tmp_path / "other")


def test_one_chunk_of_specimen_is_enough_for_a_whole_level(tmp_path):
    voxels = np.zeros((32, 32, 40), "uint8")
    voxels[31, 31, 39] = 9
    assert take(dataset(tmp_path, voxels, crop=False), tmp_path / "out") == "4.1e-05 GB brought"
    np.testing.assert_array_equal(read(tmp_path / "out/fly_s0.nrrd"), voxels)


@pytest.mark.filterwarnings("ignore:level 0 has no overview")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_without_an_overview_padding_is_told_when_it_is_read(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 1000)
    voxels, out = noise(dtype), tmp_path / "out"
    voxels[:16], voxels[16:, :6, :16] = 0, 0  # padding, and 6 of 16 rows of one cube
    with pytest.warns(UserWarning, match=r"\d cubes were read for nothing and left out"):
        assert take(dataset(tmp_path, voxels), out).startswith("5 cubes made, 5 there")
    places = {parse_roi(path.stem)[1][1:] for path in out.glob("fly_s0-ROI-x*_z16-32.nrrd")}
    wanted = {((y, y + 16), (x, min(x + 16, 40))) for y in (0, 16) for x in (0, 16, 32)}
    assert wanted - places == {((0, 16), (0, 16))} and len(places) == 5
    said = json.loads((out / "fly.json").read_text())
    assert said["overview_level"] is None and len(said["padding"]) == 7


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


@pytest.mark.parametrize(
    ("gigabytes", "verdict"), [(4.992e-5, "would download"), (4.991e-5, "more than -gb 4.991e-05: refused")]
)
def test_a_whole_level(planned, tmp_path, gigabytes, verdict):
    whole = replace(planned, dataset=replace(planned.dataset, crop=False))
    said = describe(replace(whole, options=SamplingOptions(gigabytes=gigabytes)), tmp_path).splitlines()[-1]
    assert said == f"  crop is false: the whole level, 49.9 kB read, 49.9 kB written: {verdict}"


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
