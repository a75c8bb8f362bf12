"""collection/report.py: what it counts, what a real browser shows of it from the disk, what a second run does."""

import csv
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

import report
from browser import browser, complaints, needs_browser, wait_for
from conftest import wrong_defaults
from made_collection import SIDE, add_dataset, files, image_names, pixels, small_collection, volume_names
from utils.collection import dataset_report
from utils.collection.dataset_report import slug
from utils.collection.page_files import AROUND
from utils.contact_sheet import fit
from utils.dictionaries import load_patches, save_patches

HOSTILE = "<img src=x onerror=\"document.title='owned'\">&'</script>"


@pytest.fixture
def root(tmp_path) -> Path:
    small_collection(tmp_path / "collection", slices=4)
    return tmp_path / "collection"


def run(root: Path, out: Path, *options: object) -> int:
    return report.main(list(map(str, [root / "filtered", root / "patches", "-o", out, "-p", 1, *options])))


def manifest(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_manifest_has_every_patch_with_every_decision(root, tmp_path, capsys):
    (root / "datasets.csv").write_text("name,license,organism\nfly,CC0,=D. melanogaster\nflea,CC0,\ngnat,,\n")
    (root / "splits.csv").write_text("dataset,split,tied_with\nfly,val,\n")
    assert run(root, tmp_path / "out", "--table", root / "datasets.csv", "--splits", root / "splits.csv") == 0
    assert "warning: no dataset here is called flea, gnat, as a table says" in capsys.readouterr().err
    rows = manifest(tmp_path / "out")
    names = [n for path in (root / "patches").glob("*.pkl") for n in load_patches(path)["names"]]
    assert sorted(row["name"] for row in rows) == sorted(names)
    for row in rows:
        assert row["sha256"] == sha256(pixels(row["name"]).tobytes()).hexdigest()
        assert row["decision"] == ("kept" if float(row["score"]) > 0.5 else "dropped")
        assert row["reason"] == ("kept" if row["decision"] == "kept" else "low score")
    fly = next(row for row in rows if row["name"] == "fly-LOC-0_3_32-64_64-96")
    known = {"z0": "3", "z1": "4", "y0": "32", "x1": "96", "z0_nm": "30.0", "x1_nm": "960.0", "axis": "0", "slice": "3"}
    known |= {"split": "val", "license": "CC0", "organism": "'=D. melanogaster"}
    assert fly.items() >= known.items()
    region = next(row for row in rows if row["name"].startswith("mouse.v1-ROI-x96-192"))
    assert int(region["x0"]) >= 96 and region["volume"] == "mouse.v1"
    table = pq.read_table(tmp_path / "out" / "manifest.parquet")
    assert len(table) == len(rows) and table.schema.field("x0").type == "int64"
    assert set(table["organism"].to_pylist()) == {"=D. melanogaster", None}


def test_a_second_run_does_nothing_and_a_change_gives_what_a_fresh_run_gives(root, tmp_path, capsys):
    out = tmp_path / "a" / "report"
    run(root, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    run(root, out)
    said = capsys.readouterr().out
    assert "0 done, 3 done before" in said and said.endswith(f"\nopen {out}/index.html\n")
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    (out / "datasets" / "fly" / "notes.txt").write_text("mine")
    (root / "filtered" / "tem.csv").unlink()
    add_dataset(root, "worm", volume_names("worm"))
    add_dataset(root, "fly", volume_names("fly", slices=4))
    run(root, out)
    capsys.readouterr()
    run(root, tmp_path / "b" / "report", "-p", 2, "--quiet")
    assert capsys.readouterr().out == ""
    assert files(out) == {**files(tmp_path / "b" / "report"), "datasets/fly/notes.txt": b"mine"}
    assert not (out / "datasets" / "tem").exists()


def test_when_nothing_is_left_the_report_goes_with_prune_only(root, tmp_path, capsys):
    out = tmp_path / "out"
    run(root, out)
    (out / "notes.txt").write_text("mine")
    for table in (root / "filtered").glob("*.csv"):
        table.unlink()
    assert run(root, out) == 2 and (out / "index.html").is_file()
    assert run(root, out, "--prune") == 0
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert "4 without their input removed" in capsys.readouterr().out
    assert run(root, out, "--prune") == 2


def test_shares_of_several_machines_make_what_one_run_makes(root, tmp_path, capsys):
    for share in ("1/2", "2/2"):
        assert run(root, tmp_path / "a" / "out", "--shard", share) == 0
        assert not (tmp_path / "a" / "out" / "index.html").exists()
    capsys.readouterr()
    assert run(root, tmp_path / "a" / "out", "--update", "--prune") == 0
    assert "0 done, 3 done before" in capsys.readouterr().out
    run(root, tmp_path / "b" / "out")
    assert files(tmp_path / "a" / "out") == files(tmp_path / "b" / "out")


def test_an_unreadable_dictionary_costs_its_dataset_only(root, tmp_path, capsys):
    (root / "patches" / "fly.pkl").write_bytes(b"no pickle")
    assert run(root, tmp_path / "out") == 1
    assert f"{root}/patches/fly.pkl: not a readable patch dictionary" in capsys.readouterr().err
    assert {row["dataset"] for row in manifest(tmp_path / "out")} == {"mouse.v1", "tem"}
    assert '"flags":["failed' in (tmp_path / "out" / "data.js").read_text()


def test_without_dictionaries_there_are_kept_patches(root, tmp_path):
    assert report.main([str(root / "filtered"), "-o", str(tmp_path / "out")]) == 0
    for row in manifest(tmp_path / "out"):
        assert bool(row["sha256"]) == (row["decision"] == "kept")
    assert "patches without a picture" in (tmp_path / "out" / "data.js").read_text()


@needs_browser
def test_the_first_page_sorts_searches_and_filters(tmp_path):
    small_collection(tmp_path)
    add_dataset(tmp_path, "empty", volume_names("empty"), kept=0)
    (tmp_path / "datasets.csv").write_text("name,modality,doi\nfly,FIB-SEM,10.1234/abc\ntem,TEM,javascript:alert(1)\n")
    run(tmp_path, tmp_path / "out", "--table", tmp_path / "datasets.csv")
    shown = "[...document.querySelectorAll('td.name')].map((cell) => cell.textContent)"
    with browser() as driver:
        driver.get(f"file://{tmp_path}/out/index.html")
        wait_for(driver, "document.body.dataset.ready")
        assert driver.execute_script(f"return {shown}") == ["empty", "fly", "mouse.v1", "tem"]
        driver.execute_script("document.querySelector('th[data-key=kept]').click()")
        assert driver.execute_script(f"return {shown}")[-1] == "empty"
        fibsem = "[...document.querySelectorAll('nav label')].find((label) => label.innerText.includes('FIB-SEM'))"
        driver.execute_script(f"{fibsem}.querySelector('input').click()")
        assert driver.execute_script(f"return {shown}") == ["fly"]
        driver.refresh()  # what is chosen stands in the address
        wait_for(driver, "document.body.dataset.ready")
        assert driver.execute_script(f"return {shown}") == ["fly"]
        driver.execute_script("document.getElementById('clear').click()")
        driver.find_element("id", "search").send_keys("nothing kept")
        wait_for(driver, f"{shown}.length === 1 && {shown}[0] === 'empty'")
        driver.execute_script("clearTimeout(waiting); state.search = ''; draw()")
        links = driver.execute_script(
            "return [...document.querySelectorAll('td a')].map((a) => a.getAttribute('href'))"
        )
        assert "https://doi.org/10.1234/abc" in links and not any(link.startswith("javascript") for link in links)
        driver.find_element("link text", "fly").click()
        wait_for(driver, "document.title === 'fly' && document.body.dataset.ready")
        assert complaints(driver) == []


@needs_browser
def test_the_page_of_a_dataset_shows_borderline_first_and_where_a_patch_lies(root, tmp_path):
    run(root, tmp_path / "out")
    with browser(700, 800) as driver:
        driver.get(f"file://{tmp_path}/out/datasets/fly/index.html")
        wait_for(driver, "document.body.dataset.ready")
        assert "keeps 18 of 36" in driver.find_element("id", "keeps").text
        gaps = driver.execute_script("return order.map((i) => Math.abs(DATA.score[i] - 0.5))")
        assert gaps == sorted(gaps)
        driver.execute_script(
            "const t = document.getElementById('threshold'); t.value = 0.9; t.dispatchEvent(new Event('input'))"
        )
        assert "keeps 4 of 36" in driver.find_element("id", "keeps").text
        assert driver.execute_script("return document.querySelectorAll('.cell.kept').length") == 4
        driver.execute_script("show(order.find((i) => DATA.loc[i] === '0_3_32-64_64-96'))")
        assert "xy 3, at 30 nm" in driver.find_element("id", "said").text
        box = "document.querySelector('#over i').style"
        sides = f"['left', 'top', 'width', 'height'].map((side) => parseFloat({box}[side]))"
        share = driver.execute_script(f"return {sides}.map((px) => px / document.getElementById('over').clientWidth)")
        assert share == pytest.approx([64 / 96, 32 / 96, 32 / 96, 32 / 96], abs=0.01)
        assert "slice 3 of 8" in driver.find_element("id", "depth").text
        address = driver.current_url
        driver.get("about:blank")
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        assert driver.execute_script("return [state.t, name(state.at)]") == [0.9, "fly-LOC-0_3_32-64_64-96"]
        assert complaints(driver) == []


@needs_browser
def test_hostile_names_and_cells_stay_text(tmp_path):
    name = HOSTILE.replace("/", "")
    add_dataset(tmp_path, name, image_names([name]))
    with (tmp_path / "datasets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", HOSTILE], [name, HOSTILE + "\u2028`${1}"]])
    run(tmp_path, tmp_path / "out", "--table", tmp_path / "datasets.csv", "--title", HOSTILE)
    assert "<" not in (tmp_path / "out" / "data.js").read_text()
    with browser() as driver:
        for page in ("index.html", f"datasets/{slug(name)}/index.html"):
            driver.get(f"file://{tmp_path}/out/{page}")
            wait_for(driver, "document.body.dataset.ready")
            assert driver.title != "owned"
            assert driver.execute_script(
                "return [...document.images].every((i) => i.getAttribute('src').startsWith('datasets/'))"
            )
            assert complaints(driver) == []


