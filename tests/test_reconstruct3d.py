"""reconstruct3d: every stack is its patch's surroundings, in every format; names, borders, resume, kills."""

import random
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

import patchify3d
import reconstruct3d
from conftest import ROOT, smooth_volume
from kept_patches import keep, keep_dictionaries, save_kept
from ngff_images import pyramid, write_n5_array, write_ome_zarr, write_precomputed
from utils.contrast import to_uint8
from utils.nrrd import write_nrrd
from utils.patches import parse_name
from utils.volumes import open_volume, volume_contrast

SHAPE = (20, 26, 31)
SIZE = (8.0, 8.0, 7.0)
BOX = (3, 15, 5, 19)


def voxels_of(dtype="uint8", seed=0, shape=SHAPE):
    gray = smooth_volume(shape, seed).astype(np.float64)
    scaled = {"uint8": gray, "int16": gray * 70 - 3000, "uint16": gray * 16, "float32": gray / 300 - 0.2}[dtype]
    return scaled.astype(dtype)


def write_mrc(path, voxels):
    with mrcfile.new(path) as mrc:
        mrc.set_data(voxels)
        mrc.voxel_size = tuple(10 * side for side in SIZE[::-1])


def write_itk(path, voxels, compress=False):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SIZE[::-1])
    sitk.WriteImage(image, str(path), compress)


def write_slices(folder, voxels):
    folder.mkdir()
    for z, page in enumerate(voxels):
        tifffile.imwrite(folder / f"z{z}.tif", page)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """One volume of each kind of format, in several dtypes: (folder, {name: voxels})."""
    folder = tmp_path_factory.mktemp("volumes")
    known = {}

    def add(name, dtype):
        known[name] = voxels_of(dtype, len(known))
        return known[name]

    write_nrrd(folder / "raw.v1.nrrd", add("raw.v1", "int16"), SIZE)
    write_itk(folder / "packed.nrrd", add("packed", "uint16"), compress=True)
    write_mrc(folder / "map.mrc", add("map", "float32"))
    write_itk(folder / "nifti.nii.gz", add("nifti", "int16"))
    write_itk(folder / "meta.mha", add("meta", "uint8"))
    tifffile.imwrite(folder / "pages.tif", add("pages", "uint16"), compression="zlib", photometric="minisblack")
    tifffile.imwrite(folder / "big.tif", add("big", "uint16").astype(">u2"), byteorder=">", photometric="minisblack")
    write_slices(folder / "slices", add("slices", "uint8"))
    write_ome_zarr(folder / "cells.zarr", [add("cells_s0", "uint16")], sizes=[SIZE])
    return folder, known


def run(*args):
    return reconstruct3d.main([str(arg) for arg in args])


def read(path):
    return tifffile.imread(path) if path.suffix == ".tif" else sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def stacks_in(savedir):
    return sorted(path for path in savedir.rglob("*.*") if path.suffix in {".tif", ".nrrd"})


def expected(voxels, where):
    """The stack that a name promises."""
    stack = np.moveaxis(voxels, where.axis, 0)[where.first : where.stop]
    return stack[:, where.box.y0 : where.box.y1, where.box.x0 : where.box.x1]


def names_in(savedir):
    return [path.stem for path in stacks_in(savedir)]


