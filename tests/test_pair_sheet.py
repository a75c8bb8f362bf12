"""The sheet of pairs: what is left out beside what shows the same, turned as it lies, the least certain first."""

import numpy as np
import pytest
from PIL import Image

from test_greedy import indexed
from tissue import cut, excluded_deeply, texture
from utils.duplicates import pair_sheet
from utils.duplicates.embedding import view_name, view_of
from utils.duplicates.pair_sheet import GAP, _side_by_side, draw_pairs
from utils.records.duplicates import Duplicate


@pytest.fixture
def drawn(monkeypatch):
    """The sections that are drawn."""
    seen = []
    save = pair_sheet.save_sheet
    monkeypatch.setattr(
        pair_sheet, "save_sheet", lambda path, sections, **o: (seen.extend(sections), save(path, sections, **o))
    )
    return seen


def test_pairs_lie_alike(tmp_path, drawn):
    a = cut(texture(40), 0, 0)
    turned = np.ascontiguousarray(view_of(a, 6))
    one, two = indexed(tmp_path, "one", {"a": a}), indexed(tmp_path, "two", {"t": turned, "u": a.copy()})
    view = next(v for v in range(8) if np.array_equal(view_of(turned, v), a))
    rows = [
        Duplicate("u", "two", "a", "one", 0.99, 1.0, "same"),
        Duplicate("t", "two", "a", "one", 0.61, -1.0, view_name(view, True)),
    ]
    draw_pairs(tmp_path / "s.png", rows, [one, two], [])
    duplicates, excluded = drawn
    assert duplicates.heading == "duplicate: 2, the least certain first" and excluded.heading.startswith("excluded: 0")
    assert [tile.caption for tile in duplicates.tiles] == ["0.610 two", "0.990 two"]
    for tile in duplicates.tiles:
        left, gap, right = np.split(tile.patch, [224, 224 + GAP], axis=1)
        np.testing.assert_array_equal(left, a)
        np.testing.assert_array_equal(right, a)
        assert (gap == 255).all()
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 224


def test_a_leak_beside_the_part_of_the_image(tmp_path, drawn):
    bench = texture(20, (400, 400))
    (tmp_path / "bench").mkdir()
    sources = excluded_deeply(tmp_path / "bench", {"test": bench}).sources
    one = indexed(tmp_path, "one", {"leak": cut(bench, 33, 60, 112)})
    row = Duplicate("leak", "one", "test-LOC-2d-33-257_60-284", "excluded:bench/test.png", 0.9, 1.0, "same, scale 2")
    draw_pairs(tmp_path / "s.png", [row], [one], sources)
    (tile,) = drawn[1].tiles
    assert tile.patch.shape == (224, 224 + GAP + 224)
    np.testing.assert_array_equal(tile.patch[:, 224 + GAP :], bench[33:257, 60:284])


def test_no_more_than_so_many(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(pair_sheet, "SHOWN", 1)
    one = indexed(tmp_path, "one", {"a": cut(texture(40), 0, 0), "b": cut(texture(41), 0, 0)})
    rows = [Duplicate(name, "one", "a", "one", s, 1.0, "same") for name, s in (("a", 0.8), ("b", 0.7))]
    draw_pairs(tmp_path / "s.png", rows, [one], [])
    assert drawn[0].heading == "duplicate: 2, the least certain first"
    assert [tile.caption for tile in drawn[0].tiles] == ["0.700 one"]


def test_the_smaller_one_is_enlarged_to_the_height_of_the_larger():
    seen = _side_by_side(np.full((10, 4), 9, np.uint8), np.full((20, 6), 7, np.uint8))
    assert seen.shape == (20, 8 + GAP + 6)
    assert seen[5].tolist() == [9] * 8 + [255] * GAP + [7] * 6
