"""The record beside a dataset's cubes: both directions, earlier runs, what makes cubes outdated, what it refuses."""

import json
import re
from dataclasses import replace

import pytest

from utils.contrast import NO_CONTRAST, Contrast
from utils.sampling.orphans import claim, tell_orphans
from utils.sampling.roi_crops import Crops, Failure
from utils.sampling.roi_record import CHOICE, CONTENT, RoiRecord, Settings, read_record, software
from utils.sampling.rois import Roi

SETTINGS = Settings(
    source="https://host/em.zarr", volume_name="fly", level=0, seed=0, crop_size=4, min_frac=0.5, padding_value=0.0,
    contrast_method="percentile", shape=[8, 8, 8], voxel_offset=[100, 200, 300], coordinates="dataset",
)  # fmt: skip
WINDOW = Contrast("percentile", 3.0, 7.0)
A, B, C = (Roi((0, 4), (0, 4), (4 * i, 4 * i + 4)) for i in range(3))
CUBE = b"head" + bytes(64)
A_FILE, B_FILE = "fly_s0-ROI-x300-304_y200-204_z100-104.nrrd", "fly_s0-ROI-x304-308_y200-204_z100-104.nrrd"


def crops_of(folder, contrast=WINDOW):
    return Crops("fly_s0", folder, lambda roi: 1 / 0, contrast, None, offset=(100, 200, 300))


def record_in(folder, **changes):
    return RoiRecord(folder / "fly.json", replace(SETTINGS, **changes))


def save(record, chosen, kept=(), padding=None, failures=None, existing=None):
    crops = replace(crops_of(record.path.parent), files=existing or {})
    record.save(crops, chosen, kept, padding=padding or {}, failures=failures or {}, gigabytes=1.0)


@pytest.fixture
def saved(tmp_path):
    """A record of a run that made A, has B to come, found C to be padding; A's file."""
    (tmp_path / A_FILE).write_bytes(CUBE)
    failure = Failure("refused", 64)
    save(record_in(tmp_path), [A, B], padding={C: "all 0"}, failures={B: failure})
    return tmp_path


def test_what_is_written(saved):
    said = json.loads((saved / "fly.json").read_text())
    place = {"z": [100, 104], "y": [200, 204]}
    assert said["version"] == 2 and said["source"] == "https://host/em.zarr" and said["seed"] == 0
    assert said["contrast"] == {"method": "percentile", "low": 3.0, "high": 7.0}
    assert said["boxes"] == [{"file": A_FILE, **place, "x": [300, 304]}]
    assert said["pending"] == [{"file": B_FILE, **place, "x": [304, 308]}]
    assert said["padding"] == [{**place, "x": [308, 312], "reason": "all 0"}]
    assert said["failures"] == [{**place, "x": [304, 308], "reason": "refused", "refused_voxels": 64}]
    assert said["refused_voxels"] == 64 and said["kept"] == said["earlier"] == []
    assert re.fullmatch(r"[\w-]+ \d+\.\d+.*", said["software"]) and said["software"] == software()
    assert '\n "boxes": [\n  {' in (saved / "fly.json").read_text()  # a line for each box


def test_the_same_is_not_written_again(saved):
    path = saved / "fly.json"
    before = path.stat().st_ino
    failure = Failure("refused", 64)
    save(record_in(saved), [A, B], padding={C: "all 0"}, failures={B: failure})
    assert path.stat().st_ino == before
    save(record_in(saved), [A, B], padding={C: "all 0"}, failures={B: Failure("refused")})
    assert "refused_voxels" not in json.loads(path.read_text())["failures"][0]


def test_what_is_filled_needs_no_look_at_the_dataset(tmp_path, saved):
    assert not record_in(saved).is_filled(1.0)  # B is to come
    (saved / B_FILE).write_bytes(CUBE)
    save(record_in(saved), [A, B], padding={C: "all 0"}, failures={B: Failure("refused")})
    assert not record_in(saved).is_filled(1.0)
    save(record_in(saved), [A, B], padding={C: "all 0"})
    assert record_in(saved).is_filled(1.0) and not record_in(saved).is_filled(2.0)
    assert not record_in(saved, seed=1).is_filled(1.0) and not record_in(tmp_path / "none").is_filled(1.0)
    (saved / A_FILE).unlink()
    assert not record_in(saved).is_filled(1.0)
    save(record_in(tmp_path / "none"), [])  # the budget was less than one cube
    assert not record_in(tmp_path / "none").is_filled(1.0)


