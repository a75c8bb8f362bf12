"""utils/sampling/fetch.py: cubes and whole levels, budgets that are filled, outdated cubes and what replaces them."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from conftest import visible
from ngff_images import write_ome_zarr
from test_orphans import SETTINGS, SPAN, dataset_folder, files_in, write  # noqa: F401 - a fixture
from utils.contrast import NO_CONTRAST
from utils.files import remove
from utils.jobs import SKIPPED, Outdated, SomeFailed
from utils.names import parse_roi
from utils.ngff.dataset import Dataset
from utils.sampling.fetch import fill_budget, renewed, sample
from utils.sampling.plan import SamplingOptions, plan_sampling
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Roi
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


BOXES = [Roi((0, 4), (0, 4), (4 * i, 4 * i + 4)) for i in range(5)]  # 64 voxels each
CUBE = np.arange(1, 65, dtype=np.uint8).reshape(4, 4, 4)


class Source:
    """Voxels by box; counts what is read."""

    def __init__(self, padding=(), broken=()):
        self.padding, self.broken, self.reads = padding, broken, []

    def __call__(self, roi):
        number = BOXES.index(roi)
        self.reads.append(number)
        if number in self.broken:
            raise OSError("no such chunk")
        return np.zeros((4, 4, 4), np.uint8) if number in self.padding else CUBE.copy(), 0


def fill(folder, source, count, **options):
    record = RoiRecord(folder / "fly.json", SETTINGS)
    crops = Crops("fly", folder, source, NO_CONTRAST, None)
    return fill_budget(crops, lambda: iter(BOXES), count * 64 / GB, record, threads=1, chunk=(1, 1, 1), **options)


def there(folder):
    return sorted(int(path.stem.split("-ROI-x")[1].split("-")[0]) // 4 for path in folder.glob("*.nrrd"))


def test_as_many_as_fit_and_then_no_more(tmp_path):
    source = Source()
    assert fill(tmp_path, source, 2.9) == "2 cubes made, 2 there (1.28e-07 GB)"
    assert there(tmp_path) == [0, 1] == source.reads
    assert fill(tmp_path, source, 2) == SKIPPED and source.reads == [0, 1]
    assert fill(tmp_path, source, 3) == "1 cubes made, 3 there (1.92e-07 GB)" and source.reads == [0, 1, 2]


def test_padding_is_replaced_and_not_read_again(tmp_path):
    source = Source(padding=[0, 2])
    with pytest.warns(UserWarning, match="^2 cubes were read for nothing and left out: every voxel is 0"):
        assert fill(tmp_path, source, 2).startswith("2 cubes made, 2 there")
    assert there(tmp_path) == [1, 3] and source.reads == [0, 1, 2, 3]
    assert len(json.loads((tmp_path / "fly.json").read_text())["padding"]) == 2
    assert fill(tmp_path, source, 2) == SKIPPED and source.reads == [0, 1, 2, 3]


def test_padding_that_is_known_is_not_read(tmp_path):
    source = Source(padding=[0])
    assert fill(tmp_path, source, 2, padding={BOXES[0]: "read before"}).startswith("2 cubes made, 2 there")
    assert source.reads == [1, 2]
    source.padding = [4]
    with pytest.warns(UserWarning, match="^1 cubes were read for nothing and left out: every voxel is 0"):
        assert fill(tmp_path, source, 3, padding={BOXES[3]: "read before"}) == SKIPPED


def test_what_is_under_way_is_said_before_it_is_made(tmp_path):
    class Watching(Source):
        def __call__(self, roi):
            said.append(json.loads((tmp_path / "fly.json").read_text()))
            return super().__call__(roi)

    said: list[dict] = []
    fill(tmp_path, Watching(), 2)
    assert [len(record["pending"]) for record in said] == [2, 2] and said[0]["contrast"]["method"] == "none"


def test_failed_cubes_keep_their_place(tmp_path):
    source = Source(broken=[1])
    with pytest.raises(SomeFailed) as caught:
        fill(tmp_path, source, 3)
    assert caught.value.failures == {str(tmp_path / "fly-ROI-x4-8_y0-4_z0-4.nrrd"): "no such chunk"}
    assert there(tmp_path) == [0, 2]
    said = json.loads((tmp_path / "fly.json").read_text())
    assert len(said["boxes"]) == 2 and len(said["pending"]) == len(said["failures"]) == 1
    assert fill(tmp_path, Source(), 3).startswith("1 cubes made, 3 there")
    assert json.loads((tmp_path / "fly.json").read_text())["failures"] == []


def test_nothing_fits(tmp_path):
    with pytest.raises(ValueError, match=r"-gb 6\.336e-08 is less than one cube \(6\.4e-08\)"):
        fill(tmp_path, Source(), 0.99)


def test_nothing_is_specimen(tmp_path):
    with pytest.raises(ValueError, match="no specimen: 5 boxes were read, and of each every voxel is 0"):
        fill(tmp_path, Source(padding=range(5)), 2)


def renew(folder, settings, update, files=("b.nrrd", "c.nrrd")):
    return renewed(folder / "fly.json", settings, update, lambda record: write(record.path.parent, settings, files))


def test_outdated_cubes_are_named_and_stay(folder):
    found = renew(folder, replace(SETTINGS, crop_size=8), False)
    assert isinstance(found, Outdated) and str(found) == "made with crop_size 4, now 8"
    assert files_in(folder) == {"a.nrrd": "out", "b.nrrd": "out"}


@pytest.mark.parametrize("change", [{"crop_size": 8}, {"seed": 1}])
def test_with_update_there_is_what_a_fresh_run_leaves(folder, change):
    (folder / ".fly.json.part").mkdir()
    (folder / ".fly.json.part" / "of_a_killed_run.nrrd").touch()
    assert renew(folder, replace(SETTINGS, **change), True) == "made, in place of the earlier ones"
    assert files_in(folder) == {"b.nrrd": ".fly.json.part", "c.nrrd": ".fly.json.part"}
    said = json.loads((folder / "fly.json").read_text())
    assert {key: said[key] for key in change} == change and not (folder / ".fly.json.part").exists()


def test_what_is_as_wished_for_goes_on_where_it_lies(folder):
    assert renew(folder, SETTINGS, True) == "made"
    assert files_in(folder)["c.nrrd"] == "out" and "a.nrrd" in files_in(folder)
    assert renew(folder, replace(SETTINGS, seed=1), False) == "made"


def test_cubes_of_earlier_choices_go_too(folder):
    (folder / "old.nrrd").touch()
    boxes = [{"file": name, **SPAN} for name in ("old.nrrd", "taken_away.nrrd")]
    (folder / "of_a_killed_run.nrrd").touch()
    pending = [{"file": "of_a_killed_run.nrrd", **SPAN}]
    write(folder, SETTINGS, ["a.nrrd"], earlier=[{"boxes": boxes}], pending=pending)
    (folder / "b.nrrd").unlink()
    renew(folder, SETTINGS, True, ["c.nrrd"])
    assert set(files_in(folder)) == {"c.nrrd"}


def test_what_fails_leaves_the_earlier_ones_and_is_named_as_it_would_be_there(folder):
    def fail(record):
        write(record.path.parent, SETTINGS, ["c.nrrd"])
        raise SomeFailed({str(record.path.with_name("d.nrrd")): "refused"})

    with pytest.raises(SomeFailed) as failed:
        renewed(folder / "fly.json", replace(SETTINGS, crop_size=8), True, fail)
    assert failed.value.failures == {str(folder / "d.nrrd"): "refused"}
    assert set(files_in(folder)) == {"a.nrrd", "b.nrrd"} and not (folder / ".fly.json.part").exists()


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_kill_while_cubes_are_replaced_leaves_none_beside_another_record(folder, moment, monkeypatch):
    rename, moments = os.replace, iter(range(moment))

    def deadly(source, target):
        if next(moments, None) is None:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(os, "replace", deadly)
        renew(folder, replace(SETTINGS, crop_size=8), True)
    said = json.loads((folder / "fly.json").read_text())
    made_in = "out" if said["crop_size"] == SETTINGS.crop_size else ".fly.json.part"
    assert set(files_in(folder).values()) <= {made_in}
    assert set(files_in(folder)) <= {box["file"] for box in said["boxes"]}
