"""crop_rois_from_volume: voxels where the names say, folders, records, going on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

import crop_rois_from_volume
from ngff_images import pyramid, write_ome_zarr
from utils.formats.writers import write_nrrd
from utils.names import parse_roi
from utils.sampling.rois import GB
from utils.volumes import volume_name

SCRIPT = Path(crop_rois_from_volume.__file__)


@pytest.fixture
def voxels() -> np.ndarray:
    """Noise without zeros; z below 16 is padding."""
    noise = np.random.default_rng(2).integers(1, 255, (48, 64, 80), dtype=np.uint8)
    noise[:16] = 0
    return noise


def cubes(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in sorted(folder.glob("*-ROI-*"))}


def write(path: Path, array: np.ndarray) -> None:
    """Write with SimpleITK, 4 x 5 x 6 nm (x, y, z)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4, 5, 6))
    sitk.WriteImage(image, str(path), path.suffix == ".gz")


@pytest.mark.parametrize("name", ["vol.v2.nrrd", "vol.v2.mha", "vol.v2.nii.gz", "vol.v2.tif", "vol.v2.zarr"])
def test_cubes_hold_the_voxels_that_their_names_say(tmp_path, voxels, name):
    path = tmp_path / name
    if name.endswith("zarr"):
        write_ome_zarr(path, [voxels], sizes=[(6, 5, 4)])
    elif name.endswith("nrrd"):
        write_nrrd(path, voxels, (6, 5, 4))
    else:
        write(path, voxels)
    assert crop_rois_from_volume.main([str(path), str(tmp_path / "out"), "-cs", "16", "-p", "2"]) == 0
    found = cubes(tmp_path / "out")
    assert len(found) == 2 * 4 * 5
    for file, cube in found.items():
        dataset, (z, y, x) = parse_roi(file.removesuffix(".nrrd"))
        assert dataset == volume_name(path) and z[0] >= 16
        assert cube.dtype == np.uint8 and (cube == voxels[slice(*z), slice(*y), slice(*x)]).all()
    if not name.endswith("tif"):
        assert sitk.ReadImage(str(tmp_path / "out" / file)).GetSpacing() == pytest.approx((4, 5, 6))
    record = json.loads((tmp_path / f"out/{volume_name(path)}.json").read_text())
    assert {box["file"] for box in record["boxes"]} == set(found) and record["seed"] == 0 and record["software"]


def test_second_run_skips_larger_budget_adds_and_runs_are_alike(tmp_path, voxels, capsys):
    write_nrrd(tmp_path / "a.nrrd", voxels.astype(np.uint16) * 50, (6, 5, 4))
    argv = [str(tmp_path / "a.nrrd"), str(tmp_path / "out"), "-cs", "16"]
    assert crop_rois_from_volume.main([*argv, "-gb", "0.00002"]) == 0
    first = cubes(tmp_path / "out")
    assert len(first) == 4
    assert crop_rois_from_volume.main([*argv, "-gb", "0.00002"]) == 0
    assert "1 done before" in capsys.readouterr().out
    os.truncate(tmp_path / "out" / min(first), 400)
    assert crop_rois_from_volume.main([*argv, "-gb", "0.00004"]) == 0
    more = cubes(tmp_path / "out")
    assert len(more) == 9 and set(first) < set(more)
    assert crop_rois_from_volume.main([argv[0], str(tmp_path / "new"), *argv[2:], "-gb", "0.00004", "-p", "2"]) == 0
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "new" / path.name).read_bytes()
    contrast = json.loads((tmp_path / "out/a.json").read_text())["contrast"]
    assert 50 <= contrast["low"] < contrast["high"] <= 254 * 50


