"""utils/duplicates/inverted_file.py: what is alike is found in few cells."""

import numpy as np
import pytest

from utils.duplicates import inverted_file
from utils.duplicates.embedding import codes_of
from utils.duplicates.inverted_file import Cell, InvertedFile, cell_count, centres, greatest


def cosine(a, b):
    return float(a.astype(float) @ b.astype(float) / (np.linalg.norm(a) * np.linalg.norm(b)))


def held(file):
    return sum(cell.count for cell in file._cells)


def test_search_in_cells_finds_what_looking_at_all_finds(monkeypatch):
    rng = np.random.default_rng(0)
    codes = codes_of(rng.standard_normal((6000, 8, 8)) / np.maximum(np.hypot(*np.indices((8, 8))), 1))
    noisy = np.clip(codes[:200].astype(int) + rng.integers(-9, 10, (200, 64)), -127, 127).astype(np.int8)
    probes = np.concatenate([noisy[:100], -noisy[100:]])
    own = {(i, i) for i in range(100)}
    whole, cells = InvertedFile(len(codes)), InvertedFile(10_000_000)
    assert cell_count(6000) == 1 and cell_count(10_000_000) > 1000
    for each in (whole, cells):
        for part in np.split(np.arange(6000), 3):
            each.add(codes[part], part)
        assert held(each) == 6000
    monkeypatch.setattr(inverted_file, "PRODUCTS", 5000)
    found = []
    for each in (whole, cells):
        probe, owner, cosines = each.pairs(probes, 0.9, probed=16)
        found.append(set(zip(probe.tolist(), owner.tolist(), strict=True)))
        expected = [cosine(probes[p], codes[o]) for p, o in zip(probe, owner, strict=True)]
        assert np.allclose(cosines, expected, atol=1e-5)
    assert {probe for probe, _ in found[0]} == set(range(100))  # what is inverted is not alike
    (cell,) = whole._cells
    hits = list(cell.search(probes, 0.9, either_sign=True))
    assert {probe for hit in hits for probe in hit[0].tolist()} == set(range(200))
    assert all((hit[2] >= 0.9).all() for hit in hits)
    assert own <= found[0] and found[1] <= found[0] and len(own & found[1]) >= 97


def test_flat_windows_resemble_nothing_and_centres_never_change():
    file = InvertedFile(10)
    file.add(np.zeros((3, 64), np.int8), np.arange(3))
    assert held(file) == 0 == len(file.pairs(np.zeros((2, 64), np.int8), 0.1, probed=1)[0])
    assert [cell_count(n) for n in (16384, 16385, 65536, 65537, 262144, 1_000_000)] == [1, 256, 256, 512, 512, 1024]
    assert np.abs(centres(512).astype(int)).sum() == pytest.approx(959532, rel=1e-5)  # a rounding may differ
    assert len(np.unique(centres(512), axis=0)) == 512


def test_the_nearest_cell_is_so_by_angle_not_by_length():
    middle, code = np.zeros((2, 64), np.int8), np.zeros((1, 64), np.int8)
    middle[0, 0], middle[1, :2], code[0, :2] = 120, (40, 10), (90, 20)
    file = InvertedFile(10, middle)
    file.add(code, np.array([5]))
    assert [cell.count for cell in file._cells] == [0, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_places_of_the_greatest(count):
    found = greatest(np.array([[3, 1, 2], [1, 5, 4]]), count)
    assert [sorted(row) for row in found.tolist()] == [sorted([0, 2, 1][:count]), sorted([1, 2, 0][:count])]


def test_full_cells_grow_by_half():
    cell, rooms = Cell(), []
    for length in (10, 1, 4, 1, 30):
        cell.extend(np.ones((length, 64), np.int8), np.zeros(length, np.int64))
        rooms.append((cell.count, len(cell._codes)))
    assert rooms == [(10, 10), (11, 15), (15, 15), (16, 22), (46, 46)]


def test_pairs_come_by_probe_and_owner():
    codes = codes_of(np.random.default_rng(1).standard_normal((50, 8, 8)))
    file = InvertedFile(10)
    file.add(codes[::-1].copy(), np.arange(50)[::-1])
    file.add(codes[:3], np.arange(50, 53))
    probe, owner, cosines = file.pairs(codes[:3], 0.99, probed=1)
    assert probe.tolist() == [0, 0, 1, 1, 2, 2] and owner.tolist() == [0, 50, 1, 51, 2, 52]
    assert np.allclose(cosines, 1) and cosines.dtype == np.float32
    for probes in (codes[:0], np.zeros((2, 64), np.int8)):
        assert [len(column) for column in file.pairs(probes, 0.99, probed=1)] == [0, 0, 0]


def test_of_equals_the_first_is_the_greatest_on_every_machine():
    assert greatest(np.array([[0, 7, 7, 7], [5, 5, 5, 1]]), 1).tolist() == [[1], [0]]


def test_more_probes_than_products_are_looked_at_code_by_code(monkeypatch):
    codes = codes_of(np.random.default_rng(1).standard_normal((4, 8, 8)))
    cell = Cell()
    cell.extend(codes, np.arange(4))
    monkeypatch.setattr(inverted_file, "PRODUCTS", 2)
    found = [pair for probe, owner, _ in cell.search(codes, 0.99) for pair in zip(probe, owner, strict=True)]
    assert found == [(i, i) for i in range(4)]
