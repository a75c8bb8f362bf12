"""reconstruct3d: every stack is its patch's surroundings, in every format; borders, voxel sizes, levels, flipbooks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

import patchify3d
import reconstruct3d
from conftest import FUZZED
from kept_patches import keep, keep_dictionaries, save_kept
from ngff_images import pyramid, write_n5_array, write_ome_zarr, write_precomputed
from stacks import BOX, SHAPE, SIZE, expected, names_in, read, run, stacks_in, voxels_of, write_itk, write_mrc
from utils.contrast import to_uint8
from utils.formats.writers import write_nrrd
from utils.names import parse_name
from utils.reconstruction.plan import ReconstructionPlan
from utils.reconstruction.subvolumes import Subvolume
from utils.records.kept_patch import KeptPatch
from utils.volume_samples import volume_contrast
from utils.volumes import open_volume


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


@pytest.mark.fuzz
@pytest.mark.parametrize("method", ["percentile", *["minmax", "dtype"] * FUZZED])
def test_every_patch_is_the_middle_of_its_stack(tmp_path, volumes, method, capsys):
    folder, known = volumes
    cut = ["-cs", "18", "-d", "0", "--spacing", "9", "--contrast", method]
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
    places = [*range(4), *range(count - 4, count)]
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(axis, index, BOX) for index in places])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-nz", slices) == 0
    made = sorted(parse_name(name).first for name in names_in(tmp_path / "out"))
    assert made == [first for i in places if 0 <= (first := i - slices // 2) <= count - slices]
    for path in stacks_in(tmp_path / "out"):
        np.testing.assert_array_equal(read(path).reshape(slices, 12, 14), expected(voxels, parse_name(path.stem)))
    said = capsys.readouterr()
    assert ("is even" in said.err) == (slices % 2 == 0)
    assert f"the patch is at index {slices // 2}" in said.err or slices % 2
    lost = [i for i in places if not slices // 2 <= i <= count - slices + slices // 2]
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
    patchify3d.main([str(tmp_path / "v"), str(tmp_path / "pkl"), "-cs", "18", "--spacing", "4", "-d", "0", "--quiet"])
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
    assert run(*command) == 0 and "montages: 0 done, 1 done before" in capsys.readouterr().out
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 9, BOX)])
    assert run(*command) == 0 and montage.read_bytes() != drawn


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


def test_stacks_are_not_written_among_the_patches(tmp_path, capsys):
    save_kept(tmp_path, "v-LOC-0_1_0-9_0-9", np.zeros((9, 9), np.uint8), None)
    assert run(tmp_path, "-vd", tmp_path, "-sd", tmp_path) == 2
    assert "-sd names FILTERED_DIR itself; choose another folder" in capsys.readouterr().err


def test_what_became_of_the_patches_in_one_line():
    plan = ReconstructionPlan(refused=Counter(v=2), missing=Counter(w=1))
    before = [None, "", "old", None]
    said = "subvolumes: 1 done, 1 done before, 1 outdated, 3 failed, 1 without their volume"
    assert reconstruct3d.summary(plan, before, ["", "", "old", None], False) == said
    said = "subvolumes: 2 done, 1 done before, 3 failed, 1 without their volume"
    assert reconstruct3d.summary(plan, before, ["", "", "", None], True) == said


def test_patches_near_the_border_are_named_up_to_a_number(capsys):
    names = [f"v-LOC-0_{index:03d}_0-9_0-9" for index in range(reconstruct3d.MOST_NAMES + 2)]
    near = [Subvolume(KeptPatch(Path(f"{name}.tiff"), parse_name(name)), 0, 5, Path("x.tif")) for name in names]
    reconstruct3d.say_left_out(ReconstructionPlan(border=near), 5, verbose=False)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"too close to the border for 5 slices ({len(near)}); --pad reflect adds them:"
    assert said[1:] == [*(f"  {name}" for name in names[:-2]), "  and 2 more; --verbose lists all"]
    reconstruct3d.say_left_out(ReconstructionPlan(border=near), 5, verbose=True)
    assert capsys.readouterr().err.splitlines()[1:] == [f"  {name}" for name in names]
    reconstruct3d.say_left_out(ReconstructionPlan(border=near[:1]), 4, verbose=False)
    assert capsys.readouterr().err.splitlines()[0].endswith("is at index 2, with 2 slices before it, 1 after")
