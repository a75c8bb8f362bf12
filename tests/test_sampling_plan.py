"""Planning: which level, which boxes, how many at once, what a record says; rows side by side."""

import threading
from dataclasses import replace

import numpy as np
import pytest

import ngff_download
from loopback import serving
from ngff_images import SIZES, pyramid, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.dataset import Dataset
from utils.sampling import plan as room
from utils.sampling.plan import DEFAULT_CROP, PlannedRow, SamplingOptions, plan_rows, plan_sampling
from utils.sampling.rois import Boxes, shuffled, stratified


@pytest.fixture
def row(tmp_path):
    """Levels of (24, 40, 52), (24, 20, 26) and (12, 10, 13) voxels in chunks of 16."""
    return Dataset(str(write_ome_zarr(tmp_path / "em.zarr", pyramid())), "fly")


@pytest.mark.parametrize(
    ("in_row", "options", "index"),
    [
        (None, {}, 0),
        (1, {}, 1),
        (1, {"level": 0}, 0),
        (1, {"level": 2}, 2),
        (1, {"voxel_nm": 24.0}, 2),
        (None, {"voxel_nm": 11.0}, 1),
        (2, {"level": 1, "voxel_nm": 6.0}, 0),
    ],
)
def test_which_level(row, in_row, options, index):
    plan = plan_sampling(replace(row, level=in_row), SamplingOptions(**options))
    assert (plan.index, plan.level, plan.name) == (index, plan.image.levels[index], f"fly_s{index}")
    assert plan.voxel_size == SIZES[index]


def test_what_is_left_out_means_what_it_means_to_ngff_download(tmp_path, monkeypatch):
    """`patchify3d.py` takes the cubes of a table's row that it would."""
    asked = []
    monkeypatch.setattr(ngff_download, "download", lambda args: asked.append(ngff_download.sampling_options(args)))
    ngff_download.main(["t.csv", str(tmp_path / "cubes")])
    assert asked == [SamplingOptions()]


@pytest.mark.parametrize(
    ("in_row", "asked", "crop"), [(None, None, DEFAULT_CROP), (16, None, 16), (16, 8, 8), (None, 8, 8)]
)
def test_how_large_cubes_are(row, in_row, asked, crop):
    plan = plan_sampling(replace(row, crop_size=in_row), SamplingOptions(crop_size=asked))
    assert plan.crop == crop


def test_boxes_and_what_stands_for_none(row):
    plan = plan_sampling(replace(row, padding_value=9.0), SamplingOptions(crop_size=16))
    assert plan.spans == ([(0, 16), (16, 24)], [(0, 16), (16, 32), (32, 40)], [(0, 16), (16, 32), (32, 48), (36, 52)])
    assert plan.fills == (9.0, 0.0) and plan_sampling(row, SamplingOptions()).fills == (0.0,)


def test_where_an_overview_is_looked_at(row, tmp_path):
    wide = Dataset(str(write_ome_zarr(tmp_path / "wide.zarr", pyramid(dtype="uint16"))), "wide")
    looked_at = [
        plan_sampling(replace(dataset, crop=crop), SamplingOptions()).is_surveyed
        for dataset in (row, wide)
        for crop in (True, False)
    ]
    assert looked_at == [True, False, True, True]


@pytest.mark.parametrize(("dtype", "crop", "threads"), [("uint8", 1024, 1), ("uint8", 512, 14), ("uint16", 512, 7)])
def test_cubes_in_flight_take_4_gb_at_most(row, dtype, crop, threads):
    plan = plan_sampling(row, SamplingOptions(crop_size=crop, workers=100))
    large = replace(plan.level, shape=(4096, 4096, 4096), dtype=np.dtype(dtype))
    plan = replace(plan, image=replace(plan.image, levels=(large,)))
    assert plan.threads == threads  # 4e9 // (2 * 512**3) = 14
    assert replace(plan, options=SamplingOptions(workers=1)).threads == 1


def test_a_short_level_s_cubes_are_small(row):
    assert plan_sampling(row, SamplingOptions(crop_size=4096, workers=100)).threads == 100


@pytest.mark.parametrize(("crop", "shared"), [(16, 0), (32, 0), (24, 256 << 20), (8, 256 << 20)])
def test_chunks_that_cubes_share_are_kept(row, crop, shared):
    reader = plan_sampling(row, SamplingOptions(crop_size=crop)).open_level()
    assert reader.store.access.cache_bytes == shared
    np.testing.assert_array_equal(reader.read((slice(0, 24), slice(0, 40), slice(0, 52))), pyramid()[0])


def test_the_order_of_boxes(row):
    plan = plan_sampling(row, SamplingOptions(crop_size=8, seed=3))
    boxes = Boxes(plan.spans)
    assert list(plan.draw(boxes)) == list(shuffled(boxes, 3))
    even = replace(plan, options=SamplingOptions(seed=3, stratify=True))
    assert list(even.draw(boxes)) == list(stratified(boxes, 3))


