"""What an argument stands for: folders, files, images with levels, tables; names, statements, sizes."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from conftest import smooth_volume
from ngff_images import pyramid, write_ome_zarr
from utils import sources as room
from utils.cli import UsageError
from utils.dataset_table import TableOptions
from utils.formats.writers import write_nrrd
from utils.ngff.dataset import Dataset
from utils.sources import VolumeSource, nested_volumes, volume_sources


def volume(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nrrd(path, np.full((2, 3, 4), value, np.uint8), (1.0, 1.0, 1.0))
    return path


def named(where, *args, **options):
    found, passed_over = volume_sources(str(where), *args, **options)
    return [source.name for source in found], [path.name for path in passed_over]


@pytest.fixture
def folder(tmp_path):
    """a.nrrd, b.zarr, notes; deeper c.nrrd and d/e.nrrd."""
    volume(tmp_path / "in/a.nrrd")
    write_ome_zarr(tmp_path / "in/b.zarr", pyramid())
    (tmp_path / "in/notes.txt").touch()
    volume(tmp_path / "in/deep/c.nrrd")
    volume(tmp_path / "in/deep/d/e.nrrd")
    return tmp_path / "in"


def test_folders(folder):
    assert named(folder) == (["a", "b_s0"], ["notes.txt", "deep"])
    assert named(folder, 1) == (["a", "b_s1"], ["notes.txt", "deep"])
    assert named(folder, recursive=True) == (["a", "b_s0", "deep-c", "deep-d-e"], ["notes.txt"])
    assert [path.name for path in nested_volumes(folder)] == ["c.nrrd", "e.nrrd"]
    assert named(folder / "a.nrrd") == (["a"], []) and named(folder / "b.zarr", 2) == (["b_s2"], [])


def test_stacks_and_kept_patches_within_a_folder_of_volumes_are_none(tmp_path):
    """As `3d/reconstruct3d.py -sd VOLUMES/stacks` and `classify_patches.py` leave them."""
    for place in ("v", "stacks/fly/fly-LOC-0_02-07_0-9_0-9", "kept/fly/fly-LOC-1_02_0-9_0-9", "more/w"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_nrrd(tmp_path / f"{place}.nrrd", smooth_volume((4, 9, 9)), None)
    assert [path.name for path in nested_volumes(tmp_path)] == ["w.nrrd"]
    assert [source.name for source in volume_sources(str(tmp_path), recursive=True)[0]] == ["v", "more-w"]


def test_a_folder_of_slices_is_one_volume_and_a_packed_image_has_levels(tmp_path):
    for z in range(3):
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / f"{z}.png")
    assert named(tmp_path) == ([tmp_path.name], [])
    for name in ("c.ozx", "d.zip"):
        (tmp_path / name).touch()
        assert named(tmp_path / name, 1) == ([f"{name[0]}_s1"], [])


def test_nothing_there(folder, tmp_path):
    with pytest.raises(UsageError, match="gone: no such folder, file or CSV"):
        volume_sources(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no volume in it .*folders of slices ...[)]$"):
        volume_sources(str(tmp_path / "empty"))
    volume(tmp_path / "outer/inner/x.nrrd")
    with pytest.raises(UsageError, match="; 1 are nested deeper, --recursive takes them"):
        volume_sources(str(tmp_path / "outer"))


def test_tables(folder, tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"{folder}/b.zarr,fly,1,true", f"{folder}/b.zarr,bee,,false", ",,,", "x,y-ROI-z,,"]
    table.write_text("\n".join(["url,volume_name,mip,crop", *rows]))
    found, _ = volume_sources(str(table), 2, gigabytes=0.5)
    assert [source.name for source in found] == ["fly_s2", "bee_s2", "t-line-5"]
    assert [source.gigabytes for source in found] == [0.5, None, 0.5]
    assert found[2].problem.startswith("volume_name 'y-ROI-z'")
    assert volume_sources(str(table))[0][0].name == "fly_s1"
    table.write_text("name\nfly\n")
    with pytest.raises(UsageError, match="expected a column download_url"):
        volume_sources(str(table))


def test_what_is_stated_counts(folder):
    (folder / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x,license\na,9,4,4,CC0\nb,7,,,\n")
    found, passed_over = volume_sources(str(folder), 1)
    assert [path.name for path in passed_over] == ["notes.txt", "deep"]
    a, b = found
    assert a.stated.voxel_size == (9.0, 4.0, 4.0) and a.options()["table"]
    assert b.row is not None and b.row.given_size == (7.0, None, None)  # of the finest level, by the image's name
    with pytest.warns(UserWarning, match="the header says 1 x 1 x 1 nm"), a.open() as opened:
        assert opened.voxel_size == (9.0, 4.0, 4.0) and opened.name == "a"
    (finest,), _ = volume_sources(str(folder / "b.zarr"), 0)
    with pytest.warns(UserWarning, match="the header says 30 x 8 x 6 nm"), finest.open() as opened:
        assert opened.voxel_size == (7.0, 8.0, 6.0) and opened.name == "b_s0"


def test_names_in_a_folder_s_table_that_are_for_none_of_its_volumes_are_said(folder, capsys):
    (folder / "datasets.csv").write_text("name,license\na,CC0\ngone,CC0\n")
    volume_sources(str(folder / "a.nrrd"))  # of one volume nobody asks for the others
    volume_sources(str(folder), table_options=TableOptions(quiet=True))
    volume_sources(str(folder), table_options=TableOptions(folder / "datasets.csv"))  # of other folders, too
    assert capsys.readouterr().err == ""
    volume_sources(str(folder))
    assert capsys.readouterr().err == f"{folder}/datasets.csv: no volume here is called gone\n"


def test_what_a_recipe_takes(folder):
    (a,), _ = volume_sources(str(folder / "a.nrrd"))
    assert a.inputs() == {"a.nrrd": (folder / "a.nrrd",)} and str(a) == str(folder / "a.nrrd")
    row = Dataset("https://me:secret@h/b.zarr", "fly", invert=True, crop_size=7)
    remote = VolumeSource("fly_s1", str(row), 1, row)
    assert remote.inputs() == {"https://***@h/b.zarr": ()} and remote.options()["level"] == 1
    assert remote.options()["invert"] is True and "gb" not in remote.options()
    assert replace(remote, gigabytes=2.0).options()["gb"] == 2.0 and str(remote) == "https://***@h/b.zarr"
    local = replace(remote, row=replace(row, url=str(folder / "b.zarr")))
    assert list(local.inputs()) and all(paths for paths in local.inputs().values())


@pytest.mark.parametrize(("size", "large"), [(10**9, False), (0, True)])
def test_what_is_large(folder, monkeypatch, size, large):
    monkeypatch.setattr(room, "LARGE_BYTES", size)
    (a,), _ = volume_sources(str(folder / "a.nrrd"))
    (b,), _ = volume_sources(str(folder / "b.zarr"))
    assert a.is_large() is large and b.is_large() and b.is_worth_spreading()
    assert a.is_worth_spreading() is large
    broken = VolumeSource("x", folder / "notes.txt")
    assert broken.is_worth_spreading() is False


@pytest.mark.parametrize("name", ["v.mhd", "v.nhdr", "v.mha", "v.nrrd"])
def test_a_volume_is_as_large_as_its_voxels_wherever_they_lie(tmp_path, monkeypatch, name):
    """Beside a header of a few hundred bytes, too."""
    sitk.WriteImage(sitk.GetImageFromArray(smooth_volume((20, 20, 20))), str(tmp_path / name))
    source = VolumeSource("v", tmp_path / name)
    exact = sum(path.stat().st_size for path in tmp_path.iterdir())
    for limit, large in ((8000, True), (exact, True), (exact + 1, False), (10_000, False)):
        monkeypatch.setattr(room, "LARGE_BYTES", limit)
        assert source.is_large() is large and source.is_worth_spreading() is large
