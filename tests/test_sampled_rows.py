"""patchify3d over a table: rows mean what they mean to ngff_download."""

import numpy as np
import pytest
import SimpleITK as sitk

import ngff_download
import patchify3d
from ngff_images import write_ome_zarr
from utils.dictionaries import load_patches
from utils.names import parse_name, parse_roi
from utils.ngff.read import LevelReader
from utils.sampling.plan import SamplingOptions
from utils.sampling.sampled_rows import sampled_cubes
from utils.sources import VolumeSource, volume_sources


def cut(source, out, *options):
    return patchify3d.main([str(source), str(out), *options])


def slice_of(voxels, name):
    where = parse_name(name)
    box = where.box
    return np.take(voxels, where.first, axis=where.axis)[box.y0 : box.y1, box.x0 : box.x1]


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """An image of which the right quarter is padding (60000), with a coarse level, at level 1 of its pyramid."""
    first = (np.random.default_rng(0).integers(1000, 3000, (64, 128, 256))).astype("uint16")
    first[..., 192:] = 60000
    levels = [np.repeat(first, 2, 2), first, first[::2, ::2, ::2]]
    return write_ome_zarr(
        tmp_path_factory.mktemp("remote") / "em.zarr",
        levels,
        sizes=[(8.0, 8.0, 4.0), (8.0, 8.0, 8.0), (16.0, 16.0, 16.0)],
        chunk=32,
    )


def table_of(path, **row):
    path.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    return path


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("overview", [True, False])
def test_a_table_means_what_it_means_to_ngff_download(remote, tmp_path, monkeypatch, invert, overview):
    if not overview:
        monkeypatch.setattr("utils.sampling.overview.LARGEST", 1000)
    row = {"download_url": remote, "volume_name": "em", "mip": 1, "crop_size": 32, "padding_value": 60000}
    table = table_of(tmp_path / "t.csv", **row, invert=invert)
    options = ["-gb", "0.0003", "--seed", "3"]
    assert ngff_download.main([str(table), str(tmp_path / "cubes"), *options]) == 0
    assert cut(table, tmp_path / "out", *options, "-cs", "32", "-d", "0") == 0
    content = load_patches(tmp_path / "out/em_s1.pkl")
    cubes = {path: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (tmp_path / "cubes").glob("*.nrrd")}
    assert len(cubes) == 9 and len(content["names"]) == 9 * 3 * 32
    whole = np.zeros((64, 128, 256), np.uint8)
    for path, cube in cubes.items():
        _, (z, y, x) = parse_roi(path.stem)
        whole[slice(*z), slice(*y), slice(*x)] = cube
    for name, patch in zip(content["names"], content["patches"], strict=True):
        assert np.abs(patch.astype(int) - slice_of(whole, name)).max() <= 1
    assert abs(np.mean(content["patches"]) - 127) < 5  # the padding set no window


def test_prune_removes_the_overview_of_a_row_that_is_gone(remote, tmp_path):
    row = {"download_url": remote, "mip": 1, "crop_size": 32}
    rows = [row | {"volume_name": name} for name in ("em", "em_s1_more")]
    text = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(text) + "\n")
    assert cut(table, tmp_path / "out", "-gb", "0.0001", "-cs", "32") == 0
    table.write_text("\n".join([text[0], text[2]]) + "\n")
    assert cut(table, tmp_path / "out", "-gb", "0.0001", "-cs", "32", "--prune") == 0
    assert [path.name.rpartition("-")[0] for path in (tmp_path / "out" / ".overview").iterdir()] == ["em_s1_more_s2"]
    assert [path.name for path in (tmp_path / "out").glob("*.pkl")] == ["em_s1_more_s1.pkl"]


@pytest.mark.parametrize("invert", [False, True])
def test_a_table_that_asks_for_the_whole_level(remote, tmp_path, invert):
    row = {"download_url": remote, "volume_name": "em", "mip": 1, "padding_value": 60000, "crop": "FALSE"}
    table = table_of(tmp_path / "t.csv", **row, invert=invert)
    assert cut(table, tmp_path / "out", "-cs", "64", "--axes", "0", "-d", "0") == 0
    content = load_patches(tmp_path / "out/em_s1.pkl")
    assert content["meta"]["patches"] == 64 * 2 * 4
    window = content["meta"]["contrast"]
    low, high = (65535 - 3000, 65535 - 1000) if invert else (1000, 3000)
    assert low <= window["low"] < window["high"] <= high


def test_a_table_is_listed_without_reading_voxels(remote, tmp_path, capsys):
    row = {"download_url": remote, "volume_name": "em", "mip": 1, "crop_size": 32}
    table = table_of(tmp_path / "t.csv", **row)
    assert cut(table, tmp_path / "out", "-gb", "0.0001", "-cs", "32", "--list") == 0
    assert f"em_s1\t64 x 128 x 256\t8 x 8 x 8\t0 1 2\t{3 * 3 * 32}" in capsys.readouterr().out


def test_padding_is_told_as_cubes_are_read_each_of_them_once(tmp_path, monkeypatch):
    voxels = np.random.default_rng(1).integers(1, 255, (32, 32, 128)).astype(np.uint8)
    voxels[..., 64:] = 0
    root = write_ome_zarr(tmp_path / "em.zarr", [voxels], sizes=[(8.0, 8.0, 8.0)])
    table = table_of(tmp_path / "t.csv", download_url=root, volume_name="em", crop_size=16)
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 10)
    seen, closed = [], []
    read = LevelReader.read_counted
    monkeypatch.setattr(LevelReader, "read_counted", lambda self, box: seen.append(str(box)) or read(self, box))
    monkeypatch.setattr(LevelReader, "close", lambda self: closed.append(self))
    [source], _ = volume_sources(str(table), gigabytes=10 * 16**3 / 1e9)
    with pytest.warns(UserWarning, match="has no overview"):
        cubes, _ = sampled_cubes(source, SamplingOptions(seed=1), tmp_path)
    assert len(cubes) == 10 and all(roi.x[1] <= 64 for roi in cubes)
    assert len(seen) == len(set(seen)) > 10 and len(closed) == 1


def test_what_is_no_sampled_row_has_no_cubes(remote, tmp_path):
    table = table_of(tmp_path / "t.csv", download_url=remote, volume_name="em", mip=1, crop_size=32)
    [whole], _ = volume_sources(str(table))
    for source in (whole, VolumeSource("a", tmp_path / "a.nrrd", gigabytes=1.0)):
        with pytest.raises(ValueError, match="is no row of a table that is sampled"):
            sampled_cubes(source, SamplingOptions(), tmp_path)


def test_what_an_overview_has_told_is_not_read_for_it(remote, tmp_path, monkeypatch):
    shapes = []
    read = LevelReader.read_counted

    def note(self, box):
        shapes.append(self.level.shape)
        return read(self, box)

    monkeypatch.setattr(LevelReader, "read_counted", note)
    row = {"download_url": remote, "volume_name": "em", "mip": 1, "crop_size": 32, "padding_value": 60000}
    table = table_of(tmp_path / "t.csv", **row)
    [source], _ = volume_sources(str(table), gigabytes=1e-4)
    assert len(sampled_cubes(source, SamplingOptions(), tmp_path)[0]) == 3
    assert set(shapes) == {(32, 64, 128)}
    [source], _ = volume_sources(str(table), gigabytes=1e-5)
    with pytest.raises(ValueError, match="no cube of 32 voxels a side fits into -gb 1e-05"):
        sampled_cubes(source, SamplingOptions(), tmp_path)
