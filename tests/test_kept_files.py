"""utils/classification/kept_files.py: a table's TIFFs are tifffile's own bytes, come all at once, and go with it."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from utils.classification.kept_files import KeptTiffs, discard_table, kept_files, kept_folder, listed_kept
from utils.records.kept_patch import KeptRecord, read_kept_record
from utils.records.scores import KEPT, LOW_SCORE, Score, save_scores


@pytest.mark.parametrize("shape", [(224, 224), (1, 1), (3, 5), (112, 224), (2048, 2051)])
def test_kept_tiffs_are_tifffiles_own_bytes(tmp_path, shape):
    tiffs, rng = KeptTiffs(), np.random.default_rng(0)
    for score in (0.5, 0.9876, 0.9875, 0.9):
        patch = rng.integers(0, 256, shape, np.uint8)
        record = KeptRecord("brain \u00b5m 'a\\b'", score)
        tiffs.write(tmp_path / "a.tiff", patch, record)
        options: dict = {"photometric": "minisblack", "metadata": None, "software": False}
        tifffile.imwrite(tmp_path / "b.tiff", patch, description=record.to_json(), **options)
        assert (tmp_path / "a.tiff").read_bytes() == (tmp_path / "b.tiff").read_bytes()
        assert read_kept_record(tmp_path / "a.tiff") == record


def test_kinds_that_are_remembered_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.classification.kept_files.MOST_KINDS", 2)
    tiffs = KeptTiffs()
    for side in (4, 5, 4, 5):
        tiffs.write(tmp_path / "a.tiff", np.zeros((side, 4), np.uint8), KeptRecord("d", 0.5))
    assert len(tiffs._kinds) == 2
    for side in (4, 5, 6, 4):
        patch = np.full((side, 4), side, np.uint8)
        tiffs.write(tmp_path / "a.tiff", patch, KeptRecord("d", 0.5))
        assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), patch) and len(tiffs._kinds) <= 2
    view = np.arange(32, dtype=np.uint8).reshape(4, 8)[:, ::2]
    tiffs.write(tmp_path / "a.tiff", view, KeptRecord("d", 0.5))
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), view)


def test_compressed_ones_are_laid_out_by_tifffile(tmp_path):
    tiffs, patch = KeptTiffs("zstd"), np.zeros((64, 64), np.uint8)
    tiffs.write(tmp_path / "a.tiff", patch, KeptRecord("d", 0.5))
    assert (tmp_path / "a.tiff").stat().st_size < 1000 and tiffs._kinds == {}
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), patch)
    assert read_kept_record(tmp_path / "a.tiff") == KeptRecord("d", 0.5)


PATCH = np.arange(64, dtype=np.uint8).reshape(8, 8)


def row(name: str, kept: bool = True) -> Score:
    return Score(name, 0.75 if kept else 0.25, kept, KEPT if kept else LOW_SCORE)


def commit(table: Path, *rows: Score) -> None:
    with kept_files(table, {"source": "v.mrc"}) as kept:
        kept.add(rows, [PATCH] * len(rows))
        kept.commit()
    save_scores(table, list(rows))


def names(table: Path) -> list[str]:
    return sorted(path.name for path in kept_folder(table).glob("*"))


def test_the_regions_of_a_dataset_share_a_folder(tmp_path):
    assert kept_folder(tmp_path / "fly-ROI-x0-9_y0-9_z0-9.csv") == tmp_path / "fly"


def test_only_what_is_kept_is_written(tmp_path):
    table = tmp_path / "fly.csv"
    commit(table, row("a"), row("b", kept=False), row("c"))
    assert names(table) == ["a.tiff", "c.tiff"] and listed_kept(table) == {"a", "c"}
    record = read_kept_record(kept_folder(table) / "a.tiff")
    assert (record.dictionary, record.score, record.source) == ("fly", 0.75, "v.mrc")


def test_what_is_no_longer_kept_goes(tmp_path):
    table = tmp_path / "fly.csv"
    commit(table, row("a"), row("b"))
    commit(table, row("b"), row("c"))
    assert names(table) == ["b.tiff", "c.tiff"] and listed_kept(table) == {"b", "c"}
    commit(table, row("b", kept=False))
    assert not kept_folder(table).exists() and listed_kept(table) == set()


def test_what_is_not_committed_leaves_nothing(tmp_path):
    table = tmp_path / "fly.csv"
    with kept_files(table, {}) as kept:
        kept.add([row("a")], [PATCH])
    assert list(tmp_path.iterdir()) == []


def test_patches_of_another_dictionary_are_not_overwritten(tmp_path):
    one, other = tmp_path / "fly-ROI-x0-9_y0-9_z0-9.csv", tmp_path / "fly-ROI-x9-18_y0-9_z0-9.csv"
    commit(one, row("a"))
    before = (kept_folder(one) / "a.tiff").read_bytes()
    with pytest.raises(ValueError, match=r"a\.tiff was already written from fly-ROI-x0-9_y0-9_z0-9\.pkl"):
        commit(other, row("a"))
    assert (kept_folder(one) / "a.tiff").read_bytes() == before
    commit(one, row("a"))


def test_a_run_that_ends_between_two_patches_leaves_a_list_of_all_there_may_be(tmp_path):
    table = tmp_path / "fly.csv"
    commit(table, row("b"))
    (kept_folder(table) / "b.tiff").unlink()
    (kept_folder(table) / "b.tiff").mkdir()  # where no TIFF can take its place
    with pytest.raises(OSError, match=r"b\.tiff"):
        commit(table, row("a"), row("b"), row("c"))
    assert (kept_folder(table) / "a.tiff").exists() and listed_kept(table) == {"a", "b", "c"}


def test_a_table_without_a_list_tells_by_its_rows(tmp_path):
    table = tmp_path / "fly.csv"
    assert listed_kept(table) == set()
    save_scores(table, [row("a"), row("b", kept=False)])
    assert listed_kept(table) == {"a"}
    discard_table(table)
    assert not table.exists() and listed_kept(table) == set()


@pytest.mark.parametrize("listed", ["list", "table"])
def test_a_table_from_elsewhere_removes_nothing_outside_of_its_folder(tmp_path, listed):
    table, precious = tmp_path / "kept" / "fly.csv", tmp_path / "precious.tiff"
    table.parent.mkdir()
    commit(table, row("a"))
    precious.write_bytes(b"mine")
    outside = ["../../precious", str(precious.with_suffix(""))]
    if listed == "list":
        (table.parent / ".recipes" / "fly.csv.kept").write_text("\n".join(["a", *outside]))
    else:
        (table.parent / ".recipes" / "fly.csv.kept").unlink()
        save_scores(table, [row("a"), *map(row, outside)])
    discard_table(table)
    assert precious.exists() and not kept_folder(table).exists()


def test_a_table_goes_with_its_patches_and_no_others(tmp_path):
    one, other = tmp_path / "fly-ROI-x0-9_y0-9_z0-9.csv", tmp_path / "fly-ROI-x9-18_y0-9_z0-9.csv"
    commit(one, row("a"))
    commit(other, row("b"))
    discard_table(one)
    assert names(other) == ["b.tiff"] and not one.exists()
    discard_table(other)
    assert not (tmp_path / "fly").exists() and not list(tmp_path.glob(".recipes/*.kept"))