@pytest.mark.parametrize("method", ["percentile", "minmax", "dtype"])
def test_every_patch_is_the_middle_of_its_stack(tmp_path, volumes, method, capsys):
    folder, known = volumes
    cut = ["-cs", "11", "-d", "0", "--spacing", "6", "--contrast", method]
    patchify3d.main([str(folder), str(tmp_path / "pkl"), *cut, "--quiet"])
    kept = keep_dictionaries(tmp_path / "kept", tmp_path / "pkl")
    assert run(tmp_path / "kept", "-vd", folder, "-sd", tmp_path / "out", "-nz", 5) == 0
    made = [parse_name(path.stem) for path in stacks_in(tmp_path / "out")]
    assert {where.source for where in made} == set(known) and {where.axis for where in made} == {0, 1, 2}
    by_place = {(w.source, w.axis, w.first, w.box): patch for n, patch in kept.items() for w in [parse_name(n)]}
    for path, where in zip(stacks_in(tmp_path / "out"), made, strict=True):
        stack = read(path)
        assert (where.stop - where.first, len(stack)) == (5, 5)
        np.testing.assert_array_equal(stack[2], by_place[where.source, where.axis, where.first + 2, where.box])
        assert stack.shape == expected(known[where.source], where).shape
    places = [parse_name(name) for name in kept]
    inside = [w for w in places if 2 <= w.first < known[w.source].shape[w.axis] - 2]
    assert len(made) == len(inside) < len(kept)
    assert f"{len(made)} done, 0 done before, 0 failed, {len(kept) - len(made)} too close" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["tif", "nrrd"])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
def test_all_slices_are_converted_alike_and_raw_ones_are_not(tmp_path, form, dtype):
    voxels = voxels_of(dtype)
    write_nrrd(tmp_path / "v.nrrd", voxels, SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, 7, BOX) for axis in range(3)], method="minmax")
    command = (tmp_path / "kept", "-vd", tmp_path / "v.nrrd", "--format", form, "-nz", 7)
    assert run(*command, "-sd", tmp_path / "gray") == run(*command, "-sd", tmp_path / "raw", "--raw") == 0
    with open_volume(tmp_path / "v.nrrd") as volume:
        gray = to_uint8(voxels, volume_contrast(volume, "minmax"))
    for folder, source in (("gray", gray), ("raw", voxels)):
        assert len(stacks_in(tmp_path / folder)) == 3
        for path in stacks_in(tmp_path / folder):
            stack = read(path)
            np.testing.assert_array_equal(stack, expected(source, parse_name(path.stem)))
            assert stack.dtype == source.dtype


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "float64", "bool"])
def test_raw_values_that_imagej_does_not_know_keep_their_size(tmp_path, dtype):
    voxels = voxels_of().astype(dtype)
    (tmp_path / "v").mkdir()
    if dtype == "bool":
        voxels = voxels_of() > 128
    metadata = {"axes": "ZYX", "spacing": 8.0, "unit": "nm"}
    options = {"resolution": (1 / 7, 1 / 8), "resolutionunit": "NONE", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "v" / "v.tif", voxels, metadata=metadata, **options)
    keep(tmp_path / "kept", tmp_path / "v" / "v.tif", [(1, 7, BOX)])
    assert run(tmp_path / "kept", "-vd", tmp_path / "v", "-sd", tmp_path / "out", "--raw") == 0
    [path] = stacks_in(tmp_path / "out")
    np.testing.assert_array_equal(read(path), expected(voxels, parse_name(path.stem)))
    with open_volume(path) as stack:
        assert stack.voxel_size == (8, 8, 7)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 2, 4, 5])
def test_first_and_last_possible_centres(tmp_path, axis, slices, capsys):
    voxels = voxels_of()
    write_nrrd(tmp_path / "v.nrrd", voxels, SIZE)
    count = SHAPE[axis]
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, index, BOX) for index in range(count)])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-nz", slices) == 0
    made = sorted(parse_name(name).first for name in names_in(tmp_path / "out"))
    assert made == list(range(count - slices + 1))
    for path in stacks_in(tmp_path / "out"):
        np.testing.assert_array_equal(read(path).reshape(slices, 12, 14), expected(voxels, parse_name(path.stem)))
    said = capsys.readouterr()
    assert ("is even" in said.err) == (slices % 2 == 0)
    assert f"the patch is at index {slices // 2}" in said.err or slices % 2
    lost = [i for i in range(count) if not slices // 2 <= i <= count - slices + slices // 2]
    assert all(f"  v-LOC-{axis}_{i:02d}_3-15_5-19\n" in said.err for i in lost)
    assert (f"({len(lost)})" in said.err) == bool(lost)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_padding_mirrors_what_is_missing(tmp_path, axis):
    voxels = voxels_of()
    write_nrrd(tmp_path / "v.nrrd", voxels, SIZE)
    places = [0, 1, SHAPE[axis] - 1, 9]
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, index, BOX) for index in places])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-nz", 8, "--pad", "reflect") == 0
    padded = np.pad(np.moveaxis(voxels, axis, 0), ((4, 4), (0, 0), (0, 0)), "reflect")[:, 3:15, 5:19]
    assert len(stacks_in(tmp_path / "out")) == len(places)
    for path in stacks_in(tmp_path / "out"):
        first = parse_name(path.stem).first
        np.testing.assert_array_equal(read(path), padded[first + 4 : first + 12])


