"""patchify3d.py: volumes to deduplicated dictionaries, the same on every machine."""

import os
import shutil
import signal
import subprocess
import sys

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

import patchify3d
from conftest import ROOT, on_linux, peak_memory, smooth_volume
from utils.contrast import Contrast, to_uint8
from utils.dhash import hash_patches
from utils.dictionaries import load_meta, load_patches
from utils.formats.raw_data import RawReader
from utils.names import parse_name
from utils.near_hashes import hamming
from utils.patches import tiles
from utils.records.recipes import load_record


def write(path, voxels, spacing_xyz=(10.0, 10.0, 10.0), compress=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing_xyz)
    sitk.WriteImage(image, str(path), compress)


@pytest.fixture
def volumes(tmp_path):
    """An isotropic volume, an anisotropic compressed one, a signed one, and what else lies in such folders."""
    base = tmp_path / "in"
    write(base / "iso.nrrd", smooth_volume((50, 64, 70)))
    write(base / "aniso.nii.gz", smooth_volume((9, 64, 64), seed=1), (4.0, 4.0, 40.0), True)
    write(base / "signed.mha", smooth_volume((40, 40, 40), seed=2).astype(np.int16) * 30 - 3000)
    for name in (".DS_Store", "movie.avi", "notes.txt"):
        (base / name).touch()
    return base


def cut(source, out, *options):
    return patchify3d.main([str(source), str(out), "-cs", "32", *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.pkl"))}


def slice_of(voxels, name):
    where = parse_name(name)
    plane = np.take(voxels, where.first, where.axis)
    return plane[where.box.y0 : where.box.y1, where.box.x0 : where.box.x1]


def test_every_kept_patch_is_its_volumes_voxels(volumes, tmp_path, capsys):
    assert cut(volumes, tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert out == "volumes: 3 done, 0 done before, 0 failed\n"
    assert err.count("passed over, no volumes: ") == 1
    assert "movie.avi" in err
    assert "notes.txt" in err
    assert ".DS_Store" not in err
    for name, suffix in (("iso", "nrrd"), ("aniso", "nii.gz"), ("signed", "mha")):
        content = load_patches(tmp_path / "out" / f"{name}.pkl")
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(volumes / f"{name}.{suffix}")))
        window = Contrast.from_dict(content["meta"]["contrast"])
        assert content["names"]
        for patch_name, patch in zip(content["names"], content["patches"], strict=True):
            assert parse_name(patch_name).source == name
            assert np.array_equal(patch, to_uint8(slice_of(voxels, patch_name), window))
    assert {parse_name(n).axis for n in load_patches(tmp_path / "out" / "aniso.pkl")["names"]} == {0}
    assert {parse_name(n).axis for n in load_patches(tmp_path / "out" / "iso.pkl")["names"]} == {0, 1, 2}


def test_the_last_slice_of_every_axis_is_cut(tmp_path):
    shape = (33, 40, 45)
    write(tmp_path / "v.nrrd", np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert cut(tmp_path / "v.nrrd", tmp_path / "out", "-d", "0") == 0
    found = [parse_name(name) for name in load_patches(tmp_path / "out" / "v.pkl")["names"]]
    for axis, side in enumerate(shape):
        assert {0, side - 1} <= {name.first for name in found if name.axis == axis}
    assert "v-LOC-0_00_0-32_0-32" in load_patches(tmp_path / "out" / "v.pkl")["names"]


def test_kept_are_apart_and_dropped_are_near_one(volumes, tmp_path):
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(volumes / "iso.nrrd")))
    every = []
    for axis in range(3):
        moved = np.moveaxis(voxels, axis, 0)
        rows, columns = (tiles(side, 32) for side in moved.shape[1:])
        every += [moved[:, slice(*r), slice(*c)] for r in rows for c in columns]
    for distance in (0, 6, 12):
        assert cut(volumes / "iso.nrrd", tmp_path / str(distance), "-d", str(distance)) == 0
        content = load_patches(tmp_path / str(distance) / "iso.pkl")
        kept = hash_patches(np.stack(content["patches"]))
        assert np.array_equal(kept, content["hashes"])
        apart = hamming(kept[:, np.newaxis], kept)
        assert (apart[~np.eye(len(kept), dtype=bool)] > distance).all()
        for stack in every:
            assert (hamming(hash_patches(stack)[:, np.newaxis], kept).min(axis=1) <= distance).all()
        assert load_meta(tmp_path / str(distance) / "iso.pkl")["patches"] == sum(map(len, every))


