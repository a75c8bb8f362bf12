"""A small dictionary as our own scripts write it, for tests of how it is written and read."""

from pathlib import Path

import numpy as np

from utils.dictionaries import save_patches

_RNG = np.random.default_rng(0)
PATCHES = [_RNG.integers(0, 255, (40 + i % 3, 50), dtype=np.uint8) for i in range(25)]
NAMES = [f"a-LOC-2d-{i}" for i in range(25)]
STACK = _RNG.integers(0, 255, (7, 40, 50), dtype=np.uint8)


def write_dictionary(path: Path) -> Path:
    """Write the patches, with hashes and meta; returns the path."""
    save_patches(path, NAMES, iter(PATCHES), hashes=np.arange(25, dtype=np.uint64), meta={"crop": 50})
    return path