@pytest.mark.parametrize("axis,size", [(0, (30, 8, 6)), (1, (8, 30, 6)), (2, (6, 30, 8))])
def test_voxel_size_follows_the_slicing_axis(tmp_path, axis, size):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), (30.0, 8.0, 6.0))
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, 7, BOX)])
    for form in ("tif", "nrrd"):
        assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "--format", form) == 0
    nrrd, tif = stacks_in(tmp_path / "out") if stacks_in(tmp_path / "out")[0].suffix == ".nrrd" else (None, None)
    assert sitk.ReadImage(str(nrrd)).GetSpacing() == size[::-1]
    with tifffile.TiffFile(tif) as file:
        assert (file.imagej_metadata["spacing"], file.imagej_metadata["unit"]) == (size[0], "nm")
        assert file.pages.first.tags["XResolution"].value == (1, size[2])
        assert file.pages.first.tags["YResolution"].value == (1, size[1])
    for path in (nrrd, tif):
        with open_volume(path) as stack:
            assert stack.voxel_size == size


def test_a_missing_voxel_size_is_said_and_a_recorded_one_taken(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of())
    _, second = keep(tmp_path / "kept", tmp_path / "v.nrrd", [(2, 7, BOX), (2, 9, BOX)], recorded=False)
    save_kept(tmp_path / "kept", second.stem, tifffile.imread(second), {"voxel_size": [30, 8, 6]})
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 0
    without, told = stacks_in(tmp_path / "out")
    with tifffile.TiffFile(without) as a, tifffile.TiffFile(told) as b:
        assert a.imagej_metadata.keys().isdisjoint({"spacing", "unit"})
        assert b.imagej_metadata["spacing"] == 6
    assert (
        capsys.readouterr().err.count("voxel size missing in the volume and in the patch: none is written (stacks: 1)")
        == 1
    )


