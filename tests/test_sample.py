"""utils/classification/sample.py: patches of many dictionaries."""

import numpy as np
import pytest

from conftest import noise_patches
from utils.classification.sample import are_worth_a_model, sample_patches
from utils.dictionaries import save_patches


def test_a_sample_is_the_same_whatever_the_order(tmp_path):
    paths = [tmp_path / f"{name}.pkl" for name in "abc"]
    for seed, path in enumerate(paths):
        save_patches(path, [f"{path.stem}{i}" for i in range(40)], noise_patches(40, 8, seed))
    (tmp_path / "broken.pkl").write_bytes(b"no pickle")
    drawn = sample_patches([*paths, tmp_path / "broken.pkl"], 50)
    again = sample_patches([tmp_path / "broken.pkl", *reversed(paths)], 50)
    assert len(drawn) == 50 and all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert len({patch.tobytes() for patch in sample_patches(paths, 1000)}) == 120 and sample_patches([], 5) == []


@pytest.mark.parametrize(
    ("broken", "count", "found"),
    [(0, 30, 30), (1, 30, 30), (2, 30, 20), (2, 31, 21), (39, 17, 16), (39, 1, 1)],
)
def test_a_dictionary_gives_twice_its_share_and_sixteen_at_least(tmp_path, broken, count, found):
    save_patches(tmp_path / "a.pkl", [str(i) for i in range(40)], noise_patches(40, 8, 0))
    paths = [tmp_path / "a.pkl", *(tmp_path / f"broken{i}.pkl" for i in range(broken))]
    assert len(sample_patches(paths, count)) == found


@pytest.mark.parametrize(("most", "count", "found"), [(1023, 99, 16), (1024, 99, 32), (1 << 20, 16, 16)])
def test_no_more_is_read_than_was_asked_for_or_memory_allows(tmp_path, monkeypatch, most, count, found):
    monkeypatch.setattr("utils.classification.sample.MOST_BYTES", most)
    for name in "ab":
        save_patches(tmp_path / f"{name}.pkl", [str(i) for i in range(16)], [np.full((8, 8), ord(name), np.uint8)] * 16)
    chosen = sample_patches([tmp_path / "a.pkl", tmp_path / "b.pkl"], count)
    assert len(chosen) == found and len({patch[0, 0] for patch in chosen}) == found // 16


@pytest.mark.parametrize(("least", "worth"), [(80, True), (81, False)])
def test_few_patches_are_not_worth_a_model(tmp_path, monkeypatch, least, worth):
    monkeypatch.setattr("utils.classification.sample.WORTH_A_MODEL", least)
    for name in "ab":
        save_patches(tmp_path / f"{name}.pkl", [str(i) for i in range(40)], noise_patches(40, 8, 0))
    (tmp_path / "broken.pkl").write_bytes(b"no pickle")
    assert are_worth_a_model([tmp_path / f"{name}.pkl" for name in ("a", "broken", "b")]) is worth
