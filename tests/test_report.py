"""collection/report.py: what it counts, what a real browser shows of it from the disk, what a second run does."""

import csv
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import report
from browser import browser, complaints, needs_browser, wait_for
from made_collection import SIDE, add_dataset, files, image_names, pixels, small_collection, volume_names
from utils.collection.dataset_report import slug
from utils.collection.report_index import imbalance
from utils.collection.sprites import fit
from utils.dictionaries import load_patches

HOSTILE = "<img src=x onerror=\"document.title='owned'\">&'</script>"


@pytest.fixture
def root(tmp_path) -> Path:
    small_collection(tmp_path / "collection")
    return tmp_path / "collection"


def run(root: Path, out: Path, *options: object) -> int:
    return report.main(list(map(str, [root / "filtered", root / "patches", "-o", out, "-p", 1, *options])))


def manifest(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_manifest_has_every_patch_with_every_decision(root, tmp_path):
    (root / "datasets.csv").write_text("name,license,organism\nfly,CC0,=D. melanogaster\n")
    (root / "splits.csv").write_text("dataset,split,tied_with\nfly,val,\n")
    assert run(root, tmp_path / "out", "--table", root / "datasets.csv", "--splits", root / "splits.csv") == 0
    rows = manifest(tmp_path / "out")
    names = [n for path in (root / "patches").glob("*.pkl") for n in load_patches(path)["names"]]
    assert sorted(row["name"] for row in rows) == sorted(names)
    for row in rows:
        assert row["sha256"] == sha256(pixels(row["name"]).tobytes()).hexdigest()
        assert row["decision"] == ("kept" if float(row["score"]) > 0.5 else "dropped")
        assert row["reason"] == ("kept" if row["decision"] == "kept" else "low score")
    fly = next(row for row in rows if row["name"] == "fly-LOC-0_3_32-64_64-96")
    assert (fly["z0"], fly["z1"], fly["y0"], fly["x1"], fly["z0_nm"], fly["x1_nm"]) == (
        "3",
        "4",
        "32",
        "96",
        "30.0",
        "960.0",
    )
    assert (fly["axis"], fly["slice"], fly["split"], fly["license"], fly["organism"]) == (
        "0",
        "3",
        "val",
        "CC0",
        "'=D. melanogaster",
    )
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
    assert "0 done, 3 done before" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    (out / "datasets" / "fly" / "notes.txt").write_text("mine")
    (root / "filtered" / "tem.csv").unlink()
    add_dataset(root, "worm", volume_names("worm"))
    add_dataset(root, "fly", volume_names("fly", slices=4))
    run(root, out)
    run(root, tmp_path / "b" / "report", "-p", 2)
    assert files(out) == {**files(tmp_path / "b" / "report"), "datasets/fly/notes.txt": b"mine"}
    assert not (out / "datasets" / "tem").exists()


def test_an_unreadable_dictionary_costs_its_dataset_only(root, tmp_path, capsys):
    (root / "patches" / "fly.pkl").write_bytes(b"no pickle")
    assert run(root, tmp_path / "out") == 1
    assert "fly: not a readable patch dictionary" in capsys.readouterr().err
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
        assert "keeps 36 of 72" in driver.find_element("id", "keeps").text
        gaps = driver.execute_script("return order.map((i) => Math.abs(DATA.score[i] - 0.5))")
        assert gaps == sorted(gaps)
        driver.execute_script(
            "const t = document.getElementById('threshold'); t.value = 0.9; t.dispatchEvent(new Event('input'))"
        )
        assert "keeps 7 of 72" in driver.find_element("id", "keeps").text
        assert driver.execute_script("return document.querySelectorAll('.cell.kept').length") == 7
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


def test_names_of_folders_are_safe_and_apart():
    names = ["fly", "Fly", "FLY", "a/b", "a_b", "..", "b ü", "x" * 300, "x" * 301]
    slugs = [slug(name) for name in names]
    assert len({s.lower() for s in slugs}) == len(names)
    assert all(s and s.isascii() and "/" not in s and "." not in s and len(s) < 80 for s in slugs)


def test_imbalance():
    assert imbalance([0, 0]) == [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]
    assert imbalance([5, 90, 5])[1] == (0.3333, 0.9)


def test_pictures_fit_whatever_their_shape(rng):
    for shape in ((32, 32), (7, 300), (1, 1), (500, 20)):
        assert fit(rng.integers(60, 250, shape).astype("uint8"), 48).shape == (48, 48)
    assert SIDE == 32


@pytest.mark.parametrize("arguments", [["{empty}"], ["{filtered}", "--table", "{bad}"]])
def test_bad_usage(arguments, root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    known = {"empty": tmp_path / "empty", "filtered": root / "filtered", "bad": tmp_path / "bad.csv"}
    assert report.main([a.format(**known) for a in arguments] + ["-o", str(tmp_path / "out")]) == 2
    assert "no tables" in (said := capsys.readouterr().err) or "expected one called name" in said
