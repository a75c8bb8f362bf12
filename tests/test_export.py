"""collection/export.py: what training libraries read of it, what a second run does, and what stays together."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tifffile

import export
from conftest import ROOT, wrong_defaults
from made_collection import SIDE, add_dataset, files, image_names, pixels, small_collection, volume_names
from utils.collection.export_formats import FORMATS

SPLIT = ("--split", "train=.6,val=.4", "--seed", "3")


@pytest.fixture
def filtered(tmp_path) -> Path:
    return small_collection(tmp_path / "collection", slices=4, grid=2)


def run(filtered: Path, out: Path, kind: str = "webdataset", *options: object) -> int:
    command = [filtered, "-o", out, "--format", kind, "--shard-size", 16, "-p", 1, *options]
    return export.main(list(map(str, command)))


def rows(out: Path, table: str = "patches.csv") -> list[dict[str, str]]:
    with (out / table).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def kept_names(filtered: Path) -> set[str]:
    return {path.stem for path in filtered.rglob("*.tiff")}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kept_patch_is_there_once_and_a_second_run_does_nothing(kind, filtered, tmp_path, capsys):
    assert run(filtered, tmp_path / "out", kind, *SPLIT) == 0
    assert {row["name"] for row in rows(tmp_path / "out")} == kept_names(filtered)
    assert len(rows(tmp_path / "out")) == len(kept_names(filtered))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    capsys.readouterr()
    assert run(filtered, tmp_path / "out", kind, *SPLIT) == 0
    assert "0 done," in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}.items() <= before.items()


@pytest.mark.parametrize(
    ("kind", "left"),
    [*((kind, "nothing kept") for kind in FORMATS), ("webdataset", "no tables"), ("webdataset", "no folder")],
)
def test_when_nothing_is_left_the_export_goes_with_prune_only(kind, left, filtered, tmp_path, capsys):
    assert run(filtered, tmp_path / "out", kind, *SPLIT) == 0
    for table in filtered.rglob("*.csv"):
        if left == "nothing kept":
            table.write_text(table.read_text().replace("True", "False").replace(",kept\n", ",low score\n"))
        else:
            table.unlink()
    if left == "no folder":
        shutil.rmtree(filtered)
    assert run(filtered, tmp_path / "out", kind, *SPLIT) == 2 and (tmp_path / "out" / "README.md").is_file()
    assert run(filtered, tmp_path / "out", kind, *SPLIT, "--prune") == 0
    assert not (tmp_path / "out").exists() and "without their input removed" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["webdataset", "zarr"])  # shards apart, and one array of all
def test_the_same_bytes_on_any_number_of_processes(kind, filtered, tmp_path):
    run(filtered, tmp_path / "one" / "set", kind, *SPLIT)
    run(filtered, tmp_path / "two" / "set", kind, *SPLIT, "-p", 2)
    assert files(tmp_path / "one" / "set") == files(tmp_path / "two" / "set")


@pytest.mark.parametrize("kind", FORMATS)
def test_after_any_change_it_is_what_a_fresh_run_gives_and_foreign_files_stay(kind, filtered, tmp_path):
    out = tmp_path / "a" / "set"
    run(filtered, out, kind, *SPLIT)
    (out / "notes.txt").write_text("mine")
    add_dataset(filtered.parent, "worm", volume_names("worm", slices=4, grid=2))
    next((filtered / "fly").glob("*.tiff")).unlink()
    changed = next((filtered / "tem").glob("*.tiff"))
    tifffile.imwrite(changed, 255 - tifffile.imread(changed), description="{}", metadata=None)
    run(filtered, out, kind, *SPLIT, "--cap", 20)
    run(filtered, tmp_path / "b" / "set", kind, *SPLIT, "--cap", 20)
    assert files(out) == {**files(tmp_path / "b" / "set"), "notes.txt": b"mine"}


def test_shares_of_several_machines_write_what_one_run_writes(filtered, tmp_path, capsys):
    for share in ("1/2", "2/2"):
        assert run(filtered, tmp_path / "a" / "set", "webdataset", "--shard", share) == 0
        assert not (tmp_path / "a" / "set" / "README.md").exists()
    capsys.readouterr()
    assert run(filtered, tmp_path / "a" / "set", "webdataset", "--update", "--prune") == 0
    assert "shards: 0 done," in capsys.readouterr().out
    run(filtered, tmp_path / "b" / "set", "webdataset")
    assert files(tmp_path / "a" / "set") == files(tmp_path / "b" / "set")


def test_another_format_takes_the_place_of_the_first(filtered, tmp_path):
    for kind in (*FORMATS, "webdataset"):
        assert run(filtered, tmp_path / "a" / "set", kind, *SPLIT) == 0
    run(filtered, tmp_path / "b" / "set", "webdataset", *SPLIT)
    assert files(tmp_path / "a" / "set") == files(tmp_path / "b" / "set")


def test_a_foreign_card_is_not_overwritten(filtered, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    assert run(filtered, tmp_path / "out") == 1
    assert "README.md was not made by this script" in capsys.readouterr().err
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


def test_shards_tell_nothing_of_the_machine_and_their_sums_hold(filtered, tmp_path):
    run(filtered, tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        entries = tar.getmembers()
        assert {(e.mtime, e.uid, e.gid, e.uname, e.mode) for e in entries} == {(0, 0, 0, "", 0o644)}
        said = json.loads(tar.extractfile(entries[1]).read())
    assert said["name"] in kept_names(filtered) and said["split"] == "train"
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() >= {"train-000000.tar", "patches.csv"}
    assert all(sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == sha for name, sha in sums.items())


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> dict:
    """What training libraries read of exports in all formats."""
    root = tmp_path_factory.mktemp("read")
    filtered = small_collection(root / "collection", slices=4, grid=1)
    for kind in FORMATS:
        assert run(filtered, root / kind, kind, *SPLIT) == 0
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root / "hf"), "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "tests" / "read_exports.py"), str(root)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    split_of = {row["name"]: row["split"] for row in rows(root / "webdataset")}
    return {**json.loads(told.stdout.splitlines()[-1]), "expected": split_of}


def digests(names: Iterable[str]) -> dict[str, str]:
    return {name: sha256(pixels(name).tobytes()).hexdigest() for name in names}


def test_webdataset_reads_it(read):
    assert read["webdataset"] == digests(read["expected"])


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_datasets_reads_it(kind, read):
    for split in ("train", "val"):
        assert read[kind][split] == digests(n for n, s in read["expected"].items() if s == split)


def test_torch_and_timm_read_it(read):
    expected = digests(name for name, split in read["expected"].items() if split == "train")
    assert sorted(read["torch"]["digests"]) == sorted(read["timm"]) == sorted(expected.values())
    assert set(read["torch"]["classes"]) <= {"fly", "mouse.v1", "tem"}


@pytest.mark.parametrize("kind", FORMATS)
def test_croissant_is_valid_and_gives_the_records(kind, read):
    assert read["croissant"][kind] == {"errors": [], "names": sorted(read["expected"])}


def test_zarr_and_tensorstore_read_it(filtered, tmp_path):
    import tensorstore
    import zarr

    run(filtered, tmp_path / "out", "zarr", *SPLIT)
    for split in ("train", "val"):
        names = zarr.open_array(tmp_path / "out" / f"{split}.zarr" / "names", mode="r")[:]
        images = zarr.open_array(tmp_path / "out" / f"{split}.zarr" / "images", mode="r")
        assert images.shards == (16, SIDE, SIDE) and images.chunks == (1, SIDE, SIDE)
        assert list(names) == [row["name"] for row in rows(tmp_path / "out") if row["split"] == split]
        other = tensorstore.open(
            {"driver": "zarr3", "kvstore": f"file://{tmp_path}/out/{split}.zarr/images/"}
        ).result()  # fmt: skip
        for patches in (images[:], np.asarray(other)):
            np.testing.assert_array_equal(patches, np.stack([pixels(name) for name in names]))


def test_zarr_takes_one_size_and_says_what_it_leaves_out(filtered, tmp_path, capsys):
    odd = next((filtered / "fly").glob("*.tiff"))
    tifffile.imwrite(odd, np.zeros((SIDE, SIDE - 4), np.uint8))
    assert run(filtered, tmp_path / "out", "zarr") == 0
    assert "1 patches are not of 32 x 32" in capsys.readouterr().err
    assert {row["name"] for row in rows(tmp_path / "out")} == kept_names(filtered) - {odd.stem}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_patch_costs_itself_and_is_named_until_it_is_mended(kind, filtered, tmp_path, capsys):
    bad = sorted((filtered / "fly").glob("*.tiff"))[1]
    whole = bad.read_bytes()
    bad.write_bytes(b"II*\0no tiff")
    for _ in range(2):
        assert run(filtered, tmp_path / "out", kind) == 1
        assert str(bad) in capsys.readouterr().err
        assert {row["name"] for row in rows(tmp_path / "out")} == kept_names(filtered) - {bad.stem}
    bad.write_bytes(whole)
    assert run(filtered, tmp_path / "out", kind) == 0
    assert {row["name"] for row in rows(tmp_path / "out")} == kept_names(filtered)


def test_killed_at_any_moment_it_goes_on(filtered, tmp_path):
    for names in range(4):
        add_dataset(filtered.parent, f"d{names}", volume_names(f"d{names}", slices=10, grid=2))
    script = ROOT / "collection" / "export.py"
    command = [sys.executable, script, filtered, "-o", tmp_path / "a" / "set", "--format", "imagefolder"]
    for seconds in (0.2, 0.35, 0.5):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)  # wherever it is by then: every moment must do
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        bare = {path.name for path in (tmp_path / "a" / "set").glob("[!.]*") if path.is_file()}
        assert bare <= {"README.md", "croissant.json", "SHA256SUMS", "patches.csv", "splits.csv"}
    assert run(filtered, tmp_path / "a" / "set", "imagefolder") == 0
    assert run(filtered, tmp_path / "b" / "set", "imagefolder") == 0
    assert files(tmp_path / "a" / "set") == files(tmp_path / "b" / "set")
    assert not list((tmp_path / "a" / "set" / ".recipes").glob("*.part"))


def test_the_card_says_licenses_and_which_are_missing(filtered, tmp_path, capsys):
    (filtered / "datasets.csv").write_text("name,license,organism\nfly,CC BY 4.0,<b>D. mel|anogaster</b>\n")
    run(filtered, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "CC BY 4.0: 1 dataset" in text and "**missing** for 2 datasets: mouse.v1, tem" in text
    assert "&lt;b&gt;D. mel\\|anogaster&lt;/b&gt;" in text and "<b>" not in text
    assert "license: other" in text
    assert "no license is known for 2 of 3 datasets" in capsys.readouterr().out
    (filtered / "datasets.csv").write_text("name,license\nfly,CC BY 4.0\nmouse.v1,CC0\ntem,cc by 4.0\n")
    run(filtered, tmp_path / "out")
    assert "license:\n- cc-by-4.0\n- cc0-1.0\n" in (tmp_path / "out" / "README.md").read_text()


def test_caps_spread_over_the_volume(tmp_path):
    add_dataset(tmp_path, "fly", volume_names("fly", slices=16, grid=4), kept=1)
    assert run(tmp_path / "filtered", tmp_path / "out", "webdataset", "--cap", 16) == 0
    chosen = rows(tmp_path / "out")
    assert len(chosen) == 16
    octants = {
        tuple(int(row[f"{axis}0"]) * 2 // end for axis, end in zip("zyx", (16, 128, 128), strict=True))
        for row in chosen
    }
    assert len(octants) == 8


def test_caps_of_volumes_and_gaps_between_slices(tmp_path, capsys):
    add_dataset(tmp_path, "tem", image_names([f"image{i}" for i in range(10)], grid=3), kept=1, voxel_size=None)
    add_dataset(tmp_path, "fly", volume_names("fly", slices=40, grid=2), kept=1, voxel_size=(25.0, 10.0, 10.0))
    options = ("--cap-volume", 4, "--min-gap-nm", 200)
    assert run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options, "--balance") == 0
    chosen = rows(tmp_path / "out")
    images = [row["name"].split("-LOC-")[0] for row in chosen if row["dataset"] == "tem"]
    assert sorted(images) == sorted(4 * [f"image{i}" for i in range(10)])
    assert sum(row["dataset"] == "fly" for row in chosen) == 4
    total = sum(float(row["weight"]) for row in chosen if row["dataset"] == "tem")
    assert total == pytest.approx(sum(float(row["weight"]) for row in chosen) / 2, rel=1e-4)


def test_slices_of_one_place_are_apart(tmp_path):
    add_dataset(tmp_path, "fly", volume_names("fly", slices=40, grid=2), kept=1, voxel_size=(25.0, 10.0, 10.0))
    run(tmp_path / "filtered", tmp_path / "out", "webdataset", "--min-gap-nm", 200)
    places: dict[tuple, list[float]] = {}
    for row in rows(tmp_path / "out"):
        places.setdefault((row["y0"], row["x0"]), []).append(float(row["z0_nm"]))
    assert len(places) == 4
    for depths in places.values():
        assert min(np.diff(sorted(depths))) >= 200
        assert len(depths) >= 3


def write_pairs(path: Path, *pairs: tuple[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["name", "dictionary", "duplicate_of", "its_dictionary", "similarity", "correlation", "orientation"]
        )
        writer.writerows([f"{a}-LOC-0_0_0-9_0-9", a, f"{b}-LOC-0_0_0-9_0-9", b, 0.9, 0.9, "0"] for a, b in pairs)
    return path


def test_what_duplicates_tie_stays_together_and_more_datasets_move_nothing(tmp_path, capsys):
    for i in range(12):
        add_dataset(tmp_path, f"set{i}", volume_names(f"set{i}", slices=2, grid=1))
    for level in (0, 2):
        add_dataset(tmp_path, f"hela_s{level}", volume_names(f"hela_s{level}", slices=2, grid=1))
    pairs = [(f"set{i}", f"set{i + 1}") for i in range(0, 8, 2)]
    table = write_pairs(tmp_path / "duplicates.csv", *pairs)
    options = ("--split", "train=.5,val=.5", "--duplicates", table)
    assert run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options) == 0
    assert "checked: none of 4 pairs of near-duplicates between datasets crosses a split" in capsys.readouterr().out
    first = {row["dataset"]: row["split"] for row in rows(tmp_path / "out", "splits.csv")}
    assert set(first.values()) == {"train", "val"}
    assert all(first[a] == first[b] for a, b in [*pairs, ("hela_s0", "hela_s2")])
    for i in range(12, 24):
        add_dataset(tmp_path, f"set{i}", volume_names(f"set{i}", slices=2, grid=1))
    run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options)
    later = {row["dataset"]: row["split"] for row in rows(tmp_path / "out", "splits.csv")}
    assert first.items() <= later.items()
    run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options, "--seed", 5)
    assert "now in" in capsys.readouterr().err


def test_what_shows_one_excluded_image_stays_together(tmp_path, capsys):
    for i in range(8):
        add_dataset(tmp_path, f"set{i}", volume_names(f"set{i}", slices=2, grid=1))
    table = write_pairs(tmp_path / "duplicates.csv", *((f"set{i}", "excluded:b/set7.png") for i in range(5)))
    options = ("--split", "train=.5,val=.5", "--duplicates", table)
    assert run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options) == 0
    assert "5 datasets are tied to others (4 by near-duplicate patches); checked: none of 4" in capsys.readouterr().out
    split = {row["dataset"]: row["split"] for row in rows(tmp_path / "out", "splits.csv")}
    assert len({split[f"set{i}"] for i in range(5)}) == 1
    write_pairs(table)
    run(tmp_path / "filtered", tmp_path / "out", "webdataset", *options)
    said = capsys.readouterr()
    assert "none of 0 pairs" in said.out and "no --duplicates" not in said.err


def test_an_empty_split_is_said_with_a_seed_that_fills_it(filtered, tmp_path, capsys):
    assert run(filtered, tmp_path / "out", "webdataset", "--split", "train=.9,val=.05,test=.05") == 0
    said = capsys.readouterr().err
    assert "no dataset falls into" in said
    seed = int(said.split("--seed ")[1].split()[0])
    run(filtered, tmp_path / "out", "webdataset", "--split", "train=.9,val=.05,test=.05", "--seed", seed)
    assert {row["split"] for row in rows(tmp_path / "out")} == {"train", "val", "test"}


@pytest.mark.parametrize(
    "text", ["train=.5", "train", "train=.5,train=.5", "a/b=1", "train=nan,val=.5", "train=1,val=0"]
)
def test_bad_splits_are_bad_usage(text, filtered, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        run(filtered, tmp_path / "out", "webdataset", "--split", text)
    assert stopped.value.code == 2


def test_a_folder_without_tables_is_bad_usage(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", tmp_path / "out") == 2
    assert "no tables of classify_patches.py" in capsys.readouterr().err
    assert wrong_defaults(export.parse_options()) == {}


def test_two_folders_of_patches_are_one_collection(tmp_path):
    small_collection(tmp_path / "all" / "3d")
    add_dataset(tmp_path / "all" / "2d", "grid", image_names(["x"]))
    assert run(tmp_path / "all", tmp_path / "out") == 0
    assert {row["dataset"] for row in rows(tmp_path / "out")} == {"fly", "mouse.v1", "tem", "grid"}


def test_one_name_in_two_dictionaries_costs_both_patches(tmp_path, capsys):
    for folder, images in (("2d", "xy"), ("3d", "Xz")):
        add_dataset(tmp_path / "all" / folder, "grid", image_names(images), kept=1)
    assert run(tmp_path / "all", tmp_path / "out") == 1
    assert capsys.readouterr().err.count("names must differ") == 2
    assert {row["name"][0] for row in rows(tmp_path / "out")} == {"y", "z"}


@pytest.mark.parametrize("kind", FORMATS)
def test_groups_whose_images_have_the_same_names(kind, tmp_path):
    for group in ("one", "two"):
        add_dataset(tmp_path / "all", group, image_names(["001", "002"]), kept=1)
    assert run(tmp_path / "all", tmp_path / "out", kind) == 0
    assert len({(row["dataset"], row["name"]) for row in rows(tmp_path / "out")}) == 16
    if kind == "webdataset":
        with tarfile.open(tmp_path / "out/train-000000.tar") as tar:
            assert len({name.partition(".")[0] for name in tar.getnames()}) == 16
    fresh = tmp_path / "fresh"
    add_dataset(tmp_path / "all", "two", ["other"], kept=1)  # what the names of the others stand for changes
    for path in (tmp_path / "all/filtered/two").glob("00*"):
        path.unlink()
    assert run(tmp_path / "all", tmp_path / "out", kind) == run(tmp_path / "all", fresh, kind, "--title", "out") == 0
    assert files(tmp_path / "out") == files(fresh)


def test_formulas_stay_text(tmp_path):
    add_dataset(tmp_path, "=HYPERLINK(1)", image_names(["=cmd"]))
    (tmp_path / "filtered" / "datasets.csv").write_text('name,note\n=HYPERLINK(1),"@SUM(1)"\n')
    assert run(tmp_path / "filtered", tmp_path / "out") == 0
    for row in rows(tmp_path / "out"):
        assert row["note"] == "'@SUM(1)" and row["name"].startswith("'=cmd") and float(row["score"]) > 0


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def no_tiff(path: Path) -> None:
    path.write_bytes(b"no picture at all")


def colourful(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((SIDE, SIDE, 3), np.uint8), photometric="rgb")


def half_a_table(path: Path) -> None:
    path.write_text("name,score,kept\nfly-LOC-0_3_0-32_0-32,high,True\n")


@pytest.mark.parametrize("kind", ["webdataset", "zarr"])
@pytest.mark.parametrize("harm", [truncated, looped, piped, no_tiff, colourful])
def test_the_first_patch_of_a_dataset_harmed(harm, kind, tmp_path, capsys):
    for name in ("fly", "worm"):
        add_dataset(tmp_path, name, volume_names(name, slices=2, grid=1), kept=1)
    bad = tmp_path / "filtered" / "fly" / "fly-LOC-0_0_0-32_0-32.tiff"
    names = kept_names(tmp_path / "filtered") - {bad.stem}
    harm(bad)
    for _ in range(2):
        assert run(tmp_path / "filtered", tmp_path / "out", kind) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if str(bad) in line]
        assert said and all(line.startswith(f"{bad}: ") and line.count(str(bad)) == 1 for line in said)
        assert {row["name"] for row in rows(tmp_path / "out")} == names
        assert {row["voxel_z"] for row in rows(tmp_path / "out")} == {"10.0"}


@pytest.mark.parametrize("harm", [looped, half_a_table])
def test_a_table_harmed_costs_its_dataset_only(harm, tmp_path, capsys):
    for name in ("fly", "worm"):
        add_dataset(tmp_path, name, volume_names(name, slices=2, grid=1), kept=1)
    harm(bad := tmp_path / "filtered" / "fly.csv")
    assert run(tmp_path / "filtered", tmp_path / "out") == 1
    assert f"{bad}: " in capsys.readouterr().err
    assert {row["dataset"] for row in rows(tmp_path / "out")} == {"worm"}
    harm(tmp_path / "filtered" / "worm.csv")
    assert run(tmp_path / "filtered", tmp_path / "out") == 1
    assert {row["dataset"] for row in rows(tmp_path / "out")} == {"worm"}  # what was exported stays


def test_a_damaged_row_of_datasets_csv_costs_itself_only(tmp_path, capsys):
    add_dataset(tmp_path, "fly", volume_names("fly", slices=2, grid=1), kept=1)
    table = tmp_path / "filtered" / "datasets.csv"
    table.write_text("name,license\nworm,CC0,too,many\nfly,CC0\n")
    assert run(tmp_path / "filtered", tmp_path / "out") == 1
    assert f"{table}:2: 4 cells, but 2 columns" in capsys.readouterr().err
    assert {row["license"] for row in rows(tmp_path / "out")} == {"CC0"}


def test_folders_that_go_round_are_read_once(tmp_path):
    add_dataset(tmp_path, "fly", volume_names("fly", slices=2, grid=1), kept=1)
    (tmp_path / "filtered" / "round").symlink_to(tmp_path / "filtered")
    assert run(tmp_path / "filtered", tmp_path / "out") == 0


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "dataset,split\nfly,val,x\n"])
def test_a_table_of_splits_that_somebody_changed_is_written_anew(content, tmp_path):
    add_dataset(tmp_path, "fly", volume_names("fly", slices=2, grid=1), kept=1)
    run(tmp_path / "filtered", tmp_path / "out")
    (tmp_path / "out" / "splits.csv").write_text(content)
    assert run(tmp_path / "filtered", tmp_path / "out") == 0
    assert rows(tmp_path / "out", "splits.csv") == [{"dataset": "fly", "split": "train", "tied_with": ""}]
