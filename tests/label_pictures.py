"""A picture of 8 bits, and maps of areas, to tell from each other."""

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

SHAPE = (300, 320)
RNG = np.random.default_rng(5)
NOISE = RNG.normal(size=SHAPE)
# Blobs, and a little noise.
PICTURE = np.clip(128 + gaussian_filter(NOISE, 4) * 400 + RNG.normal(0, 4, SHAPE), 0, 255).astype(np.uint8)


@cache
def cells(count: int, empty: float = 0.3, classes: int = 0) -> np.ndarray:
    """Areas around random points, each with its number or its class; a share of them is background."""
    rng = np.random.default_rng(6)
    tree = cKDTree(rng.random((count, 2)) * SHAPE)
    nearest = tree.query(np.argwhere(np.ones(SHAPE)))[1].reshape(SHAPE)
    names = rng.integers(1, classes + 1, count) if classes else np.arange(1, count + 1)
    return np.where(rng.random(count) < empty, 0, names)[nearest]
