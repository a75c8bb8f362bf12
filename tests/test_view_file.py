"""utils/duplicates/view_file.py: one look finds a code in any view and polarity."""

import numpy as np
import pytest

from utils.duplicates import inverted_file, view_file
from utils.duplicates.embedding import code_views, codes_of, lengths
from utils.duplicates.inverted_file import cell_count, centres
from utils.duplicates.view_file import ViewFile

COUNT, COPIES = 6000, 160


@pytest.fixture(scope="module")
def codes():
    fall = np.maximum(np.hypot(*np.indices((8, 8))), 1)
    return codes_of(np.random.default_rng(0).standard_normal((COUNT, 8, 8)) / fall)


@pytest.fixture(scope="module")
def probes(codes):
    """Noisy copies of the first codes, each in another view, every second one inverted; then one without contrast."""
    noise = np.random.default_rng(1).integers(-9, 10, (COPIES, 64))
    views = code_views(np.clip(codes[:COPIES] + noise, -127, 127).astype(np.int8))
    turned = views[np.arange(COPIES), np.arange(COPIES) % 8]
    turned[1::2] *= -1
    return np.concatenate([turned, np.zeros((1, 64), np.int8)])


@pytest.mark.parametrize(("expected", "missed"), [(COUNT, 0), (10_000_000, 5)])
def test_copies_are_found_in_every_view(codes, probes, expected, missed, monkeypatch):
    monkeypatch.setattr(inverted_file, "PRODUCTS", 5000)
    monkeypatch.setattr(view_file, "CHUNK", 300)
    file = ViewFile(expected)
    for part in np.split(np.arange(COUNT), 3):
        file.add(codes[part], part + 7)
    assert sum(cell.count for cell in file._cells) == COUNT
    probe, owner, view, cosine = (np.concatenate(column) for column in zip(*file.search(probes, 0.9), strict=True))
    found = np.unique(probe[owner == probe + 7])
    assert COPIES not in probe and COPIES - missed <= len(found) <= COPIES
    seen, stored = code_views(probes)[probe, view].astype(float), codes[owner - 7].astype(float)
    products = np.abs((seen * stored).sum(axis=1)) / lengths(probes)[probe] / lengths(codes)[owner - 7]
    assert np.allclose(products, cosine, atol=1e-5) and (cosine >= 0.9).all()


def test_one_cell_is_searched_wholly(codes, probes):
    file = ViewFile(COUNT)
    file.add(codes, np.arange(COUNT))
    found = {
        (int(p), int(o)) for probe, owner, _, _ in file.search(probes, 0.75) for p, o in zip(probe, owner, strict=True)
    }
    views = code_views(probes[:COPIES]).astype(float)
    size = lengths(probes[:COPIES])[:, np.newaxis] * lengths(codes)
    cosines = np.abs(np.einsum("pvk,ok->vpo", views, codes.astype(float))).max(axis=0) / size
    assert found == {(int(p), int(o)) for p, o in zip(*np.nonzero(cosines >= 0.75), strict=True)}
    assert len(found) > COPIES


def test_codes_without_contrast_are_left_out():
    file = ViewFile(10)
    file.add(np.zeros((3, 64), np.int8), np.arange(3))
    assert not any(cell.count for cell in file._cells) and list(file.search(np.ones((2, 64), np.int8), 0.1)) == []


def test_codes_lie_in_the_cell_that_is_nearest_by_angle(codes):
    file = ViewFile(20_000)
    file.add(codes[:100], np.arange(100))
    middle = centres(len(file._cells)).astype(float)
    assert len(file._cells) == cell_count(20_000) // 2 == 128
    middle /= lengths(middle)[:, np.newaxis]
    for number, cell in enumerate(file._cells):
        views = code_views(cell._codes[: cell.count]).astype(float)
        assert (np.abs(np.einsum("nvk,ck->nvc", views, middle)).max(axis=1).argmax(axis=1) == number).all()
    assert sorted(owner // 8 for cell in file._cells for owner in cell._owners[: cell.count]) == list(range(100))
