"""patchify2d.py: one dictionary per group that remembers its images."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import patchify2d
from conftest import ROOT
from utils.contrast import to_uint8
from utils.dhash import hash_patches
from utils.dictionaries import load_meta, load_patches
from utils.names import parse_name
from utils.near_hashes import hamming


@pytest.fixture
def groups(tmp_path, rng):
    """Two groups: gray PNGs, and a 12-bit TIFF that was not cleaned up."""
    base = tmp_path / "in"
    for name in ("cells", "nuclei.v1.2"):
        (base / name).mkdir(parents=True)
    for name, shape in (("s1.raw", (100, 100)), ("s2", (48, 70)), ("small", (20, 33))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(base / "cells" / f"{name}.png")
    tifffile.imwrite(base / "nuclei.v1.2" / "deep.tif", rng.integers(0, 4096, (64, 64)).astype(np.uint16))
    (base / "cells" / ".DS_Store").touch()
    return base


def cut(base, out, *options):
    return patchify2d.main([str(base), str(out), "-cs", "32", *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.pkl"))}


def test_patches_are_the_images_pixels_and_names_say_where(groups, tmp_path):
    assert cut(groups, tmp_path / "out") == 0
    assert sorted(contents(tmp_path / "out")) == ["cells.pkl", "nuclei.v1.2.pkl"]
    cells = load_patches(tmp_path / "out" / "cells.pkl")
    assert {parse_name(name).source for name in cells["names"]} == {"s1.raw", "s2", "small"}
    for name, patch in zip(cells["names"], cells["patches"], strict=True):
        where = parse_name(name)
        image = np.asarray(Image.open(groups / "cells" / f"{where.source}.png"))
        assert np.array_equal(patch, image[where.box.y0 : where.box.y1, where.box.x0 : where.box.x1])
    assert "small-LOC-2d-0-20_0-32" in cells["names"]
    assert "s2-LOC-2d-16-48_0-32" in cells["names"]
    assert len(cells["names"]) == 9 + 2 * 2 + 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["folder\\s9", "C:s9", "s" * 215])
def test_an_image_whose_patches_could_not_become_files_costs_itself_only(groups, tmp_path, name, capsys):
    """As `classify_patches.py` refuses a dictionary of such names as a whole."""
    shutil.copyfile(groups / "cells" / "s2.png", groups / "cells" / f"{name}.png")
    assert cut(groups, tmp_path / "out") == 1
    assert f"cells/{name}.png: the name" in capsys.readouterr().err
    names = load_patches(tmp_path / "out" / "cells.pkl")["names"]
    assert {parse_name(name).source for name in names} == {"s1.raw", "s2", "small"}


def test_a_group_whose_record_can_have_no_name_stops_no_other(groups, tmp_path, capsys):
    for now, was, said in ((249, "cells", "File name too long"), (230, "c" * 249, ": the name 'ccc")):
        (groups / was).rename(groups / ("c" * now))
        assert cut(groups, tmp_path / "out") == 1
        assert said in capsys.readouterr().err
        assert sorted(contents(tmp_path / "out")) == ["nuclei.v1.2.pkl"]


def test_images_not_cleaned_up_are_converted_alike(groups, tmp_path):
    assert cut(groups, tmp_path / "out") == 0
    deep = load_patches(tmp_path / "out" / "nuclei.v1.2.pkl")
    expected = to_uint8(tifffile.imread(groups / "nuclei.v1.2" / "deep.tif"))
    assert np.array_equal(np.block([deep["patches"][:2], deep["patches"][2:]]).reshape(64, 64), expected)


@pytest.mark.parametrize("edges", ["keep", "drop"])
def test_edges(groups, tmp_path, edges):
    assert cut(groups, tmp_path / "out", "--edges", edges) == 0
    names = load_patches(tmp_path / "out" / "cells.pkl")["names"]
    assert ("s2-LOC-2d-32-48_0-32" in names) == (edges == "keep")


def test_any_number_of_processes_gives_the_same_bytes(groups, tmp_path):
    for processes in "12":
        assert cut(groups, tmp_path / processes, "-p", processes) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_second_run_skips_and_changes_are_said(groups, tmp_path, capsys):
    out = tmp_path / "out"
    assert cut(groups, out) == cut(groups, out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "groups: 0 done, 2 done before, 0 failed"
    before = contents(out)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(groups / "cells" / "added.png")
    (groups / "cells" / "small.png").unlink()
    tifffile.imwrite(groups / "nuclei.v1.2" / "deep.tif", np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    assert cut(groups, out) == 0
    err = capsys.readouterr().err
    assert "cells: outdated: 1 added (added.png), 1 gone (small.png)\n" in err
    assert "nuclei.v1.2: outdated: deep.tif has changed\n" in err
    assert contents(out) == before
    assert cut(groups, out, "--update") == 0
    assert "added-LOC-2d-0-32_0-32" in load_patches(out / "cells.pkl")["names"]
    assert cut(groups, out) == 0
    assert capsys.readouterr().err == ""


def test_a_touched_image_has_not_changed(groups, tmp_path, capsys):
    assert cut(groups, tmp_path / "out") == 0
    os.utime(groups / "cells" / "s2.png")
    assert cut(groups, tmp_path / "out") == 0
    assert "changed" not in capsys.readouterr().err


def test_other_options_are_said(groups, tmp_path, capsys):
    assert cut(groups, tmp_path / "out") == 0
    assert patchify2d.main([str(groups), str(tmp_path / "out"), "-cs", "16"]) == 0
    assert "outdated: made with --crop-size 32, now 16\n" in capsys.readouterr().err


def test_one_unreadable_image(groups, tmp_path, capsys):
    out, bad = tmp_path / "out", groups / "cells" / "bad.tif"
    bad.write_bytes(b"II*\0")
    assert cut(groups, out) == 1
    assert capsys.readouterr().err.count(f"{bad}: ") == 1
    assert len(load_patches(out / "cells.pkl")["names"]) == 14
    meta = load_meta(out / "cells.pkl")
    assert "bad.tif" not in meta["images"] and meta["unreadable"] == ["bad.tif"]
    before = contents(out)
    assert cut(groups, out) == 1
    assert "bad.tif" in capsys.readouterr().err
    assert contents(out) == before
    tifffile.imwrite(bad, np.zeros((32, 32), np.uint8))
    assert cut(groups, out) == 0
    assert "bad-LOC-2d-0-32_0-32" in load_patches(out / "cells.pkl")["names"]


def test_an_image_without_permission_costs_its_group_nothing_else(groups, tmp_path, capsys, monkeypatch):
    locked, out, opened = groups / "cells" / "s2.png", tmp_path / "out", Path.open

    def refuse(path, *args, **options):
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        for _ in range(2):
            assert cut(groups, out) == 1
            assert f"{locked}: Permission denied" in capsys.readouterr().err
        assert len(load_patches(out / "cells.pkl")["names"]) == 10
    os.utime(locked)
    assert cut(groups, out) == 0
    assert len(load_patches(out / "cells.pkl")["names"]) == 14


def test_a_group_without_permission_stops_no_other_and_loses_nothing(groups, tmp_path, lock_folder, capsys):
    assert cut(groups, tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    (groups / "nuclei.v1.2" / "deep.tif").unlink()
    lock_folder(groups / "cells")
    for _ in range(2):
        assert cut(groups, tmp_path / "out", "--update", "--prune") == 1
        assert f"{groups / 'cells'}: Permission denied" in capsys.readouterr().err
        assert contents(tmp_path / "out") == before
    (groups / "nuclei.v1.2" / "later.png").write_bytes((groups / "cells" / "s2.png").read_bytes())
    assert cut(groups, tmp_path / "out", "--update", "--prune") == 1
    assert (
        contents(tmp_path / "out")["cells.pkl"] == before["cells.pkl"] != contents(tmp_path / "out")["nuclei.v1.2.pkl"]
    )


def test_an_unreadable_image_that_went_is_not_missed(groups, tmp_path, capsys):
    bad = groups / "cells" / "bad.tif"
    bad.write_bytes(b"II*\0")
    assert cut(groups, tmp_path / "out") == 1
    bad.unlink()
    capsys.readouterr()
    assert cut(groups, tmp_path / "out") == 0
    assert capsys.readouterr().err == ""


def test_a_group_without_a_readable_image_fails(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(b"bad")
    assert cut(tmp_path / "in", tmp_path / "out") == 1
    assert not contents(tmp_path / "out")
    assert "bad.png: " in capsys.readouterr().err


def test_images_that_would_share_names_fail_and_the_others_are_done(groups, tmp_path, capsys):
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(groups / "cells" / "S2.bmp")
    for _ in range(2):
        assert cut(groups, tmp_path / "out") == 1
        err = capsys.readouterr().err
        assert "S2.bmp: would give its patches the names of those of" in err
        assert "s2.png: would give its patches the names of those of" in err
        names = load_patches(tmp_path / "out" / "cells.pkl")["names"]
        assert {parse_name(name).source for name in names} == {"s1.raw", "small"}
    (groups / "cells" / "S2.bmp").unlink()
    assert cut(groups, tmp_path / "out") == 0
    assert len(load_patches(tmp_path / "out" / "cells.pkl")["names"]) == 14


def test_dedupe_keeps_one_of_each(tmp_path, rng):
    base = tmp_path / "in"
    base.mkdir()
    pixels = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    for i in range(3):
        Image.fromarray(pixels).save(base / f"{i}.png")
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(base / "flat.png")
    assert cut(base, tmp_path / "all") == cut(base, tmp_path / "one", "--dedupe") == 0
    assert len(load_patches(tmp_path / "all" / "in.pkl")["names"]) == 16
    kept = load_patches(tmp_path / "one" / "in.pkl")
    assert len(kept["names"]) <= 5 and kept["meta"]["patches"] == 16
    assert sum("flat" in name for name in kept["names"]) <= 1
    hashes = hash_patches(np.stack(kept["patches"]))
    apart = hamming(hashes[:, np.newaxis], hashes)
    assert (apart[~np.eye(len(apart), dtype=bool)] > 12).all()


def test_a_group_is_cut_whole_or_not_at_all(tmp_path, rng):
    base, out = tmp_path / "in", tmp_path / "out"
    for group in "abcdef":
        (base / group).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (600, 600), dtype=np.uint8)).save(base / group / "image.png")
    command = [sys.executable, str(ROOT / "patchify2d.py"), str(base), str(out), "-cs", "32"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while run.poll() is None and not list(out.glob("*.pkl")):
        os.sched_yield()
    run.send_signal(signal.SIGKILL)
    run.wait()
    for path in out.glob("[!.]*.pkl"):
        assert len(load_patches(path)["names"]) == 19 * 19
    assert cut(base, out) == cut(base, tmp_path / "fresh") == 0
    assert contents(out) == contents(tmp_path / "fresh")


def test_dictionaries_of_older_scripts_are_left_alone(groups, tmp_path):
    import pickle

    out = tmp_path / "out"
    out.mkdir()
    old = pickle.dumps({"names": ["cells_1"], "patches": [np.zeros((32, 32), np.uint8)]})
    (out / "cells.pkl").write_bytes(old)
    assert cut(groups, out, "--update") == 0
    assert (out / "cells.pkl").read_bytes() == old


def test_a_group_of_masks_is_passed_over_and_one_mask_beside_images_is_said(groups, tmp_path, capsys):
    mask = Image.fromarray(np.kron([[0, 255], [255, 0]], np.ones((70, 70))).astype(np.uint8))
    (groups / "masks").mkdir()
    for place in ("masks/m.png", "cells/m.png"):
        mask.save(groups / place)
    assert cut(groups, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "masks: passed over: m.png: 2 distinct values" in said.err and "1 passed over" in said.out
    assert "cells: warning: m.png: passed over: 2 distinct values" in said.err
    assert not (tmp_path / "out/masks.pkl").exists()


def test_what_a_recipe_says_of_near_duplicates():
    parser = {"crop": 32, "min_side": 16, "edges": "shift", "contrast_method": "minmax", "stretch": False}
    plain = patchify2d.GroupCutting(**parser, keep_labels=False, dedupe=None).options()
    said = patchify2d.GroupCutting(**parser, keep_labels=False, dedupe={"hash_size": 8}).options()
    assert plain["dedupe"] is False and said == {**plain, "dedupe": True, "hash-size": 8}
