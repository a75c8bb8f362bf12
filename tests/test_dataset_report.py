"""The page of a dataset: where it lies, what it is made from, what it shows."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from made_collection import add_dataset, image_names, pixels
from utils.collection.dataset_report import DatasetJob, planned_files, report_dataset, save_script, slug
from utils.collection.inventory import list_parts
from utils.collection.overviews import OVERVIEW_SHEET
from utils.collection.page_files import SHEET
from utils.jobs import SKIPPED, Job, SomeFailed


def test_names_of_folders_are_safe_and_apart():
    names = ["fly", "Fly", "FLY", "a/b", "a_b", "..", "b ü", "x" * 300, "x" * 301]
    slugs = [slug(name) for name in names]
    assert len({s.lower() for s in slugs}) == len(names)
    assert all(s and s.isascii() and "/" not in s and "." not in s and len(s) < 80 for s in slugs)
    assert (slug("fly_s-0"), slug("Mouse <b>"), slug("x" * 60)) == ("fly_s-0", "Mouse__b_-6fffddc3", "x" * 60)


@pytest.fixture
def root(tmp_path):
    """Five patches of images, classified."""
    add_dataset(tmp_path, "tem", image_names(["a"]))
    return tmp_path


def job_of(root, **changes):
    parts = tuple(list_parts(root / "filtered", [root / "patches"]))
    source = DatasetJob("tem", parts, {"license": "CC0"}, "train", 0.5)
    return Job(replace(source, **changes), root / "out/tem")


def data(root):
    text = (root / "out/datasets/tem/data.js").read_text()
    return json.loads(text.removeprefix("window.DATA = ").removesuffix(";\n"))


def test_a_page_is_made_once(root):
    assert report_dataset(root / "out", job_of(root)) == "4 patches"
    assert report_dataset(root / "out", job_of(root)) == SKIPPED
    found = data(root)
    assert found["score"] == sorted(found["score"]) == [0.125, 0.375, 0.625, 0.875]
    assert found["kept_now"] == [0, 0, 1, 1] and found["threshold"] == 0.5 and found["source_names"] == ["a"]
    assert [found["reasons"][i] for i in found["reason"]] == ["low score"] * 2 + ["kept"] * 2
    assert found["loc"] == [f"2d-{y}-{y + 32}_{x}-{x + 32}" for y, x in ((0, 0), (32, 32), (32, 0), (0, 32))]
    files = {path.name for path in (root / "out/datasets/tem").iterdir()}
    assert files == {"sheet-0000.jpg", "overview-0000.jpg", "strip.jpg", "manifest.parquet", "data.js", "index.html"}
    assert strip_of(root, 2) == [2, 1]  # the two that are kept, by their scores


def strip_of(root, grid):
    """The numbers of the patches that the strip shows."""
    with Image.open(root / "out/datasets/tem/strip.jpg") as picture:
        strip = np.asarray(picture)
    known = [np.kron(pixels(name), np.ones((2, 2))).ravel() for name in image_names(["a"], grid)]
    assert strip.shape[0] == 64 and strip.shape[1] % 64 == 0
    cells = [cell.ravel() for cell in np.split(strip, strip.shape[1] // 64, axis=1)]
    return [int(np.argmax([np.corrcoef(cell, other)[0, 1] for other in known])) for cell in cells]


def test_the_strip_goes_from_the_lowest_score_to_the_highest(tmp_path):
    add_dataset(tmp_path, "tem", image_names(["a"], 4), kept=1.0)
    report_dataset(tmp_path / "out", job_of(tmp_path))
    by_score = sorted(range(16), key=lambda i: i * 7 % 16)
    assert strip_of(tmp_path, 4) == [by_score[i] for i in (0, 3, 6, 9, 12, 15)]


def test_no_rows_no_strip(root):
    table = root / "filtered/tem.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    assert report_dataset(root / "out", job_of(root)) == "0 patches"
    with Image.open(root / "out/datasets/tem/strip.jpg") as black:
        assert black.size == (64, 64)


@pytest.mark.parametrize("change", [{"split": "test"}, {"threshold": 0.6}, {"free": {}}])
def test_what_a_page_says_decides_when_it_is_made(root, change):
    report_dataset(root / "out", job_of(root))
    assert report_dataset(root / "out", job_of(root, **change)) == "4 patches"


def test_what_a_page_is_made_from_decides(root):
    first = job_of(root).source.fingerprint()
    assert first == job_of(root).source.fingerprint()
    table = root / "filtered/tem.csv"
    table.write_text(table.read_text().replace("0.1250", "0.1251"))
    second = job_of(root).source.fingerprint()
    assert second != first
    os.utime(root / "filtered/tem", (1, 1))
    assert job_of(root).source.fingerprint() == second


def test_only_the_volume_of_a_part_decides(root):
    folder = root / "volumes"
    folder.mkdir()

    def write(name, columns):
        tifffile.imwrite(folder / name, np.zeros((3, 8, columns), np.uint8), photometric="minisblack")

    def fingerprint():
        return job_of(root, volumes=(str(folder),)).source.fingerprint()

    write("tem.tif", 8)
    write("other.tif", 8)
    first = fingerprint()
    assert first != job_of(root).source.fingerprint()
    write("other.tif", 9)
    assert fingerprint() == first
    write("tem.tif", 9)
    assert fingerprint() != first


def test_without_a_dictionary_the_kept_patches_decide(root):
    def fingerprint():
        return job_of(root, parts=tuple(list_parts(root / "filtered"))).source.fingerprint()

    first = fingerprint()
    assert first == fingerprint() != job_of(root).source.fingerprint()
    kept = next((root / "filtered/tem").iterdir())
    seen = kept.stat()
    kept.write_bytes(kept.read_bytes()[::-1])  # of the same size and date
    os.utime(kept, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    second = fingerprint()
    assert second != first
    shutil.rmtree(root / "filtered/tem")
    assert fingerprint() not in (first, second)


def test_failures_are_named_and_tried_again(root):
    report_dataset(root / "out", job_of(root))
    (root / "patches/tem.pkl").write_bytes(b"\xae" * 99)
    with pytest.raises(SomeFailed) as caught:
        report_dataset(root / "out", job_of(root))
    assert list(caught.value.failures) == [str(root / "patches/tem.pkl")]
    assert not (root / "out/datasets/tem").exists()  # the page of what was there before


def test_files_that_there_may_be():
    names = planned_files("d", SHEET**2 + 1)
    assert names[:2] == ["d/sheet-0000.jpg", "d/sheet-0001.jpg"] and "d/sheet-0002.jpg" not in names
    assert sum("overview" in name for name in names) == -(-2000 // OVERVIEW_SHEET**2) and names[-1] == "d/index.html"
    assert planned_files("d", 0)[0] == "d/overview-0000.jpg"


def test_nothing_in_data_ends_the_script(tmp_path):
    save_script(tmp_path / "d.js", {"a": "</script>ü"})
    assert (tmp_path / "d.js").read_text() == 'window.DATA = {"a":"\\u003c/script>\\u00fc"};\n'