def test_pictures_fit_whatever_their_shape(rng):
    for shape in ((32, 32), (7, 300), (1, 1), (500, 20)):
        assert fit(rng.integers(60, 250, shape).astype("uint8"), 48, AROUND).shape == (48, 48)
    assert SIDE == 32


@pytest.mark.parametrize("arguments", [["{empty}"], ["{filtered}", "--table", "{bad}"]])
def test_bad_usage(arguments, root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    known = {"empty": tmp_path / "empty", "filtered": root / "filtered", "bad": tmp_path / "bad.csv"}
    assert report.main([a.format(**known) for a in arguments] + ["-o", str(tmp_path / "out")]) == 2
    assert "no tables" in (said := capsys.readouterr().err) or "expected one called name" in said
    assert wrong_defaults(report.parse_options()) == {}


def test_one_of_two_dictionaries_of_a_dataset_damaged_costs_its_own_patches(root, tmp_path, capsys):
    bad = sorted((root / "patches").glob("mouse*.pkl"))[0]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-400])
    for _ in range(2):
        assert run(root, tmp_path / "a" / "out") == 1
        assert f"{bad}: " in capsys.readouterr().err
        assert {row["dictionary"] for row in manifest(tmp_path / "a" / "out")} == {
            path.stem for path in (root / "patches").glob("*.pkl") if path != bad
        }
    assert f"failed: {bad.name} cannot be read" in (tmp_path / "a" / "out" / "data.js").read_text()
    bad.write_bytes(whole)
    assert run(root, tmp_path / "a" / "out") == 0
    run(root, tmp_path / "b" / "out")
    assert files(tmp_path / "a" / "out") == files(tmp_path / "b" / "out")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("harm", [cut_short, pipe, link_to_itself])