def test_flat_patches_at_most_once(tmp_path):
    voxels = np.zeros((64, 64, 64), np.uint8)
    voxels[:, :32, :32] = 200
    voxels[32:, 32:, 32:] = smooth_volume((32, 32, 32))
    write(tmp_path / "v.nrrd", voxels)
    assert cut(tmp_path / "v.nrrd", tmp_path / "out", "-d", "0") == 0
    patches = load_patches(tmp_path / "out" / "v.pkl")["patches"]
    assert len(patches) > 20
    assert sum(patch.min() == patch.max() for patch in patches) == 1


@pytest.mark.parametrize("method", ["phash", "average", "whash"])
def test_other_hashes(volumes, tmp_path, method):
    assert cut(volumes / "aniso.nii.gz", tmp_path / "out", "--hash", method) == 0
    assert 0 < len(load_patches(tmp_path / "out" / "aniso.pkl")["names"]) <= 36


def test_a_hash_that_cannot_be_made_is_bad_usage(volumes, tmp_path, capsys):
    assert cut(volumes, tmp_path / "out", "--hash", "whash", "-hs", "6") == 2
    assert "power of 2" in capsys.readouterr().err


def test_larger_hashes_and_spacing(volumes, tmp_path):
    assert (
        cut(volumes / "iso.nrrd", tmp_path / "out", "-hs", "16", "-d", "48", "--spacing", "7", "--axes", "1", "2") == 0
    )
    content = load_patches(tmp_path / "out" / "iso.pkl")
    assert content["hashes"].shape == (len(content["names"]), 4)
    assert {parse_name(n).first % 7 for n in content["names"]} == {0}
    assert {parse_name(n).axis for n in content["names"]} == {1, 2}


def test_short_and_dropped_edges(volumes, tmp_path):
    assert cut(volumes, tmp_path / "keep", "--edges", "keep", "-d", "0") == 0
    assert cut(volumes, tmp_path / "drop", "--edges", "drop", "-d", "0") == 0
    kept = {p.shape for p in load_patches(tmp_path / "keep" / "iso.pkl")["patches"]}
    assert (18, 32) in kept
    assert {p.shape for p in load_patches(tmp_path / "drop" / "iso.pkl")["patches"]} == {(32, 32)}


def test_any_number_of_processes_gives_the_same_bytes(volumes, tmp_path):
    for processes in "12":
        assert cut(volumes, tmp_path / processes, "-p", processes) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert cut(volumes, tmp_path / "seed", "--seed", "5") == 0
    assert contents(tmp_path / "seed") != contents(tmp_path / "1")


