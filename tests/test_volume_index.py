"""utils/volume_index.py: volumes by the names of their patches."""

import numpy as np
import pytest

import ngff_download
from ngff_images import pyramid, write_ome_zarr, write_precomputed
from utils.dataset_table import TableOptions
from utils.formats.writers import write_nrrd
from utils.volume_index import VolumeIndex


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, shape).astype("uint8")


def test_regions_named_the_older_way_are_found(tmp_path):
    root = write_precomputed(tmp_path / "cell.pc", [noise((32, 32, 64))], offset=(1000, 200, 30))
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 0
    index = VolumeIndex([str(tmp_path / "out")])
    for x in (0, 32):
        found = index.find(f"cell_s0-ROI-x{x}-{x + 32}_y0-32_z0-32")
        assert found is not None
        assert found.address.name == f"cell_s0-ROI-x{1000 + x}-{1032 + x}_y200-232_z30-62.nrrd"
        assert found.name == f"cell_s0-ROI-x{x}-{x + 32}_y0-32_z0-32"
    assert index.find("cell_s0-ROI-x64-96_y0-32_z0-32") is None and index.find("cell_s1-ROI-x0-32_y0-32_z0-32") is None


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nrrd(path, noise((4, 5, 6)), (1.0, 1.0, 1.0))
    return path


def test_volumes_by_name_and_those_that_share_one(tmp_path):
    a, b, other = (volume(tmp_path / name) for name in ("one/a.nrrd", "one/b.nrrd", "two/a.nrrd"))
    (tmp_path / "one/notes.txt").touch()
    index = VolumeIndex([str(tmp_path / "one"), str(tmp_path / "two"), str(a)])
    assert index.find("a").address == a and index.find("b").address == b and index.find("c") is None
    assert {name: [source.address for source in same] for name, same in index.shared.items()} == {"a": [a, other]}
    assert index.passed_over == [tmp_path / "one/notes.txt"]


def test_levels_of_an_image_are_found_by_any_of_them(tmp_path):
    write_ome_zarr(tmp_path / "one/fly.zarr", pyramid())
    index = VolumeIndex([str(tmp_path / "one")])
    found = index.find("fly_s2")
    assert (found.name, found.level, found.address) == ("fly_s2", 2, index.find("fly_s0").address)
    assert index.find("fly_s0").level == 0 and index.find("bee_s0") is None and index.find("fly") is None
    write_ome_zarr(tmp_path / "two/fly.zarr", pyramid())
    both = VolumeIndex([str(tmp_path / "one"), str(tmp_path / "two")])
    assert both.find("fly_s2") is None and list(both.shared) == ["fly_s0"]  # of which of them, nobody can tell


def test_rows_that_cannot_be_used_and_names_that_are_not_there_are_said(tmp_path, capsys):
    volume(tmp_path / "one/a.nrrd")
    (tmp_path / "t.csv").write_text("url,volume_name\n,fly\n")
    (tmp_path / "stated.csv").write_text("name\na\ngone\n")
    VolumeIndex([str(tmp_path / "t.csv"), str(tmp_path / "one")], TableOptions(tmp_path / "stated.csv"))
    said = capsys.readouterr().err.splitlines()
    assert "no address" in said[0] and said[1:] == [f"{tmp_path}/stated.csv: no volume here is called gone"]


def test_volumes_in_deeper_folders_only_where_they_are_asked_for(tmp_path):
    volume(tmp_path / "a.nrrd")
    volume(tmp_path / "deep/b.nrrd")
    assert VolumeIndex([str(tmp_path)]).find("deep-b") is None
    assert VolumeIndex([str(tmp_path)], recursive=True).find("deep-b") is not None


OFFSET = '"voxel_offset": [3, 2, 1]}'


@pytest.mark.parametrize("record", ["{", "[]", '{"coordinates": "dataset", "level": 0}',
                                    '{"coordinates": "level", "level": 0, ' + OFFSET,
                                    '{"coordinates": "dataset", "level": 1, ' + OFFSET,
                                    '{"coordinates": "dataset", "level": 0, "voxel_offset": ["1", 2, 3]}'])  # fmt: skip
def test_records_that_tell_no_offset_rename_nothing(tmp_path, record):
    volume(tmp_path / "fly_s0-ROI-x0-6_y0-5_z0-4.nrrd")
    (tmp_path / "fly.json").write_text(record)
    index = VolumeIndex([str(tmp_path)])
    assert index.find("fly_s0-ROI-x0-6_y0-5_z0-4") is not None and index.find("fly_s0-ROI-x-1-5_y-2-3_z-3-1") is None


def test_a_region_s_own_name_comes_first(tmp_path):
    own, shifted = (f"fly_s0-ROI-x{x}-{x + 6}_y0-5_z0-4" for x in (0, 6))
    for name in (own, shifted):
        volume(tmp_path / f"{name}.nrrd")
    (tmp_path / "fly.json").write_text('{"coordinates": "dataset", "level": 0, "voxel_offset": [0, 0, 6]}')
    index = VolumeIndex([str(tmp_path)])
    assert [index.find(name).address.stem for name in (own, shifted, "fly_s0-ROI-x-6-0_y0-5_z0-4")] == [
        own,
        shifted,
        own,
    ]