def test_it_is_read_back(saved):
    record = record_in(saved)
    assert record.contrast == WINDOW and record.outdated is None and record.is_fresh
    assert record.existing(saved, "fly_s0") == {A: A_FILE}
    (saved / B_FILE).write_bytes(CUBE)  # a killed run made it after it had written the record
    assert record.existing(saved, "fly_s0") == {A: A_FILE, B: B_FILE}
    assert record.existing(saved, "fl") == {}
    assert record.padding == {C: "all 0"}
    assert record.kept({A: A_FILE}) == []


def test_a_larger_budget_s_cubes_stay_in_the_record(saved):
    save(record_in(saved), [B], existing={A: A_FILE})
    said = json.loads((saved / "fly.json").read_text())
    assert [box["file"] for box in said["boxes"]] == [A_FILE] and [box["file"] for box in said["pending"]] == [B_FILE]


def test_another_choice_keeps_the_cubes_that_are_there(saved):
    record = record_in(saved, seed=1)
    assert record.padding == {} and not record.is_fresh and record.outdated is None
    assert record.kept({A: A_FILE}) == [A]
    save(record, [A, C], kept=[A], existing={A: A_FILE})
    said = json.loads((saved / "fly.json").read_text())
    assert said["kept"] == [A_FILE] and [entry["seed"] for entry in said["earlier"]] == [0]
    assert said["earlier"][0]["boxes"][0]["file"] == A_FILE and said["earlier"][0]["voxel_offset"] == [100, 200, 300]
    again = record_in(saved, seed=1)
    assert again.kept({A: A_FILE, C: "other"}) == [A] and not again.is_fresh
    save(again, [A, C], kept=[A])
    assert len(json.loads((saved / "fly.json").read_text())["earlier"]) == 1
    back = record_in(saved)
    save(back, [A, C], kept=[A])
    assert [entry["seed"] for entry in json.loads((saved / "fly.json").read_text())["earlier"]] == [0, 1]
    assert record_in(saved).existing(saved, "fly_s0") == {A: A_FILE}


def test_what_makes_cubes_outdated(saved):
    assert record_in(saved, min_frac=0.7).outdated == "made with min_frac 0.5, now 0.7"
    assert record_in(saved, overview_level=1).padding == {}
    (saved / A_FILE).unlink()
    nothing = record_in(saved, min_frac=0.7)
    assert nothing.outdated is None and nothing.contrast is None and nothing.padding == {}


def test_of_one_listing_a_dataset_may_have_another_source(saved):
    path, table = saved / "fly.json", saved / "table.csv"
    claim(table, {path: SETTINGS.source})
    moved = replace(SETTINGS, source="s3://moved/em.zarr")
    assert RoiRecord(path, SETTINGS, table).outdated is None
    assert RoiRecord(path, moved, table).outdated == "made of https://host/em.zarr, now s3://moved/em.zarr"
    for listing in (None, saved / "other.csv"):
        with pytest.raises(ValueError, match="belongs to https://host"):
            RoiRecord(path, moved, listing)


@pytest.mark.parametrize(("low", "window"), [(3.0, WINDOW), (7.0, None)])
def test_a_window_of_one_value_is_none(saved, low, window):
    said = json.loads((saved / "fly.json").read_text())
    (saved / "fly.json").write_text(json.dumps({**said, "contrast": {"method": "percentile", "low": low, "high": 7.0}}))
    record = record_in(saved)
    assert record.contrast == window
    assert record.outdated == (None if window else "made with a contrast window of one value")
    (saved / "fly.json").write_text(json.dumps({**said, "contrast": None}))
    assert record_in(saved).contrast is None and record_in(saved).outdated is None


def test_a_first_run_has_nothing_before_it(tmp_path):
    record = record_in(tmp_path)
    assert record.earlier == {} and record.contrast is None and record.outdated is None
    assert record.existing(tmp_path, "fly_s0") == {} and record.padding == {} and not record.is_fresh


