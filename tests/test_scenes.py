"""utils/training/synthetic/scenes.py and negatives.py: drawn patches."""

from pathlib import Path

import numpy as np
import pytest

from drawn import assert_drawn
from utils.training.synthetic import scenes
from utils.training.synthetic.negatives import RUINS
from utils.training.synthetic.scenes import SCENES
from utils.training.synthetic.tissue import tissue

DRAWN = {
    scenes.curtaining: [
        [88.0, 17.9, 69.19, 112.08],
        [73.11, 13.72, 79.28, 108.81],
        [164.86, 65.16, 227.24, 86.85],
        [81.7, 22.09, 120.42, 65.25],
        [69.13, 19.01, 62.21, 63.91],
        [148.93, 14.97, 136.14, 115.07],
    ],
    scenes.particles: [
        [162.18, 27.35, 206.45, 137.05],
        [127.91, 16.46, 123.94, 142.21],
        [69.45, 14.27, 82.71, 6.11],
        [79.55, 89.36, 273.53, 231.31],
        [223.72, 39.62, 231.25, 244.79],
        [203.04, 15.52, 230.61, 202.73],
    ],
    scenes.minerals: [
        [94.16, 37.55, 79.92, 107.19],
        [149.75, 82.85, 198.31, 151.13],
        [160.93, 54.15, 45.82, 224.95],
        [59.36, 59.0, 5.78, 18.03],
        [171.72, 81.42, 253.97, 185.19],
        [118.59, 64.63, 71.45, 106.68],
    ],
    scenes.grains: [
        [212.51, 41.85, 214.66, 234.02],
        [147.23, 61.75, 195.39, 221.0],
        [94.53, 40.34, 23.89, 137.09],
        [184.19, 56.65, 231.81, 234.03],
        [164.68, 39.34, 95.58, 177.42],
        [53.83, 18.03, 24.63, 79.97],
    ],
    scenes.phases: [
        [178.38, 76.6, 137.87, 218.73],
        [144.28, 67.94, 149.92, 180.1],
        [86.92, 37.21, 37.14, 46.38],
        [105.66, 43.71, 69.0, 68.61],
    ],
    scenes.relief: [
        [109.89, 27.98, 152.65, 154.17],
        [158.72, 40.68, 127.79, 163.0],
        [199.82, 15.53, 197.63, 193.59],
        [135.98, 38.81, 139.48, 120.35],
    ],
    scenes.cracks: [
        [156.22, 34.34, 123.6, 137.57],
        [140.84, 29.62, 124.2, 189.92],
        [31.41, 41.57, 83.43, 60.64],
        [34.56, 19.02, 21.08, 60.43],
    ],
    scenes.waves: [
        [160.09, 38.78, 188.06, 191.12],
        [126.68, 8.05, 134.4, 131.76],
        [64.63, 39.21, 65.66, 44.29],
        [35.26, 29.34, 54.08, -34.69],
    ],
    scenes.streaks: [
        [150.84, 33.88, 201.99, 137.05],
        [132.51, 21.27, 131.65, 142.21],
        [76.12, 22.79, 77.4, 29.98],
        [24.5, 22.08, 31.86, -5.89],
    ],
    scenes.lattice: [
        [112.45, 51.6, 206.45, 63.81],
        [170.71, 43.77, 123.94, 142.22],
        [123.92, 46.28, 194.19, 70.0],
        [87.35, 72.29, 183.49, 206.27],
    ],
}
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("draw", [*dict.fromkeys(SCENES), tissue], ids=lambda f: f.__name__)
def test_scenes(draw):
    one, two = (draw(np.random.default_rng(7), 48) for _ in range(2))
    assert one.shape == (48, 48) and np.isfinite(one).all() and np.array_equal(one, two)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_seed_draws_the_same(draw):
    assert_drawn(lambda rng: draw(rng, 48), DRAWN[draw], 0.3)


@pytest.mark.parametrize("ruin", [*dict.fromkeys(RUINS)], ids=lambda f: f.__name__)
def test_ruins(ruin):
    good = np.random.default_rng(0).uniform(0, 255, (48, 48)).astype(np.float32)
    ruined = ruin(np.random.default_rng(1), good)
    assert ruined.shape == good.shape and np.isfinite(ruined).all()
    if ruin.__name__ == "covered":
        assert np.mean(np.abs(ruined - good) > 1) > 0.75


def test_nothing_but_training_imports_what_it_draws():
    paths = [*(ROOT / "utils").rglob("*.py"), *ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    users = {path.parent.name for path in paths if "training.synthetic" in path.read_text(encoding="utf-8")}
    assert users == {"training", "synthetic", "benchmarks"}