def test_a_damaged_tiff_costs_its_picture_only(harm, root, tmp_path, capsys):
    harm(bad := sorted((root / "filtered" / "fly").glob("*.tiff"))[0])
    command = [str(root / "filtered"), "-o", str(tmp_path / "out"), "-p", "1"]
    for _ in range(2):
        assert report.main(command) == 1
        assert f"{bad}: " in capsys.readouterr().err
    lacking = [row["name"] for row in manifest(tmp_path / "out") if row["decision"] == "kept" and not row["sha256"]]
    assert lacking == [bad.stem]


@pytest.mark.parametrize("harm", [pipe, link_to_itself])
def test_a_harmed_table_or_dictionary_costs_its_dataset_only(harm, root, tmp_path, capsys):
    harm(root / "filtered" / "fly.csv")
    harm(root / "patches" / "tem.pkl")
    code = run(root, tmp_path / "out")
    said = capsys.readouterr().err
    if harm is link_to_itself:  # a pipe is no table: nobody would call one so
        assert code == 1 and f"{root}/filtered/fly.csv: " in said and f"{root}/patches/tem.pkl: " in said
    assert "mouse.v1" in {row["dataset"] for row in manifest(tmp_path / "out")}
    assert "fly" not in {row["dataset"] for row in manifest(tmp_path / "out")}


def test_missing_pixels_and_damaged_rows_cost_themselves(root, tmp_path, capsys):
    content = load_patches(root / "patches" / "fly.pkl")
    save_patches(root / "patches" / "fly.pkl", content["names"][5:], content["patches"][5:], meta=content["meta"])
    (root / "datasets.csv").write_text("name,license\nfly,CC0\ntem,CC0,1,2\n")
    assert run(root, tmp_path / "out", "--table", root / "datasets.csv") == 1
    assert f"{root}/datasets.csv:3: 4 cells, but 2 columns" in capsys.readouterr().err
    fly = [row for row in manifest(tmp_path / "out") if row["dataset"] == "fly"]
    assert len(fly) == 36 and sum(not row["sha256"] for row in fly) == 5 and fly[0]["license"] == "CC0"
    assert "5 patches without a picture" in (tmp_path / "out" / "data.js").read_text()


