"""Sampling is never silently wrong: cubes are specimen, what is refused or broken is said, names are coordinates."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import crop_rois_from_volume
import ngff_download
import patchify3d
from loopback import serving
from ngff_images import pyramid, write_n5_array, write_ome_zarr, write_precomputed
from utils.formats.writers import write_nrrd
from utils.names import parse_roi
from utils.ngff.multiscale import open_multiscale, open_volume_level
from utils.sources import volume_sources

CUBES = [(8.0, 8.0, 8.0), (16.0, 16.0, 16.0), (32.0, 32.0, 32.0)]


def noise(shape: tuple[int, int, int], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Specimen: no voxel is 0."""
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def halves(first: np.ndarray) -> list[np.ndarray]:
    return [first, first[::2, ::2, ::2], first[::4, ::4, ::4]]


def cubes(folder: Path) -> dict[str, np.ndarray]:
    return {p.stem: sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in sorted(folder.glob("*-ROI-*.nrrd"))}


def record(folder: Path, name: str = "cell") -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def visible(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def table(path: Path, **row: object) -> str:
    path.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    return str(path)


@pytest.fixture
def no_overview(monkeypatch):
    """No level is small enough to be an overview."""
    monkeypatch.setattr("utils.sampling.overview.LARGEST", 1000)


@pytest.mark.parametrize("seed", range(8))
def test_no_black_cubes_where_specimen_is_rare(tmp_path, no_overview, seed):
    first = np.zeros((100, 64, 64), "uint16")
    first[64:96] = noise((32, 64, 64), "uint16", seed) * 100
    root = write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES)
    argv = [str(root), str(tmp_path / "out"), "-cs", "32", "-gb", "0.0001", "--seed", str(seed)]
    assert ngff_download.main(argv) == 0
    made = cubes(tmp_path / "out")
    assert len(made) == 3
    assert all(cube.std() > 20 for cube in made.values())
    window = record(tmp_path / "out")["contrast"]
    assert 100 <= window["low"] < window["high"]


def test_a_window_of_one_value_is_not_kept(tmp_path, no_overview, capsys):
    first = noise((32, 32, 64), "uint16") * 100
    root = write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES)
    argv = [str(root), str(tmp_path / "out"), "-cs", "32"]
    assert ngff_download.main(argv) == 0
    said = record(tmp_path / "out")
    (tmp_path / "out/cell.json").write_text(json.dumps({**said, "contrast": {**said["contrast"], "low": 0, "high": 0}}))
    assert ngff_download.main(argv) == 0
    said = capsys.readouterr()
    assert "made with a contrast window of one value" in said.err
    assert "1 outdated" in said.out


def test_nothing_but_padding_ends_in_a_sentence(tmp_path, no_overview, capsys):
    root = write_ome_zarr(tmp_path / "cell.zarr", [np.zeros((64, 64, 64), "uint16")], sizes=CUBES)
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 1
    assert "no specimen" in capsys.readouterr().err
    assert not (tmp_path / "out/cell.json").exists()


def test_a_cube_of_one_value_is_a_failure(tmp_path, capsys):
    first = noise((32, 32, 96))
    first[:, :, 32:64] = 77
    write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES)
    assert ngff_download.main([str(tmp_path / "cell.zarr"), str(tmp_path / "out"), "-cs", "32"]) == 1
    assert "every voxel is 77 of 255" in capsys.readouterr().err
    assert len(cubes(tmp_path / "out")) == 2


def test_hot_pixels_set_no_window(tmp_path):
    first = noise((64, 64, 64), "uint16")
    first.reshape(-1)[::397] = 60000  # alone among their neighbours
    root = write_ome_zarr(tmp_path / "cell.zarr", [first, first[::2, ::2, ::2]], sizes=CUBES)
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32", "-gb", "0.0001"]) == 0
    assert record(tmp_path / "out")["contrast"]["high"] < 300


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_refused_chunks_fail_the_cube_and_are_tried_again(tmp_path, capsys, scheme):
    root = tmp_path / "served"
    write_ome_zarr(root / "bucket/cell.zarr", halves(noise((32, 64, 64))), sizes=CUBES, compressors=None)
    fault = {"bucket": ("/0/0.0.1", "/0/1.3.3")}
    with serving(root, lambda path, nth: 403 if path.endswith(fault["bucket"]) else None) as server:
        url = f"{server.url}/bucket/cell.zarr" if scheme == "http" else "s3://bucket/cell.zarr"
        argv = [url, str(tmp_path / "out"), "-cs", "32", "--endpoint", server.url]
        assert ngff_download.main(argv) == 1
        assert "4096 of 32768 voxels were refused" in capsys.readouterr().err
        said = record(tmp_path / "out")
        assert len(cubes(tmp_path / "out")) == 2
        assert said["refused_voxels"] == 2 * 4096
        assert {failure["refused_voxels"] for failure in said["failures"]} == {4096}
        fault["bucket"] = ()
        assert ngff_download.main(argv) == 0
    assert len(cubes(tmp_path / "out")) == 4
    assert record(tmp_path / "out")["refused_voxels"] == 0


