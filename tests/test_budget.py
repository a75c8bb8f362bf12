"""Filling a budget: as many cubes as fit, padding replaced, failures named, a second run that has nothing to do."""

import json

import numpy as np
import pytest

from utils.contrast import NO_CONTRAST
from utils.jobs import SKIPPED, SomeFailed
from utils.sampling.budget import fill_budget
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import RoiRecord
from utils.sampling.roi_settings import Settings
from utils.sampling.rois import GB, Roi

BOXES = [Roi((0, 4), (0, 4), (4 * i, 4 * i + 4)) for i in range(5)]  # 64 voxels each
SETTINGS = Settings(source="/em", volume_name="fly", level=0, seed=0, crop_size=4)
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
