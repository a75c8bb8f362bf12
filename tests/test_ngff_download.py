"""ngff_download: what is written, what is recorded, what goes wrong, and going on."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import ngff_download
from loopback import serving
from ngff_images import pyramid, write_json, write_n5_array, write_ome_zarr, write_precomputed
from utils.cli import UsageError, options_for
from utils.names import parse_roi
from utils.ngff.access import HOSTS, Access
from utils.ngff.address import Address

SCRIPT = Path(ngff_download.__file__)
SIZES = [(8.0, 8.0, 8.0), (16.0, 16.0, 16.0), (32.0, 32.0, 32.0)]


def levels_of(first: np.ndarray) -> list[np.ndarray]:
    """A pyramid that halves every axis."""
    return [first, first[::2, ::2, ::2], first[::4, ::4, ::4]]


def specimen(dtype: str = "uint8", shape: tuple[int, int, int] = (64, 96, 128)) -> np.ndarray:
    """Noise without zeros, the right quarter of it padding (0)."""
    scale = {"uint8": 1, "uint16": 200}[dtype]
    noise = np.random.default_rng(1).integers(1, 250, shape).astype(dtype) * np.array(scale, dtype)
    noise[:, :, 96:] = 0
    return noise


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A folder with cell.zarr, and its voxels."""
    root = tmp_path_factory.mktemp("remote")
    first = specimen()
    write_ome_zarr(root / "cell.zarr", levels_of(first), sizes=SIZES, compressors=None)
    return root, first