def test_folder_crops_the_large_and_leaves_the_others(tmp_path, voxels, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    write_nrrd(folder / "large.nrrd", voxels)
    write_nrrd(folder / "small.nrrd", voxels[:20])
    (folder / "bad.nrrd").write_bytes(b"no")
    (folder / "loop.nrrd").symlink_to(folder / "loop.nrrd")
    (folder / "notes.txt").write_text("x")
    argv = [str(folder), str(tmp_path / "out"), "-cs", "16", "--min-size-gb", "0.0002"]
    assert crop_rois_from_volume.main(argv) == 1
    said = capsys.readouterr()
    assert "1 done" in said.out and "2 failed" in said.out
    assert "small.nrrd" in said.err and "loop.nrrd" in said.err and "bad.nrrd" in said.err and "notes.txt" in said.err
    assert {parse_roi(name.removesuffix(".nrrd"))[0] for name in cubes(tmp_path / "out")} == {"large"}


def test_folder_of_slices_is_a_volume(tmp_path, voxels):
    folder = tmp_path / "stack"
    folder.mkdir()
    for index, plane in enumerate(voxels):
        sitk.WriteImage(sitk.GetImageFromArray(plane), str(folder / f"{index}.png"))
    assert crop_rois_from_volume.main([str(folder), str(tmp_path / "out"), "-cs", "16"]) == 0
    name, cube = next(iter(cubes(tmp_path / "out").items()))
    _, (z, y, x) = parse_roi(name.removesuffix(".nrrd"))
    assert (cube == voxels[slice(*z), slice(*y), slice(*x)]).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-cs", "16", "--padding-value", "255", "--min-frac", "1"], "every voxel is 0 of 255"),
        (["-cs", "16", "-gb", "0.000001"], "less than one cube"),
    ],
)
def test_nothing_to_take_is_said(tmp_path, voxels, capsys, options, sentence):
    write_nrrd(tmp_path / "a.nrrd", voxels)
    code = crop_rois_from_volume.main([str(tmp_path / "a.nrrd"), str(tmp_path / "out"), *options])
    assert code == (1 if sentence else 0)
    assert (sentence or "") in capsys.readouterr().err


def test_all_padding_is_said(tmp_path, capsys):
    write_nrrd(tmp_path / "a.nrrd", np.zeros((32, 32, 32), np.uint8))
    assert crop_rois_from_volume.main([str(tmp_path / "a.nrrd"), str(tmp_path / "out"), "-cs", "16"]) == 1
    assert "mostly the padding value 0" in capsys.readouterr().err


