"""The rooms of utils/duplicates that compare patches: embedding, search, verification, indexes, tables."""

import json
import os
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tissue import cut, dictionary, texture
from utils.cli import UsageError
from utils.dictionaries import load_patches
from utils.duplicates import embedding, inverted_file
from utils.duplicates.collection import labels_of, list_dictionaries, rank_of
from utils.duplicates.decisions import key_of, remembered
from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path
from utils.duplicates.embedding import code_views, codes_of, embed, transform, view_of
from utils.duplicates.greedy import compare_patches
from utils.duplicates.index_file import current_index, read_index, write_index
from utils.duplicates.inverted_file import InvertedFile, cell_count, centres
from utils.duplicates.verify import Agreement, compare, correlation, tile_correlations
from utils.jobs import SKIPPED, Job
from utils.records.duplicates import COLUMNS, EXCLUDED, Duplicate, LeftOut, read_duplicates, save_duplicates


def cosine(a, b):
    return float(a.astype(float) @ b.astype(float) / (np.linalg.norm(a) * np.linalg.norm(b)))


# embedding


@given(st.integers(0, 50), st.integers(0, 7))
def test_the_code_of_a_view_is_the_view_of_the_code(seed, view):
    patch = cut(texture(seed % 4, (256, 256)), seed % 30, seed // 2, 192)
    assert np.array_equal(embed(view_of(patch, view)), code_views(embed(patch)[np.newaxis])[0, view])


def test_views_are_eight_and_names_tell_them():
    patch = np.arange(12, dtype=np.uint8).reshape(3, 4)
    seen = {(view_of(patch, v).shape, view_of(patch, v).tobytes()) for v in range(8)}
    assert len(seen) == 8 and len({embedding.view_name(v) for v in range(8)}) == 8
    assert np.array_equal(view_of(patch, 6), np.rot90(patch)) and embedding.view_name(6) == "rot90"
    assert np.array_equal(view_of(patch, 5), np.rot90(patch, 3)) and embedding.view_name(5) == "rot270"
    assert np.array_equal(view_of(patch, 3), np.rot90(patch, 2)) and embedding.view_name(3) == "rot180"


def test_inversion_is_the_negative_and_contrast_does_not_count():
    patch = cut(texture(0), 0, 0)
    code = embed(patch)
    assert np.array_equal(embed(255 - patch), -code)
    assert np.array_equal(embed(patch // 2 * 2 // 2 + 60), embed(patch // 2))
    assert not embed(np.full((224, 224), 7, np.uint8)).any()
    assert code[0] == 0 and code.dtype == np.int8 and abs(code).max() <= 120


def test_sizes_of_one_field_have_one_code():
    patch = cut(texture(1), 10, 10)
    half = cv2.resize(patch, (112, 112), interpolation=cv2.INTER_AREA)
    odd = cv2.resize(patch, (150, 150), interpolation=cv2.INTER_AREA)
    assert cosine(embed(patch), embed(half)) > 0.999 and cosine(embed(patch), embed(odd)) > 0.99
    assert embedding.block_sums(odd).sum() == 32 * 32 * odd.sum(dtype=np.int64)


def test_transform_is_a_cosine_transform_without_a_constant_part():
    sums = np.random.default_rng(0).integers(0, 4080, (5, 40, 40)).astype(float)
    assert np.array_equal(transform(sums + 1000)[:, 1:], transform(sums)[:, 1:])
    mine = transform(sums)[0, 1:, 1:]
    reference = cv2.dct(sums[0])[1:8, 1:8]
    assert np.allclose(mine / mine.std(), reference / reference.std(), atol=0.02)


# inverted file


def test_search_in_cells_finds_what_looking_at_all_finds(monkeypatch):
    rng = np.random.default_rng(0)
    codes = codes_of(rng.standard_normal((6000, 8, 8)) / np.maximum(np.hypot(*np.indices((8, 8))), 1))
    noisy = np.clip(codes[:200].astype(int) + rng.integers(-9, 10, (200, 64)), -127, 127).astype(np.int8)
    probes = np.concatenate([noisy[:100], -noisy[100:]])
    whole, cells = InvertedFile(len(codes)), InvertedFile(10_000_000)
    assert cell_count(6000) == 1 and cell_count(10_000_000) > 1000
    for each in (whole, cells):
        for part in np.split(np.arange(6000), 3):
            each.add(codes[part], part)
        assert len(each) == 6000
    monkeypatch.setattr(inverted_file, "PRODUCTS", 5000)
    found = []
    for each in (whole, cells):
        hits = list(each.search(probes, 0.9, either_sign=True))
        found.append({(int(p), int(o)) for probe, owner, _ in hits for p, o in zip(probe, owner, strict=True)})
        for probe, owner, cosines in hits:
            expected = [cosine(probes[p], codes[o]) for p, o in zip(probe, owner, strict=True)]
            assert np.allclose(cosines, expected, atol=1e-5)
    assert {(i, i) for i in range(200)} <= found[0] and found[1] <= found[0]
    assert len({(i, i) for i in range(200)} & found[1]) >= 195
    positive = {int(p) for probe, *_ in whole.search(probes, 0.9, either_sign=False) for p in probe}
    assert positive == set(range(100))


def test_flat_windows_resemble_nothing_and_centres_never_change():
    file = InvertedFile(10)
    file.add(np.zeros((3, 64), np.int8), np.arange(3))
    assert len(file) == 0 and list(file.search(np.zeros((2, 64), np.int8), 0.1, either_sign=True)) == []
    assert cell_count(16384) == 1 and cell_count(16385) > 1
    assert int(np.abs(centres(512).astype(int)).sum()) == int(np.abs(centres(512).astype(int)).sum())
    assert len(np.unique(centres(512), axis=0)) == 512


# verification


def test_copies_agree_and_others_do_not():
    image = texture(2)
    patch = cut(image, 100, 100)
    copy = compare(patch, patch)
    assert copy == Agreement(1.0, 1.0, (0, 0)) and copy.holds()
    shifted = compare(patch, cut(image, 107, 91))
    assert shifted.shift == (7, -9) and shifted.similarity > 0.99 and shifted.holds(0.9)
    inverted = compare(patch, 255 - patch)
    assert inverted.similarity == pytest.approx(1) and inverted.correlation == pytest.approx(-1) and inverted.holds()
    other = compare(patch, cut(texture(3), 100, 100))
    assert other.similarity < 0.3 and not other.holds()
    assert not compare(patch, np.full_like(patch, 9)).holds()


def test_an_edge_in_common_is_no_tissue_in_common():
    rng = np.random.default_rng(0)
    steps = [np.where(np.arange(224) < 112, 40, 220) + rng.normal(0, 9, (224, 224)) for _ in range(2)]
    first, second = (np.clip(step, 0, 255).astype(np.uint8) for step in steps)
    found = compare(first, second)
    assert abs(correlation(first, second)) > 0.95 and not found.holds()


def test_what_is_not_known_does_not_count():
    patch = cut(texture(4), 0, 0)
    half = patch.copy()
    half[:, :112] = 0
    valid = np.zeros(patch.shape, bool)
    valid[:, 112:] = True
    found = compare(patch, half, valid)
    assert found.similarity == pytest.approx(1) and found.holds()
    assert not compare(patch, half).holds(0.9)


def test_correlation_and_tiles():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 56, 84), dtype=np.uint8)
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    tiles = tile_correlations(a, b)
    assert len(tiles) == 6
    assert tiles[4] == pytest.approx(np.corrcoef(a[28:, 28:56].ravel(), b[28:, 28:56].ravel())[0, 1])
    assert tile_correlations(np.zeros_like(a), np.zeros_like(b)) == []
    assert tile_correlations(a, np.zeros_like(b)) == [0.0] * 6


def test_patches_of_other_sizes_and_shapes():
    patch = cut(texture(5), 0, 0)
    small = cv2.resize(patch, (112, 112), interpolation=cv2.INTER_AREA)
    assert compare_patches(patch, small).similarity > 0.99 and compare_patches(small, patch).similarity > 0.99
    assert compare_patches(patch, patch[:, :150]).similarity == 0  # another field
    tiny = cv2.resize(patch, (40, 40), interpolation=cv2.INTER_AREA)
    assert compare_patches(tiny, tiny).similarity == 0  # too small to be told


# indexes


@pytest.fixture
def indexed(tmp_path):
    image = texture(6)
    path = dictionary(
        tmp_path / "d" / "fly.pkl", {"a": cut(image, 0, 0), "b": cut(image, 200, 64)}, voxel_size=(9, 4, 4)
    )
    job = Job(path, index_path(path))
    assert index_dictionary(job) == "2 patches"
    return job


def test_an_index_gives_back_names_pixels_and_codes(indexed):
    mine = Dictionary(indexed.source, "fly", current_index(indexed.target, indexed.source))
    content = load_patches(indexed.source)
    assert mine.names == ["a", "b"] and len(mine) == 2 and mine.index.meta["voxel_size"] == [9, 4, 4]
    assert (mine.index["offsets"] > 0).all()
    for row in (0, 1):
        assert np.array_equal(mine.patch(row), content["patches"][row])
        assert np.array_equal(mine.index["codes"][row], embed(content["patches"][row]))
    assert index_dictionary(indexed) == SKIPPED


def test_pixels_that_the_file_holds_in_another_way_are_found_too(tmp_path):
    path = tmp_path / "old.pkl"
    patches = np.stack([cut(texture(7), 0, 0), cut(texture(7), 9, 99)])
    path.write_bytes(pickle.dumps({"names": ["a", "b"], "patches": list(patches)}, protocol=2))
    index_dictionary(Job(path, index_path(path)))
    mine = Dictionary(path, "old", read_index(index_path(path)))
    assert (mine.index["offsets"] == -1).all() and np.array_equal(mine.patch(1), patches[1])
    assert mine.index.meta["voxel_size"] is None
    path.write_bytes(pickle.dumps({"names": ["a", "b"], "patches": patches}))
    index_dictionary(Job(path, index_path(path)))
    mine = Dictionary(path, "old", read_index(index_path(path)))
    assert np.array_equal(mine.patch(0), patches[0]) and (mine.index["offsets"] > 0).all()


def test_a_new_date_keeps_the_index_and_new_content_does_not(indexed):
    before = (indexed.target / "codes.bin").stat()
    os.utime(indexed.source, ns=(1, 1))
    assert index_dictionary(indexed) == SKIPPED
    assert (indexed.target / "codes.bin").stat().st_mtime_ns == before.st_mtime_ns
    assert read_index(indexed.target).meta["source"][1] == 1
    content = load_patches(indexed.source)
    dictionary(indexed.source, {"c": content["patches"][0]})
    assert index_dictionary(indexed) == "1 patches"
    indexed.source.unlink()
    assert current_index(indexed.target, indexed.source) is None


@pytest.mark.parametrize("harm", ["cut", "json", "version", "gone"])
def test_a_damaged_index_is_made_anew(indexed, harm):
    if harm == "cut":
        (indexed.target / "codes.bin").write_bytes(b"123")
    elif harm == "gone":
        (indexed.target / "names.bin").unlink()
    else:
        meta = json.loads((indexed.target / "index.json").read_text())
        text = "{" if harm == "json" else json.dumps({**meta, "version": 0})
        (indexed.target / "index.json").write_text(text)
    assert read_index(indexed.target) is None
    assert index_dictionary(indexed) == "2 patches"
    assert len(read_index(indexed.target)["codes"]) == 2


def test_a_failure_leaves_no_index(tmp_path):
    def fill(writer):
        writer.append(numbers=np.arange(3))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_index(tmp_path / "index", fill)
    assert list(tmp_path.iterdir()) == []


# collection and table


def test_each_file_once_whatever_the_order(tmp_path):
    for name in ("x/a.pkl", "y/b.pkl"):
        dictionary(tmp_path / name, {"p": cut(texture(0), 0, 0)})
    x, y = tmp_path / "x", tmp_path / "y"
    assert (
        [p.name for p in list_dictionaries([y, x, y])]
        == ["a.pkl", "b.pkl"]
        == [p.name for p in list_dictionaries([x, y])]
    )
    with pytest.raises(UsageError, match="no patch dictionaries"):
        list_dictionaries([tmp_path])


def test_labels_tell_dictionaries_apart(tmp_path):
    paths = [tmp_path / "a" / "2d" / "f.pkl", tmp_path / "b" / "2d" / "f.pkl", tmp_path / "b" / "g.pkl"]
    assert labels_of(paths) == ["a/2d/f", "b/2d/f", "g"]


def test_preferences(indexed, tmp_path):
    mine = Dictionary(indexed.source, "fly", read_index(indexed.target))
    assert rank_of("name")(mine) == 0 and rank_of("finer")(mine) == 16
    table = tmp_path / "order.csv"
    table.write_text("doi,Name\n1,bee\n2,fly\n")
    assert rank_of(str(table))(mine) == 1
    table.write_text("wasp\nfly\nfly\n")
    assert rank_of(str(table))(mine) == 1
    table.write_text("bee\n")
    assert rank_of(str(table))(mine) == float("inf")
    table.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        rank_of(str(table))
    with pytest.raises(UsageError, match="neither name nor finer"):
        rank_of("coarser")


def test_the_table_round_trips_and_says_why(tmp_path):
    rows = [
        Duplicate("b", "2d/fly", "x-LOC-2d-0-9_0-9", f"{EXCLUDED}bench/x.png", 0.75, -0.8, "rot90 inverted"),
        Duplicate("a", "bee", "c", "3d/fly", 1.0, 1.0, "same"),
    ]
    path = tmp_path / "duplicates.csv"
    save_duplicates(path, rows[::-1])
    assert read_duplicates(path) == rows
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    left = LeftOut.read(path)
    assert left.reasons(tmp_path / "2d" / "fly.pkl") == {"b": "excluded"}
    assert left.reasons(tmp_path / "bee.pkl") == {"a": "duplicate"}
    assert left.reasons(tmp_path / "3d" / "fly.pkl") == {} == left.reasons(tmp_path / "fly.pkl")


def test_tables_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("name,score\n")
    with pytest.raises(ValueError, match="no table of duplicates"):
        read_duplicates(path)
    path.write_text(",".join(COLUMNS) + "\na,b,c,d,high,1,same\n")
    with pytest.raises(ValueError, match="line 2"):
        read_duplicates(path)


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: []) == rows
    assert remembered(indexed.source, "duplicates", key_of(2), lambda: []) == []
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