def table(path: Path, *rows: dict) -> Path:
    """Write a CSV of datasets."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def cubes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-ROI-*.nrrd"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def record(folder: Path, name: str = "cell") -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_cubes_hold_the_voxels_that_their_names_say(tmp_path, cell):
    root, first = cell
    with serving(root) as server:
        assert ngff_download.main([f"{server.url}/cell.zarr", str(tmp_path), "-cs", "32", "-gb", "0.0003"]) == 0
    paths = cubes(tmp_path)
    assert len(paths) == 9  # 9 of 18 cubes of 32^3 outside of the padding
    for path in paths:
        name, (z, y, x) = parse_roi(path.stem)
        image = sitk.ReadImage(str(path))
        assert name == "cell_s0" and image.GetPixelID() == sitk.sitkUInt8
        assert image.GetSpacing() == (8.0, 8.0, 8.0)
        assert (sitk.GetArrayFromImage(image) == first[slice(*z), slice(*y), slice(*x)]).all()
        assert x[1] <= 96 and all(side[0] % 16 == 0 for side in (z, y, x))
    said = record(tmp_path)
    assert said["url"].endswith("/cell.zarr") and said["level"] == 0 and said["seed"] == 0
    assert {box["file"] for box in said["boxes"]} == {path.name for path in paths}
    assert said["software"] and said["contrast"]["method"] == "none" and said["voxel_size"] == [8, 8, 8]
    assert list((tmp_path / ".overview").glob("cell_s2*"))


def test_second_run_skips_and_larger_budget_adds(tmp_path, cell, capsys):
    root, _ = cell
    with serving(root) as server:
        command = [f"{server.url}/cell.zarr", str(tmp_path), "-cs", "32"]
        assert ngff_download.main([*command, "-gb", "0.0001"]) == 0
        before = snapshot(tmp_path)
        assert len(cubes(tmp_path)) == 3
        server.log.clear()
        assert ngff_download.main([*command, "-gb", "0.0001"]) == 0
        assert "1 done before" in capsys.readouterr().out
        assert snapshot(tmp_path) == before
        assert not any("/0/0." in path or "/0/1." in path for path in server.log)
        os.truncate(cubes(tmp_path)[1], 20_000)  # as a copy that broke off leaves it
        assert ngff_download.main([*command, "-gb", "0.0001"]) == 0
        assert snapshot(tmp_path) == before
        assert ngff_download.main([*command, "-gb", "0.0002"]) == 0
        after = snapshot(tmp_path)
        assert len(cubes(tmp_path)) == 6
        assert all(after[name] == before[name] for name in before if name.endswith(".nrrd"))
        assert not any("/2/0" in path for path in server.log)  # the overview was fetched once
        assert ngff_download.main([*command, "-gb", "0.0002", "--seed", "5"]) == 0
        assert {path.name for path in cubes(tmp_path)} == {n for n in after if n.endswith(".nrrd")}
        assert ngff_download.main([*command, "-gb", "0.0003", "--seed", "5"]) == 0
    assert len(cubes(tmp_path)) == 9


def test_smaller_budget_leaves_the_cubes_and_their_record(tmp_path, cell):
    root, _ = cell
    command = [str(root / "cell.zarr"), str(tmp_path), "-cs", "32"]
    assert ngff_download.main([*command, "-gb", "0.0002"]) == 0
    before = snapshot(tmp_path)
    assert ngff_download.main([*command, "-gb", "0.0001"]) == 0
    assert {box["file"] for box in record(tmp_path)["boxes"]} == {path.name for path in cubes(tmp_path)}
    assert ngff_download.main([*command, "-gb", "0.0002"]) == 0
    assert snapshot(tmp_path) == before


def test_scales_that_the_shapes_contradict_do_not_move_the_boxes(tmp_path, cell, capsys):
    _, first = cell
    for name, scale in {"same": 8.0, "zero": 0.0}.items():
        sizes = [SIZES[0], (scale,) * 3, (scale,) * 3]
        root = write_ome_zarr(tmp_path / f"{name}.zarr", levels_of(first), sizes=sizes)
        assert ngff_download.main([str(root), str(tmp_path / name), "-cs", "32"]) == 0
        assert {parse_roi(path.stem)[1][2] for path in cubes(tmp_path / name)} == {(0, 32), (32, 64), (64, 96)}
    assert "warning" not in capsys.readouterr().err
    assert ngff_download.main([str(tmp_path / "same.zarr"), str(tmp_path / "s1"), "-cs", "16", "--level", "1"]) == 0
    said = "shape of 16 x 16 x 16 nm (z, y, x), but its metadata say 8 x 8 x 8 nm"
    assert said in capsys.readouterr().err
    rows = [{"download_url": tmp_path / "same.zarr", "volume_name": name, "mip": 1} for name in "ab"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as PYTHONWARNINGS may say
        argv = [str(table(tmp_path / "two.csv", *rows)), str(tmp_path / "two"), "-cs", "16", "--list"]
        assert ngff_download.main([*argv, "--shard", "1/1000000"]) == 0, "lists all"
    assert capsys.readouterr().err.count(said) == 2


def test_deterministic_whatever_the_workers_and_the_seed_counts(tmp_path, cell):
    root, _ = cell
    for name, options in {"a": [], "b": ["--workers", "1"], "c": ["--seed", "3"]}.items():
        argv = [str(root / "cell.zarr"), str(tmp_path / name), "-cs", "32", "-gb", "0.00014", *options]
        assert ngff_download.main(argv) == 0
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert set(snapshot(tmp_path / "a")) != set(snapshot(tmp_path / "c"))


def test_list_fetches_no_voxels(tmp_path, cell, capsys):
    root, _ = cell
    with serving(root) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "new"), "-cs", "32", "-gb", "0.0001", "--list"]
        HOSTS.note_silent(Address.parse(server.url), OSError("in the run before"))
        assert ngff_download.main(argv) == 0
        assert all(path.endswith((".json", ".zarray", ".zattrs", ".zgroup", "info")) for path in server.log)
    said = capsys.readouterr().out
    assert "64 x 96 x 128" in said and "16 x 16 x 16 nm" in said and "uint8" in said and "786 kB" in said
    assert "24 candidate cubes" in said and "would download 3 cubes" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("invert", [False, True])
def test_contrast_is_one_for_the_dataset(tmp_path, invert):
    first = specimen("uint16")
    root = write_ome_zarr(tmp_path / "cell.zarr", levels_of(first), sizes=SIZES, unit="nanometer")
    rows = table(tmp_path / "a.csv", {"download_url": root, "volume_name": "cell", "invert": invert, "crop_size": 32})
    assert ngff_download.main([str(rows), str(tmp_path / "out")]) == 0
    contrast = record(tmp_path / "out")["contrast"]
    assert contrast["method"] == "percentile" and 200 <= contrast["low"] < contrast["high"] <= 249 * 200
    for path in cubes(tmp_path / "out"):
        _, (z, y, x) = parse_roi(path.stem)
        raw = first[slice(*z), slice(*y), slice(*x)].astype(float)
        gray = np.clip((raw - contrast["low"]) / (contrast["high"] - contrast["low"]), 0, 1) * 255
        expected = 255 - gray if invert else gray
        assert np.abs(sitk.GetArrayFromImage(sitk.ReadImage(str(path))) - expected).max() <= 0.51


def test_padding_value_of_a_white_background(tmp_path):
    first = specimen()
    first[first == 0] = 255
    root = write_ome_zarr(tmp_path / "cell.zarr", levels_of(first), sizes=SIZES)
    row = {"download_url": root, "volume_name": "cell", "crop_size": 32, "invert": "TRUE", "padding_value": 255}
    assert ngff_download.main([str(table(tmp_path / "a.csv", row)), str(tmp_path / "out")]) == 0
    assert {parse_roi(path.stem)[1][2] for path in cubes(tmp_path / "out")} == {(0, 32), (32, 64), (64, 96)}


def test_table_of_an_older_list(tmp_path, cell, capsys):
    root, first = cell
    n5 = tmp_path / "em.n5"
    write_n5_array(n5 / "s0", first)
    write_n5_array(n5 / "s1", first[::2, ::2, ::2])
    write_json(n5 / "attributes.json", {"scales": [[1, 1, 1], [2, 2, 2]]})
    common = {"source": "x", "api": "CloudVolume", "mip": 1, "crop": "TRUE", "crop_size": 16, "invert": "FALSE"}
    rows = [
        {"url": "page", "download_url": root / "cell.zarr", "volume_name": "one", "voxel_x": "x", "voxel_z": ""},
        {"download_url": n5, "volume_name": "two", "voxel_x": 4, "voxel_y": 4, "voxel_z": 5},
        {"download_url": n5, "volume_name": "unitless"},
        {"download_url": tmp_path / "gone", "volume_name": "gone"},
        {"download_url": root / "cell.zarr", "volume_name": "../bad"},
        {"download_url": root / "cell.zarr", "volume_name": "contra", "voxel_x": 4, "voxel_y": 8, "voxel_z": 8},
        {"download_url": root / "cell.zarr", "volume_name": "level1", "voxel_x": 16, "voxel_y": 16, "voxel_z": 16},
    ]
    path = table(tmp_path / "a.csv", *[common | row for row in rows])
    assert ngff_download.main([str(path), str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "4 done, 0 done before, 3 failed" in said.out
    assert "voxel size missing" in said.err and "no such folder" in said.err and "'../bad'" in said.err
    assert "contradict each other" in said.err and "of level 1, not of level 0" in said.err
    sizes = {name: record(tmp_path / "out", name)["voxel_size"] for name in ("one", "two", "contra", "level1")}
    assert sizes == {"one": [16] * 3, "two": [10, 8, 8], "contra": [16, 16, 8], "level1": [16] * 3}
    assert {path.name.split("-ROI-")[0] for path in cubes(tmp_path / "out")} == {f"{name}_s1" for name in sizes}


def test_unit_and_level_options(tmp_path, cell):
    root, first = cell
    write_n5_array(tmp_path / "a.n5", first, resolution=[0.008, 0.008, 0.008])
    argv = [str(tmp_path / "a.n5"), str(tmp_path / "out"), "-cs", "32"]
    assert ngff_download.main(argv) == 1
    assert ngff_download.main([*argv, "--unit", "um"]) == 0
    assert record(tmp_path / "out", "a")["voxel_size"] == [8, 8, 8]
    assert ngff_download.main([*argv, "--unit", "parsec"]) == 2
    argv = [str(root / "cell.zarr"), str(tmp_path / "out"), "-cs", "16"]
    assert ngff_download.main([*argv, "--voxel-nm", "15"]) == 0
    assert record(tmp_path / "out")["level"] == 1
    assert ngff_download.main([*argv, "--level", "2"]) == 0
    assert record(tmp_path / "out")["level"] == 2 and record(tmp_path / "out")["earlier"][0]["level"] == 1
    assert ngff_download.main([*argv, "--level", "9"]) == 1


def test_whole_level(tmp_path, cell, capsys):
    root, first = cell
    row = {"download_url": root / "cell.zarr", "volume_name": "cell", "crop": "False", "mip": 1, "invert": "true"}
    argv = [str(table(tmp_path / "a.csv", row)), str(tmp_path / "out")]
    assert ngff_download.main([*argv, "-gb", "0.00001"]) == 1
    assert "9.83e-05 GB as uint8, more than -gb 1e-05" in capsys.readouterr().err
    assert ngff_download.main(argv) == 0
    image = sitk.ReadImage(str(tmp_path / "out/cell_s1.nrrd"))
    assert image.GetSpacing() == (16, 16, 16)
    assert (sitk.GetArrayFromImage(image) == 255 - first[::2, ::2, ::2]).all()
    written = record(tmp_path / "out")
    assert written["boxes"][0]["file"] == "cell_s1.nrrd"
    (tmp_path / "out/cell.json").unlink()  # as a run leaves it that is killed before its last step
    assert ngff_download.main(argv) == 0
    assert record(tmp_path / "out") == written
    assert ngff_download.main(argv) == 0
    assert "1 done before" in capsys.readouterr().out
    whole = (tmp_path / "out/cell_s1.nrrd").read_bytes()
    os.truncate(tmp_path / "out/cell_s1.nrrd", 20_000)
    assert ngff_download.main(argv) == 0
    assert (tmp_path / "out/cell_s1.nrrd").read_bytes() == whole and record(tmp_path / "out") == written


@pytest.mark.parametrize(
    ("fault", "reason"), [("truncate", "cannot be decoded"), (503, "Service Unavailable"), (404, "every voxel is 0")]
)
def test_a_cube_that_fails_is_recorded_and_tried_again(tmp_path, cell, capsys, fault, reason):
    root, _ = cell
    bad = tuple(f"/0/{z}.{y}.{x}" for z in "01" for y in "01" for x in "01")
    argv = [str(tmp_path), "-cs", "32", "--retries", "1", "--timeout", "5", "--workers", "3"]
    with serving(root, lambda path, nth: fault if path.endswith(bad) else None) as server:
        url = f"{server.url}/cell.zarr"
        assert ngff_download.main([url, *argv]) == 1
        assert "x0-32_y0-32_z0-32" in capsys.readouterr().err
        said = record(tmp_path)
        assert len(cubes(tmp_path)) == len(said["boxes"]) == 17
        (failure,) = said["failures"]
        assert reason in failure["reason"] and failure["x"] == [0, 32]
        server.fault = lambda path, nth: None
        assert ngff_download.main([url, *argv]) == 0
    assert len(cubes(tmp_path)) == 18 and record(tmp_path)["failures"] == []


def test_a_stalled_server_ends_the_run_in_time(tmp_path, cell):
    root, _ = cell
    argv = ["-cs", "32", "--timeout", "1", "--retries", "9", "--workers", "2"]
    with serving(root, lambda path, nth: "stall" if "/0/0." in path or "/0/1." in path else None) as server:
        command = [sys.executable, str(SCRIPT), f"{server.url}/cell.zarr", str(tmp_path), *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "no answer for 1 s" in done.stderr and "stopped answering" in done.stderr


def test_killed_run_goes_on(tmp_path, cell):
    root, _ = cell
    whole, part = tmp_path / "whole", tmp_path / "part"
    with serving(root) as server:
        argv = [f"{server.url}/cell.zarr", "-cs", "32", "--workers", "2"]
        assert ngff_download.main([argv[0], str(whole), *argv[1:]]) == 0
        reached = threading.Event()

        def stall_after_some(path: str, nth: int) -> str | None:
            if len(cubes(part)) < 4 or "/0/" not in path:
                return None
            reached.set()
            return "stall"

        server.fault = stall_after_some
        process = subprocess.Popen([sys.executable, str(SCRIPT), argv[0], str(part), *argv[1:]])
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert 4 <= len(cubes(part)) < 18
        server.fault = lambda path, nth: None
        assert ngff_download.main([argv[0], str(part), *argv[1:]]) == 0
    assert snapshot(part) == snapshot(whole)


def test_interrupted_run_ends_at_once_and_says_so(tmp_path, cell):
    root, _ = cell
    reached = threading.Event()

    def stall_at_cubes(path: str, nth: int) -> str | None:
        if "/0/0." not in path and "/0/1." not in path:
            return None
        reached.set()
        return "stall"

    with serving(root, stall_at_cubes) as server:
        command = [sys.executable, str(SCRIPT), f"{server.url}/cell.zarr", str(tmp_path), "-cs", "32"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)  # a stalled server would be waited for a minute
    assert process.returncode == 130 and "interrupted" in said


def test_two_runs_at_once_do_the_work_once(tmp_path, cell):
    root, _ = cell
    with serving(root, latency=0.02) as server:
        command = [sys.executable, str(SCRIPT), f"{server.url}/cell.zarr", str(tmp_path), "-cs", "32"]
        runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = sorted(run.communicate(timeout=60)[0] for run in runs)
        chunks = [path for path in server.log if "/0/0." in path or "/0/1." in path]
    assert [run.returncode for run in runs] == [0, 0] and len(cubes(tmp_path)) == 18
    assert "1 done before" in said[0] and "1 done, 0 done before" in said[1]
    assert len(chunks) == len(set(chunks))


def test_tables_side_by_side(tmp_path, cell, run_script, capsys):
    root, _ = cell
    rows = [{"download_url": root / "cell.zarr", "volume_name": name, "crop_size": 32} for name in "abc"]
    path = table(tmp_path / "a.csv", *rows, {"download_url": root / "none.zarr"})
    done = run_script("scraping/ngff_download.py", path, tmp_path / "out", "-p", "2", "-gb", "0.00004")
    assert done.returncode == 1 and "3 done, 0 done before, 1 failed" in done.stdout
    assert len(cubes(tmp_path / "out")) == 3
    assert ngff_download.main([str(path), str(tmp_path / "out"), "--list", "-gb", "0.00004"]) == 1
    said = capsys.readouterr()
    assert said.out.count("18 candidate cubes of 32 (told from the overview") == 3 and "none.zarr" in said.err
    path = table(tmp_path / "b.csv", *rows, rows[0] | {"volume_name": "A"})
    assert ngff_download.main([str(path), str(tmp_path / "out"), "--list", "-gb", "0.00004"]) == 1
    said = capsys.readouterr()
    assert said.out.count("18 candidate cubes") == 2 and "would share" in said.err


def test_dataset_without_a_coarse_level(tmp_path, cell, capsys, monkeypatch):
    _, first = cell
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 1000)
    write_precomputed(tmp_path / "a.pc", [first], offset=(5, 6, 7))
    with serving(tmp_path) as server:
        argv = [f"{server.url}/a.pc", str(tmp_path / "out"), "-cs", "32"]
        assert ngff_download.main(argv) == 0
        said = capsys.readouterr().err
        assert "no overview" in said and "6 cubes were read for nothing" in said and "every voxel is 0" in said
        assert len(cubes(tmp_path / "out")) == 18 and record(tmp_path / "out", "a")["voxel_offset"] == [7, 6, 5]
        before = snapshot(tmp_path / "out")
        server.log.clear()
        assert ngff_download.main(argv) == 0
        assert not any("-" in path for path in server.log)  # padding is remembered
    assert snapshot(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-cs", "32", "-gb", "0.00001"], "less than one cube"),
        (["-cs", "32", "--min-frac", "1", "--level", "9"], "no level 9"),
    ],
)
def test_nothing_to_take_is_said(tmp_path, cell, capsys, options, sentence):
    assert ngff_download.main([str(cell[0] / "cell.zarr"), str(tmp_path), *options]) == 1
    assert sentence in capsys.readouterr().err


def test_all_padding_is_said(tmp_path, capsys):
    root = write_ome_zarr(tmp_path / "a.zarr", levels_of(np.zeros((64, 64, 64), "u1")), sizes=SIZES)
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 1
    assert "none of 8 boxes is at least 70% specimen" in capsys.readouterr().err


def test_names_that_clash(tmp_path, cell, capsys):
    root, _ = cell
    row = {"download_url": root / "cell.zarr", "volume_name": "cell"}
    assert ngff_download.main([str(table(tmp_path / "a.csv", row, row)), str(tmp_path / "out")]) == 1
    assert ngff_download.main([str(root / "cell.zarr"), str(tmp_path / "out"), "-cs", "32", "-gb", "0.0001"]) == 0
    write_ome_zarr(tmp_path / "cell.zarr", pyramid(), sizes=SIZES)
    assert ngff_download.main([str(tmp_path / "cell.zarr"), str(tmp_path / "out"), "-cs", "16"]) == 1
    assert "another name or folder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "download_url\n"])
def test_tables_that_are_none(tmp_path, capsys, text):
    (tmp_path / "a.csv").write_text(text)
    assert ngff_download.main([str(tmp_path / "a.csv"), str(tmp_path)]) == 2
    assert ngff_download.main([str(tmp_path / "b.csv"), str(tmp_path)]) == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_of_spreadsheets(tmp_path, cell, delimiter):
    rows = [["Download_URL", "volume_name", "crop_size", "mip"], [str(cell[0] / "cell.zarr"), "mine", "16", "2"]]
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows), encoding="utf-8-sig")
    assert ngff_download.main([str(path), str(tmp_path / "out")]) == 0
    assert cubes(tmp_path / "out")[0].name.startswith("mine_s2-ROI-")


def test_the_shipped_table_reads():
    from utils.ngff.dataset import Dataset
    from utils.ngff.table import read_table

    path = SCRIPT.with_name("ngff_datasets.csv")
    rows = read_table(path)
    assert len(rows) >= 4 and all(isinstance(row, Dataset) for row in rows)
    known = "url,source,api,download_url,volume_name,mip,voxel_x,voxel_y,voxel_z,crop,crop_size,invert,padding_value"
    assert path.read_text().splitlines()[0] == known


def test_cubes_of_a_row_that_is_gone(tmp_path, cell, capsys):
    rows = [{"download_url": cell[0] / "cell.zarr", "volume_name": name} for name in ("one", "two")]
    listing = table(tmp_path / "t.csv", *rows)
    argv = [str(listing), str(tmp_path / "out"), "-cs", "32", "-gb", "0.00004", "--patience", "7"]
    assert ngff_download.main(argv) == 0 and len(cubes(tmp_path / "out")) == 2
    table(listing, rows[1], {"volume_name": "three"})  # which may be of `one`
    assert ngff_download.main([*argv, "--prune"]) == 1 and len(cubes(tmp_path / "out")) == 2
    table(listing, rows[1])
    capsys.readouterr()
    assert ngff_download.main(argv) == 0
    assert "datasets without their row (1; --prune removes them): one" in capsys.readouterr().err
    assert ngff_download.main([*argv, "--prune"]) == 0
    assert [path.name.partition("_")[0] for path in cubes(tmp_path / "out")] == ["two"]
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["two.json"]
    moved = shutil.copytree(cell[0] / "cell.zarr", tmp_path / "moved.zarr")
    table(listing, {"download_url": moved, "volume_name": "two"})
    capsys.readouterr()
    assert ngff_download.main(argv) == 0 and f"now {moved}\n" in capsys.readouterr().err
    assert ngff_download.main([*argv, "--update"]) == 0 and len(cubes(tmp_path / "out")) == 1
    assert json.loads((tmp_path / "out" / "two.json").read_text())["source"] == str(moved)


def test_a_dataset_that_cannot_be_listed(tmp_path, capsys):
    assert ngff_download.main([str(tmp_path / "absent.zarr"), str(tmp_path / "out"), "--list"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/absent.zarr: no such folder\n"


def test_options_become_the_ways_to_reach_a_server(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(ngff_download, "download", lambda args: said.append(args) or 0)
    assert ngff_download.main(["a.csv", str(tmp_path / "out")]) == 0
    assert Access(**options_for(said[0], Access)) == Access()
    args = Namespace(unit="um", workers=4, header=["a: b"], credentials=False, requester_pays=True, gb=2.0, retries=1)
    options = ngff_download.sampling_options(args)
    assert (options.unit, options.workers, options.gigabytes, options.min_frac) == ("um", 4, 2.0, 0.7)
    access = options.access
    assert (access.requests, access.headers, access.retries, access.patience) == (32, ("a: b",), 1, 300.0)
    assert access.credentials and access.requester_pays
    with pytest.raises(UsageError, match="--unit parsec: is no unit of length"):
        ngff_download.sampling_options(Namespace(unit="parsec"))
