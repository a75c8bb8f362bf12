"""utils/sampling/orphans.py: datasets without a row are named; those that give no cubes any more stay, or go."""

import json
from dataclasses import replace

import pytest

from utils.jobs import Outdated, PassedOver
from utils.records.recipes import known_record
from utils.sampling.orphans import claim, tell_orphans, without_cubes
from utils.sampling.roi_record import Settings

SETTINGS = Settings(source="/em", volume_name="fly", level=0, seed=0, crop_size=4)
SPAN = {"z": [0, 4], "y": [0, 4], "x": [0, 4]}


def write(folder, settings, files, **more):
    """What a run leaves: a record, and cubes."""
    folder.mkdir(exist_ok=True)
    said = {**vars(settings), "boxes": [{"file": file, **SPAN} for file in files], "software": "x 1", **more}
    (folder / "fly.json").write_text(json.dumps(said))
    for file in files:
        (folder / file).write_text(folder.name)
    return "made"


def files_in(folder):
    return {path.name: path.read_text() for path in folder.glob("*.nrrd")}


@pytest.fixture(name="folder")
def dataset_folder(tmp_path):
    """A dataset of an earlier run: a.nrrd and b.nrrd."""
    folder = tmp_path / "out"
    write(folder, SETTINGS, ["a.nrrd", "b.nrrd"])
    return folder


@pytest.fixture(params=["table", "volumes"])
def listed(request, tmp_path):
    """A listing, and a dataset made of it, with an overview beside it and files that are none."""
    listing, folder = tmp_path / "in" / request.param, tmp_path / "out"
    listing.parent.mkdir()
    listing.touch() if request.param == "table" else listing.mkdir()
    settings = replace(SETTINGS, source=str(listing / "em"), url="s3://b/em" if request.param == "table" else None)
    write(folder, settings, ["fly-ROI-x0-4_y0-4_z0-4.nrrd"], earlier=[])
    (folder / ".overview").mkdir()
    (folder / ".overview/fly_s1-0123abcd.npy").touch()
    (folder / "other.json").write_text('{"source": 1}')
    (folder / "bad.json").write_text("{")
    return listing, folder


def test_datasets_without_a_row(listed, tmp_path, capsys):
    listing, folder = listed
    fly = folder / "fly.json"
    claim(listing, {fly: str(listing / "em"), folder / "other.json": "/em", folder / "bad.json": "/em"})
    tell_orphans(listing, folder, {fly}, prune=True, quiet=False)
    tell_orphans(listing, folder, set(), prune=False, quiet=True)
    tell_orphans(listing, tmp_path / "absent", set(), prune=False, quiet=False)
    assert capsys.readouterr().err == ""
    what = "row" if listing.is_file() else "volume"
    tell_orphans(listing, folder, set(), prune=False, quiet=False)
    assert capsys.readouterr().err == f"datasets without their {what} (1; --prune removes them): fly\n"
    assert len(files_in(folder)) == 1
    tell_orphans(listing, folder, set(), prune=True, quiet=True)
    assert capsys.readouterr().err == f"datasets without their {what} (1; removed): fly\n"
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert sorted(left) == ["bad.json", "other.json"] and not (folder / ".recipes").exists()


@pytest.mark.parametrize("other", ["another table", "another folder", "by itself"])
def test_what_others_list_stays(listed, tmp_path, other, capsys):
    listing, folder = listed
    if other != "by itself":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.touch() if other == "another table" else elsewhere.mkdir()
        claim(elsewhere, {folder / "fly.json": str(listing / "em")})
    tell_orphans(listing, folder, set(), prune=True, quiet=False)
    assert (folder / "fly.json").is_file() and capsys.readouterr().err == ""


def test_a_record_of_another_source_is_not_claimed(listed):
    listing, folder = listed
    claim(listing, {folder / "fly.json": "/another/em", folder / "absent.json": "/em"})
    assert known_record(folder / "fly.json") is None and not (folder / ".recipes").exists()


def test_a_dataset_that_gives_no_cubes_any_more(folder):
    found = without_cubes(folder / "fly.json", SETTINGS, False, "a mask")
    assert isinstance(found, Outdated) and str(found) == "a mask" and len(files_in(folder)) == 2
    (folder / "a.nrrd").unlink()  # a killed run has begun
    with pytest.raises(PassedOver, match="a mask"):
        without_cubes(folder / "fly.json", SETTINGS, True, "a mask")
    assert list(folder.iterdir()) == []
    write(folder, replace(SETTINGS, source="/another"), ["a.nrrd"])
    with pytest.raises(ValueError, match="belongs to /another"):
        without_cubes(folder / "fly.json", SETTINGS, True, "a mask")