def test_a_volume_takes_only_its_own_patches(tmp_path, capsys):
    for name in ("vol1", "vol10", "vol1-ROI-x0-31_y0-26_z0-20"):
        write_nrrd(tmp_path / f"{name}.nrrd", voxels_of(seed=len(name)), SIZE)
        keep(tmp_path / "kept", tmp_path / f"{name}.nrrd", [(0, 7, BOX), (1, 9, BOX)])
    (tmp_path / "some").mkdir()
    (tmp_path / "vol1.nrrd").rename(tmp_path / "some" / "vol1.nrrd")
    assert run(tmp_path / "kept", "-vd", tmp_path / "some", "-sd", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "  vol10: 2 patches\n" in said.err and "  vol1-ROI-x0-31_y0-26_z0-20: 2 patches\n" in said.err
    assert "2 done, 0 done before, 0 failed, 4 without their volume" in said.out
    assert all(name.startswith("vol1-LOC-") for name in names_in(tmp_path / "out"))
    assert run(tmp_path / "kept", "-vd", tmp_path / "some", tmp_path, "-sd", tmp_path / "out") == 0
    assert len(stacks_in(tmp_path / "out" / "vol1")) == 4 and len(stacks_in(tmp_path / "out" / "vol10")) == 2


@pytest.fixture
def many_rois(tmp_path):
    """Ten regions of one dataset with three kept patches each: (kept, volumes)."""
    (tmp_path / "rois").mkdir()
    for i in range(10):
        path = tmp_path / "rois" / f"fly-ROI-x{i * 40}-{i * 40 + 31}_y0-26_z0-20.nrrd"
        write_nrrd(path, voxels_of("int16", i), SIZE)
        keep(tmp_path / "kept", path, [(axis, 7, BOX) for axis in range(3)])
    return tmp_path / "kept", tmp_path / "rois"


def contents(savedir):
    return {p.relative_to(savedir): p.read_bytes() for p in savedir.rglob("*") if p.is_file()}


def test_many_regions_are_complete_whatever_order_and_processes(tmp_path, many_rois):
    kept, rois = many_rois
    run(kept, "-vd", rois, "-sd", tmp_path / "one", "--flipbook", "gif", "--montage")
    renamed = tmp_path / "elsewhere" / "z"
    shutil.copytree(kept, renamed)
    for path in random.Random(1).sample(sorted(renamed.rglob("*.tiff")), 9):
        (tmp_path / "elsewhere" / "a").mkdir(exist_ok=True)
        path.rename(tmp_path / "elsewhere" / "a" / path.name)
    options = ("--flipbook", "gif", "--montage", "-p", 2)
    assert run(tmp_path / "elsewhere", "-vd", rois, "-sd", tmp_path / "two", *options) == 0
    assert len(stacks_in(tmp_path / "one" / "fly")) == 30
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_start_methods(tmp_path, many_rois, method):
    kept, rois = many_rois
    code = f"""
import multiprocessing, sys
if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    sys.path.insert(0, {str(ROOT / "3d")!r})
    from reconstruct3d import main
    sys.exit(main({[str(kept), "-vd", str(rois), "-sd", str(tmp_path / "out"), "-p", "2"]!r}))
"""
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(stacks_in(tmp_path / "out")) == 30


def test_resumes_file_by_file(tmp_path, many_rois, capsys):
    kept, rois = many_rois
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    stacks = stacks_in(tmp_path / "out")
    for path in stacks[:4]:
        path.unlink()
    stacks[5].write_bytes(b"complete, by contract")
    capsys.readouterr()
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out") == 0
    assert "subvolumes: 4 done, 26 done before, 0 failed" in capsys.readouterr().out
    assert stacks[5].read_bytes() == b"complete, by contract"
    stacks[5].unlink()
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out", "-p", 2) == 0
    assert contents(tmp_path / "out") == before
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out", "--flipbook", "gif") == 0
    assert len(list((tmp_path / "out").rglob("*.gif"))) == 30


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_and_run_again(tmp_path, many_rois, moment):
    kept, rois = many_rois
    run(kept, "-vd", rois, "-sd", tmp_path / "whole")
    command = ["reconstruct3d.py", str(kept), "-vd", str(rois), "-sd", str(tmp_path / "out")]
    code = f"""
import os, signal, sys, runpy
replace, count = os.replace, []
def deadly(*names):
    count.append(1)
    if {moment == "after"}: replace(*names)
    if len(count) == 8: os.kill(os.getpid(), signal.SIGKILL)
    if {moment == "before"}: replace(*names)
os.replace = deadly
sys.argv = {command!r}
runpy.run_path({str(ROOT / "3d" / "reconstruct3d.py")!r}, run_name="__main__")
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    whole = contents(tmp_path / "whole")
    left = {name: data for name, data in contents(tmp_path / "out").items() if not name.name.startswith(".")}
    assert 0 < len(left) < 30 and all(whole[name] == data for name, data in left.items())
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out", "-p", 2) == 0
    assert contents(tmp_path / "out") == whole


def test_two_runs_at_once(tmp_path, many_rois):
    kept, rois = many_rois
    script = [sys.executable, str(ROOT / "3d" / "reconstruct3d.py"), str(kept), "-vd", str(rois)]
    command = [*script, "-sd", str(tmp_path / "out")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0] and said[0][1] == said[1][1] == ""
    run(kept, "-vd", rois, "-sd", tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_limit_is_the_same_choice_every_time(tmp_path, many_rois):
    kept, rois = many_rois
    run(kept, "-vd", rois, "-sd", tmp_path / "a", "--limit", 7)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in kept.rglob("*.tiff"):
        shutil.copy(path, flat)
    run(flat, "-vd", rois, "-sd", tmp_path / "b", "--limit", 7, "-p", 2)
    run(flat, "-vd", rois, "-sd", tmp_path / "more", "--limit", 12)
    run(flat, "-vd", rois, "-sd", tmp_path / "other", "--limit", 7, "--seed", 1)
    chosen = names_in(tmp_path / "a")
    assert len(chosen) == 7 and chosen == names_in(tmp_path / "b") != names_in(tmp_path / "other")
    assert set(chosen) < set(names_in(tmp_path / "more")) and len(names_in(tmp_path / "more")) == 12


def test_limit_counts_what_can_be_made(tmp_path):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, index, BOX) for index in range(20)])
    run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-nz", 17, "--limit", 4)
    assert len(stacks_in(tmp_path / "out")) == 4


def test_no_overlap(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, index, BOX) for index in range(2, 18)])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "--no-overlap", 0) == 0
    made = sorted(parse_name(name).first for name in names_in(tmp_path / "out"))
    assert all(b - a >= 5 for a, b in pairwise(made)) and len(made) >= 2
    assert f"{16 - len(made)} overlapping" in capsys.readouterr().out
    run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "some", "--no-overlap", 0.4)
    made = sorted(parse_name(name).first for name in names_in(tmp_path / "some"))
    assert min(b - a for a, b in pairwise(made)) == 3
    run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "all", "--no-overlap", 1)
    assert len(names_in(tmp_path / "all")) == 16


def test_regions_that_share_voxels_overlap(tmp_path):
    for name in ("fly-ROI-x0-31_y0-26_z0-20", "fly-ROI-x0-31_y0-26_z3-23"):
        write_nrrd(tmp_path / f"{name}.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "fly-ROI-x0-31_y0-26_z0-20.nrrd", [(0, 10, BOX)])
    keep(tmp_path / "kept", tmp_path / "fly-ROI-x0-31_y0-26_z3-23.nrrd", [(0, 7, BOX)])
    run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "--no-overlap", 0.9)
    assert len(stacks_in(tmp_path / "out")) == 1


def test_patches_that_record_no_contrast(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of("uint16"), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 7, BOX)], recorded=False)
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 0
    assert (
        "no contrast recorded in the patch: --contrast percentile of the volume is taken (stacks: 1)"
        in capsys.readouterr().err
    )
    keep(tmp_path / "other", tmp_path / "v.nrrd", [(0, 7, BOX)], method="dtype", recorded=False)
    assert run(tmp_path / "other", "-vd", tmp_path, "-sd", tmp_path / "bad") == 1
    said = capsys.readouterr().err
    assert "pixels of the middle slice differ from the patch" in said and "another --contrast" in said
    assert stacks_in(tmp_path / "bad") == []
    assert run(tmp_path / "other", "-vd", tmp_path, "-sd", tmp_path / "good", "--contrast", "dtype") == 0
    assert run(tmp_path / "other", "-vd", tmp_path, "-sd", tmp_path / "as_is", "--accept-differences") == 0
    assert "written all the same" in capsys.readouterr().err
    assert run(tmp_path / "other", "-vd", tmp_path, "-sd", tmp_path / "raw", "--raw") == 0
    assert [len(stacks_in(tmp_path / folder)) for folder in ("good", "as_is", "raw")] == [1, 1, 1]


def test_a_volume_that_changed_fails_its_patches_only(tmp_path, capsys):
    for name in ("changed", "same"):
        write_nrrd(tmp_path / f"{name}.nrrd", voxels_of(), SIZE)
        keep(tmp_path / "kept", tmp_path / f"{name}.nrrd", [(0, 7, BOX), (1, 7, BOX)])
    voxels = voxels_of()
    voxels[7, 4, 6] ^= 1
    write_nrrd(tmp_path / "changed.nrrd", voxels, SIZE)
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "changed-LOC-0_07_3-15_5-19.tiff: 1 of 168 pixels of the middle slice differ" in said.err
    assert "3 done, 0 done before, 1 failed" in said.out


def test_patches_shorter_than_a_crop(tmp_path):
    write_nrrd(tmp_path / "v.nrrd", voxels_of("int16"), SIZE)
    patchify3d.main([str(tmp_path / "v.nrrd"), str(tmp_path / "pkl"), "-cs", "24", "--edges", "keep", "--quiet"])
    kept = keep_dictionaries(tmp_path / "kept", tmp_path / "pkl")
    assert {patch.shape for patch in kept.values()} > {(20, 24)}
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-nz", 1) == 0
    assert len(stacks_in(tmp_path / "out")) == len(kept)


def test_levels_of_images(tmp_path, capsys):
    levels = pyramid((16, 24, 28), dtype="uint16")
    (tmp_path / "v").mkdir()
    write_ome_zarr(tmp_path / "v" / "cells.zarr", levels)
    table = tmp_path / "table.csv"
    table.write_text(f"download_url,volume_name,mip,voxel_z,voxel_y,voxel_x\n{tmp_path}/v/cells.zarr,cells,0,31,9,7\n")
    for level in range(3):
        patchify = [str(tmp_path / "v"), str(tmp_path / "pkl"), "-cs", "9", "--level", str(level), "--spacing", "4"]
        patchify3d.main([*patchify, "--quiet"])
    kept = keep_dictionaries(tmp_path / "kept", tmp_path / "pkl")
    assert {name.partition("-LOC-")[0] for name in kept} == {"cells_s0", "cells_s1", "cells_s2"}
    sizes = {}
    for where in (tmp_path / "v", tmp_path / "v" / "cells.zarr", f"file://{tmp_path}/v/cells.zarr", table):
        savedir = tmp_path / f"out{len(sizes)}"
        assert run(tmp_path / "kept", "-vd", where, "-sd", savedir, "-nz", 3) == 0
        for path in stacks_in(savedir):
            source = parse_name(path.stem).source
            assert read(path).shape == expected(levels[int(source[-1])], parse_name(path.stem)).shape
            with open_volume(path) as stack:
                sizes[str(where), source] = stack.voxel_size
    assert sizes[str(tmp_path / "v"), "cells_s1"] == (30, 16, 12)
    assert sizes[str(table), "cells_s1"] == (31, 18, 14)
    assert len(sizes) == 12


def test_other_pyramids(tmp_path):
    level = pyramid(dtype="uint8")[0]
    write_n5_array(tmp_path / "v" / "a.n5", level, resolution=[6, 8, 30])
    write_precomputed(tmp_path / "v" / "b.precomputed", [level], offset=(5, 6, 7))
    patchify3d.main([str(tmp_path / "v"), str(tmp_path / "pkl"), "-cs", "9", "--spacing", "4", "-d", "0", "--quiet"])
    kept = keep_dictionaries(tmp_path / "kept", tmp_path / "pkl")
    assert {name.partition("-LOC-")[0] for name in kept} == {"a_s0", "b_s0"}
    assert run(tmp_path / "kept", "-vd", tmp_path / "v", "-sd", tmp_path / "out", "-nz", 1) == 0
    assert len(stacks_in(tmp_path / "out")) == len(kept)
    for path in stacks_in(tmp_path / "out"):
        np.testing.assert_array_equal(
            np.atleast_3d(read(path)).reshape(-1), expected(level, parse_name(path.stem)).ravel()
        )


def test_flipbooks_and_montage(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of("int16"), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, 7, (3, 16, 5, 20)) for axis in range(3)])
    command = (tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "--montage")
    assert run(*command, "--flipbook", "gif") == run(*command, "--flipbook", "mp4") == 0
    for path in stacks_in(tmp_path / "out"):
        with Image.open(path.with_suffix(".gif")) as movie:
            frames = []
            for index in range(movie.n_frames):
                movie.seek(index)
                frames.append(np.asarray(movie.convert("L")))
        np.testing.assert_array_equal(frames, read(path))
        assert path.with_suffix(".mp4").stat().st_size > 0
    montage = tmp_path / "out" / "v.png"
    drawn = montage.read_bytes()
    capsys.readouterr()
    assert run(*command) == 0 and "montages" not in capsys.readouterr().out
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 9, BOX)])
    assert run(*command) == 0 and montage.read_bytes() != drawn


def test_cost_follows_the_patches(tmp_path, monkeypatch):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    write_itk(tmp_path / "packed.nii.gz", voxels_of())
    for source in ("v.nrrd", "packed.nii.gz"):
        keep(tmp_path / "kept", tmp_path / source, [(axis, 7, BOX) for axis in range(3)])
    read_voxels, decoded = [], []
    from utils import itk, volume_base

    real_read, real_decode = volume_base.ArrayVolume._read, itk._decode

    def counting_read(volume, box):
        region = real_read(volume, box)
        read_voxels.append(region.size)
        return region

    def counting_decode(*args):
        decoded.append(args)
        return real_decode(*args)

    monkeypatch.setattr(volume_base.ArrayVolume, "_read", counting_read)
    monkeypatch.setattr(itk, "_decode", counting_decode)
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 0
    assert len(decoded) <= 1
    assert sum(read_voxels) <= 6 * 5 * 12 * 14 + 1


def test_a_broken_volume_costs_its_patches_only(tmp_path, capsys):
    for name in ("broken", "fine"):
        write_itk(tmp_path / f"{name}.nii.gz", voxels_of(seed=3))
        keep(tmp_path / "kept", tmp_path / f"{name}.nii.gz", [(0, 7, BOX), (1, 7, BOX)])
    packed = tmp_path / "broken.nii.gz"
    packed.write_bytes(packed.read_bytes()[:-2000])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-p", 2) == 1
    said = capsys.readouterr()
    assert "2 done, 0 done before, 2 failed" in said.out
    assert said.err.count("broken.nii.gz") == 2  # once as it happens, once in the summary
    packed.write_bytes(b"")
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 1
    assert "0 done, 2 done before, 2 failed" in capsys.readouterr().out


def test_patches_that_cannot_be_of_the_volume(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    good, short, torn = keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 7, BOX), (0, 8, BOX), (0, 9, BOX)])
    for name in ("v-LOC-0_07_3-27_5-19", "v-LOC-0_20_3-15_5-19", "v-LOC-2_31_3-15_5-19"):
        save_kept(tmp_path / "kept", name, np.zeros((24, 14), np.uint8), None)
    tifffile.imwrite(short, np.zeros((4, 4), np.uint8), photometric="minisblack")
    torn.write_bytes(torn.read_bytes()[:60])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err.count("lies outside its volume, which is 20 x 26 x 31") == 6
    assert f"{short}: the patch's file holds 4 x 4 uint8 pixels, its name says 12 x 14" in said.err
    assert f"{torn}: " in said.err and "1 done, 0 done before, 5 failed" in said.out
    assert names_in(tmp_path / "out") == [good.stem.replace("0_07", "0_05_10")]


def test_what_is_no_patch_is_named_once(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 7, BOX)])
    kept = tmp_path / "kept"
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "v/._v-LOC-0_07_3-15_5-19.tiff", "v/overview.tif"):
        (kept / name).write_bytes(b"x")
    (kept / "v" / "v-LOC-0_05_10_3-15_5-19.tif").write_bytes(b"a subvolume")
    (kept / "v" / "cells-LOC-2d-0-9_0-9.tiff").write_bytes(b"of an image")
    (kept / "v.csv").write_text("name,score,kept\nv-LOC-0_07_3-15_5-19,0.9,True\n")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(kept / "v.png")
    assert run(kept, "-vd", tmp_path / "v.nrrd", "-sd", kept / "inside") == 0
    said = capsys.readouterr().err
    [line] = [line for line in said.splitlines() if line.startswith("passed over, no patches")]
    assert line.count("notes.txt") == line.count("overview.tif") == line.count("v-LOC-0_05_10") == 1
    assert not any(name in said for name in ("DS_Store", "Thumbs", "._v", "v.csv", "v.png"))
    assert "1 patches of 2D images" in said
    assert run(kept, "-vd", tmp_path / "v.nrrd", "-sd", kept / "inside") == 0


def test_bad_usage(tmp_path, capsys):
    volumes, other, kept = tmp_path / "a", tmp_path / "b", tmp_path / "kept"
    for folder in (volumes, other):
        folder.mkdir()
    write_nrrd(volumes / "v.nrrd", voxels_of(), SIZE)
    [patch] = keep(kept, volumes / "v.nrrd", [(0, 7, BOX)])
    assert run(volumes, "-vd", volumes, "-sd", tmp_path / "out") == 2
    assert "no patch of a volume in it" in capsys.readouterr().err
    assert run(kept, "-vd", other, "-sd", tmp_path / "out") == 2
    assert run(kept, "-vd", tmp_path / "nowhere", "-sd", tmp_path / "out") == 2
    assert run(kept, "-vd", volumes, "-sd", kept) == 2
    write_mrc(other / "v.mrc", voxels_of("int16"))
    capsys.readouterr()
    assert run(kept, "-vd", volumes, other, "-sd", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"{volumes / 'v.nrrd'}, {other / 'v.mrc'}" in said
    assert run(kept, "-vd", volumes, volumes / "v.nrrd", "-sd", tmp_path / "out") == 0
    (kept / "again").mkdir()
    shutil.copy(patch, kept / "again")
    assert run(kept, "-vd", volumes, "-sd", tmp_path / "out") == 2
    assert f"{kept / 'again' / patch.name}, {patch}" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        run(kept, "-vd", volumes, "-sd", tmp_path / "out", "-nz", 0)
    assert stopped.value.code == 2


def test_list_does_nothing(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, 7, BOX) for axis in range(3)])
    save_kept(tmp_path / "kept", "w-LOC-0_07_3-15_5-19", np.zeros((12, 14), np.uint8), None)
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "--list") == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == ["volume\tstacks\tdone_before\tvoxels", f"v\t3\t0\t{3 * 5 * 12 * 14}"]
    assert "  w: 1 patches" in said.err and not (tmp_path / "out").exists()


def test_thousands_near_the_border_are_counted(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    for column in range(30):
        for index in (0, 1, 18, 19):
            name = f"v-LOC-0_{index:02d}_3-15_{column}-{column + 1}"
            save_kept(tmp_path / "kept", name, np.zeros((12, 1), np.uint8), None)
    command = (tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out")
    assert run(*command) == 0
    said = capsys.readouterr()
    assert said.err.count("  v-LOC-0_") == 100 and "(120)" in said.err and "and 20 more" in said.err
    assert "0 done, 0 done before, 0 failed, 120 too close to the border" in said.out
    assert run(*command, "--verbose") == 0 and capsys.readouterr().err.count("  v-LOC-0_") == 120


def test_help_from_another_folder(run_script):
    done = run_script("3d/reconstruct3d.py", "--help")
    assert done.returncode == 0 and "pixel for" in done.stdout and "Example:" in done.stdout


@pytest.mark.parametrize("name", ["cdeep3m_mito_training_slices", "isbi2012_train_slices"])
def test_real_volumes(tmp_path, real_data, name):
    source = tmp_path / "volumes" / name
    source.parent.mkdir()
    source.symlink_to(real_data / "3d" / name)
    with open_volume(source) as volume:
        shape = volume.shape
    places = []
    for axis, count in enumerate(shape):
        rows, columns = (side for at, side in enumerate(shape) if at != axis)
        places += [(axis, index, (0, rows, columns // 2, columns)) for index in (2, count - 3)]
    keep(tmp_path / "kept", source, places)
    assert run(tmp_path / "kept", "-vd", source.parent, "-sd", tmp_path / "out") == 0
    assert len(stacks_in(tmp_path / "out")) == 6