def test_a_large_volume_is_spread_over_threads(volumes, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.sources.LARGE_BYTES", 0)
    assert cut(volumes / "iso.nrrd", tmp_path / "4", "-p", "4") == 0
    assert cut(volumes / "iso.nrrd", tmp_path / "1") == 0
    assert contents(tmp_path / "4") == contents(tmp_path / "1")


@on_linux
def test_memory_does_not_grow_with_the_volume(tmp_path):
    peaks = []
    for depth in (64, 1024):
        write(tmp_path / f"{depth}.nrrd", np.tile(smooth_volume((64, 256, 256)), (depth // 64, 1, 1)))
        peaks.append(peak_memory("patchify3d", tmp_path / f"{depth}.nrrd", tmp_path / "out", "-cs", "64"))
    assert peaks[1] - peaks[0] < 24 << 20  # the larger volume has 60 MiB more


def test_a_second_run_skips(volumes, tmp_path, capsys):
    assert cut(volumes, tmp_path / "out") == cut(volumes, tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "volumes: 0 done, 3 done before, 0 failed"


def test_a_volume_that_cannot_be_read_stops_no_other(volumes, tmp_path, capsys):
    (volumes / "broken.nrrd").write_bytes(b"NRRD0005\ntype: uint8\n")
    (volumes / "short.mrc").write_bytes(b"\0" * 100)
    for name in ("a" * 210, "b\\c"):  # their patches could become no files
        shutil.copyfile(volumes / "iso.nrrd", volumes / f"{name}.nrrd")
    assert cut(volumes, tmp_path / "out", "-p", "2") == 1
    out, err = capsys.readouterr()
    assert out == "volumes: 3 done, 0 done before, 4 failed\n" and err.count(": the name '") == 2
    assert err.count(f"{volumes / 'broken.nrrd'}: ") == 1
    assert "Traceback" not in err


def test_a_missing_voxel_size_is_said_once(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "v.tif", smooth_volume((40, 40, 40)))
    assert cut(tmp_path, tmp_path / "out") == 0
    assert capsys.readouterr().err.count("voxel size missing") == 1
    assert load_meta(tmp_path / "out" / "v.pkl")["voxel_size"] is None


def test_videos_are_cut_on_xy_only(tmp_path):
    write(tmp_path / "my_video.nrrd", smooth_volume((40, 40, 40)))
    assert cut(tmp_path, tmp_path / "out") == 0
    assert {parse_name(n).axis for n in load_patches(tmp_path / "out" / "my_video.pkl")["names"]} == {0}
    assert cut(tmp_path, tmp_path / "none", "--axes", "1") == 1


def test_volumes_of_one_name_fail_and_the_others_are_done(volumes, tmp_path, capsys):
    write(volumes / "iso.mha", smooth_volume((40, 40, 40)))
    assert cut(volumes, tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert out == "volumes: 2 done, 0 done before, 2 failed\n"
    clash = f"{volumes / 'iso.mha'}: would share {tmp_path / 'out' / 'iso.pkl'} with"
    assert clash in err
    assert not (tmp_path / "out" / "iso.pkl").exists()
    assert cut(volumes, tmp_path / "out", "--list") == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and clash in err


def test_list_says_what_would_be_done(volumes, tmp_path, capsys):
    assert cut(volumes, tmp_path / "out", "--list") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["aniso", "9 x 64 x 64", "40 x 4 x 4", "0", "36"]
    assert rows[2][:4] == ["iso", "50 x 64 x 70", "10 x 10 x 10", "0 1 2"]
    assert not (tmp_path / "out").exists()
    assert cut(volumes, tmp_path / "out") == 0
    assert load_meta(tmp_path / "out" / "iso.pkl")["patches"] == int(rows[2][4])


def test_list_shows_no_warnings_of_python(tmp_path, capsys, recwarn):
    with mrcfile.new(tmp_path / "bytes.mrc") as mrc:
        mrc.set_data(np.zeros((9, 40, 40), np.int8))
    assert cut(tmp_path, tmp_path / "out", "--list") == 0
    assert capsys.readouterr().err == ""
    assert not recwarn.list


def test_nothing_to_cut(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert cut(tmp_path / "in", tmp_path / "out") == 2
    assert "no volume in it" in capsys.readouterr().err
    assert cut(tmp_path / "absent", tmp_path / "out") == 2


def test_a_killed_run_goes_on(tmp_path):
    for i in range(6):
        write(tmp_path / "in" / f"v{i}.nrrd", smooth_volume((96, 96, 96), seed=i))
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "patchify3d.py"), str(tmp_path / "in"), str(out), "-cs", "32", "-p", "2"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while run.poll() is None and not list(out.glob("[!.]*.pkl")):
        os.sched_yield()
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert cut(tmp_path / "in", out) == cut(tmp_path / "in", tmp_path / "fresh", "-p", "2") == 0
    assert contents(out) == contents(tmp_path / "fresh")


def test_an_ngff_folder_is_cut_without_an_intermediate_file(tmp_path):
    import zarr

    voxels = smooth_volume((40, 50, 60))
    group = zarr.open_group(tmp_path / "em.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=voxels, chunks=(16, 16, 16))
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    scale = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [8, 8, 8]}]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": scale}]
    assert cut(tmp_path / "em.zarr", tmp_path / "out") == cut(tmp_path, tmp_path / "same") == 0
    content = load_patches(tmp_path / "out" / "em_s0.pkl")
    assert content["meta"]["voxel_size"] == (8.0, 8.0, 8.0)
    for name, patch in zip(content["names"], content["patches"], strict=True):
        assert parse_name(name).source == "em_s0"
        assert np.array_equal(patch, slice_of(voxels, name))
    assert load_patches(tmp_path / "same" / "em_s0.pkl")["names"] == content["names"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "em.zarr").rename(tmp_path / "elsewhere" / "em.zarr")
    assert cut(tmp_path / "elsewhere", tmp_path / "there") == 0  # nothing in it tells where the image lay
    assert contents(tmp_path / "there") == contents(tmp_path / "out") and content["meta"]["source"] == "em.zarr"


def test_a_bad_row_of_a_table_stops_no_other(tmp_path, capsys):
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr" / "s0", data=smooth_volume((40, 40, 40)), zarr_format=3)
    assert array.shape == (40, 40, 40)
    (tmp_path / "t.csv").write_text(
        f"download_url,volume_name,voxel_x,voxel_y,voxel_z\n{tmp_path}/a.zarr/s0,good,8,8,8\n,empty,1,1,1\n"
    )
    assert cut(tmp_path / "t.csv", tmp_path / "out", "--list") == 1
    out, err = capsys.readouterr()
    listed = out.splitlines()[1].split("\t")
    assert listed[:4] == ["good_s0", "40 x 40 x 40", "8 x 8 x 8", "0 1 2"] and "download_url is empty" in err
    assert cut(tmp_path / "t.csv", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert out == "volumes: 1 done, 0 done before, 1 failed\n"
    assert "no address: download_url is empty" in err
    target = tmp_path / "out" / "good_s0.pkl"
    meta, record = load_meta(target), load_record(target)
    assert (meta["voxel_size"], meta["patches"]) == ((8.0, 8.0, 8.0), int(listed[4]))
    assert record and record.options["gb"] == 5


def test_a_bare_folder_of_slices_is_one_volume(tmp_path):
    from PIL import Image

    (tmp_path / "slices").mkdir()
    voxels = smooth_volume((12, 40, 40))
    for z, plane in enumerate(voxels):
        Image.fromarray(plane).save(tmp_path / "slices" / f"{z}.png")
    assert cut(tmp_path / "slices", tmp_path / "out", "--axes", "0") == 0
    content = load_patches(tmp_path / "out" / "slices.pkl")
    for name, patch in zip(content["names"], content["patches"], strict=True):
        assert np.array_equal(patch, slice_of(voxels, name))


def test_volumes_that_are_nested_deeper_are_counted_and_taken_when_asked_for(volumes, tmp_path, capsys):
    deep = volumes / "x" / "y"
    deep.mkdir(parents=True)
    write(deep / "iso.nrrd", smooth_volume((40, 40, 40)))
    assert cut(volumes, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert f"nested deeper than DIR/VOLUME: 1 volumes, such as {deep / 'iso.nrrd'}; --recursive takes them" in said.err
    assert "3 done" in said.out
    assert cut(volumes, tmp_path / "out", "--recursive") == 0
    said = capsys.readouterr()
    assert "nested deeper" not in said.err and str(volumes / "x") not in said.err
    assert {parse_name(name).source for name in load_patches(tmp_path / "out" / "x-y-iso.pkl")["names"]} == {"x-y-iso"}
    assert cut(volumes / "x", tmp_path / "none") == 2
    assert "1 are nested deeper, --recursive takes them" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_parts_of_one_value_are_told_apart_before_they_are_read(tmp_path, monkeypatch, dtype):
    """Tissue in a corner of zeros, some of which another value spoils: the same dictionary as when all is read."""
    voxels = np.zeros((64, 96, 160), dtype)
    voxels[:40, :40, :40] = smooth_volume((40, 40, 40))
    voxels[-1, -1, -1], voxels[0, 0, 100] = 7, np.nan if dtype == "float32" else 5
    write(tmp_path / "in" / "v.nrrd", voxels)
    monkeypatch.setattr("utils.volume_patches.ROWS_PER_THREAD", 16)  # one for each cell
    asked: list[bool] = []
    with monkeypatch.context() as patch:
        ask = RawReader.holds_one_value
        patch.setattr(RawReader, "holds_one_value", lambda self, box: asked.append(ask(self, box)) or asked[-1])
        assert cut(tmp_path / "in", tmp_path / "out", "-p", "1") == 0
    assert asked.count(True) > 10 and asked.count(False) > 2
    monkeypatch.setattr(RawReader, "holds_one_value", lambda *_: False)
    assert cut(tmp_path / "in", tmp_path / "all", "-p", "1") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "all")