def test_a_table_of_splits_without_its_columns_is_bad_usage(root, tmp_path, capsys):
    (tmp_path / "s.csv").write_text("a,b\n1,2\n")
    assert run(root, tmp_path / "out", "--splits", tmp_path / "s.csv") == 2
    assert "expected dataset,split" in capsys.readouterr().err


def data_of(page: Path) -> dict[str, Any]:
    """What a page's data.js holds."""
    return json.loads(page.read_text().removeprefix("window.DATA = ").rstrip(";\n"))


def test_what_is_odd_about_a_dataset_is_flagged(tmp_path):
    add_dataset(tmp_path, "plain", volume_names("plain", slices=4), patches=40)
    add_dataset(tmp_path, "repeated", volume_names("repeated", slices=4))
    add_dataset(tmp_path, "poor", volume_names("poor", slices=4), kept=0.03)
    add_dataset(tmp_path, "unsized", volume_names("unsized", slices=4), voxel_size=None)
    add_dataset(tmp_path, "flat", names := volume_names("flat", slices=4))
    flat = [np.full((SIDE, SIDE), 100, np.uint8) + (np.arange(SIDE) % 2).astype(np.uint8) for _ in names]
    save_patches(tmp_path / "patches" / "flat.pkl", names, flat, meta={"voxel_size": (1.0, 1.0, 1.0), "patches": 40})
    content = load_patches(tmp_path / "patches" / "repeated.pkl")
    many = {**content["meta"], "patches": 20 * len(content["names"])}
    save_patches(tmp_path / "patches" / "repeated.pkl", content["names"], content["patches"], meta=many)
    (tmp_path / "datasets.csv").write_text("".join(["name,license\n", *(f"{name},CC0\n" for name in
        ("plain", "repeated", "poor", "unsized", "flat"))]))  # fmt: skip
    assert run(tmp_path, tmp_path / "out", "--table", tmp_path / "datasets.csv") == 0
    assert {row["dataset"]: row["flags"] for row in data_of(tmp_path / "out" / "data.js")["datasets"]} == {
        "plain": [],
        "repeated": ["duplicates 95%"],
        "poor": ["kept 2.8%"],
        "unsized": ["voxel size missing"],
        "flat": ["near-constant: hardly any contrast"],
    }
    assert data_of(tmp_path / "out" / "data.js")["imbalance"][-1] == [1.0, 1.0]


def test_overviews_are_slices_of_the_volume_where_it_is_at_hand(tmp_path, capsys):
    volume = np.zeros((8, 96, 192), np.uint8)
    volume[4, :48, :96], volume[4, 48:, 96:] = 250, 120
    (tmp_path / "volumes").mkdir()
    tifffile.imwrite(tmp_path / "volumes" / "fly.tif", volume, photometric="minisblack")
    window = {"method": "none", "low": 0.0, "high": 255.0}
    for name in ("fly", "worm"):
        add_dataset(tmp_path, name, volume_names(name), contrast=window, shape=volume.shape)
    assert run(tmp_path, tmp_path / "out", "--volumes", tmp_path / "volumes") == 0
    found = data_of(tmp_path / "out" / "datasets" / "fly" / "data.js")["overviews"]
    assert found == {"fly\n0": [0, 96, 192]}
    picture = np.asarray(Image.open(tmp_path / "out" / "datasets" / "fly" / "overview-0000.jpg")).astype(int)
    for (y, x), gray in {(24, 48): 250, (24, 144): 0, (72, 144): 120, (72, 48): 0}.items():
        assert abs(picture[y, x] - gray) < 12
    assert (tmp_path / "out" / "datasets" / "worm" / "overview-0000.jpg").is_file()  # put together from its patches
    tifffile.imwrite(tmp_path / "volumes" / "other.tif", volume, photometric="minisblack")
    capsys.readouterr()
    for path, done in ((None, "0 done, 2 done before"), (tmp_path / "volumes" / "fly.tif", "1 done, 1 done before")):
        if path:
            tifffile.imwrite(path, 255 - volume, photometric="minisblack", description="another")
        dataset_report._index.cache_clear()  # a run lists volumes once
        assert run(tmp_path, tmp_path / "out", "--volumes", tmp_path / "volumes") == 0
        assert done in capsys.readouterr().out