def test_what_the_record_says(row):
    options = SamplingOptions(seed=3, min_frac=0.4, stratify=True, mask="s3://b/mask?token=secret", crop_size=16)
    plan = plan_sampling(replace(row, invert=True), options)
    said = plan.settings(2)
    assert (said.volume_name, said.level, said.seed, said.crop_size, said.overview_level) == ("fly", 0, 3, 16, 2)
    assert said.shape == [24, 40, 52] and said.voxel_size == [30.0, 8.0, 6.0] and said.voxel_offset == [0, 0, 0]
    assert said.invert and said.stratify and said.dtype == "uint8" and said.format == "zarr"
    assert said.coordinates == "dataset" and said.mask and "secret" not in said.mask
    assert said.source == said.url == row.url
    whole = plan_sampling(replace(row, crop=False), SamplingOptions()).settings(None)
    assert whole.crop_size is None and whole.mask is None


def test_a_row_that_cannot_be_used_says_why():
    with pytest.raises(ValueError, match=r"^mip is 1.5$"):
        plan_sampling(Dataset("", "t-line-2", problem="mip is 1.5"), SamplingOptions())
    with pytest.raises(FileNotFoundError, match="no such folder"):
        plan_sampling(Dataset("/nowhere/em.zarr", "em"), SamplingOptions(access=Access(timeout=1)))


pytestmark = pytest.mark.usefixtures("fresh_hosts")
OPTIONS = SamplingOptions(access=Access(timeout=20, retries=0))


def test_plans_and_reasons_in_the_rows_order(tmp_path):
    rows = [Dataset(str(write_ome_zarr(tmp_path / f"{name}.zarr", pyramid())), name) for name in "abc"]
    rows.insert(1, Dataset(str(tmp_path / "none.zarr"), "none"))
    rows.insert(0, Dataset("ftp://host/x", "ftp"))
    planned = plan_rows(rows, OPTIONS, None)
    assert [one.row.name for one in planned] == ["ftp", "a", "none", "b", "c"]
    assert [one.plan is not None for one in planned] == [False, True, False, True, True]
    assert planned[2].reason == "no such folder" and "ftp:// are not known" in planned[0].reason
    assert str(planned[1]) == rows[1].url and planned[1].result(OPTIONS) is planned[1].plan
    with pytest.raises(ValueError, match=r"^no such folder$"):
        planned[2].result(OPTIONS)


def test_what_is_said_of_a_row_is_said_when_it_is_worked_on(tmp_path, recwarn):
    levels = pyramid()
    rows = [Dataset(str(write_ome_zarr(tmp_path / f"{name}.zarr", levels)), name) for name in "ab"]
    (tmp_path / "b.zarr/2/.zarray").unlink()
    a, b, again = plan_rows([*rows, rows[1]], OPTIONS, None)
    assert again.said == b.said  # of every row, be it the same sentence
    assert a.said == () and len(b.said) == 1 and "level '2' is left out" in b.said[0]
    assert not recwarn.list
    with pytest.warns(UserWarning, match="level '2' is left out"):
        assert b.result(OPTIONS) is b.plan


def test_rows_of_a_silent_server_come_last_and_are_planned_when_it_is_their_turn(tmp_path):
    write_ome_zarr(tmp_path / "x.zarr", pyramid())
    stalled = {"at": True}
    with serving(tmp_path, lambda path, nth: "stall" if stalled["at"] else None) as silent, serving(tmp_path) as quick:
        rows = [Dataset(f"{server.url}/x.zarr", name) for server, name in ((silent, "a"), (silent, "b"), (quick, "c"))]
        planned = plan_rows(rows, OPTIONS, 0.5)
        assert [one.row.name for one in planned] == ["c", "a", "b"]
        assert [one.plan is not None for one in planned] == [True, False, False]
        assert planned[1].reason == planned[2].reason == "" and len(silent.log) < 20  # the first row's requests only
        stalled["at"] = False
        silent.released.set()
        assert planned[2].result(OPTIONS).name == "b_s0"


def test_rows_that_were_not_begun_in_time_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "THREADS", 1)
    write_ome_zarr(tmp_path / "x.zarr", pyramid())
    before = set(threading.enumerate())
    with serving(tmp_path, lambda path, nth: "stall") as silent, serving(tmp_path) as quick:
        planned = plan_rows([Dataset(f"{server.url}/x.zarr", "x") for server in (silent, quick)], OPTIONS, 0.2)
        assert [one.plan for one in planned] == [None, None]
        workers = [thread for thread in set(threading.enumerate()) - before if "ThreadPool" in thread.name]
        silent.released.set()
        for worker in workers:
            worker.join()
        assert len(workers) == 1 and quick.log == []


def test_nothing_to_plan():
    assert plan_rows([], OPTIONS) == []
    assert str(PlannedRow(Dataset("http://me:secret@host/x", "x"))) == "http://host/x" or "secret" not in str(
        PlannedRow(Dataset("http://me:secret@host/x", "x"))
    )


def test_at_least_one_cube_is_in_flight(row, monkeypatch):
    plan = plan_sampling(row, SamplingOptions(crop_size=16, workers=3))
    assert plan.threads == 3
    monkeypatch.setattr(room, "MEMORY_BUDGET", 2 * 2 * 16**3)
    assert plan.threads == 2
    monkeypatch.setattr(room, "MEMORY_BUDGET", 1)
    assert plan.threads == 1
