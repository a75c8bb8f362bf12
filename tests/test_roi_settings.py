"""utils/sampling/roi_settings.py: when two runs choose from one order, and when cubes are outdated."""

from dataclasses import replace

import pytest

from utils.sampling.roi_settings import CHOICE, CONTENT, Settings

BASE = Settings(
    source="s", volume_name="v", level=1, seed=3, crop_size=64, min_frac=0.5, padding_value=0.0, voxel_size=[4, 2, 2],
    contrast_method="minmax", voxel_offset=[1, 2, 3], coordinates="dataset", overview_level=2, input=["a", 1],
)  # fmt: skip
OTHER = {
    "level": 0, "seed": 4, "crop_size": 32, "min_frac": 0.4, "padding_value": 1.0, "overview_level": 3,
    "stratify": True, "mask": "m", "invert": True, "voxel_size": [4, 4, 4], "contrast_method": "dtype",
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(OTHER))
def test_what_decides_the_order(key):
    assert BASE.same_choice(replace(BASE, **{key: OTHER[key]})) == (key not in CHOICE)
    assert BASE.same_choice(replace(BASE))


@pytest.mark.parametrize("key", sorted(OTHER))
def test_what_decides_the_content(key):
    reason = BASE.outdated(replace(BASE, **{key: OTHER[key]}))
    expected = f"made with {key} {getattr(BASE, key)}, now {OTHER[key]}" if key in CONTENT else None
    assert reason == expected


def test_cubes_of_another_level_are_others():
    assert BASE.outdated(replace(BASE, level=0, crop_size=32)) is None


def test_several_changes_are_all_said():
    now = replace(BASE, crop_size=32, invert=True)
    assert BASE.outdated(now) == "made with crop_size 64, now 32; made with invert False, now True"


def test_what_a_record_does_not_say_does_not_differ_but_for_the_mask():
    early = replace(BASE, min_frac=None, voxel_size=None)
    assert early.outdated(BASE) is None
    assert BASE.outdated(replace(BASE, mask="m")) == "made with mask None, now m"


def test_another_input_outdates_where_both_know_theirs():
    assert BASE.outdated(replace(BASE, input=["a", 2])) == "its input has changed"
    assert replace(BASE, input=None).outdated(BASE) is None
    assert BASE.outdated(replace(BASE, input=None)) is None


def test_names_count_in_the_dataset_s_coordinates_where_the_record_says_so():
    assert BASE.offset == (1, 2, 3)
    assert replace(BASE, coordinates=None).offset == (0, 0, 0)
    assert replace(BASE, voxel_offset=None).offset == (0, 0, 0)


def test_records_of_other_versions_are_read():
    assert Settings.from_json({"source": "s", "later": 1}) == Settings(source="s", volume_name="")
    assert Settings.from_json(vars(BASE)) == BASE
