"""--min-side, --stretch, --keep-labels, --table and --voxel-size, from the command line to what lies in the results."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

import binvol
import cleanup2d
import crop_rois_from_volume
import patchify2d
import patchify3d
import reconstruct3d
import vid2stack
from conftest import smooth_volume
from kept_patches import save_kept
from utils.dictionaries import load_meta, load_patches
from utils.formats.writers import write_nrrd
from utils.names import parse_name
from utils.volumes import open_volume

NM = (8.0, 8.0, 8.0)


def picture(shape, seed=0):
    """Blobs and noise, uint8."""
    rng = np.random.default_rng(seed)
    return np.clip(128 + gaussian_filter(rng.normal(size=shape), 3) * 500 + rng.normal(0, 9, shape), 0, 255).astype(
        "u1"
    )


def smallest_side(path):
    boxes = [parse_name(name).box for name in load_patches(path)["names"]]
    return min(min(box.y1 - box.y0, box.x1 - box.x0) for box in boxes)


# ---- sides


@pytest.fixture
def thin(tmp_path):
    (tmp_path / "in").mkdir()
    write_nrrd(tmp_path / "in" / "thin.nrrd", smooth_volume((8, 90, 100)), NM)
    write_nrrd(tmp_path / "in" / "crumb.nrrd", smooth_volume((9, 10, 90)), NM)
    write_nrrd(tmp_path / "in" / "whole.nrrd", smooth_volume((70, 64, 90)), NM)
    return tmp_path / "in"


@pytest.mark.parametrize("edges", ["shift", "keep", "drop"])
def test_no_side_is_shorter_than_half_the_crop(thin, tmp_path, capsys, edges):
    assert patchify3d.main([str(thin), str(tmp_path / "out"), "-cs", "64", "--edges", edges]) == 0
    out, err = capsys.readouterr()
    assert "volumes: 2 done, 0 done before, 1 passed over, 0 failed" in out
    assert err.count("thin.nrrd: warning: axes 1 and 2 give no patches: 8 slices, --min-side 32") == 1
    assert err.count("crumb.nrrd: passed over: 9 x 10 x 90 voxels are too small for a patch (--min-side 32)") == 1
    assert "whole.nrrd" not in err
    assert smallest_side(tmp_path / "out" / "thin.pkl") >= 32 and smallest_side(tmp_path / "out" / "whole.pkl") >= 32
    assert not (tmp_path / "out" / "crumb.pkl").exists()
    assert {parse_name(name).axis for name in load_patches(tmp_path / "out" / "whole.pkl")["names"]} == {0, 1, 2}
    assert load_meta(tmp_path / "out" / "whole.pkl")["min_side"] == 32


def test_what_was_passed_over_is_said_again(thin, tmp_path, capsys):
    for _ in range(2):
        assert patchify3d.main([str(thin), str(tmp_path / "out"), "-cs", "64"]) == 0
    assert capsys.readouterr().err.count("crumb.nrrd: passed over") == 2


def test_any_side_where_that_is_wanted(thin, tmp_path, capsys):
    assert patchify3d.main([str(thin), str(tmp_path / "out"), "-cs", "64", "--min-side", "0"]) == 0
    assert "3 done" in capsys.readouterr().out
    assert smallest_side(tmp_path / "out" / "thin.pkl") == 8


def test_a_list_says_what_gives_no_patches(thin, tmp_path, capsys):
    assert patchify3d.main([str(thin), str(tmp_path / "out"), "-cs", "64", "--list"]) == 0
    rows = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["crumb"].endswith("\t0") and "\t0\t" in rows["thin"] and rows["whole"].split("\t")[2] == "0 1 2"


@pytest.mark.parametrize("script", [patchify2d, patchify3d])
def test_a_side_longer_than_the_crop_cannot_be_meant(thin, tmp_path, capsys, script):
    assert script.main([str(thin), str(tmp_path / "out"), "-cs", "64", "--min-side", "65"]) == 2
    assert "--min-side 65 is more than --crop-size 64" in capsys.readouterr().err


@pytest.fixture
def groups(tmp_path):
    for group in ("cells", "small"):
        (tmp_path / "in" / group).mkdir(parents=True)
    Image.fromarray(picture((100, 90))).save(tmp_path / "in" / "cells" / "a.png")
    Image.fromarray(picture((300, 20))).save(tmp_path / "in" / "cells" / "strip.png")
    Image.fromarray(picture((20, 20))).save(tmp_path / "in" / "small" / "b.png")
    return tmp_path / "in"


def test_images_that_are_too_small(groups, tmp_path, capsys):
    assert patchify2d.main([str(groups), str(tmp_path / "out"), "-cs", "64"]) == 0
    out, err = capsys.readouterr()
    assert "groups: 1 done, 0 done before, 1 passed over, 0 failed" in out
    assert "strip.png: passed over: 300 x 20 pixels are too small for a patch (--min-side 32)" in err
    assert "small: passed over: b.png: 20 x 20 pixels are too small for a patch (--min-side 32)" in err
    assert smallest_side(tmp_path / "out" / "cells.pkl") >= 32
    meta = load_meta(tmp_path / "out" / "cells.pkl")
    assert meta["min-side"] == 32 and list(meta["images"]) == ["a.png"]
    assert patchify2d.main([str(groups), str(tmp_path / "all"), "-cs", "64", "--min-side", "0"]) == 0
    assert smallest_side(tmp_path / "all" / "cells.pkl") == smallest_side(tmp_path / "all" / "small.pkl") == 20


def test_dedupe_passes_over_the_same_images(groups, tmp_path, capsys):
    Image.fromarray(np.where(picture((90, 90)) > 128, 255, 0).astype("u1")).save(groups / "cells" / "mask.png")
    assert patchify2d.main([str(groups), str(tmp_path / "out"), "-cs", "64", "--dedupe"]) == 0
    assert capsys.readouterr().err.count("mask.png: passed over") == 1
    assert {name.split("-LOC-")[0] for name in load_patches(tmp_path / "out" / "cells.pkl")["names"]} == {"a"}


# ---- labels


def test_label_volumes_are_passed_over_by_name(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    em = smooth_volume((40, 64, 64))
    write_nrrd(tmp_path / "in" / "em.nrrd", em, NM)
    write_nrrd(tmp_path / "in" / "mask.nrrd", (em > 128).astype("u1"), NM)
    command = [str(tmp_path / "in"), str(tmp_path / "out"), "-cs", "32"]
    assert patchify3d.main(command) == 0
    out, err = capsys.readouterr()
    assert "1 done, 0 done before, 1 passed over" in out
    assert (
        "mask.nrrd: passed over: 2 distinct values: a mask or a label map (--keep-labels takes it all the same)" in err
    )
    assert patchify3d.main([*command, "--keep-labels", "--update"]) == 0
    assert (tmp_path / "out" / "mask.pkl").exists()


def test_nothing_is_cropped_from_labels(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_nrrd(tmp_path / "in" / "mask.nrrd", (smooth_volume((40, 64, 64)) > 128).astype("u1") + 1, NM)
    command = [str(tmp_path / "in"), str(tmp_path / "out"), "-cs", "32", "-gb", "0.001", "--min-size-gb", "0"]
    assert crop_rois_from_volume.main(command) == 0
    out, err = capsys.readouterr()
    assert "1 passed over" in out and "mask.nrrd: passed over: 2 distinct values: a mask or a label map" in err
    assert not list((tmp_path / "out").glob("*.nrrd"))
    assert crop_rois_from_volume.main([*command, "--keep-labels"]) == 0
    assert list((tmp_path / "out").glob("*.nrrd"))


def test_real_label_volume(real_data, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    source = real_data / "3d" / "urocell_mito_instance_fib1-1-0-3.nii.gz"
    (tmp_path / "in" / source.name).symlink_to(source)
    assert patchify3d.main([str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert "passed over: areas of exactly one value each: a label map" in capsys.readouterr().err


@pytest.mark.parametrize("in_place", [False, True])
def test_label_images_are_no_images_to_clean(tmp_path, capsys, in_place):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "em.tif", picture((90, 90)).astype("u2") * 16)
    tifffile.imwrite(tmp_path / "in" / "mask.tif", (picture((90, 90)) > 128).astype("u2"))
    before = (tmp_path / "in" / "mask.tif").read_bytes()
    command = [str(tmp_path / "in"), *([] if in_place else ["-o", str(tmp_path / "out")])]
    assert cleanup2d.main(command) == 0
    out, err = capsys.readouterr()
    assert "images: 1 done, 0 done before, 1 passed over, 0 failed" in out
    assert "mask.tif: passed over: 2 distinct values: a mask or a label map" in err
    assert (tmp_path / "in" / "mask.tif").read_bytes() == before
    assert cleanup2d.main([*command, "--keep-labels", *([] if in_place else ["--update"])]) == 0
    mask = tmp_path / "in" / "mask.tif" if in_place else tmp_path / "out" / "in" / "mask.tif"
    assert set(np.unique(tifffile.imread(mask))) == {0, 255}


# ---- contrast


def narrow(shape, seed=0):
    """uint8 that fills a sixth of the range, with a black frame."""
    gray = (100 + picture(shape, seed) / 6).astype("u1")
    gray[..., :5] = 0
    return gray


def test_volumes_of_bytes_are_stretched_where_that_is_wanted(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_nrrd(tmp_path / "in" / "a.nrrd", narrow((40, 64, 64)), NM)
    for name, option in (("plain", []), ("wide", ["--stretch"])):
        assert patchify3d.main([str(tmp_path / "in"), str(tmp_path / name), "-cs", "32", *option]) == 0
    assert "a.nrrd: warning: the contrast window leaves out fill values 0 (7.81%)" in capsys.readouterr().err
    plain, wide = (np.stack(load_patches(tmp_path / name / "a.pkl")["patches"]) for name in ("plain", "wide"))
    assert plain.max() < 145 and wide.max() == 255 and wide.std() > 2 * plain[plain > 0].std()
    assert load_meta(tmp_path / "plain" / "a.pkl")["contrast"]["method"] == "none"
    recorded = load_meta(tmp_path / "wide" / "a.pkl")["contrast"]
    assert recorded["stretch"] is True and recorded["left_out"][0]["low"] == 0


def test_images_of_bytes_are_stretched_where_that_is_wanted(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(narrow((90, 90))).save(tmp_path / "in" / "a.png")
    Image.fromarray(narrow((90, 90))).save(tmp_path / "in" / "b.tif")
    original = np.asarray(Image.open(tmp_path / "in" / "a.png"))
    with pytest.warns(UserWarning, match="leaves out"):
        from utils.contrast import measure_contrast, to_uint8

        expected = to_uint8(original, measure_contrast(original, stretch=True))
    assert patchify2d.main([str(tmp_path / "in"), str(tmp_path / "cut"), "-cs", "90", "--stretch"]) == 0
    for patch in load_patches(tmp_path / "cut" / "in.pkl")["patches"]:
        assert np.array_equal(patch, expected)
    assert cleanup2d.main([str(tmp_path / "in"), "-o", str(tmp_path / "clean"), "--stretch"]) == 0
    for _ in range(2):  # in place, the second run finds nothing to do
        assert cleanup2d.main([str(tmp_path / "in"), "--stretch"]) == 0
        for folder in (tmp_path / "clean" / "in", tmp_path / "in"):
            assert np.array_equal(np.asarray(Image.open(folder / "a.png")), expected)
            assert np.array_equal(tifffile.imread(folder / "b.tif"), expected)


def test_a_rim_of_fill_costs_no_contrast(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    voxels = picture((40, 64, 64)).astype("u2") * 16
    voxels[:, :, :1] = 65535
    write_nrrd(tmp_path / "in" / "a.nrrd", voxels, NM)
    assert patchify3d.main([str(tmp_path / "in"), str(tmp_path / "out"), "-cs", "32"]) == 0
    assert "leaves out fill values 65535 (1.56%)" in capsys.readouterr().err
    meta = load_meta(tmp_path / "out" / "a.pkl")
    assert meta["contrast"]["high"] < 4096
    assert meta["contrast"]["left_out"] == [{"low": 65535.0, "high": 65535.0, "share": 1 / 64}]


# ---- what is known outside of a file

TABLE = "name,voxel_z,voxel_y,voxel_x,organism,license\nslices,50,4,4,Drosophila,CC0\nb.nrrd,9,9,9,,\nghost,,,,,\n"


@pytest.fixture
def stated(tmp_path):
    folder = tmp_path / "in"
    (folder / "slices").mkdir(parents=True)
    for z, page in enumerate(smooth_volume((40, 64, 64))):
        tifffile.imwrite(folder / "slices" / f"{z}.tif", page)
    write_nrrd(folder / "b.nrrd", smooth_volume((40, 64, 64), 1), NM)
    write_nrrd(folder / "c.nrrd", smooth_volume((40, 64, 64), 2), NM)
    (folder / "datasets.csv").write_text(TABLE)
    return folder


def test_a_table_fills_in_and_wins_and_travels(stated, tmp_path, capsys):
    assert patchify3d.main([str(stated), str(tmp_path / "out"), "-cs", "32"]) == 0
    err = capsys.readouterr().err
    assert "datasets.csv: no volume here is called ghost" in err
    assert "b.nrrd: warning: voxel size: the header says 8 x 8 x 8 nm, datasets.csv:3 9 x 9 x 9 nm" in err
    assert "voxel size missing" not in err and "passed over, no volumes" not in err
    meta = {name: load_meta(tmp_path / "out" / f"{name}.pkl") for name in ("slices", "b", "c")}
    assert [tuple(meta[name]["voxel_size"]) for name in meta] == [(50, 4, 4), (9, 9, 9), (8, 8, 8)]
    assert meta["slices"]["dataset"] == {"organism": "Drosophila", "license": "CC0"}
    assert {parse_name(name).axis for name in load_patches(tmp_path / "out" / "slices.pkl")["names"]} == {0}


def test_a_changed_row_makes_its_dictionary_outdated(stated, tmp_path, capsys):
    assert patchify3d.main([str(stated), str(tmp_path / "out"), "-cs", "32"]) == 0
    (stated / "datasets.csv").write_text(TABLE.replace("CC0", "CC BY 4.0"))
    capsys.readouterr()
    assert patchify3d.main([str(stated), str(tmp_path / "out"), "-cs", "32"]) == 0
    out, err = capsys.readouterr()
    assert "2 done before, 1 outdated" in out and "slices: outdated" in err
    assert patchify3d.main([str(stated), str(tmp_path / "out"), "-cs", "32", "--update"]) == 0
    assert load_meta(tmp_path / "out" / "slices.pkl")["dataset"]["license"] == "CC BY 4.0"


def test_another_table_and_one_size_for_all(stated, tmp_path, capsys):
    (stated / "other.csv").write_text("name;voxel_z;voxel_y;voxel_x\nslices;7,5;7,5;7,5\n")
    command = [str(stated), str(tmp_path / "out"), "-cs", "32", "--table", str(stated / "other.csv")]
    assert patchify3d.main(command) == 0
    assert "passed over" not in capsys.readouterr().err
    assert tuple(load_meta(tmp_path / "out" / "slices.pkl")["voxel_size"]) == (7.5, 7.5, 7.5)
    assert patchify3d.main([str(stated), str(tmp_path / "all"), "-cs", "32", "--voxel-size", "30", "6", "6"]) == 0
    assert {tuple(load_meta(path)["voxel_size"]) for path in (tmp_path / "all").glob("*.pkl")} == {(30, 6, 6)}


@pytest.mark.parametrize("content", ["size\n3\n", "name\nM\u00fc".encode("utf-8")[:-1] + b"\n"])
def test_a_table_that_is_none_is_bad_usage(stated, tmp_path, capsys, content):
    (stated / "datasets.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert patchify3d.main([str(stated), str(tmp_path / "out")]) == 2
    assert "datasets.csv" in capsys.readouterr().err


def test_a_bad_row_costs_its_volume_only(stated, tmp_path, capsys):
    (stated / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x\nb,thick,9,9\n")
    assert patchify3d.main([str(stated), str(tmp_path / "out"), "-cs", "32"]) == 1
    out, err = capsys.readouterr()
    assert "2 done" in out and "1 failed" in out
    assert "b.nrrd: datasets.csv:2: voxel_z is 'thick'; expected a number" in err


def test_binned_volumes_have_the_stated_size(stated, tmp_path, capsys):
    assert binvol.main([str(stated), "-o", str(tmp_path / "out")]) == 0
    assert "passed over, no volumes" not in capsys.readouterr().err
    with open_volume(tmp_path / "out" / "slices_bin2.nrrd") as volume:
        assert volume.voxel_size == (100, 8, 8)


def test_regions_have_the_stated_size(stated, tmp_path, capsys):
    options = ["-cs", "32", "-gb", "0.001", "--min-size-gb", "0"]
    assert crop_rois_from_volume.main([str(stated), str(tmp_path / "out"), *options]) == 0
    assert "passed over" not in capsys.readouterr().err
    regions = sorted((tmp_path / "out").glob("slices-ROI-*.nrrd"))
    assert regions
    with open_volume(regions[0]) as volume:
        assert volume.voxel_size == (50, 4, 4)
    assert json.loads((tmp_path / "out" / "slices.json").read_text())["voxel_size"] == [50, 4, 4]


def test_videos_have_the_stated_size(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    frames = [np.ascontiguousarray(np.repeat(page[..., None], 3, -1)) for page in picture((6, 64, 64))]
    writer = cv2.VideoWriter(str(tmp_path / "in" / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 64))
    for frame in frames:
        writer.write(frame)
    writer.release()
    (tmp_path / "in" / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x\nfilm,20,5,5\nother,,,\n")
    assert vid2stack.main([str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert "no volume here is called other" in capsys.readouterr().err
    with open_volume(tmp_path / "out" / "film_video.nrrd") as volume:
        assert volume.voxel_size == (20, 5, 5)


def test_stacks_have_the_stated_size(stated, tmp_path):
    assert patchify3d.main([str(stated), str(tmp_path / "cut"), "-cs", "32", "--axes", "0"]) == 0
    content = load_patches(tmp_path / "cut" / "slices.pkl")
    name = next(name for name in content["names"] if 0 < parse_name(name).first < 39)
    save_kept(tmp_path / "kept", name, content["patches"][content["names"].index(name)], None)
    where = ["-vd", str(stated), "-sd", str(tmp_path / "stacks"), "-nz", "3", "--accept-differences"]
    assert reconstruct3d.main([str(tmp_path / "kept"), *where, "--voxel-size", "60", "7", "7"]) == 0
    (stack,) = (tmp_path / "stacks").rglob("*.tif")
    with open_volume(stack) as volume:
        assert volume.voxel_size == pytest.approx((60, 7, 7), rel=1e-5)


def test_ngff_folders_by_name(real_data, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "omezarr04.zarr").symlink_to(real_data / "ngff_made" / "omezarr04.zarr")
    for level, size in ((0, (30, 8, 8)), (1, (30, 16, 16))):
        (tmp_path / "in" / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x\nomezarr04.zarr,30,8,8\n")
        command = [str(tmp_path / "in"), str(tmp_path / f"out{level}"), "-cs", "64", "--level", str(level)]
        assert patchify3d.main(command) == 0
        meta = load_meta(tmp_path / f"out{level}" / f"omezarr04_s{level}.pkl")
        assert meta["voxel_size"] == pytest.approx(size, rel=0.02)
    assert "no volume here" not in capsys.readouterr().err
