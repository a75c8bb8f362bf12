"""What is exported of each dataset: caps over volumes in turn, slices apart, names that differ, TIFFs that are gone."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_collection import add_dataset, image_names, volume_names
from utils.collection.inventory import list_parts
from utils.collection.places import Sample, key_of, place_of, spread_order
from utils.collection.selection import Rules, balanced, choose, select


@pytest.fixture
def root(tmp_path):
    """A dataset of two regions of eight slices, and images."""
    for x in (0, 96):
        region = f"mouse-ROI-x{x}-{x + 96}_y0-96_z0-8"
        add_dataset(tmp_path, region, volume_names(region, grid=1), kept=1.0)
    add_dataset(tmp_path, "tem", image_names(["a", "b"]), voxel_size=None)
    return tmp_path


def chosen(root, **rules):
    return choose(list_parts(root / "filtered", [root / "patches"]), Rules(**rules))


def test_all_that_are_kept(root):
    found = chosen(root)
    assert {name: len(samples) for name, samples in found.samples.items()} == {"mouse": 16, "tem": 4}
    assert sum(map(len, found.samples.values())) == found.kept == 20 and found.warnings == [] and found.failures == {}
    sample = found.samples["mouse"][0]
    assert sample.path.is_file() and sample.voxel_size == (10.0, 10.0, 10.0) and sample.source.endswith(".nrrd")
    assert found.samples["tem"][0].voxel_size is None


@pytest.mark.parametrize(("cap", "mouse", "tem"), [(3, 3, 3), (5, 5, 4), (1, 1, 1)])
def test_caps_take_volumes_in_turn(root, cap, mouse, tem):
    found = chosen(root, cap=cap)
    assert len(found.samples["mouse"]) == mouse and len(found.samples["tem"]) == tem
    counts = Counter(sample.volume for sample in found.samples["tem"])
    assert cap > 3 or max(counts.values()) - min(counts.values()) <= 1 or len(counts) == 1
    more = chosen(root, cap=cap + 1).samples["mouse"]
    assert {sample.name for sample in found.samples["mouse"]} < {sample.name for sample in more}
    again = chosen(root, cap=cap, seed=1).samples["mouse"]
    assert len(again) == mouse


def test_caps_of_volumes(root):
    assert len(chosen(root, cap_volume=3).samples["mouse"]) == 3  # both regions are of one volume
    assert len(chosen(root, cap_volume=1).samples["tem"]) == 2


def test_slices_of_one_place_are_apart(root):
    found = chosen(root, min_gap_nm=40)
    slices = sorted(sample.place.index for sample in found.samples["mouse"] if "-x0-" in sample.dictionary)
    assert len(slices) == 2 and slices[1] - slices[0] >= 4
    assert len(found.samples["tem"]) == 4 and found.warnings == []
    add_dataset(root, "blind", volume_names("blind", grid=1), voxel_size=None, kept=1.0)
    unsized = chosen(root, min_gap_nm=40)
    assert unsized.warnings == ["blind: voxel size missing, so that --min-gap-nm says nothing of its slices"]
    assert len(unsized.samples["blind"]) == 8


def test_tiffs_that_are_gone(root):
    gone = next((root / "filtered/tem").iterdir())
    gone.unlink()
    found = chosen(root)
    assert len(found.samples["tem"]) == 3 and found.kept == 20
    assert found.warnings == [f"{root}/filtered/tem.csv: 1 kept patches have no TIFF any more; left out"]
    for path in (root / "filtered/tem").iterdir():
        path.unlink()
    assert chosen(root).warnings[-1] == "tem: no kept patches" and "tem" not in chosen(root).samples
    gone.symlink_to(gone)
    assert list(chosen(root).failures) == [str(gone)]
    gone.rename(gone.with_suffix(".old"))  # called like no patch: nobody's business
    assert chosen(root).failures == {}


def test_names_that_two_dictionaries_of_a_dataset_keep_fail_both(root):
    (name,) = [path.stem for path in (root / "filtered/tem").iterdir()][:1]
    add_dataset(root, "tem-ROI-x0-9_y0-9_z0-9", [name.upper().replace("-LOC-2D", "-LOC-2d")], kept=1.0)
    found = chosen(root)
    assert {key.rpartition("/")[2] for key in found.failures} == {"tem.csv", "tem-ROI-x0-9_y0-9_z0-9.csv"}
    assert all("names must differ" in reason for reason in found.failures.values())
    assert len(found.samples["tem"]) == 3


def test_groups_of_images_may_have_images_of_one_name(root):
    for twin in ("twin", "other"):
        add_dataset(root, twin, image_names(["A"]), kept=1.0)
    found = chosen(root)
    assert found.failures == {} and {d: len(s) for d, s in found.samples.items() if d != "mouse"} == {
        "tem": 4, "twin": 4, "other": 4,
    }  # fmt: skip
    assert all(s.repeated for dataset in ("twin", "other") for s in found.samples[dataset])
    assert {s.name[0] for s in found.samples["tem"] if s.repeated} == {"a"}


def test_names_that_are_no_utf8_cost_their_own(root):
    add_dataset(root, "old", image_names(["m\udcfcll"]), kept=1.0)
    add_dataset(root, "gr\udcfcn", image_names(["m"]), kept=1.0)
    found = chosen(root)
    assert set(found.samples) == {"mouse", "tem"} and len(found.failures) == 2
    assert all("is no UTF-8; rename" in reason for reason in found.failures.values())


def test_a_folder_that_may_not_be_looked_into_costs_its_own(root, lock_folder):
    lock_folder(root / "filtered" / "mouse")
    found = chosen(root)
    assert found.failures == {str(root / "filtered" / "mouse"): "Permission denied"}
    assert found.samples.keys() == {"tem"} and found.warnings == ["mouse: no kept patches"]


def test_a_damaged_table_costs_its_own(root):
    table = root / "filtered/tem.csv"
    table.write_text(table.read_text() + "x,notanumber,True\n")
    found = chosen(root)
    assert list(found.failures) == [str(table)] and set(found.samples) == {"mouse"}


def in_a_row(count, voxel_size=(10.0, 4.0, 4.0)):
    """Patches of successive slices."""
    names = [f"fly-LOC-0_{z:02}_0-9_0-9" for z in range(count)]
    return [
        Sample(name, "fly", "fly", "v", Path(name), 0.5, place_of(name), voxel_size, key_of(3, name)) for name in names
    ]


def spread_of(samples):
    """The order in space of `in_a_row`."""
    points = np.array([[10 * (z + 0.5), 18, 18] for z in range(len(samples))])
    keys = np.array([sample.key for sample in samples], np.uint64)
    return [samples[i] for i in spread_order(points, keys)]


@pytest.mark.parametrize("rule", [{"cap": 4}, {"cap_volume": 4}])
def test_a_few_are_taken_all_over_the_volume(rule):
    samples = in_a_row(16)
    assert select(samples, Rules(**rule), []) == spread_of(samples)[:4] != samples[:4]
    assert select(samples, Rules(), []) == samples


def test_with_a_gap_patches_are_taken_all_over_the_volume():
    samples = in_a_row(4)
    found = select(samples, Rules(min_gap_nm=10), [])
    assert found == spread_of(samples) != samples


def test_patches_whose_names_say_no_place_go_by_their_keys():
    samples = [replace(sample, name=f"{i}", place=None, source="v") for i, sample in enumerate(in_a_row(6))]
    by_key = sorted(samples, key=lambda sample: sample.key)
    found = select(samples, Rules(cap=6, min_gap_nm=5), [])
    assert sorted(found, key=lambda sample: sample.key) == by_key and len({sample.volume for sample in samples}) == 1
    assert found == by_key


@pytest.mark.parametrize(("power", "ratio"), [(0.0, 1), (0.5, 2), (1.0, 4)])
def test_weights_balance_datasets_and_are_1_on_average(power, ratio):
    found = balanced({"large": in_a_row(16), "small": in_a_row(4)}, power)
    large, small = ({sample.weight for sample in found[name]} for name in ("large", "small"))
    assert len(large) == len(small) == 1 and small.pop() / large.pop() == pytest.approx(ratio, rel=1e-5)
    weights = [sample.weight for samples in found.values() for sample in samples]
    assert len(weights) == 20 and np.mean(weights) == pytest.approx(1, abs=1e-5) and balanced({}, power) == {}


def test_without_a_voxel_size_voxels_are_cubes():
    found = select(in_a_row(16, None), Rules(cap=4), [])
    assert [sample.name for sample in found] == [sample.name for sample in spread_of(in_a_row(16))[:4]]
