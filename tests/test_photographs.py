"""Photographs as matter without cells: found where they are installed, cut into tiles and windows."""

import sys

import numpy as np

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from photographs import photographs, tiles, window


def test_installed_pictures_are_gray_and_cut():
    pictures = photographs()
    assert {"brick", "china"} <= pictures.keys() and all(p.ndim == 2 and p.dtype == np.uint8 for p in pictures.values())
    cut = tiles(pictures["brick"])
    assert 4 <= len(cut) <= 6 and {tile.shape for tile in cut.values()} == {(224, 224)} and "half" in cut
    assert np.array_equal(cut["0-0"], pictures["brick"][:224, :224])
    assert tiles(np.zeros((200, 300), np.uint8)) == {}


def test_windows_depend_on_the_seed_alone():
    pictures = [np.arange(300 * 400, dtype=np.uint32).reshape(300, 400).astype(np.uint8)]
    one, two, other = (window(np.random.default_rng(seed), pictures, 64) for seed in (3, 3, 4))
    assert one.shape == (64, 64) and one.dtype == np.float32
    assert np.array_equal(one, two) and not np.array_equal(one, other)
