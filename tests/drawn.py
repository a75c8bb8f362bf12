"""What a seed draws stays the same: trainings are repeated by it. Figures, not bytes: OpenCV rounds by machine."""

from collections.abc import Callable

import numpy as np


def figures(draw: Callable[[np.random.Generator], np.ndarray], seeds: range) -> list[list[float]]:
    """Mean, deviation and two pixels of what each seed draws."""
    images = [np.asarray(draw(np.random.default_rng(seed)), np.float64) for seed in seeds]
    return [[image.mean(), image.std(), image[3, 5], image[-4, 7]] for image in images]


def assert_drawn(draw: Callable[[np.random.Generator], np.ndarray], wanted: list[list[float]], within: float) -> None:
    """Compare with figures noted before, of seeds 0, 1, ..."""
    found = figures(draw, range(len(wanted)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=within)