def test_bad_usage(tmp_path, voxels):
    assert crop_rois_from_volume.main([str(tmp_path / "absent.nrrd"), str(tmp_path / "out")]) == 2
    (tmp_path / "empty").mkdir()
    assert crop_rois_from_volume.main([str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    write_nrrd(tmp_path / "a.nrrd", voxels)
    write(tmp_path / "a.mha", voxels)
    assert crop_rois_from_volume.main([str(tmp_path), str(tmp_path / "out"), "--min-size-gb", "0"]) == 1


def test_cubes_of_another_volume_are_not_mixed(tmp_path, voxels, capsys):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        write_nrrd(tmp_path / place / "vol.nrrd", voxels)
    argv = [str(tmp_path / "out"), "-cs", "16", "-gb", "0.00002"]
    assert crop_rois_from_volume.main([str(tmp_path / "a/vol.nrrd"), *argv]) == 0
    assert crop_rois_from_volume.main([str(tmp_path / "b/vol.nrrd"), *argv]) == 1
    assert "another name or folder" in capsys.readouterr().err


def test_prune_removes_cubes_of_volumes_that_are_gone_and_of_no_other_folder(tmp_path, voxels):
    options = ["-cs", "16", "-gb", "0.00001", "--min-size-gb", "0", "--prune"]
    for name in ("one/a.nrrd", "one/b.nrrd", "two/c.nrrd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_nrrd(tmp_path / name, voxels, (6, 5, 4))

    def datasets_after_a_run(folder):
        assert crop_rois_from_volume.main([str(tmp_path / folder), str(tmp_path / "out"), *options]) == 0
        return {file.partition("-ROI-")[0] for file in cubes(tmp_path / "out")}

    assert datasets_after_a_run("one") == {"a", "b"}
    assert datasets_after_a_run("two") == {"a", "b", "c"}
    assert datasets_after_a_run("one/a.nrrd") == {"a", "b", "c"}
    (tmp_path / "one" / "b.nrrd").unlink()
    assert datasets_after_a_run("one") == {"a", "c"}
    (tmp_path / "two" / "c.nrrd").unlink()
    assert datasets_after_a_run("two") == {"a"}
    (tmp_path / "one" / "a.nrrd").unlink()
    tifffile.imwrite(tmp_path / "one" / "a.tif", voxels + 1)  # the volume is another file now
    options.append("--update")
    assert datasets_after_a_run("one") == {"a"}
    assert json.loads((tmp_path / "out" / "a.json").read_text())["source"] == str(tmp_path / "one" / "a.tif")


def test_a_collection_that_moved_as_a_whole_goes_on(tmp_path, voxels, capsys):
    options = ["-cs", "16", "-gb", "0.00001", "--min-size-gb", "0", "--prune"]
    (tmp_path / "was" / "volumes").mkdir(parents=True)
    for k, name in enumerate("ab"):
        write_nrrd(tmp_path / "was" / "volumes" / f"{name}.nrrd", np.roll(voxels, k, 2), (6, 5, 4))

    def after_a_run(place):
        folders = [str(tmp_path / place / name) for name in ("volumes", "cubes")]
        assert crop_rois_from_volume.main([*folders, *options]) == 0, capsys.readouterr().err
        return {path.name: path.read_bytes() for path in (tmp_path / place / "cubes").glob("*.nrrd")}

    before = after_a_run("was")
    (tmp_path / "was").rename(tmp_path / "is")
    assert after_a_run("is") == before
    (tmp_path / "is" / "volumes" / "b.nrrd").unlink()
    assert after_a_run("is") == {name: content for name, content in before.items() if name.startswith("a-")}


def test_a_volume_that_became_a_label_map_loses_its_cubes(tmp_path, voxels, capsys):
    path, out = tmp_path / "vol.nrrd", tmp_path / "out"
    argv = [str(path), str(out), "-cs", "16", "-gb", "0.00002"]
    write_nrrd(path, voxels, (6, 5, 4))
    assert crop_rois_from_volume.main(argv) == 0 and cubes(out)
    path.unlink()
    write_nrrd(path, (voxels > 20).astype(np.uint8), (6, 5, 4))
    capsys.readouterr()
    assert crop_rois_from_volume.main(argv) == 0 and cubes(out)
    assert "outdated: " in (said := capsys.readouterr().err) and "--keep-labels" in said
    assert crop_rois_from_volume.main([*argv, "--update"]) == 0 and not cubes(out)
    assert not (out / "vol.json").exists() and "--keep-labels" in capsys.readouterr().err
    assert crop_rois_from_volume.main([*argv, "--keep-labels"]) == 0 and cubes(out)


def test_cubes_beside_their_volumes_are_not_cropped_again(tmp_path, voxels, capsys):
    write_nrrd(tmp_path / "a.nrrd", voxels, (6, 5, 4))
    for _ in range(2):
        assert crop_rois_from_volume.main([*[str(tmp_path)] * 2, "-cs", "16", "--min-size-gb", "0"]) == 0
        found = cubes(tmp_path)
        assert len(found) == 40 and all(file.count("-ROI-") == 1 for file in found)
    assert "volumes: 0 done, 1 done before, 0 failed" in capsys.readouterr().out


def test_killed_run_goes_on(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", np.random.default_rng(0).integers(1, 255, (64, 96, 96), dtype=np.uint8))
    command = [sys.executable, str(SCRIPT), str(tmp_path / "a.nrrd"), str(tmp_path / "out"), "-cs", "16"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while len(list((tmp_path / "out").glob("*-ROI-*"))) < 5:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert crop_rois_from_volume.main([str(tmp_path / "a.nrrd"), str(tmp_path / "out"), "-cs", "16"]) == 0
    assert crop_rois_from_volume.main([str(tmp_path / "a.nrrd"), str(tmp_path / "whole"), "-cs", "16"]) == 0
    left = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if not path.name.endswith(".lock")}
    assert left == {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}


def test_patchify_names_of_a_local_ngff_folder(tmp_path):
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid())
    assert crop_rois_from_volume.main([str(root), str(tmp_path / "out"), "-cs", "16"]) == 0
    assert all(name.startswith("cell_s0-ROI-") for name in cubes(tmp_path / "out"))


def test_a_volume_of_several_is_chosen_and_scaled_as_asked_for(tmp_path, voxels):
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["other"], file["em"] = voxels // 2, voxels.astype("uint16") * 100
    options = ["-cs", "16", "--dataset", "em", "--contrast", "minmax"]
    assert crop_rois_from_volume.main([str(tmp_path / "both.h5"), str(tmp_path / "out"), *options]) == 0
    contrast = json.loads((tmp_path / "out/both.json").read_text())["contrast"]
    assert (contrast["method"], contrast["low"], contrast["high"]) == ("minmax", 100.0, 25400.0)


@pytest.mark.parametrize("quiet", [True, False])
def test_what_a_table_and_a_threshold_leave_out_is_named(tmp_path, voxels, quiet, capsys):
    (tmp_path / "in").mkdir()
    write_nrrd(tmp_path / "in/large.nrrd", voxels, (6, 5, 4))
    write_nrrd(tmp_path / "in/small.nrrd", voxels[:20], (6, 5, 4))
    (tmp_path / "in/datasets.csv").write_text("name,organism\nlarge,fly\ngone,bee\n")
    exactly = f"{voxels[:20].nbytes / GB:g}"
    options = ["-cs", "16", "--min-size-gb", exactly, *(["--quiet"] if quiet else [])]
    assert crop_rois_from_volume.main([str(tmp_path / "in"), str(tmp_path / "out"), *options]) == 0
    said = capsys.readouterr().err
    assert ("no volume here is called gone" in said) is not quiet
    assert (f"left alone, up to {exactly} GB: {tmp_path}/in/small.nrrd" in said) is not quiet