def test_cubes_without_a_record_are_found_by_their_names(tmp_path):
    others = "fly_s00-ROI-x0-4_y0-4_z0-4.nrrd", "fly_s0.nrrd", "fly_s0-ROI-mine.nrrd"
    for name in (A_FILE, B_FILE.replace("fly_s0", "fly_s0-ROI"), *others):
        (tmp_path / name).write_bytes(CUBE)
    assert record_in(tmp_path).existing(tmp_path, "fly_s0") == {A: A_FILE}
    assert record_in(tmp_path).existing(tmp_path / "absent", "fly_s0") == {}


def test_a_whole_level(tmp_path):
    record, target = record_in(tmp_path, crop_size=None), tmp_path / "fly_s0.nrrd"
    record.save_whole(target, NO_CONTRAST)
    assert json.loads(record.path.read_text())["boxes"] == []
    target.write_bytes(bytes(600))
    record.save_whole(target, NO_CONTRAST)
    box = {"file": "fly_s0.nrrd", "z": [100, 108], "y": [200, 208], "x": [300, 308]}
    assert json.loads(record.path.read_text())["boxes"] == [box]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"source": "s3://other"}', "belongs to s3://other; give this dataset another name"),
        ("[1]", "belongs to something else"),
        ("{", "is no record of an earlier run"),
    ],
)
def test_records_of_others_are_refused(tmp_path, text, reason):
    path = tmp_path / "fly.json"
    assert read_record(path) == {}
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        RoiRecord(path, SETTINGS)


def test_a_source_that_has_moved_is_told_by_its_content(tmp_path):
    path, seen = tmp_path / "fly.json", [4, 5, "digest"]
    path.write_text('{"source": "/was/here.nrrd", "input": [4, 5, "digest"]}')
    assert RoiRecord(path, replace(SETTINGS, source="/is/there.nrrd", input=seen)).earlier["input"] == seen
    with pytest.raises(ValueError, match=r"belongs to /was/here\.nrrd"):
        RoiRecord(path, replace(SETTINGS, source="/is/there.nrrd", input=[4, 5, "other"]))
    path.write_text('{"source": "s3://was/here"}')
    with pytest.raises(ValueError, match="belongs to s3"):
        RoiRecord(path, replace(SETTINGS, source="s3://is/there", input=None))


def test_any_source_is_any_source(tmp_path):
    (tmp_path / "fly.json").write_text('{"source": "s3://other"}')
    assert read_record(tmp_path / "fly.json") == {"source": "s3://other"}
    (tmp_path / "fly.json").write_text("[1]")
    with pytest.raises(ValueError, match="something else"):
        read_record(tmp_path / "fly.json")


BASE = Settings(
    source="s", volume_name="v", level=1, seed=3, crop_size=64, min_frac=0.5, padding_value=0.0, voxel_size=[4, 2, 2],
    contrast_method="minmax", voxel_offset=[1, 2, 3], coordinates="dataset", overview_level=2, input=["a", 1],
)  # fmt: skip
OTHER = {
    "level": 0, "seed": 4, "crop_size": 32, "min_frac": 0.4, "padding_value": 1.0, "overview_level": 3,
    "stratify": True, "mask": "m", "invert": True, "voxel_size": [4, 4, 4], "contrast_method": "dtype",
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(OTHER))
def test_what_decides_the_order(tmp_path, key):
    (tmp_path / A_FILE).write_bytes(CUBE)
    save(RoiRecord(tmp_path / "v.json", BASE), [A])
    assert RoiRecord(tmp_path / "v.json", BASE).is_fresh
    assert RoiRecord(tmp_path / "v.json", replace(BASE, **{key: OTHER[key]})).is_fresh == (key not in CHOICE)


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


def test_what_a_killed_run_made_goes_with_its_row(tmp_path):
    listing = tmp_path / "table.csv"
    save(RoiRecord(tmp_path / "fly.json", SETTINGS, listing), [A])  # before the cubes
    (tmp_path / A_FILE).write_bytes(CUBE)
    tell_orphans(listing, tmp_path, {}, prune=True, quiet=True)
    assert list(tmp_path.iterdir()) == []