def hiding(root: Path):
    """Answers 403 for whatever is absent, as S3 does without permission to list."""
    return lambda path, nth: None if (root / path.lstrip("/")).is_file() else 403


def test_refused_chunks_contradict_an_overview_that_shows_specimen(tmp_path, capsys):
    write_ome_zarr(tmp_path / "cell.zarr", halves(noise((32, 64, 64))), sizes=CUBES, compressors=None)
    hidden = hiding(tmp_path)
    with serving(tmp_path, lambda path, nth: 403 if path.endswith("/0/0.0.1") else hidden(path, nth)) as server:
        assert ngff_download.main([f"{server.url}/cell.zarr", str(tmp_path / "out"), "-cs", "32"]) == 1
    assert "4096 voxels were refused (403): 100% of it is specimen" in capsys.readouterr().err
    assert record(tmp_path / "out")["refused_voxels"] == 4096


@pytest.mark.parametrize("local", [False, True])
def test_thin_volumes_are_cut_as_they_are(tmp_path, local):
    first = noise((10, 90, 100))
    if local:
        write_nrrd(tmp_path / "cell.nrrd", first)
        assert crop_rois_from_volume.main([str(tmp_path / "cell.nrrd"), str(tmp_path / "out"), "-cs", "32"]) == 0
    else:
        write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES)
        assert ngff_download.main([str(tmp_path / "cell.zarr"), str(tmp_path / "out"), "-cs", "32"]) == 0
    made = cubes(tmp_path / "out")
    covered = np.zeros(first.shape, int)
    for name, cube in made.items():
        _, (z, y, x) = parse_roi(name)
        assert (cube == first[slice(*z), slice(*y), slice(*x)]).all()
        assert z == (0, 10)
        covered[slice(*z), slice(*y), slice(*x)] += 1
    assert covered.max() == 1
    assert len(made) >= 6


def test_names_are_the_datasets_coordinates(tmp_path):
    first = noise((32, 32, 64))
    root = write_precomputed(tmp_path / "cell.pc", [first], offset=(1000, 200, 30))
    argv = [str(root), str(tmp_path / "out"), "-cs", "32"]
    assert ngff_download.main(argv) == 0
    for name, cube in cubes(tmp_path / "out").items():
        _, (z, y, x) = parse_roi(name)
        assert (z, y) == ((30, 62), (200, 232))
        assert (cube == first[:, :, x[0] - 1000 : x[1] - 1000]).all()
    said = record(tmp_path / "out")
    assert said["coordinates"] == "dataset"
    assert said["voxel_offset"] == [30, 200, 1000]
    assert said["boxes"][0]["z"] == [30, 62]


def test_regions_named_the_older_way_are_found_and_kept(tmp_path, capsys):
    first = noise((32, 32, 64))
    root = write_precomputed(tmp_path / "cell.pc", [first], offset=(1000, 200, 30))
    argv = [str(root), str(tmp_path / "out"), "-cs", "32", "-gb", "0.00004"]
    assert ngff_download.main(argv) == 0
    (file,) = (tmp_path / "out").glob("*-ROI-*")
    _, (_, _, x) = parse_roi(file.stem)
    older = {"z": [0, 32], "y": [0, 32], "x": [x[0] - 1000, x[1] - 1000]}
    name = f"cell_s0-ROI-x{older['x'][0]}-{older['x'][1]}_y0-32_z0-32.nrrd"
    file.rename(file.with_name(name))
    said = record(tmp_path / "out")
    for key in (
        "coordinates",
        "version",
        "padding",
        "pending",
        "stratify",
        "mask",
        "contrast_method",
        "refused_voxels",
    ):
        del said[key]
    (tmp_path / "out/cell.json").write_text(json.dumps({**said, "boxes": [{"file": name, **older}]}))
    assert ngff_download.main(argv) == 0
    assert "1 done before" in capsys.readouterr().out
    assert [box["file"] for box in record(tmp_path / "out")["boxes"]] == [name]
    assert ngff_download.main([*argv[:-1], "1"]) == 0
    made = cubes(tmp_path / "out")
    assert len(made) == 2
    assert not (made[name.removesuffix(".nrrd")] == next(v for k, v in made.items() if k + ".nrrd" != name)).all()


