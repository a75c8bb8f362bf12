"""reconstruct3d: patches without their volume, volumes that changed or broke, files that are neither; bad usage."""

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from kept_patches import keep, save_kept
from stacks import BOX, SIZE, contents, names_in, run, stacks_in, voxels_of, write_itk, write_mrc
from utils.formats.writers import write_nrrd


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
    assert run(tmp_path / "other", "-vd", tmp_path, "-sd", tmp_path / "good", "--update") == 1
    assert "subvolumes: 0 done, 0 done before, 1 failed" in capsys.readouterr().out, "what stays was to be redone"
    assert len(stacks_in(tmp_path / "good")) == 1
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


def test_a_broken_volume_costs_its_patches_only(tmp_path, capsys):
    for name in ("broken", "fine"):
        write_itk(tmp_path / f"{name}.nii.gz", voxels_of(seed=3))
        keep(tmp_path / "kept", tmp_path / f"{name}.nii.gz", [(0, 7, BOX), (1, 7, BOX)])
    packed = tmp_path / "broken.nii.gz"
    packed.write_bytes(packed.read_bytes()[:-2000])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out", "-p", 2) == 1
    said = capsys.readouterr()
    assert "2 done, 0 done before, 2 failed" in said.out
    assert said.err.count("broken.nii.gz") == 1
    packed.write_bytes(b"")
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 1
    assert "0 done, 2 done before, 2 failed" in capsys.readouterr().out


def test_stacks_stay_while_their_volume_is_out_of_reach_or_one_of_two(tmp_path, capsys):
    """Neither an unmounted disk nor a twin takes anything; a damaged volume does, and one that is gone with --prune."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "volumes").mkdir()
    volume = tmp_path / "volumes" / "v.nrrd"
    volume.symlink_to(tmp_path / "disk" / "v.nrrd")
    for place in ("disk/v.nrrd", "volumes/other.nrrd"):
        write_nrrd(tmp_path / place, voxels_of(), SIZE)
    keep(tmp_path / "kept", volume, [(0, 7, BOX)])
    options = (tmp_path / "kept", "-vd", volume.parent, "-sd", tmp_path / "out", "--montage", "--flipbook", "gif")
    assert run(*options) == 0
    before = contents(tmp_path / "out")
    twin = tmp_path / "volumes" / "v.mrc"
    write_mrc(twin, voxels_of())
    assert run(*options, "--update", "--prune") == 1 and contents(tmp_path / "out") == before
    twin.unlink()
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    assert run(*options, "--update", "--prune") == 1
    assert len(before) == 3 and contents(tmp_path / "out") == before
    volume.unlink()
    assert run(*options, "--update") == 1
    assert "stacks without their input (2; --prune removes them)" in capsys.readouterr().err
    volume.write_bytes(b"NRRD")
    assert run(*options, "--update", "--prune") == 1 and contents(tmp_path / "out") == {}


def test_patches_that_cannot_be_of_the_volume(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    good, short, torn = keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 7, BOX), (0, 8, BOX), (0, 9, BOX)])
    for name in ("v-LOC-0_07_3-27_5-19", "v-LOC-0_20_3-15_5-19", "v-LOC-2_31_3-15_5-19"):
        save_kept(tmp_path / "kept", name, np.zeros((24, 14), np.uint8), None)
    tifffile.imwrite(short, np.zeros((4, 4), np.uint8), photometric="minisblack")
    torn.write_bytes(torn.read_bytes()[:60])
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err.count("lies outside its volume, which is 20 x 26 x 31") == 3
    assert f"{short}: the patch's file holds 4 x 4 uint8 pixels, its name says 12 x 14" in said.err
    assert f"{torn}: " in said.err and "1 done, 0 done before, 5 failed" in said.out
    assert names_in(tmp_path / "out") == [good.stem.replace("0_07", "0_05-10")]


def test_what_is_no_patch_is_named_once(tmp_path, capsys):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    keep(tmp_path / "kept", tmp_path / "v.nrrd", [(0, 7, BOX)])
    kept = tmp_path / "kept"
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "v/._v-LOC-0_07_3-15_5-19.tiff", "v/overview.tif"):
        (kept / name).write_bytes(b"x")
    (kept / "v" / "v-LOC-0_05-10_3-15_5-19.tif").write_bytes(b"a subvolume")
    (kept / "v" / "cells-LOC-2d-0-9_0-9.tiff").write_bytes(b"of an image")
    (kept / "v.csv").write_text("name,score,kept\nv-LOC-0_07_3-15_5-19,0.9,True\n")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(kept / "v.png")
    assert run(kept, "-vd", tmp_path / "v.nrrd", "-sd", kept / "inside") == 0
    said = capsys.readouterr().err
    [line] = [line for line in said.splitlines() if line.startswith("passed over, no patches")]
    assert line.count("notes.txt") == line.count("overview.tif") == line.count("v-LOC-0_05-10") == 1
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
    assert run(kept, "-vd", volumes, other, "-sd", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert f"v ({volumes / 'v.nrrd'}, {other / 'v.mrc'}): 1 patches" in said
    assert run(kept, "-vd", volumes, volumes / "v.nrrd", "-sd", tmp_path / "out") == 0
    (kept / "again").mkdir()
    shutil.copy(patch, kept / "again")
    assert run(kept, "-vd", volumes, "-sd", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert f"{patch}: would share" in said and f"{kept / 'again' / patch.name}: would share" in said
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
