"""reconstruct3d: the same stacks whatever order, processes, kills and resumption; which of them, and at what cost."""

import random
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from conftest import ROOT
from kept_patches import keep
from stacks import BOX, SIZE, contents, names_in, run, stacks_in, voxels_of, write_itk
from utils.formats.writers import write_nrrd
from utils.names import parse_name


@pytest.fixture
def many_rois(tmp_path):
    """Eight regions of one dataset with three kept patches each: (kept, volumes)."""
    (tmp_path / "rois").mkdir()
    for i in range(8):
        path = tmp_path / "rois" / f"fly-ROI-x{i * 40}-{i * 40 + 31}_y0-26_z0-20.nrrd"
        write_nrrd(path, voxels_of("int16", i), SIZE)
        keep(tmp_path / "kept", path, [(axis, 7, BOX) for axis in range(3)])
    return tmp_path / "kept", tmp_path / "rois"


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
    assert len(stacks_in(tmp_path / "one" / "fly")) == 24
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
    assert len(stacks_in(tmp_path / "out")) == 24


def test_resumes_file_by_file(tmp_path, many_rois, capsys):
    kept, rois = many_rois
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    stacks = stacks_in(tmp_path / "out")
    for path in stacks[:4]:
        path.unlink()
    stacks[5].write_bytes(b"somebody's own")
    capsys.readouterr()
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "subvolumes: 4 done, 19 done before, 1 outdated, 0 failed" in said.out
    assert "outdated: 1 subvolumes (it is not what was made); --update redoes them" in said.err
    assert stacks[5].read_bytes() == b"somebody's own"
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out", "-p", 2, "--update") == 0
    assert contents(tmp_path / "out") == before
    assert run(kept, "-vd", rois, "-sd", tmp_path / "out", "--flipbook", "gif") == 0
    assert len(list((tmp_path / "out").rglob("*.gif"))) == 24


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
    if len(count) >= 8: os.kill(os.getpid(), signal.SIGKILL)
    if {moment == "before"}: replace(*names)
os.replace = deadly
sys.argv = {command!r}
runpy.run_path({str(ROOT / "3d" / "reconstruct3d.py")!r}, run_name="__main__")
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    whole = contents(tmp_path / "whole")
    left = {name: data for name, data in contents(tmp_path / "out").items() if not name.name.startswith(".")}
    assert 0 < len(left) < 24 and all(whole[name] == data for name, data in left.items())
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


def test_cost_follows_the_patches(tmp_path, monkeypatch):
    write_nrrd(tmp_path / "v.nrrd", voxels_of(), SIZE)
    write_itk(tmp_path / "packed.nii.gz", voxels_of())
    for source in ("v.nrrd", "packed.nii.gz"):
        keep(tmp_path / "kept", tmp_path / source, [(axis, 7, BOX) for axis in range(3)])
    read_voxels, decoded = [], []
    from utils.formats import itk, volume_base

    real_read, real_decode = volume_base.DecodedVolume._read, itk._decode

    def counting_read(volume, box):
        region = real_read(volume, box)
        read_voxels.append(region.size)
        return region

    def counting_decode(*args):
        decoded.append(args)
        return real_decode(*args)

    monkeypatch.setattr(volume_base.DecodedVolume, "_read", counting_read)
    monkeypatch.setattr(itk, "_decode", counting_decode)
    assert run(tmp_path / "kept", "-vd", tmp_path, "-sd", tmp_path / "out") == 0
    assert len(decoded) <= 1
    assert sum(read_voxels) <= 6 * 5 * 12 * 14 + 1


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_any_order_leave_what_one_run_does(tmp_path, many_rois, capsys, order):
    """The montage is drawn by the last; what a shard says, and its exit code, are about its own volumes."""
    kept, rois = many_rois
    gone = sorted(rois.iterdir())[4]
    options = (kept, "-vd", rois, "--montage", "-p", 1)
    gone.rename(tmp_path / gone.name)
    codes, made, missing = [], 0, 0
    for share in order:
        codes.append(run(*options, "-sd", tmp_path / "shards", "--shard", f"{share}/3"))
        out, err = capsys.readouterr()
        made += int(out.rpartition("subvolumes: ")[2].split()[0])
        missing += err.count("no volume of that name")
        assert not (tmp_path / "shards" / "fly.png").exists() or share == order[-1]
    assert sorted(codes) == [0, 0, 1] and (made, missing) == (21, 1)
    assert run(*options, "-sd", tmp_path / "one") == 1
    assert contents(tmp_path / "one") == contents(tmp_path / "shards")
    (tmp_path / gone.name).rename(gone)
    assert [run(*options, "-sd", tmp_path / "shards", "--shard", f"{share}/3") for share in order] == [0, 0, 0]
    assert run(*options, "-sd", tmp_path / "one") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "shards")
    assert run(*options, "-nz", 3, "--update", "-sd", tmp_path / "shards", "--shard", "1/3") == 0
    assert "no longer asked for removed" in capsys.readouterr().out
    assert len(stacks_in(tmp_path / "shards")) == 24
