"""utils/sampling/selection.py: seeded orders of boxes, budgets that are filled, no overlap."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.contrast import NO_CONTRAST
from utils.jobs import SKIPPED, SomeFailed
from utils.overlap import without_overlap
from utils.sampling.roi_crops import Crops
from utils.sampling.roi_record import RoiRecord, Settings
from utils.sampling.rois import GB, Boxes, Roi, grid
from utils.sampling.selection import boxes_that_fit, choose_without_padding, fill_budget, shuffled, stratified

sides = st.integers(1, 120)


@given(st.integers(0, 1000), st.floats(0, 3000), st.floats(1, 3))
def test_a_larger_budget_keeps_and_adds(seed, budget, factor):
    rois = Boxes(grid((20, 24, 28), 8))
    order = list(shuffled(rois, seed))
    assert sorted(order) == list(rois) and order == list(shuffled(rois, seed))
    less, more = boxes_that_fit(order, budget), boxes_that_fit(order, budget * factor)
    assert more[: len(less)] == less
    assert sum(roi.voxels for roi in more) <= budget * factor


def test_kept_boxes_count_first_and_are_not_overlapped():
    order = [Roi((0, 8), (0, 8), (x, x + 8)) for x in (0, 8, 16)]
    kept = [Roi((0, 8), (0, 8), (4, 10))]
    assert boxes_that_fit(order, 384 + 512, kept) == [*kept, order[2]]
    assert boxes_that_fit(order, 384, kept) == kept


@pytest.mark.parametrize("seed", [0, 1])
def test_seeds_differ(seed):
    rois = Boxes(grid((64, 64, 64), 8))
    assert list(shuffled(rois, seed)) != list(shuffled(rois, seed + 1))


def test_a_petabyte_costs_no_more_than_a_gigabyte():
    rois = Boxes(grid((13_000, 130_000, 190_000), 256))
    assert len(rois) > 19_000_000
    assert 298 <= len(boxes_that_fit(shuffled(rois, 0), 5e9)) < 320


@given(st.integers(0, 2**31), st.integers(7, 40))
def test_no_two_chosen_boxes_overlap(seed, crop):
    chosen = boxes_that_fit(shuffled(Boxes(grid((30, 47, 61), crop)), seed), 1e9)
    assert len(chosen) >= 1
    assert list(without_overlap((("", roi) for roi in chosen), 0)) == [True] * len(chosen)


def test_the_choice_is_uniform_over_seeds():
    boxes = Boxes(grid((64, 64, 64), 16))
    counts = dict.fromkeys(boxes, 0)
    for seed in range(200):
        for roi in boxes_that_fit(shuffled(boxes, seed), 16 * 16**3):
            counts[roi] += 1
    expected = 200 * 16 / 64
    # Chi-square with 63 degrees of freedom (less, since draws are without replacement): 103 is passed 1 in 1000 times.
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 103


def test_stratified_beginnings_are_spread_evenly():
    boxes = Boxes(grid((64, 64, 64), 8))
    for seed in range(20):
        order = list(stratified(boxes, seed))
        assert sorted(order) == list(boxes)
        assert len({tuple(side[0] // 32 for side in roi) for roi in order[:8]}) == 8
        assert len({tuple(side[0] // 16 for side in roi) for roi in order[:64]}) == 64
    assert next(stratified(boxes, 0)) != next(stratified(boxes, 1))


def test_stratified_takes_every_box_of_an_odd_number_once():
    boxes = Boxes(grid((40, 24, 24), 8), np.array([0, 3, 4, 9, 11, 30, 44]))
    assert sorted(stratified(boxes, 3)) == list(boxes)
    assert list(stratified(Boxes(grid((8, 8, 8), 8), np.empty(0, int)), 0)) == []


def test_topping_up_thousands_is_quick():
    boxes = Boxes(grid((512, 512, 512), 16))
    kept = boxes_that_fit(shuffled(boxes, 0), 4000 * 16**3)
    chosen = boxes_that_fit(shuffled(boxes, 1), 6025 * 16**3, kept)
    assert len(chosen) == 6025 and chosen[:4000] == kept and len(set(chosen)) == 6025


def test_every_machine_draws_the_same():
    boxes = Boxes(grid((64, 64, 64), 8))
    place = {roi: i for i, roi in enumerate(boxes)}
    assert [place[roi] for roi in list(shuffled(boxes, 3))[:6]] == [415, 44, 93, 123, 96, 411]
    assert [place[roi] for roi in list(stratified(boxes, 3))[:8]] == [253, 249, 221, 217, 509, 505, 477, 473]
    few = Boxes(grid((24, 40, 8), 8))
    assert [list(few).index(roi) for roi in stratified(few, 5)] == [8, 5, 9, 11, 7, 0, 13, 6, 12, 1, 14, 2, 3, 4, 10]


def test_boxes_that_turn_out_to_be_padding_are_replaced():
    order = [Roi((0, 8), (0, 8), (x, x + 8)) for x in range(0, 48, 8)]
    padding, asked = {order[0]: "known"}, []

    def find(chosen):
        asked.append(list(chosen))
        return {roi: "found" for roi in chosen if roi in order[1:3]}

    assert choose_without_padding(lambda: order, 2 * 512, padding, find) == order[3:5]
    assert asked == [order[1:3], order[3:5]]
    assert padding == {order[0]: "known", order[1]: "found", order[2]: "found"}
    assert choose_without_padding(lambda: order, 2 * 512, padding, find, order[5:]) == [order[5], order[3]]


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