@pytest.mark.parametrize("fault", [500, "truncate", "html", 403])
def test_a_broken_overview_gives_way_to_another_level(tmp_path, capsys, fault):
    first = noise((64, 64, 64), "uint16")
    write_ome_zarr(tmp_path / "cell.zarr", halves(first), sizes=CUBES)
    with serving(tmp_path, lambda path, nth: fault if "/2/0." in path else None) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "out"), "-cs", "32", "-gb", "0.0001", "--retries", "1"]
        assert ngff_download.main(argv) == 0
    assert "level 2 cannot be the overview" in capsys.readouterr().err
    assert len(cubes(tmp_path / "out")) == 3
    assert record(tmp_path / "out")["overview_level"] == 1


def test_an_empty_overview_gives_way_to_sampling(tmp_path, capsys, monkeypatch):
    first = noise((64, 64, 64), "uint16")
    levels = halves(first)
    monkeypatch.setattr("utils.sampling.overview.LARGEST", levels[2].nbytes)
    root = write_ome_zarr(tmp_path / "cell.zarr", [first, levels[1], np.zeros_like(levels[2])], sizes=CUBES)
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 0
    assert "level 0 has no overview (level 2 is empty)" in capsys.readouterr().err
    assert len(cubes(tmp_path / "out")) == 8


@pytest.mark.parametrize("kind", ["zarr", "n5", "pc"])
@pytest.mark.filterwarnings("ignore:level")
def test_broken_coarse_metadata_block_no_good_level(tmp_path, kind, capsys):
    root, first = tmp_path / f"cell.{kind}", noise((32, 32, 32))
    levels = [first, first[::2, ::2, ::2]]
    if kind == "zarr":
        write_ome_zarr(root, levels, sizes=CUBES)
        (root / "1/.zarray").unlink()
    elif kind == "n5":
        for i, level in enumerate(levels):
            write_n5_array(root / f"s{i}", level, pixelResolution={"dimensions": [8 << i] * 3, "unit": "nm"})
        spoiled = json.loads((root / "s1/attributes.json").read_text()) | {"compression": {"type": "zip"}}
        (root / "s1/attributes.json").write_text(json.dumps(spoiled))
    else:
        write_precomputed(root, levels)
        info = json.loads((root / "info").read_text())
        del info["scales"][1]["size"]
        (root / "info").write_text(json.dumps(info))
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 0
    assert "is left out" in capsys.readouterr().err
    with pytest.raises(ValueError, match="level 1 cannot be read"):
        open_multiscale(root).open_level(1)
    assert ngff_download.main([str(root), str(tmp_path / "out"), "--list", "-cs", "32"]) == 0
    assert "cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(("api", "size"), [("CloudVolume", [30, 8, 6]), ("", [40, 40, 40])])
def test_metadata_of_cloudvolume_rows_count_more(tmp_path, capsys, api, size):
    root = write_precomputed(tmp_path / "cell.pc", [noise((32, 32, 32))])
    row = {"download_url": root, "volume_name": "cell", "api": api, "crop_size": 32}
    path = table(tmp_path / "a.csv", **row, voxel_x=40, voxel_y=40, voxel_z=40)
    assert ngff_download.main([path, str(tmp_path / "out")]) == 0
    assert record(tmp_path / "out")["voxel_size"] == size
    said = capsys.readouterr().err
    assert "contradict" in said
    assert ("the metadata's is used" if api else "the table's is used") in said


def test_list_promises_the_chunks_that_travel(tmp_path, capsys):
    first = noise((32, 64, 64))
    write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES, chunk=64, compressors=None)
    with serving(tmp_path) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "out"), "-cs", "16", "-gb", "0.00002"]
        assert ngff_download.main([*argv, "--list"]) == 0
        assert "131 kB in 1 chunks (before compression)" in capsys.readouterr().out


