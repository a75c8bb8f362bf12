"""utils/formats/hdf5.py: the one volume of a file by region; several are named, and chosen."""

import importlib

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from utils.formats.hdf5 import open_hdf5
from utils.settings import DATASET, choose
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 60_000, (6, 40, 50)).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 16, 16), "compression": "gzip"}, {"dtype": ">i4"}])
def test_the_only_volume(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        data = f.create_dataset("volumes/raw", data=VOXELS, **options)
        data.attrs["resolution"] = (40.0, 4.0, 4.0)
        f["notes"] = np.zeros((3, 3))
        f["names"] = ["a", "b"]
    with open_volume(tmp_path / "a.h5") as volume:
        assert volume.streams and volume.dtype.isnative and volume.voxel_size == (40, 4, 4)
        np.testing.assert_array_equal(volume[2:4, 10:, 5:9], VOXELS[2:4, 10:, 5:9])
        region = volume[:1]
    np.testing.assert_array_equal(region, VOXELS[:1])
    with pytest.raises(ValueError, match="closed"):
        volume[:]


def test_a_volume_that_is_made_of_others(tmp_path):
    layout = h5py.VirtualLayout(VOXELS.shape, VOXELS.dtype)
    for z, part in enumerate(VOXELS):
        with h5py.File(tmp_path / f"{z}.hdf5", "w") as f:
            f["a"] = part
        layout[z] = h5py.VirtualSource(f"{z}.hdf5", "a", part.shape)
    with h5py.File(tmp_path / "all.h5", "w") as f:
        f.create_virtual_dataset("raw", layout)
    with open_volume(tmp_path / "all.h5") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_itks_own_layout(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing((4, 5, 6))
    sitk.WriteImage(image, str(tmp_path / "a.hdf5"))
    with open_volume(tmp_path / "a.hdf5") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.voxel_size == (6, 5, 4)


def test_of_several_one_is_chosen(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f["t0/raw"], f["t1/raw"] = VOXELS, VOXELS + 1
        f["t1/raw"].attrs["element_size_um"] = (0.04, 0.004, 0.004)
    with pytest.raises(ValueError, match=r"several 3-D datasets \(t0/raw, t1/raw\): choose one with --dataset"):
        open_volume(path)
    monkeypatch.setenv(DATASET, "/t1/raw")
    with open_hdf5(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS + 1)
        assert volume.voxel_size == (40, 4, 4)
    monkeypatch.setenv(DATASET, "t2")
    with pytest.raises(ValueError, match="no 3-D dataset of numbers called 't2'; it has t0/raw, t1/raw"):
        open_hdf5(path)
    monkeypatch.setenv(DATASET, "t0/raw")
    with open_volume(path) as volume, pytest.warns(UserWarning, match="voxel size missing"):
        assert volume.voxel_size is None
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_what_cannot_be_read(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "none.h5", "w") as f:
        f["a"], f["b"] = np.zeros((4, 4)), h5py.ExternalLink("data.h5", "/raw")
    with h5py.File(tmp_path / "empty.h5", "w") as f:
        f.create_dataset("a", (10**6,) * 3, "u1", chunks=(64, 64, 64))
    with h5py.File(tmp_path / "elsewhere.h5", "w") as f:
        f.create_dataset("a", (4, 4, 4), "u1", external=[("/dev/zero", 0, 64)])
    layout = h5py.VirtualLayout((4, 4, 4), "u1")
    layout[:] = h5py.VirtualSource("gone.h5", "a", (4, 4, 4))
    with h5py.File(tmp_path / "virtual.h5", "w") as f:
        f.create_virtual_dataset("a", layout)
    layout[:] = h5py.VirtualSource("elsewhere.h5", "b", (4, 4, 4))
    with h5py.File(tmp_path / "renamed.h5", "w") as f:
        f.create_virtual_dataset("a", layout)
    with h5py.File(tmp_path / "huge.h5", "w") as f:
        f.create_dataset("a", (60, 1000, 1000), "u2", chunks=(60, 1000, 1000), compression="gzip")[0, 0, 0] = 1
    (tmp_path / "text.h5").write_text("no HDF5")
    monkeypatch.setenv("EM_MAX_GB", "0.1")
    for name, reason in {
        "none": r"no 3-D dataset of numbers \(a is 4 x 4, b is a link to /raw of data\.h5\)$", "empty": "holds no data",
        "elsewhere": "lies in another file, /dev/zero",
        "virtual": "a of gone.h5 is missing", "renamed": "b of elsewhere.h5 is missing",
        "huge": "a chunk takes 0.12 GB", "text": "is no HDF5 file",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            open_volume(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("processes", [1, 2])
def test_scripts_take_the_dataset_that_is_named(tmp_path, processes):
    import binvol
    import patchify3d

    (tmp_path / "in").mkdir()
    for name in "ab":
        with h5py.File(tmp_path / "in" / f"{name}.h5", "w") as f:
            f["t0/raw"], f["t1/raw"] = VOXELS, VOXELS + 1
            for volume in (f["t0/raw"], f["t1/raw"]):
                volume.attrs["resolution"] = (4.0, 4.0, 4.0)
    bin_by = [str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert binvol.main(bin_by) == 1
    assert binvol.main([*bin_by, "--dataset", "t0/raw"]) == 0
    first = (tmp_path / "out" / "a_bin2.nrrd").read_bytes()
    assert binvol.main([*bin_by, "--dataset", "t1/raw"]) == 0
    assert (tmp_path / "out" / "a_bin2.nrrd").read_bytes() == first  # outdated, kept
    assert binvol.main([*bin_by, "--dataset", "t1/raw", "--update", "-p", str(processes)]) == 0
    assert (tmp_path / "out" / "a_bin2.nrrd").read_bytes() != first
    cut = [str(tmp_path / "in"), str(tmp_path / "patches"), "-cs", "16", "-p", str(processes)]
    assert patchify3d.main([*cut, "--dataset", "t1/raw"]) == 0
    choose(DATASET, None)


@pytest.mark.parametrize("script", ["patchify3d", "binvol", "reconstruct3d", "crop_rois_from_volume"])
def test_every_reader_of_volumes_has_the_option(script, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(script).main(["--help"])
    assert "--dataset NAME" in capsys.readouterr().out