@pytest.mark.parametrize("shared", [True, False])
def test_cubes_that_share_chunks_share_their_download(tmp_path, no_overview, shared):
    write_ome_zarr(
        tmp_path / "cell.zarr", [noise((64, 64, 64))], sizes=CUBES, chunk=64 if shared else 16, compressors=None
    )
    with serving(tmp_path) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "out"), "-cs", "16", "--workers", "2"]
        assert ngff_download.main(argv) == 0
        chunks = [path for path in server.log if path.count(".") == 3 and "/0/" in path]
    assert len(cubes(tmp_path / "out")) == 64
    assert len(chunks) == len(set(chunks)) == (1 if shared else 64)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-cs", "16"], "made with crop_size 32, now 16"),
        (["-cs", "32", "--contrast", "minmax"], "made with contrast_method percentile, now minmax"),
        (["-cs", "32", "--min-frac", "0.2"], "made with min_frac 0.7, now 0.2"),
    ],
)
def test_changed_options_make_cubes_outdated_not_mixed(tmp_path, capsys, options, reason):
    root = write_ome_zarr(tmp_path / "cell.zarr", [noise((32, 64, 64), "uint16")], sizes=CUBES)
    argv = [str(root), str(tmp_path / "out"), "-gb", "0.00004"]
    assert ngff_download.main([*argv, "-cs", "32"]) == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()}
    assert ngff_download.main([*argv, *options]) == 0
    said = capsys.readouterr()
    assert reason in said.err
    assert "1 outdated" in said.out
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()}
    assert ngff_download.main([*argv, *options, "--update"]) == 0
    assert ngff_download.main([argv[0], str(tmp_path / "new"), *argv[2:], *options]) == 0
    assert visible(tmp_path / "out") == visible(tmp_path / "new")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_one_reading_of_a_row_inverts_for_every_script(tmp_path, dtype):
    first = noise((16, 16, 16), dtype)
    root = write_ome_zarr(tmp_path / "cell.zarr", [first], sizes=CUBES)
    path = table(tmp_path / "a.csv", download_url=root, volume_name="mine", invert="TRUE")
    (source,), _ = volume_sources(path)
    with source.open() as volume:
        assert volume.name == "mine_s0"
        assert volume.dtype == first.dtype
        there = volume[:].astype(float)
    assert (there + first).std() < 1e-6
    assert there.argmax() == first.argmin()


def test_a_row_that_cannot_be_used_costs_itself(tmp_path, capsys):
    root = write_ome_zarr(tmp_path / "cell.zarr", [noise((32, 32, 32))], sizes=CUBES)
    path = tmp_path / "a.csv"
    path.write_text(f"download_url,mip,crop_size\n{root},x,32\n{root},-1,32\n,,\n")
    sources, _ = volume_sources(str(path))
    assert [source.problem[:9] for source in sources] == ["", "mip is -1"]
    assert ngff_download.main([str(path), str(tmp_path / "out")]) == 1
    assert "a.csv:3 (cell): mip is -1" in capsys.readouterr().err


def test_secrets_of_addresses_are_written_nowhere(tmp_path, capsys):
    root = write_precomputed(tmp_path / "served/cell.pc", [noise((32, 32, 32))])
    with serving(root.parent) as server:
        url = server.url.replace("://", "://me:pw@") + "/cell.pc"
        ngff_download.main([url, str(tmp_path / "out"), "-cs", "32"])
        ngff_download.main([url + "x", str(tmp_path / "out"), "-cs", "32"])
        assert patchify3d.main([url, str(tmp_path / "out/patches"), "-cs", "32", "-p", "1"]) == 0
    said = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "me:pw" not in said.out + said.err and b"me:pw" not in written


def test_relative_addresses_with_dots(tmp_path, monkeypatch):
    write_ome_zarr(tmp_path / "cell.zarr", pyramid())
    (tmp_path / "in/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in/deep")
    for url in ("../../cell.zarr", "zarr://../../cell.zarr"):
        assert (open_volume_level(url)[:] == pyramid()[0]).all()


@pytest.mark.parametrize("options", [["--seed", "3"], ["--level", "1"], ["-gb", "0.00007"]])
def test_update_leaves_what_a_fresh_run_would(tmp_path, options):
    root = write_ome_zarr(tmp_path / "cell.zarr", halves(noise((64, 64, 64), "uint16")), sizes=CUBES)
    argv = [str(root), str(tmp_path / "out"), "-gb", "0.00004", "-cs", "32"]
    assert ngff_download.main(argv) == 0
    assert ngff_download.main([*argv, *options]) == 0
    assert ngff_download.main([*argv, *options, "--update"]) == 0
    assert ngff_download.main([argv[0], str(tmp_path / "new"), *argv[2:], *options]) == 0
    assert visible(tmp_path / "out") == visible(tmp_path / "new")


def test_a_changed_volume_makes_its_cubes_outdated(tmp_path, capsys):
    write_nrrd(tmp_path / "cell.nrrd", noise((32, 64, 64)))
    argv = [str(tmp_path / "cell.nrrd"), str(tmp_path / "out"), "-cs", "32"]
    assert crop_rois_from_volume.main(argv) == 0
    before = visible(tmp_path / "out")
    (tmp_path / "cell.nrrd").touch()
    assert crop_rois_from_volume.main(argv) == 0
    assert "1 done before" in capsys.readouterr().out
    assert visible(tmp_path / "out") == before
    write_nrrd(tmp_path / "cell.nrrd", noise((32, 64, 64), seed=5))
    assert crop_rois_from_volume.main(argv) == 0
    said = capsys.readouterr()
    assert "its input has changed" in said.err
    assert "1 outdated" in said.out
    assert visible(tmp_path / "out") == before
    assert crop_rois_from_volume.main([*argv, "--update"]) == 0
    assert visible(tmp_path / "out").keys() == before.keys()
    assert visible(tmp_path / "out") != before
    assert crop_rois_from_volume.main(argv) == 0
    assert "1 done before" in capsys.readouterr().out


def test_an_update_that_fails_leaves_the_old_cubes(tmp_path):
    write_ome_zarr(tmp_path / "cell.zarr", halves(noise((32, 64, 64))), sizes=CUBES)
    faults = []
    with serving(tmp_path, lambda path, nth: 500 if faults and "/0/0.0." in path else None) as server:
        argv = [f"{server.url}/cell.zarr", str(tmp_path / "out"), "--retries", "0"]
        assert ngff_download.main([*argv, "-cs", "32"]) == 0
        before = visible(tmp_path / "out")
        faults.append(True)
        assert ngff_download.main([*argv, "-cs", "16", "--update"]) == 1
        assert visible(tmp_path / "out") == before
        assert not list((tmp_path / "out").glob(".*.part*"))


@pytest.mark.parametrize("script", [ngff_download, patchify3d])
def test_a_row_that_cannot_be_used_is_not_gone(tmp_path, capsys, script):
    write_ome_zarr(tmp_path / "a.zarr", [noise((32, 32, 32))], sizes=CUBES[:1])
    path, out = tmp_path / "t.csv", tmp_path / "out"
    for name, size in (("a", 32), ("a", "many"), ("b", 32)):
        path.write_text(f"url,volume_name,crop_size\n{tmp_path / 'a.zarr'},{name},{size}\nodd://x/y,odd,\n")
        assert script.main([str(path), str(out), "-cs", "32", "--prune"]) == 1
        assert any(file.name.startswith("a_s0") for file in out.iterdir()) is (name == "a")
    said = capsys.readouterr().err
    assert "crop_size is 'many'; expected a number" in said and "addresses of the kind odd:// are not known" in said
    assert f"{script.__name__}.py: error" not in said


def test_prune_removes_what_has_no_row_any_more(tmp_path, capsys):
    for name in "ab":
        write_ome_zarr(tmp_path / f"{name}.zarr", [noise((32, 32, 32)), noise((16, 16, 16))], sizes=CUBES[:2])
    path, out = tmp_path / "t.csv", tmp_path / "out"
    path.write_text(f"url,crop_size\n{tmp_path / 'a.zarr'},32\n{tmp_path / 'b.zarr'},32\n")
    assert ngff_download.main([str(path), str(out)]) == 0
    (out / "notes.json").write_text("{}")
    path.write_text(f"url,crop_size\n{tmp_path / 'a.zarr'},32\n")
    assert ngff_download.main([str(path), str(out)]) == 0
    assert "without their row (1; --prune removes them): b" in capsys.readouterr().err
    assert len(cubes(out)) == 2
    assert ngff_download.main([str(tmp_path / "a.zarr"), str(out), "-cs", "32", "--prune"]) == 0
    assert len(cubes(out)) == 2  # the address of one image says nothing of others
    assert ngff_download.main([str(path), str(out), "--prune"]) == 0
    assert {name.split("-")[0] for name in cubes(out)} == {"a_s0"}
    assert (out / "notes.json").exists()
    assert not (out / "b.json").exists()
    assert [path.name.split("-")[0] for path in (out / ".overview").iterdir()] == ["a_s1"]
